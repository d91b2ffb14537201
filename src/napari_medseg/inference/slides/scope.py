"""What of a slide shall be segmented: all of it, or what lies inside drawn outlines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from napari_medseg.core import InputError
from napari_medseg.io.outlines.fill import Mask, cover

Place = tuple[int, int]


class Scope:
    """Blocks of a slide inside polygons, and which of their pixels are.

    Parameters
    ----------
    polygons
        Each (N, 2), points (Y, X) in pixels of the slide; a pixel counts when its middle is inside one of them.
        None for the whole slide.
    shape, block
        (Y, X) of the slide, and the side of its blocks.

    Raises
    ------
    InputError
        Nothing of the slide is inside.
    """

    def __init__(self, polygons: Sequence[npt.ArrayLike] | None, shape: Place, block: int) -> None:
        self._shape, self._block = shape, block
        count = -(-shape[0] // block), -(-shape[1] // block)
        self._cut: dict[Place, Mask] = {}
        if polygons is None:
            self.blocks = [(i, j) for i in range(count[0]) for j in range(count[1])]
            return
        self._polygons = [np.asarray(p, np.float64) for p in polygons]
        if any(p.ndim != 2 or p.shape[1] != 2 or len(p) < 3 or not np.isfinite(p).all() for p in self._polygons):
            raise InputError("Every outline needs three points or more, each of a row and a column.", "Draw it anew.")
        inside = np.zeros(count, bool)
        for polygon in self._polygons:
            # Away from all edges a block is inside as a whole or not at all, and its middle tells.
            for rows, columns, mask in cover((polygon / block,), count):
                inside[rows, columns] |= mask
        crossed = np.zeros(count, bool)
        for polygon in self._polygons:
            _mark_crossed(polygon / block, crossed)
        for i, j in np.argwhere(crossed).tolist():
            mask = self._inside((i, j))
            inside[i, j] = mask.any()
            if inside[i, j] and not mask.all():
                self._cut[i, j] = mask
        self.blocks = [(i, j) for i, j in np.argwhere(inside).tolist()]
        if not self.blocks:
            raise InputError("Nothing of the slide is inside the outlines.", "Draw them on the slide.")

    def is_whole(self, place: Place) -> bool:
        """Whether all pixels of a block are inside."""
        return place not in self._cut

    def inside(self, place: Place) -> Mask | None:
        """Pixels of a block that are inside; None where all of them are."""
        return self._cut.get(place)

    def _inside(self, place: Place) -> Mask:
        size = [min(self._block, n - i * self._block) for n, i in zip(self._shape, place, strict=True)]
        found = np.zeros(size, bool)
        for polygon in self._polygons:
            for rows, columns, mask in cover((polygon - np.array(place) * self._block,), (size[0], size[1])):
                found[rows, columns] |= mask
        return found


def _mark_crossed(polygon: npt.NDArray[np.float64], crossed: Mask) -> None:
    """Mark the blocks that edges may cross; points are in blocks."""
    ends = np.roll(polygon, -1, axis=0)
    for start, end in zip(polygon, ends, strict=True):
        # In pieces of at most a block, whose bounding boxes are then at most two blocks a side.
        steps = np.linspace(0, 1, int(np.ceil(np.abs(end - start).max())) + 2)[:, None]
        points = start + steps * (end - start)
        low = np.floor(np.minimum(points[:-1], points[1:])).astype(int)
        high = np.floor(np.maximum(points[:-1], points[1:])).astype(int)
        for (top, left), (bottom, right) in zip(low, high, strict=True):
            if bottom >= 0 and right >= 0:
                crossed[max(top, 0) : bottom + 1, max(left, 0) : right + 1] = True
