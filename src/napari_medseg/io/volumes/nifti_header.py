"""What a NIfTI file says of itself: size, type, place in space. Source: nifti1.h and nifti2.h of the NIfTI DFWG."""

from __future__ import annotations

import gzip
import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import MOST_CHANNELS, Finding, Geometry, InputError
from napari_medseg.core.geometry import Unit
from napari_medseg.io.pixels import damaged

from .space import RAS_TO_LPS, about_axes, geometry_of
from .stored import Stored

_SIZES = {348: b"n+1\x00", 540: b"n+2\x00\r\n\x1a\n"}
_LENGTHS: dict[int, tuple[float, Unit]] = {0: (1.0, "mm"), 1: (1000.0, "mm"), 2: (1.0, "mm"), 3: (1.0, "um")}
_VECTORS = (1004, 1005, 1006, 1007, 2003, 2004)
"""Intents of several values a voxel: matrices, displacements, vectors, RGB and RGBA."""
_COLORS = {128: 3, 2304: 4}


@dataclass(frozen=True)
class Nifti:
    """A header that makes sense: what is stored, and where it lies."""

    stored: Stored
    flat: bool
    geometry: Geometry
    findings: tuple[Finding, ...]
    codes: tuple[int, int]


def is_nifti(start: bytes) -> bool:
    """Whether these first bytes, packed or not, are of a NIfTI file in one piece."""
    if start[:2] == b"\x1f\x8b":
        try:
            start = zlib.decompressobj(31).decompress(start, 352)
        except zlib.error:
            return False
        if len(start) < 348:  # so well packed that its header needs more than these bytes: told by its size alone
            return start[:4] in [n.to_bytes(4, order) for n in _SIZES for order in ("little", "big")]
    return _header_size(start) > 0


def read_nifti(path: Path) -> Nifti:
    """Read the header of a ``.nii`` or ``.nii.gz`` file; the content tells which it is.

    Raises
    ------
    InputError
        If it is damaged, or has no slices of grey or RGB values.
    """
    header, packed = _load_header(path)
    try:
        return _describe(path, header, packed)
    except InputError:
        raise
    except Exception as error:  # whatever a made-up header leads to
        raise damaged(path, error) from error


def _header_size(start: bytes) -> int:
    for size, magic in _SIZES.items():
        at = 344 if size == 348 else 4
        if start[:4] in (size.to_bytes(4, "little"), size.to_bytes(4, "big")) and start[at : at + len(magic)] == magic:
            return size
    return 0


def _load_header(path: Path) -> tuple[Any, bool]:
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            start = gzip.GzipFile(fileobj=file).read(540) if packed else file.read(540)
    except (OSError, EOFError, zlib.error) as error:
        raise damaged(path, error) from error
    size = _header_size(start)
    if not size or len(start) < size:
        raise damaged(path, "its header is cut off")
    kind: Any = Nifti1Header if size == 348 else Nifti2Header
    try:
        return kind.from_fileobj(io.BytesIO(start[:size]), check=False), packed
    except Exception as error:
        raise damaged(path, error) from error


def _describe(path: Path, header: Any, packed: bool) -> Nifti:
    dims = [int(n) for n in header["dim"]]
    count = dims[0]
    if not 2 <= count <= 7 or any(n < 1 for n in dims[1 : count + 1]):
        raise InputError(f"{path.name} has the size {dims[1:]}, which is no image.", "Export it again.")
    code = int(header["datatype"])
    channels = _COLORS.get(code, 0)
    dtype = np.dtype(np.uint8) if channels else _dtype(path, header, code)
    shape, axes = [dims[3] if count > 2 else 1, dims[2], dims[1]], "zyx"
    values, volumes = _split_axes(dims[4 : count + 1], int(header["intent_code"]), bool(channels))
    if volumes > 1:
        shape, axes = [volumes, *shape], "p" + axes
    if values > 1:
        shape, axes = [values, *shape], "c" + axes
    if channels:
        shape, axes = [*shape, channels], axes + "c"
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    findings = []
    if not np.isfinite(slope) or slope == 0 or channels:  # not used (nifti1.h, "DATA SCALING")
        slope, intercept = 1.0, 0.0
    elif not np.isfinite(intercept):
        findings.append(Finding("ODD_SCALING", f"{path.name} has the intercept {intercept}: 0 is taken.", (path.name,)))
        intercept = 0.0
    offset = float(header["vox_offset"])
    if not np.isfinite(offset) or not 0 <= offset < 2**40:
        raise damaged(path, f"its voxels start at {offset}")
    smallest = 352 if header["sizeof_hdr"] == 348 else 544
    stored = Stored(
        path, tuple(shape), axes, dtype, offset=max(int(offset), smallest), packing="gzip" if packed else "raw",
        slope=slope, intercept=intercept,
    )  # fmt: skip
    codes = int(header["qform_code"]), int(header["sform_code"])
    geometry, told = _place(path, header, codes, (dims[3] if count > 2 else 1, dims[2], dims[1]))
    flat = count == 2
    return Nifti(stored, flat, geometry.flat if flat else geometry, (*findings, *told), codes)


def _split_axes(more: list[int], intent: int, colored: bool) -> tuple[int, int]:
    """Of the axes beyond those of space how many values a voxel has, and how many volumes there are.

    The fifth axis is for values (nifti1.h, "DATA DIMENSIONALITY"); files of vectors may have them in the fourth. More
    values than an image has channels are volumes to choose from.
    """
    total = int(np.prod(more, dtype=object))
    values = more[1] if len(more) > 1 else 1
    if len(more) == 1 and intent in _VECTORS:
        values = more[0]
    if colored or (len(more) > 2 and total > more[0] * more[1]) or values > MOST_CHANNELS:
        values = 1
    return values, total // values


def _dtype(path: Path, header: Any, code: int) -> np.dtype[Any]:
    dtype: np.dtype[Any] = np.dtype(header.get_data_dtype())
    if code in (0, 1) or dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise InputError(
            f"{path.name} holds voxels of the type {header.get_value_label('datatype')}, which are no values to show.",
            "Export it with whole or floating point numbers.",
        )
    return dtype


def _place(
    path: Path, header: Any, codes: tuple[int, int], shape: tuple[int, int, int]
) -> tuple[Geometry, tuple[Finding, ...]]:
    """Geometry by sform, else qform, else the sizes of voxels alone (nifti1.h, "3D IMAGE ORIENTATION")."""
    name = path.name
    scale, unit = _LENGTHS.get(int(header["xyzt_units"]) & 7, (1.0, "mm"))
    forms: list[tuple[str, npt.NDArray[np.float64]]] = []
    findings = []
    for what, code, load in (("sform", codes[1], header.get_sform), ("qform", codes[0], header.get_qform)):
        if code <= 0:
            continue
        matrix = _sound(load)
        if matrix is None:
            text = f"The {what} of {name} makes no sense and is left out."
            findings.append(Finding("BROKEN_ORIENTATION", text, (name,)))
        else:
            forms.append((what, matrix))
    if len(forms) == 2:
        findings += _disagreement(name, forms[0][1], forms[1][1], shape)
    if forms:
        matrix = RAS_TO_LPS @ forms[0][1]
        matrix[:3] *= scale
        return geometry_of(matrix, unit), (*findings, *about_axes(name, matrix))
    sizes = [abs(float(s)) * scale for s in header["pixdim"][1:4]]
    sizes = [s if np.isfinite(s) and s > 0 else 1.0 for s in sizes]
    if int(header["xyzt_units"]) & 7 == 0 and sizes == [1.0, 1.0, 1.0]:
        return Geometry.unknown(3), tuple(findings)
    text = f"{name} tells the size of its voxels, not how they lie in the patient: left and right are not certain."
    return Geometry(spacing=tuple(sizes[::-1]), unit=unit), (*findings, Finding("NO_ORIENTATION", text, (name,)))


def _sound(load: Any) -> npt.NDArray[np.float64] | None:
    """A matrix (4, 4) whose axes span space, or None."""
    try:
        with np.errstate(all="ignore"):
            matrix = np.asarray(load(), float)
            geometry_of(matrix)
    except Exception:  # quaternions longer than 1, infinite numbers, axes in one plane
        return None
    return matrix


def _disagreement(
    name: str, sform: npt.NDArray[np.float64], qform: npt.NDArray[np.float64], shape: tuple[int, int, int]
) -> list[Finding]:
    ends = [(0, n - 1) for n in shape[::-1]]
    corners = np.array([[i, j, k, 1] for i in ends[0] for j in ends[1] for k in ends[2]], float).T
    apart = float(np.linalg.norm(((sform - qform) @ corners)[:3], axis=0).max())
    if apart <= 0.1 * float(np.linalg.norm(sform[:3, :3], axis=0).min()):
        return []
    text = f"sform and qform of {name} place it up to {apart:.2f} apart: the sform is taken."
    return [Finding("QFORM_SFORM_DISAGREE", text, (name,))]
