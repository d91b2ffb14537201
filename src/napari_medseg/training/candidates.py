"""What a comparison tries, and how it divides its time; loads no torch.

Source: Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization", AISTATS 2016
(successive halving: all get little time, the better half of them twice that, and so on).
"""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from napari_medseg.core import Choice, Mark, Options, marked
from napari_medseg.models import find_model, is_start
from napari_medseg.models.build import ARCHITECTURES

from .losses import LOSSES
from .options import Batch, Decay, Rate, TrainOptions
from .presets import AUGMENTATIONS, AUTO
from .run import TrainingRun

FINALISTS = 2
"""So many are trained with every seed in the last round."""

LITTLE = 30.0
"""Seconds: a training that is shorter hardly says how good a network is."""

AXES = ("starts", "losses", "augmentations", "learning_rates", "weight_decays", "batches")
"""Fields of `CompareOptions` whose combinations are the candidates."""

VARIED = ("loss", "augmentation", *marked(TrainOptions, Mark.FIXED))
"""Options of a training that the comparison sets."""


class CompareOptions(Options):
    """What is compared, and in what time."""

    starts: Annotated[tuple[str, ...], Mark.ELSEWHERE] = Field(
        ("unet:resnet18", "unetplusplus:tu-regnety_004", "fpn:resnet18", "unet:tu-mobilenetv3_small_100"),
        title="Starts",
        description="Library models, or architecture:encoder for random weights",
        min_length=1,
        examples=[f"{architecture}:resnet18" for architecture in ARCHITECTURES],
    )
    losses: tuple[Annotated[str, Choice(LOSSES)], ...] = Field(
        ("dice-ce",), title="Losses", description="What the trainings minimise", min_length=1
    )
    augmentations: tuple[Annotated[str, Choice((AUTO, *AUGMENTATIONS))], ...] = Field(
        (AUTO,), title="Augmentations", description="How strongly the images are varied", min_length=1
    )
    learning_rates: tuple[Rate, ...] = Field(
        (), title="Learning rates", description="Largest steps of the optimiser; without any, that of all trainings"
    )
    weight_decays: tuple[Decay, ...] = Field(
        (), title="Weight decays", description="Pulls of the weights towards zero (L2); without any, that of all"
    )
    batches: tuple[Batch, ...] = Field(
        (), title="Batches", description="Samples in one step; without any, as in all trainings"
    )
    max_minutes: Annotated[float, Mark.ELSEWHERE] = Field(
        20.0, title="Minutes", description="Time for all trainings together", gt=0, le=100_000
    )
    seeds: int = Field(
        2, title="Seeds", description="How often each of the last two is trained, for the spread", ge=1, le=20
    )

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Every combination, each once."""
        ways = product(*(getattr(self, axis) or (None,) for axis in AXES))
        return tuple(Candidate(*one) for one in dict.fromkeys(ways))


@dataclass(frozen=True)
class Candidate:
    """One way to train; None takes the run's own value."""

    start: str
    loss: str
    augmentation: str
    learning_rate: float | None = None
    weight_decay: float | None = None
    batch: int | None = None

    def __str__(self) -> str:
        return ", ".join(filter(None, self.words))

    @property
    def words(self) -> tuple[str, ...]:
        """One for each thing that may differ, empty for the run's own value."""
        numbers = {"rate": self.learning_rate, "decay": self.weight_decay, "batch": self.batch}
        named = ("" if value is None else f"{name} {value}" for name, value in numbers.items())
        return self.start, self.loss, self.augmentation, *named

    @property
    def settings(self) -> dict[str, Any]:
        """The options of a training that it sets."""
        return {name: value for name, value in asdict(self).items() if name != "start" and value is not None}

    def over(self, run: TrainingRun, folder: Path, rung: Rung, seed: int) -> TrainingRun:
        """The run that trains this way, with a folder of its own, and one in the folder for TensorBoard."""
        # In a library of its own, a model of the user's is known by its folder only.
        start = self.start if is_start(self.start) else str(find_model(self.start))
        log = run.options.log_dir and run.options.log_dir / re.sub(r"[^\w.+-]+", "-", str(self))
        changed = {**self.settings, "max_minutes": rung.minutes, "seed": seed, "max_steps": None, "rival": False,
                   "checkpoint_minutes": 0.0, "log_dir": log, "panels": None}  # fmt: skip
        options = run.options.model_copy(update=changed)
        # What is set aside for the test says nothing to those that do not last, and chooses nobody.
        return run.model_copy(
            update={"start": start, "name": "candidate", "options": options, "folder": folder, "tested": rung.last,
                    "compared": True}
        )  # fmt: skip


@dataclass(frozen=True)
class Rung:
    """One round of successive halving: how many are left, with how many seeds, and the minutes of each training."""

    number: int
    count: int
    seeds: int
    minutes: float
    last: bool


def lay_out(count: int, options: CompareOptions) -> list[Rung]:
    """The rounds: each but the last halves the candidates, and a training of each has twice the time of one before."""
    counts = [count]
    while counts[-1] > FINALISTS:
        counts.append(max(FINALISTS, math.ceil(counts[-1] / 2)))
    last = len(counts) - 1
    seeds = [1] * last + [options.seeds]
    parts = sum(counts[n] * seeds[n] * 2**n for n in range(len(counts)))
    return [Rung(n + 1, counts[n], seeds[n], options.max_minutes * 2**n / parts, n == last) for n in range(len(counts))]


def describe_little(rungs: list[Rung]) -> str:
    """That a training is too short to say how good a network is; empty where none is."""
    if 60 * min(rung.minutes for rung in rungs) >= LITTLE:
        return ""
    return "Some trainings get less than half a minute, too little to tell candidates apart: give more minutes."
