"""DICOM segmentation: masks of a DICOM series, each on its own slice, with names, codes and colours of the classes.

Source: DICOM PS3.3, A.51 "Segmentation IOD" and A.90 "Label Map Segmentation IOD"; written through highdicom.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy.typing as npt

from napari_medseg.core import ClassInfo, Labels
from napari_medseg.io.dicom.file import named_class
from napari_medseg.io.dicom_seg.frames import lay_out_frames
from napari_medseg.io.dicom_seg.pixels import (
    LABEL_MAP,
    SEGMENTATION,
    check_volume,
    load_label_map,
    opened_segmentation,
    segment_values,
)
from napari_medseg.io.dicom_seg.segments import read_segments
from napari_medseg.io.dicom_seg.writing import check_source, write_segmentation
from napari_medseg.io.format import Format, Header


def read_header(path: Path) -> Header:
    """Slices, size and place of the label map that the segments make together.

    Pixels are decoded only where the file leaves open whether its segments overlap.
    """
    with opened_segmentation(path) as dataset:
        layout = lay_out_frames(dataset, path.name)
        dtype = check_volume(path, layout, segment_values(dataset, layout, path))
        findings = layout.findings
        settled = layout.kind == "LABELMAP" or (layout.kind == "BINARY" and dataset.get("SegmentsOverlap") == "NO")
    if not settled:
        with opened_segmentation(path, pixels=True) as dataset:
            findings = (*findings, *load_label_map(dataset, path)[1])
    return Header(
        shape=layout.shape[1:], dtype=dtype, slices=layout.shape[0], geometry=layout.geometry,
        volume=layout.geometry.ndim == 3, findings=findings,
    )  # fmt: skip


def read_array(path: Path) -> npt.NDArray[Any]:
    """Class values of all slices, (Z, Y, X)."""
    with opened_segmentation(path, pixels=True) as dataset:
        return load_label_map(dataset, path)[0]


def read_values(path: Path, z: int = 0) -> npt.NDArray[Any]:
    """Class values of one slice, (Y, X)."""
    values: npt.NDArray[Any] = read_array(path)[z]
    return values


def read_classes(path: Path) -> tuple[ClassInfo, ...]:
    """Names and colours of the segments."""
    with opened_segmentation(path) as dataset:
        return tuple(sorted(read_segments(dataset).values(), key=lambda c: c.value))


def is_segmentation(start: bytes) -> bool:
    """Whether these first bytes of a DICOM file name the class of segmentations."""
    return named_class(start) in (SEGMENTATION, LABEL_MAP)


def write(path: Path, labels: Labels) -> None:
    """Write labels as a segmentation of the DICOM series that they were made from."""
    write_segmentation(path, labels)


FORMAT = Format(
    "dicom-seg", "DICOM segmentation", (".seg.dcm", ".dcm"), (), read_header, read_values, read_values, write,
    stacks=True, lazy="never", keeps=frozenset({"spacing", "orientation", "positions", "classes", "colors"}),
    array=read_array, sniff=is_segmentation, images=False, classes=read_classes,
    check=check_source,
)  # fmt: skip
