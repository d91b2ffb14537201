"""Several ways to train on the same images under one budget of time; loads no torch.

Source: Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization", AISTATS 2016
(successive halving: all get little time, the better half of them more, and so on).
"""

from __future__ import annotations

import math
import re
import tempfile
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated

from pydantic import Field

from napari_medseg.core import Cancelled, Choice, InputError, ModelCard, Options, Progress, Reporter, silent
from napari_medseg.inference.cost import measure_cost
from napari_medseg.models import find_model, is_start, read_card
from napari_medseg.models.library import adopt_model

from .apart import train_apart
from .losses import LOSSES
from .presets import AUGMENTATIONS
from .run import TrainingRun, write_text
from .standings import Comparison, Row
from .verdict import TrainingResult

FINALISTS = 2
"""So many are trained with every seed in the last round."""

STAGE = "Comparing"
SIDE = 512
"""Pixels along the sides of the image that costs are measured with."""


class CompareOptions(Options):
    """What is compared, and in what time."""

    starts: tuple[str, ...] = Field(
        ("unet:resnet18", "unetplusplus:tu-regnety_004", "fpn:resnet18", "unet:tu-mobilenetv3_small_100"),
        title="Starts",
        description="Library models, or architecture:encoder for random weights",
        min_length=1,
    )
    losses: tuple[Annotated[str, Choice(LOSSES)], ...] = Field(
        ("dice-ce",), title="Losses", description="What the trainings minimise", min_length=1
    )
    augmentations: tuple[Annotated[str, Choice(AUGMENTATIONS)], ...] = Field(
        ("medium",), title="Augmentations", description="How strongly the images are varied", min_length=1
    )
    max_minutes: float = Field(20.0, title="Minutes", description="Time for all trainings together", gt=0, le=100_000)
    seeds: int = Field(
        2, title="Seeds", description="How often each of the last two is trained, for the spread", ge=1, le=20
    )


@dataclass(frozen=True)
class Candidate:
    """One way to train."""

    start: str
    loss: str
    augmentation: str

    def __str__(self) -> str:
        return f"{self.start}, {self.loss}, {self.augmentation}"

    def over(self, run: TrainingRun, folder: Path, minutes: float, seed: int) -> TrainingRun:
        """The run that trains this way, with a folder of its own, and one in the folder for TensorBoard."""
        # In a library of its own, a model of the user's is known by its folder only.
        start = self.start if is_start(self.start) else str(find_model(self.start))
        log = run.options.log_dir and run.options.log_dir / re.sub(r"[^\w.+-]+", "-", str(self))
        changed = {"loss": self.loss, "augmentation": self.augmentation, "max_minutes": minutes, "seed": seed,
                   "max_steps": None, "rival": False, "checkpoint_minutes": 0.0, "log_dir": log,
                   "panels": None}  # fmt: skip
        options = run.options.model_copy(update=changed)
        return run.model_copy(update={"start": start, "name": "candidate", "options": options, "folder": folder})


@dataclass(frozen=True)
class Rung:
    """One round of successive halving."""

    number: int
    count: int
    seeds: int
    minutes: float


def lay_out(count: int, options: CompareOptions) -> list[Rung]:
    """The rounds: each has the same share of the time, and each but the last halves the candidates."""
    counts = [count]
    while counts[-1] > FINALISTS:
        counts.append(max(FINALISTS, math.ceil(counts[-1] / 2)))
    share = options.max_minutes / len(counts)
    return [
        Rung(n, many, seeds, share / (many * seeds))
        for n, many in enumerate(counts, 1)
        for seeds in (options.seeds if n == len(counts) else 1,)
    ]


def compare(
    run: TrainingRun,
    options: CompareOptions | None = None,
    *,
    name: str = "",
    folder: Path | None = None,
    report: Reporter = silent,
) -> Comparison:
    """Train several candidates on the same split, drop the worse half again and again, and keep the winner.

    Parameters
    ----------
    run
        The images and masks, and whatever the candidates do not differ in.
    options
        The candidates and their time.
    name
        Of the winner in the library; empty adds no model.
    folder
        Where ``comparison.json`` is written, anew after every training.
    report
        Told of every training; raising `Cancelled` ends the comparison with what there is.

    Raises
    ------
    InputError
        There is nothing to choose between, or every candidate failed.
    """
    options = options or CompareOptions()
    candidates = [
        Candidate(*one) for one in dict.fromkeys(product(options.starts, options.losses, options.augmentations))
    ]
    if len(candidates) < 2:
        raise InputError("There is only one candidate.", "Give several starts, losses or augmentations.")
    with tempfile.TemporaryDirectory(prefix="napari-medseg-", ignore_cleanup_errors=True) as library:
        contest = _Contest(
            run, Path(library), report, sum(r.count * r.seeds for r in lay_out(len(candidates), options))
        )
        stopped = False
        for rung in lay_out(len(candidates), options):
            try:
                for candidate in candidates[: rung.count]:
                    contest.train(candidate, rung)
                    _write(contest.result(), folder)
            except Cancelled:
                stopped = True
            candidates = contest.ranked()
            if stopped:
                break
        if not contest.rows:
            raise contest.failure or Cancelled("stopped before anything was learnt")
        if not stopped:
            contest.measure(run.options.device)
        result = contest.result(contest.adopt(candidates[0], name) if name else None)
    _write(result, folder)
    return result


class _Contest:
    """Trains, and knows what came of it."""

    def __init__(self, run: TrainingRun, library: Path, report: Reporter, total: int) -> None:
        self._run, self._library, self._report, self._total = run, library, report, total
        self._done = 0
        self._models: dict[Candidate, list[tuple[float, Path]]] = {}
        self.rows: dict[Candidate, Row] = {}
        self.failure: InputError | None = None

    def train(self, candidate: Candidate, rung: Rung) -> None:
        """One candidate in one round, with all seeds."""
        found: list[tuple[float, Path]] = []
        for seed in range(rung.seeds):
            self._say(f"Round {rung.number}: {candidate}")
            folder = self._library / f"{rung.number}-{self._done}"
            place = folder / f"round-{rung.number}-seed-{self._run.options.seed + seed}"
            run = candidate.over(self._run, place, rung.minutes, self._run.options.seed + seed)
            result = self._attempt(run, folder, candidate)
            self._done += 1
            if result is None:
                return
            found.append((result.verdict.new, folder / "models" / result.card.name / str(result.card.version)))
            self._say(f"{candidate}: Dice {result.verdict.new:.3f} after {rung.minutes:.2g} min")
        self._models[candidate] = found
        self.rows[candidate] = Row(
            candidate=str(candidate), start=candidate.start, loss=candidate.loss, augmentation=candidate.augmentation,
            round=rung.number, minutes=rung.minutes, dice=tuple(dice for dice, _ in found),
        )  # fmt: skip

    def _attempt(self, run: TrainingRun, library: Path, candidate: Candidate) -> TrainingResult | None:
        """Train; None where this candidate cannot be, which ends no comparison."""
        stopped = False

        def listen(progress: Progress) -> None:
            nonlocal stopped
            try:
                self._report(Progress(STAGE, self._done, self._total, metrics=progress.metrics))
            except Cancelled:
                stopped = True
                raise

        try:
            result = train_apart(run, listen, library=library)
        except InputError as error:
            self.failure = error
            self._say(f"{candidate} cannot be trained: {error}")
            return None
        if stopped:
            raise Cancelled("stopped by the user")  # what it has learnt in a part of its time says nothing
        return result

    def _say(self, message: str) -> None:
        self._report(Progress(STAGE, self._done, self._total, message=message))

    def ranked(self) -> list[Candidate]:
        """The best first; those of later rounds before all others."""
        return sorted(self.rows, key=lambda one: (-self.rows[one].round, -self.rows[one].mean))

    def best(self, candidate: Candidate) -> Path:
        """Folder of the best model that a candidate gave."""
        return max(self._models[candidate], key=lambda found: -1.0 if math.isnan(found[0]) else found[0])[1]

    def adopt(self, candidate: Candidate, name: str) -> ModelCard:
        """Take a candidate's best model into the library."""
        folder = self.best(candidate)
        card = read_card(folder)
        start = candidate.start
        parent = start if is_start(start) else read_card(find_model(start)).reference
        return adopt_model(folder, card.model_copy(update={"name": name, "parent": parent}))

    def measure(self, device: str) -> None:
        """Find out what those of the last round cost."""
        last = max(row.round for row in self.rows.values())
        for candidate, row in self.rows.items():
            if row.round == last:
                cost = measure_cost(self.best(candidate), (SIDE, SIDE), device)
                self.rows[candidate] = row.model_copy(update={"cost": cost})

    def result(self, winner: ModelCard | None = None) -> Comparison:
        return Comparison(rows=tuple(self.rows[one] for one in self.ranked()), winner=winner)


def _write(result: Comparison, folder: Path | None) -> None:
    if folder is not None:
        write_text(folder / "comparison.json", result.model_dump_json(indent=2))
