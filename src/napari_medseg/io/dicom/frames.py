"""Frames of a multi-frame DICOM file as slices, each with what it tells of itself.

Source: DICOM PS3.3, C.7.6.16 "Multi-frame Functional Groups"; C.8.8.3 "RT Dose" for frames at offsets.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from typing import Any

import numpy as np

from .elements import plain
from .file import Facts
from .place import turn_of
from .stack import Stack, split_stacks

MOST_FRAMES = 10**5
"""No file holds so many frames of medical images; a number that says so is damage."""

_GROUPS = {
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept", "RescaleType"),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "WindowCenterWidthExplanation", "VOILUTFunction"),
    "MRDiffusionSequence": ("DiffusionBValue",),
}
"""Sequences of which every frame has its own item or all share one, and what is taken from them."""

_RENAMED = {
    "FrameContentSequence": {
        "TemporalPositionIndex": "TemporalPositionIdentifier", "StackID": "StackID",
        "FrameAcquisitionNumber": "AcquisitionNumber",
    },
    "MREchoSequence": {"EffectiveEchoTime": "EchoTime"},
    "CardiacSynchronizationSequence": {"NominalCardiacTriggerDelayTime": "TriggerTime"},
    "MRImageFrameTypeSequence": {"FrameType": "ImageType"},
    "CTImageFrameTypeSequence": {"FrameType": "ImageType"},
}  # fmt: skip


def split_frames(facts: Facts) -> list[Facts]:
    """What each frame tells of itself; what it does not tell is that of the file."""
    shared = _first_item(facts.values.get("SharedFunctionalGroupsSequence"))
    own = facts.values.get("PerFrameFunctionalGroupsSequence") or ()
    common = {**facts.values, **_flatten(shared)}
    offsets = _offsets(Facts(common), facts.frames)
    frames = []
    for index in range(facts.frames):
        told = dict(_flatten(own[index])) if index < len(own) else {}
        if index < len(offsets):
            told["ImagePositionPatient"] = offsets[index]
        told["InstanceNumber"] = index
        frames.append(Facts(ChainMap(told, common), facts.syntax, facts.pixels, facts.broken))
    return frames


def frame_stacks(facts: Facts) -> list[Stack]:
    """The stacks that the frames of a file make."""
    frames = split_frames(facts)
    return split_stacks(frames, [f"frame {index + 1}" for index in range(len(frames))])


def _flatten(groups: Any) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    if groups is None:
        return found
    for sequence, keywords in _GROUPS.items():
        item = _first_item(groups.get(sequence))
        found |= {k: plain(item.get(k)) for k in keywords if item is not None and item.get(k) is not None}
    for sequence, renamed in _RENAMED.items():
        item = _first_item(groups.get(sequence))
        found |= {n: plain(item.get(k)) for k, n in renamed.items() if item is not None and item.get(k) is not None}
    return found


def _first_item(sequence: Any) -> Any:
    return sequence[0] if sequence else None


def _offsets(facts: Facts, count: int) -> list[tuple[float, ...]]:
    """Positions of frames that lie at distances from the first, as those of a dose do."""
    offsets, first, turn = (
        facts.numbers("GridFrameOffsetVector"),
        facts.numbers("ImagePositionPatient", 3),
        turn_of(facts),
    )
    if len(offsets) != count or not first or turn is None:
        return []
    normal = np.cross(turn[0], turn[1])
    return [tuple((np.array(first) + normal * (offset - offsets[0])).tolist()) for offset in offsets]
