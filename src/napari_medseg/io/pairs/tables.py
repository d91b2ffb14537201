"""Tables (CSV, TSV) whose rows name an image, in one file or one for each channel, and its mask."""

from __future__ import annotations

import csv
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from napari_medseg.core import InputError
from napari_medseg.io.channels import name_channels
from napari_medseg.io.registry import is_known

SUFFIXES = (".csv", ".tsv")
_LONGEST = 2**28
_IMAGE = ("image", "img", "scan", "photo", "slice", "volume")
_MASK = ("mask", "label", "seg", "annotation", "truth", "gt")
_GROUP = ("patient", "subject", "case", "group", "study")
_HINT = "Its columns are called image (of channels in files of their own image 1, image 2 …) and mask and hold paths."


@dataclass(frozen=True)
class TableRow:
    """A row: where image and mask lie, and the patient they are of; ``problem`` says what is wrong with it.

    ``channels`` are the files of further channels, in the order of the columns, and ``channel_names`` what these call
    all of them, where they do; ``absent`` are the first folders of its paths, without which these were found.
    """

    number: int
    image: Path
    mask: Path
    group: str = ""
    problem: str = ""
    channels: tuple[Path, ...] = ()
    channel_names: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()


def is_table(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def read_table(path: Path, root: Path) -> list[TableRow]:
    """Read the rows of a table.

    Paths are looked for below ``root``, also without the first folders that they name, for tables are written on other
    computers; a path that leads out of ``root`` is no file of the data set and is not followed. The columns are known
    by their names (``image_path`` and ``mask_path``, ``img`` and ``label``) and by holding paths; several of images
    (``image 1``, ``image 2``, or ``t1``, ``flair``) are channels of one. A column such as ``patient_id`` groups the
    rows.

    Raises
    ------
    InputError
        If it is no table of images and masks.
    """
    names, rows = _parse(path)
    images, mask = _find_columns(path, names, rows)
    group = next((i for word in _GROUP for i, name in enumerate(names) if name.lower().startswith(word)), None)
    called = name_channels([names[i] for i in images])
    top = root.resolve()
    found = []
    for number, row in enumerate(rows, 2):
        cells = {i: row[i].strip() if i < len(row) else "" for i in (mask, *images)}
        located = {i: _locate(cell, top) for i, cell in cells.items()}
        paths = {i: path for i, (path, _) in located.items()}
        lost = next((i for i, p in paths.items() if p is None), None)
        problem = "" if lost is None else f"Row {number} of {path.name} " + (
            f"names '{cells[lost]}', which is not in {root.name}." if cells[lost] else f"names no {names[lost]}."
        )  # fmt: skip
        drawn, first, *others = [p or root / "?" for p in paths.values()]
        own = row[group].strip() if group is not None and group < len(row) else ""
        absent = tuple(dict.fromkeys(folders for _, folders in located.values() if folders))
        found.append(TableRow(number, first, drawn, own, problem, tuple(others), called, absent))
    return found


def _parse(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        if path.stat().st_size > _LONGEST:
            raise InputError(f"{path.name} is too long for a table of files.", _HINT)
        text = path.read_text("utf-8-sig")
        rows = [row for row in csv.reader(text.splitlines(), delimiter=_delimiter(text)) if any(map(str.strip, row))]
    except OSError as error:
        raise InputError(f"{path.name} cannot be opened ({error.strerror}).", "Check its rights.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path.name} is no table in UTF-8 text.", _HINT) from error
    if len(rows) < 2:
        raise InputError(f"{path.name} holds no rows.", _HINT)
    return [name.strip() for name in rows[0]], rows[1:]


def _delimiter(text: str) -> str:
    first = text.split("\n", 1)[0]
    return max(",;\t", key=first.count)


def _find_columns(path: Path, names: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[list[int], int]:
    """Indices of the columns of images and of masks: those that hold paths, by their names."""
    some = rows[:50]
    holding = [
        i for i in range(len(names)) if sum(i < len(r) and is_known(Path(r[i].strip())) for r in some) >= len(some) / 2
    ]
    masks = [i for i in holding if any(word in names[i].lower() for word in _MASK)]
    images = [i for i in holding if i not in masks]
    named = [i for i in images if any(word in names[i].lower() for word in _IMAGE)]
    images = named or images
    if not images or len(masks) != 1:
        shown = ", ".join(names[:12])
        raise InputError(f"{path.name} does not tell which columns hold images and masks: {shown}.", _HINT)
    return images, masks[0]


def _locate(cell: str, top: Path) -> tuple[Path | None, str]:
    """The file that a cell names below ``top``: the longest end of its path that is there; and what was left out."""
    if "\0" in cell:
        return None, ""
    # What leads up stands at the front then, where folders of another computer are left out.
    path = PurePosixPath(posixpath.normpath(cell.replace("\\", "/")))
    parts = [p for p in path.parts if p.strip("/") and p not in (".", "..")]
    for first in range(len(parts)):
        try:
            place = top.joinpath(*parts[first:])
            if place.is_file() and place.resolve().is_relative_to(top):
                return place, "/".join(parts[:first])
        except (OSError, ValueError):
            return None, ""
    return None, ""
