"""Smaller copies of images and masks, each half the size of the one before, for viewers of large images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

LARGE = 4096
"""Pixels along a side beyond which images and masks get a pyramid; its smallest level is about a screen."""

SMALLEST = 1024
"""Pixels along a side that the smallest level has at most."""


def count_levels(shape: tuple[int, int]) -> int:
    """Smaller levels that an image of (Y, X) gets: none up to `LARGE`."""
    side, count = max(shape), 0
    while max(shape) > LARGE and side > SMALLEST:
        side, count = (side + 1) // 2, count + 1
    return count


def are_halves(shape: Sequence[int], levels: Sequence[Any], count: int) -> bool:
    """Whether these are so many smaller levels of (Y, X), each half the size of the one before, rounded up."""
    for level in levels:
        shape = tuple((int(n) + 1) // 2 for n in shape)
        if tuple(level.shape) != shape:
            return False
    return len(levels) == count


def halves(bands: Sequence[Array], count: int) -> Iterator[Array]:
    """So many levels: the rows of the first, given in bands, and each time half of it."""
    level = np.concatenate(bands)
    for n in range(count):
        yield level
        level = halve(level) if n < count - 1 else level


def halve(labels: Array) -> Array:
    """Every second row and column, (Y, X) to half of it, rounded up: of four pixels the value that most of them have.

    Means would make classes that are not there; where no two pixels agree, the first has it.
    """
    a, b, c, d = _quarters(labels)
    first = (a == b) | (a == c) | (a == d)
    return np.where(first, a, np.where((b == c) | (b == d), b, np.where(c == d, c, a)))


def halve_mean(pixels: Array) -> Array:
    """The means of two by two pixels, (Y, X) or (Y, X, C) to half of it, rounded up; of whole numbers to the nearest.

    Half is rounded up. At odd edges the last row or column counts twice.
    """
    a, b, c, d = _quarters(pixels)
    if pixels.dtype.kind == "f":
        means: Array = ((a + b) / 2 + (c + d) / 2) / 2
        return means.astype(pixels.dtype, copy=False)
    wide = np.dtype(np.uint16 if pixels.dtype == np.uint8 else np.int64)
    total = a.astype(wide)
    for part in (b, c, d):
        total += part
    total += 2
    total >>= 2
    return total.astype(pixels.dtype)


def _quarters(pixels: Array) -> tuple[Array, Array, Array, Array]:
    """The four pixels of every two by two, each (Y, X) rounded up."""
    height, width = pixels.shape[:2]
    if height % 2 or width % 2:
        rest = ((0, 0),) * (pixels.ndim - 2)
        pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), *rest), mode="edge")
    return pixels[::2, ::2], pixels[::2, 1::2], pixels[1::2, ::2], pixels[1::2, 1::2]
