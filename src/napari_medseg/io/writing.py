"""Masks to files: whole or not at all, never over a file that was not meant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_medseg.core import Finding, Geometry, Image, InputError, Labels, OutputError

from .atomic import check_free, flush, temporary_folder, write_with_companion
from .findings import about_places
from .format import Format
from .masks.absent import named_absent
from .masks.reading import written_names
from .masks.values import smallest_type, whole_numbers
from .outlines.registry import is_outline_name
from .outlines.writing import check_outlines_hold, write_outline_labels
from .registry import format_for, formats, is_folder_format
from .sidecar import Sidecar, read_sidecar, sidecar_path


def write(target: str | Path, labels: Labels, *, overwrite: bool = False) -> tuple[Finding, ...]:
    """Write labels into a file, or as a PNG mask per slice into a folder, with a sidecar that keeps the rest.

    Parameters
    ----------
    target
        A name with a format's suffix is a file, of masks or of outlines; one without, or an existing folder, is a
        folder of PNG masks named as the source slices.
    labels
        The labels; slices in ``labels.missing`` are recorded in the sidecar, and no PNG is written for them.
    overwrite
        Whether files of this name may be replaced. Files of other names are never touched.

    Returns
    -------
    tuple of Finding
        What other programs will not know from the file: where uneven slices lie (``POSITIONS_LOST``).

    Raises
    ------
    OutputError
        If the target exists, cannot be written, or cannot hold these labels. What was there before stays.
    """
    target, labels = Path(target), named_absent(labels)
    if 0 in labels.data.shape:
        raise OutputError(f"There are no labels to write to {target}: they have the shape {tuple(labels.data.shape)}.")
    if is_outline_name(target) and not target.is_dir():
        write_outline_labels(target, labels, overwrite=overwrite)
        return ()
    as_folder = (target.is_dir() or not target.suffix) and not is_folder_format(target)
    if not as_folder:
        try:
            chosen = format_for(target, writing=True)
        except InputError as error:
            raise OutputError(error.message, error.hint) from error
        if target.is_dir() and not chosen.is_folder:
            raise OutputError(f"{target} is a folder, not a file.", "Choose another name.")
    if as_folder and target.is_dir() and target.suffix and _is_format(target):
        raise OutputError(f"{target} is a folder, though its name is that of a file.", "Choose another name.")
    labels = _compact(labels, limit=2**16 if as_folder or not chosen.stacks else 2**32)
    if as_folder:
        _write_folder(target, labels, overwrite=overwrite)
        return ()
    _write_one(target, labels, chosen, overwrite=overwrite)
    return about_places(target.name, chosen.keeps, labels.geometry)


def check_holds(target: Path, slices: int, image: Image | Labels | None = None) -> None:
    """Refuse a file whose format cannot be written, or that cannot hold this many slices, or masks of this image.

    Raises
    ------
    OutputError
        Naming what can.
    """
    if is_outline_name(target):
        check_outlines_hold(target, slices)
        return
    chosen = format_for(target, writing=True)
    if chosen.write is None:
        able = ", ".join(f.suffixes[-1] for f in formats() if f.write)
        raise OutputError(f"{chosen.title}s are not written, they would change the masks.", f"Choose {able}.")
    if slices > 1 and not chosen.stacks:
        raise OutputError(
            f"{target.name} can hold one slice, there are {slices}.", "Give a folder, or a name ending in .tif."
        )
    if image is not None and chosen.check is not None:
        chosen.check(image)


def _write_one(target: Path, labels: Labels, chosen: Format, *, overwrite: bool) -> None:
    check_holds(target, len(labels))
    if labels.is_stack and not chosen.stacks:
        spacing, unit = labels.geometry.spacing[1:], labels.geometry.unit
        labels = replace(labels, data=labels.slice(0), geometry=Geometry(spacing=spacing, unit=unit))
    beside = sidecar_path(target, folder=False)
    if target.is_dir() and overwrite and not beside.is_file():
        raise OutputError(f"{target} is a folder that was not written as masks.", "Choose another name.")
    check_free(target, overwrite=overwrite)
    check_free(beside, overwrite=overwrite)
    sidecar = Sidecar.of(labels, chosen.keeps)
    describe = sidecar.save if sidecar.is_needed or chosen.is_folder else None
    write_with_companion(target, lambda path: _call(chosen, path, labels), beside, describe)


def _write_folder(target: Path, labels: Labels, *, overwrite: bool) -> None:
    names = written_names(labels.names, len(labels))
    _check_names(names)
    beside = sidecar_path(target, folder=True)
    if target.exists() and not target.is_dir():
        raise OutputError(f"{target} is a file, not a folder.", "Choose another name.")
    there = {p.name for p in target.iterdir()} if target.is_dir() else set()
    if there and not overwrite:
        raise OutputError(f"Folder {target} exists and is not empty.", "Choose another, or allow overwriting.")
    _check_case(names, there)
    ours = _written_before(target) if beside.name in there else set()
    png = format_for(Path("x.png"))
    with temporary_folder(target) as folder:
        for z, name in enumerate(names):
            if z not in labels.missing:
                one = replace(
                    labels, data=labels.slice(z), names=(), missing=frozenset(), geometry=labels.geometry.flat
                )
                _call(png, folder / name, one)
                flush(folder / name)
        Sidecar.of(labels).save(folder / beside.name)
        flush(folder / beside.name)
        if not target.exists():
            folder.rename(target)
        else:
            beside.unlink(missing_ok=True)  # never beside masks that it does not describe
            _move_into(folder, target, [n for z, n in enumerate(names) if z not in labels.missing] + [beside.name])
            # Masks of ours for slices that have no result any more: leaving them would look like one.
            for name in (n for z, n in enumerate(names) if z in labels.missing and n in ours):
                (target / name).unlink(missing_ok=True)
        flush(target)
        flush(target.parent)


def _call(chosen: Format, path: Path, labels: Labels) -> None:
    assert chosen.write is not None
    chosen.write(path, labels)


def _move_into(folder: Path, target: Path, names: Sequence[str]) -> None:
    for name in names:
        (folder / name).replace(target / name)


def _is_format(target: Path) -> bool:
    try:
        format_for(target, writing=True)
    except InputError:
        return False
    return True


def _written_before(target: Path) -> set[str]:
    try:
        sidecar = read_sidecar(target)
    except InputError:
        return set()
    return set(written_names(sidecar.names, sidecar.slices)) if sidecar else set()


def _check_names(names: Sequence[str]) -> None:
    bad = next((n for n in names if Path(n).name != n or "\\" in n), None)
    if bad is not None:
        raise OutputError(f"'{bad}' cannot be a file name.", "Rename the slices.")
    counts = Counter(n.lower() for n in names)
    twice = [n for n in names if counts[n.lower()] > 1]
    if twice:
        raise OutputError(
            f"Masks of several slices would be called the same where case does not count: {', '.join(twice[:4])}.",
            "Write one .tif file, or rename the slices.",
        )


def _check_case(names: Sequence[str], there: set[str]) -> None:
    by_small = {n.lower(): n for n in there}
    for name in names:
        other = by_small.get(name.lower(), name)
        if other != name:
            raise OutputError(
                f"'{name}' and the existing '{other}' are the same file on some systems.", "Choose another folder."
            )


def _compact(labels: Labels, limit: int) -> Labels:
    """The labels in the smallest type that holds them; slices are looked at one by one."""
    top = 0
    kind = np.dtype(labels.data.dtype).kind
    if labels.levels and kind == "u" and np.iinfo(labels.data.dtype).max < limit:
        return labels  # of a slide, made for its classes: not read once more
    for z in range(len(labels)):
        if kind not in "bu":
            try:
                top = max(top, int(whole_numbers(labels.slice(z), f"Slice {z}").max(initial=0)))
            except InputError as error:
                raise OutputError(error.message, "Labels are whole numbers from 0.") from error
        else:
            top = max(top, int(labels.slice(z).max(initial=0)))
    top = max([top, *(c.value for c in labels.classes if c.value < limit)])
    if top >= limit:
        hint = "Write a .tif file instead." if limit == 2**16 and top < 2**32 else "Give the classes smaller values."
        raise OutputError(f"The label value {top} is too large for this format.", hint)
    dtype: np.dtype[Any] = smallest_type(top)
    if labels.data.dtype == dtype:
        return labels
    data = labels.data if hasattr(labels.data, "astype") else np.asarray(labels.data)
    return replace(labels, data=data.astype(dtype))
