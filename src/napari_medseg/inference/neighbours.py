"""Which slices lie beside each other, for networks that look at those on either side too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_medseg.core import Finding, Image, ModelCard, lengths_in_words

from .sizes import FAR

CLOSE = 3.0
"""Distance of slices in mm up to which one looks enough like the next."""

ROUNDING = 1.001
"""Times that: distances are computed from positions in space, and come out a little larger than they are."""

WIDE = 1.5
"""Times the usual distance from which on two slices are no neighbours."""


def find_gaps(image: Image) -> frozenset[int]:
    """Slices of a series after which the next one lies too far away to be a neighbour."""
    if not image.geometry.positions or len(image) < 3:
        return frozenset()
    steps = np.linalg.norm(np.diff(np.array(image.geometry.positions), axis=0), axis=1)
    return frozenset(np.flatnonzero(steps > WIDE * np.median(steps)).tolist())


def slice_distance(image: Image) -> float | None:
    """Distance of neighbouring slices in mm; None of single images, and where it is not known."""
    if not image.is_stack or len(image) < 2 or not image.geometry.known:
        return None
    return image.geometry.spacing[0] / (1000 if image.geometry.unit == "um" else 1)


def told_distance(image: Image) -> float | None:
    """The same where the image tells it: of files that do not, the pixel size is taken for it."""
    guessed = any(finding.code == "NO_SPACING" for finding in image.findings)
    return None if guessed else slice_distance(image)


def why_uneven(image: Image) -> str:
    """Why slices do not all have their neighbours beside them, as half a sentence; empty where they do."""
    name = image.source.name if image.source else "the series"
    if image.geometry.positions:
        return f"the slices of {name} lie unevenly"
    if image.missing or any(f.code == "MISSING_SLICES" for f in image.findings):
        return f"{name} lacks slices"
    return ""


def all_close(images: Sequence[Image]) -> bool:
    """Whether all are series whose slices lie close enough for the next one to tell something."""
    distances = [slice_distance(image) for image in images]
    return all(distance is not None and distance <= CLOSE * ROUNDING for distance in distances)


def usual_neighbours(images: Sequence[Image]) -> int:
    """Slices on either side that a network for whole images looks at, where nobody asks for a number."""
    return int(all_close(images) and not any(map(why_uneven, images)))


def about_neighbours(image: Image, card: ModelCard) -> tuple[Finding, ...]:
    """What to say of an image in which a network misses some of the slices that it looks at beside each.

    Or in which they lie much closer or farther apart than where it learnt.
    """
    if not card.neighbours:
        return ()
    looks = f"The model {card.reference} also looks at the slices beside each"
    if len(image) == 1:
        return (Finding("NO_NEIGHBOURS", f"{looks}; this is a single one, which it got in their place, too."),)
    found = []
    if gaps := find_gaps(image):
        where = "a wide gap" if len(gaps) == 1 else f"{len(gaps)} wide gaps"
        found.append(Finding("NO_NEIGHBOURS", f"{looks}; at {where} it got the slice itself in their place."))
    elif why := why_uneven(image):
        found.append(Finding("NO_NEIGHBOURS", f"{looks}, but {why}: look at the masks there."))
    here, learnt = told_distance(image), card.slice_distance
    if here and learnt and max(here, learnt) > FAR * min(here, learnt):
        text = (
            f"{looks}, which lay {lengths_in_words(learnt)} apart where it learnt; here it is "
            f"{lengths_in_words(here)}: look at the masks, and correct the spacing if it is wrong."
        )
        found.append(Finding("OTHER_DISTANCE", text))
    return tuple(found)
