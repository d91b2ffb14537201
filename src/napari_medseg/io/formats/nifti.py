"""NIfTI, versions 1 and 2 in one file, packed or not: volumes of grey or RGB values, several where it has more axes.

Source: nifti1.h and nifti2.h of the NIfTI Data Format Working Group; headers through nibabel.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import InputError, Labels
from napari_medseg.io.format import Format, Header
from napari_medseg.io.volumes.header import header_of
from napari_medseg.io.volumes.nifti_header import Nifti, is_nifti, read_nifti
from napari_medseg.io.volumes.space import RAS_TO_LPS, in_mm, is_square, matrix_of
from napari_medseg.io.volumes.voxels import Voxels

_LABEL = 1002
_SCANNER, _ALIGNED = 1, 2
_LONGEST = 32767


def read_header(path: Path, part: int = 0) -> Header:
    """Size, type and place of one volume."""
    found = read_nifti(path)
    return header_of(found.stored, found.geometry, part, found.findings)


def read_parts(path: Path) -> tuple[str, ...]:
    """``"1"``, ``"2"`` … where there are several volumes, such as time points."""
    return tuple(str(n + 1) for n in range(read_nifti(path).stored.parts))


def read_array(path: Path, part: int = 0) -> Voxels:
    """The voxels of one volume."""
    return Voxels(read_nifti(path).stored, part)


def read_together(path: Path) -> list[Voxels]:
    """All volumes, unpacked once."""
    return read_array(path).all_parts()


def read_pixels(path: Path, z: int = 0, part: int = 0) -> npt.NDArray[Any]:
    """The voxels of one slice."""
    return read_array(path, part)[z]


def write(path: Path, labels: Labels) -> None:
    """Write labels with sform = qform in mm; of a NIfTI source its own matrix, codes and units are kept.

    Axes that are not at right angles fit the sform only: the qform is then left out.
    """
    import nibabel as nib

    data = np.asarray(labels.data)
    source = _source_of(labels)
    matrix = RAS_TO_LPS @ matrix_of(labels.geometry)
    code = _SCANNER if labels.geometry.origin or labels.geometry.direction else _ALIGNED
    kind: Any = nib.Nifti1Image if max(data.shape) <= _LONGEST else nib.Nifti2Image
    image: Any = kind(data.transpose(), matrix)
    header = image.header
    header.set_intent(_LABEL)
    header["descrip"] = b"labels, napari-medseg"
    if source and _is_same(source, labels):
        code = source.codes[1] or source.codes[0]
    if not labels.geometry.known:
        code = 0
    header.set_xyzt_units("mm" if labels.geometry.known else "unknown")
    image.set_sform(matrix, code)
    if is_square(matrix):
        image.set_qform(matrix, code)
    else:
        image.set_qform(None, 0)
    header["pixdim"][1 : 1 + data.ndim] = in_mm(labels.geometry)[::-1]
    nib.save(image, path)


def _source_of(labels: Labels) -> Nifti | None:
    if labels.source is None or not labels.source.is_file() or not labels.source.name.lower().endswith(FORMAT.suffixes):
        return None
    try:
        return read_nifti(labels.source)
    except InputError:
        return None


def _is_same(source: Nifti, labels: Labels) -> bool:
    """Whether labels lie where their source does."""
    ours, theirs = matrix_of(labels.geometry), matrix_of(source.geometry)
    return source.geometry.ndim == labels.geometry.ndim and bool(np.allclose(ours, theirs, atol=1e-4))


FORMAT = Format(
    "nifti", "NIfTI volume", (".nii.gz", ".nii"), (), read_header, read_pixels, read_pixels, write, stacks=True,
    lazy="unpacked", keeps=frozenset({"spacing", "orientation"}), array=read_array, sniff=is_nifti, parts=read_parts,
    together=read_together,
)  # fmt: skip
