"""Masks from files: values exactly as stored, with the class names a sidecar keeps."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import Finding, Geometry, Image, InputError, Labels
from napari_medseg.io.budget import in_gib, stack_budget
from napari_medseg.io.dataset import dataset_of
from napari_medseg.io.findings import counted
from napari_medseg.io.names import stem_of
from napari_medseg.io.outlines.placing import holds_outlines, read_outline_labels
from napari_medseg.io.pixels import DamagedError
from napari_medseg.io.reading import check_one
from napari_medseg.io.registry import format_for
from napari_medseg.io.series import Series, Source, find_series
from napari_medseg.io.sidecar import Sidecar, read_sidecar
from napari_medseg.io.slices import open_slices

from .absent import known_absent, stored_absent
from .colors import find_legend
from .layers import as_layers, join_layers
from .legend import Legend
from .onto import lay_onto, lies_elsewhere
from .values import class_values, classes_in, settle_values

Array = npt.NDArray[Any]


def read_labels(
    source: Source, *, series: str | None = None, legend: Legend | None = None, image: Image | None = None
) -> Labels:
    """Read masks: a file, a folder whose files are slices, or a list of such files; or outlines, which are filled.

    Values are taken as stored: of a palette image its indices, of a 2-bit image 0-3. Two kinds of mask are given the
    value 1 instead of 255, unless a sidecar names the class 255, and a finding says so each time: masks of 0 and 255
    only (``BINARY_MASK``), and those whose edges were softened by scaling or JPEG between 0 and 255 (``SOFT_MASK``; cut
    at half; `settle_values` says which these are). Masks in a few colours become classes by the nearest colour: those
    of ``legend``, of a list of colours beside the masks (`read_legend`) or, told by a finding (``COLOR_MASK``), those
    that are found. One layer of 0 and 1 for each class becomes classes too (``ONE_HOT_MASK``).

    Of a folder that holds images and masks beside them the masks are read. A sidecar restores class names, colours,
    geometry, and slices without a result (``missing``); for single files of a folder, its sidecar names the classes.

    Parameters
    ----------
    source
        Where the masks lie.
    series
        Which series of a folder that holds several.
    legend
        The colours of coloured masks; None takes those their folder or, without that, their pixels tell.
    image
        What outlines were drawn on: they are filled into its size. Masks of some of its slices, or of a part of their
        extent, are put in their place on it.

    Returns
    -------
    Labels
        In memory, smallest unsigned type that the stored one fits in.

    Raises
    ------
    InputError
        If masks are pictures, negative or fractional, cannot be decoded, or differ in size.
    """
    if holds_outlines(source):
        assert isinstance(source, str | Path)
        return read_outline_labels(source, image=image, series=series)
    found = find_series(source, series=series, color=False)
    if found.masks:
        found = replace(find_series(found.masks, color=False), source=found.source)
    check_one(found)
    sidecar = read_sidecar(found.source) if series is None and isinstance(source, str | Path) else None
    about = sidecar or read_sidecar(found.files[0].parent)
    own = format_for(found.files[0]).classes if len(found.files) == 1 else None
    named = dataset_of(found.files[0])
    known = (own(found.files[0]) if own else ()) or (about.classes if about else named.classes)
    # A legend that is given is one of many masks, of which this one may well have no colour.
    legend, told = (legend, ()) if legend else find_legend(found.files)
    known = known or legend.classes
    data, damage = load_values(found, legend)
    lost = frozenset(damage)
    if len(lost) == (found.count if found.is_stack else 1):
        raise InputError(f"No mask in {found.source.name} can be read: {next(iter(damage.values()))}")
    if data.ndim > (3 if found.is_stack else 2):
        data, told = join_layers(as_layers(np.moveaxis(data, -1, 0), found.source.name), found.source.name)
    lossy = format_for(found.files[0]).name == "jpeg"
    absent = stored_absent(found.files[0]) if len(found.files) == 1 else None
    if absent is None and about is None:
        absent = named.ignored_in(data)
    as_stored = bool(legend) or any(c.value == 255 for c in known) or absent is not None
    data, findings = settle_values(data, keep=as_stored, lossy=lossy, name=found.source.name)
    findings = (*told, *(f for f in found.findings if f.code not in ("MISSING_SLICES", "NO_SPACING")), *findings)
    if lost - found.unreadable.keys():
        text = f"{counted(len(lost), 'mask')} cannot be read, counted as missing: {next(iter(damage.values()))}"
        findings = (*findings, Finding("UNREADABLE", text))
    names, geometry, missing = found.names, found.geometry, lost
    if sidecar:
        data, restored, more = _restore(data, found, sidecar, lost)
        findings = (*findings, *more)
        if restored:
            names, geometry, missing = sidecar.names, sidecar.geometry or geometry, restored[0]
    if data.ndim == 2 and geometry.ndim == 3:
        geometry = Geometry(spacing=geometry.spacing[1:], unit=geometry.unit)
    labels = Labels(
        data=data, classes=classes_in(data, known), geometry=geometry,
        names=names if len(names) == (len(data) if data.ndim == 3 else 1) else (),
        source=found.source, findings=findings, missing=missing,
    )  # fmt: skip
    labels = known_absent(labels, absent)
    if sidecar and restored:
        labels = sidecar.answered(labels)
    return lay_onto(labels, image) if image is not None and lies_elsewhere(labels, image) else labels


def load_values(found: Series, legend: Legend | None = None) -> tuple[Array, dict[int, str]]:
    """Stored values of all slices, (Z, Y, X) or (Y, X), unsigned; and why some are zeros because they are damaged.

    Masks with one layer for each class are (Z, Y, X, C) or (Y, X, C).

    Raises
    ------
    InputError
        The masks are damaged, take more memory than there is, or differ in size.
    """
    count = found.count if found.is_stack else 1
    need = count * found.shape[0] * found.shape[1] * found.dtype.itemsize
    if need > stack_budget():
        raise InputError(
            f"The masks in {found.source.name} take {in_gib(need)} of memory.", "Read them in parts, as lists of files."
        )

    damage = dict(found.unreadable)
    whole = open_slices(found.files[0], found.part, values=True) if found.kind == "file" else None

    def load(z: int) -> Array | None:
        try:
            if z in damage:
                return None
            return class_values(whole(z), found.files[0].name, legend) if whole else mask_values(found.files[z], legend)
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


def mask_values(path: Path, legend: Legend | None = None) -> Array:
    """Stored values of a file of one slice as unsigned integers (Y, X), or (Y, X, C) with a layer for each class.

    Raises
    ------
    InputError
        If they are coloured and no legend tells the colours, negative or fractional.
    """
    return class_values(open_slices(path, values=True)(0), path.name, legend)


def _restore(
    data: Array, found: Series, sidecar: Sidecar, damaged: frozenset[int]
) -> tuple[Array, tuple[frozenset[int]] | None, tuple[Finding, ...]]:
    """Put slices back to where they were, and name the missing ones; None when the sidecar does not fit the files."""
    if found.kind == "file" and found.source == found.files[0]:
        if sidecar.slices == found.count and (sidecar.geometry is None or sidecar.geometry.ndim == data.ndim):
            return data, (damaged | frozenset(sidecar.missing),), ()
        return data, None, (_mismatch(f"{sidecar.slices} slices are expected, {found.count} are there"),)
    places = {name.lower(): z for z, name in enumerate(written_names(sidecar.names, sidecar.slices))}
    stems = [f"{stem_of(p)}.png".lower() for p in found.files]
    unknown = [s for s in stems if s not in places]
    planes = data if data.ndim == 3 else data[np.newaxis]
    if unknown:
        return data, None, (_mismatch(f"{unknown[0]} is not among its slices"),)
    if sidecar.geometry is not None and sidecar.geometry.ndim == 2:
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
    """Names of the PNG files of a stack: those of the source slices; numbers where there are none or some repeat, as in
    a series that lies in several folders."""
    stems = [stem_of(name) for name in names]
    if not stems or len({*stems}) < len(stems):
        digits = max(4, len(str(slices - 1)))
        stems = [f"{z:0{digits}d}" for z in range(slices)]
    return [f"{stem}.png" for stem in stems]


def _mismatch(reason: str) -> Finding:
    return Finding("SIDECAR_MISMATCH", f"The sidecar beside the masks does not fit them: {reason}.")
