"""Whether the pixels of a TIFF are all in the file."""

from __future__ import annotations

import numpy as np

from .pages import DAMAGE, Layout

_DEFLATE = (5, 8, 32946)
_DEFLATE_LIMIT = 1500
"""Bytes that LZW and deflate pack into one at most, with room to spare."""


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
    except DAMAGE:
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
