"""The training loop: draw, vary, step, average; validate now and then; keep the best."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from napari_medseg.core import Cancelled, ComputeError

from .guard import HeldOut, score
from .schedule import Budget
from .step import COARSE, Job, Stepper, shows_halves
from .watch import Watch

VALIDATIONS = 10
"""How often the held-out slices are scored in a run, as long as that takes at most a tenth of it."""

SAME = 0.003
CHANCE = 0.02
"""Dice differences below ``CHANCE`` by the number of held-out slices (below ``SAME`` where there are many) are chance;
of equals, the later weights are better on average: they have seen more."""


@dataclass
class Best:
    """The best weights so far: a copy, what they scored, and after which step."""

    state: dict[str, Tensor]
    scores: HeldOut | None = None
    step: int = 0
    record: float = -1.0


def fit(job: Job, budget: Budget, watch: Watch, passes: Callable[[HeldOut], bool] = lambda scores: True) -> Best:
    """Train until the budget is spent, the reporter stops it or the loss is no number; return the best weights.

    Parameters
    ----------
    passes
        Whether weights with these scores may take the start's place: later ones that may not never replace those that
        may, however little worse they are.

    Raises
    ------
    Cancelled
        Stopped before the first step was done.
    ComputeError
        Memory is not enough for a single sample, or the very first loss is no number.
    """
    torch.manual_seed(job.options.seed)
    learn = Stepper(job)
    average = Average(job.network)
    best, step, validation = Best(average.state), 0, Validation(job, budget, passes)
    budget.begin()
    try:
        while step == 0 or budget.progress(step) < 1:
            metrics = learn(budget.progress(step), watch)
            if math.isnan(metrics["loss"]):
                # What has been averaged until now is whole; the weights themselves are lost.
                if step == 0:
                    raise ComputeError("The loss is no number from the first step.", "Try precision fp32.")
                watch.say(f"The loss became no number at step {step + 1}: stopped, the best weights so far are kept.")
                break
            step += 1
            average.update(job.network, step)
            watch.step(step, {**metrics, "step": step})
            if validation.is_due(step):
                best = validation.run(average, best, step, watch)
    except Cancelled:
        if step == 0:
            raise
    if best.step < step and (best.scores is None or not watch.stopped):
        watch.stopped, stopped = True, watch.stopped
        best = validation.run(average, best, step, watch)
        watch.stopped = stopped
    job.network.load_state_dict(best.state)
    return best


class Average:
    """Moving average of a network's weights: steadier than the weights of any one step.

    It remembers about 100 steps, at the start about as many as there have been.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = copy.deepcopy(network).eval()
        self._own = list(self.network.state_dict().values())

    @property
    def state(self) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in self.network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        weight = 1 - min(0.99, (step + 1) / (step + 10))
        for own, new in zip(self._own, network.state_dict().values(), strict=True):
            if own.is_floating_point():
                own.lerp_(new, weight)
            else:
                own.copy_(new)


class Validation:
    """Scores the averaged weights on the held-out slices, at a tenth of the run's cost at most."""

    def __init__(self, job: Job, budget: Budget, passes: Callable[[HeldOut], bool]) -> None:
        self._job, self._budget, self._passes = job, budget, passes
        self._chance = max(SAME, CHANCE / max(1, len(job.held_out)))
        self._cost = 0.0
        self._last_at = 0.0
        self._last = budget.clock()
        self._cured: set[int] = set()
        # Scores at full resolution say nothing while only half of it was shown.
        self._from = COARSE + 1 / VALIDATIONS if shows_halves(job) else 0.0

    def is_due(self, step: int) -> bool:
        if not self._job.held_out:
            return False
        progress = self._budget.progress(step)
        if progress < self._from or progress >= 1 or progress - self._last_at < 1 / VALIDATIONS:
            return False
        # By the clock only where time is the limit: with steps alone, the same seed gives the same weights.
        return self._budget.seconds is None or self._budget.clock() - self._last >= VALIDATIONS * self._cost

    def run(self, average: Average, best: Best, step: int, watch: Watch) -> Best:
        """Score, report, and return the better of ``best`` and the averaged weights."""
        if not self._job.held_out:
            return Best(average.state, None, step)
        begin = time.monotonic()
        scores = score(average.network, self._job.held_out, self._job.engine, beat=watch.beat)
        self._last_at, self._last = self._budget.progress(step), self._budget.clock()
        self._cost = time.monotonic() - begin
        self._budget.reserve = max(self._budget.reserve, 1.2 * self._cost)
        self._cure(scores.empty, self._last_at, watch)
        dice = scores.mean()
        watch.metrics["dice"] = dice
        watch.beat()
        record = max(best.record, dice)
        better = best.scores is None or (
            dice >= record - self._chance and (self._passes(scores) or not self._passes(best.scores))
        )
        return Best(average.state, scores, step, record) if better else Best(best.state, best.scores, best.step, record)

    def _cure(self, empty: Iterable[int], progress: float, watch: Watch) -> None:
        """Draw a class more often of which nothing is found after the first quarter."""
        for k in empty:
            if progress >= max(0.2, self._from + 0.1) and k not in self._cured:
                self._cured.add(k)
                self._job.samples.favour(k)
                watch.say(f"Nothing of '{self._job.classes[k - 1].name}' is found yet: it is shown more often.")
