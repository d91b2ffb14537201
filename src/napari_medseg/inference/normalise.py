"""Slices as a network takes them: intensities as the card says, the same for every slice of an image."""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import Future
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import Image, InputError, ModelCard, ModelError, Normalisation

from .neighbours import find_gaps
from .ranges import ValueRange, has_own_ranges, slice_range
from .sizes import input_shape
from .suits import find_other_kind

Pixels = npt.NDArray[np.float32]


def normalise(pixels: npt.NDArray[Any], normalisation: Normalisation, value_range: ValueRange) -> Pixels:
    """One slice, (Y, X) or (Y, X, C) of any real dtype, as the network's input (C, Y, X).

    NaN and infinite values become the low end; an image, or a channel, without any range becomes zeros.
    """
    values = pixels if pixels.ndim == 3 else pixels[..., np.newaxis]
    # float32 holds 16-bit integers exactly; wider types keep their small differences on a large offset.
    narrow = values.dtype.itemsize <= 2 or values.dtype == np.float32
    invalid = ~np.isfinite(values) if values.dtype.kind == "f" else None
    scaled: npt.NDArray[Any] = values.astype(np.float32 if narrow else np.float64)
    low, high = (np.asarray(end, np.float64) for end in value_range)
    there = low < high
    np.subtract(scaled, low.astype(scaled.dtype), out=scaled)
    np.divide(scaled, np.where(there, high - low, 1).astype(scaled.dtype), out=scaled)
    ends = (0.0, 1.0) if normalisation.clip else (-1e6, 1e6)
    np.clip(scaled, *ends, out=scaled)
    if not there.all():
        scaled[..., np.broadcast_to(~there, scaled.shape[-1])] = 0
    if invalid is not None and invalid.any():
        scaled[invalid] = 0
    if normalisation.mean:
        np.subtract(scaled, np.array(normalisation.mean, scaled.dtype), out=scaled)
        np.divide(scaled, np.array(normalisation.std, scaled.dtype), out=scaled)
    return np.ascontiguousarray(np.moveaxis(scaled, -1, 0), dtype=np.float32)


def resize(pixels: Pixels, shape: tuple[int, int]) -> Pixels:
    """(C, Y, X) on another grid over the same area, averaged where it becomes coarser."""
    if pixels.shape[-2:] == shape:
        return pixels
    import torch

    tensor = torch.from_numpy(pixels)[None]
    resized = torch.nn.functional.interpolate(tensor, shape, mode="bilinear", align_corners=False, antialias=True)
    return np.asarray(resized[0].numpy())


class SliceReader:
    """Reads and prepares slices of one image for one model, each pixel file once; may be called on several threads.

    Parameters
    ----------
    image, card
        What is read, and the model it is prepared for.
    value_range
        From `measure_range`; not used where slices have ranges of their own, as `has_own_ranges` tells.
    raw
        Whether slices of 8 or 16 bit that need no resampling are handed out as they are, for `Predictor.take_raw`.

    Attributes
    ----------
    shape
        (Y, X) of the prepared slices.
    findings
        What there is to say about the image's kind and its pixel size.
    invalid
        Number of NaN and infinite values by slice.
    """

    def __init__(self, image: Image, card: ModelCard, value_range: ValueRange, *, raw: bool = False) -> None:
        self._own = has_own_ranges(image, card)
        self._image, self._card, self._range, self._raw = image, card, value_range, raw and not self._own
        self.shape, findings = input_shape(image, card)
        self.findings = (*find_other_kind(image, card), *findings)
        self._gaps = find_gaps(image) if card.neighbours else frozenset()
        self.invalid: dict[int, int] = {}
        self._lock = Lock()
        self._kept: OrderedDict[int, Future[npt.NDArray[Any] | InputError]] = OrderedDict()

    def __call__(self, z: int) -> npt.NDArray[Any]:
        """Slice ``z`` with its neighbours, shape (channels * (2 k + 1), Y, X), float32 unless raw.

        Raises
        ------
        InputError
            The slice itself cannot be read. An unreadable neighbour, or one beyond the ends or a wide gap, is
            replaced by the nearest slice on the way to it.
        """
        around = self._card.neighbours
        centre = self._get(z)
        if isinstance(centre, InputError):
            raise centre
        planes = [centre]
        for step in (-1, 1):
            last, beside = centre, True
            for distance in range(1, around + 1):
                # Of two slices the lower one tells whether there is a gap between them.
                beside = beside and z + step * distance - max(step, 0) not in self._gaps
                plane = self._get(z + step * distance) if beside else last
                last = last if isinstance(plane, InputError) else plane
                planes.insert(0 if step < 0 else len(planes), last)
        return planes[0] if len(planes) == 1 else np.concatenate(planes)

    def _get(self, z: int) -> npt.NDArray[Any] | InputError:
        if not 0 <= z < len(self._image) or z in self._image.missing:
            return InputError(f"Slice {z} is missing.")
        with self._lock:
            future = self._kept.get(z)
            if mine := future is None:
                future = self._kept[z] = Future()
                around = self._card.neighbours
                # Some more than one slice needs, for those that other threads are at.
                while len(self._kept) > (2 * around + 4 if around else 1):
                    self._kept.popitem(last=False)
        if mine:
            try:
                future.set_result(self._read(z))
            except InputError as error:
                future.set_result(error)
            except BaseException as error:
                future.set_exception(error)
        return future.result()

    def _read(self, z: int) -> npt.NDArray[Any]:
        pixels = self._image.slice(z)
        if pixels.ndim == 3 and self._card.channels == 1:
            if (pixels != pixels[..., :1]).any():
                raise ModelError(
                    f"The model {self._card.reference} needs grey, slice {z} has colours.", "Choose an RGB model."
                )
            pixels = pixels[..., 0]
        if pixels.ndim == 2 and self._card.channels == self._image.alike > 1:
            pixels = np.repeat(pixels[..., np.newaxis], self._image.alike, axis=2)
        small = pixels.dtype.kind in "iu" and pixels.dtype.itemsize <= 2
        if self._raw and small and pixels.shape[:2] == self.shape:
            return np.moveaxis(pixels, -1, 0) if pixels.ndim == 3 else pixels[np.newaxis]
        if pixels.dtype.kind == "f" and (count := pixels.size - int(np.isfinite(pixels).sum())):
            self.invalid[z] = count
        values = self._card.normalisation
        own = slice_range(pixels, values) if self._own and values.method != "window" else self._range
        return resize(normalise(pixels, values, own), self.shape)
