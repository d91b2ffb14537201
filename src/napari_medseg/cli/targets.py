"""Refuse an output that would overwrite something, before any work."""

from __future__ import annotations

from pathlib import Path

from napari_medseg.core import OutputError
from napari_medseg.io.atomic import write_file


def check_target(target: Path, *sources: Path, overwrite: bool = False) -> None:
    """Check that a result may be written to ``target``.

    Raises
    ------
    OutputError
        When it exists and ``overwrite`` is not set, or when it is one of the ``sources`` (never overwritten).
    """
    for source in sources:
        if target.exists() and source.exists() and target.samefile(source):
            raise OutputError(
                f"{target} is the input itself.", "Choose another output: the input is never overwritten."
            )
    if overwrite:
        return
    if target.is_dir():
        if any(target.iterdir()):
            raise OutputError(f"The folder {target} is not empty.", "Choose another output, or add --overwrite.")
    elif target.exists():
        raise OutputError(f"{target} exists already.", "Choose another output, or add --overwrite.")


def write_text(target: Path, text: str) -> None:
    """Write a small text file whole or not at all, with its folder.

    Raises
    ------
    OutputError
        When the place cannot be written to.
    """
    write_file(target, lambda part: _write(part, text), overwrite=True)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
