"""Which series the DICOM files of a folder make up, going by what they say of themselves.

Files belong together by their SeriesInstanceUID, then by size, direction and place; their names say nothing. No label,
title or message carries a patient's name or number.

Source: DICOM PS3.3, C.7.3.1 "General Series"; PS3.15, annex E for what identifies a patient.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from napari_medseg.core import Finding, Geometry, InputError
from napari_medseg.io.findings import counted
from napari_medseg.io.format import Arranged, Header

from .file import Facts, read_facts
from .header import check_image, common_type, open_frames, read_header, slice_header
from .slides import arrange_slide, is_slide
from .stack import split_stacks
from .values import about_values, is_localizer, scale_of, windows_of

_PROJECTIONS = frozenset({"CR", "DX", "MG", "IO", "PX", "RG", "XC", "OP", "SM"})
"""Modalities whose files are pictures by themselves, not slices."""


@dataclass(frozen=True)
class _File:
    path: Path
    facts: Facts


def arrange(files: Sequence[Path]) -> list[Arranged]:
    """Put DICOM files into series, each in the order of its slices' positions.

    Files that cannot be made out, and those that hold no image, come last, one by one, without headers.
    """
    series: dict[tuple[str, str], list[_File]] = defaultdict(list)
    rest: list[Arranged] = []
    for path in files:
        if path.name.upper() == "DICOMDIR":
            continue
        try:
            facts = read_facts(path)
            if not is_slide(facts):
                check_image(path, facts)
        except InputError as error:
            rest.append(Arranged("", path.name, (path,), (None,), Geometry.unknown(2), {0: str(error)}))
            continue
        place = str(path.parent) if is_slide(facts) else ""
        series[facts.text("SeriesInstanceUID"), place].append(_File(path, facts))
    numbered = sorted(series.items(), key=lambda item: (item[1][0].facts.integer("SeriesNumber"), item[0]))
    found = [(one, own[0].facts) for _, own in numbered for one in _arrange_series(_without_copies(own))]
    return [*_label(found), *rest]


def describe(facts: Facts) -> str:
    """What a series is called, without anything that names the patient."""
    return " · ".join(part for part in (_called(facts), facts.modality) if part)


def _called(facts: Facts) -> str:
    told = facts.text("SeriesDescription")
    names = [*re.split(r"[\^=\s,]+", facts.text("PatientName")), facts.text("PatientID")]
    if any(len(n) > 2 and n.lower() in told.lower() for n in names):
        told = ""
    return told


def _without_copies(files: list[_File]) -> list[_File]:
    """Each instance once, though a folder may hold it twice."""
    kept: dict[str, _File] = {}
    for one in files:
        kept.setdefault(one.facts.text("SOPInstanceUID") or str(one.path), one)
    return list(kept.values())


def _arrange_series(files: list[_File]) -> list[Arranged]:
    """The stacks of one series, or its slide; files of many frames, and projections, stand by themselves."""
    if is_slide(files[0].facts):
        return [arrange_slide([(f.path, f.facts) for f in files], describe(files[0].facts))]
    alone = [f for f in files if f.facts.frames > 1 or "PerFrameFunctionalGroupsSequence" in f.facts.values]
    found = [one for f in alone for one in _arrange_frames(f)]
    single = [f for f in files if f not in alone] if alone else files
    pictures = bool(single) and single[0].facts.modality in _PROJECTIONS
    parts = [[f] for f in single] if pictures else [single] if single else []
    return [*found, *(one for part in parts for one in _arrange_slices(part))]


def _arrange_frames(one: _File) -> list[Arranged]:
    try:
        stacks = open_frames(one.path).stacks
        headers = [read_header(one.path, part) for part in range(len(stacks))]
    except InputError as error:
        return [Arranged("", describe(one.facts), (one.path,), (None,), Geometry.unknown(2), {0: str(error)})]
    return [
        Arranged(
            "", " · ".join((describe(one.facts), *([s.detail] if s.detail else []), counted(h.slices, "slice"))),
            (one.path,), (h,), h.geometry, {z: f"{one.path.name}: {why}" for z, why in h.broken.items()},
            findings=h.findings, minor=s.minor, part=part if len(stacks) > 1 else None,
        )
        for part, (s, h) in enumerate(zip(stacks, headers, strict=True))
    ]  # fmt: skip


def _arrange_slices(files: list[_File]) -> list[Arranged]:
    facts, names = [f.facts for f in files], [f.path.name for f in files]
    found = []
    for stack in split_stacks(facts, names):
        own = [files[i] for i in stack.order]
        scales = [scale_of(f.facts) for f in own]
        dtype = common_type(scales)
        flat = stack.geometry.flat
        headers: list[Header | None] = [slice_header(f.path, f.facts, dtype, flat) for f in own]
        middle = len(own) // 2
        windows = windows_of(own[middle].facts, scales[middle])
        headers = [replace(h, windows=windows) if h else None for h in headers[:1]] + headers[1:]
        broken = {z: f"{f.path.name} is damaged ({f.facts.broken})." for z, f in enumerate(own) if f.facts.broken}
        findings = [*stack.findings, *about_values([f.facts for f in own], scales)]
        if broken:
            reasons = " ".join(list(broken.values())[:3])
            text = f"{len(broken)} of {len(own)} files cannot be read and count as missing: {reasons}"
            findings.append(Finding("UNREADABLE", text, tuple(own[z].path.name for z in broken)))
        if len(own) == 1:
            findings.append(
                Finding("SINGLE_SLICE", f"The series has one slice, {own[0].path.name}.", (own[0].path.name,))
            )
        scout = ["scout view"] if is_localizer(own[0].facts) else []
        title = [describe(own[0].facts), *scout, *([stack.detail] if stack.detail else []), counted(len(own), "slice")]
        found.append(
            Arranged(
                "", " · ".join(part for part in title if part), tuple(f.path for f in own), tuple(headers),
                stack.geometry, broken, tuple(findings), stack.minor, called=_called(own[0].facts),
            )
        )  # fmt: skip
    return found


def _label(found: list[tuple[Arranged, Facts]]) -> list[Arranged]:
    """Label each by its series number; where several have one, ``5-1`` and ``5-2``."""
    numbers = [facts.text("SeriesNumber").removesuffix(".0") or "series" for _, facts in found]
    counts, seen = Counter(numbers), Counter[str]()
    labelled = []
    for (one, _), number in zip(found, numbers, strict=True):
        seen[number] += 1
        label = number if counts[number] == 1 else f"{number}-{seen[number]}"
        labelled.append(replace(one, label=label))
    return labelled
