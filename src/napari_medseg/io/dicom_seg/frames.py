"""Frames of a DICOM segmentation as slices: where each lies, and their pixels as one label map.

A segmentation holds a frame for each segment and slice that is not empty. The slices between are found again by the
order of the source's instances, which it lists, or by the distance of the slices.

Source: DICOM PS3.3, C.8.20.3 "Segmentation Multi-frame Functional Groups Macros" and C.7.6.16.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import Finding, Geometry, InputError
from napari_medseg.io.dicom.file import Facts
from napari_medseg.io.dicom.stack import lay_in_space
from napari_medseg.io.findings import counted

Vectors = npt.NDArray[np.float64]

_SAME = 1e-3
"""Frames closer than this many mm lie on one slice; positions are told to about 1e-4 mm."""

_MANY = 10**5
"""No series has so many slices; a distance that says so is none."""

_SKEW = 1e-4
"""Difference allowed between the directions of two frames."""


@dataclass(frozen=True)
class Frame:
    """One frame: the segment it shows (0 of a label map, which shows all), its place and its source, where told."""

    segment: int
    position: tuple[float, ...] | None
    source: int | None


@dataclass(frozen=True)
class Layout:
    """What a segmentation holds.

    Attributes
    ----------
    kind
        ``"BINARY"``, ``"FRACTIONAL"`` or ``"LABELMAP"``.
    shape
        (Z, Y, X) of the label map.
    segments, slices
        Of each frame.
    geometry
        Of (Z, Y, X), or of (Y, X) where the frames have no place in space.
    """

    kind: str
    shape: tuple[int, int, int]
    segments: tuple[int, ...]
    slices: tuple[int, ...]
    geometry: Geometry
    findings: tuple[Finding, ...] = ()


def lay_out_frames(dataset: Any, name: str) -> Layout:
    """Find the slice of each frame.

    Parameters
    ----------
    dataset
        The segmentation, with or without its pixels.
    name
        Of the file, for messages.

    Raises
    ------
    InputError
        If its frames are tiles of a slide, are turned against each other, or have no order.
    """
    kind = str(dataset.get("SegmentationType", "LABELMAP"))
    if kind not in ("BINARY", "FRACTIONAL", "LABELMAP"):
        raise InputError(f"{name} is a segmentation of the type {kind!r}.", "BINARY, FRACTIONAL and LABELMAP are read.")
    if "TotalPixelMatrixRows" in dataset:
        raise InputError(
            f"{name} holds segments of a tiled slide, which are not read.", "Export its outlines, or a TIFF mask."
        )
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    frames, across, spacing = _read_frames(dataset, name)
    if rows < 1 or columns < 1 or not frames:
        raise InputError(f"{name} holds no frames.", "Export it again.")
    sources = _count_sources(dataset)
    findings: tuple[Finding, ...] = ()
    if across is None:
        slices, count = _order_by_source(frames, sources, name)
        geometry = Geometry(spacing=spacing, unit="mm") if spacing else Geometry.unknown(2)
    else:
        slices, geometry, count, findings = _order_in_space(
            frames, across, spacing or (1.0, 1.0), _slice_spacing(dataset), sources
        )
        if spacing is None:
            text = f"{name} does not tell its pixel size; 1 mm is taken."
            findings = (*findings, Finding("NO_SPACING", text, (name,)))
    segments = tuple(f.segment for f in frames)
    return Layout(kind, (count, rows, columns), segments, slices, geometry, findings)


def _read_frames(dataset: Any, name: str) -> tuple[list[Frame], Vectors | None, tuple[float, float] | None]:
    """Frames, direction of rows and columns (2, 3) in LPS, and pixel spacing (Y, X)."""
    groups: Any = dataset.get("SharedFunctionalGroupsSequence") or []
    shared = groups[0] if len(groups) else None
    each = dataset.get("PerFrameFunctionalGroupsSequence") or ()
    sources = _source_numbers(dataset)
    frames, turns = [], []
    spacing = None
    for item in each:
        groups = [g for g in (item, shared) if g is not None]
        segment = _first(groups, "SegmentIdentificationSequence")
        place = _first(groups, "PlanePositionSequence")
        turn = _first(groups, "PlaneOrientationSequence")
        measures = _first(groups, "PixelMeasuresSequence")
        position = place.get("ImagePositionPatient") if place is not None else None
        if turn is not None and turn.get("ImageOrientationPatient"):
            turns.append(np.array(turn.ImageOrientationPatient, float).reshape(2, 3))
        if spacing is None and measures is not None and measures.get("PixelSpacing"):
            spacing = (float(measures.PixelSpacing[0]), float(measures.PixelSpacing[1]))
        frames.append(
            Frame(
                int(segment.ReferencedSegmentNumber) if segment is not None else 0,
                tuple(float(x) for x in position) if position else None,
                _source_of(groups, sources),
            )
        )
    placed = [f.position for f in frames if f.position]
    if placed and (len(placed) < len(frames) or any(len(p) != 3 for p in placed) or not turns):
        raise InputError(f"Some frames of {name} have no place in space.", "Export it again.")
    if not placed:
        return frames, None, spacing
    if not np.isfinite(placed).all() or not all(_is_frame(t) for t in turns):
        raise InputError(f"{name} tells positions that make no sense.", "Export it again.")
    if any(np.abs(t - turns[0]).max() > _SKEW for t in turns):
        raise InputError(f"The frames of {name} are turned against each other.", "Save each direction by itself.")
    return frames, turns[0], spacing


def _is_frame(turn: Vectors) -> bool:
    return bool(np.isfinite(turn).all() and np.allclose(turn @ turn.T, np.eye(2), atol=1e-2))


def _first(groups: Sequence[Any], keyword: str) -> Any:
    """The first item of a sequence, of the frame itself or shared by all; None where neither has it."""
    return next((g.get(keyword)[0] for g in groups if g.get(keyword)), None)


def _slice_spacing(dataset: Any) -> float | None:
    shared = (dataset.get("SharedFunctionalGroupsSequence") or (None,))[0]
    measures = _first([shared], "PixelMeasuresSequence") if shared is not None else None
    told = measures.get("SpacingBetweenSlices") if measures is not None else None
    return float(told) if told and np.isfinite(float(told)) and float(told) > 0 else None


def _source_numbers(dataset: Any) -> dict[str, int]:
    """Place of each source instance in the list of those that the segmentation was made from."""
    series: Any = dataset.get("ReferencedSeriesSequence") or ()
    if len(series) != 1:
        return {}
    listed = series[0].get("ReferencedInstanceSequence") or ()
    return {str(item.get("ReferencedSOPInstanceUID", "")): index for index, item in enumerate(listed)}


def _count_sources(dataset: Any) -> int:
    return len(_source_numbers(dataset))


def _source_of(groups: Sequence[Any], sources: dict[str, int]) -> int | None:
    derivation = _first(groups, "DerivationImageSequence")
    images = derivation.get("SourceImageSequence") if derivation is not None else None
    if not images or len(images) != 1:
        return None
    frame = images[0].get("ReferencedFrameNumber")
    if frame is not None:
        return int(frame) - 1 if isinstance(frame, int) and len(sources) == 1 else None
    return sources.get(str(images[0].get("ReferencedSOPInstanceUID", "")))


def _order_by_source(frames: Sequence[Frame], sources: int, name: str) -> tuple[tuple[int, ...], int]:
    """Slices of frames without a place in space, by the image or frame that each was made from."""
    told = [f.source for f in frames]
    if all(s is None for s in told) and len({f.segment for f in frames}) == len(frames):
        return (0,) * len(frames), 1  # one frame a segment: of one image
    if any(s is None or s < 0 for s in told):
        raise InputError(
            f"{name} does not tell which slices its frames belong to.", "Save it again with positions or references."
        )
    slices = tuple(s for s in told if s is not None)
    return slices, max(sources, *(s + 1 for s in slices))


def _order_in_space(
    frames: Sequence[Frame], across: Vectors, spacing: tuple[float, float], step: float | None, sources: int
) -> tuple[tuple[int, ...], Geometry, int, tuple[Finding, ...]]:
    """Slice of each frame, geometry and number of slices."""
    normal = np.cross(across[0], across[1])
    places = np.array([f.position for f in frames], float)
    depth = places @ normal
    order = np.argsort(depth, kind="stable")
    new = np.diff(depth[order], prepend=-np.inf) > _SAME
    plane = np.empty(len(frames), int)
    plane[order] = np.cumsum(new) - 1
    planes = places[order][new]
    numbers = _numbers_from_sources(frames, plane, len(planes))
    if numbers is not None and numbers[0] > numbers[-1]:
        # Listed the other way round: so are the slices.
        planes, numbers, plane = planes[::-1], numbers[::-1], len(planes) - 1 - plane
    told = numbers is not None
    numbers = numbers if told else _numbers_from_gaps(planes, normal, step)
    line = _fit_line(planes, numbers, normal, step) if numbers is not None else None
    findings: tuple[Finding, ...] = ()
    if numbers is None or line is None:
        numbers, every = np.arange(len(planes)), planes
        if sources > len(planes):
            text = (
                f"The segmentation holds {len(planes)} of the {counted(sources, 'slice')} of its image, and the others"
                " are not known. Give the image to put it in its place."
            )
            findings = (Finding("PARTIAL_SERIES", text),)
    else:
        count = max(sources if told else 0, int(numbers[-1]) + 1)
        every = planes if count == len(planes) else line[0] + np.arange(count)[:, np.newaxis] * line[1]
    facts = Facts({"SpacingBetweenSlices": step} if step else {})
    geometry, more = lay_in_space(every, across, spacing, facts, [f"slice {z}" for z in range(len(every))])
    return tuple(numbers[plane].tolist()), geometry, len(every), (*more, *findings)


def _numbers_from_sources(
    frames: Sequence[Frame], plane: npt.NDArray[np.int64], planes: int
) -> npt.NDArray[np.int64] | None:
    """Number of each plane's source image; None unless each has its own and their order is that of the planes."""
    numbers = np.full(planes, -1)
    for frame, z in zip(frames, plane, strict=True):
        if frame.source is None or frame.source < 0 or numbers[z] not in (-1, frame.source):
            return None
        numbers[z] = frame.source
    steps = np.diff(numbers)
    return numbers if (steps > 0).all() or (steps < 0).all() else None


def _numbers_from_gaps(planes: Vectors, normal: Vectors, step: float | None) -> npt.NDArray[np.int64] | None:
    """Number of each plane counted in steps from the first; None where their distances are no multiples of one."""
    depth = np.abs((planes - planes[0]) @ normal)
    if len(planes) == 1:
        return np.zeros(1, int)
    unit = step if step is not None and step <= np.diff(depth).min() * 1.01 else float(np.diff(depth).min())
    numbers = np.rint(depth / unit)
    even = numbers[-1] < _MANY and np.abs(depth - numbers * unit).max() <= 0.01 * unit
    return numbers.astype(int) if even else None


def _fit_line(
    planes: Vectors, numbers: npt.NDArray[np.int64], normal: Vectors, step: float | None
) -> tuple[Vectors, Vectors] | None:
    """Position of slice 0 and the way from one slice to the next; None where the planes lie on no even line."""
    if len(planes) == 1:
        return (planes[0] - normal * step * numbers[0], normal * step) if step else None
    design = np.stack([np.ones(len(planes)), numbers], axis=1)
    (origin, along), *_ = np.linalg.lstsq(design, planes)
    off = np.abs(design @ np.stack([origin, along]) - planes).max()
    length = float(np.linalg.norm(along))
    return (origin, along) if abs(along @ normal) > _SAME and off <= max(2 * _SAME, 1e-3 * length) else None
