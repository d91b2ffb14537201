"""Which slices are most worth a look: the network was unsure, or the result does not go with the slices beside."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

APART = 3
"""Slices up to this near to a labelled or suggested one show much the same."""

SPREAD_EVERY = 3
"""Every third suggestion is the slice farthest from all others: a network can be wrong and sure of it."""

FOUND = 1e-4
"""Share of a slice's pixels from which on a class counts as found; less is a speck."""

WEIGHTS = (2, 1)
"""Of the network's doubt and of the misfit between the neighbours."""

Figures = Mapping[str, float]
Doubt = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


def suggest_slices(figures: Mapping[int, Figures], number: int, labelled: Collection[int] = ()) -> tuple[int, ...]:
    """Slices most worth a look after a run, best first; the same figures always give the same slices.

    Parameters
    ----------
    figures
        What a run reported of each slice it finished, by slice: ``border`` and ``patch`` (the network's doubt) and
        those of `measure_fit`. Only these slices can be suggested.
    number
        How many; fewer come back only when there are not so many.
    labelled
        Slices that need no look: painted or accepted by the user. Their surroundings are left out too, while there is
        anything else.
    """
    slices = sorted(figures)
    return choose(slices, rank_doubt([figures[z] for z in slices]), number, labelled)


def suggest_images(figures: Mapping[str, Figures], number: int) -> tuple[str, ...]:
    """Names of the single images most worth a look, best first: images that have no order have no neighbours."""
    alone = [{key: one[key] for key in ("border", "patch") if key in one} for one in figures.values()]
    doubt = dict(zip(figures, rank_doubt(alone), strict=True))
    return tuple(sorted(figures, key=lambda name: (-doubt[name], name))[:number])


def rank_doubt(figures: Sequence[Figures]) -> Doubt:
    """Doubt about each of n slices in order, (n,), 0 to 1: the weighted mean of its ranks among all by two figures.

    The figures are the doubt at the border, or in the worst patch where nothing was found, and the misfit between the
    neighbours; slices at the ends, which have no misfit, count as the middle one. Ranks, because these have no common
    scale; rank sums are Borda's (Histoire de l'Académie royale des sciences, 1781). Measured on femur CT and phantoms:
    the worst patch beside the border, and the disagreement with a mirrored or smaller input (an extra pass), found
    wrong slices no better.
    """
    border, patch = (_rank(_column(figures, name)) for name in ("border", "patch"))
    misfits = find_misfits(figures)
    unsure = np.where(np.isfinite(border), border, patch)
    # Nothing found where something must be speaks for itself, however sure the network was.
    unsure[~np.isfinite(border) & (misfits >= 1)] = 1
    ranks = np.array([unsure, _rank(misfits)])
    doubt: Doubt = np.average(np.where(np.isfinite(ranks), ranks, 0.5), axis=0, weights=WEIGHTS)
    return doubt


def find_misfits(figures: Sequence[Figures]) -> Doubt:
    """How badly each of n slices in order goes between the slices before and after it, (n,); NaN at the ends.

    Besides what `measure_fit` says of three slices, a class counts that is found in slices before and after and not
    here, however far away they are.
    """
    found = np.nan_to_num(_column(figures, "found"))
    before, after = np.maximum.accumulate(found), np.maximum.accumulate(found[::-1])[::-1]
    misfit = np.full(len(figures), np.nan)
    misfit[1:-1] = _column(figures, "before")[2:]
    return misfit + np.maximum(0, np.minimum(before, after) - found)


def measure_fit(
    labels: npt.NDArray[Any], earlier: Sequence[npt.NDArray[Any]], values: Sequence[int]
) -> dict[str, float]:
    """Figures of a slice, and of the one before it, that `find_misfits` takes.

    Parameters
    ----------
    labels
        (Y, X).
    earlier
        The slice before, and the one before that; fewer at the start of a stack.
    values
        Of the classes.

    Returns
    -------
    dict
        ``found``: number of classes in this slice. ``before``: misfit of the slice before, 0 to 1: its pixels that
        neither neighbour has and those that both have and it lacks, as a share of all those it has or should have;
        mean over the classes. So neither steady growth, nor thick slices, nor a bone that ends honestly count.
    """
    least = FOUND * labels.size
    figures = {"found": float(sum(np.count_nonzero(labels == value) >= least for value in values))}
    if len(earlier) < 2:
        return figures
    shares = []
    for value in values:
        after, here, before = (plane == value for plane in (labels, *earlier))
        should = after & before
        size = np.count_nonzero(here | should)
        if size >= least:
            astray = np.count_nonzero(here & ~(after | before)) + np.count_nonzero(should & ~here)
            shares.append(astray / size)
    return {**figures, "before": float(np.mean(shares)) if shares else 0.0}


def choose(slices: Sequence[int], doubt: Doubt, number: int, labelled: Collection[int] = ()) -> tuple[int, ...]:
    """The ``number`` slices of most doubt that are not near each other or a labelled one; every third far from all.

    Parameters
    ----------
    slices
        Candidates, ascending.
    doubt
        Of each of them.
    number
        How many. When fewer are far enough from the others, nearer ones follow, down to those next to a labelled one.
    labelled
        Never chosen.
    """
    places = np.array(slices, dtype=np.int64)
    taken = np.array(sorted(labelled), dtype=np.int64)
    return tuple(int(places[i]) for i in _pick(places[:, np.newaxis], doubt, number, taken[:, np.newaxis]))


def choose_squares(doubt: Doubt, number: int) -> tuple[tuple[int, int], ...]:
    """The places (row, column) of most doubt in a map of it, (R, C), by the rules of `choose`."""
    places = np.argwhere(np.ones(doubt.shape, bool))
    return tuple((int(r), int(c)) for r, c in places[_pick(places, doubt.ravel(), number, places[:0])])


def _pick(places: Places, doubt: Doubt, number: int, taken: Places) -> list[int]:
    """Indices into ``places``, (n, axes) in order; a distance is that along the axis where it is largest."""
    far = np.iinfo(np.int64).max
    distance = np.full(len(places), far)
    for place in taken:
        distance = np.minimum(distance, np.abs(places - place).max(1))
    chosen: list[int] = []
    while len(chosen) < number and (distance > 0).any():
        allowed = np.flatnonzero(distance > min(APART, distance.max() - 1))
        spread = (len(chosen) + 1) % SPREAD_EVERY == 0 and distance[0] < far
        # lexsort: the last key counts first; of equals the first place stays first.
        keys = (-doubt, -distance) if spread else (-doubt,)
        best = allowed[np.lexsort([key[allowed] for key in keys])[0]]
        chosen.append(int(best))
        distance = np.minimum(distance, np.abs(places - places[best]).max(1))
    return chosen


def _column(figures: Sequence[Figures], name: str) -> Doubt:
    return np.array([one.get(name, np.nan) for one in figures], dtype=np.float64)


def _rank(values: Doubt) -> Doubt:
    """Mean ranks from 0 to 1 of those that are numbers; NaN stays."""
    ranks = np.full(values.shape, np.nan)
    known = np.isfinite(values)
    _, place, ties = np.unique(values[known], return_inverse=True, return_counts=True)
    ranks[known] = ((np.cumsum(ties) - ties / 2) / max(known.sum(), 1))[place]
    return ranks
