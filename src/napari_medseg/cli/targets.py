"""Refuse an output that would overwrite something, before any work."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from secrets import token_hex

from napari_medseg.core import Image, Labels, OutputError
from napari_medseg.io.atomic import check_writable, explained, flush
from napari_medseg.io.masks.large import WHOLE
from napari_medseg.io.outlines.registry import is_outline_name
from napari_medseg.io.registry import format_for, is_known

IN_PARTS = ("zarr", "tiff")
"""Formats of masks that are written in parts, and read so by other programs."""


OVERWRITE = "Choose another output, or add --overwrite."
RENAME = "Choose another name, or remove it first."
"""What helps where something is there already; the latter of commands that never overwrite."""


def check_target(target: Path, *sources: Path, overwrite: bool = False, remedy: str = OVERWRITE) -> None:
    """Check that a result may be written to ``target``.

    Raises
    ------
    OutputError
        When it exists and ``overwrite`` is not set, when it is one of the ``sources`` (never overwritten) or a file
        among them, or when its place cannot be written to.
    """
    for source in sources:
        if target.exists() and source.exists() and target.samefile(source):
            raise OutputError(
                f"{target} is the input itself.", "Choose another output: the input is never overwritten."
            )
        if target.is_dir() and source.is_file() and target.samefile(source.parent):
            raise OutputError(
                f"{target} is the folder of the input, which a result of the same name would replace.",
                "Choose another output: the input is never overwritten.",
            )
        if (
            is_known(target)
            and not target.is_dir()
            and source.is_dir()
            and target.parent.exists()
            and target.parent.samefile(source)
        ):
            raise OutputError(
                f"{target} would lie among the images of the input and be read as one of them.",
                "Choose a place outside the input.",
            )
    check_writable(target)
    if overwrite:
        return
    if target.is_dir():
        if any(target.iterdir()):
            raise OutputError(f"The folder {target} is not empty.", remedy)
    elif target.exists():
        raise OutputError(f"{target} exists already.", remedy)


def check_names(folder: Path, names: Iterable[str]) -> None:
    """Check that files of these names can be made in a folder that may not be there yet.

    Raises
    ------
    OutputError
        The longest is too long, together with what is put before it while it is written.
    """
    longest = max(names, key=lambda name: len(name.encode(errors="surrogateescape")), default="")
    place = folder
    while not place.is_dir() and place != place.parent:
        place = place.parent
    trial = place / f".{token_hex(4)}.part.{longest}"
    try:
        trial.touch(exist_ok=False)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            with explained(folder):
                raise
        raise OutputError(
            f"The name {longest[:40]}… of {len(longest)} characters is too long for a mask in {folder}.",
            "Give the images shorter names, or write one file (.ome.tif, .ome.zarr).",
        ) from error
    trial.unlink()


def check_size(masks: Labels | Image, target: Path) -> None:
    """Check that a format can hold masks as large as a slide, and be written in parts.

    Raises
    ------
    OutputError
        Only OME-Zarr and OME-TIFF can; outlines are made of what fits.
    """
    height, width = masks.shape[-2:] if isinstance(masks, Image) else masks.data.shape[-2:]
    in_parts = is_known(target) and format_for(target, writing=True).name in IN_PARTS
    if in_parts or is_outline_name(target) or int(height) * int(width) <= WHOLE**2:
        return
    what = "a folder of PNG masks" if not target.suffix else target.name
    raise OutputError(
        f"Masks of {width} x {height} pixels are too large for {what}, which other programs read as a whole.",
        f"Choose a name ending in .ome.zarr or .ome.tif; the others take up to {WHOLE} x {WHOLE} pixels.",
    )


def begin_file(target: Path, text: str) -> bool:
    """Write a small text file, unless somebody else has written it meanwhile.

    Returns
    -------
    bool
        Whether it is this text that is there.

    Raises
    ------
    OutputError
        When the place cannot be written to.
    """
    part = target.with_name(f".{token_hex(4)}.part.{target.name}")
    with explained(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_text(text, encoding="utf-8")
            flush(part)
            try:
                os.link(part, target)
            except FileExistsError:
                return False
            except OSError:  # file systems that know no second name for a file
                part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        flush(target.parent)
    return True
