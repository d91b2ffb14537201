"""Reports of a run: not more than anyone can read, and none after it was told to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy.typing as npt

from napari_medseg.core import Cancelled, Progress, Reporter

from .schedule import Budget

OFTEN = 0.1
"""Seconds between two reports of steps."""


class Watch:
    """Passes on what happens to the reporter of a run.

    Attributes
    ----------
    stopped
        Whether the reporter has raised `Cancelled`; it is not called again.
    notes
        Every sentence said so far.
    budget
        How far the run is.
    """

    def __init__(self, report: Reporter, budget: Budget, clock: Callable[[], float] = time.monotonic) -> None:
        self._report, self.budget, self._clock = report, budget, clock
        self._last = -OFTEN
        self._step = 0
        self.metrics: dict[str, float] = {}
        self.stopped = False
        self.notes: list[str] = []

    def resume(self, step: int, metrics: Mapping[str, float], notes: Sequence[str]) -> None:
        """Take over the figures and sentences of an interrupted run."""
        self._step = step
        self.metrics.update(metrics)
        self.notes += [note for note in notes if note not in self.notes]

    def step(self, step: int, metrics: Mapping[str, float]) -> None:
        """One step is done."""
        self._step = step
        self.metrics.update(metrics)
        self.beat()

    def beat(self) -> None:
        """A good moment to stop: report where the last report was long enough ago."""
        if self._clock() - self._last >= OFTEN:
            self._tell("")

    def say(self, message: str, metrics: Mapping[str, float] | None = None) -> None:
        """Something worth a sentence; each only once."""
        self.metrics.update(metrics or {})
        if message not in self.notes:
            self.notes.append(message)
            self._tell(message)

    def show(self, key: tuple[int, ...], values: npt.NDArray[Any]) -> None:
        """A slice was segmented on the way.

        Parameters
        ----------
        key
            What the slice is called by whoever looks at it.
        values
            Class values, (Y, X).
        """
        self._tell("", key, values)

    def end(self) -> None:
        """The last figures; the outcome in words is the new card's description, which whoever started the run shows."""
        self._tell("")

    def _tell(
        self, message: str, region: tuple[int, ...] | None = None, result: npt.NDArray[Any] | None = None
    ) -> None:
        if self.stopped:
            return
        self._last = self._clock()
        done, total = self.budget.report(self._step)
        metrics = dict(self.metrics)
        try:
            self._report(Progress("Training", done, total, message, metrics, region, result))
        except Cancelled:
            self.stopped = True
            raise
