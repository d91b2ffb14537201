"""Headers of DICOM files: what `io.format.Header` asks for, of one slice or of a file of many frames."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from napari_medseg.core import Geometry, InputError
from napari_medseg.io.budget import check_budget
from napari_medseg.io.format import Header
from napari_medseg.io.pixels import damaged

from .codecs import missing_decoder
from .file import Facts, read_facts
from .frames import MOST_FRAMES, frame_stacks, split_frames
from .stack import Stack, split_stacks
from .values import Scale, about_values, is_colored, meaning_of, modality_of, scale_of, windows_of


@dataclass(frozen=True)
class Frames:
    """A file of one or more frames: the stacks that they make, and how the stored numbers of each become values."""

    facts: Facts
    stacks: tuple[Stack, ...]
    scales: tuple[Scale, ...]
    each: tuple[Facts, ...]


def read_header(path: Path, part: int = 0) -> Header:
    """Size, type, slices, geometry and windows of a file, or of one of the stacks in it.

    Raises
    ------
    InputError
        If it holds no image, or one that cannot be decoded here.
    """
    opened = open_frames(path)
    facts, stack = opened.facts, _pick(path, opened, part)
    scales = [opened.scales[i] for i in stack.order]
    middle = stack.order[len(stack.order) // 2]
    header = slice_header(path, facts, common_type(scales))
    findings = (*stack.findings, *about_values([opened.each[i] for i in stack.order], scales))
    return replace(
        header, slices=len(stack.order), geometry=stack.geometry, findings=findings, volume=stack.geometry.ndim == 3,
        windows=windows_of(opened.each[middle], opened.scales[middle]),
        broken=_broken_slices(path, facts, stack),
    )  # fmt: skip


def slice_header(path: Path, facts: Facts, dtype: np.dtype[Any], geometry: Geometry | None = None) -> Header:
    """Header of one slice."""
    shape = (facts.integer("Rows"), facts.integer("Columns"))
    return Header(
        shape, dtype, channels=3 if is_colored(facts) else 1, geometry=geometry or Geometry.unknown(2),
        meaning=meaning_of(facts), modality=modality_of(facts), broken={0: facts.broken} if facts.broken else {},
    )  # fmt: skip


def check_image(path: Path, facts: Facts) -> None:
    """Refuse what is no image, and what cannot be decoded here, before anything is allocated.

    Raises
    ------
    InputError
        Naming what the file is, or which package is missing.
    """
    rows, columns, samples = facts.integer("Rows"), facts.integer("Columns"), facts.integer("SamplesPerPixel", 1)
    if not facts.pixels or not rows or not columns:
        raise InputError(
            f"{path.name} is no image ({kind_of(facts)}).", "Choose the files that hold pixels; this one may go along."
        )
    bits = facts.integer("BitsAllocated", 8)
    allowed = (32, 64) if facts.pixels != "PixelData" else (1, 8, 16, 32)
    if rows < 0 or columns < 0 or samples not in (1, 3) or bits not in allowed or facts.frames > MOST_FRAMES:
        raise damaged(path, "its header makes no sense")
    _check_size(path, rows, columns, samples * bits // 8 or 1)
    if lack := missing_decoder(facts.syntax):
        raise InputError(f"{path.name} is compressed ({lack[0]}), and no decoder for that is here.", lack[1])


@lru_cache(maxsize=64)
def _fits(rows: int, columns: int, size: int) -> None:
    check_budget(Path("x"), (rows, columns, size), np.uint8)


def _check_size(path: Path, rows: int, columns: int, size: int) -> None:
    try:
        _fits(rows, columns, size)  # thousands of slices have one size
    except InputError:
        check_budget(path, (rows, columns, size), np.uint8)


def kind_of(facts: Facts) -> str:
    """What a DICOM object is, in words: of its class, for those that are no images."""
    from pydicom.uid import UID

    uid = facts.text("SOPClassUID")
    name = UID(uid).name if uid else ""
    return name.removesuffix(" Storage") if name and name != uid else "it has no pixels"


def common_type(scales: list[Scale]) -> np.dtype[Any]:
    """The type that holds the values of all slices."""
    return np.result_type(*{s.dtype for s in scales})


def open_frames(path: Path) -> Frames:
    """What a file's frames tell of themselves; kept for the slices that are asked for next.

    Raises
    ------
    InputError
        If it holds no image that can be read.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise InputError(f"{path.name} cannot be opened ({error.strerror}).", "Check the path.") from error
    return _open(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=8)
def _open(path: Path, changed: int, size: int) -> Frames:
    facts = read_facts(path)
    check_image(path, facts)
    try:
        single = facts.frames == 1 and "PerFrameFunctionalGroupsSequence" not in facts.values
        each = (facts,) if single else tuple(split_frames(facts))
        stacks = split_stacks(each, [path.name]) if single else frame_stacks(facts)
    except Exception as error:  # sequences of a damaged file may hold anything
        raise damaged(path, "what it tells of its frames makes no sense") from error
    return Frames(facts, tuple(stacks), tuple(scale_of(f) for f in each), each)


def part_labels(path: Path) -> tuple[str, ...]:
    """What to choose the stacks in a file by."""
    stacks = open_frames(path).stacks
    return tuple(s.detail or f"stack {index + 1}" for index, s in enumerate(stacks))


def _pick(path: Path, opened: Frames, part: int) -> Stack:
    if not 0 <= part < len(opened.stacks):
        raise InputError(f"{path.name} holds {len(opened.stacks)} stacks, no stack {part}.")
    return opened.stacks[part]


def frame_of(path: Path, opened: Frames, z: int, part: int) -> int:
    """Index of the frame that is slice ``z`` of a stack.

    Raises
    ------
    InputError
        If there is no such slice.
    """
    order = _pick(path, opened, part).order
    if not 0 <= z < len(order):
        raise InputError(f"{path.name} has {len(order)} slices, no slice {z}.")
    return order[z]


def _broken_slices(path: Path, facts: Facts, stack: Stack) -> dict[int, str]:
    """Slices whose pixels are not in the file; of compressed frames that shows when they are decoded."""
    if not facts.broken:
        return {}
    if facts.frames == 1:
        return {0: facts.broken}
    bits = facts.integer("Rows") * facts.integer("Columns") * facts.integer("SamplesPerPixel", 1)
    size = bits * facts.integer("BitsAllocated", 8) / 8
    there = path.stat().st_size / size if "compressed" not in facts.broken else np.inf
    return {z: facts.broken for z, frame in enumerate(stack.order) if frame + 1 > there}
