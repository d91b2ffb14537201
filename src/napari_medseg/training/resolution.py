"""At which resolution things are learnt best in the time given."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.ndimage import find_objects, label

from .samples import SPECK, WHOLE
from .truth import Painted

LARGE = 200
"""Pixels; of things that are larger, the network sees too little at once to tell where it is."""

LARGE_IN_COLOUR = 80
"""The same of pictures in colour, which are shown in crops: glands at 20x, but not nuclei at 40x."""

SMALLEST, SMALLEST_IN_COLOUR = 224, 128
"""Images are not reduced to a shorter side than this for the sake of large things."""

BATCH = 8
"""Whole images that a step should hold."""

LEAST = 96
"""Images are never reduced to a longer side than this, nor typical things to less than `FINE` pixels."""

FINE = 24

MOST = 8
STEP = 32
"""Longer sides become multiples of this, which networks take without padding."""

LOOKS = 20
"""Slices that are looked at."""


def choose_reduction(painted: Sequence[Painted], pictures: bool, pixels: int) -> float:
    """How many times smaller the images are taken, by what is painted and the time there is.

    Typical things are at most `LARGE` pixels long: the network then sees such things as lungs in one look. Where time
    is short, images that are learnt whole become smaller still, until a step holds `BATCH` of them; but not pictures in
    colour, as texture tells there. Strokes keep their size, as they say nothing about that of things.

    Parameters
    ----------
    pictures
        Whether the channels are red, green and blue.
    pixels
        That a step may take in.
    """
    if any(one.unlabelled is not None for one in painted):
        return 1.0
    side = typical_side(painted)
    height, width = (max(one.values.shape[axis] for one in painted) for axis in (0, 1))
    shortest = min(min(one.values.shape) for one in painted)
    large, smallest = (LARGE_IN_COLOUR, SMALLEST_IN_COLOUR) if pictures else (LARGE, SMALLEST)
    reduction = 1.0
    while reduction < MOST and side > large * reduction and shortest >= 2 * smallest * reduction:
        reduction *= 2
    if pictures:
        return reduction
    longest = max(height, width)
    wanted = min(math.sqrt(BATCH * height * width / pixels), side / FINE, longest / LEAST, MOST)
    if wanted <= reduction or longest / wanted > WHOLE:
        return reduction
    sides = max(1, round(longest / wanted / STEP))
    return float(longest / (STEP * sides))


def typical_side(painted: Sequence[Painted]) -> float:
    """Median of the longer sides of connected things, in pixels; 0 where there are none."""
    sides = []
    for one in painted[:: max(1, len(painted) // LOOKS)]:
        for value in np.unique(one.values[one.values > 0]):
            for box in find_objects(label(one.values == value)[0]):
                side = max(part.stop - part.start for part in box)
                if side >= SPECK:
                    sides.append(side)
    return float(np.median(sides)) if sides else 0.0
