"""What several formats do with decoded pixels."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL.ImageFile import ImageFile

from napari_medseg.core import InputError

Array = npt.NDArray[Any]

_QUIET = Lock()
"""Switching warnings off is for the whole process: one thread at a time."""

_ORIENTATION = 0x0112
_TURNS: dict[int, Callable[[Array], Array]] = {
    1: lambda p: p,
    2: np.fliplr,
    3: lambda p: np.rot90(p, 2),
    4: np.flipud,
    5: lambda p: np.swapaxes(p, 0, 1),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: np.rot90(np.swapaxes(p, 0, 1), 2),
    8: np.rot90,
}
"""What makes the pixels upright, by EXIF orientation (CIPA DC-008, "Exif 2.32", 4.6.4)."""


@contextmanager
def quietly() -> Iterator[None]:
    """Keep what other libraries warn of in odd files from the terminal; one thread at a time."""
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def on_white(pixels: Array) -> Array:
    """Grey+alpha (Y, X, 2) or RGBA (Y, X, 4) on white paper, as scanners show slides; opaque pixels stay exact."""
    color, alpha = pixels[..., :-1], pixels[..., -1:]
    top = np.iinfo(pixels.dtype).max
    if (alpha < top).any():
        weight = alpha / top
        color = np.rint(color * weight + top * (1 - weight)).astype(pixels.dtype)
    return color[..., 0] if color.shape[-1] == 1 else color


def is_grey(pixels: Array) -> bool:
    """Whether the channels of an RGB slice (Y, X, 3) are equal."""
    first = pixels[..., 0]
    return all(np.array_equal(first, pixels[..., c]) for c in range(1, pixels.shape[-1]))


def decode_pillow(path: Path, plugin: type[ImageFile], *, colors: bool = True) -> Array:
    """Decode a file with one of Pillow's plugins: 8-bit grey (Y, X) or RGB (Y, X, 3).

    The plugin is called itself, after the caller checked the size against the memory budget: Pillow's own limit stays
    as it is for everybody else.

    Parameters
    ----------
    colors
        Whether a palette becomes its colours; else its indices are given.

    Raises
    ------
    InputError
        If the data is damaged.
    """
    try:
        with path.open("rb") as file:
            opened, turn = open_pillow(path, plugin, file)
            with opened:
                pixels = _as_array(opened, colors)
        return np.ascontiguousarray(_TURNS[turn](pixels))
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise damaged(path, error) from error


def open_pillow(path: Path, plugin: type[ImageFile], file: BinaryIO) -> tuple[ImageFile, int]:
    """Open a file with one of Pillow's plugins; give its EXIF orientation too, 1 (upright) where it has none.

    Pillow warns of damaged EXIF, which says nothing about the pixels.
    """
    with quietly():
        opened = plugin(file, str(path))
        turn = opened.getexif().get(_ORIENTATION, 1) if opened.format in ("JPEG", "MPO") else 1
    return opened, turn if turn in _TURNS else 1


class DamagedError(InputError):
    """The pixels of a slice are not whole; the others may be."""


def damaged(path: Path, reason: object, z: int | None = None) -> DamagedError:
    """The error for pixels that cannot be decoded."""
    where = path.name if z is None else f"Slice {z} of {path.name}"
    return DamagedError(f"{where} is damaged ({reason}).", "Copy it again from where it came from, or leave it out.")


def _as_array(image: Pillow.Image, colors: bool) -> Array:
    if image.mode == "P" and not colors:
        return np.array(image)
    if image.mode in ("1", "L") and "transparency" not in image.info:
        return np.array(image.convert("L"))
    if image.mode == "RGB" and "transparency" not in image.info:
        return np.array(image)
    if image.mode in ("P", "L", "LA", "RGB", "RGBA", "PA"):
        return on_white(np.array(image.convert("RGBA")))
    if image.mode in ("CMYK", "YCbCr"):
        return np.array(image.convert("RGB"))
    raise ValueError(f"Pillow's mode {image.mode} is not handled")
