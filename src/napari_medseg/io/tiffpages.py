"""Which pages of a TIFF are the slices of its first image, and whether their pixels are all there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from napari_medseg.core import InputError

_DEPTH = "ZIQRT"
"""Axes that count slices: depth, time, and tifffile's words for pages that do not say what they are."""

_DAMAGE = (tifffile.TiffFileError, RuntimeError, ValueError, KeyError, IndexError)
"""What the reader raises when the directory of a page is damaged."""

_ALPHA = (1, 2)
_MOST_CHANNELS = 4
_DEFLATE = (5, 8, 32946)
_DEFLATE_LIMIT = 1500
"""Bytes that LZW and deflate pack into one at most, with room to spare."""


@dataclass(frozen=True)
class Layout:
    """How the pages of the first image make up its slices.

    Attributes
    ----------
    tiff, pages, page
        The open file, the pages of its first image, and the first of them; the others have its shape and type.
    shape
        (Y, X) of a slice.
    slices, channels
        Number of slices, and of channels that are pages of their own.
    channels_first
        Whether all slices of a channel come before those of the next.
    samples
        Samples of a pixel within a page.
    offset
        Where the pixels of all pages lie one after the other in the file, so that they need no directory each; or None.
    others
        Further images in the file, left out.
    colormap
        Colours of a palette, shape (3, entries), 16 bit; or None.
    is_cut
        Whether pages after the last one are damaged.
    """

    tiff: tifffile.TiffFile
    pages: Any
    page: Any
    shape: tuple[int, int]
    slices: int = 1
    channels: int = 1
    channels_first: bool = False
    samples: int = 1
    offset: int | None = None
    others: int = 0
    colormap: npt.NDArray[Any] | None = None
    is_cut: bool = False

    @property
    def is_rgb(self) -> bool:
        return self.colormap is not None or (self.samples >= 3 and self.channels == 1)

    @property
    def has_alpha(self) -> bool:
        extra = tuple(int(x) for x in self.page.extrasamples or ())
        return self.samples in (2, 4) and bool(extra) and extra[-1] in _ALPHA

    @property
    def is_inverted(self) -> bool:
        kind = np.dtype(self.page.dtype).kind
        return self.samples == 1 and self.page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and kind in "bu"

    @property
    def colors(self) -> int:
        """Channels of the pixels that are shown: alpha is not one of them."""
        if self.colormap is not None:
            return 3
        return self.channels if self.channels > 1 else self.samples - self.has_alpha

    @property
    def orientation(self) -> int:
        """How the file asks to be turned (TIFF 6.0, tag 274), 2-8; 0 when upright or senseless."""
        tag = self.page.tags.get(274)
        value = tag.value if tag is not None else 1
        return value if isinstance(value, int) and 2 <= value <= 8 else 0

    @property
    def plane_bytes(self) -> int:
        """Bytes of one page without compression."""
        return (int(np.prod(self.page.shape, dtype=object)) * int(self.page.bitspersample) + 7) // 8

    def planes(self, z: int) -> list[int]:
        """Pages of slice ``z``, one per channel."""
        step, start = (self.slices, z) if self.channels_first else (1, z * self.channels)
        return [start + c * step for c in range(self.channels)]

    def decode(self, index: int) -> npt.NDArray[Any]:
        """Pixels of one page: (Y, X) or (Y, X, samples)."""
        dtype = np.dtype(self.page.dtype)
        if index < len(self.pages):
            pixels = np.asarray(self.pages[index].asarray(maxworkers=1))
        else:
            assert self.offset is not None
            self.tiff.filehandle.seek(self.offset + index * self.plane_bytes)
            raw = self.tiff.filehandle.read(self.plane_bytes)
            pixels = np.frombuffer(raw, dtype.newbyteorder(self.tiff.byteorder)).reshape(self.page.shape)
        if pixels.ndim == 3 and self.page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
            pixels = np.moveaxis(pixels, 0, -1)
        return pixels.astype(dtype.newbyteorder("="), copy=False)


def lay_out(path: Path, tiff: tifffile.TiffFile) -> Layout:
    """Make out slices and channels of the first image in a file.

    Raises
    ------
    InputError
        If it has other axes than slices and channels, or values that are no numbers to show.
    """
    page: Any = tiff.pages.first
    dtype = None if page.dtype is None else np.dtype(page.dtype)
    if dtype is None or dtype.kind not in "buif" or not page.imagelength or not page.imagewidth:
        raise InputError(f"{path.name} holds no grey or colour pixels ({dtype}).", "Export it as 8 or 16 bit TIFF.")
    if page.photometric == tifffile.PHOTOMETRIC.SEPARATED:
        raise InputError(f"{path.name} is a CMYK image.", "Export it as RGB.")
    shape = (int(page.imagelength), int(page.imagewidth))
    samples = int(page.samplesperpixel)
    if not (tiff.is_imagej or tiff.is_ome or tiff.is_shaped) and len(tiff.pages) == 1:
        return Layout(tiff, tiff.pages, page, shape, samples=samples, colormap=page.colormap)
    try:
        series = tiff.series[0]
    except _DAMAGE:
        whole = _whole_pages(tiff)
        if not whole:
            raise
        return Layout(tiff, whole, page, shape, slices=len(whole), samples=samples, colormap=page.colormap, is_cut=True)
    if _are_pages(tiff):
        return Layout(tiff, tiff.pages, page, shape, slices=len(tiff.pages), samples=samples, colormap=page.colormap)
    axes, sizes = series.axes.upper(), tuple(int(n) for n in series.shape)
    before = [(a, n) for a, n in zip(axes, sizes, strict=True) if a not in "YXS" and n > 1]
    depth = [n for a, n in before if a in _DEPTH]
    channels = [n for a, n in before if a == "C"]
    if not depth and channels and channels[0] > _MOST_CHANNELS:  # ImageJ calls a plain stack channels
        depth, channels = channels, []
    if len(depth) > 1 or len(channels) > 1 or len(depth) + len(channels) < len(before) or (channels and samples > 1):
        raise InputError(
            f"{path.name} has the axes {axes} of {' x '.join(map(str, sizes))}; only slices and channels can be read.",
            "Save one time point or position at a time.",
        )
    return Layout(
        tiff, series.pages, page, shape,
        slices=depth[0] if depth else 1,
        channels=channels[0] if channels else 1,
        channels_first=bool(channels) and before[0][0] == "C",
        samples=samples,
        offset=series.dataoffset if dtype.kind != "b" else None,
        others=len(tiff.series) - 1,
        colormap=page.colormap,
    )  # fmt: skip


def _whole_pages(tiff: tifffile.TiffFile) -> list[Any]:
    """Pages before the first one whose directory is damaged, as far as they are like the first."""
    pages: list[Any] = []
    for index in range(len(tiff.pages)):
        try:
            page: Any = tiff.pages[index]
            if pages and (page.shape, page.dtype) != (pages[0].shape, pages[0].dtype):
                break
        except _DAMAGE:
            break
        pages.append(page)
    return pages


def _are_pages(tiff: tifffile.TiffFile) -> bool:
    """Whether the file has single pages alike, each written as an image of its own: a stack all the same."""
    if tiff.is_imagej or tiff.is_ome or not 1 < len(tiff.series) == len(tiff.pages):
        return False
    return len({(s.shape, str(s.dtype)) for s in tiff.series}) == 1


def broken_slices(layout: Layout, size: int, only: int | None = None) -> dict[int, str]:
    """Slices whose strips or tiles are not all in a file of ``size`` bytes, with the reason."""
    broken = {}
    for z in range(layout.slices) if only is None else (only,):
        for index in layout.planes(z):
            if reason := _missing_part(layout, index, size):
                broken[z] = reason
    return broken


def lost_pages(layout: Layout) -> bool:
    """Whether the chain of pages ends in a page that is not in the file."""
    tiff = layout.tiff
    if layout.is_cut:
        return True
    if layout.slices * layout.channels == 1 and len(layout.pages) != 1:
        return False
    if layout.slices * layout.channels > len(layout.pages):  # their number is known without the pages
        return False
    end = tiff.pages.next_page_offset
    if end is None:
        return False
    tiff.filehandle.seek(end)
    return any(tiff.filehandle.read(tiff.tiff.offsetsize))


def _missing_part(layout: Layout, index: int, size: int) -> str:
    """Why the pixels of a page are not whole; empty when they are."""
    plane = layout.plane_bytes
    if index >= len(layout.pages):
        whole = layout.offset is not None and layout.offset + (index + 1) * plane <= size
        return "" if whole else "the file is cut off"
    try:
        part = layout.pages[index]
    except _DAMAGE:
        return "its directory is damaged"
    offsets, counts = (part.dataoffsets, part.databytecounts) if part is not None else ((), ())
    known = len(offsets) == len(counts) >= int(np.prod(layout.page.chunked)) and all(counts)
    there = sum(counts)
    kind = int(layout.page.compression)
    most = there if kind == 1 else there * _DEFLATE_LIMIT if kind in _DEFLATE else plane
    reasons = {
        "parts of it were never written": not known,
        "the file is cut off": any(start + n > size for start, n in zip(offsets, counts, strict=False)),
        f"{there:,} bytes cannot hold its pixels": plane > most,
    }
    return next((reason for reason, is_so in reasons.items() if is_so), "")
