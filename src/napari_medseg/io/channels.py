"""Images that lie in several files, or came from several layers, as the channels of one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_medseg.core import MOST_CHANNELS, Axes, Geometry, Image, InputError, settle_names

from .cases import channel_of
from .dataset import dataset_of
from .names import stem_of

_OFF = 0.1
"""Part of a pixel by which the places of two images may differ: programs round what they write."""


def join_channels(images: Sequence[Image], *, called: Sequence[str] = (), names: Sequence[str] = ()) -> Image:
    """Take images of one size and place, such as the sequences of an MR, as the channels of one image.

    Parameters
    ----------
    images
        In the order of the channels: each grey, (Y, X) or (Z, Y, X), or with channels of its own.
    called
        What to call each where it is refused; without it the names of their files.
    names
        What the channels are called; without them what the images, a ``dataset.json`` or, as far as they tell, the
        names of the files say.

    Returns
    -------
    Image
        Lazy: nothing is read before it is asked for. Of ``meaning`` ``"channels"``, in a type that holds the values of
        all of them; names, source and geometry are those of the first (the geometry that of the first which tells one),
        the sources of the rest are in ``others``. A slice that one of them lacks is missing. One image alone stays as
        it is.

    Raises
    ------
    InputError
        If they differ in size or place, are slides, or have more channels together than a model takes.
    """
    if not images:
        raise InputError("There are no images to join.", "Give one for each channel.")
    first = images[0]
    if len(images) == 1:
        return first
    count = sum(image.channels for image in images)
    if count > MOST_CHANNELS:
        raise InputError(
            f"{len(images)} images have {count} channels together: an image has at most {MOST_CHANNELS}.",
            "Join those that matter.",
        )
    names = settle_names(names, count) or _told_names(images, count)
    called = called or _called(images)
    placed = next((image for image in images if image.geometry.known), first)
    known = placed.geometry
    for name, image in zip(called, images, strict=True):
        if image.levels:
            raise InputError(
                f"{name} is a slide or a large picture, which is not joined.", "Save all channels in one file."
            )
        if what := find_difference(first.shape, known, image.shape, image.geometry):
            raise InputError(
                f"{name} has another {what} than {called[0]}, so they are not channels of one image.",
                f"Bring it to the pixels of {called[0]} (resample it) first.",
            )
    sources = (path for image in images for path in (image.source, *image.others))
    axes: Axes = "ZYXC" if first.is_stack else "YXC"
    return replace(
        first, data=_beside(images), axes=axes, geometry=known, meaning="channels", windows=(), alike=1,
        channel_names=names,
        names=next((image.names for image in images if image.names), ()),
        missing=frozenset().union(*(image.missing for image in images)),
        findings=tuple(dict.fromkeys(
            finding for image in images for finding in image.findings
            if image is placed or finding.code != "NO_SPACING"
        )),
        others=tuple(path for path in sources if path)[bool(first.source) :],
    )  # fmt: skip


def name_channels(called: Sequence[str]) -> tuple[str, ...]:
    """What tells names apart, as the names of channels: ``t1``, ``flair`` of ``case 7_t1``, ``case 7_flair``.

    Words that all of them begin or end with are left out, and numbers, such as dates, where words tell them apart.
    Names that are only counted (``0000``, ``image 2``) say nothing: then there are none.
    """
    words = [[word for word in re.split(r"[\s_.,;:/\\-]+", name) if word] for name in called]
    if len(words) < 2:
        return ()
    for end in (0, -1):
        while all(len(own) > 1 for own in words) and len({own[end].casefold() for own in words}) == 1:
            for own in words:
                own.pop(end)
    told = [" ".join(word for word in own if not word.isdecimal()) for own in words]
    return settle_names(told, len(words)) or settle_names([" ".join(own) for own in words], len(words))


def _told_names(images: Sequence[Image], count: int) -> tuple[str, ...]:
    """What the images themselves say of their channels, or what belongs to them."""
    sources = [image.source for image in images if image.source]
    if all(image.channel_names for image in images):
        return settle_names([name for image in images for name in image.channel_names], count)
    if not len(sources) == len(images) == count:
        return ()
    listed = [dict(enumerate(dataset_of(source).channel_names)) for source in sources]
    numbers = [channel_of(source.name) for source in sources]
    names = [own.get(number, "") for own, number in zip(listed, numbers, strict=True) if number is not None]
    series = [image.series for image in images]
    stems = series if any(series) else [stem_of(source) for source in sources]
    folders = [source.parent.name for source in sources] if len({*stems}) == 1 else []
    return settle_names(names, count) or name_channels(stems) or name_channels(folders)


def find_difference(
    shape: tuple[int, ...], geometry: Geometry, other_shape: tuple[int, ...], other: Geometry
) -> Literal["", "size", "place"]:
    """In what images that should be channels of one differ: the spatial shape, or where all pixels lie.

    An image that does not tell its pixel size lies where one that does has its pixels.
    """
    if shape != other_shape:
        return "size"
    if geometry.known != other.known:
        return ""
    if geometry.ndim != other.ndim:
        return "place"
    ours, theirs = (_corners(one, shape[-one.ndim :]) for one in (geometry, other))
    nearest = min(geometry.spacing) / (1000 if geometry.unit == "um" else 1)
    return "" if np.abs(ours - theirs).max() <= _OFF * nearest else "place"


def _corners(geometry: Geometry, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Where the corners of every slice lie, in mm."""
    matrix, n = geometry.affine(), geometry.ndim
    starts = [geometry.slice_origin(z) for z in range(shape[0])] if n == 3 else [matrix[:2, 2]]
    rows, columns = shape[-2:]
    reach = [matrix[:n, n - 2] * y + matrix[:n, n - 1] * x for y in (0, rows - 1) for x in (0, columns - 1)]
    places = np.array(starts)[:, np.newaxis] + np.array(reach)
    return places / 1000 if geometry.unit == "um" else places


def _beside(images: Sequence[Image]) -> Any:
    """Their pixels with the channels last; those of one can be read without the others'."""
    import dask.array as da

    parts = [part if image.axes.endswith("C") else part[..., np.newaxis] for image in images for part in [_lazy(image)]]
    dtype = np.result_type(*(part.dtype for part in parts))
    return da.concatenate([part.astype(dtype) for part in parts], axis=-1)  # type: ignore[no-untyped-call]


def _lazy(image: Image) -> Any:
    import dask.array as da

    if isinstance(image.data, da.Array):
        return image.data
    chunks = (1, *image.data.shape[1:]) if image.is_stack else image.data.shape
    meta = np.empty((0,) * image.data.ndim, image.data.dtype)
    return da.from_array(  # type: ignore[no-untyped-call]
        image.data, chunks=chunks, name=False, asarray=False, meta=meta
    )


def _called(images: Sequence[Image]) -> list[str]:
    """A name for each in a sentence; files of one name are told by their folders, too."""
    files = [image.source and image.source.name for image in images]
    return [
        f"Image {number}" if not (path := image.source)
        else f"{path.parent.name}/{path.name}" if files.count(path.name) > 1
        else path.name
        for number, image in enumerate(images, 1)
    ]  # fmt: skip
