"""Whether a built-in model may ship: from the same strokes, against random weights, on two real sets.

    python benchmarks/starters.py nuclei-he [--model FOLDER] [--steps 300] [--seeds 0 1 2] [--json OUT] [--write]

Every set gives a few images with strokes on 0.5 % of their pixels (`strokes.py`) and others, of other patients where
there are several, that only measure. Both starts learn for the same number of steps. The rule: at most half the steps
to a held-out Dice of 0.9 (or to the best that the random start reaches, where that is lower), and an end that is no
worse, on both sets, in the mean over the seeds. ``--zero`` only scores the model as it is. ``--write`` puts the figures
into the model's card.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is loaded

import nibabel
import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image as Picture
from sets import DATA, femur_masks, lungs, read_mask
from strokes import simulate_strokes

import napari_medseg as medseg
from napari_medseg.core import Progress, Score
from napari_medseg.core import score as score_names
from napari_medseg.models import find_model, load_model
from napari_medseg.models.weights import read_card, write_card
from napari_medseg.training import train

UNLABELLED = 255
GOOD = 0.9
SAME = 0.005
"""Final Dice that differ by less are the same."""

METRICS = {
    "zero": score_names.DICE_BEFORE, "starter end": score_names.DICE_AFTER, "random end": score_names.DICE_RANDOM,
    "level": score_names.DICE_TARGET, "starter steps": score_names.STEPS_TO_TARGET,
    "random steps": score_names.RANDOM_STEPS_TO_TARGET, "steps": score_names.TRAINING_STEPS,
}  # fmt: skip
"""What a card calls the figures."""

Pixels = npt.NDArray[Any]
Picture.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True)
class Real:
    """One real image and its truth: 1 is the model's class, 255 does not count.

    Attributes
    ----------
    group
        Images of one group all train or all measure.
    """

    image: Pixels
    truth: Pixels
    group: str


def read_colour(path: Path, swapped: bool = False) -> Pixels:
    """(Y, X, 3); with red and blue exchanged if the file has them so."""
    pixels = np.asarray(Picture.open(path).convert("RGB"))
    return pixels[..., ::-1] if swapped else pixels


def monuseg() -> Iterator[Real]:
    """Nuclei, 40x, three patients, in quarters."""
    for path in sorted((DATA / "monuseg" / "images").glob("*.tif")):
        image, truth = read_colour(path), read_mask(DATA / "monuseg" / "masks" / f"{path.stem}.png")
        for y in (0, 500):
            for x in (0, 500):
                yield Real(image[y : y + 500, x : x + 500], truth[y : y + 500, x : x + 500], path.stem)


def monusac() -> Iterator[Real]:
    """Nuclei, 40x; of macrophages the truth holds the whole cell, which does not count."""
    colours = np.array([[0, 0, 0], [0, 255, 0], [255, 255, 0], [255, 0, 0], [0, 0, 255]])
    for path in sorted((DATA / "monusac" / "images").glob("*.jpg")):
        image = read_colour(path, swapped=True)
        if min(image.shape[:2]) < 120:
            continue
        mask = read_colour(DATA / "monusac" / "masks" / path.name).astype(int)
        nearest = np.stack([((mask - c) ** 2).sum(2) for c in colours]).argmin(0)
        truth = np.array([0, 1, 1, 1, UNLABELLED], np.uint8)[nearest]
        patient = path.stem.rsplit("_", 1)[0]
        yield Real(image[:700, :700], truth[:700, :700], patient)


def glas() -> Iterator[Real]:
    """Glands of the colon, 0.62 um."""
    for path in sorted((DATA / "glas" / "images").glob("*.png")):
        mask = np.asarray(Picture.open(DATA / "glas" / "masks" / path.name))
        yield Real(read_colour(path), (mask > 0).astype(np.uint8), path.stem)


def bcnb() -> Iterator[Real]:
    """Cancer of the breast in overviews, four times reduced, in quarters; the outlines are partial."""
    for path in sorted((DATA / "bcnb_he_tumour" / "images").glob("*.jpg")):
        image = read_colour(path)
        size = image.shape[1] // 4, image.shape[0] // 4
        small = np.asarray(Picture.fromarray(image).resize(size, Picture.Resampling.BOX))
        mask = Picture.open(DATA / "bcnb_he_tumour" / "masks" / path.name).convert("L")
        truth = (np.asarray(mask.resize(size, Picture.Resampling.BOX)) > 127).astype(np.uint8)
        rows, columns = size[1] // 2, size[0] // 2
        for y in (0, rows):
            for x in (0, columns):
                part = slice(y, y + rows), slice(x, x + columns)
                yield Real(small[part], truth[part], path.stem)


def femora() -> Iterator[Real]:
    """Hip to thigh of one patient: both femora."""
    for number, path in femur_masks().items():
        image = np.asarray(Picture.open(DATA / "femur_ct" / "images" / path.name).convert("L"))
        yield Real(image, (read_mask(path) > 0).astype(np.uint8), str(number // 100))


def femur() -> Iterator[Real]:
    """The same for models of all bones: others are in no mask, so that what is as bright does not count."""
    for one in femora():
        bright = one.image > 0.5 * np.median(one.image[one.truth > 0])
        yield replace(one, truth=np.where(bright & (one.truth == 0), UNLABELLED, one.truth).astype(np.uint8))


def vertebrae() -> Iterator[Real]:
    """Part of a lumbar spine, 1.5 mm, axial; the upper half and the lower half."""
    folder = DATA / "ct_bone_nifti" / "tptbox_ct"
    values, truth = (
        np.asarray(nibabel.load(folder / name).dataobj)
        for name in ("sub-ct_label-22_ct.nii.gz", "sub-ct_seg-vert_label-22_msk.nii.gz")
    )
    for level in range(2, values.shape[1] - 2, 2):
        upper = "upper" if level < values.shape[1] / 2 else "lower"
        yield Real(values[:, level].astype(np.int16), (truth[:, level] > 0).astype(np.uint8), upper)


def brains(*codes: str) -> Iterator[Real]:
    """Slices that hold a tumour, of the patients whom hospitals with these codes have seen."""
    for patient in sorted((DATA / "lgg_mri").glob("TCGA_*")):
        if patient.name.split("_")[1] in codes:
            for path in sorted(patient.glob("*_mask.tif")):
                image = read_colour(path.with_name(path.name.replace("_mask", "")))
                yield Real(image, read_mask(path), patient.name)


def chests(prefix: str) -> Iterator[Real]:
    """Chest X-rays of one hospital; of those that never train."""
    for case in lungs(0, 0).test:
        if case.name.startswith(prefix):
            yield Real(np.asarray(Picture.open(case.image).convert("L")), case.truth, case.name)


@dataclass(frozen=True)
class RealSet:
    """Images of one kind, how many of them get strokes, and how many measure."""

    read: Callable[[], Iterator[Real]]
    painted: int
    measured: int
    crop: int = 512


SETS = {
    "nuclei-he": {"MoNuSeg": RealSet(monuseg, 4, 6, 256), "MoNuSAC": RealSet(monusac, 4, 6, 256)},
    "tissue-he": {"GlaS": RealSet(glas, 4, 12), "BCNB": RealSet(bcnb, 2, 4)},
    "femur-ct": {"femur CT": RealSet(femora, 4, 8)},  # the only real set, where the rule asks for two
    "bone-ct": {"femur CT": RealSet(femur, 4, 8), "TPTBox vertebrae": RealSet(vertebrae, 4, 10)},
    "tumour-mr": {
        "LGG, hospital HT": RealSet(lambda: brains("HT"), 4, 20),
        "LGG, hospitals CS and DU": RealSet(lambda: brains("CS", "DU"), 4, 20),
    },
    "lungs-xray": {
        "Montgomery": RealSet(lambda: chests("MCUCXR"), 4, 20),
        "Shenzhen": RealSet(lambda: chests("CHNCXR"), 4, 20),
    },
}


def write_data(real: RealSet, folder: Path, seed: int) -> None:
    """Images with strokes in ``train``, whole ones in ``test``, each beside its masks."""
    images = [one for one in real.read() if (one.truth == 1).any()]
    random = np.random.default_rng(seed)
    groups = random.permutation(sorted({one.group for one in images})).tolist()
    training: list[str] = []
    while len(groups) > 1 and sum(one.group in training for one in images) < real.painted:
        training.append(groups.pop())
    shuffled = [images[i] for i in random.permutation(len(images))]
    parts = {
        "train": [one for one in shuffled if one.group in training][: real.painted],
        "test": [one for one in shuffled if one.group not in training][: real.measured],
    }
    for part, chosen in parts.items():
        for kind in ("images", "masks"):
            (folder / part / kind).mkdir(parents=True, exist_ok=True)
        for number, one in enumerate(chosen):
            image, truth = one.image, one.truth
            if part == "train":
                image, truth = image[: real.crop, : real.crop], truth[: real.crop, : real.crop]
                shown = np.where(truth == UNLABELLED, 0, truth)
                strokes = simulate_strokes(shown, 0.005, UNLABELLED, image=image, seed=seed + number)
                truth = np.where(truth == UNLABELLED, UNLABELLED, strokes).astype(np.uint8)
            kind = "rgb" if image.ndim == 3 else "minisblack"
            tifffile.imwrite(folder / part / "images" / f"{number}.tif", np.ascontiguousarray(image), photometric=kind)
            tifffile.imwrite(folder / part / "masks" / f"{number}.tif", truth, photometric="minisblack")


def score(model: Path, folder: Path) -> float:
    """Dice of a model as it is, all held-out pixels together."""
    loaded, hit, total = load_model(model), 0, 0
    for path in sorted((folder / "test" / "images").glob("*.tif")):
        truth = tifffile.imread(folder / "test" / "masks" / path.name)
        found = np.squeeze(np.asarray(medseg.segment(medseg.read(path), loaded).data)) > 0
        found &= truth != UNLABELLED
        hit, total = hit + int((found & (truth == 1)).sum()), total + int(found.sum() + (truth == 1).sum())
    return 2 * hit / max(total, 1)


def learn(
    start: str, folder: Path, steps: int, seed: int, device: str, scale: dict[str, float]
) -> list[tuple[int, float]]:
    """Held-out Dice after so many steps; ``scale`` is for the random start, so that both see the same."""
    curve: list[tuple[int, float]] = []

    def listen(progress: Progress) -> None:
        step, dice = int(progress.metrics.get("step", 0)), progress.metrics.get("dice", np.nan)
        if not np.isnan(dice) and (not curve or dice != curve[-1][1]):
            curve.append((step, float(dice)))

    train(
        [(folder / "train" / "images", folder / "train" / "masks")],
        validation_data=[(folder / "test" / "images", folder / "test" / "masks")],
        model=start, name="benchmark", report=listen, unlabelled=UNLABELLED, max_steps=steps, seed=seed, device=device,
        remember=False, rival=False, checkpoint_minutes=0,
        # Never reached, but a run that may stop early measures more often.
        patience=1000, **scale,
    )  # fmt: skip
    return curve


def reach(curve: list[tuple[int, float]], level: float) -> int | None:
    """Steps to a Dice, None where it is never reached."""
    return next((step for step, dice in curve if dice >= level), None)


def compare(zero: float, starter: list[tuple[int, float]], random: list[tuple[int, float]]) -> dict[str, Any]:
    """One seed's figures: the level asked for, steps of both to it, Dice of both at the end."""
    level = min(GOOD, max(dice for _, dice in random))
    steps = 0 if zero >= level else reach(starter, level)
    return {
        "zero": zero, "level": level, "starter steps": steps, "random steps": reach(random, level),
        "starter end": starter[-1][1], "random end": random[-1][1],
    }  # fmt: skip


def judge(rows: list[dict[str, Any]]) -> bool:
    """Whether the rule is kept in the mean over the seeds of one set."""
    if any(row["starter steps"] is None for row in rows):
        return False
    quick = sum(row["starter steps"] for row in rows) <= 0.5 * sum(row["random steps"] for row in rows)
    ends = [np.mean([row[f"{start} end"] for row in rows]) for start in ("starter", "random")]
    return bool(quick and ends[0] >= ends[1] - SAME)


def merge_scores(scores: Sequence[Score], results: dict[str, list[dict[str, Any]]]) -> tuple[Score, ...]:
    """Those of a card with the means over the seeds in place of what an earlier run found."""
    merged = [score for score in scores if score.metric not in score_names.TRIAL]
    for name, rows in results.items():
        means = {key: [row[key] for row in rows if row.get(key) is not None] for key in METRICS}
        figures = {METRICS[key]: round(float(np.mean(values)), 4) for key, values in means.items() if values}
        if score_names.TRAINING_STEPS in figures:
            figures[score_names.SEEDS] = len(rows)
        merged += [Score(metric=metric, value=value, on=f"{name}, real") for metric, value in figures.items()]
    return tuple(merged)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=[*SETS])
    parser.add_argument("--model", type=Path, help="folder of the model, in place of the shipped one")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--random", help="start with random weights; by default a U-Net with the model's encoder")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--zero", action="store_true", help="only score the model as it is")
    parser.add_argument("--write", action="store_true", help="put the figures into the model's card")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["NAPARI_MEDSEG_HOME"] = home
        model = arguments.model or find_model(arguments.name)
        card = read_card(model)
        random = arguments.random or f"{card.architecture}:{card.encoder}"
        scale = {"longest": card.longest} if card.longest else {"reduction": card.reduction}
        results: dict[str, list[dict[str, Any]]] = {}
        for name, real in SETS[arguments.name].items():
            for seed in arguments.seeds:
                folder = Path(home) / f"{name} {seed}"
                write_data(real, folder, seed)
                row: dict[str, Any] = {"zero": score(model, folder)}
                if not arguments.zero:
                    limits = arguments.steps, seed, arguments.device, scale
                    runs = [learn(one, folder, *limits) for one in (str(model), random)]
                    row = {**compare(row["zero"], *runs), "steps": arguments.steps, "curves": runs}
                results.setdefault(name, []).append({"seed": seed, **row})
                print(name, json.dumps({k: v for k, v in results[name][-1].items() if k != "curves"}), flush=True)
                if arguments.json:
                    arguments.json.write_text(json.dumps(results, indent=2))
    if not arguments.zero:
        for name, rows in results.items():
            print(name, "keeps the rule" if judge(rows) else "does not keep the rule")
    if arguments.write:
        write_card(model, card.model_copy(update={"scores": merge_scores(card.scores, results)}))


if __name__ == "__main__":
    main()
