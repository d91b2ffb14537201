"""Blocks of a slide through the network, in passes, and into the result: the part of a run that takes hours."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import Image, InputError, Progress, Reporter
from napari_medseg.inference.mosaic import Finished, Mosaic
from napari_medseg.inference.pipeline import Writer
from napari_medseg.inference.sweep import sweep

from .plan import STAGE, Plan
from .scope import Scope
from .writer import FLUSH_BLOCKS, BlockWriter

SUMS_BYTES = 400 * 2**20
"""Memory for sums of blocks that are begun, which bounds how wide a pass is."""

FOCUS_BLOCKS = 16
FOCUS_PIXELS = (2**20, 2**22, 2**24)
"""Pixels of the passes over what is looked at: a small one first, for the first labels to be there soon."""

BACKGROUND_ROWS = 8
MOST_FILES = 64

Place = tuple[int, int]
Window = tuple[slice, slice]
Focus = Callable[[], Window | None]


class _Restart(Exception):
    """What is left of a pass is done sooner by another one."""


class SlideRun:
    """Computes blocks of a slide and writes them.

    Parameters
    ----------
    plan
        What is computed and how.
    owner
        Whose files in the ledger say what is done.
    scope
        Which blocks, and which of their pixels.
    report
        Told of every finished block (``region``) and often in between; may raise `Cancelled`.
    focus
        As in `SlideJob`.
    levels
        Whether the smaller levels of the result are written too.
    """

    def __init__(
        self,
        plan: Plan,
        owner: str,
        scope: Scope,
        report: Reporter,
        *,
        focus: Focus | None = None,
        levels: bool = True,
    ) -> None:
        self._plan, self._report = plan, report
        self._focus = focus
        self._stamps = stamp_files(plan.image)
        values = (0, *(c.value for c in plan.card.classes))
        self._values = np.array(values, plan.pyramid.dtype)
        grid = plan.predictor.grid
        self._wanted = np.zeros((len(grid.rows), len(grid.columns)), bool)
        self._seen = np.zeros_like(self._wanted)
        self._before = self._total = 0
        self._blocks = BlockWriter(plan.pyramid, plan.ledger, owner, scope, check=self._check_files, levels=levels)

    def __call__(self, blocks: Collection[Place]) -> None:
        """Compute those of ``blocks`` that are not done; what is finished stays, however this ends."""
        plan = self._plan
        done = {p for p in plan.ledger.done() if plan.pyramid.written(p)}
        todo = [p for p in sorted(blocks) if p not in done]
        mosaic = plan.mosaic()
        empty = mosaic.start(todo)
        self._wanted = self._mark(mosaic)
        self._total = int(self._wanted.sum())
        if len(todo) < len(blocks):
            whole = plan.mosaic()
            whole.start(blocks)
            self._before = int(self._mark(whole).sum()) - self._total
            self._total += self._before
        self._left = {*todo} - {*empty}
        self.tell()
        with Writer(FLUSH_BLOCKS) as writer:
            self._writer = writer
            try:
                self._look()
                for rows in _in_rows(empty, BACKGROUND_ROWS):
                    writer.put(self._blocks.store_background, rows)
                    self.tell()
                while self._left:
                    self._pass(self._stripe(mosaic))
            finally:
                writer.put(self._blocks.flush)
        self.tell()

    def tell(self) -> None:
        """Report what was written since the last time, and how far the work is; here it may be cancelled."""
        done = self._before + int((self._seen & self._wanted).sum())
        message = self._plan.predictor.message
        while self._blocks.written:
            self._report(Progress(STAGE, done, self._total, message, region=self._blocks.written.popleft()))
        self._report(Progress(STAGE, done, self._total, message))

    # --- passes

    def _mark(self, mosaic: Mosaic) -> npt.NDArray[np.bool_]:
        marked = np.zeros_like(self._seen)
        for r, columns in mosaic.needed():
            marked[r, columns] = True
        return marked

    def _stripe(self, mosaic: Mosaic) -> list[Place]:
        """Blocks of the next pass: whole columns of blocks, as many as there is memory for sums for."""
        grid, pyramid = mosaic.grid, self._plan.pyramid
        side = [pyramid.chunk * have / full for have, full in zip(grid.shape, pyramid.shape, strict=True)]
        classes = self._plan.card.out_channels
        block_bytes = 4 * (1 if classes == 2 else classes) * side[0] * side[1]
        alive = int(grid.patch[0] / side[0]) + 2  # rows of blocks that may be begun and not finished
        left = np.zeros((pyramid.count[0] + alive, pyramid.count[1]), np.int64)
        for place in self._left:
            left[place] = 1
        at_once = np.stack([left[n : n + pyramid.count[0]] for n in range(alive)]).sum(0)
        columns = np.flatnonzero(left.any(0))
        most = at_once[:, columns].cumsum(1).max(0)  # sums of the pass up to each column
        width = max(1, int(np.searchsorted(most * block_bytes, SUMS_BYTES, side="right")))
        last = int(columns[width - 1])
        return [p for p in self._left if p[1] <= last]

    def _pass(self, blocks: Collection[Place]) -> None:
        mosaic = self._plan.mosaic()
        mosaic.start(blocks)

        def between(r: int) -> None:
            self._check_files()
            self._writer.put(self._blocks.flush_if_old)
            self.tell()
            if self._look() and self._sooner_anew(mosaic, blocks, r):
                raise _Restart

        try:
            self._sweep(mosaic, between)
        except _Restart:
            return

    def _sweep(self, mosaic: Mosaic, between: Callable[[int], None]) -> None:
        grid, reader = mosaic.grid, self._plan.reader

        def read(r: int, c: int) -> npt.NDArray[Any]:
            pixels = reader(grid.window(r, c))
            self._seen[r, c] = True
            return pixels

        def take(finished: Finished) -> None:
            place = finished.block
            if place not in self._left:  # looked at meanwhile
                return
            rows, columns = mosaic.windows(place)
            lost = [w for r in rows for c in columns if mosaic.chosen[r, c] for w in reader.lost_in(grid.window(r, c))]
            self._left.discard(place)
            best = finished.best.cpu().numpy()
            self._writer.put(lambda: self._blocks.store(place, self._values[best], lost))

        sweep(mosaic, self._plan.predictor, read, take, between)

    def _sooner_anew(self, mosaic: Mosaic, blocks: Collection[Place], r: int) -> bool:
        """Whether fewer windows are left to compute when this pass is given up for one over what is left of it."""
        anew = self._plan.mosaic()
        anew.start([p for p in blocks if p in self._left])
        going_on = sum(len(columns) for row, columns in mosaic.needed() if row > r)
        return sum(len(columns) for _, columns in anew.needed()) < going_on

    # --- what is looked at

    def _look(self) -> bool:
        """Compute what is looked at now, in small passes; whether there was anything to do."""
        room = FOCUS_BLOCKS
        for pixels in FOCUS_PIXELS:
            blocks = self._in_focus()[: min(room, max(1, pixels // self._plan.pyramid.chunk**2))]
            if not blocks:
                break
            mosaic = self._plan.mosaic()
            mosaic.start(blocks)
            self._sweep(mosaic, lambda _: self.tell())
            self._writer.put(self._blocks.flush)
            self.tell()
            room -= len(blocks)
        return room < FOCUS_BLOCKS

    def _in_focus(self) -> list[Place]:
        """Blocks in view that are not done, those nearest to its middle first."""
        if self._focus is None or (view := self._focus()) is None:
            return []
        middle = [(part.start + part.stop) / 2 for part in view]
        window = [slice(max(0, part.start), max(0, part.stop)) for part in view]
        size = self._plan.pyramid.chunk

        def distance(place: Place) -> float:
            return float(sum(((n + 0.5) * size - m) ** 2 for n, m in zip(place, middle, strict=True)))

        return sorted((p for p in self._plan.pyramid.chunks_in(*window) if p in self._left), key=distance)

    def _check_files(self) -> None:
        """End the run when the slide's file changes under it; what is done is kept."""
        if stamp_files(self._plan.image) != self._stamps:
            raise InputError(
                f"{self._plan.image.source} was changed or removed during the run; what was finished is kept.",
                "Bring it back as it was to go on, or start anew with overwrite.",
            )


def stamp_files(image: Image) -> list[tuple[int, int]]:
    """Size and time of change of an image's files, of a folder those of at most 64; empty where there are none."""
    if image.source is None:
        return []
    try:
        files = [image.source] if not image.source.is_dir() else _files(image.source)
        return [(s.st_size, s.st_mtime_ns) for s in (f.stat() for f in files)]
    except OSError:
        return []


def _files(folder: Path) -> list[Path]:
    found = sorted(p for p in folder.iterdir() if p.is_file())
    return found[:: max(1, -(-len(found) // MOST_FILES))]


def _in_rows(places: Sequence[Place], count: int) -> Iterator[list[Place]]:
    """Places in groups of so many rows of blocks."""
    groups: dict[int, list[Place]] = {}
    for place in places:
        groups.setdefault(place[0] // count, []).append(place)
    yield from groups.values()
