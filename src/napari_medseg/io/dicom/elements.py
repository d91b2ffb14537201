"""Elements of a DICOM data set as plain numbers, texts and tuples: those that matter, in front of the pixels.

Thousands of files are looked at before a series is shown. So the others are stepped over, and values that recur from
slice to slice are converted once, by pydicom.

Source: names of elements as in DICOM PS3.6.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any, BinaryIO, NamedTuple

from .skim import read_head, skim

KEYWORDS = (
    "SpecificCharacterSet", "ImageType", "SOPClassUID", "SOPInstanceUID", "Modality", "SeriesDescription",
    "PatientName", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "AcquisitionNumber",
    "InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient", "TemporalPositionIdentifier", "PixelSpacing",
    "ImagerPixelSpacing", "NominalScannedPixelSpacing", "SpacingBetweenSlices", "SliceThickness", "GantryDetectorTilt",
    "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "BitsAllocated", "BitsStored",
    "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit", "RescaleIntercept", "RescaleSlope",
    "RescaleType", "WindowCenter", "WindowWidth", "WindowCenterWidthExplanation", "VOILUTFunction",
    "ModalityLUTSequence", "EchoTime", "TriggerTime", "DiffusionBValue", "AcquisitionTime", "GridFrameOffsetVector",
    "DoseGridScaling", "DoseUnits", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "SequenceOfUltrasoundRegions", "TotalPixelMatrixColumns", "TotalPixelMatrixRows",
)  # fmt: skip

FRAMES = 0x52009229
"""Tag of what all frames share; in front of what each tells, and of the pixels."""

PIXELS = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}

_TO_PIXELS = min(PIXELS)

IMPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
_SHORT = 64
"""Values up to this many bytes are kept converted."""


def read_values(data: BinaryIO, syntax: str, stop: int = _TO_PIXELS) -> tuple[dict[str, Any], tuple[int, int]]:
    """Read from where a data set begins to the first element of tag ``stop`` or above, by default its pixels.

    Returns
    -------
    tuple
        Values by keyword; tag and length of the pixels, at whose begin ``data`` is then, or zeros where there are none.
    """
    return _skim_values(data, syntax, stop) or _parse_values(data, syntax, stop)


def _skim_values(data: BinaryIO, syntax: str, stop: int = _TO_PIXELS) -> tuple[dict[str, Any], tuple[int, int]] | None:
    """Values, and tag and length of the pixels, at whose begin ``data`` is then; None where pydicom has to look."""
    if syntax == BIG:
        return None
    implicit = syntax == IMPLICIT
    start = data.tell()
    for size in (2**15, 2**20):
        head = data.read(size)
        found = skim(head, implicit=implicit, wanted=_wanted(), stop=stop)
        if found and not any(tag in _sequences() for tag, _, _ in found.elements):
            pixels = read_head(head, found.place, implicit=implicit)
            if pixels:
                data.seek(start + pixels[2])
                return _plain_values(found.elements, implicit=implicit), pixels[:2]
        data.seek(start)
        if found or len(head) < size:
            break
    return None


def _parse_values(data: BinaryIO, syntax: str, stop: int = _TO_PIXELS) -> tuple[dict[str, Any], tuple[int, int]]:
    """The same through pydicom; tag 0 where there are no pixels."""
    from pydicom.filereader import data_element_generator

    found: list[tuple[int, int]] = []

    def is_pixels(tag: int, vr: str | None, length: int) -> bool:
        number = int(tag)  # comparing pydicom's tags themselves takes ten times as long
        if number in PIXELS:
            found.append((number, length))
        return number >= stop

    elements = data_element_generator(
        data, syntax == IMPLICIT, syntax != BIG, stop_when=is_pixels, specific_tags=_tags()
    )
    raw: list[tuple[int, str | None, Any]] = []
    for element in elements:
        # A sequence of undefined length is parsed already.
        whole = not hasattr(element, "value_tell") or (element.VR == "SQ" and not isinstance(element.value, bytes))
        raw.append((int(element.tag), "" if whole else element.VR, element.value))
    values = _plain_values(raw, implicit=syntax == IMPLICIT, little=syntax != BIG)
    if found:
        data.seek(8 if syntax == IMPLICIT else 12, 1)
    return values, found[0] if found else (0, 0)


def _plain_values(
    elements: Iterable[tuple[int, str | None, Any]], *, implicit: bool, little: bool = True
) -> dict[str, Any]:
    """Values by keyword of tags, value representations (``""``: a value already) and bytes."""
    from pydicom.charset import convert_encodings

    names, values = _wanted(), dict[str, Any]()
    encoded = _Encoded(("iso8859",), implicit, little)
    for tag, vr, value in elements:
        name = names.get(tag)
        if name is None:
            continue
        try:
            if vr == "":
                values[name] = value
            elif value:
                convert = _convert_short if len(value) <= _SHORT else _convert
                values[name] = convert(tag, vr, value, encoded)
        except Exception:  # an element that makes no sense is as if it were not there
            continue
        if name == "SpecificCharacterSet" and name in values:
            told = values[name]
            names_told = tuple(convert_encodings(list(told) if isinstance(told, tuple) else told))
            encoded = encoded._replace(encodings=names_told)
    return values


class _Encoded(NamedTuple):
    """How values are written."""

    encodings: tuple[str, ...]
    implicit: bool
    little: bool


def _convert(tag: int, vr: str | None, value: bytes, encoded: _Encoded) -> Any:
    from pydicom.dataelem import RawDataElement, convert_raw_data_element
    from pydicom.tag import BaseTag

    raw = RawDataElement(BaseTag(tag), vr, len(value), value, 0, encoded.implicit, encoded.little)
    return plain(convert_raw_data_element(raw, encoding=list(encoded.encodings)).value)


_convert_short = lru_cache(maxsize=2**14)(_convert)


def plain(value: Any) -> Any:
    """A value of pydicom's as a plain number, text or tuple; sequences and bytes as they are."""
    from pydicom.multival import MultiValue
    from pydicom.sequence import Sequence

    if value is None or isinstance(value, Sequence | bytes):
        return value
    if isinstance(value, MultiValue | list | tuple):
        return tuple(plain(v) for v in value)
    if isinstance(value, int):
        return int(value)
    return value if isinstance(value, float) and type(value) is float else _number_or_text(value)


def _number_or_text(value: Any) -> float | str:
    try:
        return float(value) if not isinstance(value, str) else str(value)
    except (TypeError, ValueError):
        return str(value)


@cache
def _wanted() -> dict[int, str]:
    from pydicom.datadict import tag_for_keyword

    return {int(tag_for_keyword(name) or 0): name for name in KEYWORDS}


@cache
def _sequences() -> frozenset[int]:
    return frozenset(tag for tag, name in _wanted().items() if "Sequence" in name)


@cache
def _tags() -> list[Any]:
    from pydicom.tag import Tag

    return [Tag(tag) for tag in _wanted()]
