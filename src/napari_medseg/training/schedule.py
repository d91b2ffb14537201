"""How far a run is, in time or steps, and how large its steps are; loads no torch."""

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

    def resume(self, elapsed: float, progress: float) -> None:
        """Go on where an interrupted run stood.

        Parameters
        ----------
        elapsed
            Seconds it had taken; they are not given again.
        progress
            How far it was; what is left of the time makes up the rest.
        """
        self.started -= elapsed
        if self.seconds is not None and progress < 1:
            end = self.started + self.seconds - self.reserve
            self._training_since = (self.clock() - progress * end) / (1 - progress)

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


SMALLEST = 0.01
"""Size of the last step as a share of the largest."""


def cosine(done: float) -> float:
    return SMALLEST + (1 - SMALLEST) * 0.5 * (1 + math.cos(math.pi * done))


def exponential(done: float) -> float:
    return float(SMALLEST**done)


def constant(done: float) -> float:
    return 1.0


SCHEDULERS: dict[str, Callable[[float], float]] = {
    "cosine": cosine,
    "plateau": constant,  # and smaller where `Plateau` says so
    "exponential": exponential,
    "constant": constant,
}
"""Size of a step as a share of the largest, by how much of the run is done after the warm-up, 0 to 1."""


def rate(progress: float, warm_up: float = WARM_UP, scheduler: str = "cosine") -> float:
    """Size of a step as a share of the largest: linear warm-up, then as the scheduler says."""
    if progress < warm_up:
        return max(0.02, progress / warm_up)
    return SCHEDULERS[scheduler]((progress - warm_up) / (1 - warm_up))


@dataclass(frozen=True)
class Pace:
    """What is decided about the next step, by one process for all that train together.

    Attributes
    ----------
    progress
        How much of the training is done; 1 or more ends it.
    factor
        What a plateau has left of the steps' size.
    favoured
        Classes that are drawn more often.
    """

    progress: float
    factor: float = 1.0
    favoured: frozenset[int] = frozenset()


END = Pace(math.inf)
"""The run was stopped."""


@dataclass
class Plateau:
    """Counts validations without a better Dice, and makes smaller steps where there are several.

    Attributes
    ----------
    best
        Highest Dice so far.
    waited
        Validations since.
    factor
        Share of their size that the steps have left; each `PLATEAU` validations in vain take two thirds of it.
    """

    best: float = -1.0
    waited: int = 0
    factor: float = 1.0

    def hear(self, dice: float) -> None:
        """A validation's Dice."""
        if dice > self.best:
            self.best, self.waited = dice, 0
            return
        self.waited += 1
        if self.waited % PLATEAU == 0:
            self.factor = max(SMALLEST, self.factor * REDUCTION)


PLATEAU = 4
"""Validations in vain after which a plateau is reached."""

REDUCTION = 1 / 3
"""What is left of the steps' size after a plateau."""
