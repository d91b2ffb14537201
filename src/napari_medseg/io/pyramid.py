"""Smaller copies of masks, each half the size of the one before, for viewers of large images."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

LARGE = 4096
"""Pixels along a side beyond which masks get a pyramid; its smallest level is about a screen."""

_SMALLEST = 1024


def count_levels(shape: tuple[int, int]) -> int:
    """Smaller levels that masks of (Y, X) get: none up to `LARGE`."""
    side, count = max(shape), 0
    while max(shape) > LARGE and side > _SMALLEST:
        side, count = (side + 1) // 2, count + 1
    return count


def halve(labels: Array) -> Array:
    """Every second row and column, (Y, X) to half of it, rounded up: of four pixels the value that most of them have.

    Means would make classes that are not there; where no two pixels agree, the first has it.
    """
    height, width = labels.shape
    padded = np.pad(labels, ((0, height % 2), (0, width % 2)), mode="edge")
    a, b, c, d = padded[::2, ::2], padded[::2, 1::2], padded[1::2, ::2], padded[1::2, 1::2]
    first = (a == b) | (a == c) | (a == d)
    return np.where(first, a, np.where((b == c) | (b == d), b, np.where(c == d, c, a)))
