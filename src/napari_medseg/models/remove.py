"""Models of the user's own, and their removal. Importing this loads no torch."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from napari_medseg.core import ModelError, OutputError

from .library import Entry, entries_of, explain_absence, is_own, scan_library


def remove_model(reference: str) -> tuple[str, ...]:
    """Remove one of the user's models: ``name@version``, or every version of ``name``. Shipped ones stay.

    Versions that are damaged go, too.

    Returns
    -------
    tuple of str
        What was removed, each as ``name@version``.

    Raises
    ------
    ModelError
        There is none of that name, or it came with napari-medseg.
    OutputError
        A folder cannot be removed.
    """
    folders = own_folders(reference)
    for folder in folders.values():
        drop_folder(folder)
    return tuple(folders)


def own_folders(reference: str) -> dict[str, Path]:
    """Folders of the user's versions of ``name`` or ``name@version`` by reference: oldest first, then damaged ones.

    Raises
    ------
    ModelError
        There are none, or only shipped ones.
    """
    broken = broken_folders(reference)
    usable = [e for e in entries_of(reference) if is_own(e.folder)] if broken else own_entries(reference, "removed")
    return {entry.card.reference: entry.folder for entry in usable} | broken


def own_entries(reference: str, verb: str) -> list[Entry]:
    """The user's usable versions of ``name`` or ``name@version``, oldest first.

    Raises
    ------
    ModelError
        There are none, or only shipped ones, which cannot be ``verb``.
    """
    entries = entries_of(reference)
    if not entries:
        raise explain_absence(reference)
    own = [e for e in entries if is_own(e.folder)]
    if not own:
        raise ModelError(f"{reference} came with napari-medseg and cannot be {verb}.")
    return own


def broken_folders(reference: str) -> dict[str, Path]:
    """Folders of versions of ``name``, or of ``name@version``, that hold no usable model, by reference."""
    name, at, version = reference.partition("@")
    if not name or bool(at) != bool(version):  # of no name they would be those of all
        return {}
    folders = (Path(finding.files[0]) for finding in scan_library(name)[1])
    found = {f"{name}@{folder.name}": folder for folder in folders if is_own(folder)}
    return {own: folder for own, folder in found.items() if not version or own == reference}


def drop_folder(folder: Path) -> None:
    """Delete one version's folder, and with the last one the model's.

    Raises
    ------
    OutputError
        The folder cannot be removed.
    """
    gone = folder.with_name(f".{uuid.uuid4().hex}.part")
    try:
        folder.rename(gone)  # at once, so that nobody sees half of it
    except OSError as error:
        raise OutputError(
            f"{folder.parent.name}@{folder.name} cannot be removed: {error.strerror or error}."
        ) from error
    shutil.rmtree(gone, ignore_errors=True)
    with suppress(OSError):  # other versions are left, or a training is about to end
        gone.parent.rmdir()


def children(references: Collection[str]) -> list[Entry]:
    """The user's models that were trained from one of these."""
    return [e for e in scan_library()[0] if is_own(e.folder) and e.card.parent in references]
