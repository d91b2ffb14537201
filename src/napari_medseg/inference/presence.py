"""Slices in which the slice head of a model saw nothing."""

from __future__ import annotations

from collections.abc import Collection

from napari_medseg.core import Finding, ModelCard
from napari_medseg.models.build import outlines

from .options import SegmentOptions

EMPTY = "TAKEN_AS_EMPTY"
"""Code of the finding that tells of them."""

NO_MASK = "NO_MASK"
"""Code of the finding that tells what a model says that outlines nothing."""


def is_taken_as_empty(chance: float, card: ModelCard, options: SegmentOptions) -> bool:
    """Whether a slice that holds anything with this probability gets an empty mask."""
    return options.gate and card.presence is not None and chance < card.presence


def find_empty(chances: Collection[tuple[str, float]], card: ModelCard, options: SegmentOptions) -> tuple[Finding, ...]:
    """What to say of slices, given as name (or "") and probability, that were taken as empty; nothing if none was.

    Of a model that outlines nothing, which slices hold something.
    """
    one = len(chances) == 1
    if chances and not outlines(card):
        names = [name for name, chance in chances if card.presence is not None and chance >= card.presence]
        found = "The image" if one and names else f"{len(names)} of {len(chances)} slices"
        text = (
            f"{found} {'holds' if one and names else 'hold'} something. The model {card.reference} outlines nothing: "
        )
        return (Finding(NO_MASK, f"{text}all masks are empty.", tuple(name for name in names if name)),)
    names = [name for name, chance in chances if is_taken_as_empty(chance, card, options)]
    if not names:
        return ()
    whole = "The image was" if one else f"{len(names)} of {len(chances)} slices were"
    files = tuple(name for name in names if name)
    return (Finding(EMPTY, f"{whole} taken as empty: the model saw nothing in {'it' if one else 'them'}.", files),)
