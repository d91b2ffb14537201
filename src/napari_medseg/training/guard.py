"""Dice on slices that never train: today's, and those the start model remembers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .engine import Engine
from .losses import IGNORE
from .truth import LabelledSlice

EVEN = 0.5
"""A slice is taken to hold something that does so with at least this probability, whatever the threshold will be."""


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

    Of one that outlines nothing, slices are counted and not pixels: its first class is a slice that holds anything.

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
        if engine.outlines:
            found = engine.predict(network, one.pixels, known or range(classes)).cpu()
            # What nobody was asked to paint may well lie in background, and is neither right nor wrong there.
            found[torch.isin(found, torch.tensor(one.unpainted, dtype=found.dtype))] = 0
            counts[int(one.remembered)] += _confusion(found, torch.from_numpy(one.target).long(), classes)
        elif not math.isnan(one.holds):
            counts[int(one.remembered), int(one.holds), int(engine.presence(network, one.pixels) >= EVEN)] += 1
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
