"""From polygons to pixels: a pixel belongs to a polygon when its centre lies inside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from .regions import Polygon, Region, area

Mask = npt.NDArray[np.bool_]

_BAND = 2**26
"""Pixels that are filled at a time."""

_CROSSINGS = 2**21
"""Crossings of edges and rows that are worked out at a time, however many there are."""


@dataclass
class Filled:
    """What filling showed.

    Attributes
    ----------
    overlapping
        Pixels within outlines of two classes.
    empty
        Regions that cover the centre of no pixel.
    """

    overlapping: int = 0
    empty: int = 0


def fill(regions: Sequence[Region], onto: npt.NDArray[np.unsignedinteger]) -> Filled:
    """Write the values of regions into one slice (Y, X).

    Larger regions come first, so that a smaller one within or across them stays to be seen, whatever their order.
    """
    filled = Filled()
    for region in sorted(regions, key=area, reverse=True):
        hit = False
        for polygon in region.polygons:
            for rows, columns, mask in cover(polygon, (onto.shape[0], onto.shape[1])):
                window = onto[rows, columns]
                hit = hit or bool(mask.any())
                filled.overlapping += int(np.count_nonzero(mask & (window != 0) & (window != region.value)))
                window[mask] = region.value
        filled.empty += not hit
    return filled


def cover(polygon: Polygon, shape: tuple[int, int]) -> Iterator[tuple[slice, slice, Mask]]:
    """Pixels of an image of this shape whose centres lie inside, in bands of rows.

    A centre that lies exactly on an edge counts when the inside is to its right or below, so polygons that share an
    edge share no pixel and leave none out.
    """
    starts = np.concatenate(polygon)
    ends = np.concatenate([np.roll(ring, -1, axis=0) for ring in polygon])
    first = np.clip(np.ceil(starts.min(axis=0) - 0.5), 0, shape).astype(int)
    last = np.clip(np.ceil(starts.max(axis=0) - 0.5), 0, shape).astype(int)
    (top, left), (bottom, right) = first, last
    if bottom <= top or right <= left:
        return
    # Every edge from above to below: both polygons that share one then find the same crossings.
    down = (starts[:, 0] < ends[:, 0])[:, np.newaxis]
    upper, lower = np.where(down, starts, ends), np.where(down, ends, starts)
    step = max(1, _BAND // (right - left))
    for begin in range(top, bottom, step):
        end = min(begin + step, bottom)
        inside = _inside(upper, lower, (begin, end), (left, right))
        yield slice(begin, end), slice(left, right), inside


def _inside(
    upper: npt.NDArray[np.float64], lower: npt.NDArray[np.float64], rows: tuple[int, int], columns: tuple[int, int]
) -> Mask:
    """Even-odd rule, by how many edges lie to the left of each centre."""
    width = columns[1] - columns[0] + 1
    crossed = np.zeros((rows[1] - rows[0]) * width, np.uint8)
    first = np.clip(np.ceil(upper[:, 0] - 0.5), *rows).astype(int)
    counts = np.clip(np.ceil(lower[:, 0] - 0.5), *rows).astype(int) - first
    edges = np.flatnonzero(counts > 0)
    until = np.cumsum(counts[edges])
    starts = [0]
    while starts[-1] < len(edges):
        before = until[starts[-1] - 1] if starts[-1] else 0
        following = int(np.searchsorted(until, before + _CROSSINGS, side="right"))
        starts.append(max(following, starts[-1] + 1))
    for begin, end in pairwise(starts):
        some = edges[begin:end]
        edge = np.repeat(some, counts[some])
        within = np.arange(len(edge)) - np.repeat(np.cumsum(counts[some]) - counts[some], counts[some])
        row = first[edge] + within
        (y0, x0), (y1, x1) = upper[edge].T, lower[edge].T
        x = x0 + (row + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
        column = np.clip(np.ceil(x - 0.5), *columns).astype(int) - columns[0]
        # Counts may overflow: whether they are odd stays right.
        np.add.at(crossed, (row - rows[0]) * width + column, np.uint8(1))
    lines = crossed.reshape(-1, width)
    odd: Mask = (np.cumsum(lines, axis=1, dtype=np.uint8) & 1).astype(bool)
    return odd[:, :-1]
