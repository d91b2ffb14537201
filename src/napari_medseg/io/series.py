"""Looking at a file, a folder or a list of files before reading: order, completeness and consistency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_medseg.core import Finding, Geometry, InputError

from .arranging import Choice, choose_arranged, nested_files, with_space
from .findings import about_files, about_numbers, about_others, about_spacing
from .format import ALL, Header
from .levels import open_levels
from .looking import is_color, look_into
from .names import Group, group_files, in_order, split_masks
from .parts import EVERY, choose_part, list_parts, read_part_header
from .registry import format_for, is_folder_format, is_known, read_header

Source = str | Path | Sequence[str | Path]
Kind = Literal["file", "series", "images"]


@dataclass(frozen=True)
class Series:
    """What was found in a file, a folder or a list of files.

    Attributes
    ----------
    kind
        ``"file"``: one file, of one or more slices; ``"series"``: one stack, a file per slice; ``"images"``: a set of
        images that do not make one stack.
    source
        The file or folder.
    files
        In the order people count; those of the chosen series.
    headers
        Of each file; None where it could not be made out.
    unreadable
        Why each slice that cannot be read cannot: by its index.
    color
        Whether the slices are shown in colour; RGB files with equal channels are not.
    groups
        All series of the folder, when it holds several.
    masks
        Masks lying beside the images, left out of them.
    findings
        What the user should know before opening it.
    part
        Which of the images in a file that holds several; ``ALL`` of them as channels.
    place
        Where the whole stack lies, when its files tell that together.
    levels
        Of a single image that is large or a slide, what reads it and its smaller copies; the image itself comes first.
    label
        Of one of several series, what it is called.
    """

    kind: Kind
    source: Path
    files: tuple[Path, ...]
    headers: tuple[Header | None, ...]
    unreadable: dict[int, str]
    color: bool = False
    groups: tuple[Group, ...] = ()
    masks: tuple[Path, ...] = ()
    findings: tuple[Finding, ...] = ()
    part: int | None = None
    place: Geometry | None = None
    levels: tuple[Any, ...] = ()
    label: str = ""

    @property
    def header(self) -> Header:
        """Header of the first readable file."""
        return next(h for h in self.headers if h is not None)

    @property
    def count(self) -> int:
        """Slices of a file or a series; images of a set."""
        return self.header.slices if self.kind == "file" else len(self.files)

    @property
    def shape(self) -> tuple[int, int]:
        """(Y, X) of a slice; of a set, of its first image."""
        return self.header.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.header.dtype

    @property
    def channels(self) -> int:
        """Channels of the slices as they will be read."""
        found = self.header.channels
        return found if self.color or (found > 1 and self.header.meaning == "channels") else 1

    @property
    def is_stack(self) -> bool:
        return self.kind == "series" or (self.kind == "file" and (self.header.slices > 1 or self.header.volume))

    @property
    def names(self) -> tuple[str, ...]:
        """File name of each slice; of a single image, its own; empty for a file of several slices."""
        return tuple(p.name for p in self.files) if self.kind != "file" or self.count == 1 else ()

    @property
    def geometry(self) -> Geometry:
        """Of the whole image; where nothing tells how far slices lie, one pixel is taken and a finding says so."""
        known = self.place or self.header.geometry
        if known.ndim == 3 and not self.is_stack:
            return Geometry(spacing=known.spacing[1:], unit=known.unit)
        if known.ndim == 2 and self.is_stack:
            return Geometry(spacing=(known.spacing[-1], *known.spacing), unit=known.unit)
        return known


def find_series(source: Source, *, series: str | None = None, color: bool | None = None) -> Series:
    """Look at a file, a folder or a list of files; only a few slices are decoded, to tell grey from colour.

    Parameters
    ----------
    source
        A file, a folder, or files that make up one stack however they are called.
    series
        Which series of a folder: a label of `Series.groups`, or a pattern such as ``"a-*.png"``; ``"all"`` of a file is
        all that it holds, as channels.
    color
        Whether RGB files are read in colour; None decides by their pixels.

    Returns
    -------
    Series
        The files in their order, the size, channels, place in space and what should be known; pixels are read later.

    Raises
    ------
    InputError
        If nothing is there to read, or no such series.
    """
    place, files, listed = _gather(source)
    _check_names(files)
    within = series is not None and len(files) == 1 and series in (EVERY, *list_parts(files[0]))
    if within or (len(files) == 1 and (listed or place == files[0])):
        return _one_file(files[0], color, series)
    if choice := choose_arranged(place, files, series):
        return _arranged(place, choice, color)
    masks: list[Path] = []
    others: list[Group] = []
    groups = [Group("", tuple(in_order(files)))]
    if not listed:
        if series is None:
            files, masks = split_masks(files)
        groups, others = _choose(place, group_files(files), files, series)
    chosen = in_order([p for g in groups for p in g.files])
    if len(chosen) == 1 and format_for(chosen[0]).stacks and (one := _stack_in(chosen[0], color)):
        return replace(one, masks=tuple(masks), findings=(*about_others([], others, masks), *one.findings))
    headers, unreadable = look_into(chosen)
    if not any(headers):
        raise InputError(f"None of the {len(chosen)} images in {place.name} can be read: {unreadable[0]}")
    by_file = dict(zip(chosen, headers, strict=True))
    sizes = [{h.shape for p in g.files if (h := by_file[p])} for g in groups]
    stacked = any(h and h.slices > 1 for h in headers)
    countless = all(len(g.files) == 1 or not g.numbers for g in groups)
    loose = countless and not listed and series is None and len(chosen) > 1
    is_set = len(groups) > 1 or len(sizes[0]) > 1 or stacked or loose
    # Images of many sizes are a set however they are numbered.
    several = not loose and all(len(found) < 2 for found in sizes) and len(groups) > 1 and not stacked
    findings = about_others(groups if several else [], others, masks)
    findings += about_files(chosen, headers, unreadable)
    if not is_set:
        findings += about_numbers(groups[0]) + about_spacing(headers)
    return Series(
        "images" if is_set else "series", place, tuple(chosen), tuple(headers), unreadable,
        color=is_color(chosen, headers, unreadable, color), groups=tuple(groups) if several else (),
        masks=tuple(masks), findings=tuple(findings), label=series or "",
    )  # fmt: skip


def image_files(folder: Path) -> list[Path]:
    """Files of a folder that a format reads; hidden ones, sidecars and thumbnails are not among them.

    Raises
    ------
    InputError
        The folder cannot be listed.
    """
    try:
        names = [p for p in folder.iterdir() if not p.name.startswith(".") and p.name != "DICOMDIR" and is_known(p)]
        return in_order([p for p in names if p.is_file() or (is_folder_format(p) and p.is_dir())])
    except OSError as error:
        raise InputError(f"Folder {folder} cannot be listed ({error.strerror}).", "Check its rights.") from error


def _gather(source: Source) -> tuple[Path, list[Path], bool]:
    """Place, files, and whether the files were named one by one."""
    if not isinstance(source, str | Path):
        paths = [Path(p) for p in source]
        if not paths:
            raise InputError("No files were given.", "Choose at least one image.")
        if len(paths) == 1:
            return _gather(paths[0])
        for path in paths:
            if not path.is_file():
                raise InputError(f"{path} is not a file.", "Give files of one stack, or one folder.")
            format_for(path)
        return paths[0].parent, paths, True
    path = Path(source)
    if path.is_dir() and not is_folder_format(path):
        files = image_files(path) or nested_files(path)
        if not files:
            kinds = sorted({p.suffix.lower() for p in path.iterdir() if p.suffix and p.is_file()})
            only = f", only {', '.join(kinds[:5])} files" if kinds else ""
            raise InputError(f"Folder {path} holds no images{only}.", "Choose the folder that the slices lie in.")
        return path, files, False
    if not path.exists():
        raise InputError(f"{path} does not exist.", "Check how the path is spelled.")
    format_for(path)
    return path, [path], True


def _check_names(files: Sequence[Path]) -> None:
    """Names whose bytes are no text cannot be kept in a sidecar or a report; better told before any work."""
    for path in files:
        try:
            str(path).encode()
        except UnicodeEncodeError:
            shown = str(path).encode("ascii", "backslashreplace").decode()
            raise InputError(f"The name of {shown} is not valid text (UTF-8).", "Rename the file or folder.") from None


def _one_file(path: Path, color: bool | None, series: str | None = None) -> Series:
    header = read_header(path)
    groups, part = choose_part(path, series)
    header = header if part is None else read_part_header(path, part)
    if len(header.broken) == header.slices:
        raise InputError(f"{path.name} is damaged ({header.broken[0]}).", "Copy it again from where it came from.")
    findings = list(header.findings)
    if header.broken:
        which, why = ", ".join(map(str, sorted(header.broken))), next(iter(header.broken.values()))
        text = f"{path.name} is damaged in slices {which} ({why}); they count as missing."
        findings.append(Finding("UNREADABLE", text, (path.name,)))
    findings += about_spacing([header])
    levels = () if part == ALL else open_levels(path, header, part)
    return Series(
        "file", path, (path,), (header,), dict(header.broken), groups=groups, part=part,
        color=is_color([path], [header], header.broken, color, levels), findings=tuple(findings), levels=levels,
    )  # fmt: skip


def _arranged(place: Path, choice: Choice, color: bool | None) -> Series:
    """The one series that was chosen; a set of pictures; or all series of which one must be chosen."""
    if len(choice.series) == 1 and choice.series[0].slide:
        slide = _one_file(choice.series[0].files[0], color)
        return replace(slide, masks=choice.masks, findings=(*choice.findings, *slide.findings))
    files = [p for one in choice.series for p in one.files]
    headers = [h for one in choice.series for h in one.headers]
    one = with_space(choice.series[0])
    several = len(choice.series) > 1
    whole = len(files) == 1 and headers[0] is not None and (headers[0].slices > 1 or headers[0].volume)
    findings = choice.findings if several else (*choice.findings, *one.findings)
    if choice.groups:
        findings = (*findings, *about_others(list(choice.groups), [], []))
    unreadable = {} if several else one.unreadable
    return Series(
        "images" if several else "file" if whole else "series", place if several or not whole else files[0],
        tuple(files), tuple(headers), unreadable, color=is_color(files, headers, unreadable, color),
        groups=choice.groups, masks=choice.masks, findings=findings, part=None if several else one.part,
        place=None if several else one.geometry, label="" if several else one.called,
    )  # fmt: skip


def _stack_in(path: Path, color: bool | None) -> Series | None:
    """The only image of a folder, when it is a stack by itself."""
    try:
        found = _one_file(path, color)
    except InputError:
        return None
    return found if found.is_stack else None


def _choose(place: Path, groups: list[Group], files: list[Path], series: str | None) -> tuple[list[Group], list[Group]]:
    """Groups to read, and those left out."""
    if series is None:
        long = [g for g in groups if len(g.files) > 1]
        if len(long) == 1 and long[0].numbers and len(groups) > 1 and len(long[0].files) > len(groups) - 1:
            return long, [g for g in groups if g is not long[0]]
        return groups, []
    for group in groups:
        if group.label == series:
            return [group], [g for g in groups if g is not group]
    found = [p for p in files if fnmatch(p.name, series) or p.name.startswith(series)]
    if not found:
        known = ", ".join(f"'{g.label}'" for g in groups[:8])
        raise InputError(f"No files in {place.name} belong to the series '{series}'.", f"There are {known}.")
    return [Group(series, tuple(in_order(found)))], []
