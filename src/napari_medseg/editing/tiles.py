"""Square parts of a slice as bytes: what the journal keeps of a labels layer."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_medseg.core import InputError

from .history import Box

SIDE = 128
_NAME = struct.Struct("<cIII")
_ABOUT = struct.Struct("<3sIHH")


@dataclass(frozen=True)
class TileName:
    """Which tile of a layer: its slice, and its row and column among the tiles of the slice."""

    z: int
    row: int
    column: int

    def box(self, shape: tuple[int, ...]) -> Box:
        """Rows and columns of the tile in slices of ``shape`` (…, Y, X)."""
        top, left = self.row * SIDE, self.column * SIDE
        return slice(top, min(top + SIDE, shape[-2])), slice(left, min(left + SIDE, shape[-1]))

    def pack(self) -> bytes:
        return _NAME.pack(b"t", self.z, self.row, self.column)

    @classmethod
    def unpack(cls, name: bytes) -> TileName | None:
        """The tile that a part of a log is, or None when it is something else."""
        if len(name) != _NAME.size or name[:1] != b"t":
            return None
        return cls(*_NAME.unpack(name)[1:])


def tiles_in(z: int, box: Box) -> Iterator[TileName]:
    """The tiles that a box of slice ``z`` lies in."""
    rows, columns = box
    for row in range(rows.start // SIDE, -(-rows.stop // SIDE)):
        for column in range(columns.start // SIDE, -(-columns.stop // SIDE)):
            yield TileName(z, row, column)


def encode_tile(labels: npt.NDArray[np.integer], mine: npt.NDArray[np.bool_]) -> Callable[[], bytes | None]:
    """A function that packs a tile: all its values, and which are the user's; None for an empty one."""

    def encode() -> bytes | None:
        count = int(np.count_nonzero(mine))
        if not count and not labels.any():
            return None
        about = _ABOUT.pack(labels.dtype.newbyteorder("<").str.encode(), count, *labels.shape)
        pixels = labels.astype(labels.dtype.newbyteorder("<"), copy=False).tobytes()
        return about + zlib.compress(np.packbits(mine).tobytes() + pixels, 1)

    return encode


def count_mine(part: bytes) -> int:
    """Number of pixels in a packed tile that are the user's, without unpacking it."""
    return int(_ABOUT.unpack_from(part)[1])


def decode_tile(part: bytes) -> tuple[npt.NDArray[np.integer], npt.NDArray[np.bool_]]:
    """Values of a packed tile and which are the user's, shape (Y, X) each.

    Raises
    ------
    InputError
        If it is no packed tile.
    """
    try:
        kind, _, rows, columns = _ABOUT.unpack_from(part)
        dtype = np.dtype(kind.decode("ascii"))
        size, bits = rows * columns, -(-rows * columns // 8)
        if dtype.kind not in "iu" or max(rows, columns) > SIDE:
            raise ValueError
        content = zlib.decompressobj().decompress(part[_ABOUT.size :], bits + size * dtype.itemsize)
        mine = np.unpackbits(np.frombuffer(content, np.uint8, bits), count=size).astype(bool)
        labels = np.frombuffer(content, dtype, size, bits)
    except (struct.error, zlib.error, ValueError, TypeError) as error:
        raise InputError("A part of the journal is damaged.") from error
    return labels.reshape(rows, columns), mine.reshape(rows, columns)
