"""Stored pixels of masks as class values: whole numbers, colours, and values blurred by scaling or JPEG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import ClassInfo, Finding, InputError
from napari_medseg.io.pixels import is_grey

from .legend import Legend

Array = npt.NDArray[Any]

_AT_ONCE = 2**22
_STRAY = 1e-4
"""Single pixels of other values that a softened mask may have away from its edges, for each pixel of 255."""


def class_values(values: Array, name: str, legend: Legend | None = None) -> Array:
    """Values (Y, X) or (Y, X, C) as a format gives them, as unsigned integers: colours as ``legend`` says.

    Raises
    ------
    InputError
        The values are colours that no legend names, or no whole numbers.
    """
    layered = values.ndim == 3 and (
        values.shape[-1] not in (1, 3, 4) or (values.shape[-1] == 4 and bool((np.count_nonzero(values, -1) == 1).all()))
    )
    colored = values.ndim == 3 and not layered and not is_grey(values[..., :3])
    if colored or layered:
        if legend and colored and values.dtype == np.uint8:
            return legend.values(values[..., :3])
        if not layered:
            raise InputError(
                f"{name} is a colour image, not a mask of class values.",
                "Save the mask with one number or one colour per class, or say its colours: --classes '#00ff00=gland'.",
            )
        return values
    values = values[..., 0] if values.ndim == 3 else values
    if legend and values.dtype == np.uint8 and (legend.is_grey or legend.holds(values)):
        return legend.values(values)
    return whole_numbers(values, name)


def whole_numbers(values: Array, name: str) -> Array:
    """The same values in an unsigned type.

    Raises
    ------
    InputError
        If any is negative, fractional, NaN or infinite.
    """
    if values.dtype.kind == "b":
        return values.astype(np.uint8)
    if values.dtype.kind == "f":
        if not np.isfinite(values).all() or (values != np.rint(values)).any():
            raise InputError(
                f"{name} holds values that are no whole numbers.",
                "A mask has one whole number per class; is it an image?",
            )
    elif values.dtype.kind not in "iu":
        raise InputError(f"{name} holds {values.dtype} values.", "A mask has one whole number per class.")
    if values.dtype.kind != "u":
        low, high = (values.min(), values.max()) if values.size else (0, 0)
        if low < 0:
            raise InputError(f"{name} holds the negative value {int(low)}.", "Values of a mask count from 0.")
        if high >= 2**32:
            raise InputError(f"{name} holds the value {int(high)}.", "Values of a mask stay below 4294967296.")
        values = values.astype(smallest_type(int(high)))
    return values


def smallest_type(top: int) -> np.dtype[Any]:
    """The smallest of uint8, uint16 and uint32 that holds ``top``."""
    return np.dtype(np.uint8 if top < 2**8 else np.uint16 if top < 2**16 else np.uint32)


def settle_values(
    data: Array, *, keep: bool = False, lossy: bool = False, name: str = ""
) -> tuple[Array, tuple[Finding, ...]]:
    """Make 1 of 255 where 255 can only mean "yes"; ``keep`` leaves everything as stored.

    It can where there are only 0 and 255, and where the values between are what scaling, smoothing or JPEG leaves of
    an edge: many levels with few pixels, or however few levels, if they form no area and lie between a darker and a
    brighter pixel (`_is_softened`). Then values are cut at half. Values that fill an area of 3 x 3 pixels anywhere are
    classes. After JPEG (``lossy``) no value can be trusted to be a class: they are cut at half.

    Parameters
    ----------
    data
        A mask (Y, X) or all slices of one (Z, Y, X).
    name
        What the findings call it as their file; without, they name none.

    Raises
    ------
    InputError
        If a lossy mask has levels between dark and bright.
    """
    if keep or data.dtype != np.uint8 or not data.size:
        return data, ()
    counts = count_values(data)
    files = (name,) if name else ()
    if lossy and counts[1:].any():
        return _cut_lossy(data, counts, files)
    if not counts[255]:
        return data, ()
    if not counts[1:255].any():
        text = "The mask has the values 0 and 255 only: 255 is read as class 1."
        return (data == 255).astype(np.uint8), (Finding("BINARY_MASK", text),)
    inside, grey, bright = (counts[part].sum() for part in (slice(1, None), slice(32, 224), slice(224, None)))
    blurred = (counts[1:] > 0).sum() > 8 and bright >= 0.7 * inside and grey <= 0.2 * inside
    if blurred or _is_softened(data, counts):
        # The same words for every mask: training says each sentence once.
        text = (
            "The mask has values between 0 and 255 along its edges, as scaling or JPEG leaves them: from 128 up is"
            " class 1. If they are classes, say their levels: --classes '#808080=one' '#ffffff=two'."
        )
        return (data >= 128).astype(np.uint8), (Finding("SOFT_MASK", text, files),)
    return data, ()


def _is_softened(data: Array, counts: Array) -> bool:
    """Whether all values between 0 and 255 are those of a softened edge, however few they are.

    A pixel of an edge has a darker and a brighter one within two pixels; a class has an area somewhere, 3 x 3 pixels of
    one value. Classes are kept, too, that count from 1 (255 is what does not count there), that have as many pixels as
    255, and one that runs along most of an edge, as outlines do. Single pixels may lie anywhere if they are very few.
    """
    from scipy.ndimage import maximum_filter, minimum_filter

    levels = np.flatnonzero(counts[1:255]) + 1
    between = int(counts[1:255].sum())
    if not counts[0] or between >= counts[255] or levels[-1] == len(levels):
        return False
    strays = touching = 0
    for plane in data.reshape(-1, *data.shape[-2:]):
        darkest = minimum_filter(plane, 3)
        touching += int(((plane == 255) & (darkest == 0)).sum())
        amid = (plane > 0) & (plane < 255)
        if not amid.any():
            continue
        if (amid & (darkest == maximum_filter(plane, 3))).any():
            return False
        off = np.argwhere(amid & ((minimum_filter(plane, 5) == plane) | (maximum_filter(plane, 5) == plane)))
        strays += len(off)
        if strays > _STRAY * counts[255] or any(not _is_alone(plane, y, x) for y, x in off):
            return False
    return len(levels) > 1 or 2 * between <= touching


def _is_alone(plane: Array, y: int, x: int) -> bool:
    """Whether no neighbour has the value of this pixel."""
    around = plane[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
    return bool((around == plane[y, x]).sum() == 1)


def _cut_lossy(data: Array, counts: Array, files: tuple[str, ...]) -> tuple[Array, tuple[Finding, ...]]:
    """Values after JPEG, cut at half, unless there is a level between that holds more than softened edges do."""
    levels = np.convolve(counts[40:216], np.ones(9, int), "valid")
    if levels.max() > max(64, 0.5 * counts[224:].sum()):
        raise InputError(
            f"JPEG left {int((counts > 0).sum())} values in the mask, with levels between dark and bright.",
            "Save masks as PNG, or say its levels: --classes '#808080=one' '#ffffff=two'.",
        )
    text = "The mask went through JPEG, which blurs its values: from 128 up is class 1."
    return (data >= 128).astype(np.uint8), (Finding("SOFT_MASK", text, files),)


def count_values(data: Array) -> npt.NDArray[np.int64]:
    """How often each value of uint8 or uint16 data occurs; in parts, as counting takes eight bytes a pixel."""
    counts = np.zeros(2 ** (8 * data.dtype.itemsize), np.int64)
    flat = data.reshape(-1)
    for start in range(0, flat.size, _AT_ONCE):
        counts += np.bincount(flat[start : start + _AT_ONCE], minlength=len(counts))
    return counts


def classes_in(data: Array, known: Sequence[ClassInfo] = ()) -> tuple[ClassInfo, ...]:
    """The known classes, and a numbered one for each further value."""
    by_value = {c.value: c for c in known}
    small = data.dtype.itemsize <= 2
    used = np.flatnonzero(count_values(data)) if small and data.size else np.unique(data)
    for value in used.tolist():
        if value and value not in by_value:
            by_value[value] = ClassInfo.numbered(value)
    return tuple(by_value[v] for v in sorted(by_value))
