"""Which classes the new model has, and whether some of them are sides."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from napari_medseg.core import ClassInfo, InputError, told_apart

from .naming import is_background, listed
from .truth import Painted

_SIDE = re.compile(r"(?<![a-z])(left|right|links|rechts)(?![a-z])", re.IGNORECASE)


def find_classes(painted: Sequence[Painted], names: Sequence[ClassInfo]) -> tuple[ClassInfo, ...]:
    """Classes that occur in the masks, in the order of their values; names from ``names``, else from the masks.

    Raises
    ------
    InputError
        Two of them have the same name, or two masks call the same value differently.
    """
    named = _name_values(painted, {c.value: c for c in names})
    values = {value for one in painted for value in one.shown} - {0}
    found = [named.get(value) or ClassInfo.numbered(value) for value in sorted(values)]
    first: dict[str, int] = {}
    for c in found:
        if first.setdefault(c.name, c.value) != c.value and not is_background(c):
            raise InputError(
                f"The mask values {first[c.name]} and {c.value} are both named '{c.name}'.",
                "Give each class a name of its own.",
            )
    return tuple(found)


def _name_values(painted: Sequence[Painted], given: dict[int, ClassInfo]) -> dict[int, ClassInfo]:
    """The class of each value; a name somebody gave stands above the one that a value has by itself."""
    named: dict[int, ClassInfo] = {}
    for one in painted:
        for c in (c for c in one.classes if c.value in one.shown and c.value not in given):
            other = named.setdefault(c.value, c)
            if other.name == c.name or c.name == ClassInfo.numbered(c.value).name:
                continue
            if other.name != ClassInfo.numbered(c.value).name:
                raise InputError(
                    f"The value {c.value} is named '{other.name}' in one mask and '{c.name}' in that of {one.name}.",
                    "Give a class the same value and name in all masks.",
                )
            named[c.value] = c
    return named | given


def background_values(painted: Sequence[Painted], names: Sequence[ClassInfo]) -> frozenset[int]:
    """Values that mean background: 0, and those of a class of that name."""
    named = _name_values(painted, {c.value: c for c in names})
    return frozenset({0} | {value for value, c in named.items() if is_background(c)})


def find_absent(painted: Sequence[Painted], names: Sequence[ClassInfo], unlabelled: int | None) -> list[str]:
    """What to say about values that were spoken of and are in no mask."""
    seen = {int(v) for one in painted for v in np.unique(one.values)}
    said = about_absent(names, seen)
    if unlabelled is not None and unlabelled not in seen:
        said.append(f"The unlabelled value {unlabelled} is in no mask: every pixel counts.")
    return said


def about_absent(names: Iterable[ClassInfo], seen: Collection[int]) -> list[str]:
    """What to say about named values that are not among those of the masks, where no other value has their name."""
    there = {c.name for c in names if c.value in seen}
    return [f"Value {c.value}, named '{c.name}', is in no mask." for c in names if c.name not in there]


def merge_classes(
    old: Sequence[ClassInfo], found: Sequence[ClassInfo]
) -> tuple[tuple[ClassInfo, ...], dict[int, int], list[str]]:
    """The new model's classes: those of its start, in their order, and then what is new in the masks.

    A class is the same when its name is; a class of the masks that has no name of its own is the start's class of that
    value, or its only class.

    Returns
    -------
    classes, index, notes
        ``index`` has the class index of each mask value, 0 for background; ``notes`` what a user should know.
    """
    notes: list[str] = []
    unnamed = [c for c in found if c.name == ClassInfo.numbered(c.value).name]
    by_value = {c.value: c for c in old}
    given = {c.name for c in found}
    renamed = {
        c.value: by_value[c.value] for c in unnamed if c.value in by_value and by_value[c.value].name not in given
    }
    if len(old) == len(found) == len(unnamed) == 1 and not renamed:
        renamed = {found[0].value: old[0].model_copy(update={"value": found[0].value})}
        notes.append(f"Mask value {found[0].value} was taken as '{old[0].name}', the only class of the start model.")
    if len(old) > 1 and len(found) == len(unnamed) == 1:
        # A mask of 0 and 1 for a model of several classes is far more often all of them in one than the first alone.
        renamed = {}
    background = [c for c in found if is_background(c)]
    painted = {renamed.get(c.value, c).name: renamed.get(c.value, c) for c in found if c not in background}
    taken = {c.value for c in found}
    classes: list[ClassInfo] = []
    unpainted: list[str] = []
    if old and not {c.name for c in old} & {*painted}:
        said = f"The masks have other classes than the start model: {', '.join(painted)}."
        if len(painted) == 1 < len(old):
            whole = ", ".join(c.name for c in old)
            said = f"{listed([*painted])} begins as all classes of the start model together: {whole}."
        notes.append(said)
        old = ()
    for c in old:
        if c.name in painted:
            classes.append(painted.pop(c.name))
        elif c.value in taken:
            notes.append(f"The start model's class '{c.name}' gave way to another class with its value {c.value}.")
        else:
            classes.append(c)
            unpainted.append(c.name)
    if unpainted:
        are, their = ("is", "its") if len(unpainted) == 1 else ("are", "their")
        notes.append(
            f"{listed(unpainted)} {are} painted in no mask; where masks are whole, {their} pixels count as background."
        )
    classes.extend(painted.values())
    index = {0: 0} | {c.value: 0 for c in background} | {c.value: i for i, c in enumerate(classes, 1)}
    return told_apart(classes), index, notes


def check_painted(painted: Sequence[Painted], classes: Sequence[ClassInfo], index: dict[int, int]) -> None:
    """Refuse masks from which nothing can be learnt.

    Raises
    ------
    InputError
        Nothing is painted, or everything that is painted is one and the same class.
    """
    seen = {index[value] for one in painted for value in one.shown}
    if not seen - {0}:
        raise InputError("No class is painted in the labelled slices.", "Paint at least one class in one slice.")
    if len(seen) == 1:
        name = classes[seen.pop() - 1].name
        raise InputError(
            f"Only '{name}' is painted, so nothing shows what is not '{name}'.",
            "Paint some background as a class of its own, named background, or give whole masks.",
        )


def are_sides(classes: Sequence[ClassInfo], places: Iterable[Mapping[int, float]]) -> str:
    """Why images must not be mirrored; empty when they may be.

    ``places`` has, for each slice, where the classes in it lie: their index, and mean column as a share of the width.
    Not mirroring costs a little variety, mirroring a left side into a right one ruins the model: so one sign is enough.
    """
    if named := [c.name for c in classes if _SIDE.search(c.name)]:
        return f"'{named[0]}' names a side"
    columns: dict[int, list[float]] = {}
    order: dict[tuple[int, int], list[bool]] = {}
    for found in places:
        for k, x in found.items():
            columns.setdefault(k, []).append(x)
            for other, x_other in found.items():
                # Two centres that are close belong to things above or inside each other, not side by side.
                if k < other:
                    order.setdefault((k, other), []).append(x < x_other)
                    if abs(x - x_other) < 0.1:
                        order[k, other] += [True, False]
    for (a, b), signs in order.items():
        if len({*signs}) == 1:
            left, right = (a, b) if signs[0] else (b, a)
            shown = "the one slice that shows both" if len(signs) == 1 else f"all {len(signs)} slices that show both"
            return f"'{classes[left - 1].name}' lies left of '{classes[right - 1].name}' in {shown}"
    for k, xs in columns.items():
        if len(xs) >= 3 and (max(xs) < 0.4 or min(xs) > 0.6):
            return f"'{classes[k - 1].name}' lies on one side of every slice"
    return ""
