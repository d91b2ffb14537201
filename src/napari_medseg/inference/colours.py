"""What three channels are: red, green and blue of a photo or of a stained slide, or three sequences of a scanner."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

COLOURED = 0.1
DARK = 0.1
"""A pixel is coloured when its channels differ by so much, and dark when none is above that; values are 0 to 1."""


def tell_colours(pixels: npt.NDArray[Any]) -> str:
    """Tell sequences from pictures: on a dark ground, and of all hues.

    A slide lies on light and has next to nothing dark; a photo, even one with a black frame, has one prevailing hue
    (skin, mucosa, retina); in sequences each channel may be the brightest somewhere. Measured: the share of dark pixels
    is at most 0.01 in four sets of HE and 0.48 to 0.82 in brain MR; the hues' resultant length 0.88 to 1 and, over
    whole patients, below 0.8.

    Parameters
    ----------
    pixels
        Shape (M, 3), 0 to 1.

    Returns
    -------
    str
        ``sequences``, ``photo`` or ``stain``.
    """
    highest, lowest = pixels.max(1), pixels.min(1)
    coloured = pixels[highest - lowest > COLOURED]
    dark = float((highest < DARK).mean())
    if not len(coloured):
        return "sequences"
    red, green, blue = coloured.T
    hue = np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue)
    prevailing = float(abs(np.exp(1j * hue).mean()))
    if dark >= 0.2 and prevailing < 0.85:
        return "sequences"
    # Haematoxylin with eosin takes most of the green; with the brown of DAB beside blue there is no prevailing hue.
    green_is_lowest = float((coloured.argmin(1) == 1).mean())
    light = float(np.median(pixels.mean(1)))
    is_stain = dark < 0.05 and light > 0.25 and (green_is_lowest > 0.7 or prevailing < 0.85)
    return "stain" if is_stain else "photo"
