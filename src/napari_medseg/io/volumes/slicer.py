"""Segments as 3D Slicer keeps them in NRRD files: names, colours, layers and the part of the image that they cover.

Source: 3D Slicer, Developer guide, "Segmentations: segmentation file format (.seg.nrrd)".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import ClassInfo, Finding, Geometry, InputError
from napari_medseg.io.dicom_seg.anatomy import name_anatomy

from .nrrd_header import Nrrd
from .space import RAS_TO_LPS, matrix_of
from .voxels import Voxels

_FIELD = re.compile(r"Segment(\d{1,6})_(\w+)")
_TOP = 2**32
_OFF = 0.01
"""Part of a voxel by which a place may be off and still be the same."""


@dataclass(frozen=True)
class Segment:
    """Where the voxels of a segment are (layer and value), and the class that they become."""

    layer: int
    stored: int
    info: ClassInfo


@dataclass(frozen=True)
class Whole:
    """The size (Z, Y, X) of the image that a cropped segmentation belongs to, and where in it the crop starts."""

    shape: tuple[int, ...]
    start: tuple[int, ...]

    def moved(self, geometry: Geometry) -> Geometry:
        """Geometry of the whole, from that of the crop."""
        matrix = geometry.affine()
        matrix[:3, 3] -= matrix[:3, :3] @ np.array(self.start, float)
        return Geometry.from_affine(matrix, geometry.unit)


class LabelMap:
    """Label map (Z, Y, X) of segments that lie in several layers or cover a part of their image, slice by slice."""

    def __init__(self, layers: Sequence[Voxels], segments: Sequence[Segment], whole: Whole | None, dtype: Any) -> None:
        self._layers = layers
        self._segments = segments
        self._whole = whole or Whole(layers[0].shape, (0, 0, 0))
        self.shape = self._whole.shape
        self.dtype = np.dtype(dtype)
        self.ndim = 3

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, z: int) -> npt.NDArray[Any]:
        plane = np.zeros(self.shape[1:], self.dtype)
        k, j, i = self._whole.start
        slices, rows, columns = self._layers[0].shape
        if 0 <= z - k < slices:
            plane[j : j + rows, i : i + columns] = self._merge(z - k)
        return plane

    def _merge(self, z: int) -> npt.NDArray[Any]:
        layers = [layer[z] for layer in self._layers]
        if is_plain(len(layers), self._segments):
            return layers[0]
        merged = np.zeros(layers[0].shape, self.dtype)
        for segment in self._segments:
            merged[layers[segment.layer] == segment.stored] = segment.info.value
        return merged


def is_plain(layers: int, segments: Sequence[Segment]) -> bool:
    """Whether the stored values are those of the classes."""
    return layers == 1 and all(s.stored == s.info.value for s in segments)


def read_segments(name: str, found: Nrrd) -> tuple[list[Segment], tuple[Finding, ...]]:
    """Segments in the file's order, later ones on top; none where it is no segmentation.

    Raises
    ------
    InputError
        If a segment lies in a layer that is not there.
    """
    told = _fields_of(found)
    layers = found.stored.parts
    places = []
    for index, about in enumerate(told):
        # Before layers were shared each segment had one of its own, with the value 1.
        try:
            layer, value = int(about.get("Layer", index if layers > 1 else 0)), int(about.get("LabelValue", 1))
        except ValueError:
            layer, value = -1, 0
        if not 0 <= layer < layers or not 0 <= value < _TOP:
            raise InputError(
                f"Segment {index + 1} of {name} has no value and layer that make sense, and there are {layers} layers.",
                "Save the segmentation again.",
            )
        places.append((layer, value))
    values = [value for _, value in places]
    findings = []
    if len(set(values)) < len(values) or 0 in values:
        values = list(range(1, len(values) + 1))
        text = f"Segments of {name} share their values: they are numbered in their order."
        findings.append(Finding("RENUMBERED_CLASSES", text, (name,)))
    if layers > 1:
        text = f"{name} has its segments in {layers} layers: where segments overlap, the last of them is read."
        findings.append(Finding("OVERLAPPING_CLASSES", text, (name,)))
    segments = [
        Segment(layer, stored, _class_of(value, about))
        for (layer, stored), value, about in zip(places, values, told, strict=True)
    ]
    return segments, tuple(findings)


def find_whole(name: str, found: Nrrd) -> tuple[Whole | None, tuple[Finding, ...]]:
    """The image that a cropped segmentation belongs to; None when it is not cropped, or the whole is not known."""
    offset = _numbers(found.fields.get("Segmentation_ReferenceImageExtentOffset", ""), 3)
    known = re.search(r"Reference image geometry\|([^|]*)\|", found.fields.get("Segmentation_ConversionParameters", ""))
    shape = (found.stored.slices, *found.stored.plane)
    reference = _numbers(known[1].replace(";", " "), 22) if known else None
    if offset is None or (reference is None and not any(offset)):
        return None, ()
    if reference is not None:
        low = [int(n) for n in reference[16::2]]
        high = [int(n) for n in reference[17::2]]
        start = [int(o) - a for o, a in zip(offset, low, strict=True)][::-1]
        size = [b - a + 1 for a, b in zip(low, high, strict=True)][::-1]
        fits = all(s >= 0 and s + n <= whole for s, n, whole in zip(start, shape, size, strict=True))
        if fits and _is_inside(found.geometry, reference, offset):
            whole = Whole(tuple(size), tuple(start))
            return (whole if whole.shape != shape else None), ()
    if not any(offset):
        return None, ()
    text = f"{name} covers a part of its image only, and does not tell the size of the whole."
    return None, (Finding("CROPPED_EXTENT", text, (name,)),)


def describe_segments(classes: Sequence[ClassInfo], extents: dict[int, str], reference: str) -> list[tuple[str, str]]:
    """Keys and values of a header for these classes; ``extents`` by class value, in the order i i j j k k."""
    pairs: list[tuple[str, str]] = []
    for index, info in enumerate(classes):
        color = " ".join(f"{int(info.color[at : at + 2], 16) / 255:.6f}" for at in (1, 3, 5))
        about = {
            "Color": color, "ColorAutoGenerated": "0", "Extent": extents.get(info.value, "0 -1 0 -1 0 -1"),
            "ID": f"Segment_{info.value}", "LabelValue": str(info.value), "Layer": "0", "Name": _escape(info.name),
            "NameAutoGenerated": "0", "Tags": f"Segmentation.Status:inprogress|TerminologyEntry:{_terms(info.name)}|",
        }  # fmt: skip
        pairs += [(f"Segment{index}_{key}", value) for key, value in about.items()]
    return [
        *pairs, ("Segmentation_ContainedRepresentationNames", "Binary labelmap|"),
        ("Segmentation_ConversionParameters", f"Reference image geometry|{reference}|Size and place of the labels.&"),
        ("Segmentation_MasterRepresentation", "Binary labelmap"), ("Segmentation_ReferenceImageExtentOffset", "0 0 0"),
    ]  # fmt: skip


def describe_reference(geometry: Geometry, shape: tuple[int, ...]) -> str:
    """Matrix (RAS, row by row) and extent of an image, as Slicer's conversion parameters have them."""
    matrix = (RAS_TO_LPS @ matrix_of(geometry)).ravel()
    ends = [n for size in shape[::-1] for n in (0, size - 1)]
    return "".join(f"{n!r};" for n in (*(float(m) for m in matrix), *ends))


def _fields_of(found: Nrrd) -> list[dict[str, str]]:
    segments: dict[int, dict[str, str]] = {}
    for key, value in found.fields.items():
        if match := _FIELD.fullmatch(key):
            segments.setdefault(int(match[1]), {})[match[2]] = str(value)
    return [segments[n] for n in sorted(segments) if "ID" in segments[n] or "LabelValue" in segments[n]]


def _class_of(value: int, about: dict[str, str]) -> ClassInfo:
    info = ClassInfo.numbered(value, about.get("Name", "").replace("\\n", " ").strip())
    parts = _numbers(about.get("Color", ""), 3)
    if parts is None or not all(0 <= p <= 1 for p in parts):
        return info
    return info.model_copy(update={"color": "#" + "".join(f"{round(p * 255):02x}" for p in parts)})


def _numbers(text: str, count: int) -> list[float] | None:
    try:
        found = [float(n) for n in str(text).split()]
    except ValueError:
        return None
    return found if len(found) == count and np.isfinite(found).all() and np.abs(found).max() < 1e9 else None


def _is_inside(geometry: Geometry, reference: list[float], offset: list[float]) -> bool:
    """Whether the crop lies in space where its offset says: else a transform was applied to it since."""
    theirs = RAS_TO_LPS @ np.array(reference[:16]).reshape(4, 4)
    ours = matrix_of(geometry)
    theirs[:3, 3] += theirs[:3, :3] @ offset
    return bool(np.abs(ours - theirs)[:3].max() <= _OFF * min(geometry.spacing))


def _escape(name: str) -> str:
    return name.replace("\r", " ").replace("\n", " ").strip()


def _terms(name: str) -> str:
    """Slicer's terminology entry for a class."""
    anatomy = name_anatomy(name)
    category, kind = (f"SCT^{code}^{meaning}" for code, meaning in (anatomy.category, anatomy.kind))
    side = f"SCT^{anatomy.side[0]}^{anatomy.side[1]}" if anatomy.side else "^^"
    context = "Segmentation category and type - 3D Slicer General Anatomy list"
    return f"{context}~{category}~{kind}~{side}~Anatomic codes - DICOM master list~^^~^^"
