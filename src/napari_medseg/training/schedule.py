"""How far a run is, in time or steps, and how large its steps are."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

WARM_UP = 0.04
"""Share of the run in which the steps grow to their full size; three times that, and at least `WARM_UP_STEPS`, for a
model that knows something, which the first steps, whose size Adam cannot judge yet, would spoil."""

WARM_UP_STEPS = 40


@dataclass
class Budget:
    """Time and steps a run may take.

    Attributes
    ----------
    seconds, steps
        Limits; None for no limit. At least one is given.
    started
        When the run began, by ``clock``.
    reserve
        Seconds kept for what follows the last step.
    """

    seconds: float | None
    steps: int | None
    clock: Callable[[], float] = time.monotonic
    started: float = field(default=-1.0)
    reserve: float = 0.0

    def __post_init__(self) -> None:
        if self.started < 0:
            self.started = self.clock()
        self._training_since = self.started

    @property
    def elapsed(self) -> float:
        return self.clock() - self.started

    def begin(self) -> None:
        """Training starts now: what came before took time but is no progress."""
        self._training_since = self.clock()

    def progress(self, step: int) -> float:
        """How much of the training is done after ``step`` steps, 0 to 1."""
        by_steps = step / self.steps if self.steps else 0.0
        by_time = 0.0
        if self.seconds is not None:
            end = self.started + self.seconds - self.reserve
            now, since = self.clock(), self._training_since
            by_time = (now - since) / (end - since) if end > since else 1.0
        return min(1.0, max(by_steps, by_time))

    def report(self, step: int) -> tuple[int, int]:
        """Done and total for a progress bar: steps where they are the limit, else seconds."""
        if self.seconds is None:
            return step, self.steps or 0
        return min(int(self.elapsed), math.ceil(self.seconds)), math.ceil(self.seconds)


def rate(progress: float, warm_up: float = WARM_UP) -> float:
    """Size of a step as a share of the largest: linear warm-up, then a cosine down to one hundredth."""
    if progress < warm_up:
        return max(0.02, progress / warm_up)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))
