"""What an NRRD file says of itself: size, type, place in space.

Source: "Definition of NRRD File Format" (teem.sourceforge.net/nrrd/format.html); fields are parsed by pynrrd.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import MOST_CHANNELS, Finding, Geometry, InputError
from napari_medseg.core.geometry import Unit
from napari_medseg.io.pixels import damaged, quietly
from napari_medseg.io.units import UNITS

from .header import data_file
from .space import about_axes, geometry_of
from .stored import Packing, Stored

MAGIC = b"NRRD000"

_LONGEST_HEADER = 2**22
_MOST_LINES = 10_000
_PACKINGS: dict[str, Packing] = {
    "raw": "raw", "gzip": "gzip", "gz": "gzip", "bzip2": "bzip2", "bz2": "bzip2",
}  # fmt: skip
_SPACES = {
    "left-posterior-superior": (1, 1, 1), "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1), "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1), "las": (1, -1, 1),
}  # fmt: skip
_VALUES = re.compile(r"list|(covariant-)?vector|\d-vector|\d-color|(rgba?|hsv|xyz)-color|complex")
"""Kinds of axes whose places are values of one voxel."""
_FRAMES = re.compile(r"Segment|MultiVolume|axis \d+ index")
"""Keys of 3D Slicer's files whose list is one of layers of segments, or of moments."""
_SPATIAL = ("domain", "space")


@dataclass(frozen=True)
class Nrrd:
    """A header that makes sense: what is stored, where it lies, and its fields and keys as they are called in it."""

    stored: Stored
    geometry: Geometry
    findings: tuple[Finding, ...]
    fields: dict[str, Any]


def read_nrrd(path: Path) -> Nrrd:
    """Read the header of an ``.nrrd`` or ``.nhdr`` file.

    Raises
    ------
    InputError
        If it is damaged, or has no slices of grey or RGB values.
    """
    import nrrd

    lines, size = _header_lines(path)
    try:
        with quietly():
            fields = dict(nrrd.read_header(lines))
        return _describe(path, fields, size)
    except InputError:
        raise
    except Exception as error:  # whatever a made-up header leads to
        raise damaged(path, error) from error


def _header_lines(path: Path) -> tuple[list[str], int]:
    """Lines of the header as UTF-8, as 3D Slicer writes names, and where the data begins."""
    lines: list[str] = []
    size = 0
    with path.open("rb") as file:
        while size < _LONGEST_HEADER:
            line = file.readline(_LONGEST_HEADER)
            size += len(line)
            if not line.strip():
                return lines, size
            lines.append(line.decode("utf-8", "replace"))
    raise damaged(path, "its header has no end")


def _describe(path: Path, fields: dict[str, Any], header_size: int) -> Nrrd:
    from nrrd.reader import _TYPEMAP_NRRD2NUMPY as TYPES

    sizes = [int(n) for n in fields["sizes"]]
    if len(sizes) != fields["dimension"] or any(n < 1 for n in sizes):
        raise damaged(path, f"its sizes are {sizes}")
    letters = _axes(path, fields, sizes)
    encoding = str(fields["encoding"]).lower()
    if encoding not in _PACKINGS:
        raise InputError(f"The voxels of {path.name} are written as {encoding}.", "Save it as raw or gzip.")
    if fields["type"] not in TYPES or TYPES[fields["type"]] == "V":
        raise InputError(f"{path.name} holds voxels of the type '{fields['type']}'.", "Save it as numbers.")
    order = ">" if fields.get("endian") == "big" else "<"
    dtype = np.dtype(order + TYPES[fields["type"]])
    kept = [(a, n) for a, n in zip(letters, sizes, strict=True) if a][::-1]
    where, begin = _voxels_at(path, fields, header_size, _PACKINGS[encoding])
    skip = int(fields.get("byte skip", fields.get("byteskip", 0)))
    bare = Stored(where, tuple(n for _, n in kept), "".join(a for a, _ in kept), dtype)
    if skip == -1 and encoding == "raw":
        begin, skip = where.stat().st_size - bare.size, 0
    if skip < 0 or begin < 0:
        raise damaged(path, "its voxels are not in the file")
    raw = encoding == "raw"
    stored = Stored(
        where, bare.shape, bare.axes, dtype, offset=begin + skip if raw else skip, packing=_PACKINGS[encoding],
        packed_from=0 if raw else begin,
    )  # fmt: skip
    geometry, findings = _place(path.name, fields, letters)
    return Nrrd(stored, geometry, findings, fields)


def _axes(path: Path, fields: dict[str, Any], sizes: list[int]) -> list[str]:
    """For each axis of the file ``x``, ``y``, ``z``, ``c`` or ``p``; empty for one that is left out."""
    kinds = [str(k).lower() for k in fields.get("kinds", [])] or ["???"] * len(sizes)
    directions = fields.get("space directions")
    if directions is not None:
        spatial = [bool(np.isfinite(row).all()) for row in np.atleast_2d(np.asarray(directions, float))]
    else:
        spatial = [k in _SPATIAL or k == "???" for k in kinds]
    # ITK calls time a fourth axis of space.
    spatial = [is_so and sum(spatial[: i + 1]) <= 3 for i, is_so in enumerate(spatial)]
    if not len(kinds) == len(spatial) == len(sizes):
        raise damaged(path, "its fields differ in the number of axes")
    letters, names = [], iter("xyz")
    for kind, is_spatial, n in zip(kinds, spatial, sizes, strict=True):
        if is_spatial:
            letters.append(next(names, "?"))
        elif n == 1:
            letters.append("")
        else:
            is_values = _VALUES.fullmatch(kind) and n <= MOST_CHANNELS
            letters.append("c" if is_values and not (kind == "list" and any(map(_FRAMES.match, fields))) else "p")
    if "?" in letters or "y" not in letters or letters.count("p") + letters.count("c") > 1:
        raise InputError(
            f"{path.name} has the axes {' x '.join(map(str, sizes))} ({', '.join(kinds)}), which are no volumes.",
            "Save one volume, or a list of them.",
        )
    return letters


def _voxels_at(path: Path, fields: dict[str, Any], header_size: int, packing: Packing) -> tuple[Path, int]:
    """The file with the voxels, and where in it they begin after the lines to skip."""
    name = fields.get("data file", fields.get("datafile"))
    if name is not None and (name.startswith("LIST") or "%" in name):
        raise InputError(f"{path.name} keeps its voxels in several files.", "Save it as one .nrrd file.")
    where, begin = (path, header_size) if name is None else (data_file(path, name), 0)
    lines = int(fields.get("line skip", fields.get("lineskip", 0)))
    if not 0 <= lines <= _MOST_LINES:
        raise damaged(path, f"{lines} lines before its voxels are to be skipped")
    if lines:
        with where.open("rb") as file:
            file.seek(begin)
            begin += sum(len(file.readline(_LONGEST_HEADER)) for _ in range(lines))
    return where, begin


def _place(name: str, fields: dict[str, Any], letters: list[str]) -> tuple[Geometry, tuple[Finding, ...]]:
    """Geometry of the spatial axes, in LPS coordinates."""
    spatial = [i for i, a in enumerate(letters) if a in ("x", "y", "z")]
    unit, scale = _unit_of(fields.get("space units", fields.get("units", [])))
    directions = fields.get("space directions")
    if directions is None:
        spacings = np.asarray(fields.get("spacings", []), float)
        sizes = np.abs(spacings[spatial]) if len(spacings) == len(letters) else np.array([])
        if len(sizes) == 0 or not np.isfinite(sizes).all() or (sizes <= 0).any():
            return Geometry.unknown(len(spatial)), ()
        text = f"{name} tells the size of its voxels, not how they lie in the patient: left and right are not certain."
        findings = (Finding("NO_ORIENTATION", text, (name,)),) if len(spatial) == 3 else ()
        return Geometry(spacing=tuple((sizes * scale)[::-1].tolist()), unit=unit), findings
    axes = np.atleast_2d(np.asarray(directions, float))[spatial, :3].T * scale
    if len(spatial) == 2:
        return Geometry(spacing=tuple(np.linalg.norm(axes, axis=0)[::-1].tolist()), unit=unit), ()
    return _place_volume(name, fields, axes, unit)


def _place_volume(
    name: str, fields: dict[str, Any], axes: npt.NDArray[np.float64], unit: Unit
) -> tuple[Geometry, tuple[Finding, ...]]:
    space = str(fields.get("space", "")).lower()
    findings = []
    if space not in _SPACES:
        text = f"{name} does not tell where left and right are (space: {space or 'not given'}): LPS is taken."
        findings.append(Finding("NO_ORIENTATION", text, (name,)))
    sign = np.array(_SPACES.get(space, (1, 1, 1)), float)
    matrix = np.eye(4)
    matrix[:3, :3] = axes * sign[:, np.newaxis]
    origin = np.asarray(fields.get("space origin", (0, 0, 0)), float)[:3]
    if np.isfinite(origin).all():
        matrix[:3, 3] = origin * sign * _unit_of(fields.get("space units", []))[1]
    return geometry_of(matrix, unit), (*findings, *about_axes(name, matrix))


def _unit_of(names: Sequence[object]) -> tuple[Unit, float]:
    """Unit of the first axis that has one; millimetres where none is told."""
    told = [str(name).lower() for name in names]
    return UNITS.get(next((name for name in told if name not in ("", "???")), "mm"), ("mm", 1.0))
