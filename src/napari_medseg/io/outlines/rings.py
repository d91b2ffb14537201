"""Rings of one drawing put together to polygons: which are outer, which are holes, and what is inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]

_MOST_TESTS = 5 * 10**8

_GRID = 1e-3
"""Crossings are found to this part of a pixel; finer, what is left between two lines cannot be drawn."""

_SLIVER = 0.02
"""Parts and holes of fewer pixels, left where a line ran twice, are none."""


def put_together(rings: Sequence[Points], *, nonzero: bool) -> list[list[Points]]:
    """Polygons, each an outer ring and its holes, that enclose what the rings enclose together.

    Parameters
    ----------
    rings
        Points (X, Y), three or more each, in any order and direction; they may cross.
    nonzero
        Whether inside is what the rings wind around at all (SVG's ``nonzero``), else what an odd number surrounds.

    Raises
    ------
    ValueError
        If they cross too often to be told apart.
    """
    import shapely

    if len(rings) == 1 and (not nonzero or shapely.is_simple(shapely.LinearRing(rings[0]))):
        return [[rings[0]]]
    lines = shapely.union_all([shapely.LinearRing(ring) for ring in rings])
    faces: Any = shapely.get_parts(shapely.polygonize([lines]))
    if len(faces) * sum(map(len, rings)) > _MOST_TESTS:
        raise ValueError("a shape that crosses itself too often")
    points = shapely.get_coordinates(shapely.point_on_surface(faces))
    turns = sum(_winding(ring, points) for ring in rings)
    inside = turns != 0 if nonzero else np.asarray(turns) % 2 == 1
    parts = shapely.get_parts(shapely.union_all(faces[inside]))
    return [[shapely.get_coordinates(r)[:-1] for r in (p.exterior, *p.interiors)] for p in parts]


def uncrossed(polygon: Sequence[Points]) -> list[tuple[Points, ...]]:
    """The same area as polygons whose rings neither cross nor touch themselves; a good polygon stays as it is.

    Parameters
    ----------
    polygon
        An outer ring and its holes.
    """
    import shapely

    whole = shapely.Polygon(polygon[0], polygon[1:])
    if shapely.is_valid(whole):
        return [tuple(polygon)]
    # Drawn by hand, rings cross themselves; where one does, what an odd number of its turns surrounds is inside.
    valid: Any = shapely.get_parts(shapely.get_parts(shapely.set_precision(shapely.make_valid(whole), _GRID)))
    areas = [part for part in valid if part.geom_type == "Polygon" and part.area > _SLIVER]
    holes = [[hole for hole in part.interiors if shapely.Polygon(hole).area > _SLIVER] for part in areas]
    return [
        tuple(shapely.get_coordinates(ring)[:-1] for ring in (part.exterior, *inner))
        for part, inner in zip(areas, holes, strict=True)
    ]


def _winding(ring: Points, points: Points) -> npt.NDArray[np.intp]:
    """How often a ring winds around each point: crossings to its right, upward ones less downward ones."""
    following = np.roll(ring, -1, axis=0)
    turns = np.zeros(len(points), np.intp)
    for index, (x, y) in enumerate(points):
        up = (ring[:, 1] <= y) & (following[:, 1] > y)
        down = (ring[:, 1] > y) & (following[:, 1] <= y)
        cross = (following[:, 0] - ring[:, 0]) * (y - ring[:, 1]) - (x - ring[:, 0]) * (following[:, 1] - ring[:, 1])
        turns[index] = np.count_nonzero(up & (cross > 0)) - np.count_nonzero(down & (cross < 0))
    return turns
