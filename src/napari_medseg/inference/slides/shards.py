"""Parts of a slide for machines that share a folder and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from napari_medseg.inference.mosaic import Mosaic
from napari_medseg.io.zarr.labels import LabelPyramid

from .ledger import Ledger

BUILD_ROWS = 16
"""Rows of blocks above which smaller levels are built in one go."""

Place = tuple[int, int]


def work_by_row(mosaic: Mosaic) -> list[int]:
    """Windows to be computed for each row of blocks."""
    return [int(mosaic.chosen[list(mosaic.windows((i, 0))[0])].sum()) for i in range(mosaic.blocks[0])]


def split_rows(work: Sequence[int], count: int) -> list[range]:
    """Contiguous rows of blocks with about the same work in each of ``count`` parts.

    A part may be empty where there are more parts than rows.
    """
    # A row of glass takes a little time too, which keeps parts in order where there is no tissue at all.
    weights = np.array(work, np.float64) + 1e-3 * max(1, *work)
    done = np.concatenate([[0], weights.cumsum()])
    middles = (done[1:] + done[:-1]) / 2
    borders = np.searchsorted(middles, done[-1] * np.arange(count + 1) / count).tolist()
    return [range(first, last) for first, last in pairwise(borders)]


def finish_levels(ledger: Ledger, blocks: list[Place]) -> bool:
    """Build the smaller levels of a result whose largest was written in parts, once all of it is there.

    To be called by every part at its end; the last one does it. Holds the others off meanwhile.

    Returns
    -------
    bool
        Whether all blocks are done.
    """
    with ledger.starting():
        if not ledger.done().issuperset(blocks):
            return False
        if not ledger.levels_built:
            pyramid = LabelPyramid.open(ledger.result)
            with ledger.writing():
                pyramid.clean()
            # A few rows at a time: somebody may want to put something back meanwhile.
            for top in range(0, pyramid.shape[0], BUILD_ROWS * pyramid.chunk):
                with ledger.writing():
                    pyramid.build_levels(slice(top, top + BUILD_ROWS * pyramid.chunk))
            ledger.levels_built = True
        return True
