"""What a comparison tries, and how it divides its time; loads no torch.

Source: Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization", AISTATS 2016
(successive halving: all get little time, the better half of them twice that, and so on).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Axis:
    """Annotation of a field of `CompareOptions` whose values are combined with those of all others like it.

    Attributes
    ----------
    option
        What a value sets: a field of `TrainOptions`, or ``start``.
    word
        What stands before it in a candidate's name.
    """

    option: str
    word: str = ""


class CompareOptions(Options):
    """What is compared, and in what time."""

    starts: Annotated[tuple[str, ...], Axis("start"), Mark.ELSEWHERE] = Field(
        ("unet:resnet18", "unetplusplus:tu-regnety_004", "fpn:resnet18", "unet:tu-mobilenetv3_small_100"),
        title="Starts",
        description="Library models, or architecture:encoder for random weights",
        min_length=1,
        examples=[f"{architecture}:resnet18" for architecture in ARCHITECTURES],
    )
    losses: Annotated[tuple[Annotated[str, Choice(LOSSES)], ...], Axis("loss")] = Field(
        ("dice-ce",), title="Losses", description="What the trainings minimise", min_length=1
    )
    augmentations: Annotated[tuple[Annotated[str, Choice((AUTO, *AUGMENTATIONS))], ...], Axis("augmentation")] = Field(
        (AUTO,), title="Augmentations", description="How strongly the images are varied", min_length=1
    )
    learning_rates: Annotated[tuple[Rate, ...], Axis("learning_rate", "rate")] = Field(
        (), title="Learning rates", description="Largest steps of the optimiser; without any, that of all trainings"
    )
    weight_decays: Annotated[tuple[Decay, ...], Axis("weight_decay", "decay")] = Field(
        (), title="Weight decays", description="Pulls of the weights towards zero (L2); without any, that of all"
    )
    batches: Annotated[tuple[Batch, ...], Axis("batch", "batch")] = Field(
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
        return tuple(map(Candidate, dict.fromkeys(ways)))


AXES = {
    name: mark for name, field in CompareOptions.model_fields.items() for mark in field.metadata
    if isinstance(mark, Axis)
}  # fmt: skip
"""Fields of `CompareOptions` whose combinations are the candidates."""

_ALWAYS = {axis.option for name, axis in AXES.items() if CompareOptions.model_fields[name].default}
VARIED = tuple(name for name in TrainOptions.model_fields if name in {*_ALWAYS, *marked(TrainOptions, Mark.FIXED)})
"""Options of a training that the comparison always sets."""


@dataclass(frozen=True)
class Candidate:
    """One way to train: a value for each of the `AXES`; None takes the run's own."""

    values: tuple[Any, ...]

    def __str__(self) -> str:
        return ", ".join(filter(None, self.words))

    @property
    def words(self) -> tuple[str, ...]:
        """One for each thing that may differ, empty for the run's own value."""
        found = zip(AXES.values(), self.values, strict=True)
        return tuple("" if value is None else f"{axis.word} {value}".strip() for axis, value in found)

    @property
    def named(self) -> dict[str, Any]:
        """Its values by what they set."""
        return {axis.option: value for axis, value in zip(AXES.values(), self.values, strict=True)}

    @property
    def start(self) -> str:
        """What it starts from."""
        return str(self.named["start"])

    @property
    def settings(self) -> dict[str, Any]:
        """The options of a training that it sets."""
        return {name: value for name, value in self.named.items() if name != "start" and value is not None}

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
