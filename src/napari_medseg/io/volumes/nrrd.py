"""Volumes and segmentations in NRRD files: what both formats of them read and write."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import ClassInfo, Geometry, InputError, Labels, OutputError
from napari_medseg.io.budget import check_budget
from napari_medseg.io.format import Header

from .header import header_of
from .nrrd_header import Nrrd, read_nrrd
from .slicer import LabelMap, Segment, describe_reference, describe_segments, find_whole, is_plain, read_segments
from .space import matrix_of
from .stored import MOST_SLICES
from .voxels import Voxels

_FLAT = "napari-medseg axes"
_TYPES = {1: "uint8", 2: "uint16", 4: "uint32"}


def read_header(path: Path, part: int = 0) -> Header:
    """Size, type and place of one volume, or of the label map of a segmentation.

    Raises
    ------
    InputError
        The header is damaged, or claims more slices than any file has.
    """
    found = read_nrrd(path)
    segments, findings = read_segments(path.name, found)
    if not segments:
        return header_of(found.stored, found.geometry, part, found.findings, path.name)
    bare = header_of(found.stored, found.geometry, 0, (*found.findings, *findings), path.name)
    whole, told = find_whole(path.name, found)
    dtype = _dtype_of(found, segments)
    geometry, broken = found.geometry, bare.broken
    shape: tuple[int, ...] = (bare.slices, *bare.shape)
    if whole:
        check_budget(path, whole.shape[1:], dtype)
        if whole.shape[0] > MOST_SLICES:
            raise InputError(f"{path.name} claims {whole.shape[0]:,} slices.", "Save the segmentation again.")
        geometry, shape = whole.moved(geometry), whole.shape
        broken = {z + whole.start[0]: reason for z, reason in broken.items()}
    if found.fields.get(_FLAT) == "YX" and shape[0] == 1:
        geometry = geometry.flat
    return Header(
        (shape[1], shape[2]), dtype, slices=shape[0], geometry=geometry, broken=broken, volume=geometry.ndim == 3,
        findings=(*bare.findings, *told),
    )  # fmt: skip


def read_parts(path: Path) -> tuple[str, ...]:
    """``"1"``, ``"2"`` … where there are several volumes; the layers of a segmentation are one label map."""
    found = read_nrrd(path)
    return () if read_segments(path.name, found)[0] else tuple(str(n + 1) for n in range(found.stored.parts))


def read_array(path: Path, part: int = 0) -> Voxels | LabelMap:
    """The voxels of one volume, or the label map of a segmentation."""
    found = read_nrrd(path)
    segments, _ = read_segments(path.name, found)
    if not segments:
        return Voxels(found.stored, part)
    whole, _ = find_whole(path.name, found)
    return LabelMap(Voxels(found.stored).all_parts(), segments, whole, _dtype_of(found, segments))


def read_together(path: Path) -> list[Voxels]:
    """All volumes, unpacked once."""
    return Voxels(read_nrrd(path).stored).all_parts()


def read_pixels(path: Path, z: int = 0, part: int = 0) -> npt.NDArray[Any]:
    """One slice."""
    return read_array(path, part)[z]


def read_classes(path: Path) -> tuple[ClassInfo, ...]:
    """Names and colours of the segments, by value."""
    segments, _ = read_segments(path.name, read_nrrd(path))
    return tuple(sorted((s.info for s in segments), key=lambda c: c.value))


def write_nrrd(path: Path, labels: Labels, *, segments: bool) -> None:
    """Write labels packed with gzip, in LPS coordinates and mm; with ``segments`` as a segmentation of 3D Slicer.

    Raises
    ------
    OutputError
        If the header and its voxels would be two files.
    """
    if path.name.lower().endswith(".nhdr"):
        raise OutputError("Headers beside their voxels are not written.", "Choose a name ending in .nrrd.")
    data = np.asarray(labels.data)
    if segments and data.ndim == 2:  # Slicer has volumes only
        data = data[np.newaxis]
    lines = _describe(data, labels.geometry, placed=segments or labels.geometry.known)
    if segments:
        pairs = describe_segments(labels.classes, _extents(data), describe_reference(labels.geometry, data.shape))
        pairs += [(_FLAT, "YX")] if labels.data.ndim == 2 else []
        lines += [f"{key}:={value}" for key, value in pairs]
    packer = zlib.compressobj(wbits=31)
    with path.open("wb") as file:
        file.write(("\n".join(lines) + "\n\n").encode())
        for plane in data:
            file.write(packer.compress(np.ascontiguousarray(plane, plane.dtype.newbyteorder("<")).data))
        file.write(packer.flush())


def _describe(data: npt.NDArray[Any], geometry: Geometry, *, placed: bool) -> list[str]:
    """Lines of the header that say what is stored, and with ``placed`` where it lies."""
    n = data.ndim
    lines = [
        "NRRD0005", f"type: {_TYPES[data.dtype.itemsize]}", f"dimension: {n}",
        f"sizes: {' '.join(map(str, data.shape[::-1]))}", "encoding: gzip", "endian: little",
        f"kinds: {' '.join(['domain'] * n)}",
    ]  # fmt: skip
    if not placed:
        return lines
    if n == 2:
        matrix = matrix_of(geometry)
        return [*lines, f"spacings: {' '.join(repr(float(s)) for s in np.linalg.norm(matrix[:3, :2], axis=0))}"]
    matrix = matrix_of(geometry)
    axes = " ".join(_vector(matrix[:3, i]) for i in range(n))
    units = " ".join(['"mm"'] * 3)
    return [
        *lines[:2], "dimension: 3", "space: left-posterior-superior", *lines[3:], f"space directions: {axes}",
        f"space origin: {_vector(matrix[:3, 3])}", f"space units: {units}",
    ]  # fmt: skip


def _vector(numbers: npt.NDArray[np.float64]) -> str:
    return f"({','.join(repr(float(n)) for n in numbers)})"


def _extents(data: npt.NDArray[Any]) -> dict[int, str]:
    """By class value the first and last index of its voxels along i, j and k."""
    found: dict[int, list[list[int]]] = {}
    for k, plane in enumerate(data):
        for value in np.unique(plane[plane > 0]).tolist():
            rows, columns = np.nonzero(plane == value)
            here = [[int(columns.min()), int(columns.max())], [int(rows.min()), int(rows.max())], [k, k]]
            known = found.setdefault(value, here)
            found[value] = [[min(a[0], b[0]), max(a[1], b[1])] for a, b in zip(known, here, strict=True)]
    return {value: " ".join(str(n) for pair in pairs for n in pair) for value, pairs in found.items()}


def _dtype_of(found: Nrrd, segments: list[Segment]) -> np.dtype[Any]:
    if is_plain(found.stored.parts, segments):
        return found.stored.values_dtype
    return np.min_scalar_type(max(s.info.value for s in segments))
