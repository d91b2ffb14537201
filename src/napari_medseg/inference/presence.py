"""Slices in which the slice head of a model saw nothing."""

from __future__ import annotations

from collections.abc import Collection

from napari_medseg.core import Finding, ModelCard

from .options import SegmentOptions

EMPTY = "TAKEN_AS_EMPTY"
"""Code of the finding that tells of them."""

NO_MASK = "NO_MASK"
"""Code of the finding that tells that a model outlines nothing."""


def is_taken_as_empty(chance: float, card: ModelCard, options: SegmentOptions) -> bool:
    """Whether a slice that holds anything with this probability gets an empty mask."""
    return options.gate and card.presence is not None and chance < card.presence


def find_empty(chances: Collection[tuple[str, float]], card: ModelCard, options: SegmentOptions) -> tuple[Finding, ...]:
    """What to say of slices, given as name (or "") and probability, that were taken as empty; nothing if none was.

    Of a model that outlines nothing, that it does; of one image also what it says.
    """
    one = len(chances) == 1
    if chances and not card.outlines:
        holds = any(card.presence is not None and chance >= card.presence for _, chance in chances)
        said = f"The image holds {'something' if holds else 'nothing'}. " if one else ""
        return (Finding(NO_MASK, f"{said}The model {card.reference} outlines nothing: all masks are empty."),)
    names = [name for name, chance in chances if is_taken_as_empty(chance, card, options)]
    if not names:
        return ()
    whole = "The image was" if one else f"{len(names)} of {len(chances)} slices were"
    files = tuple(name for name in names if name)
    return (Finding(EMPTY, f"{whole} taken as empty: the model saw nothing in {'it' if one else 'them'}.", files),)
