"""NRRD: volumes of grey or RGB values, header and voxels in one file (``.nrrd``) or two (``.nhdr``, read only)."""

from __future__ import annotations

from pathlib import Path

from napari_medseg.core import Labels
from napari_medseg.io.format import Format
from napari_medseg.io.volumes.nrrd import (
    read_array,
    read_classes,
    read_header,
    read_parts,
    read_pixels,
    read_together,
    write_nrrd,
)
from napari_medseg.io.volumes.nrrd_header import MAGIC


def write(path: Path, labels: Labels) -> None:
    """Write labels as a plain volume; 3D Slicer's segmentation is another format."""
    write_nrrd(path, labels, segments=False)


FORMAT = Format(
    "nrrd", "NRRD volume", (".nrrd", ".nhdr"), (MAGIC,), read_header, read_pixels, read_pixels, write, stacks=True,
    lazy="unpacked", keeps=frozenset({"spacing", "orientation"}), array=read_array, parts=read_parts,
    together=read_together, classes=read_classes,
)  # fmt: skip
