"""What in a labels layer is true: slices the user corrected or accepted, or strokes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg._layers import card_of
from napari_medseg.editing.corrections import corrections_of

from .look import count


@dataclass(frozen=True)
class Truth:
    """The slices of one labels layer that may teach.

    Attributes
    ----------
    corrected
        Slices with pixels of the user's; of a layer that no model made, every slice that holds a label.
    accepted
        Slices the user declared right.
    by_hand
        Whether no model made the layer.
    """

    corrected: tuple[int, ...]
    accepted: tuple[int, ...]
    by_hand: bool

    @property
    def slices(self) -> tuple[int, ...]:
        """All of them, ascending."""
        return tuple(sorted({*self.corrected, *self.accepted}))

    def describe(self) -> str:
        """``6 corrected · 2 accepted slices``."""
        if not self.slices:
            return "nothing painted yet" if self.by_hand else "nothing corrected yet: paint over a mistake"
        word = "painted" if self.by_hand else "corrected"
        untouched = len({*self.accepted} - {*self.corrected})
        if not untouched:
            return count(len(self.corrected), f"{word} slice")
        return f"{len(self.corrected)} {word} · {count(untouched, 'accepted slice')}"


def find_truth(layer: Any) -> Truth:
    """Look through a labels layer; reads its pixels only when no model made it."""
    corrections = corrections_of(layer)
    by_hand = card_of(layer) is None
    corrected = set(corrections.edited_slices())
    if by_hand:
        planes = layer.data if layer.data.ndim == 3 else layer.data[np.newaxis]
        corrected |= {z for z, plane in enumerate(planes) if np.asarray(plane).any()}
    return Truth(tuple(sorted(corrected)), tuple(sorted(corrections.accepted)), by_hand)


def copy_truth(layer: Any, slices: tuple[int, ...], strokes: bool, unlabelled: int) -> npt.NDArray[Any]:
    """Labels of the chosen slices as they are now, (len(slices), Y, X).

    With ``strokes`` every pixel that the user did not paint becomes ``unlabelled``; in a layer that no model made that
    is every 0.
    """
    corrections = corrections_of(layer)
    by_hand = card_of(layer) is None
    planes = []
    for z in slices:
        plane = np.array(layer.data[z] if layer.data.ndim == 3 else layer.data)
        if strokes:
            plane = plane.astype(np.uint8 if unlabelled < 256 and plane.max(initial=0) < 256 else np.uint16)
            # In a layer of the user's own, 0 is what has not been painted; erasing is no statement there.
            mine = plane != 0 if by_hand else corrections.edited(z)
            if z in corrections.accepted and not by_hand:
                mine = np.ones(plane.shape, bool)
            plane[~mine] = unlabelled
        planes.append(plane)
    return np.stack(planes)
