"""The list of a TIFF's pages, each of which tells where the next begins."""

from __future__ import annotations

import struct

import tifffile


def runs_in_a_circle(tiff: tifffile.TiffFile) -> bool:
    """Whether following the pages comes back to one that was there before: tifffile would count millions of them."""
    if tiff.is_ndpi:  # its offsets are put together from two places
        return False
    handle, kind = tiff.filehandle, tiff.tiff
    seen: set[int] = set()
    at = 8 if kind.is_bigtiff else 4
    while True:
        handle.seek(at)
        raw = handle.read(kind.offsetsize)
        if len(raw) < kind.offsetsize:
            return False
        (start,) = struct.unpack(kind.offsetformat, raw)
        if start in seen:
            return True
        if not 0 < start < handle.size:
            return False
        seen.add(start)
        handle.seek(start)
        raw = handle.read(kind.tagnosize)
        if len(raw) < kind.tagnosize:
            return False
        at = start + kind.tagnosize + struct.unpack(kind.tagnoformat, raw)[0] * kind.tagsize
