"""Which colours a set of masks is drawn in, where nobody says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import ClassInfo, Finding, InputError, spread_ends
from napari_medseg.io.pixels import is_grey
from napari_medseg.io.registry import format_for, read_header
from napari_medseg.io.slices import open_slices

from .legend import Legend, hex_of, name_color, read_legend, rgb

Array = npt.NDArray[Any]

MOST = 16
"""More colours than these are a picture, or one colour for each object."""
_SAMPLED = 12
_STEADY = 24
"""Largest difference within 3 x 3 pixels inside one colour that went through JPEG."""
_EVEN = 0.3
"""Share of pixels that are like all their neighbours in masks after JPEG; pictures have less than half of it."""
_APART = 48
"""Least difference of two colours, in one channel, of masks that are not exact."""


@dataclass(frozen=True)
class _Counts:
    """Colours of coloured masks.

    Attributes
    ----------
    colors, counts
        Colours (N, 3), and how many pixels have each; of softened masks, pixels amid one colour only.
    exact
        Whether these are all pixels.
    even
        Share of pixels with neighbours of the very same colour.
    """

    colors: Array
    counts: Array
    exact: bool
    even: float


def find_legend(files: Sequence[Path], given: Legend | None = None) -> tuple[Legend, tuple[Finding, ...]]:
    """The colours of coloured masks: as given, as their folder says, or as they are found in all of the files.

    Parameters
    ----------
    files
        All masks that have to have the same classes.
    given
        What the user says of these files; it stands above everything.

    Returns
    -------
    legend, findings
        Empty when the masks are not coloured. Colours that nobody named are told in a finding (``COLOR_MASK``).

    Raises
    ------
    InputError
        If the masks are coloured pictures, not masks in a few colours, or are grey where colours are ``given``.
    """
    if given:
        _check_given(given, files)
        return given, ()
    folders = {f: [p for p in files if p.parent == f] for f in dict.fromkeys(p.parent for p in files)}
    colored = {folder: own for folder, own in folders.items() if _are_colored(own)}
    told = [one for folder in colored if (one := read_legend(folder))]
    if len(set(told)) > 1:
        raise InputError(
            f"Masks in {' and '.join(f.name for f in [*colored][:3])} are said to have different colours.",
            "Say the colours of all of them: --classes '#00ff00=gland'.",
        )
    if told or not colored:
        return (told[0] if told else Legend()), ()
    with ThreadPoolExecutor(4) as pool:
        counts = [one for found in pool.map(_count, chain(*colored.values())) for one in found]
    legend = _choose(counts, next(iter(colored.values()))[0])
    return legend, (legend.finding(),)


def _check_given(given: Legend, files: Sequence[Path]) -> None:
    """Refuse colours where no mask has any, but some have values that are neither black nor said.

    Raises
    ------
    InputError
        There is such a mask.
    """
    if given.is_grey or any(next(_colored_slices(file), None) is not None for file in [*dict.fromkeys(files)]):
        return
    odd = next((file for file in files if _has_other_greys(given, file)), None)
    if odd is not None:
        color = next(c.color for c in given.classes if len({*rgb(c.color)}) > 1)
        raise InputError(
            f"The masks hold grey levels or numbers, such as {odd.name}, and the colour {color} is in none of them.",
            "Say which value is which class, such as --classes 1=NAME, where 1 also stands for 255 in masks of 0 and"
            " 255.",
        )


def _has_other_greys(given: Legend, path: Path) -> bool:
    """Whether a grey mask has values that are no greys of the legend; not of outlines and of what cannot be read."""
    try:
        header, pixels = read_header(path), open_slices(path, values=True)
        for z in range(header.slices):
            values = pixels(z)
            values = values[..., 0] if values.ndim == 3 else values
            if values.any() and (values.dtype != np.uint8 or not given.holds(values)):
                return True
    except InputError:  # told when it is read as a mask
        pass
    return False


def _are_colored(files: Sequence[Path]) -> bool:
    """Whether any of a few files, or else of all that may be, is coloured."""
    return any(next(_colored_slices(file), None) is not None for file in spread_ends(files, _SAMPLED))


def _colored_slices(path: Path) -> Iterator[Array]:
    """The coloured slices (Y, X, 3) of an 8-bit file; none of grey ones, of palettes, and of what cannot be read."""
    try:
        header = read_header(path)
        chosen = format_for(path)
        if header.channels != 3 or header.dtype != np.uint8 or header.meaning == "channels" or chosen.array:
            return
        for z in range(header.slices):
            values = chosen.values(path, z)
            if values.ndim == 3 and not is_grey(values):
                yield values
    except InputError:  # told when it is read as a mask
        return


def _count(path: Path) -> list[_Counts]:
    return [_count_slice(pixels, path) for pixels in _colored_slices(path)]


def _count_slice(pixels: Array, path: Path) -> _Counts:
    colors, counts = _unique(pixels.reshape(-1, 3))
    if len(colors) <= MOST + 1 and format_for(path).name != "jpeg":
        return _Counts(colors, counts, True, 1.0)
    from scipy.ndimage import maximum_filter, minimum_filter

    size = (3, 3, 1)
    change = (maximum_filter(pixels, size) - minimum_filter(pixels, size)).max(axis=-1)
    steady = change <= _STEADY
    if steady.mean() < 0.5:
        raise _no_mask(path)
    return _Counts(*_unique(pixels[steady]), exact=False, even=float((change <= 2).mean()))


def _unique(colors: Array) -> tuple[Array, Array]:
    codes, counts = np.unique(colors.astype(np.int32) @ np.array([65536, 256, 1], np.int32), return_counts=True)
    return np.stack([codes >> 16, (codes >> 8) & 255, codes & 255], axis=-1), counts


def _choose(counted: Sequence[_Counts], example: Path) -> Legend:
    """A class for each colour but the background's, in the order of their numbers."""
    joined = np.concatenate([one.colors for one in counted])
    weights = np.concatenate([one.counts for one in counted])
    colors, place = np.unique(joined, axis=0, return_inverse=True)
    counts = np.bincount(place.reshape(-1), weights=weights)
    if not all(one.exact for one in counted):
        # Noise and texture are everywhere in pictures, even in their blank parts; JPEG leaves drawn areas even.
        if np.median([one.even for one in counted]) < _EVEN:
            raise _no_mask(example)
        colors, counts = _gather(colors, counts, example)
    if len(colors) > MOST:
        raise _no_mask(example)
    ground = _background(colors, counts)
    chosen = sorted((hex_of(c) for i, c in enumerate(colors) if i != ground))
    names = [name_color(c) for c in chosen]
    classes = [
        ClassInfo(value=i, name=name if names.count(name) == 1 else color, color=color)
        for i, (color, name) in enumerate(zip(chosen, names, strict=True), 1)
    ]
    return Legend(classes=tuple(classes), background=(hex_of(colors[ground]),))


def _gather(colors: Array, counts: Array, example: Path) -> tuple[Array, Array]:
    """The colours that all others are near to, such as JPEG leaves them."""
    total, near_total = counts.sum(), 0.0
    left = np.ones(len(colors), bool)
    chosen: list[tuple[Array, float]] = []
    while left.any() and len(chosen) <= MOST:
        at = int(np.where(left, counts, -1).argmax())
        away = np.abs(colors - colors[at]).max(axis=1)
        if counts[left & (away <= _APART)].sum() < max(16, 1e-5 * total):
            break
        if all(np.abs(colors[at] - other).max() > _APART for other, _ in chosen):
            chosen.append((_purer(colors[at]), float(counts[left & (away <= _APART)].sum())))
        near_total += counts[left & (away <= _STEADY // 2)].sum()
        left &= away > _APART
    if len(chosen) < 2 or near_total < 0.97 * total:
        raise _no_mask(example)
    return np.array([c for c, _ in chosen]), np.array([n for _, n in chosen])


def _purer(color: Array) -> Array:
    """The end of the scale for channels that JPEG moved off it by a little."""
    return np.where(color <= 6, 0, np.where(color >= 249, 255, color))


def _background(colors: Array, counts: Array) -> int:
    """Black where there is any, else white, else what there is most of; the finding tells which."""
    for end in (0, 255):
        near = np.abs(colors - end).max(axis=1)
        if near.min() <= 8:
            return int(near.argmin())
    return int(np.argmax(counts))


def _no_mask(path: Path) -> InputError:
    return InputError(
        f"{path.name} is a colour image, not a mask of class values.",
        "Save the mask with one number or one colour per class, or say its colours: --classes '#00ff00=gland'.",
    )
