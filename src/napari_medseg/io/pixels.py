"""What several formats do with decoded pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageOps
from PIL.ImageFile import ImageFile

from napari_medseg.core import InputError

Array = npt.NDArray[Any]


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
        with path.open("rb") as file, plugin(file, str(path)) as opened:
            return _as_array(ImageOps.exif_transpose(opened) if opened.format == "JPEG" else opened, colors)
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise damaged(path, error) from error


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
