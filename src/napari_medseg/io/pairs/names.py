"""Which mask belongs to which image, by their names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from napari_medseg.io.names import masked_stem, stem_of

_IMAGE = r"(?:images?|imgs?|scan|volume|vol|orig|original|photo|ct|mri?|xray)"
_IMAGE_NAME = re.compile(rf"^(?:(?P<before>.+)[_\- .]+{_IMAGE}|{_IMAGE}[_\- .]+(?P<after>.+))$", re.IGNORECASE)
_CHANNEL = re.compile(r"_0000$")
"""nnU-Net names the first channel of an image so, and its mask without."""


@dataclass
class Matched:
    """Masks by the file name of their image, and why others have no image.

    Attributes
    ----------
    masks
        Mask of each image that has one, by the image's file name.
    wrong
        Masks that an image has too many.
    stray
        Masks of no image.
    """

    masks: dict[str, Path] = field(default_factory=dict)
    wrong: dict[Path, str] = field(default_factory=dict)
    stray: list[Path] = field(default_factory=list)


def match_names(images: Sequence[str], masks: Sequence[Path]) -> Matched:
    """Find the mask of each image: equal stems; ``NAME_mask``, ``seg-NAME`` and the like; ``volume-7`` and ``mask-7``.

    Parameters
    ----------
    images
        File names.
    masks
        In the order people count: of two masks of one image the first is taken.
    """
    found = Matched()
    own = {stem_of(name).lower() for name in images}
    left = list(masks)
    for ours, theirs in ((_stem, _stem), (_stem, _bare_mask), (_bare_image, _bare_mask)):
        counts = Counter(ours(name) for name in images)
        # Two images that would be called the same have no mask that is clearly theirs.
        places = {ours(name): name for name in images if counts[ours(name)] == 1}
        for path in list(left):
            key = theirs(path.name)
            image = places.get(key)
            if image is None or (ours is _bare_image and (image in found.masks or _stem(path.name) in own)):
                continue
            left.remove(path)
            if image in found.masks:
                found.wrong[path] = f"{found.masks[image].name} is a mask of the same image."
            else:
                found.masks[image] = path
    found.stray = left
    return found


def describe_match(image: str, mask: Path) -> str:
    """How the names of an image and its mask go together, in words."""
    if _stem(image) == _stem(mask.name):
        return "same name"
    return "mask of that name" if _stem(image) == _bare_mask(mask.name) else "same name but for the kind"


def _stem(name: str) -> str:
    return stem_of(name).lower()


def _bare_mask(name: str) -> str:
    return (masked_stem(name) or stem_of(name)).lower()


def _bare_image(name: str) -> str:
    stem = _CHANNEL.sub("", stem_of(name))
    found = _IMAGE_NAME.match(stem)
    return (found["after"] or found["before"] if found else stem).lower()
