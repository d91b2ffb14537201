"""Masks as large as slides, opened without reading them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import InputError, Labels
from napari_medseg.io.blocks import read_region
from napari_medseg.io.pixels import damaged
from napari_medseg.io.pyramid import LARGE
from napari_medseg.io.registry import format_for, is_folder_format, is_known, read_header
from napari_medseg.io.sidecar import read_sidecar

from .absent import known_absent, stored_absent

WHOLE = 16_384
"""Side of the largest mask that is worked on as a whole."""

BAND = 1024
"""Rows that are in memory at a time."""

Array = npt.NDArray[Any]


def open_large(source: Path) -> Labels | None:
    """Open masks of a single large image whose file names their classes; None for all others.

    What their values mean is then known without looking at them: see `read_labels` for masks of which it is not.

    Returns
    -------
    Labels
        ``data`` and ``levels`` are read where they are looked at.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    if not source.exists() or not is_known(source) or source.is_dir() != is_folder_format(source):
        return None
    form = format_for(source)
    if form.classes is None or form.pyramid is None:
        return None
    header = read_header(source)
    unsigned = np.dtype(header.dtype).kind == "u"
    if header.slices > 1 or header.channels > 1 or not unsigned or max(header.shape) <= LARGE:
        return None
    classes, value = form.classes(source), stored_absent(source)
    if not classes and value is None:
        return None
    stored = _zarr_levels(source) if form.is_folder else form.pyramid(source)
    levels = [_Whole(level, source) for level in stored]
    if not levels:
        return None
    sidecar = read_sidecar(source)
    geometry = sidecar.geometry if sidecar and sidecar.geometry else header.geometry
    labels = Labels(
        data=levels[0], classes=classes or (sidecar.classes if sidecar else ()),
        geometry=geometry.flat if geometry.ndim == 3 else geometry, names=sidecar.names if sidecar else (),
        source=source, findings=header.findings, levels=tuple(levels[1:]),
    )  # fmt: skip
    return known_absent(labels, value)


def _zarr_levels(source: Path) -> tuple[Any, ...]:
    from napari_medseg.io.zarr.image import Voxels, ZarrImage

    found = ZarrImage(source, 0)
    if found.about.axes != "yx":
        return ()
    return tuple(Voxels(source, array) for array in (found.array, *found.smaller()))


class _Whole:
    """A level of which no part may be made up: blocks that cannot be read are shown white, which is no class."""

    def __init__(self, level: Any, source: Path) -> None:
        self._level, self._source = level, source
        self.shape, self.ndim, self.dtype = level.shape, level.ndim, level.dtype

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, index: Any) -> Array:
        parts = index if isinstance(index, tuple) else (index,)
        chosen = [parts[n] if n < len(parts) else slice(None) for n in range(2)]
        rows, columns = (slice(*one.indices(side)[:2]) for one, side in zip(chosen, self.shape, strict=True))
        pixels, lost = read_region(self._level, rows, columns)
        if lost:
            raise damaged(self._source, "a part of it cannot be decoded")
        step = tuple(slice(None, None, one.step) for one in chosen)
        return np.asarray(pixels[step])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self[:], dtype=dtype, copy=copy)


def is_whole(labels: Labels) -> bool:
    """Whether masks are small enough to be worked on as a whole."""
    height, width = labels.data.shape[-2:]
    return int(height) * int(width) <= WHOLE**2


def check_whole(labels: Labels, what: str, hint: str) -> None:
    """Refuse what cannot be done in parts.

    Raises
    ------
    InputError
        The masks are larger than that.
    """
    if not is_whole(labels):
        height, width = labels.data.shape[-2:]
        raise InputError(
            f"{what} is made of masks of at most {WHOLE} x {WHOLE} pixels, these have {width} x {height}.", hint
        )


def without_absent(labels: Labels) -> Labels:
    """The same labels; those that have a result everywhere say so. Reads all of them, in parts, until it is known."""
    value = labels.not_computed
    if value is None or any(bool((band == value).any()) for band in bands(labels.data)):
        return labels
    return replace(labels, not_computed=None)


def bands(data: Any, rows: int = BAND) -> Iterator[Array]:
    """Labels (Y, X), so many rows at a time."""
    for top in range(0, int(data.shape[0]), rows):
        yield np.asarray(data[top : top + rows])
