"""DICOM whole slide images: the levels that lie in a folder as one series, opened by any of its files.

Source: DICOM PS3.3, A.32.8 "VL Whole Slide Microscopy Image IOD"; read through OpenSlide.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_medseg.io.format import Arranged, Format
from napari_medseg.io.openslide import EXTRA, read_header, read_pixels, read_pyramid


def arrange(files: Sequence[Path]) -> list[Arranged]:
    """The slides and series that these files make up: slides lie among other DICOM images."""
    from napari_medseg.io.dicom import series

    return series.arrange(files)


def is_slide(start: bytes) -> bool:
    """Whether these first bytes of a DICOM file name the class of whole slide images."""
    from napari_medseg.io.dicom.file import SLIDE, named_class

    return named_class(start) == SLIDE


FORMAT = Format(
    "dicom-slide", "DICOM whole slide image (through OpenSlide)", (".dcm", ".dicom", ".ima", ".dc3", ".dic"), (),
    read_header, read_pixels, read_pixels, extra=EXTRA, keeps=frozenset({"spacing"}), pyramid=read_pyramid,
    arrange=arrange, sniff=is_slide, masks=False,
)  # fmt: skip
