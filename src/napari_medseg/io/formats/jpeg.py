"""JPEG: one slice, 8 bit, grey, RGB or CMYK, turned upright as its EXIF tag says. Never written: it changes masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL.JpegImagePlugin import JpegImageFile

from napari_medseg.core import InputError
from napari_medseg.io.budget import check_budget
from napari_medseg.io.format import Format, Header
from napari_medseg.io.pixels import damaged, decode_pillow, open_pillow

_TAIL = 2**16
_DENSEST = 2048
"""Pixels a byte holds at most: each block of 64 takes a bit or more (ITU-T T.81, F.1.2), and room to spare. What the
decoder does not find it fills with grey and says nothing."""


def read_header(path: Path) -> Header:
    """Size and channels from the frame header; whole when the end marker is there.

    Raises
    ------
    InputError
        The file is damaged, or too small for the size that it claims.
    """
    try:
        with path.open("rb") as file:
            image, turn = open_pillow(path, JpegImageFile, file)
            width, height = image.size
            channels = 1 if image.mode == "L" else 3
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL))
            whole = b"\xff\xd9" in file.read()
    except (OSError, SyntaxError, ValueError) as error:
        raise damaged(path, error) from error
    if width * height > _DENSEST * size:
        raise InputError(
            f"{path.name} claims {width} x {height} pixels, too many for its {size:,} bytes.",
            "The file is damaged or made up; copy it again from where it came from.",
        )
    check_budget(path, (height, width, channels), np.uint8)
    shape = (width, height) if turn >= 5 else (height, width)
    return Header(shape, np.dtype(np.uint8), channels, broken={} if whole else {0: "the file is cut off"})


def read_pixels(path: Path, z: int = 0) -> npt.NDArray[Any]:
    """Grey or RGB pixels, upright."""
    return decode_pillow(path, JpegImageFile)


FORMAT = Format("jpeg", "JPEG image", (".jpg", ".jpeg"), (b"\xff\xd8",), read_header, read_pixels, read_pixels)
