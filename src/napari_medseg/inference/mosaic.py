"""Logits of overlapping windows put together to blocks of a result, on the device, a few blocks in memory at a time."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import torch

from .tiles import Grid, share_out

Block = tuple[int, int]


@dataclass(frozen=True)
class Finished:
    """A block of the result to which nothing more will be added.

    Attributes
    ----------
    block
        Row and column of the block.
    rows, columns
        Its pixels in the result.
    planes
        Blended logits on the device, (K, h, w) float32; of two classes only their difference, (1, h, w).
    """

    block: Block
    rows: slice
    columns: slice
    planes: torch.Tensor

    @property
    def logits(self) -> torch.Tensor:
        """Logits (K, h, w); of two classes the first is 0, which makes the same probabilities."""
        return self.planes if len(self.planes) > 1 else torch.cat([torch.zeros_like(self.planes), self.planes])

    @property
    def best(self) -> torch.Tensor:
        """Index of the likeliest class (h, w), uint8 or int16, on the device; ties go to the lower."""
        return best_class(self.planes[None])[0] if len(self.planes) > 1 else (self.planes[0] > 0).to(torch.uint8)


@dataclass(eq=False)
class Mosaic:
    """Sums of weighted logits of a grid's windows, by blocks of the result.

    Grid and result may differ in scale: sums are kept at the grid's pixel size and interpolated when a block is
    finished, exactly as if the whole had been.

    Parameters
    ----------
    grid
        The windows, over the image at the network's pixel size.
    shape
        (Y, X) of the result, which shows the same area.
    block
        Side in pixels of the square blocks of the result.
    classes
        K, number of logits of each pixel.
    device
        Where sums are kept.
    blend
        ``"gaussian"`` or ``"discard"``, see `share_out`.
    chosen
        (rows, columns) of the grid: windows that are computed at all; None means all. Pixels that none of them covers
        have equal logits, so that they become background.
    """

    grid: Grid
    shape: tuple[int, int]
    block: int
    classes: int
    device: torch.device
    blend: str = "gaussian"
    chosen: npt.NDArray[np.bool_] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        grid = self.grid
        if self.chosen is None:
            self.chosen = np.ones((len(grid.rows), len(grid.columns)), bool)
        self._planes = 1 if self.classes == 2 else self.classes
        firsts = (grid.rows, grid.columns)
        self._shares = [share_out(f, n, self.blend) for f, n in zip(firsts, grid.patch, strict=True)]
        self._firsts = [np.array(f) for f in firsts]
        # What of each window counts at all, first and last pixel in the image: its margins do not in discard mode.
        self._spans = [_spans(f, s) for f, s in zip(self._firsts, self._shares, strict=True)]
        # Of each block along an axis the pixels it is made from and the windows that count for it, and the reverse.
        self._sources = [[self._source(axis, i) for i in range(self.blocks[axis])] for axis in (0, 1)]
        self._reaches = [[_reach(self._spans[axis], source) for source in self._sources[axis]] for axis in (0, 1)]
        self._touched = [_invert(reaches, len(f)) for reaches, f in zip(self._reaches, firsts, strict=True)]
        self._on_device = [torch.from_numpy(share).to(self.device) for share in self._shares]
        self._sums: dict[Block, torch.Tensor] = {}
        self._left: dict[Block, int] = {}

    @property
    def blocks(self) -> tuple[int, int]:
        """Number of rows and columns of blocks."""
        return math.ceil(self.shape[0] / self.block), math.ceil(self.shape[1] / self.block)

    def pixels(self, block: Block) -> tuple[slice, slice]:
        """Rows and columns of a block in the result."""
        rows, columns = (
            slice(i * self.block, min((i + 1) * self.block, n)) for i, n in zip(block, self.shape, strict=True)
        )
        return rows, columns

    def windows(self, block: Block) -> tuple[range, range]:
        """Rows and columns of the grid whose windows count for a block."""
        return self._reaches[0][block[0]], self._reaches[1][block[1]]

    def start(self, blocks: Collection[Block]) -> list[Block]:
        """Begin a pass over ``blocks``; whatever an earlier pass left unfinished is forgotten.

        Returns
        -------
        list
            Those that no chosen window reaches: they are background, and never handed out as finished.
        """
        self._sums.clear()
        counts = {block: self._count(block) for block in sorted(blocks)}
        self._left = {block: count for block, count in counts.items() if count}
        return [block for block, count in counts.items() if not count]

    def _count(self, block: Block) -> int:
        """Number of chosen windows that count for a block."""
        rows, columns = self.windows(block)
        return int(np.count_nonzero(self.chosen[rows.start : rows.stop, columns.start : columns.stop]))

    def needed(self) -> list[tuple[int, list[int]]]:
        """Chosen windows of the pass: rows of the grid in order, each with its columns in order."""
        wanted: dict[int, set[int]] = {}
        for block in self._left:
            rows, columns = self.windows(block)
            for r in rows:
                wanted.setdefault(r, set()).update(columns)
        found = [(r, [c for c in sorted(wanted[r]) if self.chosen[r, c]]) for r in sorted(wanted)]
        return [(r, columns) for r, columns in found if columns]

    def add(self, r: int, columns: Sequence[int], logits: torch.Tensor) -> list[Finished]:
        """Add the logits (N, K, h, w) of N windows in grid row ``r``; blocks that are not of the pass take nothing.

        Windows come row by row, each row from left to right, so that a block's sums are added up in the same order
        whatever the pass.

        Returns
        -------
        list
            Blocks for which these windows were the last; their sums are no longer kept here.
        """
        logits = logits.to(self.device)
        planes = logits[:, 1:] - logits[:, :1] if self._planes == 1 else logits
        finished = []
        for c, window in zip(columns, planes, strict=True):
            weights = torch.outer(self._on_device[0][r], self._on_device[1][c])
            for block in product(self._touched[0][r], self._touched[1][c]):
                if block not in self._left:
                    continue
                self._add_to(block, (r, c), window, weights)
                self._left[block] -= 1
                if not self._left[block]:
                    del self._left[block]
                    finished.append(self._finish(block))
        return finished

    def _add_to(self, block: Block, window: tuple[int, int], logits: torch.Tensor, weights: torch.Tensor) -> None:
        source = [self._sources[axis][block[axis]] for axis in (0, 1)]
        if block not in self._sums:
            size = [end - first for first, end in source]
            self._sums[block] = torch.zeros((self._planes, *size), device=self.device)
        there, here = [], []
        for axis, (first, end) in enumerate(source):
            begin, stop = self._spans[axis][window[axis]]
            begin, stop = max(begin, first), min(stop, end)
            there.append(slice(begin - first, stop - first))
            here.append(slice(*(n - int(self._firsts[axis][window[axis]]) for n in (begin, stop))))
        self._sums[block][:, *there].addcmul_(logits[:, *here], weights[*here])

    def _finish(self, block: Block) -> Finished:
        planes = self._sums.pop(block)
        chosen = self.chosen[np.ix_(*self.windows(block))]
        if not chosen.all():
            # Shares of windows that are not computed are missing; where there is none at all, 0 stays 0.
            rows, columns = (self._share_matrix(axis, block) for axis in (0, 1))
            weight = torch.from_numpy(rows.T @ chosen.astype(np.float32) @ columns).to(self.device)
            planes /= torch.where(weight > 0, weight, 1)
        pixels = self.pixels(block)
        for axis in (0, 1):
            if self.shape[axis] != self.grid.shape[axis]:
                planes = self._interpolate(planes, axis, pixels[axis])
        return Finished(block, *pixels, planes)

    def _share_matrix(self, axis: int, block: Block) -> npt.NDArray[np.float32]:
        """Shares of the windows that count for a block along an axis, (windows, pixels of its source)."""
        first, end = self._sources[axis][block[axis]]
        windows = self.windows(block)[axis]
        matrix = np.zeros((len(windows), end - first), np.float32)
        for row, i in zip(matrix, windows, strict=True):
            begin, stop = (int(np.clip(n, first, end)) for n in self._spans[axis][i])
            offset = int(self._firsts[axis][i])
            row[begin - first : stop - first] = self._shares[axis][i, begin - offset : stop - offset]
        return matrix

    def _positions(self, axis: int, pixels: slice) -> npt.NDArray[np.float64]:
        """Where pixels of the result lie in the grid's image, counted from the middle of its first pixel."""
        have, want = self.grid.shape[axis], self.shape[axis]
        positions = (np.arange(pixels.start, pixels.stop) + 0.5) * (have / want) - 0.5
        return np.asarray(np.clip(positions, 0, have - 1))

    def _source(self, axis: int, i: int) -> tuple[int, int]:
        """First pixel and end of what the ``i``-th block along an axis is made from, in the grid's image."""
        have, want = self.grid.shape[axis], self.shape[axis]
        ends = i * self.block, min((i + 1) * self.block, want)
        if have == want:
            return ends
        positions = self._positions(axis, slice(*ends))
        return int(positions[0]), min(int(positions[-1]) + 2, have)

    def _interpolate(self, planes: torch.Tensor, axis: int, pixels: slice) -> torch.Tensor:
        """Linear along one axis, (K, Y, X), between the middles of pixels."""
        positions = self._positions(axis, pixels)
        below = positions.astype(np.int64)
        share = torch.from_numpy((positions - below).astype(np.float32)).to(self.device)
        first = int(below[0])
        above = np.minimum(below + 1, self.grid.shape[axis] - 1)
        low, high = (
            planes.index_select(axis + 1, torch.from_numpy(where - first).to(self.device)) for where in (below, above)
        )
        return torch.lerp(low, high, share[:, None] if axis == 0 else share)


def _spans(firsts: npt.NDArray[np.int64], shares: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """First pixel and end of what counts of each window, (windows, 2)."""
    counts = shares > 0
    return np.stack([firsts + counts.argmax(1), firsts + shares.shape[1] - counts[:, ::-1].argmax(1)], 1)


def _reach(spans: npt.NDArray[np.int64], source: tuple[int, int]) -> range:
    """Windows that count for any pixel from ``source[0]`` up to, not including, ``source[1]``."""
    first = int(np.searchsorted(spans[:, 1], source[0], side="right"))
    return range(first, int(np.searchsorted(spans[:, 0], source[1], side="left")))


def _invert(reaches: Sequence[range], count: int) -> list[list[int]]:
    """For each of ``count`` windows, the blocks it counts for."""
    blocks: list[list[int]] = [[] for _ in range(count)]
    for i, windows in enumerate(reaches):
        for window in windows:
            blocks[window].append(i)
    return blocks


def best_class(logits: torch.Tensor) -> torch.Tensor:
    """Index of the largest of K logits at each pixel, (N, K, Y, X) -> (N, Y, X) uint8 or int16; ties to the lower.

    Comparing plane by plane, without masks, is several times faster on the CPU than ``argmax`` over a strided axis.
    """
    narrow = logits.shape[1] <= 255
    best = logits[:, 0]
    index = torch.zeros(best.shape, dtype=torch.uint8 if narrow else torch.int16, device=best.device)
    for k in range(1, logits.shape[1]):
        better = logits[:, k] > best
        mark = better.view(torch.uint8) if narrow else better.to(torch.int16)
        index = mark if k == 1 else torch.maximum(index, mark * k)  # k is the largest so far
        if k + 1 < logits.shape[1]:
            best = torch.maximum(best, logits[:, k])
    return index
