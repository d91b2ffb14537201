"""The levels of single images: those of their file, and made up ones where it has none and the image is large."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from napari_medseg.core import InputError

from .blocks import Block, Blocks, Window, read_region
from .format import Header
from .pixels import is_grey
from .pyramid import LARGE, SMALLEST, count_levels, halve_mean
from .registry import format_for

Array = npt.NDArray[Any]

_BLOCK = 512
_LEAST_BLOCK, _MOST_BLOCK = 128, 1024

_MOST_LOOKED_AT = 2**26
"""Pixels that are decoded to tell grey from colour: a made up level takes all of the one above."""


def open_levels(path: Path, header: Header, part: int | None = None) -> tuple[Any, ...]:
    """The levels of a file that holds a single image, the image first; none where that is small.

    They are those of its file; smaller ones are made up where the file has none that is small enough to be looked at.
    Of a large picture in one piece all are made when pixels are first asked for: it is then decoded once.
    """
    if header.slices > 1 or header.volume:
        return ()
    form = format_for(path)
    found = form.pyramid(path, **({} if part is None else {"part": part})) if form.pyramid else ()
    if found:
        return _completed(path, found)
    if max(header.shape) <= LARGE or form.array is not None:
        return ()
    return _one_piece(path, header, partial(form.pixels, path, **({} if part is None else {"part": part}))).levels


class HalvedLevel(Blocks):
    """A level of half the size of another, made of the means of two by two pixels where it is looked at.

    Where one of the pixels cannot be read, so it is said of the mean.
    """

    def __init__(self, base: Any, name: str, key: Hashable) -> None:
        self._base = base
        block = getattr(base, "block", (_BLOCK, _BLOCK))
        height, width = (side if _LEAST_BLOCK <= side <= _MOST_BLOCK else _BLOCK for side in block)
        shape = (*((side + 1) // 2 for side in base.shape[:2]), *base.shape[2:])
        super().__init__(shape, base.dtype, (height, width), name, key)

    def make(self, row: int, column: int) -> Block | None:
        (height, width), (y, x) = self.block, (2 * row * self.block[0], 2 * column * self.block[1])
        pixels, lost = read_region(self._base, slice(y, y + 2 * height), slice(x, x + 2 * width))
        return halve_mean(pixels), tuple((_half(rows), _half(columns)) for rows, columns in lost)


class OnePiece:
    """A large picture that is decoded as a whole, once, when its pixels are first asked for; and its smaller copies.

    Parameters
    ----------
    load
        Gives the pixels; raises `InputError`, each time it is asked.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], load: Callable[[], Array], name: str) -> None:
        self._load, self._lock, self._name = load, Lock(), name
        self._shape, self._dtype = shape, dtype
        self._made: list[Array] = []

    @property
    def levels(self) -> tuple[PieceLevel, ...]:
        found, shape = [], self._shape
        for n in range(count_levels((shape[0], shape[1])) + 1):
            found.append(PieceLevel(self, n, shape, self._dtype))
            shape = (*((side + 1) // 2 for side in shape[:2]), *shape[2:])
        return tuple(found)

    def level(self, number: int) -> Array:
        """Pixels of a level.

        Raises
        ------
        InputError
            The file has become another since it was opened, or is damaged.
        """
        with self._lock:
            if not self._made:
                pixels = self._load()
                if pixels.shape != self._shape or not np.can_cast(pixels.dtype, self._dtype):
                    raise InputError(
                        f"{self._name} is now {pixels.dtype} of shape {pixels.shape}, not {self._dtype} of shape"
                        f" {self._shape}.",
                        "It was changed or damaged since it was opened; open it again.",
                    )
                pixels = pixels.astype(self._dtype, copy=False)
                pixels.flags.writeable = False
                self._made.append(pixels)
            while len(self._made) <= number:
                self._made.append(halve_mean(self._made[-1]))
            return self._made[number]


class PieceLevel:
    """One level of a picture in one piece; an array whose pixels come when they are asked for."""

    def __init__(self, piece: OnePiece, number: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._piece, self._number = piece, number
        self.shape, self.dtype, self.ndim = shape, dtype, len(shape)
        self.size = int(np.prod(shape, dtype=object))
        self.nbytes = self.size * dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Array:
        return np.asarray(self._piece.level(self._number)[index])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self._piece.level(self._number), dtype=dtype, copy=copy)


class GreyLevel:
    """A level whose three channels are the same everywhere, as one channel."""

    def __init__(self, level: Any, name: str) -> None:
        self._level, self._name = level, name
        self.shape, self.dtype, self.ndim = level.shape[:2], level.dtype, 2
        self.block: tuple[int, int] = getattr(level, "block", (_BLOCK, _BLOCK))
        self.size = int(np.prod(self.shape, dtype=object))
        self.nbytes = self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, index: Any) -> Array:
        parts = index if isinstance(index, tuple) else (index,)
        return self._checked(np.asarray(self._level[(*parts, slice(None)) if Ellipsis in parts else parts]))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        pixels = self._checked(np.asarray(self._level))
        return pixels if dtype is None else pixels.astype(dtype, copy=False)

    def read(self, rows: slice, columns: slice) -> tuple[Array, tuple[Window, ...]]:
        """Pixels of a rectangle, and which parts of it could not be read and are white."""
        pixels, lost = read_region(self._level, rows, columns)
        return self._checked(pixels), lost

    def _checked(self, pixels: Array) -> Array:
        if not is_grey(pixels):
            raise InputError(f"{self._name} is coloured, while it looked grey when small.", "Read it with color=True.")
        return np.ascontiguousarray(pixels[..., 0])


def looks_colored(levels: Sequence[Any]) -> bool:
    """Whether the channels of a slide differ, by its smallest level; of a picture in one piece, by all of it.

    Where that takes decoding too much, they do.
    """
    small = levels[0] if isinstance(levels[0], PieceLevel) else levels[-1]
    stored = next((level for level in reversed(levels) if not isinstance(level, HalvedLevel)), small)
    if math.prod(stored.shape[:2]) > _MOST_LOOKED_AT and not isinstance(small, PieceLevel):
        return True
    pixels, _ = read_region(small, slice(0, small.shape[0]), slice(0, small.shape[1]))
    return not is_grey(pixels)


_PIECES: WeakValueDictionary[Hashable, OnePiece] = WeakValueDictionary()
"""Pictures that somebody holds: looked at first and opened then, they are decoded once."""


def _one_piece(path: Path, header: Header, load: Callable[[], Array]) -> OnePiece:
    status = path.stat()
    key = (str(path.resolve()), status.st_mtime_ns, status.st_size, header.slice_shape)
    piece = _PIECES.get(key)
    if piece is None:
        piece = _PIECES[key] = OnePiece(header.slice_shape, header.dtype, load, path.name)
    return piece


def _half(side: slice) -> slice:
    return slice(side.start // 2, (side.stop + 1) // 2)


def _completed(path: Path, levels: Sequence[Any]) -> tuple[Any, ...]:
    """With made up levels, down to about a screen, where the smallest of the file is large, or is the only one."""
    found = list(levels)
    if len(found) == 1 or max(found[-1].shape[:2]) > LARGE:
        status = path.stat()
        key = (str(path.resolve()), status.st_mtime_ns, status.st_size, tuple(map(tuple, (f.shape for f in found))))
        while len(found) == len(levels) or max(found[-1].shape[:2]) > SMALLEST:
            found.append(HalvedLevel(found[-1], path.name, (*key, "halved", len(found))))
    return tuple(found)
