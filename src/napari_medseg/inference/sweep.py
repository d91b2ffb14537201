"""One pass over the windows of a grid: read, predict, blend, hand out what is finished."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from .device import cpu_count
from .mosaic import Finished, Mosaic
from .pipeline import read_ahead

if TYPE_CHECKING:
    from .runner import Predictor

MOST_READERS = 8

Read = Callable[[int, int], npt.NDArray[Any]]


class _Group:
    """Windows of a grid row that go through the network together, and the memory they are read to."""

    def __init__(self, r: int, columns: Sequence[int], predictor: Predictor) -> None:
        self.r, self.columns, self._predictor = r, columns, predictor
        self._lock = Lock()
        self.patches: torch.Tensor | None = None

    def fill(self, i: int, pixels: npt.NDArray[Any]) -> None:
        with self._lock:
            if self.patches is None:
                self.patches = self._predictor.make_batch(len(self.columns), pixels)
        # By numpy: torch would start threads for a copy of this size, in the way of those that compute.
        np.copyto(self.patches[i].numpy(), pixels, casting="safe")


def sweep(
    mosaic: Mosaic,
    predictor: Predictor,
    read: Read,
    take: Callable[[Finished], None],
    between: Callable[[int], None] | None = None,
) -> None:
    """Compute the windows that the started blocks of ``mosaic`` need, row by row.

    Windows of a row go through the network in groups: as many as `Predictor.batch`, in order, counted from the first
    chosen one of the row, whatever the pass needs of them. The same windows are thus always computed together, and a
    result does not depend on how the work was divided.

    Parameters
    ----------
    mosaic
        After `Mosaic.start`.
    predictor
        Ready for the grid's windows.
    read
        Pixels (C, h, w) of the window in a grid row and column, as `Predictor.forward` takes them; called on several
        threads, for windows of the next group while the network computes one.
    take
        Given every finished block, in this thread.
    between
        Called after every row of the grid with its number, in this thread; may raise `Cancelled`.

    Raises
    ------
    Exception
        Whatever ``read``, ``take``, ``between`` or the network raises; no thread is left then.
    """
    groups = list(_groups(mosaic, predictor))
    windows = ((group, i) for group in groups for i in range(len(group.columns)))

    def load(window: tuple[_Group, int]) -> None:
        group, i = window
        group.fill(i, read(group.r, group.columns[i]))

    running: deque[_Group] = deque()
    readers = max(2, min(MOST_READERS, cpu_count() - 1))
    with closing(read_ahead(load, windows, max(readers, predictor.batch), readers)) as loaded:

        def batches() -> Iterator[torch.Tensor]:
            for group in groups:
                for _ in group.columns:
                    future: Future[None] = next(loaded)[1]
                    future.result()
                assert group.patches is not None
                running.append(group)
                yield group.patches
                group.patches = None

        left = Counter(group.r for group in groups)
        with closing(predictor.stream(batches())) as stream:
            for logits in stream:
                group = running.popleft()
                for finished in mosaic.add(group.r, group.columns, logits):
                    take(finished)
                left[group.r] -= 1
                if between is not None and not left[group.r]:
                    between(group.r)


def _groups(mosaic: Mosaic, predictor: Predictor) -> Iterator[_Group]:
    size = predictor.batch
    for r, needed in mosaic.needed():
        chosen = np.flatnonzero(mosaic.chosen[r]).tolist()
        for first in range(0, len(chosen), size):
            columns = chosen[first : first + size]
            if not set(needed).isdisjoint(columns):
                yield _Group(r, columns, predictor)
