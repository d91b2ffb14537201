"""What a MetaImage file says of itself: size, type, place in space. Source: ITK, "MetaIO / Documentation"."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_medseg.core import MOST_CHANNELS, Finding, Geometry, InputError
from napari_medseg.io.pixels import damaged

from .header import data_file
from .space import about_axes, geometry_of
from .stored import Stored

TYPES = {
    "MET_UCHAR": "u1", "MET_CHAR": "i1", "MET_USHORT": "u2", "MET_SHORT": "i2", "MET_UINT": "u4", "MET_INT": "i4",
    "MET_ULONG": "u4", "MET_LONG": "i4", "MET_ULONG_LONG": "u8", "MET_LONG_LONG": "i8", "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}  # fmt: skip
"""Element types; ``LONG`` has 4 bytes in files, whatever it has in memory (metaTypes.h)."""

_LONGEST_HEADER = 2**20
_SCALES = {"mm": 1.0, "um": 1e-3, "cm": 10.0}


@dataclass(frozen=True)
class Meta:
    """A header that makes sense: what is stored, and where it lies."""

    stored: Stored
    geometry: Geometry
    findings: tuple[Finding, ...]


def read_meta(path: Path) -> Meta:
    """Read the header of an ``.mha`` or ``.mhd`` file.

    Raises
    ------
    InputError
        If it is damaged, or has no slices of grey or RGB values.
    """
    tags, size = _tags(path)
    try:
        return _describe(path, tags, size)
    except InputError:
        raise
    except Exception as error:  # whatever a made-up header leads to
        raise damaged(path, f"{type(error).__name__}: {error}") from error


def _tags(path: Path) -> tuple[dict[str, str], int]:
    """Tags up to the one that names the data, which is the last, and where the data begins."""
    tags, size = {}, 0
    with path.open("rb") as file:
        while size < _LONGEST_HEADER:
            line = file.readline(_LONGEST_HEADER)
            size += len(line)
            key, equals, value = line.decode("utf-8", "replace").partition("=")
            if not line or (line.strip() and not equals):
                break
            tags[key.strip()] = value.strip()
            if key.strip() == "ElementDataFile":
                return tags, size
    raise damaged(path, "its header has no end")


def _describe(path: Path, tags: dict[str, str], header_size: int) -> Meta:
    sizes = [int(n) for n in tags["DimSize"].split()]
    count = int(tags["NDims"])
    if len(sizes) != count or not 2 <= count <= 4 or any(n < 1 for n in sizes):
        raise InputError(f"{path.name} has the size {tags['DimSize'][:80]}, which is no image.", "Export it again.")
    kind = tags["ElementType"].removesuffix("_ARRAY")
    if kind not in TYPES:
        raise InputError(f"{path.name} holds elements of the type {kind[:40]}.", "Save it as numbers.")
    if not _is_true(tags.get("BinaryData", "True")):
        raise InputError(f"The voxels of {path.name} are written as text.", "Save it in binary form.")
    axes, shape = ["pzyx", "zyx", "yx"][4 - count], sizes[::-1]
    channels = int(tags.get("ElementNumberOfChannels", 1))
    if channels > 1:
        if channels > MOST_CHANNELS:
            raise InputError(
                f"{path.name} has {channels} numbers in each voxel: an image has at most {MOST_CHANNELS} channels.",
                "Save some of them.",
            )
        axes, shape = axes + "c", [*shape, channels]
    swapped = _is_true(tags.get("BinaryDataByteOrderMSB", tags.get("ElementByteOrderMSB", "False")))
    dtype = np.dtype((">" if swapped else "<") + TYPES[kind])
    name = tags["ElementDataFile"]
    if name.upper().startswith("LIST") or "%" in name:
        raise InputError(f"{path.name} keeps its voxels in several files.", "Save it as one .mha file.")
    where, begin = (path, header_size) if name.upper() == "LOCAL" else (data_file(path, name), 0)
    packed = _is_true(tags.get("CompressedData", "False"))
    stored = Stored(where, tuple(shape), axes, dtype)
    skip = int(tags.get("HeaderSize", 0))
    begin = max(0, where.stat().st_size - stored.size) if skip == -1 else begin + max(0, skip)
    stored = Stored(
        where, tuple(shape), axes, dtype, offset=0 if packed else begin, packing="zlib" if packed else "raw",
        packed_from=begin if packed else 0,
    )  # fmt: skip
    geometry, findings = _place(path.name, tags, count)
    return Meta(stored, geometry, findings)


def _place(name: str, tags: dict[str, str], count: int) -> tuple[Geometry, tuple[Finding, ...]]:
    """Geometry in LPS coordinates; of a 4D file that of its first three axes."""
    spacing = _numbers(tags, ("ElementSpacing", "ElementSize"), count)
    if spacing is None or any(s <= 0 for s in spacing):
        return Geometry.unknown(min(count, 3)), ()
    scale = _SCALES.get(tags.get("DistanceUnits", "mm").lower(), 1.0)
    n = min(count, 3)
    sizes = np.array(spacing[:n]) * scale
    if n == 2:
        return Geometry(spacing=tuple(sizes[::-1].tolist()), unit="mm"), ()
    rows = _numbers(tags, ("TransformMatrix", "Rotation", "Orientation"), count * count)
    offset = _numbers(tags, ("Offset", "Origin", "Position"), count) or [0.0] * count
    axes = np.array(rows).reshape(count, count)[:3, :3].T if rows else np.eye(3)
    lengths = np.linalg.norm(axes, axis=0)
    findings = []
    if not (lengths > 0).all() or abs(np.linalg.det(axes / np.where(lengths > 0, lengths, 1))) < 1e-3:
        text = f"The orientation of {name} makes no sense and is left out."
        findings.append(Finding("BROKEN_ORIENTATION", text, (name,)))
        axes, lengths = np.eye(3), np.ones(3)
    matrix = np.eye(4)
    matrix[:3, :3] = axes / lengths * sizes
    matrix[:3, 3] = np.array(offset[:3]) * scale
    return geometry_of(matrix), (*findings, *about_axes(name, matrix))


def _numbers(tags: dict[str, str], keys: tuple[str, ...], count: int) -> list[float] | None:
    text = next((tags[k] for k in keys if k in tags), None)
    if text is None:
        return None
    found = [float(n) for n in text.split()]
    if len(found) != count or not np.isfinite(found).all():
        raise ValueError(f"{keys[0]} is {text[:80]}")
    return found


def _is_true(text: str) -> bool:
    return text.strip().lower() in ("true", "1", "t")
