"""Finished blocks of a slide, with what others than the network say of them, into the result and its ledger."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.io.zarr.labels import LabelPyramid

from .ledger import Ledger
from .scope import Scope

FLUSH_SECONDS = 0.5
FLUSH_BLOCKS = 8

Place = tuple[int, int]
Window = tuple[slice, slice]


class BlockWriter:
    """Writes blocks, a few at a time; all of it in one thread.

    Parameters
    ----------
    pyramid, ledger
        The result and what is done of it.
    owner
        Whose files in the ledger say what is done.
    scope
        Which pixels of a block count.
    check
        Called before anything is marked as unreadable; raises when something else is the matter.
    levels
        Whether the smaller levels are written too.

    Attributes
    ----------
    written
        Rectangles of the result as they are finished, for another thread to take.
    """

    def __init__(
        self,
        pyramid: LabelPyramid,
        ledger: Ledger,
        owner: str,
        scope: Scope,
        *,
        check: Callable[[], None],
        levels: bool,
    ) -> None:
        self._pyramid, self._ledger, self._owner, self._scope = pyramid, ledger, owner, scope
        self._check, self._levels = check, levels
        self._pending: dict[Place, tuple[npt.NDArray[Any] | int, list[Window]]] = {}
        self._flushed = time.monotonic()
        self.written: deque[Window] = deque()

    def store(self, place: Place, values: npt.NDArray[Any], lost: list[Window]) -> None:
        """Take a block's values (h, w), and the rectangles of the slide that could not be read for it."""
        for window in lost:
            values[_within(window, self._pyramid.window(place))] = self._pyramid.not_computed
        self._pending[place] = (values, lost)
        if len(self._pending) >= FLUSH_BLOCKS:
            self.flush()
        else:
            self.flush_if_old()

    def store_background(self, places: Sequence[Place]) -> None:
        """Take blocks that are background as a whole."""
        self.flush()
        for place in places:
            self._pending[place] = (0, [])
        self.flush()

    def flush_if_old(self) -> None:
        """Write what waits if that has waited for a while."""
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what waits, then the levels above it, then that it is done: in this order, whatever happens."""
        self._flushed = time.monotonic()
        if not self._pending:
            return
        pyramid, ledger = self._pyramid, self._ledger
        if any(windows for _, windows in self._pending.values()):
            self._check()  # a drive that went away is no damage of the slide
        with ledger.writing():
            chunks = {place: self._completed(place, values) for place, (values, _) in self._pending.items()}
            pyramid.write_chunks(chunks)
            if self._levels:
                pyramid.build_above(chunks)
        for place, (_, windows) in self._pending.items():
            ledger.mark_unreadable(self._owner, _rectangles(windows, pyramid.window(place)))
        ledger.mark_done(self._owner, [place for place in chunks if self._scope.is_whole(place)])
        self.written.extend(_in_bands([pyramid.window(place) for place in chunks]))
        self._pending.clear()

    def _completed(self, place: Place, values: npt.NDArray[Any] | int) -> npt.NDArray[Any] | int:
        """A block with what others than the network say: outlines, and the person who put something back."""
        pyramid = self._pyramid
        window = pyramid.window(place)
        inside = self._scope.inside(place)
        painted = self._ledger.painted(*window)
        if inside is None and not painted:
            return values
        size = [part.stop - part.start for part in window]
        values = np.full(size, values, pyramid.dtype) if isinstance(values, int) else values
        if inside is not None:
            values = np.where(inside, values, pyramid.read(*window))
        for patch in painted:
            here, there = _within((patch.rows, patch.columns), window), _within(window, (patch.rows, patch.columns))
            said = patch.values[there] != pyramid.not_computed
            values[here] = np.where(said, patch.values[there], values[here])
        return values


def _within(window: Window, frame: Window) -> Window:
    """The part of a rectangle that lies in another, counted from the other's corner."""
    rows, columns = (
        slice(min(max(a.start, b.start), b.stop) - b.start, max(min(a.stop, b.stop), b.start) - b.start)
        for a, b in zip(window, frame, strict=True)
    )
    return rows, columns


def _rectangles(lost: Sequence[Window], frame: Window) -> list[Window]:
    """What lies in a rectangle of others that may overlap, as rectangles that do not."""
    if not lost:
        return []
    mask = np.zeros([part.stop - part.start for part in frame], bool)
    for window in lost:
        mask[_within(window, frame)] = True
    found = []
    # Rows alike make one band, and each band is cut where it begins and ends.
    changes = np.flatnonzero((mask[1:] != mask[:-1]).any(1)) + 1
    for top, bottom in pairwise([0, *changes.tolist(), len(mask)]):
        edges = np.flatnonzero(np.diff(mask[top].astype(np.int8), prepend=0, append=0)).tolist()
        for left, right in zip(edges[::2], edges[1::2], strict=True):
            rows, columns = (part.start for part in frame)
            found.append((slice(rows + top, rows + bottom), slice(columns + left, columns + right)))
    return found


def _in_bands(windows: Sequence[Window]) -> Iterator[Window]:
    """Each window, or, of many, the bounding box of each row of them."""
    if len(windows) <= FLUSH_BLOCKS:
        yield from windows
        return
    rows: dict[tuple[int, int], list[slice]] = {}
    for band, columns in windows:
        rows.setdefault((band.start, band.stop), []).append(columns)
    for (top, bottom), parts in rows.items():
        yield slice(top, bottom), slice(min(p.start for p in parts), max(p.stop for p in parts))
