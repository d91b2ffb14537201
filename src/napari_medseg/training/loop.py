"""The training loop: draw, vary, step, average; validate now and then; keep the best."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass, replace

import torch
from torch import Tensor

from napari_medseg.core import Cancelled, ComputeError

from .average import Average
from .checkpoint import Checkpoints, State, fingerprint
from .guard import HeldOut, score
from .naming import listed
from .preview import Previews
from .schedule import END, Budget, Pace, Plateau
from .step import COARSE, Job, Stepper, shows_halves
from .watch import Watch

VALIDATIONS = 10
"""How often the held-out slices are scored in a run, as long as that takes at most a tenth of it."""

OFTEN = 50
"""The same where something depends on each score: early stopping, or a plateau."""

SAME = 0.003
CHANCE = 0.02
"""Dice differences below ``CHANCE`` by the number of today's held-out slices (below ``SAME`` where there are many) are
chance; of equals, the later weights are better on average: they have seen more. Remembered slices do not make the
difference smaller: the start knows those already, so they would always speak for stopping early."""


@dataclass
class Best:
    """The best weights so far: a copy, what they scored, and after which step."""

    state: dict[str, Tensor]
    scores: HeldOut | None = None
    step: int = 0
    record: float = -1.0


def fit(
    job: Job,
    budget: Budget,
    watch: Watch,
    passes: Callable[[HeldOut], bool] = lambda scores: True,
    previews: Previews | None = None,
    checkpoints: Checkpoints | None = None,
) -> Best:
    """Train until the budget is spent, the reporter stops it or the loss is no number; return the best weights.

    Parameters
    ----------
    passes
        Whether weights with these scores may take the start's place: later ones that may not never replace those that
        may, however little worse they are.
    previews
        Shows the slice in view on the way.
    checkpoints
        Keeps the state on disk, and has that of an interrupted run.

    Raises
    ------
    Cancelled
        Stopped before the first step was done.
    ComputeError
        Memory is not enough for a single sample, or the very first loss is no number.
    """
    torch.manual_seed(job.options.seed + job.team.rank)
    stand = Standing(job, budget, watch, passes)
    budget.begin()
    state = checkpoints.load() if checkpoints else None
    if state:
        stand.restore(state)
    job.log.begin(stand.step, stand.average.network)
    job.team.equalise(job.network)
    try:
        if state:
            watch.say(f"Goes on after step {stand.step}, where the run was interrupted.")
        while stand.advance():
            if previews:
                previews.show(stand.average.network, job.engine, watch, halved=stand.halved)
            if checkpoints and job.team.rank == 0 and (why := checkpoints.keep(stand.state)):
                watch.say(why)
    except Cancelled:
        job.team.share(lambda: END)
        if stand.step == 0:
            raise
    job.team.check_equal(job.network)
    job.log.end(stand.step, stand.average.network)
    best = stand.best
    if best.step < stand.step and not stand.validation.in_vain and (best.scores is None or not watch.stopped):
        watch.stopped, stopped = True, watch.stopped
        best = stand.validation.run(stand.average, best, stand.step, watch)
        watch.stopped = stopped
    job.network.load_state_dict(best.state)
    job.team.equalise(job.network)
    return best


class Standing:
    """How a run stands: everything that changes from step to step.

    Attributes
    ----------
    step
        Steps done.
    best
        The best weights so far.
    """

    def __init__(self, job: Job, budget: Budget, watch: Watch, passes: Callable[[HeldOut], bool]) -> None:
        self._job, self._budget, self._watch = job, budget, watch
        self._learn, self.average = Stepper(job), Average(job.network)
        self.validation = Validation(job, budget, passes)
        self.best, self.step, self._pace = Best(self.average.state), 0, Pace(0)

    @property
    def halved(self) -> bool:
        """Whether the network has seen nothing but half resolution."""
        return shows_halves(self._job) and self._pace.progress < COARSE

    def advance(self) -> bool:
        """Do a step, with what is due after it; False where the training is over.

        Raises
        ------
        Cancelled
            The reporter has stopped the run.
        ComputeError
            Memory is not enough for a single sample, or the very first loss is no number.
        """
        self._pace = pace = self._job.team.share(self._decide)
        if pace == END and self.step == 0:
            raise Cancelled
        if self.step and pace.progress >= 1:
            return False
        self.validation.follow(pace.favoured)
        metrics = self._learn(pace)
        for note in self._learn.notes:
            self._watch.say(note)
        if math.isnan(metrics["loss"]):
            # What has been averaged until now is whole; the weights themselves are lost.
            if self.step == 0:
                raise ComputeError("The loss is no number from the first step.", "Try precision fp32.")
            self._watch.say(
                f"The loss became no number at step {self.step + 1}: stopped, the best weights so far are kept."
            )
            return False
        self.step += 1
        self.average.update(self._job.network, self.step)
        self._watch.step(self.step, {**metrics, "step": self.step})
        self._job.log.step(self.step, metrics)
        if self.validation.is_due(self.step):
            self.best = self.validation.run(self.average, self.best, self.step, self._watch)
        return True

    def _decide(self) -> Pace:
        progress = 1.0 if self.validation.in_vain else self._budget.progress(self.step)
        factor = self.validation.plateau.factor if self._job.options.scheduler == "plateau" else 1.0
        return Pace(progress, factor, frozenset(self.validation.cured))

    def state(self) -> State:
        """Everything it takes to go on from here, exactly where steps are the limit; see `Checkpoints`."""
        job, best = self._job, vars(self.best)
        cuda = torch.cuda.get_rng_state(job.engine.device) if job.engine.device.type == "cuda" else None
        return {
            "step": self.step, "elapsed": self._budget.elapsed, "progress": self._budget.progress(self.step),
            "network": job.network.state_dict(), "average": self.average.network.state_dict(),
            "best": {**best, "scores": self.best.scores and astuple(self.best.scores)},
            "learn": self._learn.state(), "samples": job.samples.state(), "validation": self.validation.state(),
            "random": torch.get_rng_state(), "cuda": cuda, "batch": job.batch, "precision": job.engine.precision,
            "held_out": fingerprint(job.held_out), "metrics": self._watch.metrics, "notes": self._watch.notes,
        }  # fmt: skip

    def restore(self, state: State) -> None:
        """Go on from a `state`."""
        job, best = self._job, state["best"]
        self.step = state["step"]
        self._budget.resume(state["elapsed"], state["progress"])
        self._watch.resume(self.step, state["metrics"], state["notes"])
        job.batch = min(job.batch, state["batch"])
        if state["precision"] == "fp32":
            job.engine = replace(job.engine, precision="fp32")
        job.network.load_state_dict(state["network"])
        self.average.load(best["state"])
        scores, record = HeldOut(*map(tuple, best["scores"])) if best["scores"] else None, best["record"]
        if scores and state["held_out"] != fingerprint(job.held_out):
            # How many slices are measured goes by the time that takes here, and the masks may have been corrected.
            scores = score(self.average.network, job.held_out, job.engine)
            record = scores.balance()
        self.best = Best(best["state"], scores, best["step"], record)
        self.average.load(state["average"])
        self._learn.restore(state["learn"])
        self.validation.restore(state["validation"])
        if job.team.rank == 0:
            job.samples.restore(state["samples"])
            torch.set_rng_state(state["random"])
            if state["cuda"] is not None and job.engine.device.type == "cuda":
                torch.cuda.set_rng_state(state["cuda"], job.engine.device)


class Validation:
    """Scores the averaged weights on the held-out slices, at a tenth of the run's cost at most."""

    def __init__(self, job: Job, budget: Budget, passes: Callable[[HeldOut], bool]) -> None:
        self._job, self._budget, self._passes = job, budget, passes
        self._chance = max(SAME, CHANCE / max(1, sum(not one.remembered for one in job.held_out)))
        self._cost = 0.0
        self._last_at = 0.0
        self._last = budget.clock()
        self._often = OFTEN if job.options.patience or job.options.scheduler == "plateau" else VALIDATIONS
        self.cured: set[int] = set()
        self.plateau = Plateau()
        # Scores at full resolution say nothing while only half of it was shown.
        self._from = COARSE + 1 / VALIDATIONS if shows_halves(job) else 0.0

    @property
    def in_vain(self) -> bool:
        """Whether so many validations have found nothing better that the run shall end."""
        return 0 < self._job.options.patience <= self.plateau.waited

    def follow(self, favoured: frozenset[int]) -> None:
        """Do what the first process has done about empty classes."""
        for k in favoured - self.cured:
            self.cured.add(k)
            self._job.samples.favour(k)

    def state(self) -> State:
        return {"last_at": self._last_at, "cured": self.cured, "plateau": vars(self.plateau)}

    def restore(self, state: State) -> None:
        self._last_at, self.cured, self.plateau = state["last_at"], state["cured"], Plateau(**state["plateau"])

    def is_due(self, step: int) -> bool:
        if not self._job.held_out:
            return False
        progress = self._budget.progress(step)
        if progress < self._from or progress >= 1 or progress - self._last_at < 1 / self._often:
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
        dice = scores.balance()
        self.plateau.hear(dice)
        watch.metrics["dice"] = scores.shown()
        self._job.log.validation(step, scores, average.network)
        watch.beat()
        if self.in_vain and self._last_at < 1:
            watch.say(f"The held-out Dice has not risen for {self.plateau.waited} validations: stopped at step {step}.")
        record = max(best.record, dice)
        better = best.scores is None or (
            dice >= record - self._chance and (self._passes(scores) or not self._passes(best.scores))
        )
        return Best(average.state, scores, step, record) if better else Best(best.state, best.scores, best.step, record)

    def _cure(self, empty: Iterable[int], progress: float, watch: Watch) -> None:
        """Draw a class more often of which nothing is found after the first quarter."""
        new = [k for k in empty if k not in self.cured] if progress >= max(0.2, self._from + 0.1) else []
        for k in new:
            self.cured.add(k)
            self._job.samples.favour(k)
        if new:
            names = listed([self._job.classes[k - 1].name for k in new])
            watch.say(f"Nothing of {names} is found yet: {'it is' if len(new) == 1 else 'they are'} shown more often.")
