"""What a comparison of several trainings found; loads no torch."""

from __future__ import annotations

import csv
import io
import math
import os
import platform
import statistics
from datetime import datetime
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from napari_medseg import __version__
from napari_medseg.core import InputError, ModelCard
from napari_medseg.inference.cost import Cost
from napari_medseg.io.atomic import write_text
from napari_medseg.io.pairs.listing import read_split

from .candidates import AXES, Candidate, CompareOptions, lay_out
from .run import TrainingRun

FILE = "comparison.json"

COLUMNS = ("held-out Dice", "round", "minutes", "million weights", "ms an image", "MiB")
"""What `Row.figures` says; of slice classifiers the first is their F1, see `Comparison.columns`."""

PARTS = tuple(axis.option for axis in AXES.values())
"""What tells candidates apart, by what it sets."""


class Curve(BaseModel):
    """Held-out Dice of one training: after so many minutes, from its start, it was so high."""

    minutes: tuple[float, ...] = ()
    dice: tuple[float, ...] = ()

    def to(self, minutes: float, dice: float) -> Self:
        """The curve with one point more."""
        return self.model_copy(update={"minutes": (*self.minutes, minutes), "dice": (*self.dice, dice)})


class Row(BaseModel):
    """What became of a candidate.

    Beside the fields below it has one for each of the `PARTS`: None, or absent, for what is the same for all.

    Attributes
    ----------
    candidate, start
        Which.
    state
        Whether it waits for its first training, is trained now, is still in, is out, failed, or was not trained when
        the comparison ended.
    reason
        Why it failed.
    round
        The last one it was trained in, from 1; 0 where none is done.
    minutes
        Of each training in that round.
    dice
        Held-out Dice of each of its seeds; NaN where nothing could be measured.
    curves
        One for each seed of that round, or of the one that goes on.
    cost
        None where it was not measured.
    kept
        Held-out Dice of its best model, over all rounds; NaN as in ``dice``.
    model
        Folder of that model while it is there; not written to files.
    """

    model_config = ConfigDict(extra="allow")

    candidate: str
    start: str
    state: Literal["waiting", "training", "in", "out", "failed", "not trained"] = "waiting"
    reason: str = ""
    round: int = 0
    minutes: float = 0.0
    dice: tuple[float, ...] = ()
    curves: tuple[Curve, ...] = ()
    cost: Cost | None = None
    kept: float = math.nan
    model: Path | None = Field(None, exclude=True)

    @property
    def way(self) -> Candidate:
        """How it is trained."""
        return Candidate(tuple(getattr(self, name, None) for name in PARTS))

    @property
    def measured(self) -> list[float]:
        """Dice of the seeds that could be measured."""
        return [dice for dice in self.dice if not math.isnan(dice)]

    @property
    def mean(self) -> float:
        """Mean Dice, NaN where it could not be measured."""
        return statistics.fmean(self.measured) if self.measured else math.nan

    @property
    def spread(self) -> float:
        """Half the distance between the best and the worst seed."""
        return (max(self.measured) - min(self.measured)) / 2 if self.measured else 0.0

    @property
    def dice_in_words(self) -> str:
        """Mean and, with several seeds, spread: ``0.795 ± 0.005``."""
        return "" if not self.measured else f"{self.mean:.3f}" + f" ± {self.spread:.3f}" * (len(self.dice) > 1)

    @property
    def figures(self) -> tuple[str, ...]:
        """Words for the `COLUMNS`, empty where nothing is known."""
        trained = (f"{self.round}", f"{self.minutes:.2g}") if self.round else ("", "")
        cost = self.cost
        weights, time = (f"{cost.parameters / 1e6:.1f}", f"{cost.milliseconds:.0f}") if cost else ("", "")
        memory = f"{cost.mebibytes:.0f}" if cost and cost.mebibytes else ""
        return self.dice_in_words, *trained, weights, time, memory


class Terms(BaseModel):
    """What all figures of a comparison depend on.

    Attributes
    ----------
    version
        Of the program.
    begun
        When it began.
    machine
        System, processor and CPUs; the device is that of `Cost`, or what ``run`` asks for.
    run
        The images and masks, and the options that candidates do not differ in.
    options
        The candidates and their time.
    figure
        What ``dice`` of the rows is: of slice classifiers the F1 of slices.
    held_out
        The images that measured, with the slice of those that hold several; as the first training told.
    """

    version: str = __version__
    begun: datetime = Field(default_factory=lambda: datetime.now().astimezone())
    machine: str = Field(default_factory=lambda: f"{platform.platform()}, {os.cpu_count()} CPUs")
    run: TrainingRun
    options: CompareOptions
    figure: str = "Dice"
    held_out: tuple[str, ...] = ()

    def measured_by(self, folder: Path) -> Self:
        """The same with what was held out in the training that wrote its split into this folder."""
        try:
            rows = [row for row in read_split(folder) if row.part == "validation"]
        except InputError:  # it ended before
            return self
        names = (str(row.image) + ("" if row.slice is None else f", slice {row.slice}") for row in rows)
        return self.model_copy(update={"held_out": tuple(names)})


class Comparison(BaseModel):
    """All candidates, the best first, and the model of the winner; ``stopped`` before its time was over or not."""

    rows: tuple[Row, ...]
    winner: ModelCard | None = None
    stopped: bool = False
    terms: Terms | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Titles of `Row.figures`."""
        return COLUMNS if self.terms is None else (f"held-out {self.terms.figure}", *COLUMNS[1:])

    @property
    def names(self) -> tuple[str, ...]:
        """What tells the candidates apart: their parts that are not the same for all."""
        parts = [row.way.words for row in self.rows]
        differing = [i for i in range(len(PARTS)) if len({one[i] for one in parts}) > 1] or [0]
        return tuple(", ".join(one[i] for i in differing) for one in parts)

    @property
    def ended(self) -> Self:
        """The same with nothing that goes on or will."""
        rows = (
            row.model_copy(update={"state": "in" if row.round else "not trained"})
            if row.state in ("waiting", "training") else row
            for row in self.rows
        )  # fmt: skip
        return self.model_copy(update={"rows": tuple(rows)})

    @property
    def failures(self) -> tuple[str, ...]:
        """One sentence for each candidate that could not be trained."""
        named = zip(self.names, self.rows, strict=True)
        return tuple(f"{name} cannot be trained: {row.reason}" for name, row in named if row.state == "failed")

    @property
    def stopped_at(self) -> str:
        """How far it was when it was stopped, in one sentence; empty where it was not."""
        if not self.stopped or self.terms is None:
            return ""
        rungs, number = lay_out(len(self.rows), self.terms.options), max(row.round for row in self.rows)
        done, planned = sum(row.round == number for row in self.rows), rungs[number - 1].count
        were = "was" if done == 1 else "were"
        return f"Stopped: {done} of {planned} candidates {were} trained in round {number} of {len(rungs)}."

    def __str__(self) -> str:
        """A table for a terminal; one sentence each for what could not be trained."""
        names = [row.candidate for row in self.rows]
        lines = [(name, *row.figures) for name, row in zip(names, self.rows, strict=True) if row.round]
        widths = [max(len(line[i]) for line in [("", *self.columns), *lines]) for i in range(1 + len(COLUMNS))]
        table = [
            "  ".join([line[0].ljust(widths[0]), *(one.rjust(w) for one, w in zip(line[1:], widths[1:], strict=True))])
            for line in [("", *self.columns), *lines]
        ]
        return "\n".join([line.rstrip() for line in table] + [*self.failures])

    def to_csv(self) -> str:
        """One line for each candidate; empty cells are figures that do not exist and what is the same for all."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*PARTS, "state", "dice", "spread", "seeds", "round", "minutes", "parameters", "milliseconds",
                         "mebibytes", "reason"])  # fmt: skip
        for row in self.rows:
            dice = (f"{row.mean:.4f}", f"{row.spread:.4f}") if row.measured else ("", "")
            trained = (len(row.dice), row.round, f"{row.minutes:.4g}") if row.round else ("", "", "")
            cost = row.cost
            memory = f"{cost.mebibytes:.1f}" if cost and cost.mebibytes else ""
            costs = (cost.parameters, f"{cost.milliseconds:.1f}", memory) if cost else ("", "", "")
            writer.writerow([*row.way.values, row.state, *dice, *trained, *costs, row.reason])
        return text.getvalue()

    def save(self, path: Path) -> None:
        """Write everything as JSON, and the table as CSV beside it.

        Raises
        ------
        OutputError
            The folder cannot be written to.
        """
        write_text(path, self.model_dump_json(indent=2))
        write_text(path.with_suffix(".csv"), self.to_csv().rstrip("\n"))
