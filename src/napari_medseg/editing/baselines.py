"""Whose a pixel is: the slices of a labels layer as the program left them, and what the user made of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .history import ALL, Box, Items, read_edits, slice_of

Mask = npt.NDArray[np.bool_]


class Baselines:
    """Pixels of slices before the user's first stroke there; whatever differs from them now is the user's.

    Besides, pixels that stay the user's whatever they differ from: those that a result was written around.
    """

    def __init__(self) -> None:
        self._left: dict[int, npt.NDArray[Any]] = {}
        self._kept: dict[int, Mask] = {}

    def edited(self, layer: Any, z: int, box: Box = ALL) -> Mask:
        """Pixels of slice ``z`` (or of some of its rows and columns) that are the user's, shape (Y, X)."""
        now = slice_of(layer, z, box)
        edited = now != self._left[z][box] if z in self._left else np.zeros(now.shape, bool)
        return edited | self._kept[z][box] if z in self._kept else edited

    def before(self, z: int) -> npt.NDArray[Any] | None:
        """Pixels of slice ``z`` as the program left them, shape (Y, X); None of one that is still like that."""
        return self._left.get(z)

    @property
    def touched(self) -> list[int]:
        """Slices in which pixels may be the user's, ascending."""
        return sorted(self._left.keys() | self._kept.keys())

    def take(self, layer: Any, done: Items, undone: Items = ()) -> None:
        """Keep the pixels of slices touched for the first time, as they were before the items that are done."""
        edits = [edit for item in done for atom in item for edit in read_edits(atom, layer.data.ndim)]
        ahead = [edit for item in undone for atom in item for edit in read_edits(atom, layer.data.ndim)]
        first = {z for z, *_ in edits + ahead} - self._left.keys()
        self._left.update({z: slice_of(layer, z).copy() for z in first})
        for z, where, old in reversed(edits):
            if z in first:
                self._left[z][where] = old

    def write(self, layer: Any, z: int, labels: npt.NDArray[Any]) -> bool:
        """Write a result around the user's pixels of slice ``z``; tell whether there are any."""
        result = labels.astype(layer.data.dtype)
        mine = self.edited(layer, z)
        painted = bool(mine.any())
        if painted:
            self._kept[z], self._left[z] = mine, result
            result = np.where(mine, slice_of(layer, z), result)
        else:
            self._left.pop(z, None)
        _put(layer, z, result)
        return painted

    def put_back(self, layer: Any, z: int, labels: npt.NDArray[Any], mine: Mask, whole: bool) -> None:
        """Write what was the user's in an earlier session, around what is by now; see `Corrections.restore`."""
        newer = self.edited(layer, z)
        pixels = np.where((mine | whole) & ~newer, labels.astype(layer.data.dtype), slice_of(layer, z))
        _put(layer, z, pixels)
        self._kept[z], self._left[z] = newer | mine, pixels

    def clear(self) -> None:
        """Nothing is the user's any more."""
        self._left.clear()
        self._kept.clear()


def _put(layer: Any, z: int, pixels: npt.NDArray[Any]) -> None:
    layer.data[z if layer.data.ndim == 3 else ...] = pixels
