"""Where the voxels of a volume lie in a file, and whether such a file can be."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_medseg.core import InputError
from napari_medseg.io.budget import DEFLATE_LIMIT, check_budget, in_gib, stack_budget

Packing = Literal["raw", "gzip", "zlib", "bzip2"]

MOST_SLICES = 2**16


@dataclass(frozen=True)
class Stored:
    """Where the voxels of a volume lie in a file.

    Attributes
    ----------
    path
        The file that holds them.
    shape
        Their axes from the slowest to the fastest: those of the file, in reverse.
    axes
        What each axis is: ``z``, ``y``, ``x``, ``c`` (channels), ``p`` (parts: volumes of which one is read).
    dtype
        As stored, with its byte order.
    offset
        Their first byte: in the file, or in what comes out of unpacking.
    packing, packed_from
        How they are packed, and from which byte of the file on.
    slope, intercept
        What makes values of the stored ones.
    """

    path: Path
    shape: tuple[int, ...]
    axes: str
    dtype: np.dtype[Any]
    offset: int = 0
    packing: Packing = "raw"
    packed_from: int = 0
    slope: float = 1.0
    intercept: float = 0.0

    @property
    def size(self) -> int:
        """Bytes of all voxels, unpacked."""
        return prod(self.shape) * self.dtype.itemsize

    @property
    def slices(self) -> int:
        return self._length("z")

    @property
    def parts(self) -> int:
        return self._length("p")

    @property
    def channels(self) -> int:
        return self._length("c")

    @property
    def plane(self) -> tuple[int, int]:
        """(Y, X) of a slice."""
        return self._length("y"), self._length("x")

    @property
    def values_dtype(self) -> np.dtype[Any]:
        """Of the values after scaling: whole numbers where they are exact, else floating point."""
        native = self.dtype.newbyteorder("=")
        if (self.slope, self.intercept) == (1.0, 0.0):
            return np.dtype(np.uint8) if native.kind == "b" else native
        if native.kind in "iu" and self.slope.is_integer() and self.intercept.is_integer():
            limits = np.iinfo(native)
            ends = [int(limits.min) * int(self.slope), int(limits.max) * int(self.slope)]
            low, high = min(ends) + int(self.intercept), max(ends) + int(self.intercept)
            for fitting in (np.uint8, np.int16, np.uint16, np.int32):
                if np.iinfo(fitting).min <= low and high <= np.iinfo(fitting).max:
                    return np.dtype(fitting)
        return np.dtype(np.float64 if native.itemsize > 4 else np.float32)

    def last(self, z: int, part: int = 0) -> int:
        """Index of the last voxel of a slice in the file."""
        at = {"z": z, "p": part}
        steps = self.steps
        return sum(steps[a] * at.get(a, n - 1) for a, n in zip(self.axes, self.shape, strict=True))

    @property
    def steps(self) -> dict[str, int]:
        """How many voxels lie between neighbours along each axis."""
        return {a: prod(self.shape[i + 1 :]) for i, a in enumerate(self.axes)}

    def _length(self, axis: str) -> int:
        return self.shape[self.axes.index(axis)] if axis in self.axes else 1


def check_stored(stored: Stored, name: str) -> None:
    """Refuse sizes that make no sense, do not fit in memory, or cannot come out of so small a file.

    Raises
    ------
    InputError
        Before anything is allocated.
    """
    if any(n < 1 for n in stored.shape):
        raise InputError(f"{name} claims the size {' x '.join(map(str, stored.shape[::-1]))}.", "Export it again.")
    if stored.dtype.kind not in "biuf":
        raise InputError(f"{name} holds {stored.dtype} values.", "Export it with whole or floating point numbers.")
    if stored.slices > MOST_SLICES or stored.parts > MOST_SLICES:
        raise InputError(f"{name} claims {max(stored.slices, stored.parts):,} slices.", "Export it again.")
    kept = np.dtype(np.result_type(stored.values_dtype, stored.dtype))
    check_budget(stored.path, (*stored.plane, stored.channels), kept)
    if stored.packing == "raw":
        return
    there = max(0, stored.path.stat().st_size - stored.packed_from)
    if stored.packing in ("gzip", "zlib") and stored.offset + stored.size > DEFLATE_LIMIT * there:
        raise InputError(
            f"{name} claims {in_gib(stored.size)} of voxels, too many for its {there:,} bytes.",
            "The file is damaged or made up; copy it again from where it came from.",
        )
    if stored.size > stack_budget():
        raise InputError(
            f"{name} is packed, and unpacked its voxels take {in_gib(stored.size)};"
            f" {in_gib(stack_budget())} are allowed here.",
            "Save it without compression: it is then read slice by slice.",
        )
