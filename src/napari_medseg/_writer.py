"""The writers napari.yaml names: labels layers as masks through `io.write`, shapes and labels as outlines."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from . import io
from ._layers import LayerDataTuple, image_from_layer, is_preview, labels_from_layer, outlines_from_layer
from .core import Labels, OutputError
from .editing.journal import note_saved
from .io.outlines.described import described_by
from .io.outlines.regions import Outlines
from .io.outlines.registry import is_outline_name
from .io.outlines.writing import write_described


def write_file(path: str, data: Any, meta: Mapping[str, Any]) -> list[str]:
    """Write one labels layer into a file, TIFF when the name says nothing else.

    napari's dialog has asked about an existing file, so it is overwritten.
    """
    target = Path(path)
    known = any(target.name.lower().endswith(s) for f in io.FORMATS if f.write for s in f.suffixes)
    if not known and not is_outline_name(target):
        target = target.with_name(f"{target.name}.tif")
    for finding in io.write(target, _labels(data, meta), overwrite=True):
        warnings.warn(finding.message, stacklevel=2)  # what napari shows as a notice
    note_saved(data)
    return [str(target)]


def write_outlines(path: str, data: Any, meta: Mapping[str, Any]) -> list[str]:
    """Write the filled shapes of one shapes layer as outlines; the suffix tells the format."""
    return _write_outlines(path, outlines_from_layer(SimpleNamespace(**{**meta, "data": data})))


def write_outlines_on_image(path: str, layers: list[LayerDataTuple]) -> list[str]:
    """Write the filled shapes of one layer as outlines on one image, which tells size and place."""
    image, shapes = (
        SimpleNamespace(**{**meta, "data": data})
        for wanted in ("image", "shapes")
        for data, meta, kind in layers
        if kind == wanted
    )
    return _write_outlines(path, described_by(outlines_from_layer(shapes), image_from_layer(image)))


def _write_outlines(path: str, outlines: Outlines) -> list[str]:
    for finding in outlines.findings:
        warnings.warn(finding.message, stacklevel=3)
    write_described(Path(path), outlines, overwrite=True)
    return [path]


def write_folder(path: str, data: Any, meta: Mapping[str, Any]) -> list[str]:
    """Write one labels layer as a new folder of PNG masks, named as the slices of its image.

    Nobody can consent to overwriting a folder in napari's dialog, so an existing one is refused.

    Raises
    ------
    OutputError
        The folder exists, or cannot be written.
    """
    target = Path(path)
    if target.suffix.lower() == ".png":  # the whole folder is PNG: a suffix typed out of habit is not a file
        target = target.with_suffix("")
    if target.exists():
        raise OutputError(f"{target} exists.", "Choose the name of a new folder.")
    labels = _labels(data, meta)
    if target.suffix:
        target.mkdir(parents=True)  # "case 1.5" is a folder too
    try:
        io.write(target, labels)
    except Exception:
        if target.suffix:
            target.rmdir()
        raise
    note_saved(data)
    return [str(target)]


def write_folders(path: str, layers: list[LayerDataTuple]) -> list[str]:
    """Write every labels layer as a folder of its own in the folder ``path``; images and previews are left out.

    Raises
    ------
    OutputError
        Two layers would be written into the same folder, or one cannot be written.
    """
    chosen = [
        (data, meta) for data, meta, kind in layers if kind == "labels" and not is_preview(SimpleNamespace(**meta))
    ]
    # Names that differ in case only are one file on many disks.
    names = [re.sub(r'[<>:"/\\|?*]', "_", str(meta["name"])).strip(". ") or "labels" for _, meta in chosen]
    if len({n.casefold() for n in names}) < len(names):
        raise OutputError("Two labels layers have names that give the same folder.", "Rename one of them.")
    return [
        written
        for name, (data, meta) in zip(names, chosen, strict=True)
        for written in write_folder(str(Path(path) / name), data, meta)
    ]


def _labels(data: Any, meta: Mapping[str, Any]) -> Labels:
    """The layer that napari took apart, put together again."""
    colormap = meta.get("colormap")
    get_color = colormap.map if colormap is not None else lambda value: None
    return labels_from_layer(SimpleNamespace(**{**meta, "data": data, "get_color": get_color}))
