"""Decoders of compressed DICOM pixels through imagecodecs, for kinds that pydicom itself needs further packages for.

pydicom calls this module as a plugin: its names are those that pydicom asks for.

Source: pydicom's guide "Decoding plugins"; DICOM PS3.5, annex A.4.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import Any

import imagecodecs
import numpy as np

_JPEG_12 = "1.2.840.10008.1.2.4.51"
_LOSSLESS = ("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70")
_JPEG_LS = ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81")
_HTJ2K = ("1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203")

_CODECS = {
    _JPEG_12: ("JPEG8", "jpeg8_decode"),
    **dict.fromkeys(_LOSSLESS, ("JPEGSOF3", "jpegsof3_decode")),
    **dict.fromkeys(_JPEG_LS, ("JPEGLS", "jpegls_decode")),
    **dict.fromkeys(_HTJ2K, ("JPEG2K", "jpeg2k_decode")),
}

_SIZ = b"\xff\x4f\xff\x51"
_FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}

DECODER_DEPENDENCIES = dict.fromkeys(_CODECS, ("imagecodecs",))


def is_available(syntax: str) -> bool:
    """Whether this build of imagecodecs has the codec."""
    return syntax in _CODECS and bool(getattr(imagecodecs, _CODECS[syntax][0]).available)


def decode_frame(source: bytes, runner: Any) -> bytearray:
    """Decode one frame; the runner is told how its pixels lie."""
    decode = getattr(imagecodecs, _CODECS[str(runner.transfer_syntax)][1])
    pixels = np.ascontiguousarray(decode(source))
    if pixels.shape[:2] != (runner.rows, runner.columns):
        raise ValueError(f"the compressed frame has {pixels.shape[1]} x {pixels.shape[0]} pixels")
    runner.set_option("bits_allocated", pixels.itemsize * 8)
    if pixels.ndim == 3:
        runner.set_option("planar_configuration", 0)
    return bytearray(pixels.tobytes())


def claimed_size(stream: bytes) -> tuple[int, int, int]:
    """Rows, columns and samples that a JPEG, JPEG-LS or JPEG 2000 stream claims; zeros where it tells none.

    Source: ISO/IEC 10918-1 (T.81), B.2.2 "Frame header"; ISO/IEC 14495-1 (T.87), C.2.2; ISO/IEC 15444-1, A.5.1 "SIZ".
    """
    at = stream.find(_SIZ, 0, 2**12)
    if at >= 0 and (stream[:2] == _SIZ[:2] or stream[4:8] == b"jP  "):
        right, below, left, above = struct.unpack_from(">4I", stream.ljust(at + 44, b"\0"), at + 8)
        samples = int.from_bytes(stream[at + 40 : at + 42], "big")
        return max(0, below - above), max(0, right - left), samples
    at = 2
    while stream[:2] == b"\xff\xd8" and at + 10 <= len(stream) and stream[at] == 0xFF:
        marker, length = stream[at + 1], int.from_bytes(stream[at + 2 : at + 4], "big")
        if marker == 0xFF:  # fill
            at += 1
        elif marker in _FRAMES:
            rows, columns, samples = struct.unpack_from(">HHB", stream, at + 5)
            return rows, columns, samples
        else:
            at += 2 + length
    return 0, 0, 0


@cache
def add_decoders() -> None:
    """Tell pydicom of these decoders; where others are installed they stay the first choice."""
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    for syntax in _CODECS:
        decoder = get_decoder(UID(syntax))
        if "imagecodecs" not in (*decoder.available_plugins, *decoder._unavailable):
            decoder.add_plugin("imagecodecs", (__name__, "decode_frame"))


@cache
def missing_decoder(syntax: str) -> tuple[str, str] | None:
    """Name of a compression that cannot be decoded here and what to do about it; None where it can."""
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    add_decoders()
    name = UID(syntax).name
    try:
        decoder = get_decoder(UID(syntax))
    except NotImplementedError:
        return name, "Export it uncompressed, or as JPEG 2000."
    if decoder.is_available:
        return None
    packages = " or ".join(part.split(" - requires ")[-1] for part in decoder.missing_dependencies) or "imagecodecs"
    return name, f"Install {packages}, or export it uncompressed."
