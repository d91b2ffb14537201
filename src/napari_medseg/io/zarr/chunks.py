"""Chunks of a label array as files of their own: each is there whole or not at all, whenever a program is killed.

Source: Zarr core specification, version 3 (regular chunk grid, default chunk keys, codecs ``bytes`` and ``zstd``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt

from napari_medseg.core import InputError

ZSTD_LEVEL = 3

Array = npt.NDArray[Any]
Place = tuple[int, int]
"""Row and column of a chunk among the chunks of its array."""


class ChunkFiles:
    """The chunks of one two-dimensional array.

    The library's own way through its event loop takes about five times as long a chunk, and 10,000 chunks of
    background are to be written in seconds.

    Parameters
    ----------
    folder
        Of the array.
    shape
        (Y, X) of the array.
    chunk
        Side of its chunks.
    fill
        Value of what is in no chunk, and of what a chunk at the edge holds beyond the array, with the array's type.
    """

    def __init__(self, folder: Path, shape: Place, chunk: int, fill: np.generic) -> None:
        self._folder, self.shape, self._chunk, self._fill = folder / "c", shape, chunk, fill
        self.count = (-(-shape[0] // chunk), -(-shape[1] // chunk))
        self._uniform: dict[tuple[int, Place], bytes] = {}

    def size(self, place: Place) -> Place:
        """(Y, X) of the part of a chunk that lies in the array."""
        height, width = (min(self._chunk, n - i * self._chunk) for n, i in zip(self.shape, place, strict=True))
        return height, width

    def path(self, place: Place) -> Path:
        return self._folder / str(place[0]) / str(place[1])

    def written(self, place: Place) -> bool:
        """Whether the chunk was ever written; an empty file, as a power cut leaves it, was not."""
        try:
            return self.path(place).stat().st_size > 0
        except OSError:
            return False

    def read(self, place: Place) -> Array | None:
        """Values of a chunk within the array; None for one that was never written.

        Raises
        ------
        InputError
            It is damaged.
        """
        try:
            packed = self.path(place).read_bytes()
        except FileNotFoundError:
            return None
        height, width = self.size(place)
        try:
            values = np.frombuffer(imagecodecs.zstd_decode(packed), self._stored_type).reshape(self._chunk, self._chunk)
        except (imagecodecs.ZstdError, ValueError) as error:
            raise InputError(f"{self.path(place)} is damaged.", "Segment that region again.") from error
        return values[:height, :width].astype(self._fill.dtype)

    def write(self, place: Place, values: Array | int) -> None:
        """Write a chunk; one number stands for a chunk full of it."""
        if isinstance(values, int):
            key = (values, self.size(place))
            if key not in self._uniform:
                self._uniform[key] = self._pack(place, values)
            packed = self._uniform[key]
        else:
            packed = self._pack(place, values)
        path = self.path(place)
        part = path.with_name(f"{path.name}.{token_hex(8)}.partial")
        try:
            try:
                part.write_bytes(packed)
            except FileNotFoundError:
                path.parent.mkdir(parents=True, exist_ok=True)
                part.write_bytes(packed)
            part.replace(path)
        except OSError:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise

    def clean(self, rows: Iterable[int]) -> None:
        """Remove what a killed program was writing in these rows of chunks."""
        for row in rows:
            for part in (self._folder / str(row)).glob("*.partial"):
                part.unlink(missing_ok=True)

    @property
    def _stored_type(self) -> np.dtype[Any]:
        return self._fill.dtype.newbyteorder("<")

    def _pack(self, place: Place, values: Array | int) -> bytes:
        height, width = self.size(place)
        whole = np.full((self._chunk, self._chunk), self._fill, self._stored_type)
        whole[:height, :width] = values
        return bytes(imagecodecs.zstd_encode(whole.tobytes(), level=ZSTD_LEVEL))


def places_in(inside: tuple[Place, Place], chunk: int) -> Iterator[Place]:
    """Chunks that a rectangle touches, row by row."""
    (top, bottom), (left, right) = inside
    if bottom <= top or right <= left:
        return
    for i in range(top // chunk, -(-bottom // chunk)):
        for j in range(left // chunk, -(-right // chunk)):
            yield i, j


def children(place: Place) -> Iterator[Place]:
    """The four chunks of the level before that a chunk is made from; some may lie beyond the edge."""
    i, j = place
    yield from ((2 * i, 2 * j), (2 * i, 2 * j + 1), (2 * i + 1, 2 * j), (2 * i + 1, 2 * j + 1))


def simplest(values: Array) -> Array | int:
    """The one number that a chunk is full of, or the chunk."""
    return int(values.flat[0]) if (values == values.flat[0]).all() else values
