"""The contract that one file in ``annotations/`` fulfils, and the registry that scanning that folder gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from napari_medseg.core import InputError, OutputError
from napari_medseg.io.format import Kept

from .files import Content, laid_out, look_into
from .regions import Outlines


@dataclass(frozen=True)
class OutlineFormat:
    """One format of outlines; each module in ``annotations/`` has one as ``OUTLINES``.

    Attributes
    ----------
    name, title
        Short name (``"coco"``) and the one for people (``"COCO JSON"``).
    suffixes
        In small letters with the dot, longest first. The last is the one other tools know; what several formats share
        (``.json``) is written by the one that has ``default``.
    claims
        Whether a file of these contents is of this format.
    read
        The outlines of such a file; structural mistakes may leave it as LookupError, TypeError or ValueError.
    write
        Writes outlines into a new file with this path.
    stacks
        Whether one file can hold several slices.
    keeps
        What written files hold themselves.
    default
        Whether names that several formats share are written in this one.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    claims: Callable[[Content], bool]
    read: Callable[[Content], Outlines]
    write: Callable[[Path, Outlines], None]
    stacks: bool = False
    keeps: frozenset[Kept] = frozenset({"classes", "colors"})
    default: bool = True


@cache
def outline_formats() -> tuple[OutlineFormat, ...]:
    """Every format of outlines, by name."""
    package = import_module("napari_medseg.io.annotations")
    modules = (import_module(f"{package.__name__}.{m.name}") for m in iter_modules(package.__path__))
    return tuple(sorted((m.OUTLINES for m in modules), key=lambda f: f.name))


def is_outline_name(path: Path) -> bool:
    """Whether the name of a file is one that outlines have; sidecars of masks do not."""
    name = path.name.lower()
    return name != "classes.json" and not name.endswith(".classes.json") and bool(_sharing(path))


def outline_format(path: Path, name: str | None = None) -> OutlineFormat:
    """The format that outlines are written in.

    Parameters
    ----------
    path
        Its suffix tells, unless ``name`` does.
    name
        Of the format.

    Raises
    ------
    OutputError
        If there is no such format, or the suffix is not one that it is known by.
    """
    if name is None:
        found = _sharing(path)
        if not found:
            raise OutputError(f"'{path.name}' has a suffix that no format of outlines has.", f"Known are {_known()}.")
        longest = max(len(s) for f in found for s in f.suffixes if path.name.lower().endswith(s))
        best = [f for f in found if any(len(s) == longest and path.name.lower().endswith(s) for s in f.suffixes)]
        return next((f for f in best if f.default), best[0])
    chosen = next((f for f in outline_formats() if f.name == name.lower()), None)
    if chosen is None:
        names = ", ".join(f.name for f in outline_formats())
        raise OutputError(f"There is no format of outlines called '{name}'.", f"Known are {names}.")
    return chosen


def read_outlines(path: str | Path) -> Outlines:
    """Read the outlines of one file, in the pixels that it counts in.

    Raises
    ------
    InputError
        With the file's name, the reason and what to do.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} is not a file.", "Check how the path is spelled.")
    content = look_into(path)
    for chosen in outline_formats():
        with laid_out(path, chosen.title):
            if chosen.claims(content):
                return chosen.read(content)
    titles = ", ".join(f.title for f in outline_formats())
    raise InputError(f"{path.name} is none of the known formats of outlines.", f"Known are {titles}.")


def _sharing(path: Path) -> list[OutlineFormat]:
    name = path.name.lower()
    return [f for f in outline_formats() if any(name.endswith(s) and name != s for s in f.suffixes)]


def _known() -> str:
    return ", ".join(sorted({s for f in outline_formats() for s in f.suffixes}))
