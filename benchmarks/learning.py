"""Learning from few labels on real images: Dice on what was never trained on, mean and spread over seeds.

    python benchmarks/learning.py femur lungs pelvis [--seeds 0 1 2] [--only TEXT] [--minutes M] [--clock wall]

``femur``: six slices of a CT series, 1 and 3 minutes, from the built-in model, from random weights, and Quick.
``lungs``: 5, 10 and 100 chest X-rays, 3 minutes, from random weights.
``pelvis``: 1 and 3 MR patients, 3 minutes, from random weights: the femur in two others.

Times are by the wall where nothing else runs. With ``--clock cpu`` the training's budget is processor time by the
number of cores, so that runs on a machine that does other things as well can be compared.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sets import Case, Split, femur, lungs, pelvis

import napari_medseg as medseg
from napari_medseg.core import Progress
from napari_medseg.evaluation.metrics import METRICS
from napari_medseg.inference.device import cpu_count
from napari_medseg.models import load_model
from napari_medseg.training import work
from napari_medseg.training.schedule import Budget


@dataclass(frozen=True)
class Trial:
    """One training: what from, on what, how long; and the class that is measured, None for all as one."""

    name: str
    split: Callable[[Path], Split]
    start: str
    minutes: float
    measured: int | None = None


def femur_trials(seed: int) -> Iterator[Trial]:
    for start in ("femur-ct", "unet:resnet18", "quick"):
        for minutes in (1.0, 3.0) if start != "quick" else (1.0,):
            yield Trial(f"femur, 6 slices, {start}, {minutes:g} min", lambda f: femur(f / "masks"), start, minutes)


def lung_trials(seed: int) -> Iterator[Trial]:
    for count in (5, 10, 100):
        yield Trial(f"lungs, {count} images", lambda f, n=count: lungs(n, seed), "unet:resnet18", 3.0)  # type: ignore[misc]


def pelvis_trials(seed: int) -> Iterator[Trial]:
    for count in (1, 3):
        yield Trial(f"pelvis MR, {count} patients", lambda f, n=count: pelvis(n, seed), "unet:resnet18", 3.0, 1)  # type: ignore[misc]


SETS = {"femur": femur_trials, "lungs": lung_trials, "pelvis": pelvis_trials}


def use_processor_clock() -> None:
    """Let budgets count processor time by core instead of time on the wall."""
    cores = cpu_count()
    work.Budget = lambda *limits, started: Budget(*limits, clock=lambda: time.process_time() / cores)  # type: ignore[misc, assignment]


def read_arguments(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The arguments, with those that all learning benchmarks share; the clock asked for is set."""
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.clock == "cpu":
        use_processor_clock()
    return arguments


def score(model: Any, cases: tuple[Case, ...], measured: int | None) -> dict[str, list[float]]:
    """Dice, Dice within 1 px of the border and HD95 in px of every case."""
    found: dict[str, list[float]] = {"dice": [], "surface_dice": [], "hd95": []}
    images: dict[Path, Any] = {}
    for case in cases:
        image = images.setdefault(case.image, medseg.read(case.image))
        part = {} if case.z is None else {"slices": f"{case.z}:{case.z + 1}"}
        labels = np.asarray(medseg.segment(image, model, **part).data)
        labels = labels if case.z is None else labels[case.z]
        predicted, truth = ((a > 0) if measured is None else (a == measured) for a in (labels, case.truth))
        for name, values in found.items():
            if predicted.ndim == 2 or name == "dice":
                value = METRICS[name].measure(predicted, truth, (1.0,) * truth.ndim)
                values.append(np.nan if value is None else value)
    return found


def run(trial: Trial, seed: int) -> dict[str, Any]:
    """Train and measure once."""
    latest: dict[str, float] = {}

    def listen(progress: Progress) -> None:
        latest.update(progress.metrics)

    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_MEDSEG_HOME"] = f"{folder}/home"
        split = trial.split(Path(folder))
        begin = time.perf_counter()
        settings = {"model": trial.start, "name": "trained", "seed": seed, "max_minutes": trial.minutes}
        card = medseg.train(split.pairs, report=listen, **settings)
        seconds = time.perf_counter() - begin
        scores = score(load_model(card.reference), split.test, trial.measured)
    dice = [d for d in scores["dice"] if not np.isnan(d)]
    row = {"trial": trial.name, "seed": seed, "mean": np.mean(dice), "median": np.median(dice), "worst": np.min(dice)}
    if scores["hd95"]:
        row |= {"within 1 px": np.nanmean(scores["surface_dice"]), "hd95 median": np.nanmedian(scores["hd95"])}
    row |= {"steps": latest.get("step", 0.0), "train s": seconds}
    return {k: v if isinstance(v, str | int) else round(float(v), 4) for k, v in row.items()}


def summarise(rows: list[dict[str, Any]]) -> str:
    """A line a trial: mean over seeds, and half the distance between the best and the worst seed."""
    lines = []
    for name in dict.fromkeys(row["trial"] for row in rows):
        own = [row for row in rows if row["trial"] == name]
        figures = []
        for key in [k for k in own[0] if k not in ("trial", "seed")]:
            values = [row[key] for row in own]
            figures.append(f"{key} {np.mean(values):.3f} ± {(max(values) - min(values)) / 2:.3f}")
        lines.append(f"{name} ({len(own)} seeds): {', '.join(figures)}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="+", choices=[*SETS])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--only", default="", help="Trials whose name contains this")
    parser.add_argument("--minutes", type=float, help="In place of each trial's own time")
    arguments = read_arguments(parser)
    rows = []
    for seed in arguments.seeds:
        for trial in (t for name in arguments.sets for t in SETS[name](seed) if arguments.only in t.name):
            timed = replace(trial, minutes=arguments.minutes) if arguments.minutes else trial
            rows.append(run(timed, seed))
            print(json.dumps(rows[-1]), flush=True)
            if arguments.json:
                arguments.json.write_text(json.dumps(rows, indent=2))
    print(summarise(rows))


if __name__ == "__main__":
    main()
