"""Voxels of a volume file: a slice is read, unpacked and scaled when indexed."""

from __future__ import annotations

from copy import copy
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.io.pixels import damaged

from .stored import Stored
from .unpacking import chunks, may_end_early, unpack

Array = npt.NDArray[Any]


class Voxels:
    """One volume (Z, Y, X) or (Z, Y, X, C) of a file; indexing with a number reads that slice.

    What is stored plainly is read slice by slice; what is packed is unpacked once, at the first slice, and kept.
    Slices that are not whole in the file raise `DamagedError`.
    """

    def __init__(self, stored: Stored, part: int = 0) -> None:
        self.shape = (stored.slices, *stored.plane, *((stored.channels,) if "c" in stored.axes else ()))
        self.dtype = stored.values_dtype
        self.ndim = len(self.shape)
        self._stored = stored
        self._part = part
        self._unpacked: Array | None = None
        if stored.packing != "raw":
            self._unpacked = unpack(stored)

    def __len__(self) -> int:
        return int(self.shape[0])

    def all_parts(self) -> list[Voxels]:
        """Every volume of the file, unpacked once for all of them."""
        found = [copy(self) for _ in range(self._stored.parts)]
        for part, one in enumerate(found):
            one._part = part
        return found

    def __getitem__(self, z: int) -> Array:
        stored = self._stored
        steps = stored.steps
        spread = [a for a in "yxc" if a in stored.axes]
        # Channels that lie apart are read one by one, so that only what is needed is.
        apart = "c" in steps and steps["c"] > steps.get("z", 0) > 0
        inside = [a for a in spread if not (apart and a == "c")]
        counts = dict(zip(stored.axes, stored.shape, strict=True))
        start = steps.get("z", 0) * z + steps.get("p", 0) * self._part
        length = sum(steps[a] * (counts[a] - 1) for a in inside) + 1
        planes = []
        for channel in range(counts["c"] if apart else 1):
            first = start + channel * steps.get("c", 0)
            flat = self._block(first, length, z)
            strides = tuple(steps[a] * stored.dtype.itemsize for a in inside)
            planes.append(np.ndarray(tuple(counts[a] for a in inside), stored.dtype, flat, 0, strides))
        return self._values(np.stack(planes, axis=-1) if apart else planes[0])

    def _block(self, first: int, length: int, z: int) -> Any:
        """Bytes of voxels that lie in a row."""
        item = self._stored.dtype.itemsize
        if self._unpacked is not None:
            found = self._unpacked[first * item : (first + length) * item]
            raw: Any = np.ascontiguousarray(found)
        else:
            try:
                with self._stored.path.open("rb") as file:
                    file.seek(self._stored.offset + first * item)
                    raw = file.read(length * item)
            except OSError as error:
                raise damaged(self._stored.path, error.strerror or error, z) from error
        if len(raw) < length * item:
            raise damaged(self._stored.path, "the file is cut off", z)
        return raw

    def _values(self, plane: Array) -> Array:
        stored = self._stored
        if (stored.slope, stored.intercept) == (1.0, 0.0):
            return plane.astype(self.dtype)
        if self.dtype.kind == "f":
            with np.errstate(all="ignore"):  # values too large become infinite, as in the file's own arithmetic
                return (plane * stored.slope + stored.intercept).astype(self.dtype)
        return (plane.astype(np.int64) * int(stored.slope) + int(stored.intercept)).astype(self.dtype)


def broken_slices(stored: Stored, part: int = 0) -> dict[int, str]:
    """Slices that are not whole in the file, with the reason; a packed file is only unpacked when it looks cut off."""
    size = stored.path.stat().st_size
    if stored.packing == "raw":
        there = max(0, size - stored.offset)
    elif stored.packing == "gzip" and not may_end_early(stored):
        return {}
    elif stored.packing in ("gzip", "zlib"):
        there = sum(len(chunk) for chunk in chunks(stored))
    else:
        return {}
    whole = there // stored.dtype.itemsize
    if whole >= prod(stored.shape):
        return {}
    return {z: "the file is cut off" for z in range(stored.slices) if stored.last(z, part) >= whole}
