"""Slice by slice through a stack: read ahead, predict, decide, report."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from napari_medseg.core import Finding, Image, InputError, ModelCard, Progress, Reporter
from napari_medseg.evaluation.suggest import measure_fit

from .doubt import find_squares, measure_doubt
from .normalise import Pixels, SliceReader
from .options import SegmentOptions
from .runner import Predictor
from .tidy import tidy

STAGE = "Segmenting"
READ_AHEAD = 2  # batches

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
    squares: tuple[tuple[slice, slice], ...] = ()

    def __post_init__(self) -> None:
        values = (0, *(c.value for c in self.card.classes))
        self._values = np.array(values, dtype=np.min_scalar_type(max(values)))
        self.data = np.zeros(self.image.shape, self._values.dtype)

    def __call__(self, chosen: Sequence[int]) -> None:
        """Segment the slices ``chosen`` in this order; every finished one is reported with its labels."""
        todo = [z for z in chosen if z not in self.image.missing]
        self._done, self._total = len(chosen) - len(todo), len(chosen)
        if not (probe := self._first_readable(todo)):
            return
        self.predictor.prepare(probe[0], len(todo))
        size = self.predictor.slices_per_call
        waiting: list[tuple[int, Pixels]] = []
        with closing(read_ahead(self.reader, todo, READ_AHEAD * size)) as prepared:
            for z, future in prepared:
                try:
                    waiting.append((z, future.result()))
                except InputError as error:
                    self._give_up(z, error)
                if len(waiting) >= self.predictor.slices_per_call:
                    self._finish(waiting)
                    waiting = []
        if waiting:
            self._finish(waiting)

    def _first_readable(self, todo: Sequence[int]) -> list[Pixels]:
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

    def _finish(self, batch: list[tuple[int, Pixels]]) -> None:
        logits = self.predictor(np.stack([pixels for _, pixels in batch]))
        plane = (self.image.shape[-2], self.image.shape[-1])
        with torch.inference_mode():
            if tuple(logits.shape[-2:]) != plane:
                logits = torch.nn.functional.interpolate(logits, plane, mode="bilinear", align_corners=False)
            best = best_class(logits)
            doubts = measure_doubt(logits, best) if self.options.suggest else [{} for _ in batch]
            if self.options.suggest and not self.image.is_stack:
                self.squares = find_squares(logits, self.options.suggest)
            classes = best.cpu().numpy()
            shares = None
            if self.probabilities is not None:
                shares = logits.softmax(1)[:, 1:].half().cpu().numpy()
        for i, (z, _) in enumerate(batch):
            labels = tidy(self._values[classes[i]], self.options.smallest, self.options.fill_holes)
            self.data[z if self.image.is_stack else ...] = labels
            if self.options.suggest:
                # The two slices finished before: beyond one that is missing the next nearest is the neighbour.
                earlier = [self.data[before] for before in list(self.figures)[:-3:-1]]
                self.figures[z] = doubts[i] | measure_fit(labels, earlier, self._values[1:].tolist())
            if shares is not None and self.probabilities is not None:
                self.probabilities(z, shares[i])
            self._done += 1
            region = (z,) if self.image.is_stack else ()
            text, metrics = self.predictor.message, self.figures.get(z, {})
            self.report(Progress(STAGE, self._done, self._total, text, metrics, region, labels))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the user should know about this run."""
        found = [self.reader.finding] if self.reader.finding else []
        if invalid := self.reader.invalid:
            where = f"{_count(sum(invalid.values()), 'pixel')} in {_count(len(invalid), 'slice')}"
            text = f"Not a number (NaN or infinite) and taken as the lowest value: {where}."
            found.append(Finding("NOT_A_NUMBER", text, self._names(invalid)))
        if self.unreadable:
            first = next(iter(self.unreadable.values()))
            text = f"Unreadable and without a result: {_count(len(self.unreadable), 'slice')}. {first}"
            found.append(Finding("UNREADABLE", text, self._names(self.unreadable)))
        found.extend(Finding("COMPUTE", note) for note in self.predictor.notes)
        return tuple(found)

    def _names(self, slices: Iterable[int]) -> tuple[str, ...]:
        return tuple(self.image.names[z] for z in sorted(slices)) if self.image.names else ()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def read_ahead(
    read: Callable[[int], Pixels], slices: Sequence[int], ahead: int
) -> Generator[tuple[int, Future[Pixels]], None, None]:
    """Read slices on one thread while the caller works, at most ``ahead`` of them unclaimed.

    Errors of ``read`` come out of the future. Close the generator to stop: what has not begun is dropped and the
    thread has ended when close returns.
    """
    with ThreadPoolExecutor(1, "read-slices") as pool:
        waiting: deque[tuple[int, Future[Pixels]]] = deque()
        try:
            for z in slices:
                waiting.append((z, pool.submit(read, z)))
                if len(waiting) > ahead:
                    yield waiting.popleft()
            while waiting:
                yield waiting.popleft()
        finally:
            pool.shutdown(cancel_futures=True)


def best_class(logits: torch.Tensor) -> torch.Tensor:
    """Index of the largest of K logits at each pixel, (N, K, Y, X) -> (N, Y, X) uint8 or int16; ties to the lower.

    Comparing plane by plane is several times faster on the CPU than ``argmax`` over a strided axis.
    """
    best = logits[:, 0]
    index = torch.zeros(best.shape, dtype=torch.uint8 if logits.shape[1] <= 255 else torch.int16, device=best.device)
    for k in range(1, logits.shape[1]):
        better = logits[:, k] > best
        best = torch.where(better, logits[:, k], best)
        index.masked_fill_(better, k)
    return index
