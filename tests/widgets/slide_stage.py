"""Slides for tests: stained discs on glass, a model that is a threshold, and one so large that nobody may read it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import Image, Labels, Progress, Reporter
from napari_medseg.inference.slides.ledger import Ledger
from napari_medseg.inference.slides.tissue import Tissue, find_tissue
from napari_medseg.io.zarr.labels import LabelPyramid
from napari_medseg.widgets.slide_work import SlideOrder

NOT_COMPUTED = 255


@cache
def stained() -> npt.NDArray[np.uint8]:
    """White glass with a pink disc in its upper left part, and dark glands in that, (1300, 1700, 3)."""
    y, x = np.ogrid[:1300, :1700]
    pixels = np.full((1300, 1700, 3), 244, np.uint8)
    disc = (y - 600) ** 2 + (x - 700) ** 2 < 500**2
    pixels[disc] = (200, 120, 170)
    pixels[disc & (y // 60 % 3 == 0) & (x // 60 % 3 == 0)] = (90, 40, 120)
    return pixels


def levels_of(pixels: npt.NDArray[Any], count: int = 3) -> list[npt.NDArray[Any]]:
    levels = [pixels]
    for _ in range(count - 1):
        levels.append(np.ascontiguousarray(levels[-1][::2, ::2]))
    return levels


def add_slide(viewer: Any, **kwargs: Any) -> Any:
    settings = {"name": "slide", "scale": (0.25, 0.25), "units": ("um", "um"), "translate": (10, -20), **kwargs}
    return viewer.add_image(levels_of(stained()), multiscale=True, rgb=True, **settings)


def make_result(path: Any, shape: tuple[int, int] = (1300, 1700), classes: Any = ()) -> LabelPyramid:
    from napari_medseg.core import Geometry

    return LabelPyramid.create(path, shape, np.uint8, Geometry.unknown(2), classes, NOT_COMPUTED)


@dataclass
class Threshold:
    """Stands for the engine: dark is gland, chunk by chunk, those in view first; waits before chunk ``at``.

    Like the engine it keeps a ledger, goes on where it ended, and leaves alone what a person put back.
    """

    at: int | None = None
    fail: int | None = None
    orders: list[SlideOrder] = field(default_factory=list)
    did: list[tuple[int, int]] = field(default_factory=list)
    free: threading.Event = field(default_factory=threading.Event)

    def __call__(self, order: SlideOrder, report: Reporter) -> Labels:
        self.orders.append(order)
        report(Progress("Segmenting", message="Loading the model"))
        image, ledger = order.image, Ledger(order.output)
        pyramid = self._begin(order, ledger)
        todo = [p for p in pyramid.chunks_in(slice(None), slice(None)) if p not in ledger.done()]
        count = before = len({*pyramid.chunks_in(slice(None), slice(None))})
        before -= len(todo)
        report(Progress("Segmenting", before, count, "CPU, fp32"))
        for n in range(len(todo)):
            while self.at == n and not self.free.wait(0.01):
                report(Progress("Segmenting", before + n, count))
            if self.fail == n:
                raise IndexError("index 512 is out of bounds")
            place = self._next(order, pyramid, todo)
            window = pyramid.window(place)
            values = self._values(image, window)
            for patch in ledger.painted(*window):
                whole = np.full(pyramid.shape, NOT_COMPUTED, np.uint8)
                whole[patch.rows, patch.columns] = patch.values
                values = np.where(whole[window] == NOT_COMPUTED, values, whole[window])
            pyramid.write(*window, values)
            ledger.mark_done("all", [place])
            self.did.append(place)
            report(Progress("Segmenting", before + n + 1, count, "CPU, fp32", region=window))
        return Labels(
            pyramid.levels[0], order.card.classes, image.geometry, levels=pyramid.levels[1:],
            not_computed=NOT_COMPUTED,
        )  # fmt: skip

    def _begin(self, order: SlideOrder, ledger: Ledger) -> LabelPyramid:
        import shutil

        if order.anew:
            shutil.rmtree(order.output)
            shutil.rmtree(ledger.folder)
        if order.output.exists():
            return LabelPyramid.open(order.output)
        tissue: Tissue = order.tissue or find_tissue(order.image)
        ledger.begin({"model": {"reference": order.card.reference}})
        np.savez(ledger.folder / "tissue.npz", mask=tissue.mask)
        return make_result(order.output, order.image.shape, order.card.classes)  # type: ignore[arg-type]

    def _next(self, order: SlideOrder, pyramid: LabelPyramid, todo: list[tuple[int, int]]) -> tuple[int, int]:
        seen = order.focus()
        first = ([p for p in todo if seen is not None and p in {*pyramid.chunks_in(*seen)}] or todo)[0]
        todo.remove(first)
        return first

    def _values(self, image: Image, window: Any) -> npt.NDArray[np.uint8]:
        return (np.asarray(image.data[window])[..., 0] < 150).astype(np.uint8)


class Untouchable:
    """An array of any size that counts what is read of it."""

    def __init__(self, shape: tuple[int, ...], value: int = 220) -> None:
        self.shape, self.ndim, self.dtype = shape, len(shape), np.dtype(np.uint8)
        self.size, self._value = int(np.prod(shape, dtype=object)), value
        self.most = 0

    def __getitem__(self, index: Any) -> npt.NDArray[np.uint8]:
        parts = index if isinstance(index, tuple) else (index,)
        if Ellipsis in parts:
            at = parts.index(Ellipsis)
            parts = (*parts[:at], *(slice(None),) * (self.ndim + 1 - len(parts)), *parts[at + 1 :])
        parts = (*parts, *(slice(None),) * (self.ndim - len(parts)))
        shape = [len(range(n)[p]) for p, n in zip(parts, self.shape, strict=True) if isinstance(p, slice)]
        self.most = max(self.most, int(np.prod(shape, dtype=object)))
        if np.prod(shape, dtype=object) > 2**28:
            raise AssertionError(f"{shape} were asked for at once")
        return np.full(shape, self._value, np.uint8)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return self[(slice(None),) * self.ndim]


def giant(side: int = 100_000) -> list[Untouchable]:
    return [Untouchable((side // 2**n, side // 2**n, 3)) for n in range(8)]
