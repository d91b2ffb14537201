"""NumPy array in a file: (Y, X), (Z, Y, X), (Y, X, 3 or 4) or (Z, Y, X, 2 to 16); it tells nothing of space.

Source: numpy.lib.format, versions 1.0 to 3.0. Arrays of Python objects are refused: reading them would run code.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import MOST_CHANNELS, Finding, Geometry, InputError, Labels
from napari_medseg.io.format import Format, Header
from napari_medseg.io.pixels import damaged, quietly
from napari_medseg.io.volumes.header import header_of
from napari_medseg.io.volumes.stored import Stored
from napari_medseg.io.volumes.voxels import Voxels

_MAGIC = b"\x93NUMPY"
_VERSIONS = ((1, 0), (2, 0), (3, 0))


def read_header(path: Path) -> Header:
    """Size and type."""
    stored = _lay_out(path)
    findings = []
    if "c" in stored.axes:
        what = "colours" if stored.channels in (3, 4) else "channels"
        text = f"The last axis of {path.name} has the length {stored.channels}: it is taken as {what}, not as columns."
        findings.append(Finding("COLOR_AXIS", text, (path.name,)))
    return header_of(stored, Geometry.unknown(3 if "z" in stored.axes else 2), findings=findings)


def read_array(path: Path) -> Voxels:
    """The pixels, slice by slice."""
    return Voxels(_lay_out(path))


def read_pixels(path: Path, z: int = 0) -> npt.NDArray[Any]:
    """The pixels of one slice."""
    return read_array(path)[z]


def write(path: Path, labels: Labels) -> None:
    """Write the values as an array."""
    with path.open("wb") as file:
        np.save(file, np.ascontiguousarray(labels.data), allow_pickle=False)


def _lay_out(path: Path) -> Stored:
    """Where the pixels lie in the file; of three axes a last one of 3 or 4 behind longer ones is that of colours."""
    try:
        with path.open("rb") as file, quietly():
            version = np.lib.format.read_magic(file)
            if version not in _VERSIONS:
                raise ValueError(f"its version is {version}")
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, is_fortran, dtype = read(file)
            offset = file.tell()
    except Exception as error:  # the header is an expression in Python's own words
        raise damaged(path, error) from error
    axes = _axes(path, shape, is_fortran)
    if is_fortran:
        shape, axes = shape[::-1], axes[::-1]
    return Stored(path, tuple(int(n) for n in shape), axes, np.dtype(dtype), offset=offset)


def _axes(path: Path, shape: tuple[int, ...], is_fortran: bool) -> str:
    colored = len(shape) == 3 and shape[-1] in (3, 4) and min(shape[-3:-1]) > 4
    several = len(shape) == 4 and 2 <= shape[-1] <= MOST_CHANNELS
    axes = {2: "yx", 3: "yxc" if colored else "zyx", 4: "zyxc" if several else ""}.get(len(shape), "")
    if not axes:
        raise InputError(
            f"{path.name} holds an array of shape {tuple(shape)}.",
            f"Save (Y, X), (Z, Y, X) or (Z, Y, X, C) with 2 to {MOST_CHANNELS} channels.",
        )
    return axes


FORMAT = Format("npy", "NumPy array", (".npy",), (_MAGIC,), read_header, read_pixels, read_pixels, write, stacks=True,
                array=read_array)  # fmt: skip
