"""Pictures to look at: image, truth and prediction side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import ClassInfo, Image

from .metrics import surface

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

STRIPES = 6
"""Pixels from one stripe to the next where there is no result."""


def display_range(image: Image) -> tuple[float, float]:
    """Grey values that become black and white: the 0.5th and 99.5th percentile of a few slices of the whole image."""
    if image.channels == 3:
        return 0.0, 255.0 if image.slice(0).dtype == np.uint8 else float(np.max(image.slice(0)))
    sample = [np.asarray(image.slice(z), dtype=np.float32)[::4, ::4].ravel() for z in _spread(len(image), 9)]
    low, high = np.nanpercentile(np.concatenate(sample), (0.5, 99.5))
    return float(low), float(max(high, low + 1e-6))


def _spread(count: int, most: int) -> list[int]:
    return sorted({round(z) for z in np.linspace(0, count - 1, most)})


def draw_panel(
    pixels: npt.NDArray[Any],
    masks: tuple[npt.NDArray[Any], npt.NDArray[Any]],
    classes: tuple[ClassInfo, ...],
    shown: tuple[float, float],
    absent: tuple[Mask | None, Mask | None] = (None, None),
) -> Pixels:
    """One slice three times: plain, with the truth's and with the prediction's outlines.

    What has no result is striped, for it is neither background nor anything else.

    Parameters
    ----------
    pixels
        Shape (Y, X) or (Y, X, C).
    masks
        Truth and prediction, shape (Y, X) each.
    classes
        For the colours.
    shown
        Values that become black and white.
    absent
        Where truth and prediction have no result, shape (Y, X) each; None is nowhere.

    Returns
    -------
    numpy.ndarray
        uint8 RGB, shape (Y, 3 X + 8, 3).
    """
    low, high = shown
    scaled = np.clip((np.asarray(pixels, dtype=np.float32) - low) / (high - low), 0, 1) * 255
    grey = np.nan_to_num(scaled).astype(np.uint8)
    rgb = (
        grey[..., :3]
        if grey.ndim == 3 and grey.shape[-1] >= 3
        else np.repeat(grey.reshape(*grey.shape[:2], -1)[..., :1], 3, -1)
    )
    gap = np.full((rgb.shape[0], 4, 3), 255, np.uint8)
    drawn = [_outlined(rgb, mask, classes, lost) for mask, lost in zip(masks, absent, strict=True)]
    return np.concatenate([rgb, gap, drawn[0], gap, drawn[1]], axis=1)


def _outlined(rgb: Pixels, mask: npt.NDArray[Any], classes: tuple[ClassInfo, ...], absent: Mask | None) -> Pixels:
    out = rgb.copy()
    if absent is not None and absent.any():
        mask = np.where(absent, 0, mask)
        rows, columns = np.indices(absent.shape)
        out[absent] //= 2
        out[absent & ((rows + columns) % STRIPES < STRIPES // 2)] = 128
    colours = {info.value: info.color for info in classes}
    for value in (int(v) for v in np.unique(mask) if v):
        colour = colours.get(value, ClassInfo.numbered(value).color)
        out[surface(mask == value)] = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return out
