"""What the masks say: labelled slices, the classes in them, and what may not count."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import ClassInfo, Image, InputError, Labels, ModelCard, Normalisation
from napari_medseg.inference.normalise import SliceReader
from napari_medseg.inference.ranges import ValueRange, measure_range

from .losses import IGNORE
from .pair import KnownRange


@dataclass(frozen=True)
class Painted:
    """The mask of one slice, as it was read: a snapshot.

    Attributes
    ----------
    image, z
        The image and the slice in it.
    values
        Mask values, (Y, X).
    classes
        What the mask's file says about its values.
    name
        For messages.
    group
        Slices of one group are held out together.
    ranges
        Values of the image that become 0 and 1, where they are known already.
    unlabelled
        The value that does not count; None where all do.
    newest
        Whether it was painted since the last training.
    accepted
        Whether its labels are a model's, accepted as they were.
    pair
        Index of its pair in the run.
    part
        Whether it is cut out of a larger slice.
    """

    image: Image
    z: int
    values: npt.NDArray[Any]
    classes: tuple[ClassInfo, ...]
    name: str
    group: str
    ranges: tuple[KnownRange, ...] = ()
    unlabelled: int | None = None
    newest: bool = False
    accepted: bool = False
    pair: int = -1
    part: bool = False

    @cached_property
    def shown(self) -> frozenset[int]:
        """Values that count."""
        return frozenset(np.unique(self.values).tolist()) - {self.unlabelled}

    def value_range(self, normalisation: Normalisation) -> ValueRange:
        """Values of the whole image that become 0 and 1."""
        known = (one.range for one in self.ranges if one.normalisation.ends == normalisation.ends)
        return next(known, None) or measure_range(self.image, normalisation)

    def indices(self, index: Mapping[int, int]) -> npt.NDArray[np.int16]:
        """Class index of each pixel by that of its value, (Y, X); `IGNORE` where that says nothing."""
        target = np.full(self.values.shape, IGNORE, np.int16)
        for value in self.shown:
            target[self.values == value] = index.get(value, IGNORE)
        return target

    @cached_property
    def identity(self) -> str:
        """What the slice is known by; empty when its pixels cannot be read."""
        try:
            return identify(self.image.slice(self.z))
        except InputError:
            return ""


def identify(pixels: npt.NDArray[Any]) -> str:
    """Hash of a slice's pixels, its shape and type, by which it is known again."""
    shape = f"{pixels.shape} {pixels.dtype.str}".encode()
    return hashlib.sha256(shape + np.ascontiguousarray(pixels).tobytes()).hexdigest()


def mean_column(mask: npt.NDArray[np.bool_]) -> float:
    """Mean column of the pixels of a mask (Y, X), as a share of the width."""
    counts = mask.sum(0)
    return float((counts * (np.arange(len(counts)) + 0.5)).sum() / max(1, counts.sum())) / len(counts)


@dataclass(frozen=True)
class LabelledSlice:
    """One slice ready for the network.

    Attributes
    ----------
    pixels
        Normalised input, (C, Y, X), float16.
    target
        Class indices or `IGNORE`, (Y, X), int16.
    identity
        Of `Painted`; empty where unknown.
    newest
        Whether it was painted since the last training.
    remembered
        Whether it comes from the memory of a model.
    partial
        Whether it is cut out of a larger slice, or labelled by a model: what it lacks may be there all the same.
    unpainted
        Class indices that were not asked for when it was labelled: they may lie in its background.
    body
        Slices of one patient, or of one image where groups are not given, have the same.
    """

    name: str
    pixels: npt.NDArray[np.float16]
    target: npt.NDArray[np.int16]
    identity: str = ""
    newest: bool = False
    remembered: bool = False
    partial: bool = False
    unpainted: tuple[int, ...] = ()
    body: str = ""

    @property
    def present(self) -> frozenset[int]:
        """Class indices in it, 0 for background."""
        return frozenset(np.unique(self.target).tolist()) - {IGNORE}

    @property
    def holds(self) -> float:
        """1 where the slice holds any class, 0 where it holds none, NaN where its labels do not tell: only a whole
        slice in which everything is labelled does."""
        if self.partial or self.unpainted or (self.target == IGNORE).any():
            return math.nan
        return float((self.target > 0).any())

    def places(self) -> dict[int, float]:
        """Mean column of each class in it, as a share of the width."""
        return {k: mean_column(self.target == k) for k in sorted(self.present) if k}


def paint(image: Image, labels: Labels, slices: Sequence[int], group: str = "") -> list[Painted]:
    """Snapshots of the labelled slices of one image, each of the group that an expression finds in its name, if any.

    Raises
    ------
    InputError
        Image and mask differ in size, or a mask has negative values.
    """
    painted = []
    for z in slices:
        name = image.names[z] if image.names else f"{Path(image.source or 'image').name}, slice {z}"
        values = np.array(labels.slice(z))
        expected = image.shape[-2:]
        if values.shape != expected:
            sizes = [f"{columns} x {rows}" for rows, columns in (values.shape, expected)]
            raise InputError(
                f"{name}: the mask has {sizes[0]} pixels, the image {sizes[1]}.",
                "Give each image the mask that was drawn on it.",
            )
        if values.dtype.kind == "f" and (values != values.round()).any():
            raise InputError(f"{name}: the mask has values that are no whole numbers.", "Save masks as integers.")
        if values.min(initial=0) < 0:
            raise InputError(f"{name}: the mask has negative values.", "Class values start at 0, the background.")
        found = re.search(group, name) if group else None
        key = ((found.group(1) if found.groups() else found.group()) if found else "") or ""
        values = values.astype(np.min_scalar_type(int(values.max(initial=0))))
        painted.append(Painted(image, z, values, labels.classes, name, key))
    return painted


def prepare(
    painted: Sequence[Painted],
    card: ModelCard,
    index: dict[int, int],
    say: Callable[[str], None],
) -> list[LabelledSlice]:
    """Make slices ready for the network of ``card``; those whose pixels turn out damaged are left out and said.

    Parameters
    ----------
    index
        Class index of each mask value; a value that is not in it does not count.
    """
    return [ready for _, ready in prepare_each(painted, card, index, say)]


def prepare_each(
    painted: Iterable[Painted], card: ModelCard, index: dict[int, int], say: Callable[[str], None]
) -> Iterator[tuple[Painted, LabelledSlice]]:
    """The same one after another, each with what it was made from."""
    readers: dict[int, SliceReader] = {}
    for one in painted:
        if id(one.image) not in readers:
            readers[id(one.image)] = SliceReader(one.image, card, one.value_range(card.normalisation))
        try:
            pixels = readers[id(one.image)](one.z)
        except InputError as error:
            say(f"{one.name} is left out: {error.message}")
            continue
        ready = LabelledSlice(
            one.name, pixels.astype(np.float16), fit(one.indices(index), pixels.shape[-2:]), one.identity, one.newest,
            partial=one.part, body=one.group or f"image {[*readers].index(id(one.image))}",
        )  # fmt: skip
        yield one, ready


def fit(target: npt.NDArray[np.int16], shape: tuple[int, ...]) -> npt.NDArray[np.int16]:
    """Class indices on another grid over the slice, such as that at the card's pixel size, by nearest neighbour."""
    if target.shape == shape:
        return target
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int) for new, old in zip(shape, target.shape, strict=True)
    )
    return np.ascontiguousarray(target[rows[:, None], columns])
