"""BMP: one slice, 8 bit, grey, RGB or palette."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL.BmpImagePlugin import BmpImageFile

from napari_medseg.io.budget import check_budget
from napari_medseg.io.format import Format, Header
from napari_medseg.io.pixels import damaged, decode_pillow


def read_header(path: Path) -> Header:
    """Size and channels; whole when the file is as long as its rows."""
    try:
        with path.open("rb") as file, BmpImageFile(file, str(path)) as image:
            width, height = image.size
            channels = 1 if image.mode in ("1", "L") else 3
            bits = {"1": 1, "L": 8, "P": 8}.get(image.mode, 24)
            offset, packed = int(image.tile[0].offset), image.info.get("compression", 0) in (1, 2)
    except (OSError, SyntaxError, ValueError, IndexError) as error:
        raise damaged(path, error) from error
    check_budget(path, (height, width, channels), np.uint8)
    whole = packed or path.stat().st_size >= offset + height * ((width * bits + 31) // 32 * 4)
    broken = {} if whole else {0: "the file is cut off"}
    return Header((height, width), np.dtype(np.uint8), channels, broken=broken)


def read_pixels(path: Path, z: int = 0) -> npt.NDArray[Any]:
    """Grey or RGB pixels; a palette becomes its colours."""
    return decode_pillow(path, BmpImageFile)


def read_values(path: Path, z: int = 0) -> npt.NDArray[Any]:
    """Values as stored: palette indices."""
    return decode_pillow(path, BmpImageFile, colors=False)


FORMAT = Format("bmp", "BMP image", (".bmp",), (b"BM",), read_header, read_pixels, read_values)
