"""Windows of a slide at the model's pixel size, each the same whoever reads it and in whatever order."""

from __future__ import annotations

import math
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import Image, InputError, ModelCard, Normalisation
from napari_medseg.inference.normalise import normalise
from napari_medseg.inference.ranges import ValueRange, range_of
from napari_medseg.inference.sizes import PIXEL_SIZE_TOLERANCE, input_shape
from napari_medseg.inference.suits import find_other_kind
from napari_medseg.io.blocks import read_region

from .tissue import Tissue

RANGE_SIDE = 2048
"""Side of the level that intensities are measured on."""

_RAW = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.int16))

Window = tuple[slice, slice]
Array = npt.NDArray[Any]


def measure_slide(image: Image, normalisation: Normalisation, tissue: Tissue) -> ValueRange:
    """Values that become 0 and 1, once for the whole slide; measured within the tissue.

    Returns
    -------
    (low, high)
        As of `measure_range`.
    """
    if normalisation.method == "window":
        return normalisation.low, normalisation.high
    level = next((x for x in image.pyramid if max(x.shape[:2]) <= RANGE_SIDE), image.pyramid[-1])
    step = max(1, -(-max(level.shape[:2]) // RANGE_SIDE))
    rows = [
        np.asarray(read_region(level, slice(top, top + 1), slice(0, level.shape[1]))[0][:, ::step])
        for top in range(0, level.shape[0], step)
    ]
    pixels = np.concatenate(rows)
    y, x = (
        np.arange(n) * step * full / size for n, size, full in zip(pixels.shape, level.shape, image.shape, strict=False)
    )
    inside = tissue.touches(np.stack([y, y + 1], 1), np.stack([x, x + 1], 1))
    return range_of((pixels[inside] if inside.any() else pixels).reshape(-1, image.channels), normalisation)


@dataclass(frozen=True)
class _Axis:
    """How pixels of the network's image are made from those of a level, along one axis.

    A triangle of the width of the larger of the two pixels, between the middles of pixels and in places that do not
    depend on the window, so that neighbouring windows agree to the last bit.

    Attributes
    ----------
    wanted, have
        Pixels of the network's image and of the level.
    scale
        Pixels of the level that one of the network's image spans.
    """

    wanted: int
    have: int
    scale: float

    def positions(self, window: slice) -> npt.NDArray[np.int64]:
        """Pixels of the network's image, mirrored beyond its end."""
        pixels = np.arange(window.start, window.stop)
        if self.wanted == 1:
            return np.zeros_like(pixels)
        period = 2 * (self.wanted - 1)
        pixels = pixels % period
        return np.asarray(np.minimum(pixels, period - pixels))

    def taps(self, pixels: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Pixels of the level (taps, N) that each of N pixels is made of, and their weights."""
        reach = max(1.0, self.scale)
        centres = (pixels + 0.5) * self.scale
        first = np.floor(centres - reach).astype(np.int64)
        where = first + np.arange(math.ceil(2 * reach) + 1)[:, None]
        weights = np.maximum(0, 1 - np.abs(where + 0.5 - centres) / reach)
        weights[(where < 0) | (where >= self.have)] = 0
        return np.clip(where, 0, self.have - 1), (weights / weights.sum(0)).astype(np.float32)


class SlideReader:
    """Reads windows of a slide for one model.

    Pixels come from the coarsest level that is at least as fine as the model's pixel size; where a level has that size
    within 5 %, they are taken as they are.

    Parameters
    ----------
    image, card
        What is read, and the model it is prepared for.
    value_range
        From `measure_slide`.

    Attributes
    ----------
    shape
        (Y, X) of the whole slide at the model's pixel size.
    findings
        What there is to say about the image's kind and its pixel size.
    """

    def __init__(self, image: Image, card: ModelCard, value_range: ValueRange = (0.0, 1.0)) -> None:
        wanted, findings = input_shape(image, card)
        self.findings = (*find_other_kind(image, card), *findings)
        self.shape, self._level = _pick_level(image, wanted)
        self._scale = [_reduction(full, have) for full, have in zip(image.shape, self._level.shape, strict=False)]
        self._size = image.shape
        self._card, self._range = card, value_range
        self._axes = [
            _Axis(wanted, int(have), full / wanted / reduction)
            for wanted, have, full, reduction in zip(
                self.shape, self._level.shape, image.shape, self._scale, strict=False
            )
        ]
        self._lost: dict[tuple[int, ...], list[Window]] = {}
        self._lock = Lock()

    @property
    def raw(self) -> bool:
        """Whether windows come as the slide's own integers, to be scaled on the device."""
        return np.dtype(self._level.dtype) in _RAW

    def __call__(self, window: Window) -> Array:
        """A window of the network's image (C, h, w), mirrored beyond the lower and right edges.

        Integers of 8 or 16 bit as they are, other types as the network's input. What could not be read is white;
        `lost_in` tells where that is.
        """
        pixels, lost = self.read(*window)
        if lost:
            with self._lock:
                self._lost[_key(window)] = lost
        if self._card.channels == 1 and pixels.shape[2] > 1:
            if (pixels != pixels[..., :1]).any():
                raise InputError(
                    f"The model {self._card.reference} needs grey, this slide has colours.", "Choose an RGB model."
                )
            pixels = pixels[..., :1]
        card = self._card
        planes = np.moveaxis(pixels, -1, 0) if self.raw else normalise(pixels, card.normalisation, self._range)
        around = 2 * self._card.neighbours + 1
        return planes if around == 1 else np.concatenate([planes] * around)

    def lost_in(self, window: Window) -> list[Window]:
        """Rectangles of the slide (level 0) that could not be read for a window that was."""
        with self._lock:
            return self._lost.get(_key(window), [])

    def read(self, rows: slice, columns: slice) -> tuple[Array, list[Window]]:
        """Pixels (h, w, C) of a window of the network's image, of the slide's type, and what of the slide was lost."""
        places = [axis.positions(part) for axis, part in zip(self._axes, (rows, columns), strict=True)]
        if self.shape == tuple(self._level.shape[:2]):
            corners = [slice(int(p.min()), int(p.max()) + 1) for p in places]
            pixels, lost = read_region(self._level, *corners)
            pixels = pixels if pixels.ndim == 3 else pixels[..., None]
            for n, (p, corner) in enumerate(zip(places, corners, strict=True)):
                if len(p) != pixels.shape[n] or (np.diff(p) != 1).any():
                    pixels = pixels.take(p - corner.start, axis=n)
            return pixels, self._on_slide(lost)
        taps = [axis.taps(p) for axis, p in zip(self._axes, places, strict=True)]
        corners = [slice(int(where.min()), int(where.max()) + 1) for where, _ in taps]
        source, lost = read_region(self._level, *corners)
        source = source if source.ndim == 3 else source[..., None]
        (where_y, weight_y), (where_x, weight_x) = taps
        narrow = _weigh(source, where_x - corners[1].start, weight_x, 1)
        made = _weigh(narrow, where_y - corners[0].start, weight_y, 0)
        if source.dtype.kind in "ui":
            limits = np.iinfo(source.dtype)
            made = np.clip(np.rint(made), limits.min, limits.max)
        return made.astype(source.dtype), self._on_slide(lost)

    def _on_slide(self, lost: tuple[Window, ...]) -> list[Window]:
        """Rectangles of the level, in pixels of the slide."""
        found = []
        for window in lost:
            rows, columns = (
                slice(math.floor(part.start * scale), min(math.ceil(part.stop * scale), size))
                for part, scale, size in zip(window, self._scale, self._size, strict=True)
            )
            found.append((rows, columns))
        return found


def _weigh(pixels: Array, where: npt.NDArray[np.int64], weights: npt.NDArray[np.float32], axis: int) -> Array:
    """Weighted sum of pixels along an axis, always in the same order."""
    sides = (-1, 1, 1) if axis == 0 else (1, -1, 1)
    total: Array | None = None
    for indices, weight in zip(where, weights, strict=True):
        if not weight.any():
            continue
        part = pixels.take(indices, axis=axis) * weight.reshape(sides)
        total = part if total is None else np.add(total, part, out=total)
    assert total is not None
    return total


def _reduction(full: int, have: int) -> float:
    """Pixels of the slide that a level's pixel spans; levels of odd sizes are rounded, their pixels are not."""
    whole = round(full / have)
    return whole if full // whole <= have <= -(-full // whole) else full / have


def _pick_level(image: Image, wanted: tuple[int, int]) -> tuple[tuple[int, int], Any]:
    """Size of the network's image and the level it is made from: the level's own size where that is near enough."""
    shape = (int(image.shape[-2]), int(image.shape[-1]))
    if wanted == shape:
        return shape, image.data
    least = [want * (1 - PIXEL_SIZE_TOLERANCE) for want in wanted]
    fine = [x for x in image.pyramid if all(have >= n for have, n in zip(x.shape, least, strict=False))]
    level = fine[-1] if fine else image.data
    size = (int(level.shape[0]), int(level.shape[1]))
    near = all(abs(have / want - 1) <= PIXEL_SIZE_TOLERANCE for have, want in zip(size, wanted, strict=True))
    return (size, level) if near else (wanted, level)


def _key(window: Window) -> tuple[int, ...]:
    return tuple(n for part in window for n in (part.start, part.stop))
