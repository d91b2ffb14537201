"""From stored DICOM pixels to values: Hounsfield units and their like, padding, inverted grey, and what to show.

Source: DICOM PS3.3, C.7.6.3 "Image Pixel", C.7.5.1.1.2 "Pixel Padding Value", C.11.1 "Modality LUT", C.11.2 "VOI LUT".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import Finding, Window

from .file import Facts

AIR = -1024
"""Lowest value of the Hounsfield scale; what scanners leave empty may be stored far below."""

_COLORS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "YBR_PARTIAL_420", "PALETTE COLOR")

_MODALITIES = {"CR": "X-ray", "DX": "X-ray", "RG": "X-ray", "PT": "PET", "SM": "", "OP": "", "XC": "", "OT": ""}
"""Words for those of DICOM that are not what people say; none for microscopes, cameras and whatever else."""


@dataclass(frozen=True)
class Scale:
    """How stored numbers of one file or frame become values.

    Attributes
    ----------
    slope, intercept
        ``value = slope * stored + intercept``.
    dtype
        Of the values.
    low, high
        The stored numbers that the bits allow.
    mirrored
        Whether the highest number is stored for black; values are turned round then.
    padding
        Stored numbers that mean "outside of what was scanned", first and last; None where there are none to replace.
    fill
        Value that padding gets.
    table
        Whether a look-up table gives the values instead of slope and intercept.
    """

    slope: float
    intercept: float
    dtype: np.dtype[Any]
    low: float = 0
    high: float = 0
    mirrored: bool = False
    padding: tuple[int, int] | None = None
    fill: float = 0
    table: bool = False

    @property
    def plain(self) -> bool:
        """Whether values are as stored."""
        return self.slope == 1 and self.intercept == 0 and not self.mirrored

    def value(self, stored: float) -> float:
        return self.slope * (self.low + self.high - stored if self.mirrored else stored) + self.intercept

    def apply(self, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Values of stored numbers, of the same shape."""
        outside = None if self.padding is None else (stored >= self.padding[0]) & (stored <= self.padding[1])
        if self.plain:
            values = stored.astype(self.dtype, copy=outside is not None)
        else:
            whole = self.dtype.kind in "iu" and max(abs(self.value(self.low)), abs(self.value(self.high))) < 2**30
            work: Any = stored.astype(np.int32 if whole else np.float64)
            number = int if whole else float
            if self.mirrored:
                work = number(self.low + self.high) - work
            values = (work * number(self.slope) + number(self.intercept)).astype(self.dtype)
        if outside is not None:
            values[outside] = self.fill
        return values


def is_colored(facts: Facts) -> bool:
    return facts.integer("SamplesPerPixel", 1) > 1 or facts.text("PhotometricInterpretation") in _COLORS


def is_hounsfield(facts: Facts) -> bool:
    """Whether values are Hounsfield units: of a CT, unless it is a scout view or says otherwise."""
    kind = facts.text("RescaleType").upper()
    return kind == "HU" or (facts.modality == "CT" and kind in ("", "US") and not is_localizer(facts))


def is_localizer(facts: Facts) -> bool:
    kinds = facts.values.get("ImageType")
    return isinstance(kinds, tuple) and "LOCALIZER" in [str(k).upper() for k in kinds]


def meaning_of(facts: Facts) -> str:
    """What the values are, in words."""
    if is_colored(facts):
        return "RGB"
    if facts.text("DoseUnits").upper() == "GY":
        return "Gy"
    return "HU" if is_hounsfield(facts) else "grey"


def modality_of(facts: Facts) -> str:
    """What took it, in the words of model cards; empty where they have none."""
    return _MODALITIES.get(facts.modality, facts.modality)


def scale_of(facts: Facts) -> Scale:
    """How stored numbers of this file become values."""
    if facts.pixels in ("FloatPixelData", "DoubleFloatPixelData"):
        return Scale(1, 0, np.dtype(np.float32 if facts.pixels == "FloatPixelData" else np.float64))
    bits, signed = facts.integer("BitsAllocated", 8), facts.integer("PixelRepresentation") == 1
    stored = np.dtype(f"{'i' if signed else 'u'}{max(1, bits // 8)}")
    if is_colored(facts):
        table = facts.text("PhotometricInterpretation") == "PALETTE COLOR"
        return Scale(1, 0, np.dtype(np.uint8) if table else stored)
    if facts.values.get("ModalityLUTSequence"):
        return Scale(1, 0, np.dtype(np.uint16), table=True)
    depth = min(bits, facts.integer("BitsStored", bits) or bits)
    low, high = (-(2 ** (depth - 1)), 2 ** (depth - 1) - 1) if signed else (0, 2**depth - 1)
    slope = facts.number("RescaleSlope") or facts.number("DoseGridScaling") or 1.0
    intercept = facts.number("RescaleIntercept") or 0.0
    mirrored = facts.text("PhotometricInterpretation") == "MONOCHROME1" and not is_hounsfield(facts)
    scale = Scale(slope, intercept, stored, low, high, mirrored)
    ends = sorted((scale.value(low), scale.value(high)))
    if not scale.plain:
        scale = Scale(slope, intercept, _dtype_for(slope, intercept, ends, stored), low, high, mirrored)
    return _with_padding(scale, facts, signed)


def _dtype_for(slope: float, intercept: float, ends: Sequence[float], stored: np.dtype[Any]) -> np.dtype[Any]:
    if slope.is_integer() and float(intercept).is_integer():
        for kind in (stored, np.dtype(np.int16), np.dtype(np.int32)):
            if np.iinfo(kind).min <= ends[0] and ends[1] <= np.iinfo(kind).max:
                return kind
    return np.dtype(np.float32 if stored.itemsize < 4 else np.float64)


def _with_padding(scale: Scale, facts: Facts, signed: bool) -> Scale:
    """Take in the padding where it would disturb: far below air in a CT, bright or negative elsewhere."""
    first = _padding_number(facts, "PixelPaddingValue", signed, scale.dtype)
    if first is None:
        return scale
    last = _padding_number(facts, "PixelPaddingRangeLimit", signed, scale.dtype)
    reach = (min(first, first if last is None else last), max(first, first if last is None else last))
    if is_hounsfield(facts):
        if scale.value(reach[1]) >= AIR:
            return scale
        # Lossy compression leaves what is near to padding around it.
        reach, fill = (int(min(scale.low, reach[0])), reach[1]), float(AIR)
    else:
        floor = scale.high if scale.mirrored else max(scale.low, 0)
        fill = float(scale.value(floor))
        if scale.value(reach[0]) == fill == scale.value(reach[1]):
            return scale
    return Scale(
        scale.slope, scale.intercept, scale.dtype, scale.low, scale.high, scale.mirrored, padding=reach, fill=fill
    )


def _padding_number(facts: Facts, keyword: str, signed: bool, dtype: np.dtype[Any]) -> int | None:
    """The number, which files may tell with the wrong sign or as bytes (implicit VR: "US or SS")."""
    value = facts.values.get(keyword)
    if isinstance(value, bytes):
        value = int.from_bytes(value[:2], "little", signed=signed) if len(value) >= 2 else None
    if not isinstance(value, int | float) or not np.isfinite(value):
        return None
    number = int(value)
    if signed and number >= 2**15 and facts.integer("BitsAllocated", 16) == 16:
        number -= 2**16
    return number + 2**16 if not signed and number < 0 else number


def windows_of(facts: Facts, scale: Scale) -> tuple[Window, ...]:
    """The windows that a file asks to be shown, as ranges of values."""
    centers, widths = facts.numbers("WindowCenter"), facts.numbers("WindowWidth")
    told = facts.values.get("WindowCenterWidthExplanation") or ()
    names = [str(n).strip() for n in (told if isinstance(told, tuple) else (told,))]
    exact = facts.text("VOILUTFunction") in ("LINEAR_EXACT", "SIGMOID")
    windows = []
    for index, (center, width) in enumerate(zip(centers, widths, strict=False)):
        if width < 1 or is_colored(facts):
            continue
        low, high = (center - width / 2, center + width / 2) if exact else (center - width / 2, center - 1 + width / 2)
        if scale.mirrored:
            whole = scale.value(scale.low) + scale.value(scale.high)
            low, high = whole - high, whole - low
        name = names[index] if index < len(names) and names[index] else f"Window {index + 1}"
        if high > low:
            windows.append(Window(name, low, high))
    return tuple(windows)


def about_values(facts: Sequence[Facts], scales: Sequence[Scale]) -> list[Finding]:
    """What was done to the stored numbers, besides slope and intercept."""
    findings = []
    if any(s.mirrored for s in scales):
        text = "The highest number is stored for black (MONOCHROME1): grey values are turned round to look right."
        findings.append(Finding("INVERTED", text))
    padded = next((s for s in scales if s.padding), None)
    if padded and padded.padding:
        text = f"Pixels outside of what was scanned (stored as {padded.padding[0]}) are read as {padded.fill:g}."
        findings.append(Finding("PADDING", text))
    if any(f.number("RescaleSlope") == 0 for f in facts):
        findings.append(
            Finding("BAD_RESCALE", "The files tell a rescale slope of 0, which is not possible; 1 is taken.")
        )
    return findings
