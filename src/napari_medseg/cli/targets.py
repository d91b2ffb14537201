"""Refuse an output that would overwrite something, before any work."""

from __future__ import annotations

from pathlib import Path

from napari_medseg.core import OutputError
from napari_medseg.io.atomic import check_writable, write_file
from napari_medseg.io.registry import is_known


def check_target(target: Path, *sources: Path, overwrite: bool = False) -> None:
    """Check that a result may be written to ``target``.

    Raises
    ------
    OutputError
        When it exists and ``overwrite`` is not set, when it is one of the ``sources`` (never overwritten) or a file
        among them, or when its place cannot be written to.
    """
    for source in sources:
        if target.exists() and source.exists() and target.samefile(source):
            raise OutputError(
                f"{target} is the input itself.", "Choose another output: the input is never overwritten."
            )
        if target.is_dir() and source.is_file() and target.samefile(source.parent):
            raise OutputError(
                f"{target} is the folder of the input, which a result of the same name would replace.",
                "Choose another output: the input is never overwritten.",
            )
        if (
            is_known(target)
            and not target.is_dir()
            and source.is_dir()
            and target.parent.exists()
            and target.parent.samefile(source)
        ):
            raise OutputError(
                f"{target} would lie among the images of the input and be read as one of them.",
                "Choose a place outside the input.",
            )
    check_writable(target)
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
