"""Results of slides on disk: where they lie, how far they are, and what a person put into them."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np

from napari_medseg.core import Image, InputError, MedsegError, ModelCard
from napari_medseg.io.zarr.labels import LabelPyramid
from napari_medseg.models import library_home

from .ledger import Ledger
from .tissue import Tissue

SUFFIX = ".ome.zarr"


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
    pyramid, ledger = LabelPyramid.open(path), Ledger(path)
    share = _share(pyramid, ledger) if ledger.read() else None
    return ResultState(path, share, (ledger.folder / "painted").is_dir())


def carry_over(output: Path) -> int:
    """Keep in a new result what a person put into the last other one of the same slide and classes; number of parts.

    To be called once the new result is there and before anything is computed in it.
    """
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


def open_result(path: Path) -> LabelPyramid | None:
    """The pyramid of a result, or None while there is none that can be opened."""
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
