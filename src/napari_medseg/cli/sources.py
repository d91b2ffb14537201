"""What INPUT holds: one image or series, or a set of images of different sizes."""

from __future__ import annotations

from pathlib import Path

from napari_medseg import io
from napari_medseg.core import Image, InputError
from napari_medseg.io.outlines.placing import holds_outlines
from napari_medseg.io.outlines.registry import read_outlines


def is_set(source: Path) -> bool:
    """Whether this is a folder of images of different sizes: single images, not the slices of one series."""
    if not source.exists():
        raise InputError(f"{source} does not exist.", "Check the path.")
    if not source.is_dir() or holds_outlines(source):
        return False
    found = io.inspect(source)
    return found.kind == "images" and not found.groups


def series_in(source: Path, series: str) -> str | None:
    """The series that is wanted, where there are several to choose from: one flag goes for images and masks."""
    if not series:
        return None
    if source.is_file() and holds_outlines(source):
        return series if len(read_outlines(source).names) > 1 else None
    return series if io.inspect(source).groups else None


def read_images(source: Path, series: str = "") -> list[Image]:
    """The image or series as a list of one, or each image of a set.

    Raises
    ------
    InputError
        When it cannot be read.
    """
    return io.read_set(source) if is_set(source) else [io.read(source, series=series_in(source, series))]
