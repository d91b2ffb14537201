"""Which labelled slices measure instead of train: whole slices or whole groups, never pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .truth import Painted

FEWEST = 3
"""Of fewer slices (or groups) than this, none is held out: each is worth more for learning than for measuring."""


def hold_out(
    painted: Sequence[Painted], share: float, unlabelled: int | None
) -> tuple[list[Painted], list[Painted], str]:
    """Split labelled slices into those that train and those that measure, the same way each time.

    By group where groups are given. Else inner slices, evenly spread: the first and last of a series show where the
    anatomy begins and ends, which nothing else could teach. A slice that is the only one with some class stays.

    Returns
    -------
    training, held out, note
    """
    units: dict[str, list[Painted]] = {}
    for i, one in enumerate(painted):
        units.setdefault(one.group or f"\0{i}", []).append(one)
    groups = list(units.values())
    if len(groups) < FEWEST or share == 0:
        why = "" if share == 0 else f"Fewer than {FEWEST} labelled slices or groups: none is held out to measure."
        return list(painted), [], why
    shows = [{v for one in group for v in one.where(unlabelled)} for group in groups]
    candidates = [i for i in _inner(groups) if not _alone(i, shows)]
    # A slice of background measures no class.
    candidates = [i for i in candidates if shows[i] - {0}] or candidates
    if not candidates:
        return list(painted), [], "Each labelled slice has a class of its own: none is held out to measure."
    wanted = min(len(candidates), max(1, round(len(groups) * share)))
    chosen: set[int] = set()
    for place in (np.arange(wanted) + 0.5) / wanted * len(candidates):
        i = candidates[int(place)]
        # Two held-out slices may be the only ones with a class between them.
        if not _alone(i, shows, without=chosen):
            chosen.add(i)
    training = [one for i, group in enumerate(groups) if i not in chosen for one in group]
    return training, [one for i in sorted(chosen) for one in groups[i]], ""


def _inner(groups: Sequence[Sequence[Painted]]) -> list[int]:
    """Indices of groups without the first and last slice of each series of at least `FEWEST`."""
    if any(group[0].group for group in groups):
        return list(range(len(groups)))
    series: dict[int, list[int]] = {}
    for i, group in enumerate(groups):
        series.setdefault(id(group[0].image), []).append(i)
    ends = {i for own in series.values() if len(own) >= FEWEST for i in (own[0], own[-1])}
    return [i for i in range(len(groups)) if i not in ends]


def _alone(i: int, shows: Sequence[set[int]], without: set[int] = frozenset()) -> bool:  # type: ignore[assignment]
    """Whether some value is in no other group than ``i`` (and those in ``without``)."""
    others = set().union(*(s for j, s in enumerate(shows) if j != i and j not in without))
    return bool(shows[i] - others)
