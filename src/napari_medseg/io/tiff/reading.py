"""Reading TIFF: headers from directories, one slice at a time, and the levels of slides."""

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

from napari_medseg.core import ClassInfo, Finding, InputError
from napari_medseg.io.budget import check_budget
from napari_medseg.io.findings import counted
from napari_medseg.io.format import Header
from napari_medseg.io.pixels import damaged

from .chain import runs_in_a_circle
from .damage import broken_slices, lost_pages
from .levels import LevelPages, TiffLevel, level_pages, lost_tiles, open_levels
from .ome import OmeImage, read_images
from .pages import Layout, lay_out, list_parts
from .shown import shown
from .spacing import read_geometry, read_tagged_classes

_ERRORS = (tifffile.TiffFileError, OSError, ValueError, LookupError, TypeError, RuntimeError, AssertionError,
           ArithmeticError, struct.error, zlib.error, imagecodecs.DelayedImportError)  # fmt: skip

_READING: ContextVar[bool] = ContextVar("reading", default=False)
# The reader logs damage to the terminal, page by page; findings and errors here tell it once. Other users of the
# reader keep their log.
logging.getLogger("tifffile").addFilter(lambda record: not _READING.get())


TIFF_MAGIC = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
"""How TIFF and BigTIFF of either byte order start."""


def read_header(path: Path, part: int | None = None, *, vendor: bool = False) -> Header:
    """Size, type, slices and spacing from the directories; slices are broken whose pixels are not in the file.

    Parameters
    ----------
    part
        Which of the images in the file.
    vendor
        Whether the file is a scanner's, and so a slide however small it is.
    """
    with _opened(path) as tiff:
        layout = lay_out(path, tiff, part or 0)
        page = layout.page
        levels = level_pages(layout, vendor=vendor)
        broken: dict[int, str] = {}
        if levels:
            told = _about_tiles(path, levels[0], layout)
        else:
            check_budget(path, (*layout.shape, layout.samples), page.dtype)
            broken = broken_slices(layout, path.stat().st_size)
            if len(broken) == layout.slices > 0:
                raise _not_there(path, layout, broken[0])
            told = ()
        geometry, findings = read_geometry(tiff, layout, slide=bool(levels))
        colors, own = layout.colors, _own_image(tiff, layout)
        return Header(
            shape=layout.shape,
            dtype=np.dtype(np.uint8) if page.dtype == bool else np.dtype(page.dtype).newbyteorder("="),
            channels=colors,
            slices=layout.slices,
            geometry=geometry,
            meaning="RGB" if colors == 3 and layout.is_rgb else "channels" if colors > 1 else "grey",
            broken=broken,
            findings=(*told, *findings, *_about_pages(path, layout, own, part)),
            channel_names=own.channels if colors > 1 else (),
        )


def _about_pages(path: Path, layout: Layout, own: OmeImage, part: int | None) -> tuple[Finding, ...]:
    """What the directories say besides the image that is read."""
    findings: list[Finding] = []

    def tell(code: str, text: str) -> None:
        findings.append(Finding(code, text, (path.name,)))

    if turn := layout.orientation:
        tell(
            "ORIENTATION",
            f"{path.name} asks to be shown turned or mirrored (orientation {turn});"
            " its pixels are taken as stored, as ImageJ does.",
        )
    if lost_pages(layout):
        after = counted(layout.slices, "slice")
        tell("MISSING_SLICES", f"{path.name} is cut off or damaged: after {after} it names more.")
    if text := _other_files(path, own):
        tell("OTHER_FILES", text)
    if layout.parts > 1 and part is None:
        text = f"{path.name} holds {layout.parts} images; the first is taken where none is chosen."
        tell("SEVERAL_IMAGES", text)
    if layout.others:
        text = f"{path.name} holds {layout.others} further images of another size or kind; they are left out."
        tell("OTHER_IMAGES", text)
    return tuple(findings)


def _about_tiles(path: Path, level: LevelPages, layout: Layout) -> tuple[Finding, ...]:
    """Tiles that the file claims and does not hold; refuses a slide of which nothing is there, or nothing readable."""
    try:
        tifffile.TIFF.DECOMPRESSORS[int(layout.page.compression)]
    except (KeyError, ImportError):
        kind = getattr(layout.page.compression, "name", layout.page.compression)
        raise InputError(
            f"{path.name} is compressed in a way that cannot be read here ({kind}).", "Export it as JPEG or deflate."
        ) from None
    lost, tiles = lost_tiles(level, path.stat().st_size)
    if lost == tiles:
        raise _not_there(path, layout, f"none of its {tiles:,} tiles")
    if not lost:
        return ()
    text = (
        f"{lost:,} of {tiles:,} tiles are not in {path.name}; they are shown white, and count as unreadable,"
        " not as background."
    )
    return (Finding("MISSING_TILES", text, (path.name,)),)


def _not_there(path: Path, layout: Layout, reason: str) -> InputError:
    size = path.stat().st_size
    return InputError(
        f"{path.name} claims {layout.shape[1]} x {layout.shape[0]} pixels that are not in the file"
        f" ({size:,} bytes; {reason}).",
        "The file is cut off or made up; copy it again from where it came from.",
    )


def read_pyramid(path: Path, part: int | None = None, *, vendor: bool = False) -> tuple[TiffLevel, ...]:
    """The levels of a slide, read tile by tile, the image first; none for an image that is read as a whole."""
    with _opened(path) as tiff:
        layout = lay_out(path, tiff, part or 0)
        return open_levels(path, layout, level_pages(layout, vendor=vendor))


def read_pixels(path: Path, z: int = 0, part: int = 0) -> npt.NDArray[Any]:
    """Pixels for showing: palettes as colours, transparent pixels white, black-is-high inverted."""
    return shown(*_read(path, z, part))


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


@contextmanager
def _opened(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a file; whatever the reader raises on damaged data becomes one sentence."""
    before = _READING.set(True)
    try:
        with tifffile.TiffFile(path, _multifile=False) as tiff:
            if runs_in_a_circle(tiff):
                raise damaged(path, "its pages run in a circle")
            yield tiff
    except InputError:
        raise
    except (KeyError, IndexError) as error:  # these say a number, no reason
        raise damaged(path, "its directories make no sense") from error
    except _ERRORS as error:
        raise damaged(path, error) from error
    finally:
        _READING.reset(before)


def _other_files(path: Path, own: OmeImage) -> str:
    """That an OME-TIFF is one of several files of an image: each is read for what it holds itself."""
    if len(own.files) < 2:
        return ""
    return f"{path.name} is one of {len(own.files)} files that make up an image; open their folder to have all of it."


def _own_image(tiff: tifffile.TiffFile, layout: Layout) -> OmeImage:
    """What an OME-TIFF says of the image; nothing of other files."""
    images = read_images(tiff.ome_metadata or "") if tiff.is_ome else []
    return images[layout.index] if layout.index < len(images) else OmeImage(None)


def _read(path: Path, z: int, part: int) -> tuple[npt.NDArray[Any], Layout]:
    """One slice, (Y, X) or (Y, X, samples)."""
    with _opened(path) as tiff:
        layout = lay_out(path, tiff, part)
        if not 0 <= z < layout.slices:
            raise InputError(f"{path.name} has {layout.slices} slices, no slice {z}.")
        check_budget(path, (*layout.shape, layout.samples), layout.page.dtype)
        reason = broken_slices(layout, path.stat().st_size, only=z).get(z)
        if reason:
            raise damaged(path, reason, z if layout.slices > 1 else None)
        try:
            parts = [layout.decode(index) for index in layout.planes(z)]
        except (*_ERRORS, MemoryError) as error:
            raise damaged(path, error, z if layout.slices > 1 else None) from error
    pixels = parts[0] if len(parts) == 1 else np.stack(parts, axis=-1)
    return (pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels), layout
