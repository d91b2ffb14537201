"""Which format a file is of: the registry that scanning ``formats/`` gives, asked by suffix and by content."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from napari_medseg.core import InputError

from .format import Format, Header


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
    start = read_start(path)
    if not start:
        raise InputError(f"{path.name} is empty (0 bytes).", "Copy it again from where it came from.")
    if not expected.matches(start):
        general = sorted(formats(), key=lambda f: not f.masks)  # slides are TIFF or JPEG within
        inside = next((f for f in general if f.matches(start)), None)
        if inside is None:
            raise InputError(f"{path.name} is not a {expected.title}.", "Copy or export it again.")
        raise InputError(
            f"{path.name} is a {inside.title}, not a {expected.title}.", f"Rename it to end in {inside.suffixes[0]}."
        )
    return expected.header(path, **choice)


def read_start(path: Path) -> bytes:
    """The first 512 bytes of a file, which tell its format.

    Raises
    ------
    InputError
        If it cannot be opened.
    """
    try:
        with path.open("rb") as file:
            return file.read(512)
    except OSError as error:
        raise InputError(
            f"{path.name} cannot be opened ({error.strerror}).", "Check the path and its rights."
        ) from error


def _by_suffix(path: Path) -> tuple[Format, ...]:
    return dict(_suffixes()).get(known_suffix(path.name), ())


def _by_content(path: Path) -> tuple[Format, ...]:
    """The format of a file whose name ends in no word: scanners write ``IM000001`` and ``1.2.840.113619``."""
    if path.suffix[1:2].isalpha() or not path.is_file():
        return ()
    start = _start_of(path)
    able = sorted((f for f in formats() if f.sniff), key=_is_general)
    return tuple(f for f in able if f.matches(start))[:1]


def _start_of(path: Path) -> bytes:
    """The first bytes of a file; none where it cannot be opened, which is told when it is read."""
    try:
        return read_start(path)
    except InputError:
        return b""


def _is_general(one: Format) -> bool:
    """Whether files of a format can hold anything, not masks or slides alone: it takes what no other one does."""
    return one.images and one.masks


@cache
def _suffixes() -> tuple[tuple[str, tuple[Format, ...]], ...]:
    """Longest first, so that ``.ome.tif`` comes before ``.tif``; of each, special formats before general ones."""
    found: dict[str, list[Format]] = {}
    for one in sorted(formats(), key=_is_general):
        for suffix in one.suffixes:
            found.setdefault(suffix, []).append(one)
    return tuple((s, tuple(found[s])) for s in sorted(found, key=len, reverse=True))
