"""Held-out Dice, and whether the new model may take the old one's place."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .engine import Engine
from .losses import IGNORE
from .truth import LabelledSlice

TOLERANCE = 0.02
"""A new model whose held-out Dice is lower than the old one's by more than this is not promoted."""

FORGOTTEN = 0.05
"""Nor one whose Dice on the slices its start remembers is lower by more than this: labels that are wrong, such as sides
that were mixed up, are wrong in the held-out slices, too, and only what was known before can tell."""


@dataclass(frozen=True)
class HeldOut:
    """Dice of each class, over the labelled pixels of all held-out slices together.

    Attributes
    ----------
    dice
        By class index, in today's slices; NaN where the class is in none that is held out.
    remembered
        The same in the slices that the start model remembers; empty where it remembers none.
    """

    dice: tuple[float, ...]
    remembered: tuple[float, ...] = ()

    def mean(self, classes: Sequence[int] = ()) -> float:
        """Mean over the classes that are there (of ``classes``, if given); NaN when none is."""
        return _mean(self.dice, classes)

    def kept(self, classes: Sequence[int] = ()) -> float:
        """`mean` in the remembered slices."""
        return _mean(self.remembered, classes)

    def shown(self, classes: Sequence[int] = ()) -> float:
        """The figure for curves: `mean`, or `kept` where nothing of today is held out."""
        mean = self.mean(classes)
        return self.kept(classes) if math.isnan(mean) else mean

    def balance(self) -> float:
        """What weights are chosen by: today's slices and the remembered ones count the same."""
        parts = [d for d in (self.mean(), self.kept()) if not math.isnan(d)]
        return sum(parts) / len(parts) if parts else math.nan

    @property
    def empty(self) -> list[int]:
        """Classes that are there and of which nothing was found."""
        return [k for k, d in enumerate(self.dice) if k and d == 0]


def score(
    network: nn.Module,
    slices: Sequence[LabelledSlice],
    engine: Engine,
    known: Sequence[int] = (),
    beat: Callable[[], None] = lambda: None,
) -> HeldOut:
    """Score a network on held-out slices; unlabelled pixels do not count.

    Parameters
    ----------
    known
        Outputs the network has learnt, with 0, the background; others are new and random. Empty for all.
    beat
        Called after every slice; may raise `Cancelled`.
    """
    was_training = [module for module in network.modules() if module.training]
    network.eval()
    classes = engine.outputs
    counts = torch.zeros((2, classes, classes), dtype=torch.float64)
    for one in slices:
        found = engine.predict(network, one.pixels, known or range(classes)).cpu()
        counts[int(one.remembered)] += _confusion(found, torch.from_numpy(one.target).long(), classes)
        beat()
    for module in was_training:
        module.training = True
    today, before = (_dice(part) for part in counts)
    return HeldOut(today, before if any(one.remembered for one in slices) else ())


def _mean(dice: Sequence[float], classes: Sequence[int]) -> float:
    found = [d for k, d in enumerate(dice) if k and not math.isnan(d) and (not classes or k in classes)]
    return sum(found) / len(found) if found else math.nan


def _dice(counts: Tensor) -> tuple[float, ...]:
    hit, size, said = counts.diagonal(), counts.sum(1), counts.sum(0)
    return tuple((2 * hit / (size + said)).where(size > 0, math.nan).tolist())


def _confusion(found: Tensor, target: Tensor, classes: int) -> Tensor:
    """Pixels of each true class (row) that were found as each class (column)."""
    labelled = target != IGNORE
    pairs = target[labelled] * classes + found[labelled]
    return pairs.bincount(minlength=classes**2).view(classes, classes).double()


@dataclass(frozen=True)
class Verdict:
    """Old against new on the same held-out labels; NaN where nothing could be measured, and ``why`` it could not.

    ``rival`` is what a Quick model reaches that learnt from the same slices; ``knew`` and ``knows`` are old and new on
    the slices that the start model remembers.
    """

    old: float
    new: float
    why: str = "nothing was held out"
    rival: float = math.nan
    knew: float = math.nan
    knows: float = math.nan

    @property
    def reason(self) -> str:
        """Why the new model may not take the old one's place; empty when it may."""
        if self.new < self.old - TOLERANCE:
            return "Worse than its start"
        if self.knows < self.knew - FORGOTTEN:
            return "It lost what its start knew: check that nothing is painted with the wrong label"
        return ""

    @property
    def promoted(self) -> bool:
        return not self.reason

    def __str__(self) -> str:
        known = ""
        if not math.isnan(self.knew) and not math.isnan(self.knows):
            known = f" On slices its start remembers {self.knows:.3f}, before {self.knew:.3f}."
        if math.isnan(self.new):
            return f"The new model was not measured{' on new slices' if known else ''}: {self.why}.{known}"
        start = "" if math.isnan(self.old) else f", the model it started from {self.old:.3f}"
        return f"Held-out Dice {self.new:.3f}{start}.{known}{self._compare_rival()}"

    def _compare_rival(self) -> str:
        if math.isnan(self.rival):
            return ""
        lost = self.rival > self.new + TOLERANCE
        advice = ", which is better: start from Quick here, or train longer" if lost else ""
        return f" Quick reaches {self.rival:.3f} on the same slices{advice}."
