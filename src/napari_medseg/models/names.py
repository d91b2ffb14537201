"""Names of models: which are free for whom, and another for all versions of one. Importing this loads no torch."""

from __future__ import annotations

import os
import shutil
import uuid
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from napari_medseg.core import ModelCard, ModelError, OutputError, first_problem

from .library import STARTERS, library_home, versions
from .remove import broken_folders, children, drop_folder, own_entries
from .weights import CARD

_OWN = "Give it a name of its own (--name)."


def rename_model(old: str, new: str) -> tuple[ModelCard, ...]:
    """Rename one of the user's models with all its versions; models that were trained from it follow.

    Of a shipped model that was fine-tuned under its own name, the fine-tuned versions go. The new name appears at once
    with all versions, and only then the old ones go: killed in between, both names are there and nothing is lost.

    Parameters
    ----------
    old
        The name, without a version.
    new
        A name that no model has.

    Returns
    -------
    tuple of ModelCard
        As they are called now, the oldest first.

    Raises
    ------
    ModelError
        There is no such model, it came with napari-medseg, one of its versions is damaged, or the new name is
        taken or not a name.
    OutputError
        The folders cannot be written.
    """
    if "@" in old:
        raise ModelError(f"{old} cannot be renamed alone.", f"Rename {old.partition('@')[0]} with all its versions.")
    entries = own_entries(old, "renamed")
    if broken := next(iter(broken_folders(old)), ""):
        raise ModelError(
            f"{broken} is damaged and would stay behind.", f"Run napari-medseg models remove {broken} first."
        )
    cards = [renamed(entry.card, new) for entry in entries]
    shelf = library_home() / "models" / new
    if shelf.is_dir():
        with suppress(OSError):  # all but an empty one stays, such as one with a damaged version
            shelf.rmdir()
    if versions(new) or shelf.exists():
        raise ModelError(f"There is a model {new} already.", "Choose another name, or remove it first.")
    moved = {e.card.reference: (e.card.sha256, card.reference) for e, card in zip(entries, cards, strict=True)}
    part = shelf.with_name(f".{uuid.uuid4().hex}.part")
    try:
        cards = [_follow(card, moved) for card in cards]
        for entry, card in zip(entries, cards, strict=True):
            place = part / str(card.version)
            shutil.copytree(entry.folder, place, copy_function=_link)
            _replace_card(place, card)
        part.rename(shelf)
        for child in children(moved):
            if (card := _follow(child.card, moved)) != child.card and child not in entries:
                _replace_card(child.folder, card)
        for entry in entries:
            drop_folder(entry.folder)
    except OSError as error:
        raise OutputError(f"{old} cannot be renamed: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return tuple(cards)


def renamed(card: ModelCard, name: str) -> ModelCard:
    """The same card under another name, if one is given.

    Raises
    ------
    ModelError
        The name cannot be one.
    """
    try:
        return ModelCard.model_validate({**dict(card), "name": name or card.name})
    except ValidationError as error:
        problem = first_problem(error)
        raise ModelError(f"{problem[0].upper()}{problem[1:]}.") from error


def check_stranger(card: ModelCard, *, named: bool) -> None:
    """Refuse a model from elsewhere that would be used in place of another one, by its name.

    Parameters
    ----------
    named
        Whether the user chose the name: then only those of built-in models are taken.

    Raises
    ------
    ModelError
        There is another model of that name, from which this one was not made.
    """
    there = versions(card.name) if not named or _is_shipped(card.name) else ()
    if there and card.parent.partition("@")[0] != card.name and card.sha256 not in {one.sha256 for one in there}:
        raise ModelError(f"There is another model {card.name}, in whose place it would be used.", _OWN)


def check_name_is_own(name: str, *made_from: str) -> None:
    """Refuse the name of a built-in model for what is not made from it: it would be used in its place.

    Raises
    ------
    ModelError
        There is a built-in model of that name.
    """
    if _is_shipped(name) and name not in {reference.partition("@")[0] for reference in made_from}:
        raise ModelError(f"{name} is a built-in model, in whose place this one would be used.", _OWN)


def _is_shipped(name: str) -> bool:
    return (STARTERS / name).is_dir()


def _follow(card: ModelCard, moved: dict[str, tuple[str, str]]) -> ModelCard:
    """The card with its parent's new name, if that is the model that was renamed and not another one of that name."""
    sha256, reference = moved.get(card.parent, ("", card.parent))
    same = card.parent_sha256 in ("", sha256)
    return card.model_copy(update={"parent": reference}) if same else card


def _link(source: str, target: str) -> None:
    """Weights are large: where it can, the file gets a second name and is not copied."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _replace_card(folder: Path, card: ModelCard) -> None:
    """Put another card in the place of one, whole; the time of the old one, which tells when it was made, stays."""
    part = folder / f".{CARD}.part"
    part.write_text(card.model_dump_json(indent=2), encoding="utf-8")
    shutil.copystat(folder / CARD, part)
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(folder / CARD)
