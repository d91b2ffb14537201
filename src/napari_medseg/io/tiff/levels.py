"""Slides in TIFF: which pages are the levels of an image, and what reads them tile by tile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.io.blocks import Blocks, white
from napari_medseg.io.pyramid import LARGE

from .pages import DAMAGE, Layout, is_level
from .segments import Segments, Source
from .shown import shown

Array = npt.NDArray[Any]

_LARGEST_BLOCK = 2**26
"""Bytes that a block of a slide may take; what is stored in larger pieces is read as a whole."""


@dataclass(frozen=True)
class LevelPages:
    """The pages of one level, one per channel where channels are pages of their own, and its (Y, X)."""

    pages: tuple[Any, ...]
    shape: tuple[int, int]


class TiffLevel(Blocks):
    """A level of a slide whose blocks are the tiles, or strips, of the file."""

    def __init__(self, source: Source, about: LevelPages, layout: Layout, key: tuple[Any, ...]) -> None:
        page = about.pages[0].keyframe
        self._source, self._layout = source, layout
        self._segments = tuple(Segments(p) for p in about.pages)
        self._planes = page.samplesperpixel if page.planarconfig == 2 and page.samplesperpixel > 1 else 1
        block = _block(page)
        self._columns = -(-about.shape[1] // block[1])
        self._each = self._columns * -(-about.shape[0] // block[0])
        dtype = np.dtype(np.uint8) if page.dtype == bool else np.dtype(page.dtype).newbyteorder("=")
        if layout.colormap is not None and dtype != np.uint8:
            dtype = np.dtype(np.uint16)
        shape = (*about.shape, layout.colors) if layout.colors > 1 else about.shape
        super().__init__(shape, dtype, block, source.path.name, (*key, page.offset))

    def decode(self, row: int, column: int) -> Array | None:
        index = row * self._columns + column
        height, width = (
            min(side, whole - at * side) for side, whole, at in zip(self.block, self.shape, (row, column), strict=False)
        )
        if all(segments.is_glass(index) for segments in self._segments):
            return np.full((height, width, *self.shape[2:]), white(self.dtype), self.dtype)
        try:
            planes = [
                segments.decode(self._source, plane * self._each + index)
                for segments in self._segments
                for plane in range(self._planes)
            ]
        except (*DAMAGE, OSError, MemoryError, TypeError, LookupError):
            return None
        parts = [plane[:height, :width] for plane in planes if plane is not None]
        if len(parts) < len(planes) or any(part.shape[:2] != (height, width) for part in parts):
            return None
        pixels = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)
        made = shown(pixels[..., 0] if pixels.shape[-1] == 1 else pixels, self._layout)
        return np.ascontiguousarray(made, self.dtype) if made.shape[2:] == self.shape[2:] else None


def level_pages(layout: Layout, *, vendor: bool = False) -> list[LevelPages]:
    """Levels of a slide, the first of which is the image; none where it is no slide, or is stored in one piece.

    Parameters
    ----------
    vendor
        Whether a scanner's file name says that it is a slide, however small.
    """
    if layout.slices != 1 or not _in_blocks(layout.page):
        return []
    first = LevelPages(tuple(layout.pages[n] for n in layout.planes(0)), layout.shape)
    if any(page is None for page in first.pages):
        return []
    levels = [first]
    try:
        for found in _smaller(layout):
            small, page = min(levels[-1].shape), found.pages[0].keyframe
            if _fits(page, layout.page) and max(found.shape) < max(levels[-1].shape) and min(found.shape) <= small:
                levels.append(found)
    except DAMAGE:  # the image itself is there
        pass
    if len(levels) > 1 or vendor or max(layout.shape) > LARGE:
        return levels
    return []


def open_levels(path: Path, layout: Layout, levels: Sequence[LevelPages]) -> tuple[TiffLevel, ...]:
    """What reads each level; the file stays open for as long as one of them is held."""
    source, status = Source(path), path.stat()
    key = (str(path.resolve()), status.st_mtime_ns, status.st_size)
    return tuple(TiffLevel(source, about, layout, key) for about in levels)


def lost_tiles(level: LevelPages, size: int) -> tuple[int, int]:
    """Tiles of a level that are not in a file of ``size`` bytes, and all of its tiles.

    Where the directory does not even name a place for each, none counts as there.
    """
    segments = [Segments(page) for page in level.pages]
    tiles = sum(s.expected for s in segments)
    return (sum(int(s.lost(size).sum()) for s in segments) if all(s.listed for s in segments) else tiles), tiles


def _smaller(layout: Layout) -> list[LevelPages]:
    """Levels below the first: those that the file ties to it, or pages that look like it."""
    if not layout.tiff.series:
        return []
    series = layout.tiff.series[layout.index]
    found = []
    for level in series.levels[1:]:
        page = level.keyframe
        pages = tuple(level.pages[n] for n in layout.planes(0)) if layout.channels > 1 else (level.pages[0],)
        if all(p is not None for p in pages):
            found.append(LevelPages(pages, (int(page.imagelength), int(page.imagewidth))))
    if layout.channels == 1 and not layout.tiff.is_ome:  # the reader takes halves alone for levels
        others = [s.keyframe for n, s in enumerate(layout.tiff.series) if n > layout.index and is_level(s, series)]
        found += [LevelPages((p,), (int(p.imagelength), int(p.imagewidth))) for p in others]
    return sorted(found, key=lambda f: -max(f.shape))


def _in_blocks(page: Any) -> bool:
    """Whether a page is stored in pieces small enough to be read one by one."""
    height, width = _block(page)
    piece = height * width * int(page.samplesperpixel) * np.dtype(page.dtype).itemsize
    flat = int(page.imagedepth or 1) == 1 and int(page.tiledepth or 1) <= 1
    return bool(flat and piece <= _LARGEST_BLOCK and page.is_tiled)


def _fits(page: Any, first: Any) -> bool:
    """Whether a level holds the same kind of pixels as the image."""
    same = ("dtype", "samplesperpixel", "photometric", "planarconfig")
    height, width = _block(page)
    piece = height * width * int(page.samplesperpixel) * np.dtype(page.dtype).itemsize
    alike = all(getattr(page, name) == getattr(first, name) for name in same if name != "photometric")
    return alike and piece <= _LARGEST_BLOCK


def _block(page: Any) -> tuple[int, int]:
    if page.is_tiled:
        return int(page.tilelength), int(page.tilewidth)
    return min(int(page.rowsperstrip), int(page.imagelength)), int(page.imagewidth)
