"""Masks from files: values exactly as stored, with the class names a sidecar keeps."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import ClassInfo, Finding, Geometry, InputError, Labels

from .budget import in_gib, memory_budget
from .findings import counted
from .format import format_for
from .names import stem_of
from .pixels import DamagedError, is_grey
from .reading import check_one
from .series import Series, Source, find_series
from .sidecar import Sidecar, read_sidecar

Array = npt.NDArray[Any]

_STACK_FACTOR = 8
"""Whole stacks of masks are loaded; they may take this many times the budget of one slice."""


def read_labels(source: Source, *, series: str | None = None) -> Labels:
    """Read masks: a file, a folder whose files are slices, or a list of such files.

    Values are taken as stored: of a palette image its indices, of a 2-bit image 0-3. Two kinds of mask are given the
    value 1 instead of 255, unless a sidecar names the class 255, and a finding says so each time: masks of 0 and 255
    only (``BINARY_MASK``), and those whose edges were softened by scaling or JPEG between 0 and 255 (``SOFT_MASK``; cut
    at half). Of a folder that holds images and masks beside them the masks are read. A sidecar restores class names,
    colours, geometry, and slices without a result (``missing``); for single files of a folder, its sidecar names the
    classes.

    Parameters
    ----------
    source
        Where the masks lie.
    series
        Which series of a folder that holds several.

    Returns
    -------
    Labels
        In memory, smallest unsigned type that the stored one fits in.

    Raises
    ------
    InputError
        If masks are coloured, negative or fractional, cannot be decoded, or differ in size.
    """
    found = find_series(source, series=series, color=False)
    if found.masks:
        found = replace(find_series(found.masks, color=False), source=found.source)
    check_one(found)
    sidecar = read_sidecar(found.source) if series is None and isinstance(source, str | Path) else None
    about = sidecar or read_sidecar(found.files[0].parent)
    known = about.classes if about else ()
    data, damage = load_values(found)
    lost = frozenset(damage)
    if (len(lost) == len(found.files) and found.kind != "file") or (lost and not found.is_stack):
        raise InputError(f"No mask in {found.source.name} can be read: {next(iter(damage.values()))}")
    data, findings = settle_values(data, keep=any(c.value == 255 for c in known))
    findings = (*(f for f in found.findings if f.code not in ("MISSING_SLICES", "NO_SPACING")), *findings)
    if lost - found.unreadable.keys():
        text = f"{counted(len(lost), 'mask')} cannot be read, counted as missing: {next(iter(damage.values()))}"
        findings = (*findings, Finding("UNREADABLE", text))
    names, geometry, missing = found.names, found.geometry, lost
    if sidecar:
        data, restored, more = _restore(data, found, sidecar, lost)
        findings = (*findings, *more)
        if restored:
            names, geometry, missing = sidecar.names, sidecar.geometry, restored[0]
    if data.ndim == 2 and geometry.ndim == 3:
        geometry = Geometry(spacing=geometry.spacing[1:], unit=geometry.unit)
    return Labels(
        data=data, classes=classes_in(data, known), geometry=geometry,
        names=names if len(names) == (len(data) if data.ndim == 3 else 1) else (),
        source=found.source, findings=findings, missing=missing,
    )  # fmt: skip


def load_values(found: Series) -> tuple[Array, dict[int, str]]:
    """Stored values of all slices, (Z, Y, X) or (Y, X), unsigned; and why some are zeros because they are damaged."""
    count = found.count if found.is_stack else 1
    need = count * found.shape[0] * found.shape[1] * found.dtype.itemsize
    if need > _STACK_FACTOR * memory_budget():
        raise InputError(
            f"The masks in {found.source.name} take {in_gib(need)} of memory.", "Read them in parts, as lists of files."
        )

    damage = dict(found.unreadable)

    def load(z: int) -> Array | None:
        path = found.files[0] if found.kind == "file" else found.files[z]
        try:
            return None if z in damage else mask_values(path, z if found.kind == "file" else 0)
        except DamagedError as error:
            damage[z] = str(error)
            return None

    with ThreadPoolExecutor(4) as pool:
        loaded = list(pool.map(load, range(count)))
    planes = [plane if plane is not None else np.zeros(found.shape, np.uint8) for plane in loaded]
    shapes = {p.shape for p in planes}
    if len(shapes) > 1:
        raise InputError(f"The masks in {found.source.name} differ in size: {sorted(shapes)}.")
    return (np.stack(planes) if found.is_stack else planes[0]), damage


def mask_values(path: Path, z: int = 0) -> Array:
    """Stored values of one slice as unsigned integers (Y, X).

    Raises
    ------
    InputError
        If they are coloured, negative or fractional.
    """
    values = format_for(path).values(path, z)
    if values.ndim == 3:
        if not is_grey(values):
            raise InputError(
                f"{path.name} is a colour image, not a mask of class values.",
                "Save the mask with one number per class: grey or palette.",
            )
        values = values[..., 0]
    return whole_numbers(values, path.name)


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


def settle_values(data: Array, *, keep: bool = False) -> tuple[Array, tuple[Finding, ...]]:
    """Make 1 of 255 where 255 can only mean "yes"; ``keep`` leaves everything as stored."""
    if keep or data.dtype != np.uint8 or not data.size:
        return data, ()
    counts = np.bincount(data.ravel(), minlength=256)
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


def classes_in(data: Array, known: Sequence[ClassInfo] = ()) -> tuple[ClassInfo, ...]:
    """The known classes, and a numbered one for each further value."""
    by_value = {c.value: c for c in known}
    small = data.dtype.itemsize <= 2
    used = np.flatnonzero(np.bincount(data.ravel())) if small and data.size else np.unique(data)
    for value in used.tolist():
        if value and value not in by_value:
            by_value[value] = ClassInfo.numbered(value)
    return tuple(by_value[v] for v in sorted(by_value))


def _restore(
    data: Array, found: Series, sidecar: Sidecar, damaged: frozenset[int]
) -> tuple[Array, tuple[frozenset[int]] | None, tuple[Finding, ...]]:
    """Put slices back to where they were, and name the missing ones; None when the sidecar does not fit the files."""
    if found.kind == "file" and found.source.is_file():
        if sidecar.slices == found.count and sidecar.geometry.ndim == data.ndim:
            return data, (damaged | frozenset(sidecar.missing),), ()
        return data, None, (_mismatch(f"{sidecar.slices} slices are expected, {found.count} are there"),)
    places = {name.lower(): z for z, name in enumerate(written_names(sidecar.names, sidecar.slices))}
    stems = [f"{stem_of(p)}.png".lower() for p in found.files]
    unknown = [s for s in stems if s not in places]
    planes = data if data.ndim == 3 else data[np.newaxis]
    if unknown:
        return data, None, (_mismatch(f"{unknown[0]} is not among its slices"),)
    if sidecar.geometry.ndim == 2:
        return planes[0], (frozenset(sidecar.missing),), ()
    whole = np.zeros((sidecar.slices, *planes.shape[1:]), planes.dtype)
    empty = set(range(sidecar.slices))
    for index, (stem, plane) in enumerate(zip(stems, planes, strict=True)):
        if places[stem] not in sidecar.missing and index not in damaged:
            whole[places[stem]] = plane
            empty.discard(places[stem])
    lost = empty - set(sidecar.missing)
    more = (_mismatch(f"{len(lost)} of its masks are not there"),) if lost else ()
    return whole, (frozenset(empty),), more


def written_names(names: Sequence[str], slices: int) -> list[str]:
    """Names of the PNG files of a stack: those of the source slices, or numbers."""
    if names:
        return [f"{stem_of(name)}.png" for name in names]
    digits = max(4, len(str(slices - 1)))
    return [f"{z:0{digits}d}.png" for z in range(slices)]


def _mismatch(reason: str) -> Finding:
    return Finding("SIDECAR_MISMATCH", f"The sidecar beside the masks does not fit them: {reason}.")
