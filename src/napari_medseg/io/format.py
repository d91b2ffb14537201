"""The contract that one file in ``formats/`` fulfils."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_medseg.core import ClassInfo, Finding, Geometry, Image, Labels, Window

ALL = -1
"""As the ``part`` of a file that holds several images: all of them, as the channels of one."""


@dataclass(frozen=True)
class Header:
    """What a file holds, known without decoding its pixels.

    Attributes
    ----------
    shape
        (Y, X) of one slice.
    dtype, channels
        Of the pixels that ``Format.pixels`` gives: 1 grey (Y, X), more (Y, X, C).
    slices
        Slices in the file; 1 for a single image.
    geometry
        Of (Y, X), or of (Z, Y, X) when the file tells the distance of its slices.
    meaning
        What the values are, in words.
    broken
        Slices whose pixels are not whole in the file, with the reason.
    findings
        What the user should know about this file.
    volume
        Whether a file of one slice is still a stack: it has a place in space.
    windows
        Ranges of values that the file asks to be shown.
    modality
        What took it, as `Image` has it.
    channel_names
        What the file calls its channels; empty where it does not.
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    channels: int = 1
    slices: int = 1
    geometry: Geometry = field(default_factory=lambda: Geometry.unknown(2))
    meaning: str = ""
    broken: dict[int, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    volume: bool = False
    windows: tuple[Window, ...] = ()
    modality: str = ""
    channel_names: tuple[str, ...] = ()

    @property
    def slice_shape(self) -> tuple[int, ...]:
        """Shape of what ``Format.pixels`` gives."""
        return self.shape if self.channels == 1 else (*self.shape, self.channels)


@dataclass(frozen=True)
class Arranged:
    """Files that make up one series by what they say of themselves, not by their names.

    Attributes
    ----------
    label
        What to choose it by, unique among the series of a folder; carries no patient's name.
    title
        For people: description, modality, number of slices.
    called
        What the scanner called it, without anything that names the patient; empty where that is not told.
    files, headers
        In order of position, one header a file; None where a file could not be made out.
    geometry
        Of the whole stack (Z, Y, X), with the positions of uneven slices.
    unreadable
        Why a file cannot be read, by its index.
    findings
        What the user should know of this series.
    minor
        Whether it is left out where one other is not: a scout view, or a few slices that do not fit to the rest.
    part
        Which of the images in its file it is, where that holds several.
    slide
        Whether it is a slide: one file, the first of those that its format opens together.
    """

    label: str
    title: str
    files: tuple[Path, ...]
    headers: tuple[Header | None, ...]
    geometry: Geometry
    unreadable: dict[int, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    minor: bool = False
    part: int | None = None
    slide: bool = False
    called: str = ""


Kept = Literal["spacing", "orientation", "positions", "classes", "colors"]
"""What a file can hold besides its values; of masks, the rest goes into the sidecar."""


@dataclass(frozen=True)
class Format:
    """One file format; each module in ``formats/`` has one as ``FORMAT``.

    Attributes
    ----------
    name, title
        Short name (``"png"``) and the one for people (``"PNG image"``).
    suffixes
        In small letters with the dot, longest first; the first is the one to write.
    magic
        First bytes of such a file, to tell it by its content.
    header
        Looks into a file without decoding pixels; raises `InputError`.
    pixels
        Pixels of one slice for showing, (Y, X) or (Y, X, C); raises `InputError` when they cannot be decoded.
    values
        Stored values of one slice for masks (palette indices, not colours), (Y, X) or, of a colour image, (Y, X, C).
    write
        Writes labels into a new file with this path; None when the format only reads.
    stacks
        Whether one file can hold several slices.
    extra
        The optional dependency that it needs, for the message when that is not installed.
    keeps
        What a file itself holds: of masks that are written, and of images that are read.
    lazy
        Whether a slice is decoded by itself when it is asked for: always, unless the file is packed as a whole, or
        never.
    array
        The whole file as something that reads slices when indexed, (Z, Y, X) or (Z, Y, X, C), Z being 1 for a single
        image: for formats whose slices cannot be had cheaply one by one through ``pixels`` and ``values``, which it
        then replaces. It is asked for once, when the first pixels are; a dask array is taken as it is. Its slices have
        the header's dtype. Raises `InputError`, from ``array[z]`` too.
    sniff
        Whether these first 512 bytes are of such a file, where ``magic`` cannot tell.
    pyramid
        The levels of a slide, the image itself first, each read in parts when indexed (see `blocks.BlockReader`): path
        and ``part`` as for ``header``; none for an image that is read as a whole. Nothing is decoded yet.
    is_folder
        Whether a "file" of this format is a folder; ``write`` is then given the path of a folder not there yet.
    parts
        Labels of the images in a file, for formats whose files can hold several; ``header``, ``pixels``, ``values``,
        ``array`` and ``pyramid`` then take the index of one as the keyword ``part``.
    together
        All images of a file as what ``array`` gives, where they share what is unpacked once; without it they are
        opened one by one.
    arrange
        The series that these files make up by what they say of themselves; None where names and numbers tell.
    images, masks
        Whether it is read as an image, as masks.
    classes
        Names and colours of the classes that a file of masks holds itself.
    check
        Refuses, before any work, an image whose masks it cannot hold; raises `OutputError`.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    magic: tuple[bytes, ...]
    header: Callable[..., Header]
    pixels: Callable[..., npt.NDArray[Any]]
    values: Callable[..., npt.NDArray[Any]]
    write: Callable[[Path, Labels], None] | None = None
    stacks: bool = False
    extra: str = ""
    keeps: frozenset[Kept] = frozenset()
    lazy: Literal["always", "unpacked", "never"] = "always"
    array: Callable[..., Any] | None = None
    sniff: Callable[[bytes], bool] | None = None
    pyramid: Callable[..., tuple[Any, ...]] | None = None
    is_folder: bool = False
    parts: Callable[[Path], tuple[str, ...]] | None = None
    together: Callable[[Path], Sequence[Any]] | None = None
    arrange: Callable[[Sequence[Path]], list[Arranged]] | None = None
    images: bool = True
    masks: bool = True
    classes: Callable[[Path], tuple[ClassInfo, ...]] | None = None
    check: Callable[[Image | Labels], None] | None = None

    def matches(self, start: bytes) -> bool:
        """Whether a file that starts with these 512 bytes (or fewer) is of this format."""
        return self.sniff(start) if self.sniff else start.startswith(self.magic)
