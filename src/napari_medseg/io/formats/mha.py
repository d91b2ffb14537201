"""MetaImage: volumes of grey or RGB values, header and voxels in one file (``.mha``) or two (``.mhd``, read only).

Source: ITK, "MetaIO / Documentation", MetaImage tags.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import Labels, OutputError
from napari_medseg.io.format import Format, Header
from napari_medseg.io.volumes.header import header_of
from napari_medseg.io.volumes.meta_header import TYPES, read_meta
from napari_medseg.io.volumes.space import matrix_of
from napari_medseg.io.volumes.voxels import Voxels


def read_header(path: Path, part: int = 0) -> Header:
    """Size, type and place of one volume."""
    found = read_meta(path)
    return header_of(found.stored, found.geometry, part, found.findings, path.name)


def read_parts(path: Path) -> tuple[str, ...]:
    """``"1"``, ``"2"`` … where there are several volumes, such as time points."""
    return tuple(str(n + 1) for n in range(read_meta(path).stored.parts))


def read_array(path: Path, part: int = 0) -> Voxels:
    """The voxels of one volume."""
    return Voxels(read_meta(path).stored, part)


def read_together(path: Path) -> list[Voxels]:
    """All volumes, unpacked once."""
    return read_array(path).all_parts()


def read_pixels(path: Path, z: int = 0, part: int = 0) -> npt.NDArray[Any]:
    """The voxels of one slice."""
    return read_array(path, part)[z]


def write(path: Path, labels: Labels) -> None:
    """Write labels packed, in LPS coordinates and mm.

    Raises
    ------
    OutputError
        If the header and its voxels would be two files.
    """
    if path.name.lower().endswith(".mhd"):
        raise OutputError("Headers beside their voxels are not written.", "Choose a name ending in .mha.")
    data = np.asarray(labels.data)
    n = data.ndim
    matrix = matrix_of(labels.geometry)[:, [*range(n), 3]][[*range(n), 3]]
    spacing = np.linalg.norm(matrix[:n, :n], axis=0)
    packer = zlib.compressobj()
    packed = [packer.compress(np.ascontiguousarray(p, p.dtype.newbyteorder("<")).data) for p in data]
    packed.append(packer.flush())
    names = {dtype: name for name, dtype in reversed(TYPES.items())}
    about: dict[str, Any] = {
        "ObjectType": "Image", "NDims": n, "BinaryData": True, "BinaryDataByteOrderMSB": False, "CompressedData": True,
        "CompressedDataSize": sum(map(len, packed)),
        "TransformMatrix": _row((matrix[:n, :n] / spacing).T.ravel()),  # one axis after the other
        "Offset": _row(matrix[:n, n]), "CenterOfRotation": _row(np.zeros(n)), "ElementSpacing": _row(spacing),
        "DimSize": " ".join(map(str, data.shape[::-1])), "ElementType": names[data.dtype.str[1:]],
        "ElementDataFile": "LOCAL",
    }  # fmt: skip
    with path.open("wb") as file:
        file.write("".join(f"{key} = {value}\n" for key, value in about.items()).encode())
        file.writelines(packed)


def _row(numbers: npt.NDArray[np.float64]) -> str:
    return " ".join(repr(float(n)) for n in numbers)


FORMAT = Format(
    "mha", "MetaImage volume", (".mha", ".mhd"), (b"ObjectType", b"NDims", b"Comment"), read_header, read_pixels,
    read_pixels, write, stacks=True, lazy="unpacked", keeps=frozenset({"spacing", "orientation"}), array=read_array,
    parts=read_parts, together=read_together,
)  # fmt: skip
