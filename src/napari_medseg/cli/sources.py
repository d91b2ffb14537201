"""What INPUT holds: one image or series, or a set of images of different sizes."""

from __future__ import annotations

from pathlib import Path

from napari_medseg import io
from napari_medseg.core import Image, InputError


def is_set(source: Path) -> bool:
    """Whether this is a folder of images of different sizes: single images, not the slices of one series."""
    if not source.exists():
        raise InputError(f"{source} does not exist.", "Check the path.")
    if not source.is_dir():
        return False
    found = io.inspect(source)
    return found.kind == "images" and not found.groups


def read_images(source: Path) -> list[Image]:
    """The image or series as a list of one, or each image of a set.

    Raises
    ------
    InputError
        When it cannot be read.
    """
    return io.read_set(source) if is_set(source) else [io.read(source)]
