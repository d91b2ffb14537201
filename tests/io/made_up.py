"""Made-up pixels that the tests of reading and writing share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt

from napari_medseg.io import FORMATS

PICTURES = [f for f in FORMATS if f.name in ("bmp", "jpeg", "png", "tiff")]
"""Formats of single slices without a place in space, for photographs as well."""


def plane(z: int = 0, shape: tuple[int, ...] = (12, 17), dtype: Any = np.uint8) -> npt.NDArray[Any]:
    """A grey slice that tells its number in its first pixel."""
    pixels = np.random.default_rng(z).integers(0, 200, shape).astype(dtype)
    pixels.flat[0] = z
    return pixels


def save_png(path: Path, pixels: npt.NDArray[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels)))
    return path
