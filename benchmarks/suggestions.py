"""Do the suggested slices lie where the model is wrong, and is painting them worth more than painting even ones?

    python benchmarks/suggestions.py [--sets real inner 2011 3001] [--starts unet:resnet18 femur-ct] [--steps 100]

A model is trained on a few slices and segments the series. Printed are Spearman's correlation of the doubt about each
unpainted slice with its 1 - Dice, and Dice after painting four more: those suggested, or four that fill the gaps
evenly. Both are trained from the same start for as many steps, and scored on the slices that neither was trained on
and on those of their own.

Sets: ``real`` is the femur CT series, painted on every third of its 16 masked slices, ``inner`` the same painted on six
inner ones; only masked slices can be suggested. A number is a phantom of that seed, 48 slices of 160 x 160 of which
four even ones are painted; there every slice has a truth. From random weights both femora are one class, which takes a
third of the steps.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
from main_job import DATA
from PIL import Image as Picture
from scipy.stats import spearmanr

import napari_medseg as medseg
from napari_medseg.core import Image, Progress
from napari_medseg.evaluation.metrics import METRICS
from napari_medseg.evaluation.suggest import choose, rank_doubt
from napari_medseg.phantoms import femur_sample

MORE = 4
Truth = dict[int, np.ndarray]


@dataclass
class Case:
    """A series, the slices whose truth is known, and those painted first."""

    folder: Path
    truth: Truth
    first: tuple[int, ...]
    even: tuple[int, ...]

    @property
    def image(self) -> Image:
        return medseg.read(self.folder)


def real_case(inner: bool) -> Case:
    """The femur CT series."""
    names = medseg.read(DATA / "images").names
    masks = {names.index(path.name): np.asarray(Picture.open(path)) for path in (DATA / "masks").glob("*.png")}
    places = sorted(masks)
    first = [places[i] for i in ((3, 5, 7, 9, 11, 12) if inner else range(0, 16, 3))]
    left = [z for z in places if z not in first]
    even = [left[round((i + 0.5) * len(left) / MORE - 0.5)] for i in range(MORE)]
    return Case(DATA / "images", masks, tuple(first), tuple(even))


def phantom_case(seed: int, work: Path) -> Case:
    """A whole leg series whose every slice has a truth."""
    folder = work / f"phantom-{seed}"
    folder.mkdir(exist_ok=True)
    image, truth = femur_sample(seed, slices=48, size=160)
    for z in range(48):
        Picture.fromarray(image.data[z]).save(folder / f"{z}.png")
    return Case(folder, dict(enumerate(truth.data)), (5, 17, 29, 41), (11, 23, 35, 47))


def train(case: Case, slices: tuple[int, ...], start: str, steps: int, seed: int) -> str:
    """Name of a model trained on the truth of these slices."""
    names, name = case.image.names, f"suggestions-{time.monotonic_ns()}"
    with tempfile.TemporaryDirectory() as folder:
        for z in slices:
            mask = case.truth[z] > 0 if ":" in start else case.truth[z]
            Picture.fromarray(mask.astype(np.uint8)).save(Path(folder) / names[z])
        sides = "no" if ":" in start else "auto"
        medseg.train(
            [(case.folder, folder)], model=start, name=name, max_steps=steps, seed=seed, validation=0.0, sides=sides
        )
    return name


def segment(case: Case, model: str, binary: bool) -> tuple[dict[int, dict[str, float]], dict[int, float]]:
    """What the run reported of each slice, and Dice (mean over the classes) of the slices with a truth."""
    figures: dict[int, dict[str, float]] = {}

    def listen(progress: Progress) -> None:
        if progress.result is not None:
            figures[progress.region[0]] = dict(progress.metrics)

    labels = medseg.segment(case.image, model, suggest=1, report=listen)
    scores = {}
    for z, truth in case.truth.items():
        ours = labels.slice(z)
        pairs = [(ours > 0, truth > 0)] if binary else [(ours == k, truth == k) for k in (1, 2)]
        pairs = [pair for pair in pairs if pair[0].any() or pair[1].any()]
        if pairs:
            scores[z] = float(np.mean([METRICS["dice"].measure(*pair, (1, 1)) for pair in pairs]))
    return figures, scores


def summarise(scores: dict[int, float], without: set[int]) -> str:
    values = [score for z, score in scores.items() if z not in without]
    return f"mean {np.mean(values):.3f} worst {min(values):.3f} (n {len(values)})"


def measure(case: Case, start: str, steps: int, seed: int, more: bool) -> dict[str, object]:
    """One row of the table."""
    binary = ":" in start
    figures, scores = segment(case, train(case, case.first, start, steps, seed), binary)
    slices = sorted(figures)
    doubt = dict(zip(slices, rank_doubt([figures[z] for z in slices]), strict=True))
    unseen = sorted(scores.keys() - set(case.first))
    row: dict[str, object] = {"first": summarise(scores, set(case.first))}
    errors = [1 - scores[z] for z in unseen]
    for name, values in {"doubt": doubt, **_singly(figures)}.items():
        row[f"Spearman, {name}"] = round(float(spearmanr([values[z] for z in unseen], errors, nan_policy="omit")[0]), 2)
    candidates = [z for z in slices if z in case.truth]
    suggested = choose(candidates, np.array([doubt[z] for z in candidates]), MORE, case.first)
    row["suggested"], row["worst"] = suggested, sorted(unseen, key=lambda z: scores[z])[:MORE]
    row["Dice of the suggested before"] = [round(scores[z], 2) for z in suggested if z in scores]
    if not more:
        return row
    known = {*case.first, *suggested, *case.even}
    for name, chosen in (("suggested", suggested), ("even", case.even)):
        model = train(case, (*case.first, *chosen), start, steps, seed)
        after = segment(case, model, binary)[1]
        row[f"with 4 {name}, own rest"] = summarise(after, {*case.first, *chosen})
        row[f"with 4 {name}, common rest"] = summarise(after, known)
        row[f"with 4 {name}, all not painted first"] = summarise(after, set(case.first))
    return row


def _singly(figures: dict[int, dict[str, float]]) -> dict[str, dict[int, float]]:
    from napari_medseg.evaluation.suggest import find_misfits

    slices = sorted(figures)
    misfits = find_misfits([figures[z] for z in slices])
    single = {name: {z: figures[z].get(name, np.nan) for z in slices} for name in ("border", "patch")}
    return {**single, "misfit": dict(zip(slices, misfits, strict=True))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="*", default=["real", "inner", "2011", "3001"])
    parser.add_argument("--starts", nargs="*", default=["unet:resnet18", "femur-ct"])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-more", action="store_true", help="only correlate, do not train on further slices")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_MEDSEG_HOME"] = folder
        for name in arguments.sets:
            case = phantom_case(int(name), Path(folder)) if name.isdecimal() else real_case(name == "inner")
            for start in arguments.starts:
                row = measure(case, start, arguments.steps, arguments.seed, not arguments.no_more)
                results[f"{name}, {start}"] = row
                print(f"\n{name}, {start}", *(f"  {key}: {value}" for key, value in row.items()), sep="\n", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
