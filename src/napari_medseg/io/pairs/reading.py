"""Reading an image and its masks, slice on slice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import MOST_CHANNELS, ClassInfo, Finding, Image, InputError, Labels
from napari_medseg.io.channels import join_channels
from napari_medseg.io.dataset import DataSet, dataset_of
from napari_medseg.io.findings import counted
from napari_medseg.io.masks.absent import known_absent
from napari_medseg.io.masks.colors import find_legend
from napari_medseg.io.masks.layers import as_layers, join_classes, join_layers
from napari_medseg.io.masks.legend import Legend
from napari_medseg.io.masks.reading import mask_values, read_labels
from napari_medseg.io.masks.values import classes_in, settle_values
from napari_medseg.io.outlines.gathering import classes_of_files
from napari_medseg.io.outlines.placing import fill_slices, holds_outlines, outline_files, read_outline_labels
from napari_medseg.io.pixels import DamagedError
from napari_medseg.io.reading import read
from napari_medseg.io.registry import read_header
from napari_medseg.io.series import find_series
from napari_medseg.io.sidecar import read_sidecar

from .matching import mask_files, match_folder
from .names import Matched
from .pair import FilePair

Read = tuple[Image, Labels, tuple[int, ...]]

_FIT = "A mask has exactly the size of its image."


def read_pair(image_path: str | Path | FilePair, mask_path: str | Path = "", *, legend: Legend | None = None) -> Read:
    """Read an image and its masks, slice on slice.

    Masks in a folder belong to the slices of their names, so a mask folder may hold a few of the slices; stacks in one
    file fit slice by slice. Labels have the length, names and geometry of the image: slices without a mask, or with one
    that cannot be read, are zeros and in ``missing``; the latter are told in a finding (``UNREADABLE``). A stack of as
    many layers as there are classes is taken as such for a single image (``ONE_HOT_MASK``).

    Parameters
    ----------
    image_path, mask_path
        Where they lie, or one `FilePair`.
    legend
        The colours of coloured masks.

    Returns
    -------
    image, labels, slices
        ``slices`` are the indices that have a mask and can be read.

    Raises
    ------
    InputError
        If a mask belongs to no slice, size or number of slices differ, the files of channels do not fit together, or no
        model has so many.
    """
    pair = image_path if isinstance(image_path, FilePair) else FilePair(Path(image_path), Path(mask_path))
    parts = [read(path, series=pair.series or None) for path in (pair.image, *pair.channels)]
    image = join_channels(parts, names=pair.channel_names)
    if image.channels > MOST_CHANNELS:
        raise InputError(
            f"{pair.image.name} has {image.channels} channels: a model takes at most {MOST_CHANNELS}.",
            "Save those that matter.",
        )
    if pair.parts:
        labels = _join([_read_masks(image, pair, path, legend) for path in pair.masks], pair)
    else:
        labels = _read_masks(image, pair, pair.mask, legend)
    labels = replace(labels, geometry=image.geometry, names=image.names)
    slices = tuple(z for z in range(len(image)) if z not in labels.missing and z not in image.missing)
    if not slices:
        damage = next((f.message for f in labels.findings if f.code == "UNREADABLE"), "")
        raise InputError(f"No slice of {pair.image.name} has a mask in {pair.mask.name}. {damage}".strip())
    return image, labels, slices


def _read_masks(image: Image, pair: FilePair, mask_path: Path, legend: Legend | None) -> Labels:
    """Labels of the size of the image."""
    if pair.slices or (mask_path.is_dir() and pair.image.is_dir() and image.is_stack):
        return _by_slice(image, pair, mask_path, legend)
    if holds_outlines(mask_path) and not mask_path.is_dir():
        classes = classes_of_files(outline_files(mask_path.parent))
        labels = read_outline_labels(mask_path, image=image, classes=classes)
    else:
        series = pair.series if pair.series and find_series(mask_path).groups else None
        labels = read_labels(mask_path, series=series, legend=legend, image=image)
    if not image.is_stack and labels.is_stack and tuple(labels.data.shape[1:]) == image.shape:
        data, findings = join_layers(as_layers(labels.data, mask_path.name), mask_path.name)
        # That 255 was read as 1 is no news of layers.
        told = tuple(f for f in labels.findings if f.code != "BINARY_MASK")
        labels = Labels(data, classes_in(data), image.geometry, (), labels.source, (*told, *findings))
    if image.is_stack and len(image) == 1 and not labels.is_stack:
        labels = replace(labels, data=labels.data[np.newaxis], geometry=image.geometry, names=())
    if tuple(labels.data.shape) != image.shape:
        raise InputError(
            f"{mask_path.name} has {_sized(tuple(labels.data.shape))}, its image {pair.image.name}"
            f" {_sized(image.shape)}.",
            _FIT,
        )
    return labels


def _join(parts: list[Labels], pair: FilePair) -> Labels:
    """Masks of one class each as labels: 1 for the first, 2 for the second; a slice that one of them lacks has none."""
    data, findings = join_classes([part.data for part in parts], pair.image.name)
    names = [name for name, _ in pair.parts]
    classes = tuple(ClassInfo.numbered(value, name) for value, name in enumerate(names, 1))
    told = dict.fromkeys(f for part in parts for f in part.findings if f.code != "BINARY_MASK")
    missing = frozenset().union(*(part.missing for part in parts))
    return replace(parts[0], data=data, classes=classes, findings=(*told, *findings), missing=missing, source=pair.mask)


def _by_slice(image: Image, pair: FilePair, mask_folder: Path, legend: Legend | None) -> Labels:
    image_folder = pair.image
    matched = Matched(dict(pair.slices)) if pair.slices else match_folder(image_folder, mask_folder, image.names)
    if matched.wrong:
        path, reason = next(iter(matched.wrong.items()))
        raise InputError(f"{path.name}: {reason}", "Keep one mask per slice.")
    if not matched.masks:
        labels = read_labels(mask_folder, legend=legend, image=image if holds_outlines(mask_folder) else None)
        if labels.data.shape == image.shape and image_folder != mask_folder and labels.is_stack:
            note = Finding("MATCHED_BY_ORDER", "Masks and slices have other names: they were matched by their order.")
            return replace(labels, findings=(*labels.findings, note))
    if matched.stray and not pair.series:  # or they are of its other series
        raise InputError(
            f"{matched.stray[0].name} belongs to no slice of {image_folder.name}.",
            "Name each mask as its slice, or take it out.",
        )
    sidecar = read_sidecar(mask_folder) if mask_folder != image_folder else None
    none = set(sidecar.missing) if sidecar and sidecar.slices == len(image) else set()
    wanted = {z: matched.masks[name] for z, name in enumerate(image.names) if name in matched.masks and z not in none}
    if wanted and all(holds_outlines(path) for path in wanted.values()):
        return fill_slices(wanted, image, mask_folder)
    if legend:
        told: tuple[Finding, ...] = ()
    else:
        legend, told = find_legend(pair.masks if pair.slices else mask_files(image_folder, mask_folder))
    planes, damage = _load(wanted, image, legend)
    dtype = np.result_type(*planes.values()) if planes else np.dtype(np.uint8)
    data = np.zeros(image.shape, dtype)
    for z, plane in planes.items():
        data[z] = plane
    named = dataset_of(next(iter(wanted.values()))) if wanted and not sidecar else DataSet()
    absent = named.ignored_in(data)
    known = (sidecar.classes if sidecar else named.classes) or legend.classes
    as_stored = bool(legend) or any(c.value == 255 for c in known) or absent is not None
    lossy = any(path.suffix.lower() in (".jpg", ".jpeg") for path in wanted.values())
    data, findings = settle_values(data, keep=as_stored, lossy=lossy, name=mask_folder.name)
    if damage:
        text = f"{counted(len(damage), 'mask')} cannot be read, counted as missing: {next(iter(damage.values()))}"
        findings = (*findings, Finding("UNREADABLE", text, tuple(wanted[z].name for z in damage)))
    labels = Labels(
        data=data, classes=classes_in(data, known), geometry=image.geometry, names=image.names, source=mask_folder,
        findings=(*told, *findings), missing=frozenset(range(len(image))) - planes.keys(),
    )  # fmt: skip
    return known_absent(labels, absent)


def _load(wanted: dict[int, Path], image: Image, legend: Legend) -> tuple[dict[int, npt.NDArray[Any]], dict[int, str]]:
    """Masks by slice, and why some cannot be read: one damaged file must not end the work on all others."""
    planes: dict[int, npt.NDArray[Any]] = {}
    damage: dict[int, str] = {}
    for z, path in wanted.items():
        try:
            if broken := read_header(path).broken:
                damage[z] = f"{path.name} is damaged ({next(iter(broken.values()))})."
                continue
        except InputError as error:
            damage[z] = str(error)
            continue
        try:
            plane = mask_values(path, legend)
        except DamagedError as error:
            damage[z] = str(error)
            continue
        if plane.shape != image.shape[1:]:
            raise InputError(
                f"The mask of {image.names[z]} has {_sized(plane.shape)}, the slice {_sized(image.shape[1:])}.", _FIT
            )
        planes[z] = plane
    return planes, damage


def _sized(shape: tuple[int, ...]) -> str:
    text = f"{shape[-1]} x {shape[-2]} pixels"
    return f"{shape[0]} slices of {text}" if len(shape) == 3 else text
