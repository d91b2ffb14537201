"""Slides that OpenSlide reads: their size, pixel size and levels.

Source: OpenSlide's API and "Virtual slide formats understood by OpenSlide".
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import Geometry, InputError

from .blocks import Blocks
from .budget import check_budget
from .format import Header
from .pixels import damaged, on_white

EXTRA = "openslide"
"""The optional dependency that brings OpenSlide."""

_BLOCK = 512
_LEAST, _MOST = 128, 2048
_LARGEST_TILE = 2**26
"""Pixels; OpenSlide ends the process where it cannot allocate what a tile claims to take."""
_UID = re.compile(r"1\.2\.840\.10008(?:\.\d+)+")


class OpenSlideFile:
    """A slide held open; opened again after damage, for OpenSlide reads nothing more after its first error.

    Raises
    ------
    InputError
        If OpenSlide is not installed or cannot open the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()
        self._opened: Any = None
        self._opened = self.open()

    def open(self) -> Any:
        """The library's own object.

        Raises
        ------
        InputError
            OpenSlide is not installed, or cannot open the file.
        """
        try:
            import openslide
        except ImportError as error:
            raise InputError(
                f"{self.path.name} needs OpenSlide, which is not installed.",
                f'Install it with: pip install "napari-medseg[{EXTRA}]"',
            ) from error
        with self._lock:
            if self._opened is None:
                try:
                    opened = openslide.OpenSlide(self.path)
                except (openslide.OpenSlideError, OSError) as error:
                    raise InputError(
                        f"{self.path.name} cannot be opened by OpenSlide ({_reason(self.path, error)}).",
                        "Copy it again with all files that belong to it, or export it with tiles in JPEG.",
                    ) from error
                _check_tiles(self.path, opened)
                self._opened = opened
            return self._opened

    def read(self, place: tuple[int, int], level: int, size: tuple[int, int]) -> npt.NDArray[Any] | None:
        """RGB of a rectangle, white where nothing was scanned, (Y, X, 3); None where it cannot be read.

        Parameters
        ----------
        place
            (x, y) of its corner, in pixels of level 0.
        size
            (width, height) in pixels of the level.
        """
        import openslide

        opened = self.open()
        try:
            return on_white(np.asarray(opened.read_region(place, level, size)))
        except openslide.OpenSlideError:
            with self._lock:
                if self._opened is opened:
                    self._opened = None
            return None


class OpenSlideLevel(Blocks):
    """A level that OpenSlide reads."""

    def __init__(self, file: OpenSlideFile, level: int, key: tuple[Any, ...]) -> None:
        opened = file.open()
        self._file, self._level = file, level
        self._factor = float(opened.level_downsamples[level])
        width, height = opened.level_dimensions[level]
        super().__init__((height, width, 3), np.dtype(np.uint8), _block(opened, level), file.path.name, (*key, level))

    def decode(self, row: int, column: int) -> npt.NDArray[Any] | None:
        (height, width), (y, x) = self.block, (row * self.block[0], column * self.block[1])
        size = min(width, self.shape[1] - x), min(height, self.shape[0] - y)
        return self._file.read((round(x * self._factor), round(y * self._factor)), self._level, size)


def read_header(path: Path, part: int | None = None) -> Header:
    """Size and pixel size as the scanner tells them."""
    opened = OpenSlideFile(path).open()
    width, height = opened.dimensions
    sizes = [_number(opened.properties.get(f"openslide.mpp-{axis}")) for axis in "yx"]
    geometry = Geometry(spacing=(sizes[0], sizes[1]), unit="um") if all(sizes) else Geometry.unknown(2)
    return Header((height, width), np.dtype(np.uint8), 3, geometry=geometry, meaning="RGB")


def read_pyramid(path: Path, part: int | None = None) -> tuple[OpenSlideLevel, ...]:
    """The levels, the image first."""
    file, status = OpenSlideFile(path), path.stat()
    key = (str(path.resolve()), status.st_mtime_ns, status.st_size)
    return tuple(OpenSlideLevel(file, level, key) for level in range(file.open().level_count))


def read_pixels(path: Path, z: int = 0) -> npt.NDArray[Any]:
    """The whole first level, where it fits in memory."""
    first = read_pyramid(path)[0]
    check_budget(path, first.shape, first.dtype)
    return np.asarray(first)


def _check_tiles(path: Path, opened: Any) -> None:
    for level in range(opened.level_count):
        height, width = _tile(opened, level)
        if height * width > _LARGEST_TILE:
            raise damaged(path, f"it claims tiles of {width:.0f} x {height:.0f} pixels")


def _block(opened: Any, level: int) -> tuple[int, int]:
    height, width = (int(side) if _LEAST <= side <= _MOST else _BLOCK for side in _tile(opened, level))
    return height, width


def _tile(opened: Any, level: int) -> tuple[float, float]:
    """Height and width of the tiles of a level; 0 where OpenSlide does not tell."""
    height, width = (opened.properties.get(f"openslide.level[{level}].tile-{side}") for side in ("height", "width"))
    return _number(height), _number(width)


def _reason(path: Path, error: Exception) -> str:
    """What OpenSlide says, without the folder, and with the names of what DICOM calls by number."""
    told = str(error).replace(f"{path.parent}{os.sep}", "")
    return _UID.sub(lambda found: _name(found[0]), told)


def _name(uid: str) -> str:
    from pydicom.uid import UID

    return UID(uid).name


def _number(text: str | None) -> float:
    """A positive number; 0 where there is none."""
    try:
        value = float(text or 0)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) and value > 0 else 0.0
