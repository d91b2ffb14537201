"""Images and masks that belong together, for training and evaluation: which they are."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from napari_medseg.core import Finding, InputError
from napari_medseg.io.cases import find_cases
from napari_medseg.io.findings import counted, some_of
from napari_medseg.io.names import in_order, masked_stem, stem_of
from napari_medseg.io.outlines.placing import outline_files
from napari_medseg.io.parts import EVERY
from napari_medseg.io.registry import is_folder_format
from napari_medseg.io.series import find_series, image_files

from .names import Matched, describe_match, match_names
from .pair import FilePair, Pairs
from .tables import TableRow, is_table, read_table


def match_pairs(images: str | Path, masks: str | Path, *, series: str = "") -> Pairs:
    """Match images and masks by name: equal stems, ``NAME_mask``, ``mask_NAME``, or ``volume-7`` and ``seg-7``.

    Parameters
    ----------
    images, masks
        Two files; two folders of files; a folder of slices and the folder of masks of some of them, which make one
        pair; a folder of images and one with a folder of masks for each class (``left`` and ``right``); two folders of
        equally named folders; folders in which each channel of an image is a file (``NAME_0000``, ``NAME_0001``, with a
        mask ``NAME``); twice the same folder, with masks beside the images; or a table (CSV) of image and mask
        paths and the folder below which these are.
    series
        Which series of a file or folder of images that holds several; no others are looked at then. ``"all"`` are those
        of each file, as the channels of its image.

    Returns
    -------
    Pairs
        In the order people count, with the reason for each file that has no partner.

    Raises
    ------
    InputError
        If nothing matches, or the file of a channel is missing.
    """
    images, masks = Path(images), Path(masks)
    for path in (images, masks):
        if not path.exists():
            raise InputError(f"{path} does not exist.", "Check how the path is spelled.")
    if is_table(images):
        return _match_rows(images, masks if masks.is_dir() else masks.parent)
    chosen = series and (series != EVERY or _is_one(images))  # all of each file says nothing of a folder
    if (_is_one(images) and _is_one(masks)) or (chosen and find_series(images).groups):
        return Pairs([FilePair(images, masks, how="given together", series=series)])
    if _is_one(images) or _is_one(masks):
        file, folder = (images, masks) if _is_one(images) else (masks, images)
        if find_series(folder).kind == "series":
            return Pairs([FilePair(images, masks, how="given together")])
        raise InputError(f"{file.name} is a file and {folder.name} is a folder.", "Give two files or two folders.")
    if not image_files(images):
        return _match_folders(images, masks, series)
    if not mask_files(images, masks) and len(classes := _folders_in(masks)) > 1:
        return _match_classes(images, masks, classes)
    return _match_files(images, masks, series)


def list_masks(images: Path, masks: Path) -> list[Path]:
    """Files of masks that a pair of paths may lead to, whether they match or not."""
    try:
        if is_table(images):
            rows = read_table(images, masks if masks.is_dir() else masks.parent)
            return [row.mask for row in rows if not row.problem]
        if _is_one(masks):
            return [masks]
        files = mask_files(images, masks)
        below = [p for folder in _folders_in(masks) for p in image_files(folder)]
        below = [p for p in below if masked_stem(p) is not None] or below
    except InputError:  # told when they are matched
        return []
    return files or below


def mask_files(images: Path, masks: Path) -> list[Path]:
    """Files of masks, or of outlines where there are none; beside their images, those that are named as masks."""
    files = image_files(masks)
    own = [p for p in files if masked_stem(p) is not None] if _same(images, masks) else files
    return own or outline_files(masks)


def match_folder(images: Path, masks: Path, names: Sequence[str]) -> Matched:
    """Which file of a folder of masks belongs to which of the images (file names) of another."""
    if _same(images, masks):  # a mask is nobody's image, its own least of all
        names = [name for name in names if masked_stem(name) is None]
    return match_names(names, mask_files(images, masks))


def _match_files(images: Path, masks: Path, series: str = "") -> Pairs:
    if joined := _match_channels(image_files(images), mask_files(images, masks), series if series == EVERY else ""):
        return joined
    found = find_series(images)
    matched = match_folder(images, masks, [p.name for p in found.files])
    missing = [p for p in found.files if p.name not in matched.masks]
    as_many = not _same(images, masks) and len(mask_files(images, masks)) == len(found.files)
    if found.kind == "series" and (matched.masks or as_many):
        if not matched.masks:
            return Pairs([FilePair(images, masks, how="by order: their names differ")], matched.wrong)
        slices = dict.fromkeys(missing, "This slice has no mask; it is left out.")
        stray = dict.fromkeys(matched.stray, "No slice belongs to this mask.")
        return Pairs([FilePair(images, masks, how="slice by slice")], {**slices, **stray, **matched.wrong})
    inside = series if series == EVERY else ""
    pairs = [
        FilePair(p, mask, how=describe_match(p.name, mask), series=inside)
        for p in found.files
        if (mask := matched.masks.get(p.name))
    ]
    if not pairs:
        raise InputError(
            f"No mask in {masks} belongs to an image in {images}.",
            "Name each mask as its image, or NAME_mask, or mask_NAME.",
        )
    unmatched = {p: f"No mask is called {stem_of(p)}, {stem_of(p)}_mask or mask_{stem_of(p)}." for p in missing}
    unmatched |= dict.fromkeys(matched.stray, "No image belongs to this mask.")
    return Pairs(pairs, unmatched | matched.wrong)


def _match_channels(files: Sequence[Path], masks: Sequence[Path], series: str) -> Pairs:
    """Images each channel of which is a file, ``CASE_0000`` …, and whose masks are called ``CASE``; else nothing."""
    own = {
        name.lower(): path for path in reversed(masks) for name in (masked_stem(path) or stem_of(path), stem_of(path))
    }
    cases = find_cases(files, own)
    pairs = Pairs()
    for case, (first, *others) in cases.items():
        how = f"{counted(len(others) + 1, 'channel')} of that name"
        pairs.append(FilePair(first, own[case.lower()], how=how, series=series, channels=tuple(others)))
    if pairs:
        left = {*files, *masks}.difference(*((pair.image, *pair.channels, pair.mask) for pair in pairs))
        pairs.unmatched = {path: "No mask is called as this image." for path in files if path in left}
        pairs.unmatched |= {path: "No image belongs to this mask." for path in masks if path in left}
    return pairs


def _match_classes(images: Path, masks: Path, folders: Sequence[Path]) -> Pairs:
    """Each folder below ``masks`` holds the masks of one class; an image counts when it has one of every class."""
    found = find_series(images)
    names = [p.name for p in found.files]
    matched = [match_folder(images, folder, names) for folder in folders]
    titles = [_title(folder.name) for folder in folders]
    if not any(one.masks for one in matched):
        raise InputError(
            f"No mask below {masks} belongs to an image in {images}.", "Name each mask as its image, or NAME_mask."
        )
    result = Pairs()
    for one in matched:
        result.unmatched |= dict.fromkeys(one.stray, "No image belongs to this mask.") | one.wrong
    whole = []
    for path in found.files:
        lacking = [f.name for f, one in zip(folders, matched, strict=True) if path.name not in one.masks]
        if not lacking:
            whole.append(path)
        else:
            result.unmatched[path] = f"It has no mask in {' and '.join(lacking)}; it is left out."
    how = f"a mask of each of {', '.join(titles)}"
    if found.kind == "series" and whole:
        result.append(FilePair(images, masks, tuple(zip(titles, folders, strict=True)), how=how))
        return result
    for path in whole:
        own = [one.masks[path.name] for one in matched]
        result.append(FilePair(path, masks, tuple(zip(titles, own, strict=True)), how=how))
    return result


def _match_rows(table: Path, root: Path) -> Pairs:
    result = Pairs()
    seen: dict[Path, TableRow] = {}
    folders: dict[Path, list[TableRow]] = defaultdict(list)
    for row in read_table(table, root):
        if row.problem:
            result.unmatched[root / f"row {row.number}"] = row.problem
        elif row.image in seen:
            result.unmatched[row.mask] = f"Row {row.number}: row {seen[row.image].number} names the same image."
        else:
            seen[row.image] = row
            folders[row.image.parent].append(row)
    for folder, rows in folders.items():
        left = {row.image: row for row in rows}
        for label, files in _series_in(folder):
            own = [left[path] for path in files if path in left and not left[path].channels]
            if own and _one_volume(own, label):
                result.append(_join_rows(own, label, table))
                left = {path: row for path, row in left.items() if row not in own}
        result += [_join_rows([row], "", table, alone=True) for row in left.values()]
    if not result:
        reason = next(iter(result.unmatched.values()), "")
        raise InputError(
            f"No row of {table.name} names an image and a mask that are there. {reason}",
            "Give the folder that its paths start from: --data TABLE.csv FOLDER.",
        )
    result.findings = _about_folders(seen.values(), table, root)
    return result


def _about_folders(rows: Iterable[TableRow], table: Path, root: Path) -> tuple[Finding, ...]:
    """Which folders were left out of the paths of a table to find the files."""
    absent = Counter(folders for row in rows for folders in row.absent)
    if not absent:
        return ()
    said = some_of([f"{folders} ({counted(n, 'row')})" for folders, n in absent.most_common()], 3)
    text = f"Files of {table.name} were found in {root.name} without the first folders of their paths: {said}."
    return (Finding("SHORTENED_PATHS", text),)


def _series_in(folder: Path) -> list[tuple[str, tuple[Path, ...]]]:
    """Label and files of each series of slices that a folder holds by itself, as it is read without a table."""
    try:
        found = find_series(folder)
    except InputError:  # told when the files are read
        return []
    groups = [("", found.files)] if found.kind == "series" else [(one.label, one.files) for one in found.groups]
    return [(label, files) for label, files in groups if len(files) > 1 and len({*files}) == len(files)]


def _one_volume(rows: Sequence[TableRow], label: str) -> bool:
    """Whether rows of one series are of one patient; of several series in a folder the table must say so."""
    groups = {row.group for row in rows}
    return len(groups) == 1 and not (label and groups == {""})


def _join_rows(rows: Sequence[TableRow], label: str, table: Path, *, alone: bool = False) -> FilePair:
    first = rows[0]
    if alone:
        how = f"row {first.number} of {table.name}"
        return FilePair(
            first.image, first.mask, group=first.group, how=how, channels=first.channels,
            channel_names=first.channel_names,
        )  # fmt: skip
    how = f"{counted(len(rows), 'row')} of {table.name}, slices of one series"
    slices = tuple((row.image.name, row.mask) for row in rows)
    return FilePair(first.image.parent, first.mask.parent, group=first.group, how=how, series=label, slices=slices)


def _match_folders(images: Path, masks: Path, series: str = "") -> Pairs:
    """Equally named folders within two folders."""
    result = Pairs()
    for folder in _folders_in(images):
        other = masks / folder.name
        if other.is_dir() and mask_files(folder, other):
            found = match_pairs(folder, other, series=series if series == EVERY else "")
            result.extend(found)
            result.unmatched |= found.unmatched
        else:
            result.unmatched[folder] = f"There is no folder {folder.name} of masks."
    if not result:
        raise InputError(f"Folder {images} holds no images.", "Choose the folder that the images lie in.")
    return result


def _folders_in(folder: Path) -> list[Path]:
    """Folders with images in a folder, in the order people count."""
    return in_order([p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".") and image_files(p)])


def _title(name: str) -> str:
    """Name of the class that a folder of masks holds: ``left`` of ``leftMask``."""
    bare = masked_stem(name) or name
    for word in ("masks", "mask", "labels", "label"):
        if bare.lower().endswith(word) and len(bare) > len(word):
            bare = bare[: -len(word)]
    return bare.strip("_- .") or name


def _is_one(path: Path) -> bool:
    """Whether a path is one image: a file, or a folder that is a file to whom it concerns, such as an OME-Zarr."""
    return path.is_file() or is_folder_format(path)


def _same(first: Path, second: Path) -> bool:
    return first.resolve() == second.resolve()
