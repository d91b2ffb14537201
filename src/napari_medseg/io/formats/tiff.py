"""TIFF: one slice or a stack, grey, RGB or several channels; BigTIFF, OME-TIFF and ImageJ's stacks.

Of a pyramid the first level is read; its other levels and the pictures of a slide's label and whole glass are left out.

Sources: Adobe, "TIFF Revision 6.0" (1992); ImageJ's ``ij.io.TiffEncoder`` for its description; OME-TIFF specification,
"Sub-resolutions".
"""

from __future__ import annotations

import logging
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import tifffile

from napari_medseg.core import ClassInfo, Finding, InputError, Labels
from napari_medseg.io.budget import check_budget
from napari_medseg.io.findings import counted
from napari_medseg.io.format import Format, Header
from napari_medseg.io.pixels import damaged, on_white
from napari_medseg.io.pyramid import count_levels, halve
from napari_medseg.io.tiff.damage import broken_slices, lost_pages
from napari_medseg.io.tiff.ome import ome_metadata, read_images
from napari_medseg.io.tiff.pages import Layout, lay_out, list_parts
from napari_medseg.io.tiff.spacing import imagej_tags, read_geometry, read_tagged_classes

_ERRORS = (tifffile.TiffFileError, OSError, ValueError, LookupError, TypeError, RuntimeError, AssertionError,
           ArithmeticError, struct.error, zlib.error, imagecodecs.DelayedImportError)  # fmt: skip


_OME = (".ome.tif", ".ome.tiff")
_TILE = 512
_IMAGEJ_LIMIT = 2**32 - 2**25
"""Bytes that offsets of 32 bit reach, with room for the directories."""

_READING: ContextVar[bool] = ContextVar("reading", default=False)
# The reader logs damage to the terminal, page by page; findings and errors here tell it once. Other users of the
# reader keep their log.
logging.getLogger("tifffile").addFilter(lambda record: not _READING.get())


def read_header(path: Path, part: int | None = None) -> Header:
    """Size, type, slices and spacing from the directories; slices are broken whose pixels are not in the file."""
    with _opened(path) as tiff:
        layout = lay_out(path, tiff, part or 0)
        page = layout.page
        check_budget(path, (*layout.shape, layout.samples), page.dtype)
        broken = broken_slices(layout, path.stat().st_size)
        if len(broken) == layout.slices > 0:
            raise InputError(
                f"{path.name} claims {layout.shape[1]} x {layout.shape[0]} pixels that are not in the file"
                f" ({path.stat().st_size:,} bytes; {broken[0]}).",
                "The file is cut off or made up; copy it again from where it came from.",
            )
        geometry, findings = read_geometry(tiff, layout)
        if turn := layout.orientation:
            text = (
                f"{path.name} asks to be shown turned or mirrored (orientation {turn});"
                " its pixels are taken as stored, as ImageJ does."
            )
            findings = (*findings, Finding("ORIENTATION", text, (path.name,)))
        if lost_pages(layout):
            text = f"{path.name} is cut off or damaged: after {counted(layout.slices, 'slice')} it names more."
            findings = (*findings, Finding("MISSING_SLICES", text, (path.name,)))
        if text := _other_files(path, tiff, layout):
            findings = (*findings, Finding("OTHER_FILES", text, (path.name,)))
        if layout.parts > 1 and part is None:
            text = f"{path.name} holds {layout.parts} images; the first is taken where none is chosen."
            findings = (*findings, Finding("SEVERAL_IMAGES", text, (path.name,)))
        if layout.others:
            text = f"{path.name} holds {layout.others} further images of another size or kind; they are left out."
            findings = (*findings, Finding("OTHER_IMAGES", text, (path.name,)))
        colors = layout.colors
        return Header(
            shape=layout.shape,
            dtype=np.dtype(np.uint8) if page.dtype == bool else np.dtype(page.dtype).newbyteorder("="),
            channels=colors,
            slices=layout.slices,
            geometry=geometry,
            meaning="RGB" if colors == 3 and layout.is_rgb else "channels" if colors > 1 else "grey",
            broken=broken,
            findings=findings,
        )


def read_pixels(path: Path, z: int = 0, part: int = 0) -> npt.NDArray[Any]:
    """Pixels for showing: palettes as colours, transparent pixels white, black-is-high inverted."""
    pixels, layout = _read(path, z, part)
    if layout.colormap is not None:
        colors = np.moveaxis(np.asarray(layout.colormap)[:, pixels], 0, -1)
        return (colors >> 8).astype(np.uint8) if pixels.dtype == np.uint8 else colors
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    if layout.is_inverted:
        pixels = np.invert(pixels)
    if layout.has_alpha and pixels.dtype.kind == "u":
        return on_white(pixels)
    return pixels[..., : layout.colors] if pixels.ndim == 3 and layout.colors > 1 else pixels


def read_values(path: Path, z: int = 0, part: int = 0) -> npt.NDArray[Any]:
    """Values as stored: palette indices."""
    pixels, layout = _read(path, z, part)
    if layout.has_alpha:
        pixels = pixels[..., 0] if pixels.shape[-1] == 2 else pixels[..., :3]
    return pixels.astype(np.uint8) if pixels.dtype == bool else pixels


def read_parts(path: Path) -> tuple[str, ...]:
    """Names of the images of an OME-TIFF, and of time points of slices; empty where there is one."""
    with _opened(path) as tiff:
        return list_parts(tiff)


def read_classes(path: Path) -> tuple[ClassInfo, ...]:
    """Classes that masks were written with; empty where the file tells none."""
    with _opened(path) as tiff:
        return read_tagged_classes(tiff)


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
        tiff.write(
            _tiles(_bands(labels.data, smaller)), shape=shape, tile=(_TILE, _TILE), subifds=levels, **about, **tags
        )
        level = np.concatenate(smaller)
        for _ in range(levels):
            tiff.write(level, tile=(_TILE, _TILE), subfiletype=1, metadata=None, **about)
            level = halve(level)


def _bands(data: Any, smaller: list[npt.NDArray[Any]]) -> Iterator[npt.NDArray[Any]]:
    """Rows of labels, one row of tiles at a time; each leaves its half in ``smaller``."""
    for top in range(0, data.shape[0], _TILE):
        band = np.asarray(data[top : top + _TILE])
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


@contextmanager
def _opened(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a file; whatever the reader raises on damaged data becomes one sentence."""
    before = _READING.set(True)
    try:
        with tifffile.TiffFile(path, _multifile=False) as tiff:
            yield tiff
    except InputError:
        raise
    except (KeyError, IndexError) as error:  # these say a number, no reason
        raise damaged(path, "its directories make no sense") from error
    except _ERRORS as error:
        raise damaged(path, error) from error
    finally:
        _READING.reset(before)


def _other_files(path: Path, tiff: tifffile.TiffFile, layout: Layout) -> str:
    """That an OME-TIFF is one of several files of an image: each is read for what it holds itself."""
    images = read_images(tiff.ome_metadata or "") if tiff.is_ome else []
    files = images[layout.index].files if layout.index < len(images) else ()
    if len(files) < 2:
        return ""
    return f"{path.name} is one of {len(files)} files that make up an image; open their folder to have all of it."


def _read(path: Path, z: int, part: int) -> tuple[npt.NDArray[Any], Layout]:
    """One slice, (Y, X) or (Y, X, samples)."""
    with _opened(path) as tiff:
        layout = lay_out(path, tiff, part)
        if not 0 <= z < layout.slices:
            raise InputError(f"{path.name} has {layout.slices} slices, no slice {z}.")
        reason = broken_slices(layout, path.stat().st_size, only=z).get(z)
        if reason:
            raise damaged(path, reason, z if layout.slices > 1 else None)
        try:
            parts = [layout.decode(index) for index in layout.planes(z)]
        except (*_ERRORS, MemoryError) as error:
            raise damaged(path, error, z if layout.slices > 1 else None) from error
    pixels = parts[0] if len(parts) == 1 else np.stack(parts, axis=-1)
    return (pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels), layout


FORMAT = Format(
    "tiff", "TIFF image", (".ome.tiff", ".ome.tif", ".tiff", ".tif"),
    (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"), read_header, read_pixels, read_values, write, stacks=True,
    keeps=frozenset({"spacing", "classes", "colors"}), parts=read_parts, classes=read_classes,
)  # fmt: skip
