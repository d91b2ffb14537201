"""Read the images and masks of a run."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_medseg.core import ClassInfo, InputError, Labels, settle_names

from .naming import is_background, merged_class, merged_in_words
from .options import TrainOptions
from .pair import Pair
from .run import TrainingRun
from .truth import Painted, paint
from .watch import Watch

if TYPE_CHECKING:
    from napari_medseg.io import FilePair
    from napari_medseg.io.masks.legend import Legend

TOLD = ("UNREADABLE", "OVERLAP", "ONE_HOT_MASK", "MATCHED_BY_ORDER", "SIDECAR_MISMATCH", "SOFT_MASK")
"""Findings about masks that may change what is learnt."""


@dataclass(frozen=True)
class Reading:
    """How the masks of a run become classes.

    Attributes
    ----------
    legend
        The colours of coloured masks; None leaves it to each mask.
    merged
        The class as which all are taken; None keeps them apart.
    background
        Values that are no class, beside 0.
    """

    legend: Legend | None = None
    merged: ClassInfo | None = None
    background: tuple[int, ...] = ()


def _check_once(found: FilePair, read: Sequence[Painted], masks: dict[tuple[Path, str, int], Path]) -> None:
    """Refuse a second mask for a slice: what one calls a class, the other calls background."""
    for one in read:
        first = masks.setdefault((found.image, found.series, one.z), found.mask)
        if first != found.mask:
            ours, theirs = (f"{path.parent.name}/{path.name}" for path in (first, found.mask))
            raise InputError(
                f"{found.image.name} is given twice, with the masks {ours} and {theirs}.",
                "For masks of several classes, give one folder that holds a folder for each class.",
            )


def find_reading(run: TrainingRun, watch: Watch) -> Reading:
    """How all masks of a run are read, those that only measure too; colours that nobody named are said.

    Raises
    ------
    InputError
        Masks are coloured pictures, or several classes are named of which one is to be made.
    """
    from napari_medseg.io.masks.colors import find_legend
    from napari_medseg.io.masks.legend import Legend
    from napari_medseg.io.pairs.matching import list_masks

    given = Legend(classes=run.classes, background=run.background_colors) if run.background_colors else None
    files = [path for pair in (*run.pairs, *run.validation_pairs) for path in list_masks(pair.image, pair.labels)]
    legend, findings = find_legend(files, given)
    for finding in findings:
        watch.say(finding.message)
    ground = tuple(c.value for c in run.classes if is_background(c))
    return Reading(legend, merged_class(run.classes) if run.merge else None, ground)


def gather(pairs: Sequence[Pair], options: TrainOptions, watch: Watch, reading: Reading = Reading()) -> list[Painted]:
    """Snapshots of all labelled slices of the pairs; files that cannot be read are left out and said.

    Of the options, the group and the value that does not count hold where a pair has none of its own.

    Raises
    ------
    InputError
        No file can be read, an image has no mask, two, or another size than its mask, or nothing is labelled.
    """
    painted: list[Painted] = []
    patients: dict[int, str] = {}
    masks: dict[tuple[Path, str, int], Path] = {}
    unread: list[InputError] = []
    for number, found in expand(pairs, watch):
        pair = pairs[number]
        try:
            # The patients of a table are held out as a whole, unless the user says by what to group.
            group = pair.group or ("" if options.group else found.group)
            chosen = pair.model_copy(update={"group": group})
            read = [replace(one, pair=number) for one in read_painted(found, chosen, options, watch, reading)]
            _check_once(found, read, masks)
            patients |= {id(one.image): found.group for one in read}
            painted += read
        except InputError as error:
            # Files of another size are a mistake of the user's and are refused; a damaged one is left out.
            if not is_damage(error, found):
                raise
            unread.append(error)
            watch.say(f"{found.image.name} is left out: {error.message}")
        watch.beat()
    if unread and not painted:
        raise unread[0]
    if not painted:
        raise InputError("No image has a mask.", "Masks are named like their images, or NAME_mask.")
    if reading.merged is not None:
        ground = {*reading.background}
        if said := merged_in_words(frozenset().union(*(_taken(one, ground) for one in painted)), reading.merged):
            watch.say(said)
        painted = [merge(one, reading.merged, ground) for one in painted]
    return group_rest(painted, options.group, patients, watch) if options.group else painted


def group_rest(painted: list[Painted], expression: str, patients: Mapping[int, str], watch: Watch) -> list[Painted]:
    """Slices in whose names the expression finds nothing go by what it finds in the name of their folder, else by the
    patient of their table, else by their volume; where nothing tells any, as without an expression. It is said once.

    Parameters
    ----------
    patients
        By ``id`` of the image; empty where no table tells them.
    """
    folders = _search_folders(painted, expression)
    painted = [one if one.group else replace(one, group=folders[id(one.image)]) for one in painted]
    rest = [one for one in painted if not one.group]
    if not rest:
        return painted
    number = {image: i for i, image in enumerate(dict.fromkeys(id(one.image) for one in rest), 1)}
    told = [bool(patients[id(one.image)]) for one in rest]
    nowhere = len(rest) == len(painted)
    where = "found in no name" if nowhere else f"not found in {len(rest)} of {len(painted)} names"
    if any(told):
        so = "the patients of the table are held out whole" + ("" if all(told) else ", of others the volumes")
    else:
        so = "slices are held out as without it" if nowhere else "their slices are held out by volume"
    watch.say(f"The group '{expression}' is {where}, such as {rest[0].name}: {so}.")
    if nowhere and not any(told):
        return painted
    return [
        one if one.group else replace(one, group=patients[id(one.image)] or f"volume {number[id(one.image)]}")
        for one in painted
    ]


def _search_folders(painted: Sequence[Painted], expression: str) -> dict[int, str]:
    """What an expression finds in the name of the folder of each image's files, by ``id`` of the image, ``""`` where
    nothing; nothing anywhere unless it tells folders apart: one folder of everybody's files is no patient."""
    result = {}
    for one in painted:
        source, names = one.image.source, one.image.names
        inside = bool(names) and source is not None and source.name != names[one.z]  # then it is the folder itself
        folder = "" if source is None else source.name if inside else source.absolute().parent.name
        found = re.search(expression, folder)
        result[id(one.image)] = ((found.group(1) if found.groups() else found.group()) if found else "") or ""
    return result if len({*result.values()} - {""}) > 1 else dict.fromkeys(result, "")


def is_damage(error: InputError, found: FilePair) -> bool:
    """Whether reading failed because a file is damaged, not because files do not fit."""
    from napari_medseg.io import find_series
    from napari_medseg.io.pixels import DamagedError

    if isinstance(error, DamagedError):
        return True
    try:
        for path in (found.image, *found.channels, *found.masks):
            find_series(path)
    except InputError:
        return True
    return False


def read_painted(
    found: FilePair, pair: Pair, options: TrainOptions, watch: Watch, reading: Reading = Reading()
) -> list[Painted]:
    """The labelled slices of one image of a pair; what is odd about its masks is said.

    Raises
    ------
    InputError
        The files cannot be read or do not fit, or none of the chosen slices has a mask.
    """
    from napari_medseg.io import read_pair

    image, labels, slices = read_pair(found, legend=reading.legend)
    names = settle_names(pair.channel_names, image.channels) or image.channel_names
    image = replace(image, modality=pair.modality or image.modality, channel_names=names)
    for finding in (*(f for f in image.findings if f.code == "UNREADABLE"), *labels.findings):
        if finding.code == "SOFT_MASK":  # of a hundred that are alike, the first is named
            if not any(finding.message in note for note in watch.notes):
                called = "".join(f"{name}: " for name in finding.files)
                watch.say(f"{called}{finding.message} Other masks like it are read so, too.")
        elif finding.code in TOLD:
            watch.say(finding.message)
    chosen = slices if pair.slices is None else [z for z in pair.slices if z in slices]
    if pair.slices and not chosen:
        raise InputError(f"None of the chosen slices of {found.image.name} has a mask in {found.mask.name}.")
    unlabelled = options.unlabelled if pair.unlabelled is None else pair.unlabelled
    labels, unlabelled = without_absent(labels, unlabelled)
    return [
        replace(
            one, group=pair.group or one.group, ranges=pair.ranges, unlabelled=unlabelled,
            newest=one.z in pair.newest, accepted=one.z in pair.accepted, part=pair.part,
        )
        for one in paint(image, labels, chosen, "" if pair.group else options.group)
    ]  # fmt: skip


def without_absent(labels: Labels, unlabelled: int | None) -> tuple[Labels, int | None]:
    """The same labels, in which pixels without a result have the value that does not count; and that value."""
    absent = labels.not_computed
    if absent is None or unlabelled in (None, absent):
        return labels, unlabelled if absent is None else absent
    data = np.asarray(labels.data)
    room = data.astype(np.promote_types(data.dtype, np.min_scalar_type(unlabelled)))
    room[data == absent] = unlabelled
    return replace(labels, data=room, not_computed=unlabelled), unlabelled


def merge(one: Painted, merged: ClassInfo, ground: set[int]) -> Painted:
    """The same slice with one class for all of its own; background and what does not count stay."""
    taken, values = _taken(one, ground), one.values
    ours = tuple(c for c in one.classes if is_background(c))
    unlabelled = one.unlabelled
    spare = next(v for v in range(1, 2**32) if v not in {merged.value, unlabelled, *ground, *(c.value for c in ours)})
    values = values.astype(np.promote_types(values.dtype, np.min_scalar_type(max(spare, merged.value))))
    if merged.value not in taken:  # it may be background here, or what does not count
        values[values == merged.value] = spare
        ours = tuple(ClassInfo.numbered(spare, c.name) if c.value == merged.value else c for c in ours)
        unlabelled = spare if unlabelled == merged.value else unlabelled
    values[np.isin(one.values, sorted(taken))] = merged.value
    return replace(one, values=values, classes=(*ours, merged), unlabelled=unlabelled)


def _taken(one: Painted, ground: set[int]) -> frozenset[int]:
    """Values of a slice that are classes."""
    return one.shown - ground - {0} - {c.value for c in one.classes if is_background(c)}


def expand(pairs: Sequence[Pair], watch: Watch) -> list[tuple[int, FilePair]]:
    """Images and masks in folders and tables, with the number of their pair; what has no partner is said."""
    from napari_medseg.io import match_pairs

    expanded: list[tuple[int, FilePair]] = []
    for number, pair in enumerate(pairs):
        found = match_pairs(pair.image, pair.labels, series=pair.series)
        for finding in found.findings:
            watch.say(finding.message)
        reasons = Counter(found.unmatched.values())
        for path, reason in found.unmatched.items():
            if reasons[reason]:
                others = f" So it is for {reasons[reason] - 1} other files." if reasons[reason] > 1 else ""
                watch.say(f"{path.name}: {reason}{others}")
                reasons[reason] = 0
        expanded.extend((number, one) for one in found)
    return expanded
