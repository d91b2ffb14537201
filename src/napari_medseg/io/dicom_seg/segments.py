"""Classes as the segments of a DICOM segmentation: names, colours, codes, and the values they had.

Source: DICOM PS3.3, C.8.20.2 "Segmentation Image Module" and C.8.20.4 "Segment Description Macro".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from napari_medseg.core import ClassInfo

from .anatomy import SIDES, Code, name_anatomy

# Segments are numbered from 1 without gaps and their label is short: what does not fit is told in the description.
_DESCRIPTION = re.compile(r"Label value (?P<value>\d{1,10})(?:: ?(?P<name>.+)?)?", re.DOTALL)
_LABEL_LENGTH = 64
_TOP = 2**32


def program_version() -> str:
    """Version of this program, which wrote the segments."""
    return version("napari-medseg")


def describe_segments(classes: Sequence[ClassInfo]) -> list[Any]:
    """Segment descriptions, numbered from 1 in the order of the classes, with codes for common anatomy."""
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentDescription
    from pydicom.sr.codedict import codes

    # A model drew them and a person may have corrected them; labels do not tell who did what.
    algorithm = AlgorithmIdentificationSequence("napari-medseg", codes.DCM.ArtificialIntelligence, program_version())
    found = []
    for number, info in enumerate(classes, start=1):
        anatomy = name_anatomy(info.name)
        label = re.sub(r"[\\\x00-\x1f\x7f]", " ", info.name).strip()[:_LABEL_LENGTH].strip() or f"segment {number}"
        segment = SegmentDescription(
            number, label, _concept(anatomy.category), _concept(anatomy.kind), "SEMIAUTOMATIC", algorithm,
            display_color=CIELabColor.from_string(info.color),
        )  # fmt: skip
        if anatomy.side:
            kind = segment.SegmentedPropertyTypeCodeSequence[0]
            kind.SegmentedPropertyTypeModifierCodeSequence = [_concept(anatomy.side)]
        segment.SegmentDescription = f"Label value {info.value}" + (f": {info.name}" if label != info.name else "")
        found.append(segment)
    return found


def read_segments(dataset: Any) -> dict[int, ClassInfo]:
    """Classes by segment number; values as they were where the segments tell them, else their numbers."""
    found: dict[int, tuple[int, str, str | None]] = {}
    for segment in dataset.get("SegmentSequence") or ():
        number = int(segment.SegmentNumber)
        if number < 1:  # a label map may describe its background
            continue
        told = _DESCRIPTION.fullmatch(str(segment.get("SegmentDescription") or ""))
        value = int(told["value"]) if told else number
        name = told["name"] if told and told["name"] else str(segment.get("SegmentLabel") or "").strip()
        found[number] = (value, name or _coded_name(segment), _color(segment))
    values = [value for value, _, _ in found.values()]
    trusted = len(set(values)) == len(values) and all(0 < v < _TOP for v in values)
    return {
        number: ClassInfo(
            value=value if trusted else number,
            name=name or f"segment {number}",
            color=color or ClassInfo.numbered(value if trusted else number).color,
        )
        for number, (value, name, color) in sorted(found.items())
    }


def _concept(code: Code) -> Any:
    from highdicom.sr import CodedConcept

    return CodedConcept(code[0], "SCT", code[1])


def _coded_name(segment: Any) -> str:
    """What a segment without a label is by its codes: ``Left Femur``."""
    kind = (segment.get("SegmentedPropertyTypeCodeSequence") or (None,))[0]
    if kind is None:
        return ""
    sides = {meaning for _, meaning in SIDES.values()}
    told = [str(m.get("CodeMeaning", "")) for m in kind.get("SegmentedPropertyTypeModifierCodeSequence") or ()]
    return " ".join([*(t for t in told if t in sides), str(kind.get("CodeMeaning", ""))]).strip()


def _color(segment: Any) -> str | None:
    value = segment.get("RecommendedDisplayCIELabValue")
    if value is None or isinstance(value, int) or len(value) != 3:
        return None
    from highdicom.color import CIELabColor

    rgb = CIELabColor.from_dicom_value([int(v) for v in value]).to_rgb(clip=True)
    return "#{:02x}{:02x}{:02x}".format(*(round(c) for c in rgb))
