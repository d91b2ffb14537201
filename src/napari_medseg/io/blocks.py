"""Levels of slides that are read block by block: what does not fit in memory is decoded where it is asked for.

A block that the file claims but does not hold, or that cannot be decoded, is white and told by `Blocks.read`: it is
not background, and nothing may be concluded from it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import partial
from itertools import product
from pathlib import Path
from threading import Event, Lock
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from napari_medseg.core import InputError

from .budget import check_budget

Array = npt.NDArray[Any]
Window = tuple[slice, slice]
"""Rows and columns of a rectangle."""

Block = tuple[Array, tuple[Window, ...]]
"""Pixels of a block, and which parts of it (in pixels of its level) could not be read and are white."""

KEPT_BYTES = 256 * 2**20
"""Decoded blocks that are kept in all, whatever the number of open slides."""


@runtime_checkable
class BlockReader(Protocol):
    """A level that is read in blocks.

    Attributes
    ----------
    shape, dtype, ndim
        As of an array, (Y, X) or (Y, X, C).
    block
        Height and width of the file's own blocks: reads along their borders decode nothing twice.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    ndim: int
    block: tuple[int, int]

    def __getitem__(self, index: Any) -> Array:
        """Pixels as numpy would give them; unreadable ones are white."""
        ...

    def read(self, rows: slice, columns: slice) -> tuple[Array, tuple[Window, ...]]:
        """Pixels of a rectangle, and which parts of it (in pixels of the level) could not be read and are white."""
        ...


class _Kept:
    """Decoded blocks, those used longest ago given up first; a block that two threads ask for is decoded once."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._size = 0
        self._blocks: OrderedDict[Hashable, Block] = OrderedDict()
        self._coming: dict[Hashable, Event] = {}
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], Block | None]) -> Block | None:
        while True:
            with self._lock:
                if (block := self._blocks.get(key)) is not None:
                    self._blocks.move_to_end(key)
                    return block
                event = self._coming.get(key)
                if event is None:
                    done = self._coming[key] = Event()
                    break
            event.wait()
        made: Block | None = None
        try:
            made = make()
        finally:
            with self._lock:
                del self._coming[key]
                if made is not None and made[0].nbytes <= self.limit // 2:
                    self._blocks[key] = made
                    self._size += made[0].nbytes
                while self._size > self.limit:
                    self._size -= self._blocks.popitem(last=False)[1][0].nbytes
            done.set()
        return made


_KEPT = _Kept(KEPT_BYTES)


class Blocks:
    """A level whose blocks are decoded one by one and kept for a while; threads may share it.

    Parameters
    ----------
    shape, dtype
        (Y, X) or (Y, X, C).
    block
        Height and width of a block.
    name
        What to call it in messages.
    key
        What its blocks are kept under: the same for the same level of the same file.
    """

    def __init__(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], block: tuple[int, int], name: str, key: Hashable
    ) -> None:
        self.shape, self.dtype, self.block = shape, np.dtype(dtype), block
        self.ndim = len(shape)
        self._name, self._key = name, key

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=object))

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._name}: {' x '.join(map(str, self.shape))} {self.dtype}>"

    def decode(self, row: int, column: int) -> Array | None:
        """Pixels of a block, cut off at the level's edges, or None where it cannot be read; may run in any thread."""
        raise NotImplementedError

    def make(self, row: int, column: int) -> Block | None:
        """As `decode`, for levels that may have a part of a block."""
        pixels = self.decode(row, column)
        return None if pixels is None else (pixels, ())

    def read(self, rows: slice, columns: slice) -> tuple[Array, tuple[Window, ...]]:
        """Pixels of a rectangle inside the level, and which parts of it could not be read and are white."""
        return self._take(_along(rows, self.shape[0]), _along(columns, self.shape[1]))

    def __getitem__(self, index: Any) -> Array:
        parts = index if isinstance(index, tuple) else (index,)
        if Ellipsis in [p for p in parts if not isinstance(p, np.ndarray)]:
            at = next(n for n, p in enumerate(parts) if p is Ellipsis)
            parts = (*parts[:at], *(slice(None),) * (self.ndim + 1 - len(parts)), *parts[at + 1 :])
        parts = (*parts, *(slice(None),) * (self.ndim - len(parts)))
        if not all(isinstance(p, slice | int | np.integer) for p in parts) or len(parts) > self.ndim:
            picked: Array = np.asarray(self)[index]
            return picked
        ranges = [_along(part, side) for part, side in zip(parts[:2], self.shape, strict=False)]
        pixels, _ = self._take(*ranges)
        return pixels[(*(slice(None) if isinstance(p, slice) else 0 for p in parts[:2]), *parts[2:])]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """The whole level, where it fits in memory and all of it can be read."""
        check_budget(Path(self._name), self.shape, self.dtype)
        pixels, lost = self.read(slice(None), slice(None))
        if lost:
            rows, columns = lost[0]
            raise InputError(
                f"{self._name} cannot be read at {len(lost)} places, the first at row {rows.start},"
                f" column {columns.start}.",
                "Copy it again from where it came from, or leave these places out.",
            )
        return pixels if dtype is None else pixels.astype(dtype, copy=False)

    def _take(self, rows: range, columns: range) -> tuple[Array, tuple[Window, ...]]:
        """Pixels at these rows and columns, of which only the blocks they lie in are decoded."""
        out = np.empty((len(rows), len(columns), *self.shape[2:]), self.dtype)
        lost: list[Window] = []
        across = _in_blocks(columns, self.block[1])
        for (i, there, top), (j, here, left) in product(_in_blocks(rows, self.block[0]), across):
            found = _KEPT.get((self._key, i, j), partial(self.make, i, j))
            part = (_whole(rows, there), _whole(columns, here))
            if found is None:
                out[there, here] = white(self.dtype)
                lost.append(part)
            else:
                out[there, here] = found[0][top, left]
                lost += [shared for hole in found[1] if (shared := _shared(hole, part))]
        return out, tuple(lost)


def read_region(level: Any, rows: slice, columns: slice) -> tuple[Array, tuple[Window, ...]]:
    """Pixels of a rectangle of any level, and which parts of it could not be read and are white.

    Parameters
    ----------
    level
        A `BlockReader`, or any array: what cannot be read of that makes the whole rectangle unreadable.
    rows, columns
        Within the level, without steps.
    """
    if isinstance(level, BlockReader):
        return level.read(rows, columns)
    y, x = _along(rows, level.shape[0]), _along(columns, level.shape[1])
    try:
        return np.asarray(level[y.start : y.stop, x.start : x.stop]), ()
    except InputError:
        shape = (len(y), len(x), *level.shape[2:])
        return np.full(shape, white(level.dtype), level.dtype), ((slice(y.start, y.stop), slice(x.start, x.stop)),)


def white(dtype: npt.DTypeLike) -> float | int:
    """The brightest value of a type; 1 of decimal numbers."""
    kind = np.dtype(dtype)
    return 1 if kind.kind in "fb" else int(np.iinfo(kind).max)


def _along(index: Any, side: int) -> range:
    """Pixels along an axis that an index or slice picks."""
    if isinstance(index, slice):
        return range(side)[index]
    if not -side <= index < side:
        raise IndexError(f"index {index} is out of bounds for an axis of {side}")
    return range(int(index) % side, int(index) % side + 1)


def _in_blocks(pixels: range, block: int) -> list[tuple[int, slice, slice]]:
    """For each block that holds some of these pixels: its number, their places in the result, and within the block."""
    if not pixels:
        return []
    if pixels.step < 0:  # read forwards, put down backwards
        last, found = len(pixels) - 1, _in_blocks(pixels[::-1], block)
        return [(n, slice(last - p.start, last - p.stop if p.stop <= last else None, -1), q) for n, p, q in found]
    found, done, step = [], 0, pixels.step
    while done < len(pixels):
        number, start = divmod(pixels[done], block)
        count = min(len(pixels) - done, (block - start - 1) // step + 1)
        inside = slice(start, start + (count - 1) * step + 1, step)
        found.append((number, slice(done, done + count), inside))
        done += count
    return found


def _shared(one: Window, other: Window) -> Window | None:
    """What two rectangles have in common."""
    y, x = (slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one, other, strict=True))
    return (y, x) if y.start < y.stop and x.start < x.stop else None


def _whole(pixels: range, part: slice) -> slice:
    """First and last pixel of a part of these pixels, as a slice of the level."""
    picked = pixels[part]
    low, high = sorted((picked[0], picked[-1]))
    return slice(low, high + 1)
