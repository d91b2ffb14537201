"""What in a labels layer is true: slices the user corrected or accepted, or strokes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from napari_medseg._layers import METADATA, about_layer, card_of, classes_of
from napari_medseg.core import spare_value
from napari_medseg.editing.corrections import corrections_of

from .look import count

BACKGROUND = "background"

# Slices of a layer that no model made which hold a label, the user's own edits left out.
_filled: WeakKeyDictionary[Any, frozenset[int]] = WeakKeyDictionary()


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
    strokes
        Whether only painted pixels are true; else every pixel of these slices is, and 0 is background.
    area
        Whether the layer covers a part of its image only.
    single
        Whether it lies on a single image instead of on slices.
    """

    corrected: tuple[int, ...]
    accepted: tuple[int, ...]
    by_hand: bool
    strokes: bool = False
    area: bool = False
    single: bool = False

    @property
    def slices(self) -> tuple[int, ...]:
        """All of them, ascending."""
        return tuple(sorted({*self.corrected, *self.accepted}))

    @property
    def untouched(self) -> tuple[int, ...]:
        """Slices that show what a model made of them, accepted as it was."""
        return () if self.by_hand else tuple(z for z in self.accepted if z not in self.corrected)

    def describe(self) -> str:
        """``6 corrected · 2 accepted slices``, and what the rest of them means where that is not plain.

        They are told apart as the strip of slices draws them: one that was corrected and accepted is accepted.
        """
        noun = "work area" if self.area else "image" if self.single else "slice"
        if not self.slices:
            return "nothing painted yet" if self.by_hand else "nothing corrected yet: paint over a mistake"
        # In strokes of the user's own, only what is painted counts, in accepted slices too.
        accepted = {*self.accepted} - ({*self.corrected} if self.strokes and self.by_hand else set())
        drawn = len({*self.corrected} - accepted)
        declared = count(len(accepted), f"accepted {noun}") if accepted else ""
        if self.strokes:
            strokes = f"strokes in {count(drawn, noun)}" if drawn else ""
            return " · ".join(filter(None, (strokes, declared))) + "; the rest is unknown"
        word = "painted" if self.by_hand else "corrected"
        both = bool(drawn and declared)
        text = f"{drawn} {word} · {declared}" if both else declared or count(drawn, f"{word} {noun}")
        return f"{text}; without a label is background" if self.by_hand else text


def has_strokes(layer: Any) -> bool:
    """Whether only painted pixels of a layer are true, as chosen with `choose_strokes`.

    Until then: of a layer with a class called background they are (background would not be painted if 0 meant it), of
    any other whole slices are.
    """
    chosen = about_layer(layer).get("truth")
    if chosen in ("slices", "strokes"):
        return bool(chosen == "strokes")
    return any(c.name == BACKGROUND for c in classes_of(layer))


def choose_strokes(layer: Any, strokes: bool) -> None:
    """Keep with the layer what of it is true."""
    info = {**about_layer(layer), "truth": "strokes" if strokes else "slices"}
    layer.metadata = {**layer.metadata, METADATA: info}


def find_truth(layer: Any, *, area: bool = False) -> Truth:
    """Look through a labels layer.

    The pixels of one that no model made are read once; from then on only those of slices that the user edits.
    """
    corrections = corrections_of(layer)
    by_hand = card_of(layer) is None
    corrected = set(corrections.edited_slices())
    if by_hand:
        still = {z for z in corrected if plane_of(layer, z).any()}
        corrected = {*_find_filled(layer)} - corrected | still
    found = tuple(sorted(corrected)), tuple(sorted(corrections.accepted))
    return Truth(*found, by_hand, has_strokes(layer), area, single=layer.data.ndim == 2)


def forget_counts(layer: Any) -> None:
    """Read the layer's pixels again at the next count, as after a program wrote into it."""
    _filled.pop(layer, None)


def was_painted(layer: Any) -> bool:
    """Whether the user painted or accepted anything in a layer since it is in the viewer."""
    corrections = corrections_of(layer)
    return bool(corrections.accepted or corrections.edited_slices())


def copy_truth(layer: Any, truth: Truth) -> tuple[npt.NDArray[Any], int | None]:
    """Labels of the true slices as they are now, (slices, Y, X), and the value in them that does not count.

    Of strokes, every pixel that the user did not paint gets that value; in a layer that no model made that is every 0.
    Of whole slices it is None, or in a part of a slide's result what is not computed.

    Raises
    ------
    InputError
        The layer's values leave no room for one that does not count.
    """
    slices = truth.slices
    planes = np.stack([np.array(plane_of(layer, z)) for z in slices])
    empty = about_layer(layer).get("not_computed")
    if not truth.strokes:
        return planes, empty if empty is not None and bool((planes == empty).any()) else None
    if empty is not None:
        # Nobody painted it: it gets the value of all that nobody painted.
        planes[planes == empty] = 0
    corrections = corrections_of(layer)
    highest = max([int(planes.max(initial=0)), *(c.value for c in classes_of(layer))])
    unlabelled = spare_value(highest)
    planes = planes.astype(np.uint8 if unlabelled == 255 else np.uint16)
    for plane, z in zip(planes, slices, strict=True):
        if z in corrections.accepted and not truth.by_hand:
            continue
        # In a layer of the user's own, 0 is what has not been painted; erasing is no statement there.
        mine = plane != 0 if truth.by_hand else corrections.edited(z)
        plane[~mine] = unlabelled
    return planes, unlabelled


def _find_filled(layer: Any) -> frozenset[int]:
    if layer not in _filled:
        corrections = corrections_of(layer)
        slices = layer.data.shape[0] if layer.data.ndim == 3 else 1
        _filled[layer] = frozenset(z for z in range(slices) if np.asarray(corrections.before(z)).any())
        # A function of the module: it holds no layer, and connecting it twice does nothing.
        layer.events.data.connect(_on_data)
    return _filled[layer]


def _on_data(event: Any) -> None:
    forget_counts(event.source)


def plane_of(layer: Any, z: int) -> npt.NDArray[Any]:
    """Labels of slice ``z`` as they are, (Y, X); a layer of one slice is slice 0."""
    return np.asarray(layer.data[z] if layer.data.ndim == 3 else layer.data)
