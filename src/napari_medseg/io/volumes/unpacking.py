"""Voxels that are packed as a whole: unpacked as far as they are whole, never more than they should be."""

from __future__ import annotations

import bz2
import gzip
import zlib
from collections.abc import Iterator
from contextlib import closing
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from napari_medseg.io.pixels import damaged

from .stored import Packing, Stored, check_stored

Array = npt.NDArray[Any]

_AT_ONCE = 2**20
_TRAILING = 2**16
"""Bytes that may follow the voxels in a whole file."""


def unpack(stored: Stored) -> Array:
    """All bytes of the voxels, as far as they are whole.

    Raises
    ------
    InputError
        If what was packed is not what is there: its check sum differs.
    """
    check_stored(stored, stored.path.name)
    data = np.empty(stored.size, np.uint8)
    filled = 0
    for chunk in chunks(stored, check=True):
        data[filled : filled + len(chunk)] = np.frombuffer(chunk, np.uint8)
        filled += len(chunk)
    return data[:filled]


def chunks(stored: Stored, *, check: bool = False) -> Iterator[bytes]:
    """The bytes of the voxels in parts, until they end or are damaged; with ``check`` the check sum is compared."""
    left = stored.size
    skip = stored.offset
    try:
        with stored.path.open("rb") as file:
            file.seek(stored.packed_from)
            with closing(_opened(file, stored.packing)) as packed:
                while left > 0 or skip > 0:
                    chunk = packed.read1(min(_AT_ONCE, skip or left))
                    if not chunk:
                        return
                    if skip:
                        skip -= len(chunk)
                        continue
                    left -= len(chunk)
                    yield chunk
                if check:
                    packed.read1(1)
    except gzip.BadGzipFile as error:
        if check and left == 0:
            raise damaged(stored.path, "its check sum differs") from error
    except (OSError, EOFError, zlib.error, ValueError):
        return


def _opened(file: IO[bytes], packing: Packing) -> Any:
    if packing == "gzip":
        return gzip.GzipFile(fileobj=file)
    return bz2.BZ2File(file) if packing == "bzip2" else _Zlib(file)


class _Zlib:
    """Reads a zlib stream (RFC 1950) as `gzip.GzipFile` reads one of gzip."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._stream = zlib.decompressobj()

    def read1(self, size: int) -> bytes:
        while not self._stream.eof:
            packed = self._stream.unconsumed_tail or self._file.read(2**16)
            if not packed:
                return b""
            if chunk := self._stream.decompress(packed, size):
                return chunk
        return b""

    def close(self) -> None:
        """The file is closed by who opened it."""


def may_end_early(stored: Stored) -> bool:
    """Whether the size that gzip notes at its end (RFC 1952, 2.3.1) is not that of what is expected."""
    with stored.path.open("rb") as file:
        file.seek(max(0, file.seek(0, 2) - 4))
        noted = int.from_bytes(file.read(4), "little")
    return (noted - stored.offset - stored.size) % 2**32 > _TRAILING
