"""Which slide the whole slide images of a folder make up: the levels are files, and so are pictures of the glass.

Source: DICOM PS3.3, C.8.12.4 "Whole Slide Microscopy Image"; C.8.12.4.1.1 "Image Type" for which of them is a level.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_medseg.core import Geometry, InputError
from napari_medseg.io.format import Arranged
from napari_medseg.io.openslide import read_header

from .file import SLIDE, Facts


def is_slide(facts: Facts) -> bool:
    """Whether a file is a part of a slide."""
    return facts.text("SOPClassUID") == SLIDE


def arrange_slide(files: Sequence[tuple[Path, Facts]], title: str) -> Arranged:
    """The slide that files of one series in one folder make up; stands for all of them by its largest level."""
    path, _ = max(files, key=lambda one: (_is_level(one[1]), one[1].integer("TotalPixelMatrixColumns")))
    try:
        header = read_header(path)
    except InputError as error:
        return Arranged("", title, (path,), (None,), Geometry.unknown(2), {0: str(error)})
    size = f"slide of {header.shape[1]} x {header.shape[0]} pixels"
    shown = " · ".join(part for part in (title, size) if part)
    return Arranged("", shown, (path,), (header,), header.geometry, slide=True)


def _is_level(facts: Facts) -> bool:
    """Whether it is a level of the slide, and not its label, an overview or a thumbnail."""
    kinds = facts.values.get("ImageType")
    return isinstance(kinds, tuple) and "VOLUME" in kinds[2:3]
