"""Which image was used for what in a training: a table (CSV) beside its run, to measure on exactly these again."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from napari_medseg.core import InputError

SPLIT_FILE = "split.csv"

Part = Literal["training", "validation", "test"]
"""What an image may be for: it teaches, it measures on the way, or it measures once at the end."""

PARTS: tuple[str, ...] = get_args(Part)

_HEAD = ("part", "image", "slice", "group")


@dataclass(frozen=True)
class Listed:
    """A slice and its part.

    Attributes
    ----------
    image
        The file it is in.
    slice
        Its index in that file; None of a file that is one slice.
    group
        What it was held out together with, such as a patient.
    """

    part: str
    image: Path
    slice: int | None = None
    group: str = ""


def split_text(rows: Iterable[Listed]) -> str:
    """The table as text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEAD)
    for row in rows:
        writer.writerow([row.part, row.image, "" if row.slice is None else row.slice, row.group])
    return text.getvalue()


def read_split(path: Path) -> tuple[Listed, ...]:
    """Read the table of a run.

    Parameters
    ----------
    path
        The table, or the folder of the run.

    Raises
    ------
    InputError
        It is not there, or no such table.
    """
    file = path / SPLIT_FILE if path.is_dir() else path
    hint = f"Give the {SPLIT_FILE} that a training wrote, or the folder of its run."
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            rows = [
                Listed(row["part"], Path(row["image"]), int(row["slice"]) if row["slice"] else None, row["group"])
                for row in csv.DictReader(lines, strict=True)
            ]
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}.", hint) from error
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise InputError(f"{file} does not list the images of a training.", hint) from error
    if not rows or {row.part for row in rows} - {*PARTS}:
        raise InputError(f"{file} does not list the images of a training.", hint)
    return tuple(rows)
