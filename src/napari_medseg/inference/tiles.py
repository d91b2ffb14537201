"""Windows over a slice that is larger than the network's tile, and the weights that blend them (pure numpy)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Window = tuple[slice, slice]

# Sides up to this many tiles go through whole: one larger pass is cheaper than four overlapping ones.
WHOLE_UP_TO = 1.5


@dataclass(frozen=True)
class Layout:
    """How a slice is cut.

    Attributes
    ----------
    padded
        Shape (Y, X) of the slice after padding; every window lies inside.
    patch
        Shape (Y, X) of each window, multiples of what the network needs.
    windows
        Row and column ranges in the padded slice.
    """

    padded: tuple[int, int]
    patch: tuple[int, int]
    windows: tuple[Window, ...]


def round_up(size: int, multiple: int) -> int:
    """The smallest multiple of ``multiple`` that is not below ``size``, at least one."""
    return max(1, math.ceil(size / multiple)) * multiple


def starts(length: int, tile: int, overlap: float) -> list[int]:
    """First pixels of the evenly spread windows of ``tile`` pixels that cover ``length`` pixels.

    Neighbours share at least ``overlap * tile`` pixels (rounded); a length up to one tile has one window.
    """
    if length <= tile:
        return [0]
    step = max(1, round(tile * (1 - overlap)))
    count = math.ceil((length - tile) / step) + 1
    return [int(i) for i in np.linspace(0, length - tile, count).round()]


def lay_out(shape: tuple[int, int], tile: int, overlap: float, multiple: int = 32) -> Layout:
    """Cut a slice of ``shape`` (Y, X) into windows of at most ``tile`` pixels a side.

    Parameters
    ----------
    shape
        Size of the slice in pixels; any size from 1 x 1.
    tile
        Side of the windows, rounded up to ``multiple``; sides shorter than that are padded to ``multiple`` only.
    overlap
        Fraction of the tile that neighbours share.
    multiple
        The network takes sides that are multiples of this.
    """
    tile = round_up(tile, multiple)
    patch = tuple(min(tile, round_up(n, multiple)) for n in shape)
    # Padded alike whether tiled or whole, so that the network sees the same beyond the edge.
    padded = tuple(round_up(n, multiple) for n in shape)
    rows, columns = (starts(n, p, overlap) for n, p in zip(padded, patch, strict=True))
    windows = tuple((slice(r, r + patch[0]), slice(c, c + patch[1])) for r in rows for c in columns)
    return Layout((padded[0], padded[1]), (patch[0], patch[1]), windows)


def pad(slices: npt.NDArray[Any], shape: tuple[int, int]) -> npt.NDArray[Any]:
    """Mirror the lower and right edges until the last two axes have ``shape``; content stays at the upper left."""
    missing = [(0, 0)] * (slices.ndim - 2) + [(0, n - have) for n, have in zip(shape, slices.shape[-2:], strict=True)]
    return np.pad(slices, missing, mode="reflect") if any(after for _, after in missing) else slices


@lru_cache(maxsize=8)
def blend_weights(patch: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Weight of each pixel of a window, shape ``patch``: a Gaussian of an eighth of the side, 1 in the middle.

    A network knows least at the edge of what it sees, so edges count little where windows overlap
    (Isensee et al., nnU-Net, Nature Methods 2021). Never 0: an edge pixel may be seen by one window only.
    """
    rows, columns = (np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / (n / 8)) ** 2) for n in patch)
    weights = np.maximum(np.outer(rows, columns), 1e-4).astype(np.float32)
    weights.flags.writeable = False
    return weights
