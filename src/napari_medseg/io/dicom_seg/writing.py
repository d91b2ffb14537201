"""Writing labels as a DICOM segmentation of the series they were made from.

The segmentation names the instances of its source and takes patient, study and the place of every slice from them, so
the source's files must be there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import ClassInfo, Image, InputError, Labels, OutputError
from napari_medseg.io.dicom.file import SLIDE, is_dicom, named_class
from napari_medseg.io.findings import counted
from napari_medseg.io.pixels import quietly
from napari_medseg.io.registry import read_start

from .segments import describe_segments, program_version

_LARGEST = 2**32 - 2**20
"""Pixels of one DICOM file are counted in 32 bits; some room is left for the rest."""

_SKEW = 1e-4
"""Difference allowed between the directions of two slices."""

_MOST_SEGMENTS = 2**16 - 1
_NEAR = 0.01  # mm: positions in DICOM files are decimal strings, those of a geometry may be fitted

# What a segmentation must have even when its source, made anonymous, has lost it: empty means unknown (PS3.5, 7.4.3).
_MAY_BE_EMPTY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime",
)  # fmt: skip

# All that is needed of the instances after the first.
_EACH = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Rows", "Columns",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices",
    "Modality", "NumberOfFrames",
)  # fmt: skip


def write_segmentation(path: Path, labels: Labels) -> None:
    """Write labels as a BINARY segmentation with a frame for each segment and slice that is not empty.

    Of a series whose slices lie unevenly all slices are written, empty ones too: no other place in the file tells
    where they lie.

    Raises
    ------
    OutputError
        If the DICOM files that the labels belong to are not known, not there, or do not fit.
    """
    from highdicom.seg import Segmentation
    from pydicom.uid import generate_uid

    source, order = _find_source(labels)
    numbers, classes = _number_segments(labels)
    uneven = bool(labels.geometry.positions)
    with quietly():
        try:
            dataset = Segmentation(
                source_images=source,
                pixel_array=numbers[order],
                segmentation_type="BINARY",
                segment_descriptions=describe_segments(classes),
                series_instance_uid=generate_uid(None),
                series_number=_series_number(source[0]),
                sop_instance_uid=generate_uid(None),
                instance_number=1,
                manufacturer="napari-medseg",
                manufacturer_model_name="napari-medseg",
                software_versions=program_version(),
                device_serial_number="0",
                omit_empty_frames=not uneven and bool(numbers.any()),
                content_label="SEGMENTATION",
                series_description="Segmentation",
                specific_character_set="ISO_IR 192",
            )
            dataset.save_as(path)
        except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
            raise OutputError(
                f"The DICOM files of {_called(labels)} lack what a segmentation needs ({type(error).__name__}).",
                "Write a NIfTI or NRRD file instead.",
            ) from error


def check_source(image: Image | Labels) -> None:
    """Refuse an image that does not come from DICOM files, or whose files are not there any more.

    Raises
    ------
    OutputError
        Saying what a segmentation needs.
    """
    first = _source_files(image)[0][0]
    try:
        start = read_start(first)
    except InputError as error:
        raise OutputError(error.message, error.hint) from error
    if not is_dicom(start):
        raise _unknown(f"{first.name} is no DICOM file")
    if named_class(start) == SLIDE:
        raise OutputError("Masks of slides are not written as DICOM segmentation.", "Write an OME-Zarr or OME-TIFF.")


def _find_source(labels: Labels) -> tuple[list[Any], list[int]]:
    """Datasets of the source, and the slice of the labels for each of its slices."""
    fitting, misfits = [], []
    for files in _source_files(labels):
        source = _read_source(files)
        try:
            fitting.append((source, _order_like(source, labels)))
        except OutputError as error:
            misfits.append(error)
    if len(fitting) > 1:
        raise _unknown(f"{_called(labels)} has files of these names and places in several folders")
    if not fitting:
        raise misfits[0]
    return fitting[0]


def _read_source(files: Sequence[Path]) -> list[Any]:
    """Datasets of the source without pixels, one a slice in the labels' order, or one of several frames."""
    from pydicom import dcmread

    found: list[Any] = []
    for file in files:
        wanted = list(_EACH) if found else None
        try:
            with quietly():
                found.append(dcmread(file, stop_before_pixels=True, specific_tags=wanted, force=True))
        except Exception as error:  # anything may come out of a damaged file; its text may quote a patient's name
            raise _unknown(f"{file.name} is no DICOM file that can be read") from error
    turn = found[0].get("ImageOrientationPatient")
    for one in found[1:]:  # a segmentation tells one direction; scanners round each slice's anew
        own = one.get("ImageOrientationPatient")
        if turn and own and own != turn and np.allclose(np.array(own, float), np.array(turn, float), atol=_SKEW):
            one.ImageOrientationPatient = turn
    for keyword in _MAY_BE_EMPTY:
        if keyword not in found[0]:
            setattr(found[0], keyword, "")
    if any("SOPInstanceUID" not in d or "Rows" not in d or "StudyInstanceUID" not in d for d in found):
        raise _unknown(f"{files[0].name} does not tell which image it is")
    return found


def _source_files(labels: Image | Labels) -> list[list[Path]]:
    """Files of the source in the labels' order; several choices where folders in it hold files of the same names."""
    source = labels.source
    if source is None:
        raise _unknown("these labels do not tell which files they belong to")
    if not source.is_dir():
        if not source.is_file():
            raise _unknown(f"{source.name} is not there")
        return [[source]]
    if len(labels.names) != len(labels) or any(Path(n).name != n for n in labels.names):
        raise _unknown(f"these labels do not tell which files of {source.name} they belong to")
    # Scanners and archives put each series into a folder of its own, often with the same names in all.
    folders = [f for f in (source, *_subfolders(source)) if (f / labels.names[0]).is_file()]
    whole = [f for f in folders if all((f / name).is_file() for name in labels.names)]
    if not whole:
        raise _unknown(f"{source.name} does not hold all of {labels.names[0]}, …")
    return [[folder / name for name in labels.names] for folder in whole]


def _subfolders(source: Path) -> list[Path]:
    return sorted(Path(folder) for folder, _, _ in os.walk(source) if Path(folder) != source)


def _unknown(reason: str) -> OutputError:
    return OutputError(
        f"A DICOM segmentation needs the DICOM series it belongs to, and {reason}.",
        "Give the series with --image, or write a NIfTI or NRRD file.",
    )


def _order_like(source: Sequence[Any], labels: Labels) -> list[int]:
    """Slice of the labels for each of the source's; refuse labels that lie elsewhere: pixels would be misplaced."""
    slices = int(source[0].get("NumberOfFrames") or 1) if len(source) == 1 else len(source)
    size = (int(source[0].Rows), int(source[0].Columns))
    if slices != len(labels) or size != tuple(labels.data.shape[-2:]):
        raise _unknown(
            f"{_called(labels)} has {counted(slices, 'slice')} of {size[1]} x {size[0]} pixels, not"
            f" {len(labels)} of {labels.data.shape[-1]} x {labels.data.shape[-2]}"
        )
    places = _positions(source)
    order = list(range(slices))
    if places is None or labels.geometry.ndim != 3 or not labels.geometry.known:
        return order
    wanted = np.array([labels.geometry.slice_origin(z)[::-1] for z in order])
    if len(source) == 1:  # frames of one file come in any order
        order = [int(np.abs(wanted - place).max(axis=1).argmin()) for place in places]
    off = float(np.abs(wanted[order] - places).max())
    if off > _NEAR or len(set(order)) < slices:
        raise _unknown(f"these labels lie {off:.2f} mm away from the slices of {_called(labels)}")
    return order


def _positions(source: Sequence[Any]) -> npt.NDArray[np.float64] | None:
    """Positions of the slices, (Z, 3) in LPS; None where the source has none."""
    if len(source) > 1 or "ImagePositionPatient" in source[0]:
        found = [d.get("ImagePositionPatient") for d in source]
    else:
        groups = source[0].get("PerFrameFunctionalGroupsSequence") or ()
        places: list[Any] = [g.get("PlanePositionSequence") or ({},) for g in groups]
        found = [p[0].get("ImagePositionPatient") for p in places]
    return np.array(found, float) if found and all(p is not None and len(p) == 3 for p in found) else None


def _number_segments(labels: Labels) -> tuple[npt.NDArray[Any], tuple[ClassInfo, ...]]:
    """Segment numbers (Z, Y, X), and the class of each segment from 1 on; unnamed values get a numbered class."""
    used: set[int] = set()
    frames = 0
    for z in range(len(labels)):
        here = set(np.unique(labels.slice(z)).tolist()) - {0}
        frames += len(here)
        used |= here
    by_value = {c.value: c for c in labels.classes}
    classes = tuple(by_value.get(v) or ClassInfo.numbered(v) for v in sorted(used | by_value.keys()))
    if not classes:
        raise OutputError("These labels have no class, and a DICOM segmentation needs one.", "Name a class first.")
    frames = len(labels) * len(classes) if labels.geometry.positions or not frames else frames
    pixels = labels.data.shape[-1] * labels.data.shape[-2]
    if len(classes) > _MOST_SEGMENTS or frames * pixels / 8 > _LARGEST:
        raise OutputError(
            f"These labels have {len(classes)} values; a DICOM segmentation would need {frames:,} frames for them.",
            "Write a TIFF or NIfTI file instead.",
        )
    values = np.array([0, *(c.value for c in classes)])
    dtype = np.min_scalar_type(len(classes))
    planes = [np.searchsorted(values, labels.slice(z)).astype(dtype) for z in range(len(labels))]
    return np.stack(planes), classes


def _series_number(source: Any) -> int:
    """A number after the source's, so that viewers list the segmentation behind it."""
    number = source.get("SeriesNumber")
    return 100 * int(number) + 1 if number is not None and 0 < int(number) < 10**6 else 100


def _called(labels: Labels) -> str:
    return labels.source.name if labels.source else "these labels"
