"""At which resolution things are learnt best in the time given."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.ndimage import find_objects, label

from napari_medseg.core import ModelCard
from napari_medseg.inference.sizes import Shape, input_shape

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


def choose_reduction(painted: Sequence[Painted], card: ModelCard, pictures: bool, pixels: int) -> float:
    """How many times smaller the images are taken, by what is painted and the time there is.

    Typical things are at most `LARGE` pixels long: the network then sees such things as lungs in one look. Where time
    is short, images that are learnt whole become smaller still, until a step holds `BATCH` of them; but not pictures in
    colour, as texture tells there. Strokes keep their size, as they say nothing about that of things.

    Parameters
    ----------
    card
        Of the new network, which does not reduce them yet.
    pictures
        Whether the channels are red, green and blue.
    pixels
        That a step may take in.
    """
    if any(one.unlabelled is not None for one in painted):
        return 1.0
    shapes = seen_shapes(painted, card)
    side = typical_side(painted, shapes)
    height, width = (max(shape[axis] for shape in shapes) for axis in (0, 1))
    shortest = min(map(min, shapes))
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


def seen_shapes(painted: Sequence[Painted], card: ModelCard) -> list[Shape]:
    """(Y, X) of the slices as a network sees them: pixels that are not square have become so."""
    return [input_shape(one.image, card)[0] for one in painted]


def typical_side(painted: Sequence[Painted], shapes: Sequence[Shape]) -> float:
    """Median of the longer sides of connected things, in pixels of slices of these shapes; 0 where there are none."""
    sides = []
    step = max(1, len(painted) // LOOKS)
    for one, shape in zip(painted[::step], shapes[::step], strict=True):
        finer = [new / old for new, old in zip(shape, one.values.shape, strict=True)]
        for value in np.unique(one.values[one.values > 0]):
            for box in find_objects(label(one.values == value)[0]):
                side = max((part.stop - part.start) * ratio for part, ratio in zip(box, finer, strict=True))
                if side >= SPECK:
                    sides.append(side)
    return float(np.median(sides)) if sides else 0.0
