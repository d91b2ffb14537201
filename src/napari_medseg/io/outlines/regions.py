"""Outlines as values: regions bounded by polygons, in the pixels of their image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_medseg.core import ClassInfo, Finding, Geometry, OutputError

Ring = npt.NDArray[np.float64]
"""Corners (Y, X) of a closed line, shape (n, 2); the last is joined to the first, not repeated.

Pixel (0, 0) covers 0 to 1 along both axes, its centre is at (0.5, 0.5): so all the formats of ``annotations/`` count.
"""

Polygon = tuple[Ring, ...]
"""An outer ring and its holes: inside is what an odd number of them surrounds."""


@dataclass(frozen=True)
class Region:
    """One marked region: everything inside any of its polygons.

    Attributes
    ----------
    polygons
        One, or several where the region has parts.
    value
        Of its class.
    z
        The slice that it lies on.
    """

    polygons: tuple[Polygon, ...]
    value: int
    z: int = 0


@dataclass(frozen=True)
class Outlines:
    """The regions marked on an image, on the slices of a stack or on several images.

    Attributes
    ----------
    regions
        In the order of the file.
    classes
        The classes that the values of regions stand for.
    sizes
        (Y, X) of the image that they were drawn on, one a slice; empty where the file does not tell.
    names
        File name of each slice's image; empty where the file does not tell.
    geometry
        Of the image, where it is known.
    source
        The file they came from.
    scalable
        Whether they may be stretched to an image of another size, as drawings may.
    """

    regions: tuple[Region, ...]
    classes: tuple[ClassInfo, ...]
    sizes: tuple[tuple[int, int], ...] = ()
    names: tuple[str, ...] = ()
    geometry: Geometry | None = None
    source: Path | None = None
    findings: tuple[Finding, ...] = ()
    scalable: bool = False

    def __len__(self) -> int:
        """Number of slices."""
        return max(len(self.sizes), len(self.names), 1 + max((r.z for r in self.regions), default=0))

    def size_of(self, z: int) -> tuple[int, int]:
        """(Y, X) of a slice, for formats that cannot do without.

        Raises
        ------
        OutputError
            If it is not known.
        """
        if z >= len(self.sizes):
            raise OutputError(
                "The size of the image that the outlines were drawn on is not known, which this format needs.",
                "Open the outlines together with their image, or write a .geojson or .xml file.",
            )
        return self.sizes[z]


def scaled(regions: Sequence[Region], factor: tuple[float, float]) -> tuple[Region, ...]:
    """The same regions with Y and X multiplied."""
    by = np.array(factor)
    return tuple(replace(r, polygons=tuple(tuple(ring * by for ring in p) for p in r.polygons)) for r in regions)


def bounds(region: Region) -> tuple[float, float, float, float]:
    """Smallest and largest Y and X: ``(top, left, bottom, right)``."""
    points = np.concatenate([polygon[0] for polygon in region.polygons])
    (top, left), (bottom, right) = points.min(axis=0), points.max(axis=0)
    return float(top), float(left), float(bottom), float(right)


def signed_area(ring: Ring) -> float:
    """Area in pixels; positive when it runs clockwise on the screen, where Y points down."""
    y, x = (ring - ring[0]).T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(np.roll(x, -1), y)) / 2


def area(region: Region) -> float:
    """Area of its polygons in pixels, holes taken off."""
    return sum(abs(signed_area(p[0])) - sum(abs(signed_area(h)) for h in p[1:]) for p in region.polygons)


def joined(polygon: Polygon) -> Ring:
    """A polygon with holes as one ring: a cut leads to each hole and back, and encloses nothing.

    For formats that know no holes. The cut is the shortest from the hole's leftmost corner to a corner of the ring that
    crosses neither, where there is one.
    """
    ring = polygon[0]
    holes = sorted(polygon[1:], key=lambda h: float(h[:, 1].min()))
    for number, hole in enumerate(holes):
        touching = np.argwhere((hole[:, np.newaxis] == ring).all(axis=2))
        if len(touching):  # no cut is needed where they share a corner
            start, near = (int(i) for i in touching[0])
            ring = np.concatenate([ring[: near + 1], np.roll(hole, -start, axis=0)[1:], ring[near:]])
            continue
        around = np.roll(hole, -int(hole[:, 1].argmin()), axis=0)
        near = _find_free(ring, around[0], (ring, *holes[number:]))
        ring = np.concatenate([ring[: near + 1], around, around[:1], ring[near:]])
    return ring


def _find_free(ring: Ring, corner: Ring, walls: Sequence[Ring]) -> int:
    """Index of the nearest corner of a ring that a straight line from ``corner`` reaches without crossing a wall."""
    order = ((ring - corner) ** 2).sum(axis=1).argsort(kind="stable")
    begins = np.concatenate(walls)
    ends = np.concatenate([np.roll(wall, -1, axis=0) for wall in walls])
    return next((int(i) for i in order if not _crosses(corner, ring[i], begins, ends)), int(order[0]))


def _crosses(first: Ring, last: Ring, begins: Ring, ends: Ring) -> bool:
    """Whether the line between two points meets one of the lines from ``begins`` to ``ends`` away from its own ends."""

    def side(start: Ring, stop: Ring, of: Ring) -> npt.NDArray[np.float64]:
        (dy, dx), (y, x) = (stop - start).T, (of - start).T
        return np.asarray(np.sign(dy * x - dx * y))

    own = [(begins == p).all(axis=1) | (ends == p).all(axis=1) for p in (first, last)]
    parted = side(begins, ends, first) * side(begins, ends, last) <= 0
    met = side(first, last, begins) * side(first, last, ends) <= 0
    # A corner in passing counts: the cut would touch the ring there.
    return bool((parted & met & ~own[0] & ~own[1]).any())
