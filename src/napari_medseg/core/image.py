"""Images and labels: data with its axes, geometry and names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .card import ClassInfo
from .errors import InputError
from .geometry import Geometry

Axes = Literal["YX", "ZYX", "YXC", "ZYXC"]


@dataclass(frozen=True)
class Window:
    """A range of values to show: of a CT the window of its file, or a standard one (bone, lung)."""

    name: str
    low: float
    high: float


@dataclass(frozen=True)
class Finding:
    """Something about a file or series that its user should know.

    Attributes
    ----------
    code
        Stable upper-case word to look up (``MISSING_SLICES``, ``UNREADABLE``, ``NO_SPACING``).
    message
        One sentence with names and numbers.
    files
        The files concerned, if any.
    """

    code: str
    message: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Image:
    """A grey or colour image or stack, possibly not loaded yet.

    Attributes
    ----------
    data
        NumPy or dask array in the order of ``axes``.
    axes
        ``YX``, ``ZYX``, ``YXC`` or ``ZYXC``; C is 3 (RGB) or another number of channels.
    geometry
        Of the spatial axes (2 for single images, 3 for stacks).
    names
        File name of each slice without folder, one per slice; of a single image, its own name. Empty when unknown.
    meaning
        What the values are, in words: ``"grey"``, ``"HU"``, ``"RGB"``, ``"channels"`` of anything else.
    source
        The file or folder it came from.
    missing
        Indices of slices that could not be read; their pixels are zeros and nothing may be concluded from them.
    windows
        Ranges of values that the file asks to be shown, the first by default.
    levels
        Of a single image too large to be looked at as a whole, smaller copies of ``data`` with the same axes, large to
        small, read as lazily; else empty.
    alike
        Of a grey image that is no slide, how many channels its files hold, all alike: models of so many take it too.
    modality
        What took it, in the words of model cards (``"CT"``, ``"MR"``, ``"X-ray"``); empty when no file tells.
    others
        The files or folders that further channels came from, where they are not all in ``source``.
    channel_names
        What each channel is called (``t1``, ``flair``), where files, a table or layers tell; else empty.
    series
        Of a file or folder that holds several series, what this one is called; empty elsewhere.
    """

    data: Any
    axes: Axes
    geometry: Geometry
    names: tuple[str, ...] = ()
    meaning: str = "grey"
    source: Path | None = None
    findings: tuple[Finding, ...] = ()
    missing: frozenset[int] = frozenset()
    windows: tuple[Window, ...] = ()
    levels: tuple[Any, ...] = ()
    alike: int = 1
    modality: str = ""
    others: tuple[Path, ...] = ()
    channel_names: tuple[str, ...] = ()
    series: str = ""

    def __post_init__(self) -> None:
        if len(self.axes) != self.data.ndim:
            raise InputError(f"An array of shape {tuple(self.data.shape)} does not fit the axes {self.axes}.")
        if self.geometry.ndim != len(self.axes.replace("C", "")):
            raise InputError(f"A geometry of {self.geometry.ndim} axes does not fit the axes {self.axes}.")
        if self.names and len(self.names) != len(self):
            raise InputError(f"{len(self.names)} names do not fit {len(self)} slices.")
        if self.geometry.positions and len(self.geometry.positions) != len(self):
            raise InputError(f"{len(self.geometry.positions)} positions do not fit {len(self)} slices.")
        if self.levels and (self.is_stack or any(level.ndim != self.data.ndim for level in self.levels)):
            raise InputError("Only a single image has levels, each with the axes of the image.")
        if self.channel_names and len(self.channel_names) != self.channels:
            raise InputError(f"{len(self.channel_names)} names do not fit {self.channels} channels.")

    def __len__(self) -> int:
        """Number of slices; 1 for a single image."""
        return int(self.data.shape[0]) if self.is_stack else 1

    @property
    def is_stack(self) -> bool:
        return self.axes.startswith("Z")

    @property
    def pyramid(self) -> tuple[Any, ...]:
        """``data`` and its smaller copies."""
        return (self.data, *self.levels)

    @property
    def channels(self) -> int:
        return int(self.data.shape[-1]) if self.axes.endswith("C") else 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape, (Z, Y, X) or (Y, X): the shape of its labels."""
        return tuple(int(n) for n in (self.data.shape[:-1] if self.axes.endswith("C") else self.data.shape))

    @property
    def slice_names(self) -> tuple[str, ...]:
        """What each slice is called: by its name, else by its number."""
        return self.names or tuple(str(z) for z in range(len(self)))

    def slice(self, z: int) -> npt.NDArray[Any]:
        """Pixels of slice ``z``, shape (Y, X) or (Y, X, C), loaded."""
        return np.asarray(self.data[z] if self.is_stack else self.data)

    def slices(self) -> Iterator[npt.NDArray[Any]]:
        return (self.slice(z) for z in range(len(self)))

    def with_spacing(self, spacing: tuple[float, ...], unit: Literal["mm", "um", "pixel"]) -> Image:
        """The same image with another spacing."""
        return replace(self, geometry=Geometry(**{**self.geometry.model_dump(), "spacing": spacing, "unit": unit}))


@dataclass(frozen=True)
class Labels:
    """Segmented classes of an image.

    Attributes
    ----------
    data
        Integer array, (Y, X) or (Z, Y, X); 0 is background (or unlabelled, where a training run says so).
    classes
        The classes its values stand for.
    geometry, names, source
        Those of the image it belongs to.
    missing
        Slices that hold no result (unreadable or not computed); zero there does not mean background.
    look_at
        Slices most worth a look, best first, where the run that made them was asked for some.
    look_in
        Of a large single image, the squares (rows, columns) most worth a look, best first.
    presence
        Probability that a slice holds anything, by slice, where the model that made them says so.
    threshold
        The probability from which on a slice is said to hold something.
    outlined
        Whether their model gives masks; of one that only says whether slices hold anything, all masks are empty.
    levels
        Smaller copies of ``data``, large to small, where it is a pyramid on disk; else empty.
    not_computed
        Value in ``data`` of pixels that have no result, which is not background; None where there are none such.
    """

    data: Any
    classes: tuple[ClassInfo, ...]
    geometry: Geometry
    names: tuple[str, ...] = ()
    source: Path | None = None
    findings: tuple[Finding, ...] = ()
    missing: frozenset[int] = field(default_factory=frozenset)
    look_at: tuple[int, ...] = ()
    look_in: tuple[tuple[slice, slice], ...] = ()
    presence: Mapping[int, float] = field(default_factory=dict)
    threshold: float = 0.5
    outlined: bool = True
    levels: tuple[Any, ...] = ()
    not_computed: int | None = None

    def __post_init__(self) -> None:
        if self.data.ndim != self.geometry.ndim:
            raise InputError(
                f"Labels of shape {tuple(self.data.shape)} do not fit a geometry of {self.geometry.ndim} axes."
            )
        if self.names and len(self.names) != len(self):
            raise InputError(f"{len(self.names)} names do not fit {len(self)} slices.")
        if self.geometry.positions and len(self.geometry.positions) != len(self):
            raise InputError(f"{len(self.geometry.positions)} positions do not fit {len(self)} slices.")

    def __len__(self) -> int:
        return int(self.data.shape[0]) if self.is_stack else 1

    @property
    def is_stack(self) -> bool:
        return int(self.data.ndim) == 3

    @property
    def slice_names(self) -> tuple[str, ...]:
        """What each slice is called: by its name, else by its number."""
        return self.names or tuple(str(z) for z in range(len(self)))

    def slice(self, z: int) -> npt.NDArray[Any]:
        """Labels of slice ``z``, shape (Y, X), loaded."""
        return np.asarray(self.data[z] if self.is_stack else self.data)

    def is_positive(self, z: int, mask: npt.NDArray[Any] | None = None) -> bool:
        """Whether slice ``z`` holds something: by its mask (``mask`` where given), which the model's gate may have
        emptied; by its probability where the model gives no masks."""
        if self.outlined:
            return bool((self.slice(z) if mask is None else mask).any())
        return self.presence.get(z, -1.0) >= self.threshold

    @property
    def positive(self) -> tuple[int, ...]:
        """Slices that hold something; those without a result are not among them."""
        return tuple(z for z in range(len(self)) if z not in self.missing and self.is_positive(z))


def spare_value(largest: int) -> int:
    """A value that no class up to ``largest`` has, for pixels that do not count: the highest of the smallest type.

    Raises
    ------
    InputError
        No 16-bit type has room for it.
    """
    if largest >= 65_535:
        raise InputError(
            f"A class of value {largest} leaves no value for pixels that do not count.", "Use smaller label values."
        )
    return 255 if largest < 255 else 65_535
