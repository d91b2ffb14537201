"""Series that files make up by what they say of themselves, as DICOM files do, and the choice among them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

from napari_medseg.core import Finding, InputError

from .findings import counted
from .format import Arranged
from .names import Group, in_order
from .registry import arranging_format, format_for

_MOST_FILES = 10**5
_DEEPEST = 8


@dataclass(frozen=True)
class Choice:
    """What of a folder is to be read.

    Attributes
    ----------
    series
        One; or several, which are single pictures unless ``groups`` says that one must be chosen.
    groups
        All series, when it is not clear which is meant.
    masks
        Files of masks beside them.
    findings
        What is left out.
    """

    series: tuple[Arranged, ...]
    groups: tuple[Group, ...] = ()
    masks: tuple[Path, ...] = ()
    findings: tuple[Finding, ...] = ()


def choose_arranged(place: Path, files: Sequence[Path], series: str | None) -> Choice | None:
    """Arrange the files that a format arranges; None where most of the files are none of those.

    Parameters
    ----------
    place
        The folder, for messages.
    series
        Label of the series that is wanted, or a pattern of file names.

    Raises
    ------
    InputError
        If there is no such series.
    """
    able = [p for p in files if arranging_format(p)]
    if 2 * len(able) < max(1, len(files)):
        return None
    chosen = arranging_format(able[0])
    assert chosen is not None
    assert chosen.arrange is not None
    arranged = chosen.arrange(able)
    found = [one for one in arranged if one.label and any(one.headers)]
    if not found:
        return None
    ours = set(able)
    rest = [p for p in files if p not in ours]
    lost = {one.files[0]: one.unreadable[0] for one in arranged if one not in found}
    masks = tuple(p for p in (*lost, *rest) if not format_for(p).images)
    left = {p: why for p, why in lost.items() if p not in masks} | {p: "" for p in rest if p not in masks}
    findings = _about_left(left, masks)
    if series is not None:
        return Choice((_named(place, found, series),), masks=masks, findings=findings)
    if len(found) > 1 and all(len(one.files) == 1 and _is_picture(one) for one in found):
        return Choice(tuple(found), masks=masks, findings=findings)
    main = _main(found)
    if len(main) == 1:
        others = tuple(p.name for one in found if one is not main[0] for p in one.files)
        if others:
            kinds = ", ".join(f"'{one.label}' ({one.title})" for one in found if one is not main[0])
            text = f"{counted(len(others), 'image')} of other series left out: {kinds}."
            findings = (*findings, Finding("OTHER_FILES", text, others))
        return Choice((main[0],), masks=masks, findings=findings)
    groups = tuple(Group(one.label, one.files, title=one.title) for one in found)
    return Choice(tuple(found), groups, masks, findings)


def nested_files(folder: Path) -> list[Path]:
    """Files below a folder that a format arranges, as a disk from a hospital has them; links are not followed.

    Raises
    ------
    InputError
        There are more images than one series can have.
    """
    found: list[Path] = []
    depth = len(folder.parts)
    for parent, folders, names in os.walk(folder, followlinks=False):
        here = Path(parent)
        folders[:] = sorted(n for n in folders if not n.startswith(".")) if len(here.parts) - depth < _DEEPEST else []
        paths = [here / n for n in names if not n.startswith(".")]
        found += [p for p in paths if not p.is_symlink() and arranging_format(p)]
        if len(found) > _MOST_FILES:
            raise InputError(
                f"Folder {folder} holds more than {_MOST_FILES:,} images.", "Choose the folder of one series."
            )
    return in_order(found)


def _is_picture(one: Arranged) -> bool:
    """Whether it is one slice that has no place in space: an X-ray, a photograph."""
    header = one.headers[0]
    return header is not None and header.slices == 1 and one.geometry.ndim == 2


def _main(found: list[Arranged]) -> list[Arranged]:
    """The series that can be meant: not scout views and strays, nor a single slice beside one stack or slide."""
    major = [one for one in found if not one.minor] or found
    long = [one for one in major if one.slide or len(one.files) > 1 or any(h and h.slices > 1 for h in one.headers)]
    return long if len(long) == 1 else major


def _named(place: Path, found: list[Arranged], series: str) -> Arranged:
    for one in found:
        if one.label == series:
            return one
    for one in found:
        kept = [i for i, p in enumerate(one.files) if fnmatch(p.name, series)]
        if len(kept) == len(one.files):
            return one
    known = ", ".join(f"'{one.label}' ({one.title})" for one in found[:8])
    raise InputError(f"{place.name} holds no series '{series}'.", f"There are {known}.")


def _about_left(left: dict[Path, str], masks: tuple[Path, ...]) -> tuple[Finding, ...]:
    findings = []
    if masks:
        text = f"{counted(len(masks), 'file')} of masks beside the images, such as {masks[0].name}, left out of them."
        findings.append(Finding("MASKS_BESIDE", text, tuple(p.name for p in masks)))
    if told := [why for why in left.values() if why]:
        text = f"{counted(len(told), 'file')} left out: {' '.join(told[:3])}"
        findings.append(Finding("UNREADABLE", text, tuple(p.name for p, why in left.items() if why)))
    if other := [p for p, why in left.items() if not why]:
        text = f"{counted(len(other), 'file')} of another kind, such as {other[0].name}, left out."
        findings.append(Finding("OTHER_FILES", text, tuple(p.name for p in other)))
    return tuple(findings)


def with_space(one: Arranged) -> Arranged:
    """With a finding where the geometry is not known, said once."""
    if one.geometry.ndim == 3 or any(f.code == "NO_SPACING" for f in one.findings):
        return one
    text = "The files do not tell how far their slices lie apart; the pixel size is taken. Give the spacing."
    return replace(one, findings=(*one.findings, Finding("NO_SPACING", text)))
