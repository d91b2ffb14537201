"""Where there is tissue on a slide: the rest is glass, and need not go through the network.

Sources: Otsu, "A threshold selection method from gray-level histograms" (1979); optical density as in Ruifrok and
Johnston, "Quantification of histochemical staining by color deconvolution" (2001).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import Image
from napari_medseg.io.blocks import read_region

WANTED_MM = 0.008
"""Pixel size that tissue is looked for at."""

LARGEST = 4096
"""Side of what is looked at, whatever the pixel size."""

MARGIN_MM = 0.05
SPECK_MM2 = 0.0025
"""Spots with less tissue than this are dust, smaller holes are part of it: a square of 0.05 mm."""

SEPARATED = 0.75
"""Part of the variance that the two sides of the threshold must explain, or there is but one kind of pixel."""

GLASS_SATURATION = 0.07
"""What is left out is hardly coloured: else it is the paler part of tissue that fills the picture."""

_BAND = 2048

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Tissue:
    """Where a slide is to be looked at.

    Attributes
    ----------
    mask
        (Y, X) bool over the whole image, coarse.
    scale
        Pixels of the image (level 0) along Y and X that one pixel of the mask stands for.
    share
        Part of the image that is tissue, 0 to 1.
    """

    mask: Mask
    scale: tuple[float, float]
    share: float

    @classmethod
    def everywhere(cls, shape: tuple[int, int]) -> Tissue:
        """All of an image of this shape (Y, X)."""
        return cls(np.ones((1, 1), bool), (float(shape[0]), float(shape[1])), 1.0)

    @classmethod
    def of_mask(cls, mask: npt.ArrayLike, shape: tuple[int, int]) -> Tissue:
        """A mask, or labels of which all but 0 count, over an image of this shape (Y, X)."""
        marked = np.asarray(mask) != 0
        return cls(marked, (shape[0] / marked.shape[0], shape[1] / marked.shape[1]), float(marked.mean()))

    @property
    def digest(self) -> str:
        """The same for the same mask."""
        known = hashlib.blake2b(repr((self.mask.shape, self.scale)).encode(), digest_size=12)
        known.update(np.packbits(self.mask).tobytes())
        return known.hexdigest()

    def touches(self, rows: npt.NDArray[np.float64], columns: npt.NDArray[np.float64]) -> Mask:
        """Whether there is tissue in rectangles of the image.

        Parameters
        ----------
        rows, columns
            Begin and end of each row and each column of rectangles in pixels of the image, (N, 2) and (M, 2).

        Returns
        -------
        bool array
            (N, M).
        """
        # Rows first: what is left then is small.
        bands = np.stack([self.mask[a:b].any(0) for a, b in self._ends(rows, 0)])
        return np.stack([bands[:, a:b].any(1) for a, b in self._ends(columns, 1)], 1)

    def _ends(self, borders: npt.NDArray[np.float64], axis: int) -> npt.NDArray[np.int64]:
        """First pixel of the mask, and the one after the last, of parts of the image along an axis, (N, 2)."""
        scale, size = self.scale[axis], self.mask.shape[axis]
        first = np.clip(np.floor(borders[:, 0] / scale), 0, size - 1)
        last = np.clip(np.ceil(borders[:, 1] / scale), first + 1, size)
        return np.stack([first, last], 1).astype(np.int64)


def find_tissue(image: Image, *, margin: bool = True) -> Tissue:
    """Find the tissue on a stained slide; everything is tissue where there is no telling.

    A pixel is tissue where it is coloured or dark, by a threshold of its own for each of saturation and optical
    density. Specks are left out and holes filled up to 0.05 mm; a margin of 0.05 mm is added where it is wanted. Images
    that are not RGB, and those whose pixels are not of two kinds, are tissue everywhere; so is what cannot be read, for
    a run to find out and tell.

    Returns
    -------
    Tissue
        At about 8 um a pixel, at most 4096 pixels a side.
    """
    shape = (image.shape[-2], image.shape[-1])
    if image.is_stack or image.channels != 3 or np.dtype(image.data.dtype) != np.uint8:
        return Tissue.everywhere(shape)
    pixels, lost = _look(image)
    mask = _stained(pixels)
    if mask is None:
        return Tissue.everywhere(shape)
    size = image.geometry.pixel_size
    # Of unknown size, as if the image were a slide of 20 mm.
    pixel_mm = (size or 20 / max(shape)) * max(shape) / max(mask.shape)
    mask = _tidied(mask, pixel_mm, margin=margin) | lost
    if not mask.any():
        return Tissue.everywhere(shape)
    return Tissue.of_mask(mask, shape)


def _look(image: Image) -> tuple[npt.NDArray[np.uint8], Mask]:
    """The whole slide, small enough, and what of it could not be read.

    The nearest level that is fine enough, averaged in squares.
    """
    full = max(image.shape)
    size = image.geometry.pixel_size
    wanted = min(LARGEST, full if size is None else max(256, round(full * size / WANTED_MM)))
    level = next((x for x in reversed(image.pyramid) if max(x.shape[:2]) >= wanted), image.data)
    side = max(level.shape[:2])
    step = max(1, side // wanted, -(-side // LARGEST))
    height, width = (-(-n // step) for n in level.shape[:2])
    small, unread = np.empty((height, width, 3), np.uint8), np.zeros((height, width), bool)
    band = max(step, _BAND // step * step)
    for top in range(0, level.shape[0], band):
        for left in range(0, level.shape[1], band):
            rows, columns = (slice(a, min(a + band, n)) for a, n in zip((top, left), level.shape[:2], strict=True))
            part, lost = read_region(level, rows, columns)
            for y, x in lost:
                unread[y.start // step : -(-y.stop // step), x.start // step : -(-x.stop // step)] = True
            small[top // step : -(-rows.stop // step), left // step : -(-columns.stop // step)] = _average(part, step)
    return small, unread


def _average(pixels: npt.NDArray[Any], step: int) -> npt.NDArray[np.uint8]:
    if step == 1:
        return pixels
    height, width = (-(-n // step) * step for n in pixels.shape[:2])
    padded = np.pad(pixels, ((0, height - pixels.shape[0]), (0, width - pixels.shape[1]), (0, 0)), mode="edge")
    total = np.zeros((height // step, width // step, 3), np.uint32)
    for y in range(step):
        for x in range(step):
            total += padded[y::step, x::step]
    return np.asarray((total + step**2 // 2) // step**2, np.uint8)


def _stained(pixels: npt.NDArray[np.uint8]) -> Mask | None:
    """Coloured or dark pixels; None where there are not two kinds of pixels."""
    red, green, blue = (pixels[..., n] for n in range(3))
    # Not divided by the brightness: of nearly black pixels (pen, folds, missing tiles) the saturation is noise.
    colored = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    grey = (red.astype(np.uint16) + green + blue) // 3
    found: Mask | None = None
    # Of each of 256 values of a pixel, what it says: all that follows is worked out on histograms.
    for values, meaning in ((colored, np.arange(256) / 255), (grey, -np.log10((np.arange(256) + 1) / 256))):
        threshold = _threshold(np.bincount(values.ravel(), minlength=256), meaning)
        if threshold is None:
            continue
        above = (meaning > threshold)[values]
        if float(np.median(colored[~above])) / 255 < GLASS_SATURATION:
            found = above if found is None else found | above
    return found


def _threshold(counts: npt.NDArray[np.int64], meaning: npt.NDArray[np.float64]) -> float | None:
    """Otsu's threshold of values that occur so often, or None where it does not part them into two kinds."""
    from skimage.filters import threshold_otsu

    order = np.argsort(meaning)
    counts, meaning = counts[order], meaning[order]
    total = counts.sum()
    mean = float((counts * meaning).sum() / total)
    variance = float((counts * (meaning - mean) ** 2).sum() / total)
    if variance < 1e-5:
        return None
    threshold = float(threshold_otsu(hist=(counts, meaning)))  # type: ignore[no-untyped-call]
    above = meaning > threshold
    share = float(counts[above].sum() / total)
    if not 0 < share < 1:
        return None
    higher = float((counts * meaning)[above].sum() / total) / share
    between = share / (1 - share) * (higher - mean) ** 2
    return threshold if between / variance >= SEPARATED else None


def _tidied(mask: Mask, pixel_mm: float, *, margin: bool) -> Mask:
    """With or without a margin, without specks and small holes."""
    from scipy import ndimage

    if not mask.any():
        return mask
    smallest = max(2, round(SPECK_MM2 / pixel_mm**2))
    wide = 2 * max(1, round(MARGIN_MM / pixel_mm)) + 1
    grown = ndimage.maximum_filter(mask.view(np.uint8), wide, mode="constant")
    # Pieces that lie close together count as one: loose tissue is not dust.
    numbered, _ = ndimage.label(grown)
    keep = np.bincount(numbered[mask], minlength=int(numbered.max()) + 1) >= smallest
    keep[0] = False
    numbered, _ = ndimage.label(~keep[numbered])
    glass = np.bincount(numbered.ravel()) >= smallest
    glass[0] = False
    kept = ~glass[numbered]
    return np.asarray(kept if margin else ndimage.minimum_filter(kept.view(np.uint8), wide, mode="nearest").view(bool))
