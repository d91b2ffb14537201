"""Windows over a slice that is larger than the network's tile, and the weights that blend them (pure numpy)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Window = tuple[slice, slice]

# Sides up to this many tiles go through whole: one larger pass is cheaper than four overlapping ones.
WHOLE_UP_TO = 1.5


@dataclass(frozen=True)
class Grid:
    """Windows over an image of the network's pixel size, in rows and columns.

    Attributes
    ----------
    shape
        (Y, X) of the image.
    padded
        The same rounded up to what the network needs; every window lies inside.
    patch
        (Y, X) of each window, multiples of what the network needs.
    rows, columns
        First pixels of the windows: multiples of what the network needs, so that its strides fall on the same pixels
        in every window (unless the tile is too small for that), and as evenly spread as that allows.
    """

    shape: tuple[int, int]
    padded: tuple[int, int]
    patch: tuple[int, int]
    rows: tuple[int, ...]
    columns: tuple[int, ...]

    @property
    def count(self) -> int:
        return len(self.rows) * len(self.columns)

    @property
    def windows(self) -> tuple[Window, ...]:
        """All of them, row by row."""
        return tuple(self.window(r, c) for r in range(len(self.rows)) for c in range(len(self.columns)))

    def window(self, r: int, c: int) -> Window:
        """Pixels of the window in grid row ``r`` and column ``c``, in the padded image."""
        top, left = self.rows[r], self.columns[c]
        return slice(top, top + self.patch[0]), slice(left, left + self.patch[1])


def round_up(size: int, multiple: int) -> int:
    """The smallest multiple of ``multiple`` that is not below ``size``, at least one."""
    return max(1, math.ceil(size / multiple)) * multiple


def starts(length: int, tile: int, overlap: float) -> list[int]:
    """Where the evenly spread windows of ``tile`` units begin that cover ``length`` units.

    Neighbours share at least ``overlap * tile`` units (rounded up); a length up to one tile has one window.
    """
    if length <= tile:
        return [0]
    step = max(1, math.floor(tile * (1 - overlap) + 1e-9))
    count = math.ceil((length - tile) / step) + 1
    return [int(i) for i in np.linspace(0, length - tile, count).round()]


@lru_cache(maxsize=64)
def lay_grid(shape: tuple[int, int], tile: int, overlap: float, multiple: int = 32) -> Grid:
    """Cut an image of ``shape`` (Y, X) into windows of at most ``tile`` pixels a side.

    Parameters
    ----------
    shape
        Size of the image at the network's pixel size; any size from 1 x 1.
    tile
        Side of the windows, rounded up to ``multiple``; sides shorter than that are padded to ``multiple`` only.
    overlap
        Fraction of the tile that neighbours share at least.
    multiple
        The network takes sides that are multiples of this.
    """
    sides = [round_up(n, multiple) for n in shape]
    patch = [min(round_up(tile, multiple), side) for side in sides]
    # Tiles hardly larger than the multiple could not overlap on multiples.
    units = [multiple if size * (1 - overlap) >= multiple else 1 for size in patch]
    rows, columns = (
        tuple(unit * i for i in starts(side // unit, size // unit, overlap))
        for side, size, unit in zip(sides, patch, units, strict=True)
    )
    # Padded alike whether tiled or whole, so that the network sees the same beyond the edge.
    return Grid((shape[0], shape[1]), (sides[0], sides[1]), (patch[0], patch[1]), rows, columns)


def pad(slices: npt.NDArray[Any], shape: tuple[int, int]) -> npt.NDArray[Any]:
    """Mirror the lower and right edges until the last two axes have ``shape``; content stays at the upper left."""
    missing = [(0, 0)] * (slices.ndim - 2) + [(0, n - have) for n, have in zip(shape, slices.shape[-2:], strict=True)]
    return np.pad(slices, missing, mode="reflect") if any(after for _, after in missing) else slices


def cut(pixels: npt.NDArray[Any], window: Window) -> npt.NDArray[Any]:
    """A window of an image (..., Y, X); what lies beyond its lower and right edges is mirrored as by `pad`."""
    part = pixels[..., *window]
    return pad(part, (window[0].stop - window[0].start, window[1].stop - window[1].start))


def blend_profile(size: int) -> npt.NDArray[np.float64]:
    """Weight of each pixel along one side of a window: a Gaussian of an eighth of the side, 1 in the middle.

    A network knows least at the edge of what it sees, so edges count little where windows overlap
    (Isensee et al., nnU-Net, Nature Methods 2021). Never 0: an edge pixel may be seen by one window only. The weight of
    a pixel is the product of those of its row and its column.
    """
    profile = np.exp(-0.5 * ((np.arange(size) - (size - 1) / 2) / (size / 8)) ** 2)
    return np.asarray(np.maximum(profile, 1e-3))


def share_out(firsts: Sequence[int], size: int, blend: str) -> npt.NDArray[np.float32]:
    """How much each window along one axis contributes to its pixels, (windows, ``size``).

    For every pixel the shares of all windows that see it add up to 1.

    Parameters
    ----------
    firsts
        First pixels of the windows, ascending.
    size
        Of each window.
    blend
        ``"gaussian"``: by `blend_profile`. ``"discard"``: every pixel belongs to the window whose middle is nearest,
        the margins of the others count nothing.
    """
    shares = np.tile(blend_profile(size), (len(firsts), 1))
    if blend == "discard":
        # Where each window hands over to the next: in the middle of what both see.
        borders = [(first + size + following + 1) // 2 for first, following in pairwise(firsts)]
        pixels = np.arange(size) + np.array(firsts)[:, None]
        shares = (pixels >= np.array([-1, *borders])[:, None]) & (pixels < np.array([*borders, np.inf])[:, None])
    total = np.zeros(firsts[-1] + size)
    for first, share in zip(firsts, shares, strict=True):
        total[first : first + size] += share
    return np.stack([s / total[f : f + size] for f, s in zip(firsts, shares, strict=True)]).astype(np.float32)
