"""At which resolution large things are learnt best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import find_objects, label

from .samples import SPECK
from .truth import Painted

LARGE = 200
"""Pixels; of things that are larger, the network sees too little at once to tell where it is."""

SMALLEST = 224
"""Images are never reduced to a shorter side than this."""

MOST = 8
LOOKS = 20
"""Slices that are looked at."""


def choose_reduction(painted: Sequence[Painted], channels: int) -> int:
    """How many times smaller the images are taken: so that typical things are at most `LARGE` pixels long.

    A step then holds four times as many samples, and the network sees such things as lungs in one look.
    Colour images keep their size, as texture tells there, and so do strokes, which say nothing about sizes.
    """
    if channels > 1 or any(one.unlabelled is not None for one in painted):
        return 1
    sides = []
    for one in painted[:: max(1, len(painted) // LOOKS)]:
        for value in np.unique(one.values[one.values > 0]):
            for box in find_objects(label(one.values == value)[0]):
                side = max(part.stop - part.start for part in box)
                if side >= SPECK:
                    sides.append(side)
    shortest = min(min(one.values.shape) for one in painted)
    reduction = 1
    while sides and reduction < MOST and np.median(sides) > LARGE * reduction and shortest >= 2 * SMALLEST * reduction:
        reduction *= 2
    return reduction
