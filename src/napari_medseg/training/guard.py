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


@dataclass(frozen=True)
class HeldOut:
    """Dice of each class, over the labelled pixels of all held-out slices together.

    Attributes
    ----------
    dice
        By class index; NaN where the class is in no held-out slice.
    """

    dice: tuple[float, ...]

    def mean(self, classes: Sequence[int] = ()) -> float:
        """Mean over the classes that are there (of ``classes``, if given); NaN when none is."""
        found = [d for k, d in enumerate(self.dice) if k and not math.isnan(d) and (not classes or k in classes)]
        return sum(found) / len(found) if found else math.nan

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
    counts = torch.zeros((classes, classes), dtype=torch.float64)
    for one in slices:
        found = engine.predict(network, one.pixels, known or range(classes)).cpu()
        counts += _confusion(found, torch.from_numpy(one.target).long(), classes)
        beat()
    for module in was_training:
        module.training = True
    hit, size, said = counts.diagonal(), counts.sum(1), counts.sum(0)
    return HeldOut(tuple((2 * hit / (size + said)).where(size > 0, math.nan).tolist()))


def _confusion(found: Tensor, target: Tensor, classes: int) -> Tensor:
    """Pixels of each true class (row) that were found as each class (column)."""
    labelled = target != IGNORE
    pairs = target[labelled] * classes + found[labelled]
    return pairs.bincount(minlength=classes**2).view(classes, classes).double()


@dataclass(frozen=True)
class Verdict:
    """Old against new on the same held-out labels; NaN where nothing could be measured, and ``why`` it could not."""

    old: float
    new: float
    why: str = "nothing was held out"

    @property
    def promoted(self) -> bool:
        return math.isnan(self.old) or math.isnan(self.new) or self.new >= self.old - TOLERANCE

    def __str__(self) -> str:
        if math.isnan(self.new):
            return f"The new model was not measured: {self.why}."
        if math.isnan(self.old):
            return f"Held-out Dice {self.new:.3f}."
        return f"Held-out Dice {self.new:.3f}, the model it started from {self.old:.3f}."
