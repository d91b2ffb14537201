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

from napari_medseg.core import ClassInfo, Finding, Geometry, InputError, Labels, Window


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
    minor
        Whether it is left out where one other is not: a scout view, or a few slices that do not fit to the rest.
    part
        Which of the images in its file it is, where that holds several.
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
    is_folder
        Whether a "file" of this format is a folder; ``write`` is then given the path of a folder not there yet.
    parts
        Labels of the images in a file, for formats whose files can hold several; ``header``, ``pixels``, ``values`` and
        ``array`` then take the index of one as the keyword ``part``.
    arrange
        The series that these files make up by what they say of themselves; None where names and numbers tell.
    images, masks
        Whether it is read as an image, as masks.
    classes
        Names and colours of the classes that a file of masks holds itself.
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
    is_folder: bool = False
    parts: Callable[[Path], tuple[str, ...]] | None = None
    arrange: Callable[[Sequence[Path]], list[Arranged]] | None = None
    images: bool = True
    masks: bool = True
    classes: Callable[[Path], tuple[ClassInfo, ...]] | None = None

    def matches(self, start: bytes) -> bool:
        """Whether a file that starts with these 512 bytes (or fewer) is of this format."""
        return self.sniff(start) if self.sniff else start.startswith(self.magic)


@cache
def formats() -> tuple[Format, ...]:
    """Every format, by name."""
    package = import_module("napari_medseg.io.formats")
    modules = (import_module(f"{package.__name__}.{m.name}") for m in iter_modules(package.__path__))
    return tuple(sorted((m.FORMAT for m in modules), key=lambda f: f.name))


def known_suffix(name: str) -> str:
    """The suffix of a file name in small letters, as long as a format has it; empty where none does."""
    small = name.lower()
    return next((s for s, _ in _suffixes() if small.endswith(s) and small != s), "")


def is_known(path: Path) -> bool:
    """Whether the suffix of a file is that of a format, or, of a file without one, its content."""
    return bool(_by_suffix(path) or _by_content(path))


def arranging_format(path: Path) -> Format | None:
    """The format that arranges this file with others into series, if one does."""
    return next((f for f in _by_suffix(path) or _by_content(path) if f.arrange), None)


def is_folder_format(path: Path) -> bool:
    """Whether a folder is a "file" of some format, by its name."""
    return any(f.is_folder for f in _by_suffix(path))


def format_for(path: Path, *, writing: bool = False) -> Format:
    """The format that the suffix of a path names.

    Where several formats share it, or a file has none, its content decides; of a file to be written, which of them
    writes.

    Raises
    ------
    InputError
        If none has it; the known ones are named.
    """
    found = _by_suffix(path) or (() if writing else _by_content(path))
    if not found:
        known = ", ".join(sorted({s for f in formats() for s in f.suffixes}))
        raise InputError(f"'{path.name}' has a suffix that no format has.", f"Known are {known}.")
    if len(found) == 1:
        return found[0]
    if writing:
        return next((f for f in found if f.write), found[0])
    start = _start_of(path)
    return next((f for f in found if f.matches(start)), found[-1])


def read_header(path: Path, part: int | None = None) -> Header:
    """Look into a file; refuse empty ones and those whose content is another format than their name says.

    Parameters
    ----------
    part
        Which of the images in a file that holds several; the first by default.

    Raises
    ------
    InputError
        With the file's name, the reason and what to do.
    """
    expected = format_for(path)
    choice = {} if part is None else {"part": part}
    if expected.is_folder and path.is_dir():
        return expected.header(path, **choice)
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise InputError(
            f"{path.name} cannot be opened ({error.strerror}).", "Check the path and its rights."
        ) from error
    if not start:
        raise InputError(f"{path.name} is empty (0 bytes).", "Copy it again from where it came from.")
    if not expected.matches(start):
        inside = next((f for f in formats() if f.matches(start)), None)
        if inside is None:
            raise InputError(f"{path.name} is not a {expected.title}.", "Copy or export it again.")
        raise InputError(
            f"{path.name} is a {inside.title}, not a {expected.title}.", f"Rename it to end in {inside.suffixes[0]}."
        )
    return expected.header(path, **choice)


def _by_suffix(path: Path) -> tuple[Format, ...]:
    return dict(_suffixes()).get(known_suffix(path.name), ())


def _by_content(path: Path) -> tuple[Format, ...]:
    """The format of a file whose name ends in no word: scanners write ``IM000001`` and ``1.2.840.113619``."""
    if path.suffix[1:2].isalpha() or not path.is_file():
        return ()
    start = _start_of(path)
    able = sorted((f for f in formats() if f.sniff), key=lambda f: f.images)
    return tuple(f for f in able if f.matches(start))[:1]


def _start_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(512)
    except OSError:
        return b""


@cache
def _suffixes() -> tuple[tuple[str, tuple[Format, ...]], ...]:
    """Longest first, so that ``.ome.tif`` comes before ``.tif``; formats of masks only before those of images."""
    found: dict[str, list[Format]] = {}
    for one in sorted(formats(), key=lambda f: f.images):
        for suffix in one.suffixes:
            found.setdefault(suffix, []).append(one)
    return tuple((s, tuple(found[s])) for s in sorted(found, key=len, reverse=True))
