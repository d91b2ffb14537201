"""The trainings of a comparison, round by round, and what came of each; loads no torch."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from napari_medseg.core import Cancelled, MedsegError, OutputError, Progress, Reporter
from napari_medseg.inference.cost import measure_cost

from .apart import PREPARING, train_apart
from .candidates import Candidate, Rung
from .run import TrainingRun
from .standings import FILE, Comparison, Curve, Row, Terms

STAGE = "Comparing"
SIDE = 512
"""Pixels along the sides of the image that costs are measured with."""


class Contest:
    """Trains, and knows what came of it."""

    def __init__(self, terms: Terms, run: TrainingRun, library: Path, report: Reporter) -> None:
        self._terms, self._run, self._library, self._report = terms, run, library, report
        options = terms.options
        self._total, self._spent, self._trainings = 60 * options.max_minutes, 0.0, 0
        self._rows = {one: Row(candidate=str(one), **one.named) for one in options.candidates}
        self._at_work: tuple[Candidate, tuple[Curve, ...]] | None = None
        self.failure: MedsegError | None = None

    def enter(self, rung: Rung) -> list[Candidate]:
        """Those that take part in a round; the others are out."""
        able = [one for one in self._ranked() if self._rows[one].state != "failed"]
        for one in able[rung.count :]:
            self._change(one, state="out")
        return [one for one in able[: rung.count] if self._rows[one].state != "out"]

    def train(self, candidate: Candidate, rung: Rung) -> None:
        """One candidate in one round, with all seeds; where it cannot be trained, that ends no comparison."""
        found: list[tuple[float, Path]] = []
        curves: tuple[Curve, ...] = ()
        begun = self._spent
        try:
            for seed in range(rung.seeds):
                curves += (Curve(),)
                self._at_work = candidate, curves
                self.tell(f"Round {rung.number}: {candidate}", so_far=True)
                dice, model = self._train_once(candidate, rung, seed)
                assert self._at_work is not None
                curves = self._at_work[1]
                found.append((dice, model))
                self._spent = begun + 60 * rung.minutes * len(found)
        except MedsegError as error:
            self.failure, self._at_work = error, None
            self._change(candidate, state="failed", reason=str(error))
            self._spent = begun + 60 * rung.minutes * rung.seeds
            self.tell(f"{candidate} cannot be trained: {error}", so_far=True)
            return
        finally:
            self._at_work = None
        before = self._rows[candidate]
        models = [*found, *([(before.kept, before.model)] if before.model else [])]
        kept, best = max(models, key=lambda one: _height(one[0]))
        self._change(
            candidate, state="in", round=rung.number, minutes=rung.minutes, dice=tuple(dice for dice, _ in found),
            curves=curves, kept=kept, model=best,
        )  # fmt: skip
        for _, model in models:
            if model != best:
                shutil.rmtree(model, ignore_errors=True)
        reached = self._rows[candidate].dice_in_words
        said = f"{self._terms.figure} {reached}" if reached else "not measured"
        self.tell(f"{candidate}: {said} after {rung.minutes:.2g} min", so_far=True)

    def _train_once(self, candidate: Candidate, rung: Rung, seed: int) -> tuple[float, Path]:
        """Held-out Dice and folder of the model."""
        common, begin, stopped = self._run, time.monotonic(), False
        last = math.nan

        def listen(progress: Progress) -> None:
            nonlocal begin, stopped, last
            if progress.stage == PREPARING:  # its time has not begun
                begin = time.monotonic()
            seconds = time.monotonic() - begin
            dice = progress.metrics.get("dice", math.nan)
            new = not math.isnan(dice) and dice != last
            if new:
                last = dice
                self._draw(seconds / 60, dice)
            try:
                metrics = progress.metrics if new else {}
                self.tell(metrics=metrics, seconds=min(seconds, 60 * rung.minutes), so_far=new)
            except Cancelled:
                stopped = True
                raise

        self._trainings += 1
        library = self._library / str(self._trainings)
        seed += common.options.seed
        folder = library / f"round-{rung.number}-seed-{seed}"
        run = candidate.over(common, folder, rung, seed)
        result = train_apart(run, listen, started=math.inf, library=library)
        if not self._terms.held_out:
            self._terms = self._terms.measured_by(folder)
        if stopped:
            raise Cancelled("stopped by the user")  # what it has learnt in a part of its time says nothing
        if not math.isnan(result.verdict.new):
            self._draw((time.monotonic() - begin) / 60, result.verdict.new)
        return result.verdict.new, library / "models" / result.card.name / str(result.card.version)

    def measure(self) -> None:
        """Find out what those that were trained cost, the best first."""
        for candidate in self._ranked():
            row = self._rows[candidate]
            if row.model is None:
                continue
            self.tell(f"Measuring what {candidate} costs")
            device = self._run.options.device
            try:
                cost = measure_cost(row.model, (SIDE, SIDE), device, lambda _: self.tell())
            except MedsegError as error:
                self.tell(f"{candidate}: {error}")
                continue
            self._change(candidate, cost=cost)
            self.tell(so_far=True)

    def write(self, result: Comparison, folder: Path | None) -> None:
        """Save the report, where one is asked for; a disk that fails on the way ends no comparison."""
        if folder is None:
            return
        try:
            result.save(folder / FILE)
        except OutputError as error:
            with suppress(Cancelled):  # what asks to stop is asked again
                self.tell(str(error))

    def result(self) -> Comparison:
        """The standings, with the curves of the training that goes on."""
        rows = [self._rows[one] for one in self._ranked()]
        if self._at_work is not None:
            candidate, curves = self._at_work
            at = self._ranked().index(candidate)
            rows[at] = rows[at].model_copy(update={"state": "training", "curves": curves})
        return Comparison(rows=tuple(rows), terms=self._terms)

    def _ranked(self) -> list[Candidate]:
        """The best first; those of later rounds before all others, those that failed at once last."""
        rows = self._rows
        return sorted(rows, key=lambda one: (-rows[one].round, rows[one].state == "failed", -_height(rows[one].mean)))

    def _change(self, candidate: Candidate, **update: object) -> None:
        self._rows[candidate] = self._rows[candidate].model_copy(update=update)

    def _draw(self, minutes: float, dice: float) -> None:
        """A point of the curve in work."""
        assert self._at_work is not None
        candidate, curves = self._at_work
        self._at_work = candidate, (*curves[:-1], curves[-1].to(minutes, dice))

    def tell(
        self, message: str = "", *, metrics: Mapping[str, float] | None = None, seconds: float = 0, so_far: bool = False
    ) -> None:
        """Report how far it is; ``seconds`` of the training in work are over."""
        done, standings = round(self._spent + seconds), self.result() if so_far else None
        self._report(Progress(STAGE, done, round(self._total), message, metrics or {}, so_far=standings))


def _height(dice: float) -> float:
    """For ranking: what could not be measured is below everything."""
    return -1.0 if math.isnan(dice) else dice
