"""Those slices of masks that a list of images names, such as the test of a training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from napari_medseg.core import Geometry, InputError, Labels
from napari_medseg.io.pairs.listing import Listed

from .partners import Match, image_keys, laid_like, match_slices, slice_key

Pair = tuple[Labels, Labels]


def only_listed(pairs: Iterable[Pair], rows: Sequence[Listed]) -> list[Pair]:
    """The (prediction, truth) pairs with nothing in them but the listed slices; those without any are left out.

    Files are known by their names, as masks are: without suffix and ``mask``. Those that several pairs call the same
    are known by the names of their folders, too.

    Raises
    ------
    InputError
        None of them is listed.
    """
    keys = [(row, key) for row in rows for key in image_keys(row.image.name)]
    named = {key for row, key in keys if row.slice is None}
    placed = {(key, row.slice) for row, key in keys if row.slice is not None}

    inside = {(row.image.parent.name, slice_key(row.image.name)) for row in rows if row.slice is None}
    pairs = list(pairs)
    counts = Counter(slice_key(name) for _, truth in pairs if len(truth) > 1 for name in truth.names)

    def is_listed(truth: Labels, match: Match) -> bool:
        _, t, name = match
        if counts[slice_key(name)] > 1 and truth.source is not None:
            return (truth.source.name, slice_key(name)) in inside
        file = "" if truth.source is None else slice_key(truth.source.name)
        return slice_key(name) in named or (not truth.is_stack and file in named) or (file, t) in placed

    found = []
    for given, truth in pairs:
        prediction = laid_like(given, truth)
        matches = match_slices(prediction, truth)[0]
        kept = [match for match in matches if is_listed(truth, match)]
        if len(kept) == len(matches):
            found.append((prediction, truth))
        elif kept:
            names = tuple(name for _, _, name in kept)
            ours, theirs = [p for p, _, _ in kept], [t for _, t, _ in kept]
            found.append((_take(prediction, ours, names), _take(truth, theirs, names)))
    if not found:
        raise InputError("None of these masks is listed there.", "Give the masks of the images that are.")
    return found


def _take(labels: Labels, slices: Sequence[int], names: tuple[str, ...]) -> Labels:
    """A stack of some of the slices."""
    geometry = Geometry(spacing=labels.geometry.spacing, unit=labels.geometry.unit)
    return replace(
        labels, data=np.stack([labels.slice(z) for z in slices]), names=names, levels=(), look_at=(), look_in=(),
        geometry=geometry,
        missing=frozenset(i for i, z in enumerate(slices) if z in labels.missing),
        presence={i: labels.presence[z] for i, z in enumerate(slices) if z in labels.presence},
    )  # fmt: skip
