"""The reader napari.yaml names: every format of `io`, single files, several files and folders."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from . import io
from ._layers import LayerDataTuple, image_layers, labels_layer_data, outlines_layer_data
from .core import Finding, InputError
from .io.holding import holds_masks
from .io.outlines.described import read_described
from .io.outlines.registry import is_outline_name
from .io.registry import is_folder_format, is_known
from .io.series import image_files

Paths = str | list[str]

MOST_LAYERS = 50
"""More single images than this are not opened at once, each as a layer."""

_NOT_ALARMING = {"NO_SPACING", "SINGLE_SLICE", "PRINT_RESOLUTION"}


def get_reader(path: Paths) -> Callable[[Paths], list[LayerDataTuple]] | None:
    """Return the reading function if every path is ours: a file of a known format, or a folder with such files."""
    paths = [path] if isinstance(path, str) else path
    return read_layers if paths and all(_is_ours(Path(p)) for p in paths) else None


def read_layers(path: Paths) -> list[LayerDataTuple]:
    """Read images and masks as layers; what their user should know is told as one warning.

    Raises
    ------
    InputError
        If there is nothing to show, in one sentence.
    """
    source = Path(path) if isinstance(path, str) else [Path(p) for p in path]
    if isinstance(source, Path) and _is_outline(source):
        outlines = read_described(source)
        _tell(outlines.findings)
        return [outlines_layer_data(outlines)]
    if isinstance(source, Path) and holds_masks(source):
        labels = io.read_labels(source)
        _tell(labels.findings)
        return [labels_layer_data(labels)]
    found = io.inspect(source)
    if found.kind == "images" and not found.groups:
        if found.count > MOST_LAYERS:
            raise InputError(
                f"{found.source.name} holds {found.count} single images, too many to show at once.",
                f"Choose up to {MOST_LAYERS} of its files.",
            )
        images = io.read_set(source)
        _tell(found.findings)
    else:
        images = [io.read(source)]
        _tell(images[0].findings)
    return [layer for image in images for layer in image_layers(image)]


def _is_outline(path: Path) -> bool:
    return path.is_file() and is_outline_name(path) and not is_known(path)


def _is_ours(path: Path) -> bool:
    if not path.is_dir():
        return is_known(path) or is_outline_name(path)
    if is_folder_format(path):
        return True
    try:
        return bool(image_files(path))
    except InputError:
        return False


def _tell(findings: Sequence[Finding]) -> None:
    """napari shows a warning as a notification; one is enough, the docks list them all."""
    texts = [f.message for f in findings if f.code not in _NOT_ALARMING]
    if texts:
        more = f" (and {len(texts) - 1} more)" if len(texts) > 1 else ""
        warnings.warn(texts[0] + more, stacklevel=2)
