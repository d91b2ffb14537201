"""Which pages of a TIFF are the slices of an image in it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from napari_medseg.core import InputError

_DEPTH = "ZIQRT"
"""Axes that count slices: depth, time, and tifffile's words for pages that do not say what they are."""

DAMAGE = (tifffile.TiffFileError, RuntimeError, ValueError, KeyError, IndexError, AssertionError,
          ArithmeticError)  # fmt: skip
"""What the reader raises when the directory of a page is damaged."""

_ALPHA = (1, 2)
_MAKE_RGB = (6, 7, 33007, 34892, 50001)
"""Compressions whose decoders give RGB: JPEG and WebP."""

_MOST_CHANNELS = 4
_ASIDE = frozenset({"label", "label image", "macro", "macro image", "thumbnail", "thumbnail image", "overview", "map"})
"""Names of pictures beside a slide, as scanners and converters call them."""


@dataclass(frozen=True)
class Layout:
    """How the pages of an image make up its slices.

    Attributes
    ----------
    tiff, pages, page
        The open file, the pages of the image, and the first of them; the others have its shape and type.
    shape
        (Y, X) of a slice.
    slices, channels
        Number of slices, and of channels that are pages of their own.
    start, step, channel_step
        Page of the first slice and channel; pages from one slice to the next, and from one channel to the next.
    axis
        What the slices are, as the file says: ``Z`` depth, ``T`` time.
    index
        Number of the image among all in the file.
    samples
        Samples of a pixel within a page.
    offset
        Where the pixels of all pages lie one after the other in the file, so that they need no directory each; or None.
    others
        Further images in the file, left out.
    parts
        Images and time points that can be chosen instead.
    colormap
        Colours of a palette, shape (3, entries), 16 bit; or None.
    is_cut
        Whether pages after the last one are damaged.
    """

    tiff: tifffile.TiffFile
    pages: Any
    page: Any
    shape: tuple[int, int]
    samples: int = 1
    slices: int = 1
    channels: int = 1
    start: int = 0
    step: int = 1
    channel_step: int = 1
    axis: str = "Z"
    index: int = 0
    offset: int | None = None
    others: int = 0
    parts: int = 1
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
    def is_luma(self) -> bool:
        """Whether samples are brightness and two colour differences that the decoder leaves as they are."""
        kind = int(self.page.compression)
        told = self.page.photometric == tifffile.PHOTOMETRIC.YCBCR and kind not in _MAKE_RGB
        return told or kind == tifffile.COMPRESSION.APERIO_JP2000_YCBC

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
        return [self.start + z * self.step + c * self.channel_step for c in range(self.channels)]

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


def lay_out(path: Path, tiff: tifffile.TiffFile, part: int = 0) -> Layout:
    """Make out slices and channels of an image in a file: of the only one, or of number ``part`` of `list_parts`.

    Raises
    ------
    InputError
        If it has other axes than slices and channels, or values that are no numbers to show.
    """
    first: Any = tiff.pages.first
    if not (tiff.is_imagej or tiff.is_ome or tiff.is_shaped) and len(tiff.pages) == 1:
        return Layout(tiff, tiff.pages, first, *_check_page(path, first), colormap=first.colormap)
    try:
        parts = _find_parts(tiff)
    except DAMAGE:
        shape, samples = _check_page(path, first)
        whole = _whole_pages(tiff)
        if not whole:
            raise
        return Layout(tiff, whole, first, shape, samples, slices=len(whole), colormap=first.colormap, is_cut=True)
    if not 0 <= part < len(parts):
        raise InputError(f"{path.name} holds {len(parts)} images, no number {part + 1}.")
    index, time = parts[part]
    series = tiff.series[index]
    page = series.keyframe
    shape, samples = _check_page(path, page)
    if _are_pages(tiff):
        return Layout(tiff, tiff.pages, page, shape, samples, slices=len(tiff.pages), colormap=page.colormap)
    sizes = _counted_axes(tiff, series)
    steps = {axis: math.prod([*sizes.values()][n + 1 :]) for n, axis in enumerate(sizes)}
    depth = [a for a in sizes if a in _DEPTH and (time is None or a != "T")]
    if len(depth) > 1 or sizes.keys() - {*_DEPTH, "C"} or ("C" in sizes and samples > 1):
        raise InputError(
            f"{path.name} has the axes {series.axes.upper()} of {' x '.join(map(str, series.shape))};"
            " only slices and channels can be read.",
            "Save one time point or position at a time.",
        )
    axis = depth[0] if depth else "Z"
    return Layout(
        tiff, series.pages, page, shape, samples,
        slices=sizes.get(axis, 1),
        channels=sizes.get("C", 1),
        start=(time or 0) * steps.get("T", 0),
        step=steps.get(axis, 1),
        channel_step=steps.get("C", 1),
        axis=axis,
        index=index,
        offset=series.dataoffset if np.dtype(page.dtype).kind != "b" else None,
        others=0 if tiff.is_ome else len({i for i, _ in _all_parts(tiff)}) - 1,
        parts=len(parts),
        colormap=page.colormap,
    )  # fmt: skip


def list_parts(tiff: tifffile.TiffFile) -> tuple[str, ...]:
    """Names of the images and time points that can be read by themselves; empty when there is one only.

    Of files that are no OME-TIFF the further images are left out: nothing says what they are.
    """
    try:
        parts = _find_parts(tiff)
    except DAMAGE:
        return ()
    if len(parts) < 2:
        return ()
    names = [str(s.name or "").strip() for s in tiff.series]
    known = len({names[i] for i, _ in parts}) == len({i for i, _ in parts}) and all(names[i] for i, _ in parts)
    labels = []
    for index, time in parts:
        name = names[index] if known else f"image {index + 1}"
        alone = len({i for i, _ in parts}) == 1
        labels.append(name if time is None else f"time {time + 1}" if alone else f"{name} time {time + 1}")
    return tuple(labels)


def _find_parts(tiff: tifffile.TiffFile) -> list[tuple[int, int | None]]:
    """Number of the image in the file and of its time point, for each that can be read by itself."""
    parts = _all_parts(tiff)
    return parts if tiff.is_ome else [p for p in parts if p[0] == parts[0][0]]


def _all_parts(tiff: tifffile.TiffFile) -> list[tuple[int, int | None]]:
    """Levels of pyramids are no images, nor are the pictures of a slide's label and of the whole glass."""
    images = [n for n, s in enumerate(tiff.series) if not _is_aside(s)] or [0]
    if not tiff.is_ome:
        images = [images[0], *(n for n in images[1:] if not is_level(tiff.series[n], tiff.series[images[0]]))]
    parts: list[tuple[int, int | None]] = []
    for index in images:
        sizes = _counted_axes(tiff, tiff.series[index])
        split = "T" in sizes and any(a in sizes for a in _DEPTH if a != "T")
        parts += [(index, time) for time in range(sizes["T"])] if split else [(index, None)]
    return parts


def _counted_axes(tiff: tifffile.TiffFile, series: Any) -> dict[str, int]:
    """Axes that count pages, outermost first, with their lengths."""
    sizes: dict[str, int] = {}
    for axis, n in zip(series.axes.upper(), series.shape, strict=True):
        if axis not in "YXS" and n > 1:
            sizes[axis if axis not in sizes else f"second {axis}"] = int(n)
    if not tiff.is_ome and [*sizes] == ["C"] and sizes["C"] > _MOST_CHANNELS:
        return {"Z": sizes["C"]}  # ImageJ calls a plain stack channels
    return sizes


def _is_aside(series: Any) -> bool:
    page = series.keyframe
    said = str(page.description or "").splitlines()[1:2] if str(page.description or "").startswith("Aperio") else []
    names = {str(series.name or "").strip().lower(), *(line.split(" ")[0].lower() for line in said)}
    return bool(page.is_subifd or page.is_reduced or names & _ASIDE)


def is_level(series: Any, first: Any) -> bool:
    """Whether pages that nothing calls a level are one all the same: tiled, smaller, of the same proportions."""
    small, large = series.keyframe, first.keyframe
    if not (small.is_tiled and large.is_tiled and small.imagewidth < large.imagewidth):
        return False
    width = small.imagelength * large.imagewidth / large.imagelength
    return bool(abs(width - small.imagewidth) <= max(2, 0.01 * small.imagewidth))


def _check_page(path: Path, page: Any) -> tuple[tuple[int, int], int]:
    """(Y, X) and samples of a page of numbers."""
    dtype = None if page.dtype is None else np.dtype(page.dtype)
    if dtype is None or dtype.kind not in "buif" or not page.imagelength or not page.imagewidth:
        raise InputError(f"{path.name} holds no grey or colour pixels ({dtype}).", "Export it as 8 or 16 bit TIFF.")
    if page.photometric == tifffile.PHOTOMETRIC.SEPARATED:
        raise InputError(f"{path.name} is a CMYK image.", "Export it as RGB.")
    return (int(page.imagelength), int(page.imagewidth)), int(page.samplesperpixel)


def _whole_pages(tiff: tifffile.TiffFile) -> list[Any]:
    """Pages before the first one whose directory is damaged, as far as they are like the first."""
    pages: list[Any] = []
    for index in range(len(tiff.pages)):
        try:
            page: Any = tiff.pages[index]
            if pages and (page.shape, page.dtype) != (pages[0].shape, pages[0].dtype):
                break
        except DAMAGE:
            break
        pages.append(page)
    return pages


def _are_pages(tiff: tifffile.TiffFile) -> bool:
    """Whether the file has single pages alike, each written as an image of its own: a stack all the same."""
    if tiff.is_imagej or tiff.is_ome or not 1 < len(tiff.series) == len(tiff.pages):
        return False
    return len({(s.shape, str(s.dtype)) for s in tiff.series}) == 1
