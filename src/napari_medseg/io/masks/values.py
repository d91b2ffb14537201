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
    if legend and legend.is_grey and values.dtype == np.uint8:
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


def settle_values(data: Array, *, keep: bool = False, lossy: bool = False) -> tuple[Array, tuple[Finding, ...]]:
    """Make 1 of 255 where 255 can only mean "yes"; ``keep`` leaves everything as stored.

    After JPEG (``lossy``) no value can be trusted to be a class: they are cut at half.

    Raises
    ------
    InputError
        If a lossy mask has levels between dark and bright.
    """
    if keep or data.dtype != np.uint8 or not data.size:
        return data, ()
    counts = count_values(data)
    if lossy and counts[1:].any():
        return _cut_lossy(data, counts)
    if not counts[255]:
        return data, ()
    if not counts[1:255].any():
        text = "The mask has the values 0 and 255 only: 255 is read as class 1."
        return (data == 255).astype(np.uint8), (Finding("BINARY_MASK", text),)
    inside = counts[1:].sum()
    between = int((counts[1:] > 0).sum())
    if between > 8 and counts[224:].sum() >= 0.7 * inside and counts[32:224].sum() <= 0.2 * inside:
        text = (
            f"The mask has {between} values between 0 and 255, as scaling or JPEG leaves them: from 128 up is class 1."
        )
        return (data >= 128).astype(np.uint8), (Finding("SOFT_MASK", text),)
    return data, ()


def _cut_lossy(data: Array, counts: Array) -> tuple[Array, tuple[Finding, ...]]:
    """Values after JPEG, cut at half, unless there is a level between that holds more than softened edges do."""
    levels = np.convolve(counts[40:216], np.ones(9, int), "valid")
    if levels.max() > max(64, 0.5 * counts[224:].sum()):
        raise InputError(
            f"JPEG left {int((counts > 0).sum())} values in the mask, with levels between dark and bright.",
            "Save masks as PNG, or say its levels: --classes '#808080=one' '#ffffff=two'.",
        )
    text = "The mask went through JPEG, which blurs its values: from 128 up is class 1."
    return (data >= 128).astype(np.uint8), (Finding("SOFT_MASK", text),)


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
