"""DICOM images: slices of CT, MR, PET and X-ray, one a file or many; the value of each pixel as its scanner means it.

Source: DICOM PS3.3 "Information Object Definitions", PS3.5 "Data Structures and Encoding"; read through pydicom.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.io.format import Arranged, Format, Header


def read_header(path: Path, part: int = 0) -> Header:
    """Size, type, slices, place and windows."""
    from napari_medseg.io.dicom import header

    return header.read_header(path, part)


def read_pixels(path: Path, z: int = 0, part: int = 0) -> npt.NDArray[Any]:
    """Values of one slice: Hounsfield units of a CT; padding, inverted grey and palettes made right."""
    from napari_medseg.io.dicom import pixels

    return pixels.read_pixels(path, z, part)


def read_values(path: Path, z: int = 0, part: int = 0) -> npt.NDArray[Any]:
    """Stored numbers of one slice."""
    from napari_medseg.io.dicom import pixels

    return np.asarray(pixels.read_values(path, z, part))


def list_parts(path: Path) -> tuple[str, ...]:
    """Labels of the stacks in a file, where its frames make several."""
    from napari_medseg.io.dicom import header

    return header.part_labels(path)


def arrange(files: Sequence[Path]) -> list[Arranged]:
    """The series that these files make up."""
    from napari_medseg.io.dicom import series

    return series.arrange(files)


def is_dicom(start: bytes) -> bool:
    """Whether these first bytes are of a DICOM file."""
    from napari_medseg.io.dicom.file import is_dicom

    return is_dicom(start)


FORMAT = Format(
    "dicom", "DICOM image", (".dicom", ".dcm", ".ima", ".dc3", ".dic"), (b"DICM",), read_header, read_pixels,
    read_values, stacks=True, keeps=frozenset({"spacing", "orientation", "positions"}),
    parts=list_parts, arrange=arrange, sniff=is_dicom,
)  # fmt: skip
