"""Chest X-rays and stained tissue as samples: the project's own images and labels."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from napari_medseg.core import ClassInfo, Geometry, Image, Labels

from .draw import Draw
from .histology import draw_histology
from .tissue import GLANDULAR
from .xray import draw_chest_xrays

LUNG = ClassInfo.numbered(1, "lung")
NUCLEUS = ClassInfo.numbered(1, "nucleus")

CHESTS, SIDE = 6, 512
TISSUE, PIXEL = 768, 0.45
"""Number and side of the X-rays; side of the tissue in pixels, and um of one."""

CHESTS_SEED, TISSUE_SEED = 2017, 6


def chest_sample() -> tuple[Image, Labels]:
    """X-rays of the chest, each of another made-up person, with both lungs."""
    made = draw_chest_xrays(Draw(CHESTS_SEED), CHESTS, SIDE)
    names = tuple(f"chest_{n}.png" for n in range(1, CHESTS + 1))
    geometry = Geometry.unknown(3)
    image, lungs = _bytes(made.image[:, 0]), _bytes(made.lungs)
    return Image(image, "ZYX", geometry, names), Labels(lungs, (LUNG,), geometry, names)


def tissue_sample(seed: int = TISSUE_SEED) -> tuple[Image, Labels]:
    """A patch of glands and what lies between them, stained with haematoxylin and eosin, with its nuclei."""
    made = draw_histology(Draw(seed), 1, TISSUE, (PIXEL, PIXEL), GLANDULAR)
    geometry = Geometry(spacing=(PIXEL, PIXEL), unit="um")
    pixels = np.ascontiguousarray(np.moveaxis(_bytes(made.image[0]), 0, -1))
    return (
        Image(pixels, "YXC", geometry, ("tissue.tif",), "RGB"),
        Labels(_bytes(made.nuclei[0]), (NUCLEUS,), geometry, ("tissue.tif",)),
    )


def _bytes(values: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return values.cpu().numpy().astype(np.uint8)
