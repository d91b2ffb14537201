"""What INPUT holds: one image or series, a set of images of different sizes, or a folder for each patient."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_medseg import io
from napari_medseg.core import Image, InputError
from napari_medseg.evaluation import slice_key
from napari_medseg.io.names import in_order
from napari_medseg.io.outlines.placing import holds_outlines
from napari_medseg.io.outlines.registry import read_outlines
from napari_medseg.io.registry import is_folder_format
from napari_medseg.io.series import image_files


def is_set(source: Path) -> bool:
    """Whether this is a folder of images of different sizes: single images, not the slices of one series."""
    if not source.exists():
        raise InputError(f"{source} does not exist.", "Check the path.")
    if not source.is_dir() or holds_outlines(source):
        return False
    found = io.inspect(source)
    return found.kind == "images" and not found.groups


def patients_in(source: Path) -> list[Path]:
    """The folders with images in a folder that holds neither images nor one series by itself."""
    if not source.is_dir() or is_folder_format(source) or holds_outlines(source) or image_files(source):
        return []
    inner = [p for p in source.iterdir() if p.is_dir() and not is_folder_format(p) and not p.name.startswith(".")]
    folders = in_order([p for p in inner if image_files(p) or holds_outlines(p)])
    try:
        return folders if io.inspect(source).groups else []
    except InputError:
        return folders


def cases_in(source: Path) -> dict[str, Path]:
    """Patients' folders, or files of single images or volumes, by the name they share with their masks."""
    if folders := patients_in(source):
        return {folder.name: folder for folder in folders}
    return {slice_key(file.name): file for file in io.inspect(source).files}


def series_in(source: Path, series: str) -> str | None:
    """The series that is wanted, where there are several to choose from: one flag goes for images and masks."""
    if not series:
        return None
    if source.is_file() and holds_outlines(source):
        return series if len(read_outlines(source).names) > 1 else None
    return series if io.inspect(source).groups else None


def open_image(
    source: Path, channels: Sequence[Path], series: str, spacing: float | tuple[float, ...] | None = None
) -> Image:
    """Open an image, or a series of it, and the files or other series that are further channels.

    Raises
    ------
    InputError
        One is not there, or they are no channels of one image.
    """
    places = [(source, series or None), *(_find(source, one, series) for one in channels)]
    return io.join_channels([io.read(place, spacing=spacing, series=which) for place, which in places])


def _find(source: Path, channel: Path, series: str) -> tuple[Path, str | None]:
    """Where a further channel lies, and as which series."""
    if channel.exists():
        return channel, series_in(channel, series)
    if found := series_in(source, str(channel)):
        return source, found
    raise InputError(f"{channel} does not exist.", "Give --channel a file, a folder or a series of the input.")


def read_images(source: Path, series: str = "") -> list[Image]:
    """The image or series as a list of one, or each image of a set.

    Raises
    ------
    InputError
        When it cannot be read.
    """
    return io.read_set(source) if is_set(source) else [io.read(source, series=series_in(source, series))]
