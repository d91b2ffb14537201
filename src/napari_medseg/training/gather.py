"""Read the images and masks of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from napari_medseg.core import InputError

from .options import TrainOptions
from .run import Pair
from .truth import Painted, paint
from .watch import Watch


def gather(pairs: Sequence[Pair], options: TrainOptions, watch: Watch) -> list[Painted]:
    """Snapshots of all labelled slices of the pairs; files that cannot be read are left out and said.

    Of the options, the group and the value that does not count hold where a pair has none of its own.

    Raises
    ------
    InputError
        No file can be read, an image has no mask or another size than its mask, or nothing is labelled.
    """
    painted: list[Painted] = []
    unread: list[InputError] = []
    for number, pair in expand(pairs, watch):
        try:
            painted.extend(replace(one, pair=number) for one in read_painted(pair, options, watch))
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


def read_painted(pair: Pair, options: TrainOptions, watch: Watch) -> list[Painted]:
    from napari_medseg.io import read_pair

    image, labels, slices = read_pair(pair.image, pair.labels)
    for finding in (*image.findings, *labels.findings):
        if finding.code == "UNREADABLE":
            watch.say(finding.message)
    chosen = slices if pair.slices is None else [z for z in pair.slices if z in slices]
    if pair.slices and not chosen:
        raise InputError(f"None of the chosen slices of {pair.image.name} has a mask in {pair.labels.name}.")
    unlabelled = options.unlabelled if pair.unlabelled is None else pair.unlabelled
    return [
        replace(
            one, group=pair.group or one.group, value_range=pair.range, unlabelled=unlabelled,
            newest=one.z in pair.newest,
        )
        for one in paint(image, labels, chosen, "" if pair.group else options.group)
    ]  # fmt: skip


def expand(pairs: Sequence[Pair], watch: Watch) -> list[tuple[int, Pair]]:
    """Folders become the pairs in them, with the number of the pair they come from; what has no partner is said."""
    from napari_medseg.io import match_pairs

    expanded: list[tuple[int, Pair]] = []
    for number, pair in enumerate(pairs):
        found = match_pairs(pair.image, pair.labels)
        reasons = Counter(found.unmatched.values())
        for path, reason in found.unmatched.items():
            if reasons[reason]:
                others = f" So it is for {reasons[reason] - 1} other files." if reasons[reason] > 1 else ""
                watch.say(f"{path.name}: {reason}{others}")
                reasons[reason] = 0
        parts = (pair.model_copy(update={"image": one.image, "labels": one.mask}) for one in found)
        expanded.extend((number, part) for part in parts)
    return expanded
