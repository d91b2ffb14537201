"""TIFF: one slice or a stack, grey, RGB or several channels; BigTIFF, OME-TIFF and ImageJ's stacks.

A pyramid is a slide, read tile by tile; the pictures of its label and of the whole glass are left out.

Sources: Adobe, "TIFF Revision 6.0" (1992); ImageJ's ``ij.io.TiffEncoder`` for its description; OME-TIFF specification,
"Sub-resolutions".
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from napari_medseg.core import Labels
from napari_medseg.io.format import Format
from napari_medseg.io.pyramid import are_halves, count_levels, halve, halves
from napari_medseg.io.tiff.ome import ome_metadata
from napari_medseg.io.tiff.reading import (
    TIFF_MAGIC,
    read_classes,
    read_header,
    read_parts,
    read_pixels,
    read_pyramid,
    read_values,
)
from napari_medseg.io.tiff.spacing import imagej_tags

_OME = (".ome.tif", ".ome.tiff")
_TILE = 512
_BAND = 2 * _TILE
"""Rows that are read at once: a row of the largest chunks of a slide's result."""

_IMAGEJ_LIMIT = 2**32 - 2**25
"""Bytes that offsets of 32 bit reach, with room for the directories."""


def write(path: Path, labels: Labels) -> None:
    """Write labels with their spacing and classes, as ImageJ does, or as OME-TIFF.

    OME-TIFF is what was asked for by the suffix, and what ImageJ's files cannot hold: large single images, which get a
    pyramid in SubIFDs, values above 16 bit, and more than 4 GB.
    """
    shape = tuple(int(n) for n in labels.data.shape)
    size = math.prod(shape) * labels.data.dtype.itemsize
    levels = 0 if labels.is_stack else count_levels((shape[-2], shape[-1]))
    tags = imagej_tags(labels.geometry, labels.classes, len(shape))
    if path.name.lower().endswith(_OME) or levels or labels.data.dtype.itemsize > 2 or size > _IMAGEJ_LIMIT:
        tags = {"metadata": ome_metadata(labels.geometry, "ZYX"[-len(shape) :], labels.classes)}
    about: dict[str, Any] = {"dtype": labels.data.dtype, "photometric": "minisblack", "compression": "zlib"}
    imagej = tags.pop("imagej", False)
    with tifffile.TiffWriter(path, bigtiff=size > _IMAGEJ_LIMIT, imagej=imagej, ome=not imagej) as tiff:
        if not levels:
            planes = (np.ascontiguousarray(labels.slice(z)) for z in range(len(labels)))
            tiff.write(planes, shape=shape, **about, **tags)
            return
        smaller: list[npt.NDArray[Any]] = []
        known = labels.levels if are_halves(shape, labels.levels, levels) else ()
        rows = _tiles(_bands(labels.data, None if known else smaller))
        tiff.write(rows, shape=shape, tile=(_TILE, _TILE), subifds=levels, **about, **tags)
        for level in known or halves(smaller, levels):
            about["dtype"] = level.dtype
            tiff.write(
                _tiles(_bands(level)), shape=level.shape, tile=(_TILE, _TILE), subfiletype=1, metadata=None, **about
            )


def _bands(data: Any, smaller: list[npt.NDArray[Any]] | None = None) -> Iterator[npt.NDArray[Any]]:
    """Rows of labels, one row of tiles at a time; each leaves its half in ``smaller``."""
    for top in range(0, data.shape[0], _BAND):
        several = np.asarray(data[top : top + _BAND])
        for first in range(0, len(several), _TILE):
            band = several[first : first + _TILE]
            if smaller is not None:
                smaller.append(halve(band))
            yield band


def _tiles(bands: Iterator[npt.NDArray[Any]]) -> Iterator[npt.NDArray[Any]]:
    """Whole tiles, filled up with background beyond the edges."""
    for band in bands:
        for left in range(0, band.shape[1], _TILE):
            tile = np.zeros((_TILE, _TILE), band.dtype)
            part = band[:, left : left + _TILE]
            tile[: part.shape[0], : part.shape[1]] = part
            yield tile


FORMAT = Format(
    "tiff", "TIFF image", (".ome.tiff", ".ome.tif", ".tiff", ".tif"), TIFF_MAGIC, read_header, read_pixels, read_values,
    write, stacks=True, keeps=frozenset({"spacing", "classes", "colors"}), parts=read_parts, classes=read_classes,
    pyramid=read_pyramid,
)  # fmt: skip
