"""The models that are there: shipped ones and the user's. Importing this loads no torch."""

from __future__ import annotations

import logging
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from napari_medseg.core import Finding, ModelCard, ModelError, OutputError

from .build import outline_network
from .hub import download_model
from .weights import MEMORY, WEIGHTS, read_card, write_card, write_config, write_model

if TYPE_CHECKING:
    from torch import nn

HOME = "NAPARI_MEDSEG_HOME"
STARTERS = Path(__file__).parent / "starters"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """A model that is there."""

    card: ModelCard
    folder: Path


def library_home() -> Path:
    """Folder of the user's models, journal and caches: ``NAPARI_MEDSEG_HOME``, or the system's place for data."""
    home = os.environ.get(HOME)
    return Path(home).expanduser() if home else Path(platformdirs.user_data_dir("napari-medseg", appauthor=False))


def is_own(folder: Path) -> bool:
    """Whether the folder of a model is the user's, not one that came with the program."""
    return folder.is_relative_to(library_home() / "models")


def list_models(*, all_versions: bool = False) -> tuple[ModelCard, ...]:
    """Cards of the shipped and the user's models, by name and version.

    A damaged model is left out, and told by `check_library` and in the log.

    Parameters
    ----------
    all_versions
        Not only the newest of each.

    Returns
    -------
    tuple of ModelCard
        By name, then version, the oldest first.
    """
    entries, findings = scan_library()
    for finding in findings:
        _log.warning(finding.message)
    cards = sorted((e.card for e in entries), key=lambda c: (c.name, c.version))
    return tuple(cards) if all_versions else tuple({c.name: c for c in cards}.values())


def check_library() -> tuple[Finding, ...]:
    """What is wrong in the library: one finding (``BROKEN_MODEL``) per folder that holds no usable model.

    Returns
    -------
    tuple of Finding
        Each says what is wrong and what to do; its ``files`` is the folder.
    """
    return tuple(scan_library()[1])


def find_model(reference: str | Path) -> Path:
    """Folder of a model.

    Parameters
    ----------
    reference
        A library name (its newest version), ``name@version``, a folder, or ``hf:owner/repository[@revision]``.

    Returns
    -------
    Path
        The folder with its card and weights.

    Raises
    ------
    ModelError
        If there is no such model; names those there are.
    """
    text = str(reference)
    if text.startswith("hf:"):
        return download_model(text.removeprefix("hf:"), library_home() / "cache" / "hub")
    if not text.strip():
        raise explain_absence(text)
    if isinstance(reference, str) and "/" not in text and os.sep not in text:
        entries = entries_of(text)
        if entries:
            return entries[-1].folder
    folder = Path(reference).expanduser()
    if folder.is_dir():
        read_card(folder)
        return folder
    raise explain_absence(text)


def explain_absence(reference: str) -> ModelError:
    """The error that there is no such model, with those there are and what of it is damaged."""
    name, _, version = reference.partition("@")
    _, findings = scan_library(name)
    broken = f"{findings[0].message} " if findings else ""
    versions = ", ".join(str(e.card.version) for e in entries_of(name)) if version else ""
    if versions:
        return ModelError(f"There is no version {version} of the model {name}.", f"{broken}Its versions: {versions}.")
    names = ", ".join(sorted({e.card.name for e in scan_library()[0]})) or "none yet"
    return ModelError(f"There is no model {reference!r}.", f"{broken}Models here: {names}.")


def add_model(network: nn.Module, card: ModelCard, beside: Callable[[Path], object] = lambda _: None) -> ModelCard:
    """Add a model to the library as the next free version of ``card.name``.

    Safe beside other writers, in this and in other processes: a version is taken by renaming a finished folder, which
    fails for all but one.

    Parameters
    ----------
    network, card
        The model.
    beside
        Writes what else belongs into its folder.

    Returns
    -------
    ModelCard
        With its version and the hash of the weights.
    """

    def write(folder: Path) -> ModelCard:
        beside(folder)
        return write_model(folder, card, network)

    return _add(card, write)


def adopt_model(folder: Path, card: ModelCard) -> ModelCard:
    """Add a copy of a checked model folder to the library; its weights stay the same file, byte for byte."""

    def copy(part: Path) -> ModelCard:
        write_config(part, outline_network(card))  # the folder's own may say something else
        shutil.copyfile(folder / WEIGHTS, part / WEIGHTS)
        copy_memory(folder, part)
        return card

    return _add(card, copy)


def copy_memory(folder: Path, part: Path) -> None:
    """Copy what a model remembers into another folder."""
    if (folder / MEMORY).is_file():
        shutil.copyfile(folder / MEMORY, part / MEMORY)


def _add(card: ModelCard, write: Callable[[Path], ModelCard]) -> ModelCard:
    shelf = library_home() / "models" / card.name
    part = shelf / f".{uuid.uuid4().hex}.part"
    try:
        part.mkdir(parents=True)
        card = write(part)
        while True:
            card = write_card(part, card.model_copy(update={"version": _next_version(card.name)}))
            try:
                part.rename(shelf / str(card.version))
            except OSError:
                if not (shelf / str(card.version)).exists():
                    raise
                continue
            return card
    except OSError as error:
        raise OutputError(
            f"The model {card.name} cannot be added to {shelf}: {error.strerror or error}.",
            f"Make room or set {HOME} to a folder that can be written.",
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def versions(name: str) -> tuple[ModelCard, ...]:
    """Cards of all versions of a model, the oldest first; none if there is no such model."""
    return tuple(entry.card for entry in entries_of(name))


def lineage(card: ModelCard) -> tuple[ModelCard, ...]:
    """The models that one was trained from, the first of them first, itself last; as far as their weights are there."""
    line = [card]
    while found := [e.card for e in entries_of(line[0].parent) if e.card.sha256 == line[0].parent_sha256]:
        if any(found[0].reference == one.reference for one in line):  # cards from elsewhere may run in a circle
            break
        line.insert(0, found[0])
    return tuple(line)


def ancestry(card: ModelCard) -> str:
    """All that a model was trained from, as far as it is there: ``unet:resnet18 → femur-ct v1 → my-femur v1``."""
    line = lineage(card)
    names = [line[0].parent, *(one.reference for one in line[:-1])]
    return " → ".join(name.replace("@", " v") for name in names if name)


def entries_of(reference: str) -> list[Entry]:
    """Usable versions of ``name``, or the one of ``name@version``, oldest first; none of an empty reference."""
    name, at, version = reference.partition("@")
    entries = scan_library(name)[0] if name and bool(at) == bool(version) else []  # an empty one would be all of them
    wanted = [e for e in entries if not version or str(e.card.version) == version]
    return sorted(wanted, key=lambda e: e.card.version)


def _next_version(name: str) -> int:
    shelf = library_home() / "models" / name
    taken = [int(p.name) for p in shelf.iterdir() if p.name.isdigit()] if shelf.is_dir() else []
    taken += [e.card.version for e in scan_library(name)[0]]
    return max(taken, default=0) + 1


def scan_library(name: str = "") -> tuple[list[Entry], list[Finding]]:
    """Every usable version of every model (or of one), and what else was found in the places for models."""
    entries: dict[str, Entry] = {}
    findings = []
    for folder, own_name, version in _places(name):
        try:
            card = read_card(folder)
            if not (folder / WEIGHTS).is_file():
                raise ModelError(f"{folder / WEIGHTS} is missing.")
            if card.name != own_name or version not in ("", str(card.version)):
                raise ModelError(f"{folder} holds {card.reference}, which belongs in a folder of that name.")
        except ModelError as error:
            findings.append(
                Finding("BROKEN_MODEL", f"{error} If it is not needed, {_way_out(folder)}.", (str(folder),))
            )
            continue
        entries[card.reference] = Entry(card, folder)  # the user's own comes later and wins
    return list(entries.values()), findings


def _way_out(folder: Path) -> str:
    remove = f"run napari-medseg models remove {folder.parent.name}@{folder.name} or " if is_own(folder) else ""
    return f"{remove}delete {folder}"


def _places(name: str) -> Iterator[tuple[Path, str, str]]:
    """Folders that should hold models, with the name and version they should have; shipped ones first."""
    for shelf in _folders(STARTERS, name):
        yield shelf, shelf.name, ""
    for shelf in _folders(library_home() / "models", name):
        for folder in _folders(shelf):
            yield folder, shelf.name, folder.name


def _folders(parent: Path, name: str = "") -> list[Path]:
    try:
        inside = sorted(parent.iterdir())
    except OSError:
        return []
    return [p for p in inside if p.is_dir() and p.name[0] not in "._" and name in ("", p.name)]
