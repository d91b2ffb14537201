"""What a run over a slide may be told, where its result goes, and what is refused before it begins."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy.typing as npt

from napari_medseg.core import Image, InputError, ModelCard, ModelError, OutputError
from napari_medseg.editing.fingerprint import fingerprint
from napari_medseg.inference.options import SegmentOptions, pick_slices
from napari_medseg.inference.suits import check_order, why_not
from napari_medseg.io.atomic import explained
from napari_medseg.io.blocks import read_region
from napari_medseg.models import library_home
from napari_medseg.models.build import needs_whole

from .ledger import Ledger


class SlideJob(TypedDict, total=False):
    """What a run over a slide may be told besides image, model and options.

    Attributes
    ----------
    output
        Folder of the result, ``.ome.zarr``; None for one in the library's folder, named after the image.
    resume
        Go on with what ``output`` holds, if anything.
    overwrite
        Replace what ``output`` holds.
    inside
        Polygons, (N, 2) points (Y, X) in pixels of the slide: only what is inside is computed.
    focus
        Called again and again: the rectangle of the slide that is looked at now, or None. Its blocks come first.
    tissue_mask
        A mask or labels over the whole slide, coarse or fine, or a `Tissue`, in place of what is found.
    shard
        ``"I/N"``: compute the I-th of N parts, into a result shared by all.
    """

    output: str | Path | None
    resume: bool
    overwrite: bool
    inside: Sequence[npt.ArrayLike] | None
    focus: Callable[[], tuple[slice, slice] | None] | None
    tissue_mask: Any
    shard: str | None


def check_fits(image: Image, card: ModelCard, options: SegmentOptions) -> None:
    """Refuse what cannot be done with a slide, before anything is written.

    Raises
    ------
    ModelError, InputError
        What does not go together.
    """
    channels = image.channels
    if card.channels == 1 and channels > 1:
        level = image.pyramid[-1]
        pixels, _ = read_region(level, slice(0, level.shape[0]), slice(0, level.shape[1]))
        channels = 1 if (pixels == pixels[..., :1]).all() else channels
    if reason := why_not(channels, card, meaning=image.meaning):
        raise ModelError(f"The model {card.reference} {reason}.", "Choose another model or another image.")
    check_order(image, card)
    if needs_whole(card):
        raise ModelError(
            f"The model {card.reference} looks at where a pixel lies in its slice and cannot be used on slides.",
            "Choose another model.",
        )
    if not card.outlines:
        raise ModelError(
            f"The model {card.reference} looks at whole slices and outlines nothing.",
            "Choose another model for slides.",
        )
    if options.smallest or options.fill_holes:
        raise InputError(
            "Small regions and holes cannot be tidied up on slides, which are computed in parts.",
            "Set the smallest region to 0 and leave holes as they are.",
        )
    pick_slices(options.slices, 1)


def find_place(image: Image, output: str | Path | None, *, resume: bool) -> Path:
    """Where the result goes: ``output``, or a folder in the library named after the image.

    There nothing is overwritten: without ``resume`` the next free name is taken.
    """
    if output is not None:
        return Path(output).expanduser()
    stem = (image.source.name if image.source else "slide").partition(".")[0] or "slide"
    base = f"{stem}-{fingerprint(image.pyramid, image.source, image.names)}"
    shelf = library_home() / "results"
    place, number = shelf / f"{base}.ome.zarr", 1
    while place.exists() and not resume:
        number += 1
        place = shelf / f"{base}-{number}.ome.zarr"
    return place


def check_place(ledger: Ledger, *, joins: bool, overwrite: bool) -> None:
    """Refuse an output that exists and may be neither continued nor replaced.

    Raises
    ------
    OutputError
        It says what to do.
    """
    path = ledger.result
    if not path.exists():
        return
    if not joins and not overwrite:
        raise OutputError(f"{path} exists.", "Choose another name, or resume or overwrite it.")
    if not ledger.folder.is_dir():
        if joins and not overwrite:
            raise OutputError(f"{path} was not begun as a slide's result.", "Choose another name, or overwrite it.")
        if not (path / "zarr.json").is_file():
            raise OutputError(f"{path} is no result of segmenting a slide.", "Choose another name.")


def clear_place(ledger: Ledger) -> None:
    """Remove a result and what is known about it, to be called by who holds it."""
    with ledger.writing(), explained(ledger.result):
        # What says that there is a run goes first: killed in between, nothing half removed looks like a result.
        (ledger.folder / "run.json").unlink(missing_ok=True)
        if ledger.result.exists():
            shutil.rmtree(ledger.result)
        for path in ledger.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.suffix not in (".lock", ".holder"):
                path.unlink()
        for part in ledger.result.parent.glob(f".????????.part.{ledger.result.name}"):
            shutil.rmtree(part, ignore_errors=True)
