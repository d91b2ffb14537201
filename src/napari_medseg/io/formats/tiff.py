"""TIFF: one slice or a stack, grey, RGB or several channels; BigTIFF, OME-TIFF and ImageJ's stacks.

Sources: Adobe, "TIFF Revision 6.0" (1992); ImageJ's ``ij.io.TiffEncoder`` for its description; OME-TIFF specification.
"""

from __future__ import annotations

import logging
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

from napari_medseg.core import Finding, InputError, Labels
from napari_medseg.io.budget import check_budget
from napari_medseg.io.findings import counted
from napari_medseg.io.format import Format, Header
from napari_medseg.io.pixels import damaged, on_white
from napari_medseg.io.tiffpages import Layout, broken_slices, lay_out, lost_pages
from napari_medseg.io.tiffspacing import read_geometry, written_tags

_ERRORS = (tifffile.TiffFileError, OSError, ValueError, KeyError, IndexError, TypeError, RuntimeError, struct.error,
           zlib.error, imagecodecs.DelayedImportError)  # fmt: skip


_READING: ContextVar[bool] = ContextVar("reading", default=False)
# The reader logs damage to the terminal, page by page; findings and errors here tell it once. Other users of the
# reader keep their log.
logging.getLogger("tifffile").addFilter(lambda record: not _READING.get())


def read_header(path: Path) -> Header:
    """Size, type, slices and spacing from the directories; slices are broken whose pixels are not in the file."""
    with _opened(path) as tiff:
        layout = lay_out(path, tiff)
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


def read_pixels(path: Path, z: int = 0) -> npt.NDArray[Any]:
    """Pixels for showing: palettes as colours, transparent pixels white, black-is-high inverted."""
    pixels, layout = _read(path, z)
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


def read_values(path: Path, z: int = 0) -> npt.NDArray[Any]:
    """Values as stored: palette indices."""
    pixels, layout = _read(path, z)
    if layout.has_alpha:
        pixels = pixels[..., 0] if pixels.shape[-1] == 2 else pixels[..., :3]
    return pixels.astype(np.uint8) if pixels.dtype == bool else pixels


def write(path: Path, labels: Labels) -> None:
    """Write labels with their spacing: as ImageJ does up to 16 bit, as OME-TIFF above."""
    data = labels.data
    tags = written_tags(labels.geometry, data.ndim, data.dtype)
    planes = (np.ascontiguousarray(labels.slice(z)) for z in range(len(labels)))
    tifffile.imwrite(
        path, planes, shape=tuple(int(n) for n in data.shape), dtype=data.dtype, photometric="minisblack",
        compression="zlib", **tags,
    )  # fmt: skip


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


def _read(path: Path, z: int) -> tuple[npt.NDArray[Any], Layout]:
    """One slice, (Y, X) or (Y, X, samples)."""
    with _opened(path) as tiff:
        layout = lay_out(path, tiff)
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
)  # fmt: skip
