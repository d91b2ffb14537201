"""What the formats of volumes share: the header that their voxels make, and files of voxels beside a header."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_medseg.core import Finding, Geometry, InputError
from napari_medseg.io.format import Header

from .stored import Stored, check_stored
from .voxels import broken_slices


def header_of(
    stored: Stored, geometry: Geometry, part: int = 0, findings: Sequence[Finding] = (), name: str = ""
) -> Header:
    """Header of one volume; a file with three axes is a stack even when it has one slice.

    Raises
    ------
    InputError
        If it cannot be in the file or in memory.
    """
    check_stored(stored, name or stored.path.name)
    is_picture = stored.channels == 3 and stored.values_dtype.kind == "u"  # others are vectors, or sequences
    meaning = "" if stored.channels == 1 or is_picture else "channels"
    return Header(
        stored.plane, stored.values_dtype, channels=stored.channels, slices=stored.slices, geometry=geometry,
        meaning=meaning, broken=broken_slices(stored, part),
        findings=tuple(findings), volume=geometry.ndim == 3,
    )  # fmt: skip


def data_file(path: Path, name: str) -> Path:
    """The file beside a header that holds its voxels.

    Raises
    ------
    InputError
        If it is not there, or lies outside the folder of the header: a file from others may point anywhere.
    """
    try:
        found = (path.parent / name).resolve(strict=True)
        inside = found.is_relative_to(path.parent.resolve())
    except (OSError, ValueError, RuntimeError):
        raise InputError(
            f"{path.name} keeps its voxels in '{name[:80]}', which is not there.", "Copy both files into one folder."
        ) from None
    if not inside or not found.is_file():
        raise InputError(
            f"{path.name} asks for voxels in '{name[:80]}', which is no file of its folder.",
            "Copy both files into one folder, and name the other without its folder.",
        )
    return found
