"""What a DICOM file says of itself, without its pixels, and whether those are whole.

Source: DICOM PS3.10, 7 "DICOM File Format"; PS3.5, A.4 "Transfer Syntaxes for Encapsulation".
"""

from __future__ import annotations

import logging
import math
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from napari_medseg.core import InputError, MedsegError
from napari_medseg.io.budget import memory_budget
from napari_medseg.io.pixels import damaged, quietly

from .elements import BIG, FRAMES, IMPLICIT, PIXELS, read_values
from .skim import skim

DICOMDIR = "1.2.840.10008.1.3.10"
SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
"""Class of whole slide images."""

_EXPLICIT = "1.2.840.10008.1.2.1"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_META = frozenset((0x00020002, 0x00020010))
_UNDEFINED = 0xFFFFFFFF
_DELIMITER, _ITEM = b"\xfe\xff\xdd\xe0", b"\xfe\xff\x00\xe0"
_VRS = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT OB OF OW PN SH SL SQ SS ST TM UI UL UN US UT".split())
# pydicom logs what it finds odd, and may name values: a patient's name must not get into anybody's log.
logging.getLogger("pydicom").addFilter(lambda record: record.levelno >= logging.ERROR)


@dataclass(frozen=True)
class Facts:
    """Elements of a file, or of one frame of it, by keyword; plain numbers, texts and tuples.

    Attributes
    ----------
    values
        What was there; sequences as pydicom has them.
    syntax
        UID of the transfer syntax: how the pixels are encoded.
    pixels
        Keyword of the element that holds the pixels; empty when there are none.
    broken
        Why the pixels are not whole.
    begin
        Byte of the file that compressed pixels begin at; 0 where they are not compressed.
    """

    values: Mapping[str, Any] = field(repr=False)
    syntax: str = ""
    pixels: str = ""
    broken: str = ""
    begin: int = 0

    def text(self, keyword: str) -> str:
        value = self.values.get(keyword)
        return "" if value is None else " ".join(str(value).split())

    def number(self, keyword: str) -> float | None:
        """The (first) number, None where there is none that is finite."""
        return (self.numbers(keyword) or (None,))[0]

    def integer(self, keyword: str, default: int = 0) -> int:
        value = self.number(keyword)
        return default if value is None else int(value)

    def numbers(self, keyword: str, count: int = 0) -> tuple[float, ...]:
        """All of them; none where one is not finite or there are not ``count``."""
        value = self.values.get(keyword)
        listed = value if isinstance(value, tuple) else () if value is None else (value,)
        try:
            found = tuple(float(x) for x in listed)
        except (TypeError, ValueError):
            return ()
        return found if all(map(math.isfinite, found)) and (not count or len(found) == count) else ()

    @property
    def frames(self) -> int:
        return max(1, self.integer("NumberOfFrames", 1))

    @property
    def modality(self) -> str:
        return self.text("Modality").upper()


def is_dicom(start: bytes) -> bool:
    """Whether these first 512 bytes are of a DICOM file, with its preamble or (as old programs write) without."""
    if start[128:132] == b"DICM":
        return True
    if len(start) < 16 or start[:2] not in (b"\x02\x00", b"\x08\x00", b"\x00\x08"):
        return False
    element = int.from_bytes(start[2:4], "big" if start[0] == 0 else "little")
    if element > 0x0100:  # a data set begins with these groups, and low in them
        return False
    return start[4:6] in _VRS or int.from_bytes(start[4:8], "little") <= 128


def named_class(start: bytes) -> str:
    """UID of the class that these first 512 bytes of a DICOM file name (PS3.10, 7.1); empty where they name none."""
    at = start.find(b"\x02\x00\x02\x00UI", 132) if start[128:132] == b"DICM" else -1
    uid = start[at + 8 : at + 8 + int.from_bytes(start[at + 6 : at + 8], "little")] if at > 0 else b""
    return uid.rstrip(b"\0 ").decode("ascii", "replace")


def read_facts(path: Path) -> Facts:
    """Read what a file says of itself; its pixels are looked at only for whether they are all there.

    Of whole slide images neither frames nor pixels are: there can be hundreds of thousands.

    Raises
    ------
    InputError
        If it is no DICOM file, or one that cannot be read.
    """
    try:
        with quietly(), path.open("rb", buffering=2**15) as file:
            syntax, media, data = _begin(path, file)
            values, element = read_values(data, syntax, FRAMES) if media == SLIDE else read_values(data, syntax)
            if media and "SOPClassUID" not in values:
                values["SOPClassUID"] = media
            number, length = element
            broken, begin = "", 0
            if number in PIXELS and "Rows" in values:
                begin = data.tell() if length == _UNDEFINED and data is file else 0
                broken = _find_damage(data, length, Facts(values), syntax)
            return Facts(values, syntax, PIXELS.get(number, ""), broken, begin)
    except MedsegError:
        raise
    except OSError as error:
        raise InputError(f"{path.name} cannot be opened ({error.strerror}).", "Check its rights.") from error
    except Exception as error:  # anything may come out of a damaged file; its text may quote a patient's name
        raise damaged(path, "its DICOM header cannot be read") from error


def _begin(path: Path, file: BinaryIO) -> tuple[str, str, BinaryIO]:
    """Transfer syntax, media storage class, and the file (or what it deflates to) where its elements begin."""
    start = file.read(132)
    file.seek(132 if start[128:] == b"DICM" else 0)
    meta: dict[int, str] = {}
    if (first := file.read(6))[:2] == b"\x02\x00":
        file.seek(-6, 1)
        meta = _read_meta(file)
    elif is_dicom(start) or start[128:] == b"DICM":
        file.seek(-len(first), 1)
    else:
        raise damaged(path, "it is no DICOM file")
    media = meta.get(0x00020002, "")
    if media == DICOMDIR:
        raise InputError(
            f"{path.name} is a table of contents, no image.", "Open the folder that it lies in: its series are found."
        )
    syntax = meta.get(0x00020010) or _guess_syntax(first)
    if syntax != _DEFLATED:
        return syntax, media, file
    limit = memory_budget()
    inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(file.read(), limit)
    if len(inflated) >= limit:
        raise damaged(path, "it inflates to more than fits in memory")
    return syntax, media, BytesIO(inflated)


def _read_meta(file: BinaryIO) -> dict[int, str]:
    """Media storage class and transfer syntax, by tag; the file is then where its data set begins."""
    from pydicom.filereader import data_element_generator

    begin = file.tell()
    skimmed = skim(file.read(2**12), implicit=False, wanted=_META, stop=0x00030000)
    if skimmed:
        file.seek(begin + skimmed.place)
        raw = [(tag, value) for tag, _, value in skimmed.elements]
    else:
        file.seek(begin)
        found = data_element_generator(file, False, True, stop_when=lambda tag, vr, length: tag >= 0x00030000)
        raw = [(int(element.tag), bytes(element.value or b"")) for element in found if int(element.tag) in _META]
    return {tag: value.rstrip(b"\0 ").decode("ascii") for tag, value in raw}


def _guess_syntax(first: bytes) -> str:
    if first[:1] == b"\0":
        return BIG
    return _EXPLICIT if first[4:6] in _VRS else IMPLICIT


def _find_damage(data: BinaryIO, length: int, facts: Facts, syntax: str) -> str:
    """Why the pixels are not whole; empty when they are. Only lengths are looked at."""
    begin = data.tell()
    end = data.seek(0, 2)
    if length == _UNDEFINED:
        return _find_lost_fragment(data, begin, end)
    photometric = facts.text("PhotometricInterpretation")
    samples = 2.0 if photometric == "YBR_FULL_422" else facts.integer("SamplesPerPixel", 1)
    bits = facts.integer("Rows") * facts.integer("Columns") * samples * facts.integer("BitsAllocated", 8)
    need = int(bits * facts.frames + 7) // 8
    there = min(length, end - begin)
    if there < need:
        return f"{there:,} of {need:,} bytes of its pixels are there"
    return ""


def _find_lost_fragment(data: BinaryIO, begin: int, end: int) -> str:
    """Walk the fragments of compressed pixels to their end (PS3.5, A.4)."""
    data.seek(begin)
    while len(header := data.read(8)) == 8:
        if header[:4] == _DELIMITER:
            return ""
        length = struct.unpack("<L", header[4:])[0]
        if header[:4] != _ITEM or data.tell() + length > end:
            break
        data.seek(length, 1)
    return "its compressed pixels are cut off"
