"""One labelled slice as a model remembers it: packed small, and ready for another network again.

The mask is kept exactly, the pixels as WebP of high quality: on CT of 512 x 512 about 10-25 KB a slice, wrong by
0.3-0.7 % of the range (root mean square), less than the noise that training adds.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image as Picture
from pydantic import BaseModel, ConfigDict, Field

from napari_medseg.core import ClassInfo, ModelCard, ModelError
from napari_medseg.models.adapt import match_classes

from .losses import IGNORE
from .truth import LabelledSlice

LARGEST = 1024
"""Side in pixels of what is remembered of a slice: of larger ones, the part round the middle of what is painted."""

MOST_CLASSES = 250
MOST_CHANNELS = 144
QUALITY = 90

AGAIN = "Train on without it, or import or train the model again to have it back."


class Entry(BaseModel):
    """One remembered slice, as the archive's index has it.

    Attributes
    ----------
    classes
        Those the model had then: anything else that the slice may show lies in what is called background.
    identity
        See `Painted`.
    held_out
        Whether it measured instead of training.
    shape
        Channels, rows and columns of the pixels.
    corner, whole
        First row and column of the remembered part, and rows and columns of the whole slice.
    part
        Whether it was cut out of a larger slice before.
    low, high
        Normalised values that are black and white in the pictures, by channel.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(max_length=1000)
    identity: str = Field(default="", max_length=100)
    held_out: bool = False
    classes: tuple[ClassInfo, ...] = Field(min_length=1, max_length=MOST_CLASSES)
    shape: tuple[int, int, int]
    corner: tuple[int, int] = (0, 0)
    whole: tuple[int, int]
    part: bool = False
    low: tuple[float, ...]
    high: tuple[float, ...]

    def check(self) -> None:
        """Raise a ValueError when sizes are not possible."""
        channels, *sides = self.shape
        fits = all(c >= 0 and 1 <= n <= LARGEST and c + n <= w for c, n, w in zip(
            self.corner, sides, self.whole, strict=True))  # fmt: skip
        if not fits or not 1 <= channels <= MOST_CHANNELS:
            raise ValueError(f"{self.name} has impossible sizes")
        if not len(self.low) == len(self.high) == channels or not np.isfinite([self.low, self.high]).all():
            raise ValueError(f"{self.name} has impossible values")


@dataclass(frozen=True)
class Remembered:
    """One slice of an archive: what is known of it, its pictures and its mask, still packed."""

    entry: Entry
    pictures: tuple[bytes, ...]
    mask: bytes

    def codes(self) -> npt.NDArray[np.uint8]:
        """The mask: 0 where nobody labelled, 1 for background, 2 for the first class, and so on; (Y, X).

        Raises
        ------
        ModelError
            The memory is damaged.
        """
        codes: npt.NDArray[np.uint8] = _decode(self.mask, "PNG", "L", self.entry.shape[1:])[0]
        if codes.max() > len(self.entry.classes) + 1:
            raise ModelError(f"The mask of {self.entry.name} has values without a class.", AGAIN)
        return codes

    def pixels(self) -> npt.NDArray[np.float16]:
        """Normalised input, (C, Y, X).

        Raises
        ------
        ModelError
            The memory is damaged.
        """
        mode: Literal["L", "RGB"] = "L" if len(self.pictures) == self.entry.shape[0] else "RGB"
        planes = [plane for p in self.pictures for plane in _decode(p, "WEBP", mode, self.entry.shape[1:])]
        if len(planes) != self.entry.shape[0]:
            raise ModelError(f"The remembered slice {self.entry.name} lacks channels.", AGAIN)
        low, high = (np.array(v, np.float32)[:, None, None] for v in (self.entry.low, self.entry.high))
        return (np.stack(planes) / np.float32(255) * (high - low) + low).astype(np.float16)

    def recall(self, classes: Sequence[ClassInfo]) -> LabelledSlice:
        """The slice with the class indices of another model.

        A class that this model no longer has does not count. Nor does background, in what trains, if the model has a
        class more: the slice may show that class, unpainted, and would teach that it is background. In what measures
        it tells that none of the old classes lies there.
        """
        old = self.entry.classes
        rows = [row if _continues(new, [old[i - 1] for i in row]) else ()
                for new, row in zip(classes, match_classes(old, classes), strict=True)]  # fmt: skip
        table = np.full(len(old) + 2, IGNORE, np.int16)
        table[1] = 0 if all(rows) or self.entry.held_out else IGNORE
        for k, row in enumerate(rows, 1):
            table[[i + 1 for i in row]] = k
        target = table[self.codes()]
        partial = self.entry.part or self.entry.shape[1:] != self.entry.whole
        return LabelledSlice(
            self.entry.name, self.pixels(), target, self.entry.identity, remembered=True, partial=partial,
            unpainted=tuple(k for k, row in enumerate(rows, 1) if not row),
        )  # fmt: skip


def _continues(new: ClassInfo, old: Sequence[ClassInfo]) -> bool:
    """Whether a class is what old classes were called: the same name, part of it, or no name to go by."""
    name = new.name.strip().casefold()
    nameless = new.name == ClassInfo.numbered(new.value).name
    return all(
        nameless or name in c.name.casefold() or (c.value == new.value and c.name == ClassInfo.numbered(c.value).name)
        for c in old
    )


def pack(one: LabelledSlice, card: ModelCard, *, held_out: bool) -> Remembered:
    """Pack a slice that trained (or measured) the model of ``card``."""
    (top, left), (height, width) = _window(one.target)
    pixels = one.pixels[:, top : top + height, left : left + width].astype(np.float32)
    low, high = pixels.min((1, 2)), pixels.max((1, 2))
    span = np.maximum(high - low, 1e-6)[:, None, None]
    planes = ((pixels - low[:, None, None]) / span * 255).round().astype(np.uint8)
    groups = [np.moveaxis(planes[i : i + 3], 0, -1) for i in range(0, len(planes), 3)] if card.channels == 3 else planes
    codes = (one.target[top : top + height, left : left + width] + 1).astype(np.uint8)
    entry = Entry(
        name=one.name[:1000], identity=one.identity, held_out=held_out, classes=card.classes,
        shape=(len(pixels), height, width), corner=(top, left), whole=(one.target.shape[0], one.target.shape[1]),
        part=one.partial,
        low=tuple(low.tolist()), high=tuple(high.tolist()),
    )  # fmt: skip
    return Remembered(entry, tuple(_encode(g, "WEBP") for g in groups), _encode(codes, "PNG"))


def _window(target: npt.NDArray[np.int16]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Corner and size of what is remembered of a slice."""
    painted: npt.NDArray[Any] = target > 0 if (target > 0).any() else target != IGNORE
    corner, size = [], []
    for axis, side in enumerate(target.shape):
        lines = np.flatnonzero(painted.any(1 - axis))
        middle = int(lines[len(lines) // 2]) if len(lines) else side // 2
        size.append(min(side, LARGEST))
        corner.append(min(max(0, middle - LARGEST // 2), side - size[-1]))
    return (corner[0], corner[1]), (size[0], size[1])


def _encode(values: npt.NDArray[np.uint8], kind: Literal["PNG", "WEBP"]) -> bytes:
    content = io.BytesIO()
    quality = {"quality": QUALITY} if kind == "WEBP" else {"optimize": True}
    Picture.fromarray(values).save(content, kind, **quality)
    return content.getvalue()


def _decode(
    content: bytes, kind: Literal["PNG", "WEBP"], mode: Literal["L", "RGB"], shape: tuple[int, ...]
) -> npt.NDArray[np.uint8]:
    """Planes (C, Y, X) of a picture that must have this shape (Y, X); decoded only if it says so."""
    try:
        with Picture.open(io.BytesIO(content), formats=(kind,)) as picture:
            if picture.size != shape[::-1] or (kind == "PNG" and picture.mode != "L"):
                raise ValueError("it has another size")
            values = np.asarray(picture.convert(mode))
    except (OSError, ValueError, SyntaxError, Picture.DecompressionBombError) as error:
        raise ModelError(f"A remembered picture is damaged: {error}.", AGAIN) from error
    return np.moveaxis(np.atleast_3d(values), -1, 0)
