"""Tiles and strips of a TIFF: where they lie, and whether their bytes are whole.

Decoders of JPEG fill what they do not find with grey and say nothing, so streams are looked at first.

Sources: ITU-T T.81, Annex B (marker segments); ISO/IEC 15444-1, Annex A (SIZ); Adobe, "TIFF Revision 6.0", section 15.
"""

from __future__ import annotations

import os
import re
import weakref
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

_OLD_JPEG = 6
_JPEG = (7, 33007, 34892)
_JPEG_2000 = (33003, 33004, 33005, 34712)
_START, _END = b"\xff\xd8", b"\xff\xd9"
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_STRAY = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")
"""A marker that has no place in coded data, where 0xFF is followed by 0 or is a restart."""

_HOLE = bytes(64)
"""Coded pixels hold no such run of zeros; a lost sector does."""

_PADDING = 16
"""Pixels that a coded tile may be larger than the directory says: JPEG codes whole blocks."""


class Source:
    """A file that is read at any place by several threads at once; closed when nobody holds it any more."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._number = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._lock = Lock()
        self.size = os.fstat(self._number).st_size
        weakref.finalize(self, os.close, self._number)

    def read(self, start: int, count: int) -> bytes:
        """Bytes from ``start``; fewer where the file ends."""
        if hasattr(os, "pread"):
            return os.pread(self._number, count, start)
        with self._lock:
            os.lseek(self._number, start, os.SEEK_SET)
            return os.read(self._number, count)


class Segments:
    """The tiles or strips of one page.

    Parameters
    ----------
    page
        A page of tifffile, or a frame of one.
    """

    def __init__(self, page: Any) -> None:
        key = page.keyframe
        self.compression = int(key.compression)
        self.offsets: npt.NDArray[np.int64] = np.array(page.dataoffsets or (), np.int64)
        self.counts: npt.NDArray[np.int64] = np.array(page.databytecounts or (), np.int64)
        self.expected = int(np.prod(key.chunked, dtype=object))
        # Philips leaves out the tiles of empty glass; elsewhere a tile without bytes was lost.
        leaves_out = bool(page.parent.is_philips) and self.counts.any()
        self._is_glass = (self.counts == 0) if leaves_out else np.zeros(len(self.counts), bool)
        self._decode = key.decode
        is_jpeg = self.compression in (*_JPEG, _OLD_JPEG)
        tables = {"jpegtables": page.jpegtables, "jpegheader": key.jpegheader} if is_jpeg else {}
        self._tables = {name: value for name, value in tables.items() if value is not None}
        self._shape = (key.tilelength, key.tilewidth) if key.is_tiled else (key.rowsperstrip, key.imagewidth)

    @property
    def listed(self) -> bool:
        """Whether the directory names a place for each of them."""
        return len(self.offsets) == len(self.counts) >= self.expected

    def lost(self, size: int) -> npt.NDArray[np.bool_]:
        """Which of them are not in a file of ``size`` bytes."""
        there = min(len(self.offsets), len(self.counts), self.expected)
        lost = np.ones(self.expected, bool)
        starts, counts = self.offsets[:there], self.counts[:there]
        lost[:there] = ((starts <= 0) | (counts <= 0) | (starts + counts > size)) & ~self._is_glass[:there]
        return lost

    def is_glass(self, index: int) -> bool:
        """Whether the file leaves out this one because nothing but white glass was there."""
        return index < len(self._is_glass) and bool(self._is_glass[index])

    def decode(self, source: Source, index: int) -> npt.NDArray[Any] | None:
        """Pixels (Y, X, samples), at edges as far as there are some; None where it is not in the file.

        Raises
        ------
        Exception
            Whatever the decoder raises on damaged data.
        """
        if index >= min(len(self.offsets), len(self.counts)):
            return None
        start, count = int(self.offsets[index]), int(self.counts[index])
        if start <= 0 or count <= 0 or start + count > source.size:
            return None
        coded = source.read(start, count)
        if len(coded) < count or not self._is_whole(coded):
            return None
        pixels, _, shape = self._decode(coded, index, **self._tables)
        return None if pixels is None else np.asarray(pixels)[0, : shape[1], : shape[2]]

    def _is_whole(self, coded: bytes) -> bool:
        height, width = self._shape
        if self.compression in _JPEG and "jpegheader" in self._tables:  # the frame is told once for all of them
            return _HOLE not in coded.rstrip(b"\0")
        if self.compression in _JPEG:
            frame = _jpeg_frame(coded)
        elif self.compression in _JPEG_2000:
            frame = _jpeg_2000_frame(coded)
        else:
            return True
        return frame is not None and frame[0] <= height + _PADDING and frame[1] <= width + _PADDING


def _jpeg_frame(coded: bytes) -> tuple[int, int] | None:
    """Height and width that a JPEG stream claims; None where it is damaged."""
    if coded[:2] != _START:
        return None
    place, frame = 2, None
    while place + 4 <= len(coded) and coded[place] == 0xFF:
        marker, length = coded[place + 1], int.from_bytes(coded[place + 2 : place + 4], "big")
        if marker == 0xFF:
            place += 1
            continue
        if marker in _FRAMES:
            height, width = coded[place + 5 : place + 7], coded[place + 7 : place + 9]
            frame = int.from_bytes(height, "big"), int.from_bytes(width, "big")
        place += 2 + length
        if marker == 0xDA:
            break
    end = coded.rfind(_END)
    if frame is None or end < place or _HOLE in coded[place:end]:
        return None
    stray = _STRAY.search(coded, place, end)
    several = stray is not None and coded[stray.end() - 1] in (0xC4, 0xDA, 0xDB, 0xDD)  # progressive: more scans
    return None if stray is not None and not several else frame


def _jpeg_2000_frame(coded: bytes) -> tuple[int, int] | None:
    """Height and width that a JPEG 2000 stream claims; None where it is cut off."""
    start = coded.find(b"\xff\x4f\xff\x51")
    if start < 0 or _END not in coded[-64:]:
        return None
    x, y, left, top = (int.from_bytes(coded[start + 8 + 4 * n : start + 12 + 4 * n], "big") for n in range(4))
    return y - top, x - left
