"""Slice by slice through a stack: read ahead, predict, decide, report."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from napari_medseg.core import Finding, Image, InputError, ModelCard, Progress, Reporter
from napari_medseg.evaluation.suggest import measure_fit
from napari_medseg.io.findings import counted

from .device import cpu_count
from .doubt import FIGURES, find_squares, measure_doubt
from .mosaic import best_class
from .normalise import SliceReader
from .options import SegmentOptions
from .pipeline import Writer, fetch, read_ahead
from .presence import find_empty, is_taken_as_empty
from .runner import Predictor, TileChanged
from .tidy import tidy
from .tiled import TiledSlice
from .tiles import pad

STAGE = "Segmenting"
READ_AHEAD = 2  # batches
MOST_READERS = 4

Slice = npt.NDArray[Any]
Fetch = Callable[[], npt.NDArray[Any]]

ProbabilityTaker = Callable[[int, npt.NDArray[np.float16]], None]
"""Takes the index of a slice and the probabilities (classes, Y, X) of its classes, background left out."""


@dataclass
class StackRun:
    """One run over chosen slices of an image.

    Attributes
    ----------
    data
        Class values, shape of the image; zeros where nothing was computed.
    unreadable
        Slices that could not be read, with the reason.
    figures
        Of each finished slice, what `suggest_slices` goes by; empty unless suggestions are asked for.
    presence
        Of each finished slice, the probability that it holds anything; empty without a slice head.
    squares
        Of a single image, rows and columns of the squares of most doubt.
    """

    image: Image
    card: ModelCard
    options: SegmentOptions
    reader: SliceReader
    predictor: Predictor
    report: Reporter
    probabilities: ProbabilityTaker | None
    data: npt.NDArray[Any] = field(init=False)
    unreadable: dict[int, str] = field(default_factory=dict)
    figures: dict[int, dict[str, float]] = field(default_factory=dict)
    presence: dict[int, float] = field(default_factory=dict)
    squares: tuple[tuple[slice, slice], ...] = ()

    def __post_init__(self) -> None:
        values = (0, *(c.value for c in self.card.classes))
        self._values = np.array(values, dtype=np.min_scalar_type(max(values)))
        self._in_order = values == (*range(len(values)),)
        self._plane = (self.image.shape[-2], self.image.shape[-1])
        self.data = np.zeros(self.image.shape, self._values.dtype)
        # From the writer's thread: slices that are finished but not told of, and the last two for comparison.
        self._finished: deque[tuple[int, Slice, dict[str, float], Slice | None]] = deque()
        self._earlier: deque[Slice] = deque(maxlen=2)

    def __call__(self, chosen: Sequence[int]) -> None:
        """Segment the slices ``chosen`` in this order; every finished one is reported with its labels."""
        todo = [z for z in chosen if z not in self.image.missing]
        self._done, self._total = len(chosen) - len(todo), len(chosen)
        if not (probe := self._first_readable(todo)):
            return
        self.predictor.tile_may_shrink = True
        self.predictor.keeps_presence = self.card.presence is not None
        self.predictor.prepare(probe.pop(), len(todo))
        ahead = READ_AHEAD * max(1, self.predictor.batch // self.predictor.grid.count)
        threads = max(1, min(MOST_READERS, cpu_count() // 2))
        with Writer() as self._writer, closing(read_ahead(self.reader, todo, ahead, threads)) as prepared:
            self._predict(self._readable(prepared))
        self._tell()

    def _readable(self, prepared: Iterable[tuple[int, Future[Slice]]]) -> Iterator[tuple[int, Slice]]:
        for z, future in prepared:
            try:
                pixels = future.result()
            except InputError as error:
                self._give_up(z, error)
            else:
                yield z, pixels

    def _first_readable(self, todo: Sequence[int]) -> list[Slice]:
        """The readable slice nearest to the middle, where there is most to see; empty when none can be read."""
        middle = len(todo) // 2
        for i in sorted(range(len(todo)), key=lambda i: abs(i - middle)):
            try:
                return [self.reader(todo[i])]
            except InputError as error:
                self.unreadable[todo[i]] = str(error)
        return []

    def _give_up(self, z: int, error: InputError) -> None:
        self.unreadable[z] = str(error)
        self._done += 1
        self.report(Progress(STAGE, self._done, self._total, message=f"Slice {z} could not be read. {error}"))

    def _predict(self, slices: Iterator[tuple[int, Slice]]) -> None:
        predictor, (height, width) = self.predictor, self.reader.shape
        on_the_way: deque[list[tuple[int, Slice]]] = deque()

        def batches() -> Iterator[torch.Tensor]:
            while predictor.grid.count == 1 and (batch := list(islice(slices, predictor.batch))):
                on_the_way.append(batch)
                patches = predictor.make_batch(len(batch), batch[0][1])
                for patch, (_, pixels) in zip(patches, batch, strict=True):
                    np.copyto(patch.numpy(), pad(pixels, predictor.grid.patch), casting="safe")
                yield patches

        try:
            with closing(predictor.stream(batches())) as stream:
                for logits in stream:
                    self._decide([z for z, _ in on_the_way[0]], logits[..., :height, :width])
                    on_the_way.popleft()
        except TileChanged:
            pass  # what was on the way and what is left goes in tiles
        for z, pixels in chain(*on_the_way, slices):
            self._cut_up(z, pixels)

    def _decide(self, zs: list[int], logits: torch.Tensor) -> None:
        """Take the likeliest class at each pixel of slices that went through whole, logits (N, K, Y, X)."""
        with torch.inference_mode():
            if tuple(logits.shape[-2:]) != self._plane:
                logits = torch.nn.functional.interpolate(logits, self._plane, mode="bilinear", align_corners=False)
            best = best_class(logits)
            doubt = fetch(measure_doubt(logits, best)) if self.options.suggest else None
            if self.options.suggest and not self.image.is_stack:
                self.squares = find_squares(logits, self.options.suggest)
            shares = None if self.probabilities is None else fetch(logits.softmax(1)[:, 1:].half())
        self._hand_over(zs, fetch(best), doubt, shares, self.predictor.take_presence())

    def _cut_up(self, z: int, pixels: Slice) -> None:
        """Take the likeliest class at each pixel of a slice that is larger than a tile."""
        tiled = TiledSlice(self._plane, self.card.out_channels, self.options, self.probabilities is not None)
        tiled(self.predictor, pixels)
        if not self.image.is_stack:
            self.squares = tiled.squares
        self._hand_over([z], lambda: tiled.classes[None], tiled.doubt, tiled.shares, tiled.presence)

    def _hand_over(self, zs: list[int], classes: Fetch, *more: Fetch | None) -> None:
        self._writer.put(self._finish, zs, classes, *more)
        self._tell()

    def _finish(
        self, zs: list[int], classes: Fetch, doubt: Fetch | None, shares: Fetch | None, presence: Fetch | None
    ) -> None:
        """What is left to do with slices when the network is done; in the writer's thread."""
        for i, z in enumerate(zs):
            plane = classes()[i]
            labels = plane.astype(self._values.dtype) if self._in_order else self._values[plane]
            labels = tidy(labels, self.options.smallest, self.options.fill_holes)
            figures: dict[str, float] = {}
            if presence is not None:
                figures["presence"] = chance = float(presence()[i])
                if is_taken_as_empty(chance, self.card, self.options):
                    labels = np.zeros_like(labels)
            if doubt is not None:
                figures |= dict(zip(FIGURES, doubt()[i].tolist(), strict=True))
                if presence is not None and not self.card.outlines:
                    figures |= {"border": np.nan, "patch": 1 - abs(2 * figures["presence"] - 1)}
                # The two slices finished before: beyond one that is missing the next nearest is the neighbour.
                figures |= measure_fit(labels, [*self._earlier][::-1], self._values[1:].tolist())
                self._earlier.append(labels)
            self._finished.append((z, labels, figures, None if shares is None else shares()[i]))

    def _tell(self) -> None:
        """Keep and report what is finished; here the run may be cancelled."""
        while self._finished:
            z, labels, figures, shares = self._finished.popleft()
            self.data[z if self.image.is_stack else ...] = labels
            if self.options.suggest:
                self.figures[z] = figures
            if "presence" in figures:
                self.presence[z] = figures["presence"]
            if shares is not None and self.probabilities is not None:
                self.probabilities(z, shares)
            self._done += 1
            region = (z,) if self.image.is_stack else ()
            message, settled = self.predictor.message, self.predictor.settings
            self.report(Progress(STAGE, self._done, self._total, message, figures, region, labels, settled))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the user should know about this run."""
        found = [*self.reader.findings]
        if invalid := self.reader.invalid:
            where = f"{counted(sum(invalid.values()), 'pixel')} in {counted(len(invalid), 'slice')}"
            text = f"Not a number (NaN or infinite) and taken as the lowest value: {where}."
            found.append(Finding("NOT_A_NUMBER", text, self._names(invalid)))
        if self.unreadable:
            first = next(iter(self.unreadable.values()))
            text = f"Unreadable and without a result: {counted(len(self.unreadable), 'slice')}. {first}"
            found.append(Finding("UNREADABLE", text, self._names(self.unreadable)))
        names = {z: self.image.names[z] if self.image.names else "" for z in self.presence}
        found.extend(find_empty([(names[z], p) for z, p in sorted(self.presence.items())], self.card, self.options))
        found.extend(Finding("COMPUTE", note) for note in self.predictor.notes)
        return tuple(found)

    def _names(self, slices: Iterable[int]) -> tuple[str, ...]:
        return tuple(self.image.names[z] for z in sorted(slices)) if self.image.names else ()
