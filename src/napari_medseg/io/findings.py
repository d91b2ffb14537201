"""Findings about a series: what its user should know before believing it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from napari_medseg.core import Finding, Geometry

from .format import Header, Kept
from .names import Group, missing_numbers


def counted(number: int, thing: str) -> str:
    """``1 slice``, ``2 slices``, ``2 classes``."""
    return f"{number} {thing}{'' if number == 1 else 'es' if thing.endswith('s') else 's'}"


def some_of(names: Sequence[str], most: int) -> str:
    """The first few of some names: ``a, b and others``."""
    return ", ".join(names[:most]) + (" and others" if len(names) > most else "")


def alike(findings: Iterable[Finding]) -> list[str]:
    """One line for each kind of finding: a hundred masks that are alike tell nothing more than one."""
    told: dict[str, list[str]] = {}
    for found in findings:
        told.setdefault(found.code, []).append(found.message)
    return [f"{one[0]} (and {len(one) - 1:,} more like it)" if len(one) > 1 else one[0] for one in told.values()]


def find_runs(slices: Sequence[int]) -> list[range]:
    """Neighbouring slices together."""
    runs: list[range] = []
    for z in slices:
        first = runs.pop().start if runs and z == runs[-1].stop else z
        runs.append(range(first, z + 1))
    return runs


def name_runs(names: Sequence[str], slices: Sequence[int]) -> list[str]:
    """Neighbouring slices as ``3-9``, or by their names as ``a3.png to a9.png``; one alone by its name."""
    ends = [(names[run[0]], names[run[-1]]) for run in find_runs(slices)]
    return [a if a == b else f"{a}-{b}" if f"{a}{b}".isdigit() else f"{a} to {b}" for a, b in ends]


LEFT_OUT = ("OTHER_FILES", "MASKS_BESIDE")
"""What lies in a folder and is none of its images."""


def about_others(groups: list[Group], others: list[Group], masks: list[Path]) -> list[Finding]:
    """What was left out of the images, and whether there are several series."""
    findings = []
    if masks:
        text = f"{counted(len(masks), 'mask')} beside the images, such as {masks[0].name}, left out of them."
        findings.append(Finding("MASKS_BESIDE", text, tuple(p.name for p in masks)))
    if others:
        names = tuple(p.name for g in others for p in g.files)
        text = f"{counted(len(names), 'image')} not of the series, such as {names[0]}, left out."
        findings.append(Finding("OTHER_FILES", text, names))
    if len(groups) > 1:
        labels = ", ".join(f"'{g.label}' ({len(g.files)})" for g in groups[:8])
        findings.append(Finding("SEVERAL_SERIES", f"The folder holds {len(groups)} series: {labels}."))
    return findings


def about_files(files: list[Path], headers: Sequence[Header | None], unreadable: dict[int, str]) -> list[Finding]:
    """Files that cannot be read, and those that differ from the rest."""
    findings = []
    if unreadable:
        reasons = " ".join(list(unreadable.values())[:3])
        text = f"{len(unreadable)} of {len(files)} files cannot be read and count as missing: {reasons}"
        findings.append(Finding("UNREADABLE", text, tuple(files[z].name for z in unreadable)))
    sizes = Counter(h.shape for h in headers if h)
    if len(sizes) > 1:
        usual, often = sizes.most_common(1)[0]
        odd = tuple(p.name for p, h in zip(files, headers, strict=True) if h and h.shape != usual)
        text = f"{often} images have {usual[1]} x {usual[0]} pixels, {len(odd)} have another size, such as {odd[0]}."
        findings.append(Finding("INCONSISTENT_SIZE", text, odd))
    types = Counter((str(h.dtype), h.channels) for h in headers if h)
    if len(types) > 1:
        (dtype, channels), often = types.most_common(1)[0]
        odd = tuple(
            p.name for p, h in zip(files, headers, strict=True) if h and (str(h.dtype), h.channels) != (dtype, channels)
        )
        text = f"{often} images are {dtype} with {channels} channels, {len(odd)} are not, such as {odd[0]}."
        findings.append(Finding("INCONSISTENT_TYPE", text, odd))
    findings += _told_by_files(headers)
    if len(files) == 1:
        findings.append(Finding("SINGLE_SLICE", f"The series has one slice, {files[0].name}.", (files[0].name,)))
    return findings


def _told_by_files(headers: Sequence[Header | None]) -> list[Finding]:
    """What files of a series say of themselves, once of each kind.

    Of their spacing `about_spacing` tells; that each is one of several files is no news of a folder.
    """
    by_code: dict[str, list[Finding]] = {}
    for finding in (f for h in headers if h for f in h.findings):
        by_code.setdefault(finding.code, []).append(finding)
    findings = []
    for code in sorted(by_code.keys() - {"NO_SPACING", "PRINT_RESOLUTION", "OTHER_FILES"}):
        told = by_code[code]
        text = told[0].message + (f" So it is for {len(told) - 1} other files." if len(told) > 1 else "")
        findings.append(Finding(code, text, tuple(n for f in told for n in f.files)))
    return findings


def about_places(name: str, keeps: Collection[Kept], geometry: Geometry) -> tuple[Finding, ...]:
    """That a file whose format ``keeps`` these things says of uneven slices that they lie evenly."""
    if not geometry.positions or "positions" in keeps or "spacing" not in keeps:
        return ()
    text = (
        f"The slices lie unevenly, which {name} cannot say: other programs will misplace them. DICOM SEG (.seg.dcm)"
        " holds the place of every slice."
    )
    return (Finding("POSITIONS_LOST", text, (name,)),)


def about_numbers(group: Group) -> list[Finding]:
    """Numbers that are left out or come twice."""
    findings = []
    if gaps := missing_numbers(group.numbers):
        shown = ", ".join(map(str, gaps[:10])) + (", …" if len(gaps) > 10 else "")
        text = f"{counted(len(gaps), 'slice')} missing between {min(group.numbers)} and {max(group.numbers)}: {shown}."
        findings.append(Finding("MISSING_SLICES", text, tuple(map(str, gaps))))
    counts = Counter(group.numbers)
    if twice := [n for n, often in counts.items() if often > 1]:
        names = tuple(p.name for p, n in zip(group.files, group.numbers, strict=True) if counts[n] > 1)
        text = f"Number {twice[0]} is there more than once: {', '.join(names[:4])}."
        findings.append(Finding("DUPLICATE_NUMBERS", text, names))
    return findings


def about_spacing(headers: Sequence[Header | None]) -> list[Finding]:
    """Whether the files tell how large a pixel is and how far slices lie apart."""
    if any(f.code == "NO_SPACING" for h in headers if h for f in h.findings):
        return []
    known = [h.geometry for h in headers if h]
    if any(not g.known for g in known):
        said = [f for h in headers if h for f in h.findings if f.code == "PRINT_RESOLUTION"][:1]
        text = "The files do not tell their pixel size; give the spacing where it matters."
        return [*(said if len(headers) > 1 else []), Finding("NO_SPACING", text)]
    if len({g.spacing for g in known}) > 1:
        return [Finding("INCONSISTENT_SPACING", "The files tell different pixel sizes; that of the first is taken.")]
    many = len(headers) > 1 or any(h and h.slices > 1 for h in headers)
    if many and known[0].ndim == 2:
        text = "The files do not tell how far their slices lie apart; the pixel size is taken. Give the spacing."
        return [Finding("NO_SPACING", text)]
    return []
