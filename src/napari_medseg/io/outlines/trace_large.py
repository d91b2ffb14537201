"""Outlines of masks as large as slides, one group of regions at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import OutputError

from .regions import Region
from .trace import trace_slice

BLOCK = 512
BAND = 1024
MOST_PIXELS = 16_384**2
"""Of what is traced at once: a group of regions in blocks that touch, with everything between them."""

Array = npt.NDArray[Any]


def trace_large(data: Any) -> list[Region]:
    """Regions of labels (Y, X) that are read in parts: those in blocks of 512 pixels that touch are traced together.

    The result is that of `trace_slice`, in the order of groups.

    Raises
    ------
    OutputError
        Regions lie so close together that a group of them is too large.
    """
    from scipy import ndimage

    groups, count = ndimage.label(_filled(data), structure=np.ones((3, 3), int))
    found: list[Region] = []
    windows = ndimage.find_objects(groups)
    for number in range(1, count + 1):
        where = windows[number - 1]
        rows, columns = (slice(s.start * BLOCK, min(s.stop * BLOCK, n)) for s, n in zip(where, data.shape, strict=True))
        if (rows.stop - rows.start) * (columns.stop - columns.start) > MOST_PIXELS:
            raise OutputError(
                f"The labels cover {columns.stop - columns.start} x {rows.stop - rows.start} pixels without a gap of"
                f" {BLOCK}, which is too much to be outlined.",
                "Write .ome.tif or .ome.zarr instead, or outline a part of the slide.",
            )
        values = np.asarray(data[rows, columns]).copy()
        for i, j in np.argwhere(groups[where] != number):
            values[i * BLOCK : (i + 1) * BLOCK, j * BLOCK : (j + 1) * BLOCK] = 0
        corner = np.array([rows.start, columns.start], float)
        found += [_moved(region, corner) for region in trace_slice(values)]
    return found


def _moved(region: Region, corner: npt.NDArray[np.float64]) -> Region:
    return replace(region, polygons=tuple(tuple(ring + corner for ring in polygon) for polygon in region.polygons))


def _filled(data: Any) -> npt.NDArray[np.bool_]:
    """Blocks with any label."""
    height, width = (int(n) for n in data.shape)
    rows = [
        np.logical_or.reduceat(part.any(axis=0), np.arange(0, width, BLOCK)) for part in _rows_of_blocks(data, height)
    ]
    return np.array(rows)


def _rows_of_blocks(data: Any, height: int) -> Iterator[Array]:
    for top in range(0, height, BAND):
        band = np.asarray(data[top : top + BAND])
        for first in range(0, len(band), BLOCK):
            yield band[first : first + BLOCK]
