"""Speed of the training loop beside the settings of RootPainter's, on the same strokes from the same random start.

    python benchmarks/training_loop.py [--minutes 3] [--seeds 0 1 2] [--clock wall] [--json OUT]

Six slices of the real femur CT series get strokes on 0.5 % of their pixels; the ten other masked slices measure. Both
runs go through this project's loop, from sampling to the averaged weights that are scored; what differs is in
`RECIPES`. Prints, for each recipe and seed, steps per second (with the measuring, at most a tenth of the time), seconds
of training until the held-out Dice is 0.9, the Dice at the end, and the Dice over time. Times are by the wall where
nothing else runs; with ``--clock cpu`` they are processor time by the number of cores.

Source of RootPainter's settings: Smith et al., "RootPainter: deep learning segmentation of biological images with
corrective annotation", New Phytologist (2022): SGD with rate 0.01 and Nesterov momentum 0.99, constant, whole tiles,
Dice plus 0.3 times the cross-entropy of the labelled pixels.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is loaded

import numpy as np
from main_job import DATA, TRAINED
from skimage.io import imread, imsave
from strokes import simulate_strokes
from torch import Tensor

from napari_medseg.core import Progress
from napari_medseg.inference.device import cpu_count
from napari_medseg.training import LOSSES, step, train, work
from napari_medseg.training.losses import Loss, on_labelled, overlap
from napari_medseg.training.schedule import Budget

UNLABELLED = 255
GOOD = 0.9


def plain_cross_entropy(log_chance: Tensor, truth: Tensor) -> Tensor:
    """Averaged over labelled pixels, all classes alike."""
    return -(truth * log_chance).sum() / truth.sum().clamp(min=1)


@dataclass(frozen=True)
class Recipe:
    """How one of the runs differs from this project's defaults.

    Attributes
    ----------
    options
        Fields of `TrainOptions`.
    constants
        Of `napari_medseg.training.step`, which are no options.
    loss
        In the place of the default one.
    """

    options: dict[str, Any] = field(default_factory=dict)
    constants: dict[str, float] = field(default_factory=dict)
    loss: Loss | None = None


RECIPES = {
    "ours": Recipe(),
    "RootPainter's": Recipe(
        {"optimizer": "sgd", "learning_rate": 0.01, "scheduler": "constant", "weight_decay": 0.0},
        # Full resolution from the start, no warm-up, no clipping of gradients.
        {"LARGE": 10**9, "WARM_UP": 0.0, "CLIP": math.inf},
        on_labelled((1.0, overlap), (0.3, plain_cross_entropy)),
    ),
}


class Clock:
    """Listens to a run: when its steps and measurements were done, in seconds since its first step began."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.began = self.ended = 0.0
        self.steps = 0
        self.dice = math.nan
        self.curve: list[tuple[float, int, float]] = []
        self._before = clock()

    def __call__(self, progress: Progress) -> None:
        now, done = self._clock(), int(progress.metrics.get("step", 0))
        if done and not self.steps:
            self.began = self._before
        self._before = now
        if done > self.steps:
            self.steps, self.ended = done, now
        dice = progress.metrics.get("dice", math.nan)
        if not math.isnan(dice) and dice != self.dice:
            self.dice = dice
            self.curve.append((round(now - self.began, 1), done, round(dice, 4)))

    def results(self) -> dict[str, Any]:
        good = [seconds for seconds, _, dice in self.curve if dice >= GOOD]
        return {
            "steps": self.steps,
            "steps_per_s": round(self.steps / max(self.ended - self.began, 1e-9), 2),
            "s_to_good": good[0] if good else None,
            "dice": self.curve[-1][2] if self.curve else None,
            "curve": self.curve,
        }


def write_data(data: Path, share: float) -> None:
    """Strokes on the slices that train, whole masks of the others, each beside its images."""
    for mask in sorted((DATA / "masks").glob("*.png")):
        part = data / ("train" if int(mask.stem.split("-")[1]) in TRAINED else "test")
        for kind in ("images", "masks"):
            (part / kind).mkdir(parents=True, exist_ok=True)
        image, truth = imread(DATA / "images" / mask.name), imread(mask)
        shutil.copy(DATA / "images" / mask.name, part / "images")
        if part.name == "train":
            truth = simulate_strokes(truth, share, UNLABELLED, image=image, seed=int(mask.stem.split("-")[1]))
            painted = float(np.mean(truth != UNLABELLED))
            print(f"{mask.name}: strokes on {painted:.2%} of the pixels")
        imsave(part / "masks" / mask.name, truth, check_contrast=False)


def processor_time() -> float:
    """Seconds that all cores together would have taken."""
    return time.process_time() / cpu_count()


CLOCKS: dict[str, Callable[[], float]] = {"wall": time.monotonic, "cpu": processor_time}


def run(recipe: Recipe, data: Path, start: str, clock: Callable[[], float], **options: Any) -> dict[str, Any]:
    """Train by a recipe; what came of it."""
    listener = Clock(clock)
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(work, "Budget", lambda *limits, started: Budget(*limits, clock=clock)))
        for name, value in recipe.constants.items():
            stack.enter_context(mock.patch.object(step, name, value))
        if recipe.loss:
            stack.enter_context(mock.patch.dict(LOSSES, {"dice-ce": recipe.loss}))
        train(
            [(data / "train" / "images", data / "train" / "masks")],
            validation_data=[(data / "test" / "images", data / "test" / "masks")],
            model=start, name="benchmark", report=listener, unlabelled=UNLABELLED, remember=False, checkpoint_minutes=0,
            # Never reached, but a run that may stop early measures more often.
            patience=1000, **{**recipe.options, **options},
        )  # fmt: skip
    return listener.results()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--start", default="unet:resnet18")
    parser.add_argument("--share", type=float, default=0.005, help="of the pixels that strokes cover")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--recipes", nargs="*", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_MEDSEG_HOME"] = str(Path(folder) / "home")
        write_data(Path(folder), arguments.share)
        for seed in arguments.seeds:
            # In turns, so that whatever else the computer does falls on all alike.
            for name in arguments.recipes:
                options = {"max_minutes": arguments.minutes, "seed": seed}
                found = run(RECIPES[name], Path(folder), arguments.start, CLOCKS[arguments.clock], **options)
                results.setdefault(name, []).append({"seed": seed, **found})
                print(f"{name}, seed {seed}: " + json.dumps({k: v for k, v in found.items() if k != "curve"}))
                print("  s, steps, Dice: " + "  ".join(f"{s:g} {n} {dice:.3f}" for s, n, dice in found["curve"]))
    print(f"\n| loop | steps/s | s to Dice {GOOD} | Dice after {arguments.minutes:g} min |\n|---|---|---|---|")
    for name, runs in results.items():
        reached = [one["s_to_good"] for one in runs if one["s_to_good"] is not None]
        seconds = f"{statistics.median(reached):.0f}" if reached else "-"
        if len(reached) < len(runs):
            seconds += f" ({len(reached)} of {len(runs)})"
        speed, dice = (statistics.mean(one[key] or 0 for one in runs) for key in ("steps_per_s", "dice"))
        print(f"| {name} | {speed:.2f} | {seconds} | {dice:.3f} |")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
