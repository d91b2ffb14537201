"""Which labelled slices are of one volume, so that whole ones measure: neighbouring slices are so alike that they would
flatter."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from .truth import Painted

VOLUMES = 5
"""From so many volumes of several labelled slices on, whole volumes are held out."""


def group_volumes(
    painted: Sequence[Painted], trained: Collection[str] = (), measured: Collection[str] = ()
) -> Sequence[Painted]:
    """The slices, each volume a group where there are `VOLUMES` and no other groups.

    A folder of slices is a volume, too: the files of one folder may be of many patients, those of several hardly are.

    Slices of the past keep their part: where some of a volume trained, those that measured stay by themselves and go on
    measuring, and all others, new ones as well, are one group that trains. Where of all volumes some trained, or of
    all some measured, nothing whole is left to measure or to train, and each slice stays by itself; so do those of a
    volume that measured and alone shows some class, which must be learnt.

    Parameters
    ----------
    trained, measured
        Identities of slices that did so in earlier trainings.
    """
    volumes: dict[int, list[Painted]] = {}
    for one in painted:
        volumes.setdefault(id(one.image), []).append(one)
    if any(one.group for one in painted) or sum(len(slices) > 1 for slices in volumes.values()) < VOLUMES:
        return painted
    # Without a past no slice need be read to be known again.
    taught = {i for i, slices in volumes.items() if trained and any(one.identity in trained for one in slices)}
    tested = {i for i, slices in volumes.items() if measured and any(one.identity in measured for one in slices)}
    tested -= taught
    if len(volumes) in (len(taught), len(tested)):
        return painted
    loose = {i for i in tested if _shown(volumes[i]) - _shown([one for one in painted if id(one.image) != i])}
    number = {image: i for i, image in enumerate(volumes, 1)}
    return [
        one
        if id(one.image) in loose or (id(one.image) in taught and one.identity in measured)
        else _with_group(one, f"volume {number[id(one.image)]}")
        for one in painted
    ]


def _shown(slices: Sequence[Painted]) -> frozenset[int]:
    return frozenset().union(*(one.shown for one in slices))


def _with_group(one: Painted, group: str) -> Painted:
    """The same slice in a group; what is known of its pixels need not be read again."""
    made = replace(one, group=group)
    vars(made).update({name: vars(one)[name] for name in ("shown", "identity") if name in vars(one)})
    return made
