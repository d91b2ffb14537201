"""The contract that one file in ``formats/`` fulfils, and the registry that scanning that folder gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_medseg.core import Finding, Geometry, InputError, Labels, Window


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
    files, headers
        In order of position, one header a file; None where a file could not be made out.
    geometry
        Of the whole stack (Z, Y, X), with the positions of uneven slices.
    unreadable
        Why a file cannot be read, by its index.
    findings
        What the user should know of this series.
    """

    label: str
    title: str
    files: tuple[Path, ...]
    headers: tuple[Header | None, ...]
    geometry: Geometry
    unreadable: dict[int, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


Kept = Literal["spacing", "orientation", "positions", "classes", "colors"]
"""What a format of masks can hold besides their values; the rest goes into the sidecar."""


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
        What written masks hold in the file itself.
    array
        The whole file as something that reads slices when indexed, (Z, Y, X) or (Z, Y, X, C): for formats whose slices
        cannot be had cheaply one by one through ``pixels``, which it then replaces. Raises `InputError`.
    sniff
        Whether these first 512 bytes are of such a file, where ``magic`` cannot tell.
    is_folder
        Whether a "file" of this format is a folder.
    parts
        Labels of the images in a file that holds several; ``header``, ``pixels``, ``values`` and ``array`` then take
        the index of one as the keyword ``part``.
    arrange
        The series that these files make up by what they say of themselves; None where names and numbers tell.
    images, masks
        Whether it is read as an image, as masks.
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
    array: Callable[..., Any] | None = None
    sniff: Callable[[bytes], bool] | None = None
    is_folder: bool = False
    parts: Callable[[Path], tuple[str, ...]] | None = None
    arrange: Callable[[Sequence[Path]], list[Arranged]] | None = None
    images: bool = True
    masks: bool = True

    def matches(self, start: bytes) -> bool:
        """Whether a file that starts with these 512 bytes (or fewer) is of this format."""
        return self.sniff(start) if self.sniff else start.startswith(self.magic)


@cache
def formats() -> tuple[Format, ...]:
    """Every format, by name."""
    package = import_module("napari_medseg.io.formats")
    modules = (import_module(f"{package.__name__}.{m.name}") for m in iter_modules(package.__path__))
    return tuple(sorted((m.FORMAT for m in modules), key=lambda f: f.name))


def is_known(path: Path) -> bool:
    """Whether the suffix of a file is that of a format."""
    return _by_suffix(path) is not None


def format_for(path: Path) -> Format:
    """The format that the suffix of a path names.

    Raises
    ------
    InputError
        If none has it; the known ones are named.
    """
    found = _by_suffix(path)
    if found is None:
        known = ", ".join(sorted(s for f in formats() for s in f.suffixes))
        raise InputError(f"'{path.name}' has a suffix that no format has.", f"Known are {known}.")
    return found


def read_header(path: Path) -> Header:
    """Look into a file; refuse empty ones and those whose content is another format than their name says.

    Raises
    ------
    InputError
        With the file's name, the reason and what to do.
    """
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise InputError(
            f"{path.name} cannot be opened ({error.strerror}).", "Check the path and its rights."
        ) from error
    if not start:
        raise InputError(f"{path.name} is empty (0 bytes).", "Copy it again from where it came from.")
    expected = format_for(path)
    if not expected.matches(start):
        inside = next((f for f in formats() if f.matches(start)), None)
        if inside is None:
            raise InputError(f"{path.name} is not a {expected.title}.", "Copy or export it again.")
        raise InputError(
            f"{path.name} is a {inside.title}, not a {expected.title}.", f"Rename it to end in {inside.suffixes[0]}."
        )
    return expected.header(path)


def _by_suffix(path: Path) -> Format | None:
    name = path.name.lower()
    return next((f for s, f in _suffixes() if name.endswith(s) and name != s), None)


@cache
def _suffixes() -> tuple[tuple[str, Format], ...]:
    """Longest first, so that ``.ome.tif`` comes before ``.tif``."""
    return tuple(sorted(((s, f) for f in formats() for s in f.suffixes), key=lambda item: -len(item[0])))
