"""Segmentation of 3D Slicer (``.seg.nrrd``): label map with names and colours of the segments, in layers and cropped.

Written as one layer of the image's whole size.
"""

from __future__ import annotations

from pathlib import Path

from napari_medseg.core import Labels
from napari_medseg.io.format import Format
from napari_medseg.io.volumes.nrrd import read_array, read_classes, read_header, read_parts, read_pixels, write_nrrd
from napari_medseg.io.volumes.nrrd_header import MAGIC


def write(path: Path, labels: Labels) -> None:
    """Write labels with a segment for each class."""
    write_nrrd(path, labels, segments=True)


FORMAT = Format(
    "seg_nrrd", "3D Slicer segmentation", (".seg.nrrd",), (MAGIC,), read_header, read_pixels, read_pixels, write,
    stacks=True, lazy="never", keeps=frozenset({"spacing", "orientation", "classes", "colors"}), array=read_array,
    parts=read_parts, classes=read_classes, images=False,
)  # fmt: skip
