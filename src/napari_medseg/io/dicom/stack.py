"""From slices that tell where they lie to stacks: their order, their geometry, and what is odd about it.

A slice is a file, or a frame of one. Positions decide, never names or numbers; where slices do not lie evenly each
keeps its own position.

Source: DICOM PS3.3, C.7.6.2 "Image Plane" and C.7.6.2.1.1 "Image Position and Image Orientation".
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import Finding, Geometry
from napari_medseg.io.findings import counted

from .file import Facts
from .place import in_plane, place_of, turn_of
from .values import is_colored, is_localizer

Vectors = npt.NDArray[np.float64]

SAME_PLACE = 1e-2
"""Slices closer than this many mm lie in one place."""

_TURN = 1e-2
"""Difference allowed between the directions of the slices of one stack: about half a degree."""

_UNEVEN = 1e-2
"""Slices lie evenly when each is off its even place by less than this share of the spacing."""

_PHASES: tuple[tuple[str, str], ...] = (
    ("ImageType", "type"), ("EchoTime", "echo time"), ("DiffusionBValue", "b-value"), ("TriggerTime", "trigger time"),
    ("TemporalPositionIdentifier", "phase"), ("AcquisitionNumber", "acquisition"), ("StackID", "stack"),
    ("AcquisitionTime", "time"),
)  # fmt: skip
"""What may tell slices in the same place apart, with its name for people."""


@dataclass(frozen=True)
class Stack:
    """Slices that make one stack.

    Attributes
    ----------
    order
        Indices of the slices that were given, from the first to the last.
    geometry
        Of (Z, Y, X); of (Y, X) where slices have no place.
    detail
        What tells it apart from stacks in the same place.
    minor
        Whether it is a scout view, or a few slices beside many.
    """

    order: tuple[int, ...]
    geometry: Geometry
    detail: str = ""
    minor: bool = False
    findings: tuple[Finding, ...] = ()


def split_stacks(slices: Sequence[Facts], names: Sequence[str]) -> list[Stack]:
    """Put slices of one series into stacks, each in order of position.

    Parameters
    ----------
    slices
        What each tells of itself.
    names
        Of each slice, for messages.
    """
    parts: dict[Hashable, list[int]] = defaultdict(list)
    turns: list[Vectors] = []
    for index, facts in enumerate(slices):
        parts[_kind(facts), _same_turn(facts, turns)].append(index)
    found = []
    biggest = max(parts.values(), key=len)
    for part in parts.values():
        minor = is_localizer(slices[part[0]]) or 4 * len(part) <= len(biggest)
        findings = _about_rest(slices, part, [i for p in parts.values() if p is not part for i in p], names)
        for order, detail in _split_places(slices, part):
            stack = _lay_out([slices[i] for i in order], [names[i] for i in order])
            told = (*stack.findings, *(findings if not minor else ()))
            if detail:
                text = f"Several slices lie in each place; they were split by {detail.split(' ')[0]}: this is {detail}."
                told = (Finding("DUPLICATE_POSITIONS", text), *told)
            found.append(replace(stack, order=tuple(order), detail=detail, minor=minor, findings=told))
    return found


def _kind(facts: Facts) -> Hashable:
    return (
        facts.integer("Rows"), facts.integer("Columns"), is_colored(facts), is_localizer(facts),
        place_of(facts) is None,
    )  # fmt: skip


def _same_turn(facts: Facts, known: list[Vectors]) -> int:
    turn = turn_of(facts)
    if turn is None:
        return -1
    for index, other in enumerate(known):
        if np.abs(turn - other).max() < _TURN:
            return index
    known.append(turn)
    return len(known) - 1


def _about_rest(slices: Sequence[Facts], part: list[int], rest: list[int], names: Sequence[str]) -> tuple[Finding, ...]:
    """What of the same series does not fit to this part of it."""
    first, findings = slices[part[0]], []
    wanted = (first.integer("Rows"), first.integer("Columns"))
    other = [i for i in rest if (slices[i].integer("Rows"), slices[i].integer("Columns")) != wanted]
    if other:
        text = (
            f"{counted(len(other), 'slice')} of the series not of {wanted[1]} x {wanted[0]} pixels, such as"
            f" {names[other[0]]}, left out."
        )
        findings.append(Finding("INCONSISTENT_SIZE", text, tuple(names[i] for i in other)))
    if turned := [i for i in rest if i not in other]:
        text = (
            f"{counted(len(turned), 'slice')} of the series in another direction or of another kind, such as"
            f" {names[turned[0]]}, left out."
        )
        findings.append(Finding("INCONSISTENT_ORIENTATION", text, tuple(names[i] for i in turned)))
    return tuple(findings)


def _split_places(slices: Sequence[Facts], part: list[int]) -> list[tuple[list[int], str]]:
    """Split slices of which several lie in one place; each part in order of position."""
    if place_of(slices[part[0]]) is None:
        return [(sorted(part, key=lambda i: slices[i].integer("InstanceNumber", i)), "")]
    depths = {i: _depth(slices[i]) for i in part}
    order = sorted(part, key=lambda i: (depths[i], slices[i].integer("InstanceNumber", i)))
    ranks = _ranks(order, depths)
    most = max(ranks.values()) + 1
    if most == 1:
        return [(order, "")]
    for keyword, title in _PHASES:
        groups = _group(order, partial(_told, slices, keyword))
        if len(groups) >= most and all(max(_ranks(g, depths).values()) == 0 for g in groups.values()):
            return [
                (g, f"{title} {_shown(value)}") for value, g in sorted(groups.items(), key=lambda item: str(item[0]))
            ]
    by_rank = _group(order, lambda i: ranks[i])
    return [(g, f"copy {rank + 1}") for rank, g in sorted(by_rank.items())]


def _told(slices: Sequence[Facts], keyword: str, index: int) -> Any:
    return slices[index].values.get(keyword)


def _group(order: Sequence[int], key: Callable[[int], Any]) -> dict[Any, list[int]]:
    found: dict[Any, list[int]] = defaultdict(list)
    for index in order:
        found[key(index)].append(index)
    return found


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return "/".join(str(v) for v in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _depth(facts: Facts) -> float:
    """Distance of a slice along the direction at right angles to it."""
    turn, place = turn_of(facts), place_of(facts)
    assert turn is not None
    assert place is not None
    return float(place @ np.cross(turn[0], turn[1]))


def _ranks(order: Sequence[int], depths: dict[int, float]) -> dict[int, int]:
    """How many slices lie in the same place before each."""
    ranks: dict[int, int] = {}
    start, rank = -np.inf, 0
    for index in order:
        rank = rank + 1 if depths[index] - start < SAME_PLACE else 0
        start = depths[index] if not rank else start
        ranks[index] = rank
    return ranks


def _lay_out(slices: list[Facts], names: list[str]) -> Stack:
    """Geometry and findings of slices in order."""
    sizes = [in_plane(s) for s in slices]
    size = sizes[0]
    findings = []
    if size is None:
        text = "The files do not tell their pixel size; give the spacing where it matters."
        findings.append(Finding("NO_SPACING", text))
    elif len(set(sizes)) > 1 and not np.allclose([s or (0, 0) for s in sizes], size, rtol=1e-3):
        findings.append(
            Finding("INCONSISTENT_SPACING", "The files tell different pixel sizes; that of the first is taken.")
        )
    if size and not slices[0].numbers("PixelSpacing", 2) and slices[0].values.get("ImagerPixelSpacing"):
        text = "Pixel sizes are those at the detector: what lies before it is smaller than it seems."
        findings.append(Finding("PROJECTED_SPACING", text))
    turn = turn_of(slices[0])
    if turn is None or place_of(slices[0]) is None or size is None:
        return Stack((), _without_place(slices[0], size, len(slices)), findings=tuple(findings))
    places = np.array([place_of(s) for s in slices])
    geometry, more = lay_in_space(places, turn, size, slices[0], names)
    return Stack((), geometry, findings=(*findings, *more))


def _without_place(facts: Facts, size: tuple[float, float] | None, count: int) -> Geometry:
    """Of slices that do not tell where they lie: their distance is told, or nothing is."""
    if size is None:
        return Geometry.unknown(2)
    step = abs(facts.number("SpacingBetweenSlices") or 0)
    return Geometry(spacing=(step, *size), unit="mm") if step and count > 1 else Geometry(spacing=size, unit="mm")


def lay_in_space(
    places: Vectors, turn: Vectors, size: tuple[float, float], facts: Facts, names: list[str]
) -> tuple[Geometry, list[Finding]]:
    """Geometry of slices with these positions (Z, 3) in the order X Y Z, in the order Z Y X."""
    normal = np.cross(turn[0], turn[1])
    across = places[-1] - places[0]
    if len(places) == 1:
        step = abs(facts.number("SpacingBetweenSlices") or 0) or abs(facts.number("SliceThickness") or 0) or size[0]
        return _affine_geometry(places[0], normal * step, turn, size), []
    findings = _about_tilt(across, normal, size, facts)
    even = places[0] + np.linspace(0, 1, len(places))[:, np.newaxis] * across
    step = float(np.linalg.norm(across)) / (len(places) - 1)
    if np.linalg.norm(places - even, axis=1).max() <= max(_UNEVEN * step, 1e-3):
        return _affine_geometry(places[0], across / (len(places) - 1), turn, size), findings
    gaps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    usual = float(np.median(gaps))
    geometry = _affine_geometry(places[0], across / np.linalg.norm(across) * usual, turn, size)
    findings += _about_gaps(gaps, names)
    own = tuple(tuple(float(x) for x in place[::-1]) for place in places)
    return Geometry(**{**geometry.model_dump(), "positions": own}), findings


def _affine_geometry(first: Vectors, step: Vectors, turn: Vectors, size: tuple[float, float]) -> Geometry:
    length = float(np.linalg.norm(step))
    # The columns' direction is where the row index grows.
    columns = np.array([step[::-1] / length, turn[1][::-1], turn[0][::-1]])
    return Geometry(
        spacing=(round(length, 9), *size), origin=tuple(first[::-1].tolist()), unit="mm",
        direction=() if np.array_equal(columns, np.eye(3)) else tuple(map(tuple, columns.T.tolist())),
    )  # fmt: skip


def _about_tilt(across: Vectors, normal: Vectors, size: tuple[float, float], facts: Facts) -> list[Finding]:
    """Whether the stack leans: by more than half a pixel from its first slice to its last."""
    lean = np.linalg.norm(across - normal * (across @ normal))
    if lean <= min(size) / 2:
        return []
    angle = float(np.degrees(np.arctan2(lean, abs(across @ normal))))
    told = facts.number("GantryDetectorTilt")
    said = f" (the scanner tells {abs(told):g}°)" if told else ""
    text = (
        f"Slices are tilted by {angle:.1f}° against the direction they are stacked in{said}; each keeps its true place."
    )
    return [Finding("GANTRY_TILT", text)]


def _about_gaps(gaps: Vectors, names: list[str]) -> list[Finding]:
    """Slices that are missing where gaps are multiples of the usual one; else they lie unevenly."""
    usual = float(np.sort(gaps)[(len(gaps) - 1) // 2])
    times = gaps / usual
    wide = np.flatnonzero(times > 1.5)
    regular = len(wide) > 0 and np.abs(times - np.rint(times)).max() < 0.1 and 2 * len(wide) <= len(gaps)
    if regular:
        lost = int(np.rint(times[wide]).sum()) - len(wide)
        where = ", ".join(f"{names[i]} and {names[i + 1]}" for i in wide[:3]) + (", …" if len(wide) > 3 else "")
        text = (
            f"{counted(lost, 'slice')} missing, going by the positions, between {where}; the others keep their place."
        )
        return [Finding("MISSING_SLICES", text, tuple(names[i] for i in wide))]
    kinds = [f"{gap:g}" for gap, _ in Counter(np.round(gaps, 2).tolist()).most_common(4)]
    text = (
        f"Slices do not lie evenly: {', '.join(kinds)}{' …' if len(kinds) == 4 else ''} mm apart; each keeps its place."
    )
    return [Finding("IRREGULAR_SPACING", text)]
