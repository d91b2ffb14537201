"""Images and masks that belong together, for training and evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_medseg.core import Finding, Image, InputError, Labels

from .masks import classes_in, mask_values, read_labels, settle_values
from .names import in_order, masked_stem, stem_of
from .reading import read
from .series import find_series, image_files
from .sidecar import read_sidecar


@dataclass(frozen=True)
class FilePair:
    """An image and its mask: two files, or a folder of slices and the folder of its masks."""

    image: Path
    mask: Path


class Pairs(list[FilePair]):
    """Pairs found, a list; ``unmatched`` says of each file left over why it is."""

    def __init__(self, pairs: Sequence[FilePair] = (), unmatched: dict[Path, str] | None = None) -> None:
        super().__init__(pairs)
        self.unmatched: dict[Path, str] = dict(unmatched or {})


def match_pairs(images: str | Path, masks: str | Path) -> Pairs:
    """Match images and masks by name: equal stems, ``NAME_mask`` or ``mask_NAME``.

    Parameters
    ----------
    images, masks
        Two files; two folders of files; a folder of slices and the folder of masks of some of them, which make one
        pair; two folders of equally named folders; or twice the same folder, with masks beside the images.

    Returns
    -------
    Pairs
        In the order people count, with the reason for each file that has no partner.

    Raises
    ------
    InputError
        If nothing matches.
    """
    images, masks = Path(images), Path(masks)
    for path in (images, masks):
        if not path.exists():
            raise InputError(f"{path} does not exist.", "Check how the path is spelled.")
    if images.is_file() and masks.is_file():
        return Pairs([FilePair(images, masks)])
    if images.is_file() or masks.is_file():
        file, folder = (images, masks) if images.is_file() else (masks, images)
        if find_series(folder).kind == "series":
            return Pairs([FilePair(images, masks)])
        raise InputError(f"{file.name} is a file and {folder.name} is a folder.", "Give two files or two folders.")
    if not image_files(images):
        return _match_folders(images, masks)
    found = find_series(images)
    by_stem, wrong = _masks_by_stem(images, masks)
    missing = [p for p in found.files if _partner(p, by_stem) is None]
    if found.kind == "series" and _are_slices(masks, found.files, by_stem):
        stems = {stem_of(p).lower() for p in found.files}
        stray = {p: "No slice belongs to this mask." for s, p in by_stem.items() if s not in stems}
        by_order = len(missing) == len(found.files)
        slices = {} if by_order else dict.fromkeys(missing, "This slice has no mask; it is left out.")
        return Pairs([FilePair(images, masks)], {**slices, **({} if by_order else stray), **wrong})
    pairs = [FilePair(p, by_stem[stem_of(p).lower()]) for p in found.files if p not in missing]
    used = {pair.mask for pair in pairs}
    unmatched = {p: f"No mask is called {stem_of(p)}, {stem_of(p)}_mask or mask_{stem_of(p)}." for p in missing}
    unmatched |= {p: "No image belongs to this mask." for p in by_stem.values() if p not in used} | wrong
    if not pairs:
        raise InputError(
            f"No mask in {masks} belongs to an image in {images}.",
            "Name each mask as its image, or NAME_mask, or mask_NAME.",
        )
    return Pairs(pairs, unmatched)


def read_pair(image_path: str | Path, mask_path: str | Path) -> tuple[Image, Labels, tuple[int, ...]]:
    """Read an image and its masks, slice on slice.

    Masks in a folder belong to the slices of their names, so a mask folder may hold a few of the slices; stacks in one
    file fit slice by slice. Labels have the length, names and geometry of the image: slices without a mask are zeros
    and in ``missing``.

    Returns
    -------
    image, labels, slices
        ``slices`` are the indices that have a mask and can be read.

    Raises
    ------
    InputError
        If a mask belongs to no slice, or size or number of slices differ.
    """
    image_path, mask_path = Path(image_path), Path(mask_path)
    image = read(image_path)
    if mask_path.is_dir() and image_path.is_dir() and image.is_stack:
        labels = _by_slice(image, image_path, mask_path)
    else:
        labels = read_labels(mask_path)
        if image.is_stack and len(image) == 1 and not labels.is_stack:
            labels = replace(labels, data=labels.data[np.newaxis], geometry=image.geometry, names=())
        if tuple(labels.data.shape) != image.shape:
            raise InputError(
                f"{mask_path.name} has {_sized(tuple(labels.data.shape))}, its image {image_path.name}"
                f" {_sized(image.shape)}.",
                "A mask has exactly the size of its image.",
            )
    labels = replace(labels, geometry=image.geometry, names=image.names)
    slices = tuple(z for z in range(len(image)) if z not in labels.missing and z not in image.missing)
    if not slices:
        raise InputError(f"No slice of {image_path.name} has a mask in {mask_path.name}.")
    return image, labels, slices


def _by_slice(image: Image, image_folder: Path, mask_folder: Path) -> Labels:
    by_stem, wrong = _masks_by_stem(image_folder, mask_folder)
    if wrong:
        raise InputError(f"{next(iter(wrong)).name}: {next(iter(wrong.values()))}", "Keep one mask per slice.")
    places = {stem_of(name).lower(): z for z, name in enumerate(image.names)}
    stray = [p for stem, p in by_stem.items() if stem not in places]
    if not any(stem in places for stem in by_stem):
        labels = read_labels(mask_folder)
        if labels.data.shape == image.shape and image_folder != mask_folder and labels.is_stack:
            note = Finding("MATCHED_BY_ORDER", "Masks and slices have other names: they were matched by their order.")
            return replace(labels, findings=(*labels.findings, note))
    if stray:
        raise InputError(
            f"{stray[0].name} belongs to no slice of {image_folder.name}.",
            "Name each mask as its slice, or take it out.",
        )
    sidecar = read_sidecar(mask_folder) if mask_folder != image_folder else None
    none = set(sidecar.missing) if sidecar and sidecar.slices == len(image) else set()
    planes = {places[stem]: mask_values(path) for stem, path in by_stem.items() if places[stem] not in none}
    for z, plane in planes.items():
        if plane.shape != image.shape[1:]:
            raise InputError(
                f"The mask of {image.names[z]} has {_sized(plane.shape)}, the slice {_sized(image.shape[1:])}.",
                "A mask has exactly the size of its image.",
            )
    dtype = np.result_type(*planes.values()) if planes else np.dtype(np.uint8)
    data = np.zeros(image.shape, dtype)
    for z, plane in planes.items():
        data[z] = plane
    known = sidecar.classes if sidecar else ()
    data, findings = settle_values(data, keep=any(c.value == 255 for c in known))
    return Labels(
        data=data, classes=classes_in(data, known), geometry=image.geometry, names=image.names, source=mask_folder,
        findings=findings, missing=frozenset(range(len(image))) - planes.keys(),
    )  # fmt: skip


def _masks_by_stem(images: Path, masks: Path) -> tuple[dict[str, Path], dict[Path, str]]:
    """Mask files by the stem of their image, and those that cannot be told."""
    files = image_files(masks)
    if _same(images, masks):
        files = [p for p in files if masked_stem(p) is not None]
    stems = {stem_of(p).lower() for p in image_files(images)}
    found: dict[str, Path] = {}
    wrong: dict[Path, str] = {}
    for path in files:
        own = stem_of(path).lower()
        stem = (masked_stem(path) or own).lower()
        if not _same(images, masks) and own in stems:
            stem = own
        if stem in found:
            wrong[path] = f"{found[stem].name} is a mask of the same image."
        else:
            found[stem] = path
    return found, wrong


def _partner(image: Path, by_stem: dict[str, Path]) -> Path | None:
    return by_stem.get(stem_of(image).lower())


def _are_slices(masks: Path, files: Sequence[Path], by_stem: dict[str, Path]) -> bool:
    """Whether the masks are those of one series: by name, or as many in the same order."""
    return any(_partner(p, by_stem) for p in files) or len(image_files(masks)) == len(files)


def _match_folders(images: Path, masks: Path) -> Pairs:
    """Equally named folders within two folders."""
    folders = in_order([p for p in images.iterdir() if p.is_dir() and not p.name.startswith(".") and image_files(p)])
    result = Pairs()
    for folder in folders:
        other = masks / folder.name
        if other.is_dir() and image_files(other):
            found = match_pairs(folder, other)
            result.extend(found)
            result.unmatched |= found.unmatched
        else:
            result.unmatched[folder] = f"There is no folder {folder.name} of masks."
    if not result:
        raise InputError(f"Folder {images} holds no images.", "Choose the folder that the images lie in.")
    return result


def _same(first: Path, second: Path) -> bool:
    return first.resolve() == second.resolve()


def _sized(shape: tuple[int, ...]) -> str:
    text = f"{shape[-1]} x {shape[-2]} pixels"
    return f"{shape[0]} slices of {text}" if len(shape) == 3 else text
