"""A slice that is larger than a tile: in tiles through the network, put together again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from .doubt import find_squares, measure_doubt
from .mosaic import Finished, Mosaic
from .options import SegmentOptions
from .passes import why_failed
from .runner import Predictor, TileChanged
from .sweep import sweep
from .tiles import cut, round_up

SUMS_BYTES = 256 * 2**20
"""Memory for sums of logits; a slice that needs more is put together block by block."""

SMALLEST_BLOCK = 512


class TiledSlice:
    """Result of one slice, at the image's pixel size.

    Parameters
    ----------
    shape
        (Y, X) of the result.
    classes
        K, number of logits of each pixel.
    options
        How tiles are blended, and whether doubt is measured.
    probabilities
        Whether probabilities are kept.

    Attributes
    ----------
    classes
        Index of the likeliest class, (Y, X).
    squares
        As of `find_squares`; none where the slice is put together block by block.
    """

    def __init__(self, shape: tuple[int, int], classes: int, options: SegmentOptions, probabilities: bool) -> None:
        self._shape, self._count, self._options = shape, classes, options
        self.classes = np.zeros(shape, np.uint8 if classes <= 255 else np.int16)
        self.squares: tuple[tuple[slice, slice], ...] = ()
        self._doubt: dict[tuple[int, int], npt.NDArray[np.float32]] = {}
        self._said: Callable[[], npt.NDArray[Any]] | None = None
        self._shares = np.zeros((classes - 1, *shape), np.float16) if probabilities else None

    def __call__(self, predictor: Predictor, pixels: npt.NDArray[Any]) -> None:
        """Compute it from the slice (C, Y, X) at the network's pixel size; from the start again if memory runs out."""
        while True:
            predictor.take_presence()  # what an attempt left that failed
            mosaic = self._lay(predictor)
            mosaic.start([(i, j) for i in range(mosaic.blocks[0]) for j in range(mosaic.blocks[1])])
            window = mosaic.grid.window
            try:
                sweep(mosaic, predictor, lambda r, c: cut(pixels, window(r, c)), self._take)  # noqa: B023
                self._said = predictor.take_presence()
                return
            except TileChanged:
                continue
            except (torch.OutOfMemoryError, MemoryError) as error:  # of the sums: the predictor's own are dealt with
                failure = why_failed(error, predictor.device)
            with suppress(TileChanged):
                predictor.step_down(failure)

    def _lay(self, predictor: Predictor) -> Mosaic:
        grid, blend = predictor.grid, self._options.blend
        row_bytes = 4 * (1 if self._count == 2 else self._count) * max(grid.padded[1], self._shape[1])
        side = max(self._shape)
        if row_bytes * max(grid.padded[0], self._shape[0]) > SUMS_BYTES:
            # Two rows of blocks are begun at a time.
            side = max(SMALLEST_BLOCK, round_up(SUMS_BYTES // (2 * row_bytes), 64) - 64)
        return Mosaic(grid, self._shape, side, self._count, predictor.device, blend=blend)

    def _take(self, finished: Finished) -> None:
        where = finished.rows, finished.columns
        with torch.inference_mode():
            best = finished.best
            if self._options.suggest:
                logits = finished.logits[None]
                self._doubt[finished.block] = measure_doubt(logits, best[None])[0].cpu().numpy()
                if finished.planes.shape[-2:] == self._shape:
                    self.squares = find_squares(logits, self._options.suggest)
            if self._shares is not None:
                self._shares[:, *where] = finished.logits.softmax(0)[1:].half().cpu().numpy()
        self.classes[where] = best.cpu().numpy()

    @property
    def presence(self) -> Callable[[], npt.NDArray[Any]] | None:
        """Gives the probability (1,) that the slice holds anything: that of the likeliest tile."""
        said = self._said
        return None if said is None else lambda: said().max(keepdims=True)

    @property
    def doubt(self) -> Callable[[], npt.NDArray[np.float32]] | None:
        """Gives the figures (1, 2) of `measure_doubt`: the mean of all borders, and the worst of all squares."""
        if not self._doubt:
            return None
        border, patch = np.stack([*self._doubt.values()], 1)
        found = border[~np.isnan(border)]
        figures = np.array([[found.mean() if found.size else np.nan, patch.max()]], np.float32)
        return lambda: figures

    @property
    def shares(self) -> Callable[[], npt.NDArray[np.float16]] | None:
        """Gives probabilities (1, K - 1, Y, X), background left out, where they are kept."""
        shares = self._shares
        return None if shares is None else lambda: shares[None]
