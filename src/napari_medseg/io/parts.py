"""The images of a file that holds several: which of them is meant, or all as the channels of one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from napari_medseg.core import MOST_CHANNELS, InputError

from .channels import find_difference, name_channels
from .format import ALL, Header
from .levels import open_levels
from .names import Group
from .registry import format_for, read_header

EVERY = "all"
"""What to ask for as the series of a file, for all that it holds."""


def list_parts(path: Path) -> tuple[str, ...]:
    """What to choose the images of a file by; none where its format holds one."""
    parts = format_for(path).parts
    return parts(path) if parts else ()


def choose_part(path: Path, series: str | None) -> tuple[tuple[Group, ...], int | None]:
    """The images in a file to choose from, if there are several, or which of them was chosen.

    Raises
    ------
    InputError
        If there is no such image.
    """
    labels = list_parts(path)
    if series is None or len(labels) < 2:
        return (tuple(Group(label, (path,)) for label in labels) if len(labels) > 1 else ()), None
    if series in labels:
        return (), labels.index(series)
    if series == EVERY:
        return (), ALL
    known = ", ".join(f"'{label}'" for label in labels[:8])
    raise InputError(f"{path.name} holds no image '{series}'.", f"There are {known}.")


def read_part_header(path: Path, part: int) -> Header:
    """Look at one of the images in a file; or at ``ALL``, whose channels then follow one another.

    Raises
    ------
    InputError
        If they do not make one image: they differ in size, type or place, are slides, or too many.
    """
    if part != ALL:
        return read_header(path, part)
    labels = list_parts(path)
    choose = f'Choose one with series="{labels[0]}" (on the command line --series).'
    first = read_header(path, 0)
    if first.channels * len(labels) > MOST_CHANNELS:
        count = f"{len(labels)} series" + (f" of {first.channels} channels each" if first.channels > 1 else "")
        raise InputError(f"{path.name} holds {count}: an image has at most {MOST_CHANNELS} channels.", choose)
    headers = [first, *(read_header(path, index) for index in range(1, len(labels)))]
    size = (first.slices, *first.shape)
    for label, other in zip(labels, headers, strict=True):
        what: str = find_difference(size, first.geometry, (other.slices, *other.shape), other.geometry)
        if other.channels != first.channels:
            what = "number of channels"
        elif not what and other.dtype != first.dtype:
            what = "type"
        if what:
            raise InputError(
                f"The series of {path.name} are not channels of one image: '{label}' has another {what} than"
                f" '{labels[0]}'.",
                choose,
            )
    if open_levels(path, first, 0):
        raise InputError(f"{path.name} holds several slides, which are not joined.", choose)
    return replace(
        first, channels=first.channels * len(labels), meaning="channels", windows=(),
        channel_names=name_channels(labels) if first.channels == 1 else (),
        broken={z: reason for one in headers for z, reason in one.broken.items()},
        findings=tuple(dict.fromkeys(f for one in headers for f in one.findings)),
    )  # fmt: skip
