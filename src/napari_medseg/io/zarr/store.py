"""A folder of chunks that are refused where unpacking one would take more memory than there is.

Sources: Blosc, "Chunk format" (header of 16 bytes); RFC 8878, 3.1.1 (Zstandard frame header); RFC 1950 and 1952 (zlib,
gzip).
"""

from __future__ import annotations

import zlib
from typing import Any

from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore

from napari_medseg.core import InputError
from napari_medseg.io.budget import DEFLATE_LIMIT, in_gib, memory_budget

_ZSTD = b"\x28\xb5\x2f\xfd"


class CheckedStore(LocalStore):
    """A store whose chunks say beforehand how large they will be; codecs allocate what a chunk claims."""

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """The bytes of a key; raises `InputError` for a chunk that unpacks to more than one slice may take."""
        found = await super().get(key, prototype, byte_range)
        if found is not None and (size := unpacked_size(found.as_numpy_array())) > memory_budget():
            raise InputError(f"A chunk of {self.root.name} ({key}) claims {in_gib(size)}.", "It is damaged or made up.")
        return found


def unpacked_size(chunk: Any) -> int:
    """Bytes that a chunk unpacks to, as its header says; 0 where it does not say, or is not packed."""
    start = bytes(chunk[:18])
    if len(start) >= 16 and start[0] in (1, 2) and int.from_bytes(start[12:16], "little") == len(chunk):
        return int.from_bytes(start[4:8], "little")  # Blosc
    if start[:4] == _ZSTD and len(start) > 5:
        return _zstd_size(start)
    is_gzip = start[:3] == b"\x1f\x8b\x08"
    if is_gzip or (start[:1] == b"\x78" and int.from_bytes(start[:2], "big") % 31 == 0):
        return _inflated_size(chunk, is_gzip=is_gzip)
    return 0


def _zstd_size(start: bytes) -> int:
    """Frame_Content_Size; 0 where the frame does not tell it."""
    flags = start[4]
    single = flags >> 5 & 1
    length = (single, 2, 4, 8)[flags >> 6]
    begin = 5 + (not single) + (0, 1, 2, 4)[flags & 3]
    size = int.from_bytes(start[begin : begin + length], "little")
    return size + 256 if length == 2 else size


def _inflated_size(chunk: Any, *, is_gzip: bool) -> int:
    """Deflate does not say beforehand: where the budget could be exceeded, inflate piece by piece and keep nothing."""
    limit = memory_budget()
    if len(chunk) * DEFLATE_LIMIT <= limit:
        return 0
    stream = zlib.decompressobj(zlib.MAX_WBITS | 16 if is_gzip else zlib.MAX_WBITS)
    packed, size = bytes(chunk), 0
    try:
        while packed and size <= limit and not stream.eof:
            size += len(stream.decompress(packed, 2**20))
            packed = stream.unconsumed_tail
    except zlib.error:  # told when it is decoded
        return 0
    return size
