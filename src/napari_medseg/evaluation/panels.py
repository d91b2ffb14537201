"""Pictures to look at: image, truth and prediction side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import ClassInfo, Image, InputError, Labels, OutputError, spread_ends
from napari_medseg.io.atomic import write_file
from napari_medseg.io.names import stem_of

from .metrics import surface
from .partners import image_keys, laid_like, match_slices, slice_key
from .slides import find_absent

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

NamedPanel = tuple[str, Pixels]
"""Name of a slice, and what it looks like."""

STRIPES = 6
"""Pixels from one stripe to the next where there is no result."""


def display_range(image: Image) -> tuple[float, float]:
    """Grey values that become black and white: the 0.5th and 99.5th percentile of a few slices of the whole image."""
    if image.channels == 3:
        return 0.0, 255.0 if image.slice(0).dtype == np.uint8 else float(np.max(image.slice(0)))
    sample = [np.asarray(image.slice(z), dtype=np.float32)[::4, ::4].ravel() for z in spread_ends(range(len(image)), 9)]
    low, high = np.nanpercentile(np.concatenate(sample), (0.5, 99.5))
    return float(low), float(max(high, low + 1e-6))


def draw_panel(
    pixels: npt.NDArray[Any],
    masks: tuple[npt.NDArray[Any], npt.NDArray[Any]],
    classes: tuple[ClassInfo, ...],
    shown: tuple[float, float],
    absent: tuple[Mask | None, Mask | None] = (None, None),
) -> Pixels:
    """One slice three times: plain, with the truth's and with the prediction's outlines.

    What has no result is striped, for it is neither background nor anything else.

    Parameters
    ----------
    pixels
        Shape (Y, X) or (Y, X, C).
    masks
        Truth and prediction, shape (Y, X) each.
    classes
        For the colours.
    shown
        Values that become black and white.
    absent
        Where truth and prediction have no result, shape (Y, X) each; None is nowhere.

    Returns
    -------
    numpy.ndarray
        uint8 RGB, shape (Y, 3 X + 8, 3).
    """
    low, high = shown
    scaled = np.clip((np.asarray(pixels, dtype=np.float32) - low) / (high - low), 0, 1) * 255
    grey = np.nan_to_num(scaled).astype(np.uint8)
    rgb = (
        grey[..., :3]
        if grey.ndim == 3 and grey.shape[-1] >= 3
        else np.repeat(grey.reshape(*grey.shape[:2], -1)[..., :1], 3, -1)
    )
    gap = np.full((rgb.shape[0], 4, 3), 255, np.uint8)
    drawn = [_outlined(rgb, mask, classes, lost) for mask, lost in zip(masks, absent, strict=True)]
    return np.concatenate([rgb, gap, drawn[0], gap, drawn[1]], axis=1)


def _outlined(rgb: Pixels, mask: npt.NDArray[Any], classes: tuple[ClassInfo, ...], absent: Mask | None) -> Pixels:
    out = rgb.copy()
    if absent is not None and absent.any():
        mask = np.where(absent, 0, mask)
        rows, columns = np.indices(absent.shape)
        out[absent] //= 2
        out[absent & ((rows + columns) % STRIPES < STRIPES // 2)] = 128
    colours = {info.value: info.color for info in classes}
    for value in (int(v) for v in np.unique(mask) if v):
        colour = colours.get(value, ClassInfo.numbered(value).color)
        out[surface(mask == value)] = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return out


def draw_pairs(images: Sequence[Image], pairs: Iterable[tuple[Labels, Labels]]) -> Iterator[NamedPanel]:
    """Panels of all slices that (prediction, truth) pairs share, one after another.

    Raises
    ------
    InputError
        A slice is in none of the images, or has another size there.
    """
    ranges: dict[int, tuple[float, float]] = {}
    for given, truth in pairs:
        prediction = laid_like(given, truth)
        named = bool(truth.names or prediction.names)
        for p, t, name in match_slices(prediction, truth)[0]:
            image, z = slice_of(images, name, t, truth)
            if id(image) not in ranges:
                ranges[id(image)] = display_range(image)
            title = name if named or truth.source is None else f"{stem_of(truth.source)}-{name}"
            yield title, draw_match(image.slice(z), (prediction, p), (truth, t), ranges[id(image)])


def draw_match(
    pixels: npt.NDArray[Any], prediction: tuple[Labels, int], truth: tuple[Labels, int], shown: tuple[float, float]
) -> Pixels:
    """`draw_panel` of a slice of a prediction and the one of the truth that it belongs to.

    Raises
    ------
    InputError
        The image has another size.
    """
    masks, absent = [], []
    for labels, z in (truth, prediction):
        mask = labels.slice(z)
        if pixels.shape[:2] != mask.shape:
            name = labels.names[z] if labels.names else f"Slice {z}"
            raise InputError(f"{name}: the image and its masks differ in size.", "Give the image of these masks.")
        masks.append(mask)
        absent.append(np.ones(mask.shape, bool) if z in labels.missing else find_absent(mask, labels))
    classes = truth[0].classes or prediction[0].classes
    return draw_panel(pixels, (masks[0], masks[1]), classes, shown, (absent[0], absent[1]))


def check_folder(folder: Path) -> None:
    """Refuse a folder in which panels might replace something.

    Raises
    ------
    OutputError
        It is a file, or not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder} exists and is no empty folder.", "Choose a new folder for the panels.")


def write_panels(folder: Path, panels: Iterable[NamedPanel]) -> int:
    """Write panels as PNG, those of slices with one name under numbered ones; returns how many.

    Raises
    ------
    OutputError
        The folder cannot be written to.
    """
    from PIL import Image as Picture

    used: dict[str, int] = {}
    for name, panel in panels:
        # Of slices that have no file of their own, the name is that of the stack and the number.
        stem = stem_of(name) if "," not in name else name.replace(", slice ", "-")
        used[stem] = used.get(stem, 0) + 1
        number = f"-{used[stem]}" if used[stem] > 1 else ""
        write_file(folder / f"{stem}{number}.png", Picture.fromarray(panel).save, overwrite=True)
    return sum(used.values())


def slice_of(images: Sequence[Image], name: str, index: int, truth: Labels) -> tuple[Image, int]:
    """The slice of the images that a slice of the truth was drawn on: by its name, its file's, or its place.

    Raises
    ------
    InputError
        No slice of the image is meant.
    """
    for image in images:
        for z, own in enumerate(image.names):
            if slice_key(own) == slice_key(name):
                return image, z
    unnamed = [image for image in images if len(image) == len(truth) and not (image.names and truth.names)]
    if len(images) > 1:
        key = slice_key(truth.source.name) if truth.source is not None else ""
        unnamed = [one for one in unnamed if one.source is not None and key in image_keys(one.source.name)]
    if len(unnamed) == 1:
        return unnamed[0], index
    raise InputError(f"No slice of the image is named as {name}.", "Give the image of these masks.")
