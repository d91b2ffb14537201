"""From labels to outlines: along the edges of pixels, so that filling them gives the same pixels back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import Labels

from .regions import Outlines, Polygon, Region, Ring, signed_area

# Sides of a pixel in the order one walks around it clockwise: top, right, bottom, left. A ring runs with its own
# pixels on the right hand. Corner of the pixel at which a walk along that side ends (rows, columns):
_ENDS = np.array([(0, 1), (1, 1), (1, 0), (0, 0)])
# Pixel outside that side, and the one ahead of the walk along it (rows, columns).
_OUTSIDE = np.array([(-1, 0), (0, 1), (1, 0), (0, -1)])
_AHEAD = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)])


def trace(labels: Labels) -> Outlines:
    """Outline every connected region of every class, slice by slice.

    Pixels that touch at a side or a corner are one region; where only corners touch it has several polygons. All
    polygons are valid as OGC Simple Features 1.2.1 (section 6.1.11) has it, holes included.

    Raises
    ------
    OutputError
        Regions of a slide cover too large an area to be traced.
    """
    if labels.levels:
        from .trace_large import trace_large

        regions = trace_large(labels.data)
    else:
        regions = [r for z in range(len(labels)) for r in trace_slice(labels.slice(z), z)]
    height, width = labels.data.shape[-2:]
    return Outlines(
        tuple(regions), labels.classes, sizes=((int(height), int(width)),) * len(labels), names=labels.names,
        geometry=labels.geometry, source=labels.source, findings=labels.findings,
    )  # fmt: skip


def trace_slice(values: npt.NDArray[Any], z: int = 0) -> list[Region]:
    """Regions of one slice of labels (Y, X), in the order of their first pixels."""
    from skimage.measure import label

    if not values.any():
        return []
    # Within what is labelled, with one row and column of background around it.
    rows, columns = np.flatnonzero(values.any(axis=1)), np.flatnonzero(values.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    corner = np.array([top - 1, left - 1])
    padded = np.pad(values[top : rows[-1] + 1, left : columns[-1] + 1], 1)
    parts = label(padded, connectivity=1, background=0).ravel()  # type: ignore[no-untyped-call]
    polygons: dict[int, list[Ring]] = defaultdict(list)
    value: dict[int, int] = {}
    edges = _Edges.around(parts, padded.shape[1])
    for pixel, ring in edges.rings():
        part = int(parts[pixel])
        value[part] = int(padded.flat[pixel])
        polygons[part].append(ring + corner)
    wholes = edges.touching(parts, padded.ravel())
    regions: dict[int, list[int]] = defaultdict(list)
    for part in sorted(polygons):
        regions[wholes[part]].append(part)
    return [Region(tuple(_ordered(polygons[part]) for part in some), value[some[0]], z) for some in regions.values()]


def _ordered(rings: list[Ring]) -> Polygon:
    """The outer ring first: the only one that runs clockwise."""
    return tuple(sorted(rings, key=lambda ring: signed_area(ring) < 0))


@dataclass(frozen=True)
class _Edges:
    """Sides of pixels at which a part ends, in a padded image whose rows follow one another.

    Attributes
    ----------
    pixel, side
        Of each edge.
    over
        The pixel diagonally beyond the end of the edge.
    turn
        How many right turns lead to the next edge: 0 straight on, 1 right, 3 left.
    follower
        Index of the next edge.
    width
        Of the image.
    """

    pixel: npt.NDArray[np.intp]
    side: npt.NDArray[np.intp]
    over: npt.NDArray[np.intp]
    turn: npt.NDArray[np.intp]
    follower: npt.NDArray[np.intp]
    width: int

    @classmethod
    def around(cls, parts: npt.NDArray[Any], width: int) -> _Edges:
        """All of them, in the order of their pixels.

        Where a part touches itself at a corner, the line turns left, across to the other pixel: so it never passes a
        corner twice, and what it leaves out becomes a hole of its own.
        """
        outside, ahead = _OUTSIDE @ (width, 1), _AHEAD @ (width, 1)
        inner = np.flatnonzero(parts)
        ends = [inner[parts[inner + beyond] != parts[inner]] for beyond in outside]
        key = np.sort(np.concatenate([pixels * 4 + side for side, pixels in enumerate(ends)]))
        pixel, side = key // 4, key % 4
        front = pixel + ahead[side]
        over = front + outside[side]
        left, straight = parts[over] == parts[pixel], parts[front] == parts[pixel]
        next_pixel = np.where(left, over, np.where(straight, front, pixel))
        turn = np.where(left, 3, np.where(straight, 0, 1))
        follower = np.searchsorted(key, next_pixel * 4 + (side + turn) % 4)
        return cls(pixel, side, over, turn, follower, width)

    def rings(self) -> Iterator[tuple[int, Ring]]:
        """Closed lines, each with a pixel of its part; corners only where they turn."""
        corners = np.stack(np.divmod(self.pixel, self.width), axis=1) + _ENDS[self.side]
        followers, turns = self.follower.tolist(), (self.turn != 0).tolist()
        seen = bytearray(len(followers))
        for start in range(len(followers)):
            walk, edge = [], start
            while not seen[edge]:
                seen[edge] = 1
                if turns[edge]:
                    walk.append(edge)
                edge = followers[edge]
            if walk:
                yield int(self.pixel[start]), corners[walk].astype(np.float64)

    def touching(self, parts: npt.NDArray[Any], values: npt.NDArray[Any]) -> list[int]:
        """For each part the group of those that touch it at corners and have its value."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        first, second = parts[self.pixel], parts[self.over]
        pairs = (first != second) & (values[self.pixel] == values[self.over])
        count = int(parts.max()) + 1
        graph = coo_array((np.ones(int(pairs.sum()), bool), (first[pairs], second[pairs])), (count, count))
        groups: list[int] = connected_components(graph, directed=False)[1].tolist()
        return groups
