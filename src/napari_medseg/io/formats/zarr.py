"""OME-Zarr: images of any size in chunks, read when asked for; masks as labels with names, colours and levels.

Source: OME-NGFF specification 0.5 on Zarr 3; 0.4 and before on Zarr 2 are read too.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import ClassInfo, Finding, InputError, Labels
from napari_medseg.io.budget import check_budget, in_gib, memory_budget
from napari_medseg.io.format import Format, Header
from napari_medseg.io.pyramid import LARGE, are_halves, count_levels, halve
from napari_medseg.io.zarr.image import MOST_TIMES, Voxels, ZarrImage, explained, list_parts, open_root, pixel_type
from napari_medseg.io.zarr.levels import ZarrLevel
from napari_medseg.io.zarr.metadata import describe_labels, read_channel_names, read_label_classes, read_windows

_CHUNK = 1024
_TILE = 512
_MOST_CHUNKS = 2**20
_MOST_COUNTED = 20_000


def read_header(path: Path, part: int = 0) -> Header:
    """Size, type and place from the metadata; no chunk is decoded."""
    with explained(path):
        return _describe(path, ZarrImage(path, part))


def open_pyramid(path: Path, part: int = 0) -> tuple[ZarrLevel, ...]:
    """The levels of a single image in several, or of a large one; none of others."""
    found = ZarrImage(path, part)
    if found.slices > 1 or "image-label" in found.ome:
        return ()
    smaller = found.smaller()
    if not smaller and max(found.sizes["y"], found.sizes["x"]) <= LARGE:
        return ()
    return tuple(ZarrLevel(path, found, array) for array in (found.array, *smaller))


def open_array(path: Path, part: int = 0) -> Any:
    """The first level as a dask array in its own chunks, (Z, Y, X) or (Z, Y, X, C).

    Raises
    ------
    InputError
        It is damaged, no OME-Zarr, or has too many chunks.
    """
    import dask.array as da

    found = ZarrImage(path, part)
    stored = _stored_chunks(found.array)
    chunks = tuple(_grown(c, n, a) for c, n, a in zip(stored, found.array.shape, found.about.axes, strict=True))
    if math.prod(-(-n // c) for n, c in zip(found.array.shape, chunks, strict=True)) > _MOST_CHUNKS:
        raise InputError(f"{path.name} has too many chunks to be read.", "Save it in larger chunks.")
    data = da.from_array(  # type: ignore[no-untyped-call]
        Voxels(path, found.array),
        chunks=chunks,
        name=False,
        asarray=False,
        meta=np.empty((0,) * len(chunks), pixel_type(found.array)),
    )
    axes = found.about.axes
    for axis in "tcz":
        if axis not in axes:
            continue
        keep = axis == found.depth or (axis == "c" and found.channels > 1)
        if not keep:
            index = axes.index(axis)
            data = data[(slice(None),) * index + ((found.time or 0) if axis == "t" else 0,)]
            axes = axes.replace(axis, "")
    if found.depth not in axes:
        data, axes = data[np.newaxis], found.depth + axes
    return data.transpose([axes.index(a) for a in (found.depth, "y", "x", "c") if a in axes])


def read_pixels(path: Path, z: int = 0, part: int = 0) -> npt.NDArray[Any]:
    """One slice, (Y, X) or (Y, X, C)."""
    return np.asarray(open_array(path, part)[z])


def read_parts(path: Path) -> tuple[str, ...]:
    """Paths of the images within, and time points of slices; empty where there is one image."""
    with explained(path):
        parts = list_parts(path, open_root(path))
    several = len({where for where, _ in parts}) > 1
    labels = [(where if several else "") + ("" if time is None else f" time {time + 1}") for where, time in parts]
    return tuple(label.strip() for label in labels) if len(parts) > 1 else ()


def read_classes(path: Path) -> tuple[ClassInfo, ...]:
    """Names and colours of labels; empty of an image."""
    with explained(path):
        return read_label_classes(ZarrImage(path, 0).ome)


def write(path: Path, labels: Labels) -> None:
    """Write labels as a group of their own, version 0.5; large ones with smaller levels."""
    import zarr

    shape = tuple(int(n) for n in labels.data.shape)
    sizes = [shape]
    for _ in range(count_levels((shape[-2], shape[-1]))):
        sizes.append((*shape[:-2], *((n + 1) // 2 for n in sizes[-1][-2:])))
    attributes = describe_labels(labels.geometry, labels.classes, len(sizes))
    group = zarr.create_group(path, zarr_format=3, attributes=attributes)
    levels = [
        group.create_array(
            str(n), shape=size, dtype=labels.data.dtype, fill_value=0, dimension_names=["z", "y", "x"][-len(size) :],
            chunks=(*(1,) * (len(size) - 2), *(min(_CHUNK, side) for side in size[-2:])),
        )
        for n, size in enumerate(sizes)
    ]  # fmt: skip
    if len(levels) > 1 and are_halves(shape, labels.levels, len(levels) - 1):
        for target, known in zip(levels, (labels.data, *labels.levels), strict=True):
            _fill(target, known, (), halved=False)
        return
    for z in range(len(labels)):
        where: tuple[int, ...] = (z,) if labels.is_stack else ()
        level = _fill(levels[0], labels.data[z] if labels.is_stack else labels.data, where, halved=len(levels) > 1)
        for n, target in enumerate(levels[1:], start=2):
            level = _fill(target, level, where, halved=n < len(levels))


def _fill(target: Any, plane: Any, where: tuple[int, ...], *, halved: bool) -> npt.NDArray[Any]:
    """Write a slice, a row of chunks at a time, so that a large one need not be in memory; give its half."""
    smaller = []
    for top in range(0, plane.shape[0], _CHUNK):
        band = np.asarray(plane[top : top + _CHUNK])
        target[(*where, slice(top, top + _CHUNK))] = band
        if halved:
            smaller.append(halve(band))
    return np.concatenate(smaller) if smaller else np.empty((0, 0), target.dtype)


def _describe(path: Path, found: ZarrImage) -> Header:
    shape, dtype = (found.sizes["y"], found.sizes["x"]), np.dtype(found.array.dtype)
    if found.slices > 1 or not found.smaller():
        check_budget(path, (*shape, found.channels), dtype)
    chunk = math.prod(_stored_chunks(found.array)) * dtype.itemsize
    if chunk > memory_budget():
        raise InputError(f"{path.name} claims chunks of {in_gib(chunk)}.", "Save it in smaller chunks.")
    if found.array.nchunks > _MOST_CHUNKS * 64:
        raise InputError(f"{path.name} claims {found.array.nchunks:,} chunks.", "Save it in larger chunks.")
    geometry, (windows, is_rgb) = found.geometry(), read_windows(found.ome)
    is_rgb = is_rgb and found.channels == 3 and dtype.kind == "u"
    return Header(
        shape=shape,
        dtype=pixel_type(found.array),
        channels=found.channels,
        slices=found.slices,
        geometry=geometry,
        meaning="RGB" if is_rgb else "channels" if found.channels > 1 else "grey",
        findings=(*_about_times(path, found), *_about_chunks(path, found)),
        volume=geometry.ndim == 3 and "image-label" in found.ome and "c" not in found.sizes,
        windows=windows if found.channels == 1 else (),
        channel_names=read_channel_names(found.ome) if found.channels > 1 else (),
    )


def _about_times(path: Path, found: ZarrImage) -> tuple[Finding, ...]:
    count = found.sizes.get("t", 1)
    if found.time is None or count <= MOST_TIMES:
        return ()
    text = f"{path.name} has {count:,} time points; the first {MOST_TIMES:,} can be chosen."
    return (Finding("MORE_TIMES", text, (path.name,)),)


def _about_chunks(path: Path, found: ZarrImage) -> tuple[Finding, ...]:
    """Chunks that are not there read as zeros: usual in masks, to be known of images."""
    if "image-label" in found.ome or found.array.nchunks > _MOST_COUNTED:
        return ()
    lost = int(found.array.nchunks) - int(found.array.nchunks_initialized)
    if lost <= 0:
        return ()
    text = f"{lost} of {found.array.nchunks} chunks are not in {path.name}; they are read as {found.array.fill_value}."
    return (Finding("MISSING_CHUNKS", text, (path.name,)),)


def _stored_chunks(array: Any) -> tuple[int, ...]:
    return tuple(int(n) for n in array.chunks)


def _grown(chunk: int, side: int, axis: str) -> int:
    """Chunks of less than a tile are read several at once, or listing them takes longer than reading."""
    return min(side, chunk if axis not in "yx" else chunk * -(-_TILE // chunk))


FORMAT = Format(
    "zarr", "OME-Zarr", (".ome.zarr", ".zarr"), (), read_header, read_pixels, read_pixels, write, stacks=True,
    keeps=frozenset({"spacing", "orientation", "positions", "classes", "colors"}),
    array=open_array, pyramid=open_pyramid, is_folder=True, parts=read_parts, classes=read_classes,
)  # fmt: skip
