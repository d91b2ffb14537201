"""Colours of classes can be told apart, by everybody as far as so many can."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
from skimage.color import rgb2lab

from napari_medseg.core import PALETTE, ClassInfo

GROUNDS = ("#000000", "#ffffff", "#9e9e9e")
"""What colours lie on, and the grey of painted background."""

# Full protanopia and deuteranopia on linear RGB: Machado, Oliveira and Fernandes, IEEE TVCG 15 (2009).
VISION = {
    "everybody": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "without red": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "without green": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
}


def seen(colors: tuple[str, ...], vision: str) -> npt.NDArray[np.float64]:
    """CIELAB of the colours as somebody sees them."""
    values = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in colors])
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    mixed = np.clip(linear @ np.array(VISION[vision]).T, 0, 1)
    found: npt.NDArray[np.float64] = rgb2lab(
        np.where(mixed <= 0.0031308, mixed * 12.92, 1.055 * mixed ** (1 / 2.4) - 0.055)
    )
    return found


@pytest.mark.parametrize(("vision", "least"), [("everybody", 18), ("without red", 7.5), ("without green", 7.5)])
def test_no_two_colours_of_the_palette_look_alike(vision: str, least: float) -> None:
    lab = seen(PALETTE, vision)
    for one, other in combinations(range(len(PALETTE)), 2):
        assert np.linalg.norm(lab[one] - lab[other]) >= least, (PALETTE[one], PALETTE[other])


def test_no_colour_is_lost_on_black_white_or_beside_background() -> None:
    lab, grounds = seen(PALETTE, "everybody"), seen(GROUNDS, "everybody")
    assert np.linalg.norm(lab[:, None] - grounds, axis=-1).min() >= 25


def test_sixteen_classes_have_colours_of_their_own() -> None:
    assert len({ClassInfo.numbered(value).color for value in range(1, 17)}) == 16
