"""Read the images and masks of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from napari_medseg.core import InputError

from .run import Pair
from .truth import Painted, paint
from .watch import Watch


def gather(pairs: Sequence[Pair], group: str, watch: Watch) -> list[Painted]:
    """Snapshots of all labelled slices of the pairs; files that cannot be read are left out and said.

    Raises
    ------
    InputError
        No file can be read, an image has no mask or another size than its mask, or nothing is labelled.
    """
    painted: list[Painted] = []
    unread: list[InputError] = []
    for pair in expand(pairs, watch):
        try:
            painted.extend(read_painted(pair, group, watch))
        except InputError as error:
            # Files of another size are a mistake of the user's and are refused; a damaged one is left out.
            if not is_damage(error, pair):
                raise
            unread.append(error)
            watch.say(f"{pair.image.name} is left out: {error.message}")
        watch.beat()
    if unread and not painted:
        raise unread[0]
    if not painted:
        raise InputError("No image has a mask.", "Masks are named like their images, or NAME_mask.")
    return painted


def is_damage(error: InputError, pair: Pair) -> bool:
    """Whether reading failed because a file is damaged, not because files do not fit."""
    from napari_medseg.io import find_series
    from napari_medseg.io.pixels import DamagedError

    if isinstance(error, DamagedError):
        return True
    try:
        for path in (pair.image, pair.labels):
            find_series(path)
    except InputError:
        return True
    return False


def read_painted(pair: Pair, group: str, watch: Watch) -> list[Painted]:
    from napari_medseg.io import read_pair

    image, labels, slices = read_pair(pair.image, pair.labels)
    for finding in (*image.findings, *labels.findings):
        if finding.code == "UNREADABLE":
            watch.say(finding.message)
    chosen = slices if pair.slices is None else [z for z in pair.slices if z in slices]
    if pair.slices and not chosen:
        raise InputError(f"None of the chosen slices of {pair.image.name} has a mask in {pair.labels.name}.")
    painted = paint(image, labels, chosen, "" if pair.group else group)
    return [replace(one, group=pair.group or one.group, value_range=pair.range) for one in painted]


def expand(pairs: Sequence[Pair], watch: Watch) -> list[Pair]:
    """Folders become the pairs in them; what has no partner is said."""
    from napari_medseg.io import match_pairs

    expanded: list[Pair] = []
    for pair in pairs:
        found = match_pairs(pair.image, pair.labels)
        reasons = Counter(found.unmatched.values())
        for path, reason in found.unmatched.items():
            if reasons[reason]:
                others = f" So it is for {reasons[reason] - 1} other files." if reasons[reason] > 1 else ""
                watch.say(f"{path.name}: {reason}{others}")
                reasons[reason] = 0
        expanded.extend(pair.model_copy(update={"image": one.image, "labels": one.mask}) for one in found)
    return expanded
