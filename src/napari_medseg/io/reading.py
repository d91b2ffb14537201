"""Images from files: one stack, one image, or a set of them, read slice by slice when shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt

from napari_medseg.core import (
    MOST_CHANNELS,
    Finding,
    Geometry,
    Image,
    InputError,
    find_swapped,
    same_names,
    settle_names,
)  # fmt: skip
from napari_medseg.core.geometry import Unit
from napari_medseg.core.image import Axes

from .dataset import dataset_of
from .findings import LEFT_OUT
from .format import ALL
from .levels import GreyLevel
from .parts import EVERY
from .pixels import is_grey
from .registry import format_for
from .series import Series, Source, find_series
from .slices import open_slices


def read(
    source: Source,
    *,
    spacing: float | Sequence[float] | None = None,
    unit: Unit = "mm",
    series: str | None = None,
    color: bool | None = None,
) -> Image:
    """Open an image or a stack without loading its pixels.

    Parameters
    ----------
    source
        A file, a folder whose files are slices, or a list of such files. Slices are ordered as people count.
    spacing
        Distance of pixels along (Z,) Y, X, or one number for all of them, in ``unit``; None takes what the files tell,
        and unit ``"pixel"`` where they tell nothing.
    unit
        ``"mm"`` or ``"um"``, the unit of ``spacing``.
    series
        Which series of a folder that holds several, such as ``"a-"`` for ``a-1.png``, ``a-2.png``; or of a file, of
        which ``"all"`` are the channels of one image where they have the same size, type and place.
    color
        Whether RGB files are read in colour. None decides: those whose channels are equal are grey.

    Returns
    -------
    Image
        Lazy: one dask chunk a slice, decoded when asked for. Slices that cannot be read are in ``missing``. A single
        image that is large or a slide has ``levels``, each read in parts.

    Raises
    ------
    InputError
        If there is no one image or stack in ``source``; later, from ``Image.slice``, if pixels turn out damaged.
    """
    found = find_series(source, series=series, color=color)
    check_one(found)
    geometry = _override(found, spacing, unit)
    # A given spacing settles what a finding complained of.
    findings = tuple(f for f in found.findings if spacing is None or f.code not in ("NO_SPACING", "PRINT_RESOLUTION"))
    many = found.channels > 1
    axes: Axes = ("ZYXC" if many else "ZYX") if found.is_stack else ("YXC" if many else "YX")
    meaning = "RGB" if found.color else found.header.meaning if found.header.meaning not in ("", "RGB") else "grey"
    data, *levels = _levels(found) or [_lazy(found)]
    named = _channel_names(found) or dataset_of(found.files[0]).channel_names if meaning == "channels" else ()
    return Image(
        data=data, axes=axes, geometry=geometry, names=found.names, meaning=meaning, source=found.source,
        findings=findings, missing=frozenset(found.unreadable), windows=found.header.windows, levels=tuple(levels),
        alike=1 if many or levels else found.header.channels, modality=found.header.modality,
        channel_names=settle_names(named, found.channels), series=found.label,
    )  # fmt: skip


def read_set(source: Source) -> list[Image]:
    """Open each file of a folder as an image of its own; masks beside them are left out.

    Files that cannot be read are left out too, and a few beside a numbered series: findings of the first image say so.

    Parameters
    ----------
    source
        A folder, or the files themselves.

    Returns
    -------
    list[Image]
        In the order of their names.

    Raises
    ------
    InputError
        If no file can be read.
    """
    images, lost = [], {}
    found = find_series(source)
    for path in found.files:
        try:
            images.append(read(path))
        except InputError as error:
            lost[path.name] = str(error)
    reason = next(iter(lost.values()), "")
    if not images:
        raise InputError(f"None of the {len(lost)} images can be read: {reason}")
    told = [finding for finding in found.findings if finding.code in LEFT_OUT]
    if lost:
        text = f"Cannot be read and left out: {', '.join([*lost][:5])}{' …' if len(lost) > 5 else ''}. {reason}"
        told.append(Finding("UNREADABLE", text, tuple(lost)))
    images[0] = replace(images[0], findings=(*images[0].findings, *told))
    return images


def _channel_names(found: Series) -> tuple[str, ...]:
    """What all of its files call the channels."""
    first = found.header.channel_names
    return first if all(same_names(h.channel_names, first) for h in found.headers if h) else ()


def check_one(found: Series) -> None:
    """Refuse what is not one image or stack, saying what to do.

    Raises
    ------
    InputError
        If there are several series, stacks, sizes or orders of channels.
    """
    place, count = found.source.name, len(found.files)
    by_code = {f.code: f for f in found.findings}
    if found.groups:
        labels = ", ".join(f"'{g.label}' ({len(g.files)})" for g in found.groups[:8])
        labels = labels if found.kind != "file" else ", ".join(f"'{g.label}'" for g in found.groups[:8])
        few = found.kind == "file" and len(found.groups) <= MOST_CHANNELS
        together = f', or take them as channels with "{EVERY}"' if few else ""
        raise InputError(
            f"{place} holds several series: {labels}.",
            f'Choose one with series="{found.groups[0].label}" (on the command line --series){together}.',
        )
    if "INCONSISTENT_SIZE" in by_code and len({h.shape for h in found.headers if h}) > 1:
        raise InputError(
            f"The {count} images in {place} are not one stack: {by_code['INCONSISTENT_SIZE'].message}",
            "Take out those that do not belong, or read them as a set of single images.",
        )
    if found.kind == "images":
        what = "files of several slices" if any(h and h.slices > 1 for h in found.headers) else "single images"
        raise InputError(
            f"{place} holds {count} {what} and not one numbered series.",
            "Choose one file, name the files of one stack, or read them as a set of single images.",
        )
    named = [h.channel_names if h else () for h in found.headers]
    if swapped := find_swapped(named):
        first, other = swapped
        raise InputError(
            f"{found.files[other].name} has the channels {', '.join(named[other])}, {found.files[first].name} has"
            f" {', '.join(named[first])}.",
            "Give the channels of all slices in the same order.",
        )
    kinds = {h.dtype for h in found.headers if h}
    mixed = len({h.channels for h in found.headers if h}) > 1 and (found.color or found.channels > 1)
    if len(kinds) > 1 or mixed:
        raise InputError(
            f"The {count} images in {place} do not fit together: {by_code['INCONSISTENT_TYPE'].message}",
            "Convert them to one type, or take out those that do not belong.",
        )


class _Slices:
    """An array whose slices are decoded when indexed; what dask asks for its chunks."""

    def __init__(self, found: Series) -> None:
        header = found.header
        self._files = found.files
        self._whole = open_slices(found.files[0], found.part) if found.kind == "file" else None
        self._unreadable = found.unreadable
        self._grey = not found.color and header.meaning != "channels"
        self._slice = header.shape if found.channels == 1 else (*header.shape, found.channels)
        self.shape = (found.count, *self._slice)
        self.dtype = header.dtype
        self.ndim = len(self.shape)

    def __getitem__(self, index: Any) -> npt.NDArray[Any]:
        first, *rest = index if isinstance(index, tuple) else (index,)
        if isinstance(first, slice):
            planes = np.stack([self._load(z) for z in range(self.shape[0])[first]])
            picked: npt.NDArray[Any] = planes[(slice(None), *rest)]
            return picked
        plane: npt.NDArray[Any] = self._load(int(first))[tuple(rest)]
        return plane

    def _load(self, z: int) -> npt.NDArray[Any]:
        if z in self._unreadable:
            return np.zeros(self._slice, self.dtype)
        path = self._files[0] if self._whole else self._files[z]
        pixels = self._whole(z) if self._whole else open_slices(path)(0)
        if self._grey and pixels.ndim == 3:
            if not is_grey(pixels):
                raise InputError(
                    f"{path.name} (slice {z}) is coloured, while the series looked grey.",
                    "Read the series with color=True, or take this file out.",
                )
            pixels = pixels[..., 0]
        if np.can_cast(pixels.dtype, self.dtype):
            pixels = pixels.astype(self.dtype, copy=False)
        if pixels.shape != self._slice or pixels.dtype != self.dtype:
            raise InputError(
                f"{path.name} (slice {z}) is now {pixels.dtype} of shape {pixels.shape},"
                f" not {self.dtype} of shape {self._slice}.",
                "It was changed or damaged since the series was opened; open it again.",
            )
        return np.ascontiguousarray(pixels)


def _levels(found: Series) -> list[Any]:
    """What reads a slide, level by level; nothing of other images."""
    grey = not found.color and found.header.channels == 3 and found.header.meaning != "channels"
    return [GreyLevel(level, found.files[0].name) if grey else level for level in found.levels]


def _lazy(found: Series) -> Any:
    one = format_for(found.files[0]) if found.kind == "file" else None
    if one and one.array and one.is_folder and found.part != ALL and not found.unreadable:
        # Lazy by itself, in chunks of its own.
        data = one.array(found.files[0], **({} if found.part is None else {"part": found.part}))
        return data if found.is_stack else data[0]
    slices = _Slices(found)
    chunks = (1, *slices.shape[1:])
    meta = np.empty((0,) * slices.ndim, slices.dtype)
    data = da.from_array(  # type: ignore[no-untyped-call]
        slices, chunks=chunks, name=False, asarray=False, meta=meta
    )
    return data if found.is_stack else data[0]


def _override(found: Series, spacing: float | Sequence[float] | None, unit: Unit) -> Geometry:
    if spacing is None:
        return found.geometry
    ndim = 3 if found.is_stack else 2
    values = (float(spacing),) * ndim if isinstance(spacing, int | float) else tuple(float(s) for s in spacing)
    if ndim == 2 and len(values) == 3:
        values = values[1:]
    if len(values) != ndim or not all(np.isfinite(v) and v > 0 for v in values):
        wanted = "Z, Y, X" if ndim == 3 else "Y, X"
        raise InputError(
            f"Spacing {spacing} does not fit {Path(found.source).name}.", f"Give positive numbers for {wanted}."
        )
    return Geometry(**{**found.geometry.model_dump(), "spacing": values, "unit": unit})
