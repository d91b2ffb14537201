"""Pixels of a TIFF as they are shown: palettes as colours, transparent pixels white, black-is-high inverted."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.io.pixels import on_white

from .pages import Layout


def shown(pixels: npt.NDArray[Any], layout: Layout) -> npt.NDArray[Any]:
    """Decoded samples, (Y, X) or (Y, X, samples), as (Y, X) or (Y, X, C) for showing."""
    if layout.colormap is not None:
        colors = np.moveaxis(np.asarray(layout.colormap)[:, pixels], 0, -1)
        return (colors >> 8).astype(np.uint8) if pixels.dtype == np.uint8 else colors
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    if pixels.ndim == 3 and pixels.shape[-1] == 3 and pixels.dtype == np.uint8 and layout.is_luma:
        return _from_luma(pixels)
    if layout.is_inverted:
        pixels = np.invert(pixels)
    if layout.has_alpha and pixels.dtype.kind == "u":
        return on_white(pixels)
    return pixels[..., : layout.colors] if pixels.ndim == 3 and layout.colors > 1 else pixels


def _from_luma(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """RGB of Y, Cb and Cr, (Y, X, 3) (ITU-T T.871, 7)."""
    y, cb, cr = (pixels[..., n].astype(np.float32) - (128 if n else 0) for n in range(3))
    color = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=-1)
    rounded: npt.NDArray[np.uint8] = np.clip(np.rint(color), 0, 255).astype(np.uint8)
    return rounded
