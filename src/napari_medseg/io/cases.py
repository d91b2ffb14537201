"""Folders in which each channel of an image is a file: ``CASE_0000``, ``CASE_0001`` …, as nnU-Net has them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path

from napari_medseg.core import MOST_CHANNELS, InputError

from .names import in_order, stem_of

_CHANNEL = re.compile(r"^(?P<case>.+)_(?P<number>\d{4})$")


def case_of(name: str) -> str:
    """The name of the image whose first channel a file is, without suffix: ``brain`` of ``brain_0000.nii.gz``; of
    other files, the stem."""
    return stem_of(name).removesuffix("_0000")


def channel_of(name: str) -> int | None:
    """Which channel of its image a file holds by its name: 1 of ``brain_0001.nii.gz``; None of other names."""
    parts = _CHANNEL.match(stem_of(name))
    return int(parts["number"]) if parts else None


def find_cases(
    files: Sequence[Path], names: Collection[str] | None = None, *, count: int = 0
) -> dict[str, tuple[Path, ...]]:
    """The files of each image by its name, in the order of its channels.

    Parameters
    ----------
    files
        Of one folder.
    names
        What the masks are called, in small letters without suffix. It tells channels from images that are only counted:
        ``scan_0001`` with a mask ``scan_0001`` is no channel. Images without a mask are left out; None takes all.
    count
        How many channels there should be, if that is known: where numbers go further, or none begins with 0, they count
        images.

    Returns
    -------
    dict
        Empty where no image has several files.

    Raises
    ------
    InputError
        If a channel that others have is missing.
    """
    found: dict[str, dict[int, Path]] = defaultdict(dict)
    for path in in_order(files):
        stem = stem_of(path)
        if names is not None and stem.lower() in names:
            continue
        if parts := _CHANNEL.match(stem):
            case, number = parts["case"], int(parts["number"])
            if names is not None and case.lower() not in names:
                continue
            if number in found[case]:
                raise InputError(
                    f"{found[case][number].name} and {path.name} are the same channel.", "Keep one of them."
                )
            found[case][number] = path
    most = count or MOST_CHANNELS
    if any(number >= most for own in found.values() for number in own):
        return {}
    if not any(len(own) > 1 for own in found.values()) or not any(0 in own for own in found.values()):
        return {}
    wanted = range(count or 1 + max(number for own in found.values() for number in own))
    for case, own in found.items():
        for number in wanted:
            if number not in own:
                like = next(path for path in own.values())
                lost = f"{case}_{number:04}{like.name[len(stem_of(like)) :]}"
                raise InputError(
                    f"{lost} is missing in {like.parent}: all images have the same channels.",
                    f"Put it there, or take out the other files of {case}.",
                )
    return {case: tuple(own[number] for number in wanted) for case, own in found.items()}
