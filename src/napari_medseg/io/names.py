"""What file names say: order, number, series, and which are masks of which."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from natsort import natsort_keygen, ns

from .registry import known_suffix

_natural = natsort_keygen(alg=ns.IGNORECASE | ns.PATH)
_DIGITS = re.compile(r"\d+")
_MASK = r"(?:masks?|msk|seg|segmentation|labels?|labelmap|gt|ground_?truth|truth|annotations?|manual)"
_MASK_NAME = re.compile(rf"^(?:{_MASK}[_\- .]+(?P<after>.+)|(?P<before>.+)[_\- .]+{_MASK})$", re.IGNORECASE)


@dataclass(frozen=True)
class Group:
    """Files of one folder whose names differ only in their number.

    Attributes
    ----------
    label
        What to pass as ``series=`` to choose it: the start of its names, or its pattern with ``#`` for the number.
    files
        In the order people count.
    numbers
        Of each file; empty when the names do not count anything.
    title
        For people, where the files tell more than their names.
    """

    label: str
    files: tuple[Path, ...]
    numbers: tuple[int, ...] = ()
    title: str = ""


def stem_of(path: Path | str) -> str:
    """File name without its suffix; ``a.nii.gz`` and ``a.ome.tif`` are ``a``."""
    return _stem(path.name if isinstance(path, Path) else Path(path).name)


def in_order(files: Sequence[Path]) -> list[Path]:
    """Files in the order people count: 1, 2, 10."""
    return sorted(files, key=lambda p: _order(p.name))


# The same names are looked at for order, number, series and masks: thousands of them take a second less when kept.
@lru_cache(maxsize=2**15)
def _order(name: str) -> tuple[object, str]:
    return _natural(name), name


@lru_cache(maxsize=2**15)
def _stem(name: str) -> str:
    suffix = known_suffix(name)
    return name[: -len(suffix)] if suffix.count(".") > 1 else Path(name).stem


def masked_stem(path: Path | str) -> str | None:
    """The name that a mask belongs to (``7`` for ``7_mask.tif`` and ``mask_7.png``), or None."""
    # ``7.seg.nrrd`` is called a mask by its suffix.
    found = _MASK_NAME.match(stem_of(path)) or _MASK_NAME.match(Path(path).stem)
    return (found["after"] or found["before"]) if found else None


def split_masks(files: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Images, and masks lying beside them; files named like masks are images where no image is beside them."""
    stems = {stem_of(p).lower() for p in files if masked_stem(p) is None}
    masks = [p for p in files if masked_stem(p) is not None]
    if not any((masked_stem(p) or "").lower() in stems for p in masks):
        return list(files), []
    return [p for p in files if masked_stem(p) is None], masks


def group_files(files: Sequence[Path]) -> list[Group]:
    """Split the files of one folder into series: those whose names differ only in one number.

    The number of a slice is the last one in its name that changes; a number before it that changes too, such as a
    patient's, splits the files, unless then each part had one file only: such numbers name images, they count nothing.
    """
    patterns: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for path in in_order(files):
        patterns[_DIGITS.sub("#", stem_of(path)), path.suffix.lower()].append(path)
    groups = [group for found in patterns.values() for group in _split_numbers(found)]
    return _labelled(groups)


def missing_numbers(numbers: Sequence[int]) -> list[int]:
    """Numbers left out of an even count: 1, 2, 4 lacks 3; 1, 3, 7 lacks 5."""
    known = sorted(set(numbers))
    steps = [b - a for a, b in pairwise(known)]
    if len(steps) < 2:
        return []
    step = min(steps, key=lambda s: (-steps.count(s), s))
    if any(s % step for s in steps) or (known[-1] - known[0]) // step > 4 * len(known):
        return []
    return sorted(set(range(known[0], known[-1] + 1, step)) - set(known))


def _numbers(path: Path) -> list[int]:
    return [int(n) for n in _DIGITS.findall(stem_of(path))]


def _split_numbers(files: list[Path]) -> list[Group]:
    rows = [_numbers(p) for p in files]
    changing = [i for i in range(len(rows[0])) if len({row[i] for row in rows}) > 1]
    if not changing:
        return [Group("", tuple(files), tuple(row[-1] for row in rows if row))]
    last, others = changing[-1], changing[:-1]
    if not others:
        return [Group("", tuple(files), tuple(row[last] for row in rows))]
    parts: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        parts[tuple(row[i] for i in others)].append(index)
    if sorted(len(part) for part in parts.values())[len(parts) // 2] < 2:
        return [Group("", tuple(files))]
    return [Group("", tuple(files[i] for i in part), tuple(rows[i][last] for i in part)) for part in parts.values()]


def _labelled(groups: list[Group]) -> list[Group]:
    """Name each group by the start of its names, or by its pattern where starts are equal."""
    starts = [_start(g) for g in groups]
    unclear = [s == "" or starts.count(s) > 1 for s in starts]
    return [
        Group(_pattern(g) if bad else start, g.files, g.numbers)
        for g, start, bad in zip(groups, starts, unclear, strict=True)
    ]


def _start(group: Group) -> str:
    if len(group.files) == 1:
        return group.files[0].name
    names = [stem_of(p) for p in group.files]
    length = next((i for i, letters in enumerate(zip(*names, strict=False)) if len(set(letters)) > 1), 0)
    return names[0][:length].rstrip("0123456789") or ""


def _pattern(group: Group) -> str:
    """``#a.png`` for 1a.png, 2a.png; numbers that are the same in all names stay."""
    rows = [_numbers(p) for p in group.files]
    index = -1

    def replace(found: re.Match[str]) -> str:
        nonlocal index
        index += 1
        return found.group() if len({row[index] for row in rows}) == 1 and len(rows) > 1 else "#"

    name, stem = group.files[0].name, stem_of(group.files[0])
    return _DIGITS.sub(replace, stem) + name[len(stem) :]
