"""A run over a slide and the result it goes into, away from the window: no Qt and no layer here."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_medseg.core import Image, InputError, Labels, MedsegError, ModelCard, Reporter
from napari_medseg.inference.options import SegmentOptions
from napari_medseg.models import library_home

from .placing import Box
from .slide_scope import Polygons

if TYPE_CHECKING:
    from napari_medseg.inference.slides.ledger import Ledger
    from napari_medseg.inference.slides.tissue import Tissue
    from napari_medseg.io.zarr.labels import LabelPyramid

SUFFIX = ".ome.zarr"


@dataclass(frozen=True)
class SlideOrder:
    """What a click on Segment asks for on a slide.

    Attributes
    ----------
    output
        Folder of the result.
    inside
        Polygons (Y, X) in pixels of full resolution; None for all of it.
    tissue
        The mask the user has seen; None to look for tissue, where the options say so.
    focus
        What is in view now; may be called from any thread.
    anew
        Whether a result that is there is given up, else it is continued.
    """

    image: Image
    card: ModelCard
    options: SegmentOptions
    output: Path
    inside: Polygons | None
    tissue: Tissue | None
    focus: Callable[[], Box | None]
    anew: bool


@dataclass(frozen=True)
class ResultState:
    """What is known of a result that is there already.

    Attributes
    ----------
    share
        Part of the tissue that is done, 0 to 1; None where that is not known.
    painted
        Whether a person put corrections into it.
    """

    path: Path
    share: float | None
    painted: bool

    @property
    def finished(self) -> bool:
        return self.share is not None and self.share >= 1


def default_output(image: Image, title: str, card: ModelCard) -> Path:
    """Where a result goes unless the user says otherwise: one place for each slide and model."""
    where = str(image.source) if image.source is not None else f"{title} {image.shape}"
    mark = blake2b(where.encode(), digest_size=3).hexdigest()
    stem = re.sub(r"[^\w-]+", "_", title)[:60].strip("_") or "slide"
    return library_home() / "results" / f"{stem}-{mark}" / f"{card.name}-v{card.version}{SUFFIX}"


def read_state(path: Path) -> ResultState | None:
    """What is in a result's place; None where nothing is.

    Raises
    ------
    InputError
        Something else is there, or it is damaged.
    """
    if not path.exists():
        return None
    from napari_medseg.inference.slides.ledger import Ledger
    from napari_medseg.io.zarr.labels import LabelPyramid

    pyramid, ledger = LabelPyramid.open(path), Ledger(path)
    share = _share(pyramid, ledger) if ledger.read() else None
    return ResultState(path, share, (ledger.folder / "painted").is_dir())


def segment_slide(order: SlideOrder, report: Reporter) -> Labels:
    """Run the model over the slide; runs in a worker."""
    # Here and not above: torch takes seconds to load.
    from napari_medseg.models.loading import load_torch

    load_torch()
    from napari_medseg.inference.slides.segment import segment_slide as run

    return run(
        order.image, order.card.reference, order.options, output=order.output, report=report, inside=order.inside,
        focus=order.focus, tissue_mask=order.tissue, resume=not order.anew, overwrite=order.anew,
    )  # fmt: skip


def carry_over(output: Path) -> int:
    """Keep in a new result what a person put into the last other one of the same slide and classes; number of parts.

    To be called once the new result is there and before anything is computed in it.
    """
    from napari_medseg.inference.slides.ledger import Ledger

    mine, pyramid = Ledger(output), open_result(output)
    about = mine.read()
    if pyramid is None or "image" not in about or (mine.folder / "painted").exists():
        return 0
    classes = [(c.value, c.name) for c in pyramid.classes]
    others = [p for p in output.parent.glob(f"*{SUFFIX}") if p != output and (Ledger(p).folder / "painted").is_dir()]
    for path in sorted(others, key=lambda p: (Ledger(p).folder / "painted").stat().st_mtime, reverse=True):
        theirs, other = Ledger(path), open_result(path)
        with suppress(MedsegError):
            if other is None or theirs.read().get("image") != about["image"] or other.dtype != pyramid.dtype:
                continue
            if [(c.value, c.name) for c in other.classes] != classes:
                continue
            patches = theirs.painted(slice(0, pyramid.shape[0]), slice(0, pyramid.shape[1]))
            for patch in patches:
                mine.keep(patch.rows, patch.columns, patch.values)
            return len(patches)
    return 0


def open_result(path: Path) -> Any:
    """The pyramid of a result, or None while there is none that can be opened."""
    from napari_medseg.io.zarr.labels import LabelPyramid

    try:
        return LabelPyramid.open(path) if path.exists() else None
    except MedsegError:
        return None


def check_output(path: Path) -> Path:
    """A place for a result that the user chose, with the suffix it needs.

    Raises
    ------
    InputError
        Something that is no result of a slide is there.
    """
    if not path.name.lower().endswith((SUFFIX, ".zarr")):
        path = path.with_name(f"{path.name}{SUFFIX}")
    try:
        read_state(path)
    except MedsegError as error:
        raise InputError(f"{path.name} is there and is no result of a slide.", "Choose another name.") from error
    return path


def _share(pyramid: LabelPyramid, ledger: Ledger) -> float | None:
    """Part of the chunks with tissue that are done."""
    from napari_medseg.inference.slides.tissue import Tissue

    try:
        with np.load(ledger.folder / "tissue.npz") as stored:
            tissue = Tissue.of_mask(stored["mask"], pyramid.shape)
    except (OSError, ValueError, KeyError):
        return None
    rows, columns = (
        np.stack([firsts, np.minimum(firsts + pyramid.chunk, side)], 1)
        for firsts, side in ((np.arange(0, n, pyramid.chunk, dtype=float), n) for n in pyramid.shape)
    )
    wanted = tissue.touches(rows, columns)
    done = np.zeros_like(wanted)
    for i, j in ledger.done():
        if i < done.shape[0] and j < done.shape[1]:
            done[i, j] = True
    return float(done[wanted].mean()) if wanted.any() else 1.0
