"""Which labelled slices measure instead of train: whole groups, slices or strokes, never single pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .truth import Painted
from .volumes import group_volumes

FEWEST = 3
"""Of fewer slices (or groups) than this, none is held out: each is worth more for learning than for measuring."""

FEWEST_STROKES = 5
"""Of fewer slices with strokes than this, some strokes of each are held out instead of one of the slices."""

SMALLEST = 9
"""Strokes of fewer pixels always train: they would measure little."""

FEWEST_AREAS = 3
"""From so many connected areas on that show a class, an area (whole strokes, work areas) is held out with all in it."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Measured:
    """Pixels of a slice that measured: a mask of a part of it, its corner there, and rows and columns of the slice."""

    mask: Mask
    corner: tuple[int, int]
    whole: tuple[int, int]

    def on(self, shape: tuple[int, ...]) -> Mask:
        """The same pixels on another grid over the slice, (Y, X)."""
        result = self.mask
        for axis in (0, 1):
            at = ((np.arange(shape[axis]) + 0.5) * self.whole[axis] / shape[axis]).astype(int) - self.corner[axis]
            inside = (at >= 0) & (at < self.mask.shape[axis])
            taken = result.take(np.where(inside, at, 0), axis)
            result = taken & np.expand_dims(inside, 1 - axis)
        return result


WHOLLY = Measured(np.ones((1, 1), bool), (0, 0), (1, 1))
"""All pixels of a slice, whatever its size."""


@dataclass(frozen=True)
class Past:
    """What became of slices in earlier trainings of the same lineage, by identity.

    Attributes
    ----------
    trained
        Slices that have trained, wholly or in part.
    measured
        Slices that have measured, and the pixels that did.
    """

    trained: frozenset[str] = frozenset()
    measured: Mapping[str, Measured] = field(default_factory=dict)


NOTHING = Past()


def hold_out(
    painted: Sequence[Painted],
    share: float,
    background: frozenset[int] = frozenset({0}),
    past: Past = NOTHING,
    *,
    empty: bool = False,
) -> tuple[list[Painted], list[Painted], str]:
    """Split labelled slices into those that train and those that measure, the same way each time.

    By group where groups are given, or where there are many volumes. Else inner slices, evenly spread: the first and
    last of a series show where the anatomy begins and ends, which nothing else could teach. Of a few slices with
    strokes, connected strokes of one class. What is alone with some class stays; what measured in an earlier training
    goes on measuring only; what a model labelled and the user accepted as it was measures only where nothing else can.

    Parameters
    ----------
    background
        Values that are no class.
    empty
        Whether slices without any class measure something, too.

    Returns
    -------
    training, held out, note
    """
    if share == 0:
        return list(painted), [], ""
    painted = group_volumes(painted, past.trained, past.measured)
    units: dict[str, list[Painted]] = {}
    for i, one in enumerate(painted):
        units.setdefault(one.group or f"\0{i}", []).append(one)
    groups = list(units.values())
    strokes = [group for group in groups if any(_is_partial(one) for one in group)]
    divided = [one for one in painted if one.identity in past.trained and one.identity in past.measured]
    most = FEWEST if any(one.group for one in painted) else FEWEST_STROKES
    if divided or (strokes and len(groups) < most and len(groups) - len(strokes) < FEWEST):
        return _split_strokes(painted, share, background, past)
    return _split_groups(groups, share, background, past, empty)


def _is_partial(one: Painted) -> bool:
    return one.unlabelled is not None and bool((one.values == one.unlabelled).any())


def _split_groups(
    groups: Sequence[list[Painted]], share: float, background: frozenset[int], past: Past, empty: bool
) -> tuple[list[Painted], list[Painted], str]:
    """Hold out whole groups; each slice is one where none are given."""
    shows = [{v for one in group for v in one.shown} for group in groups]
    chosen: set[int] = set()
    for i, group in enumerate(groups):
        again = any(one.identity in past.measured for one in group)
        # What is the only place of a class must teach it, whatever it did before.
        if again and not is_alone(i, shows, chosen):
            chosen.add(i)
    if not chosen and len(groups) < FEWEST:
        note = "" if past.measured else f"Fewer than {FEWEST} labelled slices or groups: none is held out to measure."
        return [one for group in groups for one in group], [], note
    candidates = [i for i in inner(groups) if i not in chosen and not is_alone(i, shows)]
    # A slice of background measures no class.
    showing = [i for i in candidates if shows[i] - background] or candidates
    trained = {i for i in candidates if any(one.identity in past.trained for one in groups[i])}
    plain = [i for i in candidates if i not in showing and i not in trained]
    candidates = showing
    fresh = [i for i in candidates if i not in trained]
    wanted = max(1, round(len(groups) * share)) - len(chosen)
    # The start model has seen slices that trained before, and may have labelled what was accepted: both flatter it.
    drawn = [i for i in fresh if not all(one.accepted for one in groups[i])]
    _choose(drawn or ([] if chosen or past.measured else fresh or candidates), wanted, shows, chosen)
    if empty and len(plain) >= FEWEST:
        _choose(plain, max(1, round(len(plain) * share)), shows, chosen)
    if not chosen:
        note = "" if past.measured else "Each labelled slice has a class of its own: none is held out to measure."
        return [one for group in groups for one in group], [], note
    training = [one for i, group in enumerate(groups) if i not in chosen for one in group]
    return training, [one for i in sorted(chosen) for one in groups[i]], ""


def _choose(candidates: Sequence[int], wanted: int, shows: Sequence[set[int]], chosen: set[int]) -> None:
    """Add evenly spread candidates to ``chosen``: of neighbours, the one with most classes not yet measured."""
    wanted = min(wanted, len(candidates))
    for n in range(wanted):
        part = candidates[n * len(candidates) // wanted : (n + 1) * len(candidates) // wanted]
        covered = set().union(*(shows[i] for i in chosen))
        middle = part[len(part) // 2]
        best = sorted(part, key=lambda i: (-len(shows[i] - covered), -len(shows[i]), abs(i - middle)))
        # Two held-out slices may be the only ones with a class between them.
        chosen.update([i for i in best if not is_alone(i, shows, without=chosen)][:1])


@dataclass(frozen=True)
class _Stroke:
    """Connected pixels: the slice they are in, their number there, what they show, how many they are."""

    at: int
    number: int
    shows: tuple[int, ...]
    size: int

    @property
    def key(self) -> tuple[int, int]:
        return self.at, self.number


def _split_strokes(
    painted: Sequence[Painted], share: float, background: frozenset[int], past: Past
) -> tuple[list[Painted], list[Painted], str]:
    """Hold out every fifth connected stroke; a slice may then be both, with a part of its strokes."""
    areas = [label_connected(one.values != one.unlabelled) if _counts_zero(one) else None for one in painted]
    showing = sum(len(np.unique(a[~np.isin(one.values, [*background])])) for a, one in zip(areas, painted, strict=True)
                  if a is not None)  # fmt: skip
    fields, strokes, held = [], [], set()
    for at, (one, area) in enumerate(zip(painted, areas, strict=True)):
        numbers = area if area is not None and showing >= FEWEST_AREAS else _number_by_value(one)
        if not _is_partial(one):
            numbers = np.zeros(one.values.shape, np.int32)
        before = past.measured.get(one.identity)
        if before is not None:
            shape = one.values.shape
            again = before.on(shape) if one.identity in past.trained else np.ones(shape, bool)
            if not _is_partial(one):
                numbers = again.astype(np.int32)
            held |= {(at, int(n)) for n in np.unique(numbers[again]) if n}
        fields.append(numbers)
        strokes += _describe(at, numbers, one.values)
    dense = [one for one in painted if not _is_partial(one) and one.identity not in past.measured]
    whole = {value for one in dense for value in one.shown}
    _choose_strokes(strokes, share, whole, held)
    parts = [np.isin(f, [n for at, n in held if at == i]) & (f > 0) for i, f in enumerate(fields)]
    measuring = [_only(one, part) for one, part in zip(painted, parts, strict=True) if part.any()]
    if not any(one.shown - background for one in measuring):
        note = "" if past.measured else "There are too few strokes to hold some out: nothing is measured."
        return list(painted), [], note
    training = [_only(one, ~part) if part.any() else one for one, part in zip(painted, parts, strict=True)]
    return [one for one in training if one.shown], measuring, ""


def _describe(at: int, numbers: npt.NDArray[np.int32], values: npt.NDArray[Any]) -> list[_Stroke]:
    """The numbered strokes of slice ``at``."""
    inside = numbers > 0
    codes, sizes = np.unique(np.stack([numbers[inside], values[inside]]).astype(np.int64), axis=1, return_counts=True)
    shows: dict[int, list[int]] = {}
    total: dict[int, int] = {}
    for number, value, size in zip(*codes.tolist(), sizes.tolist(), strict=True):
        shows.setdefault(number, []).append(value)
        total[number] = total.get(number, 0) + size
    return [_Stroke(at, number, tuple(shows[number]), total[number]) for number in shows]


def _choose_strokes(strokes: Sequence[_Stroke], share: float, whole: set[int], held: set[tuple[int, int]]) -> None:
    """Add to ``held`` every fifth stroke of each kind, evenly spread, of middling size; each class keeps one."""
    for kind in sorted({s.shows for s in strokes}):
        own = [s for s in strokes if s.shows == kind]
        already = sum(s.key in held for s in own)
        free = [s for s in own if s.key not in held and s.size >= SMALLEST]
        wanted = max(1, round(len(own) * share)) - already
        if len(own) - already + (whole >= {*kind}) < 2 or not free or wanted <= 0:
            continue
        for part in np.array_split(np.arange(len(free)), min(wanted, len(free))):
            middling = sorted((free[i] for i in part), key=lambda s: s.size)[len(part) // 2]
            held.add(middling.key)
    for value in {v for s in strokes for v in s.shows} - whole:
        own = [s for s in strokes if value in s.shows]
        if all(s.key in held for s in own):
            held.discard(max(own, key=lambda s: s.size).key)


def _counts_zero(one: Painted) -> bool:
    return _is_partial(one) and one.unlabelled != 0


def _number_by_value(one: Painted) -> npt.NDArray[np.int32]:
    """Numbers from 1 for the connected pixels of each value that counts, 0 elsewhere."""
    numbers = np.zeros(one.values.shape, np.int32)
    for value in sorted(one.shown):
        own = label_connected(one.values == value)
        numbers[own > 0] = own[own > 0] + numbers.max()
    return numbers


def label_connected(mask: Mask) -> npt.NDArray[np.int32]:
    """Numbers from 1 for the connected parts of a mask (Y, X), diagonals too, 0 elsewhere."""
    from scipy.ndimage import label

    numbers: npt.NDArray[np.int32] = label(mask, np.ones((3, 3)), output=np.int32)[0]
    return numbers


def _only(one: Painted, mask: Mask) -> Painted:
    """The slice with nothing labelled outside of ``mask``."""
    unlabelled = int(one.values.max()) + 1 if one.unlabelled is None else one.unlabelled
    values = one.values.astype(np.result_type(one.values.dtype, np.min_scalar_type(unlabelled)))
    values[~mask] = unlabelled
    return replace(one, values=values, unlabelled=unlabelled)


def inner(groups: Sequence[Sequence[Painted]]) -> list[int]:
    """Indices of groups without the first and last slice of each series of at least `FEWEST`."""
    if any(group[0].group for group in groups):
        return list(range(len(groups)))
    series: dict[int, list[int]] = {}
    for i, group in enumerate(groups):
        series.setdefault(id(group[0].image), []).append(i)
    ends = {i for own in series.values() if len(own) >= FEWEST for i in (own[0], own[-1])}
    return [i for i in range(len(groups)) if i not in ends]


def is_alone(i: int, shows: Sequence[set[int]], without: set[int] = frozenset()) -> bool:  # type: ignore[assignment]
    """Whether some value is in no other group than ``i`` (and those in ``without``)."""
    others = set().union(*(s for j, s in enumerate(shows) if j != i and j not in without))
    return bool(shows[i] - others)
