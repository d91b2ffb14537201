"""Levels of an OME-Zarr that are read chunk by chunk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import InputError
from napari_medseg.io.blocks import Blocks

from .image import Voxels, ZarrImage, pixel_type

_LEAST = 256


class ZarrLevel(Blocks):
    """A level whose blocks are chunks, several at once where they are small.

    A chunk that is not there has the fill value, as the specification says; a damaged one cannot be read.
    """

    def __init__(self, path: Path, found: ZarrImage, array: Any) -> None:
        self._axes = found.about.axes
        self._voxels, self._time = Voxels(path, array), found.time or 0
        self._keeps_channels = found.channels > 1
        sizes = dict(zip(self._axes, map(int, array.shape), strict=True))
        chunks = dict(zip(self._axes, map(int, array.chunks), strict=True))
        block = tuple(min(sizes[a], chunks[a] * -(-_LEAST // chunks[a])) for a in "yx")
        shape = (sizes["y"], sizes["x"], *((found.channels,) if self._keeps_channels else ()))
        # Nothing tells that a chunk was changed since: what another opening kept is not taken.
        super().__init__(shape, pixel_type(array), (block[0], block[1]), path.name, object())

    def decode(self, row: int, column: int) -> npt.NDArray[Any] | None:
        (height, width), whole = self.block, slice(None)
        at: dict[str, Any] = {
            "y": slice(row * height, (row + 1) * height), "x": slice(column * width, (column + 1) * width),
            "c": whole if self._keeps_channels else 0, "z": 0, "t": self._time,
        }  # fmt: skip
        try:
            pixels = self._voxels[tuple(at[axis] for axis in self._axes)]
        except InputError:
            return None
        if self._keeps_channels:
            left = [a for a in self._axes if a in "cyx"]
            pixels = pixels.transpose([left.index(a) for a in "yxc"])
        return np.ascontiguousarray(pixels)
