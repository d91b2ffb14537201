"""What was learnt from already, and how much correcting the latest result needed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from napari_medseg.editing.corrections import corrections_of

from .look import count
from .truth import Truth, plane_of

LATEST = 5
"""How many of the slices corrected last tell how good the model is."""

ENOUGH = 0.98
"""From this mean Dice between a result and its correction on, another fine-tuning will hardly help."""

FEWEST = 3

# Of each labels layer: the slices that a finished training learnt from, as they were then.
_learnt: WeakKeyDictionary[Any, dict[int, str]] = WeakKeyDictionary()


def remember_learnt(layer: Any, slices: Sequence[int], planes: Iterable[str]) -> None:
    """A training that learnt from these slices, as they were hashed at its start, is done."""
    _learnt.setdefault(layer, {}).update(zip(slices, planes, strict=True))


def hash_slices(layer: Any, slices: Sequence[int]) -> list[str]:
    """What slices look like, to tell later whether they were painted in."""
    return [_hash(plane_of(layer, z)) for z in slices]


def newest_slices(layer: Any, slices: Sequence[int]) -> tuple[int, ...]:
    """Those of ``slices`` that no finished training has learnt from as they are; empty when there was none yet."""
    known = _learnt.get(layer)
    if not known:
        return ()
    return tuple(z for z, now in zip(slices, hash_slices(layer, slices), strict=True) if known.get(z) != now)


class Effort:
    """How much the latest results of a model had to be corrected: their Dice before against after.

    It follows one labels layer at a time and remembers in which order its slices were first seen corrected.
    """

    def __init__(self) -> None:
        self._order: WeakKeyDictionary[Any, list[int]] = WeakKeyDictionary()
        self._measured: dict[tuple[str, str], float] = {}

    def measure(self, layer: Any, truth: Truth) -> list[float]:
        """Corrective Dice of the slices corrected or accepted last, oldest first; strokes, being partial, have none."""
        if truth.by_hand or truth.strokes:
            return []
        order = self._order.setdefault(layer, [])
        order[:] = [z for z in order if z in truth.slices]
        order += [z for z in truth.slices if z not in order]
        known = _learnt.get(layer, {})
        recent = [z for z in order if z not in known][-LATEST:]
        before = corrections_of(layer).before
        return [self._measure(before(z), plane_of(layer, z)) for z in recent]

    def _measure(self, before: npt.NDArray[Any], after: npt.NDArray[Any]) -> float:
        """Corrective Dice; of what was measured already without counting again, as after a stroke in another slice."""
        key = _hash(before), _hash(after)
        if key not in self._measured:
            if len(self._measured) > 64:
                self._measured.clear()
            self._measured[key] = corrective_dice(before, after)
        return self._measured[key]

    def describe(self, layer: Any, truth: Truth) -> str:
        """One sentence on whether more correcting pays, or ``""`` while too few slices are corrected to tell."""
        dice = self.measure(layer, truth)
        if len(dice) < FEWEST:
            return ""
        mean = sum(dice) / len(dice)
        slices = count(len(dice), "slice")
        if mean >= ENOUGH:
            return f"The last {slices} needed little correction (Dice {mean:.2f}): fine-tuning more will hardly help."
        # Of the rest, nothing had to be changed.
        wrong = sum(one < 1 for one in dice)
        which = f"The last {slices}" if wrong == len(dice) else f"Of the last {slices}, {wrong}"
        return f"{which} needed correction (Dice {mean:.2f} before against after): fine-tuning pays."


def corrective_dice(before: npt.NDArray[Any], after: npt.NDArray[Any]) -> float:
    """Mean Dice, over the classes in either, of a slice as predicted and as corrected; 1 where neither shows any."""
    highest = max(int(before.max(initial=0)), int(after.max(initial=0)))
    one, other, both = (
        np.bincount(part.ravel(), minlength=highest + 1)[1:] for part in (before, after, before[before == after])
    )
    there = (one + other) > 0
    return float(np.mean(2 * both[there] / (one + other)[there])) if there.any() else 1.0


def _hash(plane: npt.NDArray[Any]) -> str:
    return hashlib.blake2b(np.ascontiguousarray(plane).data, digest_size=8).hexdigest()
