"""Opening DICOM segmentations: what is in them, and the label map that their frames make together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import Finding, InputError, MedsegError
from napari_medseg.io.budget import DEFLATE_LIMIT, check_budget, in_gib, stack_budget
from napari_medseg.io.findings import counted
from napari_medseg.io.masks.layers import overlap
from napari_medseg.io.pixels import damaged, quietly

from .frames import Layout, lay_out_frames
from .segments import read_segments

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"

_DEFLATED = "1.2.840.10008.1.2.1.99"


@contextmanager
def opened_segmentation(path: Path, *, pixels: bool = False) -> Iterator[Any]:
    """The dataset of a DICOM segmentation; whatever goes wrong with it becomes one sentence.

    Raises
    ------
    InputError
        If the file is damaged, too large, or no segmentation.
    """
    from pydicom import dcmread
    from pydicom.filereader import read_file_meta_info

    try:
        with quietly():
            meta = read_file_meta_info(path)
            size = path.stat().st_size * (DEFLATE_LIMIT if meta.get("TransferSyntaxUID") == _DEFLATED else 1)
            if size > stack_budget():
                raise InputError(f"{path.name} may take {in_gib(size)} of memory.", "Save it in parts.")
            dataset = dcmread(path, stop_before_pixels=not pixels)
            if dataset.get("SOPClassUID") not in (SEGMENTATION, LABEL_MAP):
                raise InputError(f"{path.name} is no DICOM segmentation.", "Choose the file of the segmentation.")
            yield dataset
    except MedsegError:
        raise
    except Exception as error:  # anything may come out of a damaged file; its text may quote a patient's name
        raise damaged(path, f"its elements make no sense: {type(error).__name__}") from error


def load_label_map(dataset: Any, path: Path) -> tuple[npt.NDArray[Any], tuple[Finding, ...]]:
    """Decode all frames into one label map (Z, Y, X) of class values, and tell what had to be decided.

    Where segments overlap the one with the higher number is kept; of fractions, what is at least one half.

    Raises
    ------
    InputError
        If it does not fit in memory, or the frames are not whole.
    """
    layout = lay_out_frames(dataset, path.name)
    values = segment_values(dataset, layout, path)
    _check_whole(dataset, path, len(layout.slices))
    whole = np.zeros(layout.shape, check_volume(path, layout, values))
    order = np.argsort(layout.segments, kind="stable")
    half = (int(dataset.get("MaximumFractionalValue", 255)) + 1) // 2 if layout.kind == "FRACTIONAL" else 1
    twice = 0
    for index, frame in zip(order, _decode_frames(dataset, order.tolist()), strict=True):
        plane = whole[layout.slices[index]]
        if layout.kind == "LABELMAP":
            if frame.max() >= len(values) or (values[frame] < 0).any():
                raise damaged(path, "it holds segments that it does not describe")
            plane[:] = values[frame]
        else:
            inside = frame >= max(half, 1)
            twice += int(np.count_nonzero(plane[inside]))
            plane[inside] = values[layout.segments[index]]
    if twice and dataset.get("SegmentsOverlap") == "NO":  # nobody was told when its header was read
        raise damaged(path, "its segments overlap, though it says they do not")
    return whole, _decided(layout.kind, path, twice)


def _decode_frames(dataset: Any, order: list[int]) -> Iterator[npt.NDArray[Any]]:
    """Stored values of the frames in this order, (Y, X)."""
    from pydicom.pixels.utils import iter_pixels

    if dataset.BitsAllocated != 1 or dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        yield from iter_pixels(dataset, indices=order, raw=True)
        return
    # One bit a pixel, without a gap between frames: a frame may begin within a byte (PS3.5, 8.1.1 and annex D).
    packed = np.frombuffer(dataset.PixelData, np.uint8)
    shape = (int(dataset.Rows), int(dataset.Columns))
    size = shape[0] * shape[1]
    for index in order:
        first, last = index * size, (index + 1) * size
        bits = np.unpackbits(packed[first // 8 : (last + 7) // 8], bitorder="little")
        yield bits[first % 8 : first % 8 + size].reshape(shape)


def segment_values(dataset: Any, layout: Layout, path: Path) -> npt.NDArray[np.int64]:
    """Class value of each segment number from 0 on; -1 for numbers that no segment has.

    Raises
    ------
    InputError
        If frames show a segment that the file does not describe.
    """
    classes = read_segments(dataset)
    if layout.kind != "LABELMAP" and (unknown := set(layout.segments) - classes.keys()):
        raise damaged(path, f"it describes no segment {min(unknown)}, which it has frames of")
    ground = int(dataset.get("PixelPaddingValue") or 0) if layout.kind == "LABELMAP" else 0
    values = np.full(max([0, ground, *classes]) + 1, -1, np.int64)
    values[list(classes)] = [c.value for c in classes.values()]
    values[[0, ground]] = 0
    return values


def check_volume(path: Path, layout: Layout, values: npt.NDArray[np.int64]) -> np.dtype[Any]:
    """The type of a label map; refused, before allocating it, when it does not fit in memory.

    Raises
    ------
    InputError
        With its size.
    """
    dtype = np.min_scalar_type(int(values.max()))
    check_budget(path, layout.shape[1:], dtype)
    slices, rows, columns = layout.shape
    need = slices * rows * columns * dtype.itemsize
    if need > stack_budget():
        raise InputError(f"The masks in {path.name} take {in_gib(need)} of memory.", "Save them in parts.")
    return dtype


def _check_whole(dataset: Any, path: Path, frames: int) -> None:
    claimed = int(dataset.get("NumberOfFrames") or 1)
    if claimed != frames:
        raise damaged(path, f"it claims {counted(claimed, 'frame')} and describes {frames}")
    if int(dataset.get("SamplesPerPixel", 1)) != 1:
        raise damaged(path, "its frames have colours")
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    need = (frames * int(dataset.Rows) * int(dataset.Columns) * int(dataset.BitsAllocated) + 7) // 8
    there = len(dataset.get("PixelData") or b"")
    if there < need:
        raise damaged(path, f"{there:,} of {need:,} bytes of pixels are there")


def _decided(kind: str, path: Path, twice: int) -> tuple[Finding, ...]:
    findings = []
    if kind == "FRACTIONAL":
        text = f"{path.name} holds fractions: a pixel belongs to a segment from one half up."
        findings.append(Finding("FRACTIONAL_MASK", text, (path.name,)))
    return (*findings, *overlap(twice, path.name))
