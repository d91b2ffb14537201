"""What a model remembers of its training: labelled slices in an archive beside its weights.

Fine-tuning on a few slices soon forgets the rest; a share of the samples comes from here instead. The archive may come
from strangers: sizes are checked before anything is unpacked or decoded, and nothing in it can run.
"""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_medseg.core import ClassInfo, ModelCard, ModelError, first_problem, spread
from napari_medseg.models.weights import MEMORY

from .losses import IGNORE
from .remembered import AGAIN, MOST_CHANNELS, MOST_CLASSES, Entry, Remembered, pack
from .split import WHOLLY, Measured, Past
from .truth import LabelledSlice

MOST = 64
"""Slices that a model remembers; `NEWEST` of them at most from its own training, the others from its parent's."""

NEWEST = 48

MOST_KNOWN = 2**15
"""Slices of which a model knows no more than that they trained or measured, each by a hash of its pixels."""

MOST_BYTES = 16 * 2**20
MOST_VALUES = 2**27

_INDEX = "memory.json"
_BROKEN = (
    OSError, ValueError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, RuntimeError, LookupError,
    EOFError, OverflowError,
)  # fmt: skip

T = TypeVar("T")


Identity = Annotated[str, Field(min_length=1, max_length=100)]


class _Index(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    slices: tuple[Entry, ...] = Field(max_length=MOST)
    trained: tuple[Identity, ...] = Field(default=(), max_length=MOST_KNOWN)
    measured: tuple[Identity, ...] = Field(default=(), max_length=MOST_KNOWN)


@dataclass(frozen=True)
class Memory:
    """Remembered slices, ready for a network: those that trained and those that measured."""

    training: tuple[LabelledSlice, ...] = ()
    held_out: tuple[LabelledSlice, ...] = ()


@dataclass(frozen=True)
class Archive:
    """All that a model remembers, still packed.

    Attributes
    ----------
    slices
        With their pixels and labels.
    trained, measured
        Identities of further slices that trained, and of whole ones that measured: they must never pass for unseen.
    """

    slices: tuple[Remembered, ...] = ()
    trained: frozenset[str] = frozenset()
    measured: frozenset[str] = frozenset()

    @property
    def identities(self) -> frozenset[str]:
        return frozenset(one.entry.identity for one in self.slices) - {""}

    @property
    def past(self) -> Past:
        """Which slices trained and which pixels measured."""
        measured = dict.fromkeys(self.measured, WHOLLY) | {
            one.entry.identity: Measured(one.codes() > 0, one.entry.corner, one.entry.whole)
            for one in self.slices if one.entry.held_out and one.entry.identity
        }  # fmt: skip
        trained = frozenset(one.entry.identity for one in self.slices if not one.entry.held_out) - {""}
        return Past(trained | self.trained, measured)

    def without(self, identities: Collection[str]) -> Archive:
        """All but these slices."""
        known = {*identities} - {""}
        slices = tuple(one for one in self.slices if one.entry.identity not in known)
        return Archive(slices, self.trained - known, self.measured - known)

    def recall(self, classes: Sequence[ClassInfo], channels: int) -> Memory:
        """Everything that can teach or measure a network with these classes and input channels."""
        parts: dict[bool, list[LabelledSlice]] = {False: [], True: []}
        for one in self.slices:
            if one.entry.shape[0] == channels:
                ready = one.recall(classes)
                if ready.present:
                    parts[one.entry.held_out].append(ready)
        # Where the classes are others, nothing can be said about how well they are found.
        return Memory(tuple(parts[False]), tuple(s for s in parts[True] if s.present - {0}))


EMPTY = Archive()


def count_memory(folder: Path) -> int:
    """Number of slices that the model in ``folder`` remembers; 0 without a memory or with a damaged one."""
    try:
        with zipfile.ZipFile(folder / MEMORY) as archive:
            return len(_read_index(archive).slices)
    except _BROKEN:
        return 0


def read_archive(folder: Path) -> Archive:
    """Read a model's memory and check it; empty if it has none.

    Raises
    ------
    ModelError
        The archive is damaged, or would unpack to a size that no memory has.
    """
    path = folder / MEMORY
    if not path.is_file():
        return Archive()
    try:
        if path.stat().st_size > 2 * MOST_BYTES:
            raise ValueError("it is too large")
        with zipfile.ZipFile(path) as archive:
            index = _read_index(archive)
            left = MOST_BYTES
            slices = []
            for i, entry in enumerate(index.slices):
                slices.append(one := _read_slice(archive, i, entry, left))
                left -= len(one.mask) + sum(len(picture) for picture in one.pictures)
            return Archive(tuple(slices), frozenset(index.trained), frozenset(index.measured))
    except _BROKEN as error:
        said = str(error).splitlines()[0].strip("'\"") if str(error) else type(error).__name__
        raise ModelError(f"The memory {path} is damaged: {said}.", AGAIN) from error


def read_first(folder: Path) -> Remembered | None:
    """The first slice that a model remembers, without reading the others; None if it remembers nothing.

    Raises
    ------
    ModelError
        The archive is damaged.
    """
    if not (folder / MEMORY).is_file():
        return None
    try:
        with zipfile.ZipFile(folder / MEMORY) as archive:
            index = _read_index(archive)
            return _read_slice(archive, 0, index.slices[0], MOST_BYTES) if index.slices else None
    except _BROKEN as error:
        raise ModelError(f"The memory {folder / MEMORY} is damaged.", AGAIN) from error


def _read_slice(archive: zipfile.ZipFile, i: int, entry: Entry, left: int) -> Remembered:
    count = sum(1 for name in archive.namelist() if name.startswith(f"{i}/picture-"))
    content = []
    for name in (*(f"{i}/picture-{j}.webp" for j in range(count)), f"{i}/mask.png"):
        content.append(_read_member(archive, name, left))
        left -= len(content[-1])
    return Remembered(entry, tuple(content[:-1]), content[-1])


def _read_index(archive: zipfile.ZipFile) -> _Index:
    if len(archive.infolist()) > MOST * (MOST_CHANNELS + 1) + 1:
        raise ValueError("it holds too many files")
    try:
        index = _Index.model_validate_json(_read_member(archive, _INDEX, 2**23))
    except ValidationError as error:
        raise ValueError(first_problem(error)) from error
    for entry in index.slices:
        entry.check()
    if sum(int(np.prod(entry.shape)) for entry in index.slices) > MOST_VALUES:
        raise ValueError("its slices are too large")
    return index


def _read_member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """One file of the archive, whatever size it claims to have."""
    with archive.open(name) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"{name} is too large")
    return content


def write_memory(folder: Path, memory: Memory, card: ModelCard, older: Archive = EMPTY) -> int:
    """Write today's slices, and what was remembered before, into a model's folder.

    Of more than `MOST` slices or `MOST_BYTES`, the older ones are thinned out evenly, then today's; of those left out,
    only whether they trained or measured is remembered.

    Parameters
    ----------
    card
        Of the model that learnt from them: its classes are those of the slices, its channels tell colours.
    older
        Of its parent; copied as it is.

    Returns
    -------
    int
        Slices written.
    """
    today = [(one, False) for one in memory.training] + [(one, True) for one in memory.held_out]
    kept = _choose(today, card, older) if len(card.classes) <= MOST_CLASSES else []
    # What measured in part counts as trained: nothing of it is unseen.
    whole = {one.identity for one in memory.held_out if not (one.target == IGNORE).any()}
    whole |= {one.entry.identity for one in older.slices if one.entry.held_out and one.codes().all()}
    seen = {one.entry.identity for one in older.slices} | {one.identity for one, _ in today}
    trained = older.trained | (seen - whole) | {one.identity for one in memory.training}
    write_known(folder, trained, (older.measured | whole) - trained, kept)
    return len(kept)


def write_known(
    folder: Path, trained: Collection[str], measured: Collection[str], slices: Sequence[Remembered] = ()
) -> None:
    """Write which slices trained and which measured into a model's folder, and of ``slices`` all there is."""
    there = {one.entry.identity for one in slices} | {""}
    index = _Index(
        slices=tuple(one.entry for one in slices),
        trained=tuple(spread(sorted({*trained} - there), MOST_KNOWN)),
        measured=tuple(spread(sorted({*measured} - there), MOST_KNOWN)),
    )
    if not (index.slices or index.trained or index.measured):
        return
    with zipfile.ZipFile(folder / MEMORY, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_INDEX, index.model_dump_json())
        for i, one in enumerate(slices):
            for j, picture in enumerate(one.pictures):
                archive.writestr(f"{i}/picture-{j}.webp", picture, zipfile.ZIP_STORED)
            archive.writestr(f"{i}/mask.png", one.mask, zipfile.ZIP_STORED)


def _choose(today: Sequence[tuple[LabelledSlice, bool]], card: ModelCard, older: Archive) -> list[Remembered]:
    new = [pack(one, card, held_out=held) for one, held in spread(today, NEWEST)]
    old = spread(older.slices, MOST - len(new))
    while not _fits([*new, *old]):
        if old:
            old = spread(old, len(old) - 1)
        else:
            new = spread(new, len(new) - 1)
    return [*new, *old]


def _fits(slices: Sequence[Remembered]) -> bool:
    size = sum(len(one.mask) + sum(len(p) for p in one.pictures) for one in slices)
    return size <= MOST_BYTES and sum(int(np.prod(one.entry.shape)) for one in slices) <= MOST_VALUES
