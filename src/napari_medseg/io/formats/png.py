"""PNG: one slice, 1-16 bit, grey, RGB or palette, with or without alpha.

Source: W3C, "Portable Network Graphics (PNG) Specification", third edition.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
import numpy.typing as npt
from PIL.PngImagePlugin import PngImageFile

from napari_medseg.core import InputError, Labels
from napari_medseg.io.budget import DEFLATE_LIMIT, check_budget, in_gib
from napari_medseg.io.format import Format, Header
from napari_medseg.io.pixels import damaged, decode_pillow, on_white

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
_PALETTE = 3
_CHANNELS = {0: 1, 2: 3, _PALETTE: 3, 4: 1, 6: 3}
_SAMPLES = {0: 1, 2: 3, _PALETTE: 1, 4: 2, 6: 4}


def read_header(path: Path) -> Header:
    """Size and type from the first chunk; whole when the last chunk is there.

    Raises
    ------
    InputError
        The file is damaged, or too small for the size that it claims.
    """
    with path.open("rb") as file:
        width, height, depth, color = _describe(path, file)
        end = file.seek(0, 2)
        file.seek(max(0, end - len(_END)))
        whole = file.read() == _END or _has_end(file)
    raw = height * ((width * depth * _SAMPLES[color] + 7) // 8)
    if raw > DEFLATE_LIMIT * end:
        raise InputError(
            f"{path.name} claims {width} x {height} pixels ({in_gib(raw)}), too many for its {end:,} bytes.",
            "The file is damaged or made up; copy it again from where it came from.",
        )
    dtype = np.dtype(np.uint16 if depth == 16 else np.uint8)
    check_budget(path, (height, width, _SAMPLES[color]), dtype)
    broken = {} if whole else {0: "the file is cut off"}
    return Header((height, width), dtype, _CHANNELS[color], broken=broken)


def read_pixels(path: Path, z: int = 0) -> npt.NDArray[Any]:
    """Pixels for showing: full bit depth, palettes as colours, transparent pixels white."""
    with path.open("rb") as file:
        _, _, _, color = _describe(path, file)
    if color == _PALETTE:
        pixels = decode_pillow(path, PngImageFile)
        return pixels if pixels.ndim == 3 else np.stack([pixels] * 3, axis=-1)
    pixels = _decode(path)
    return on_white(pixels) if pixels.ndim == 3 and pixels.shape[-1] in (2, 4) else pixels


def read_values(path: Path, z: int = 0) -> npt.NDArray[Any]:
    """Values as stored: palette indices, and small bit depths without stretching; alpha is left out."""
    with path.open("rb") as file:
        _, _, depth, color = _describe(path, file)
    if color == _PALETTE:
        return decode_pillow(path, PngImageFile, colors=False)
    values = _decode(path)
    if color == 0:
        if values.ndim == 3:  # a transparent colour was turned into alpha
            values = values[..., 0]
        return values // (255 // (2**depth - 1)) if depth < 8 else values
    return values[..., 0] if color == 4 else values[..., :3]


def write(path: Path, labels: Labels) -> None:
    """Write one slice of labels, (Y, X) uint8 or uint16."""
    path.write_bytes(imagecodecs.png_encode(np.ascontiguousarray(labels.data)))


def _describe(path: Path, file: BinaryIO) -> tuple[int, int, int, int]:
    """Width, height, bit depth and colour type."""
    start = file.read(33)
    if len(start) < 33 or start[:8] != _SIGNATURE or start[12:16] != b"IHDR":
        raise damaged(path, "its header is cut off")
    width, height, depth, color = struct.unpack(">IIBB", start[16:26])
    if not width or not height or color not in _CHANNELS or depth not in (1, 2, 4, 8, 16):
        raise damaged(path, "its header makes no sense")
    return width, height, depth, color


def _has_end(file: BinaryIO) -> bool:
    """Walk the chunks to IEND: some programs leave bytes after it."""
    file.seek(len(_SIGNATURE))
    while len(chunk := file.read(8)) == 8:
        if chunk[4:] == b"IEND":
            return len(file.read(4)) == 4
        file.seek(struct.unpack(">I", chunk[:4])[0] + 4, 1)
    return False


def _decode(path: Path) -> npt.NDArray[Any]:
    try:
        pixels: npt.NDArray[Any] = imagecodecs.png_decode(path.read_bytes())
    except (imagecodecs.PngError, ValueError) as error:
        raise damaged(path, error) from error
    return pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels


FORMAT = Format("png", "PNG image", (".png",), (_SIGNATURE,), read_header, read_pixels, read_values, write)
