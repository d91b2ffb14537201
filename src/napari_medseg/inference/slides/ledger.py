"""What is done of a slide, kept beside its result so that a run can be killed, continued and shared."""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import InputError
from napari_medseg.io.atomic import explained, write_file, write_text

from .holding import WHOLE, Holding

FORMAT = 1
MOST_KEPT = 4

Array = npt.NDArray[Any]
Place = tuple[int, int]
Window = tuple[slice, slice]


@dataclass(frozen=True)
class Painted:
    """Values that a person put back into a result; those of `LabelPyramid.not_computed` say nothing."""

    rows: slice
    columns: slice
    values: Array


class Ledger(Holding):
    """The folder ``<result>.ledger``.

    ``run.json`` says what the result is made of; ``done-<owner>.txt`` has a line for each finished chunk,
    ``unreadable-<owner>.txt`` one for each rectangle of the image that cannot be read; ``painted`` holds what a person
    put back, which no run overwrites. Each owner (the whole run, a shard, a task) writes files of its own.

    Parameters
    ----------
    result
        Folder of the result; the ledger is beside it.
    """

    def __init__(self, result: Path) -> None:
        super().__init__(result, result.with_name(f"{result.name}.ledger"))
        self._corners: dict[str, Window] = {}
        self._kept: OrderedDict[str, Array] = OrderedDict()
        self._appending = Lock()

    # --- what the result is made of

    def read(self) -> dict[str, Any]:
        """``run.json``; empty where there is none.

        Raises
        ------
        InputError
            It is damaged, or another version's.
        """
        path = self.folder / "run.json"
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read.", "Segment again with overwrite.") from error
        if not isinstance(about, dict) or about.get("format") != FORMAT:
            raise InputError(f"{path} is of another version of the program.", "Segment again with overwrite.")
        return about

    def begin(self, about: Mapping[str, Any]) -> None:
        """Write ``run.json``: from then on there is a run to continue."""
        with explained(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        write_text(self.folder / "run.json", json.dumps({"format": FORMAT, **about}, indent=1), overwrite=False)

    def check(self, about: Mapping[str, Any]) -> None:
        """Refuse to continue with something else than the run was begun with.

        Raises
        ------
        InputError
            Names what changed.
        """
        before = self.read()
        for name, title in (("image", "image"), ("model", "model"), ("tissue", "tissue mask"), ("options", "options")):
            if name in about and (now := json.loads(json.dumps(about[name]))) != before.get(name):
                raise InputError(
                    f"{self.result.name} was begun with {_other(title, before.get(name), now)}.",
                    "Go on with what it was begun with, or start anew with overwrite.",
                )

    # --- what is done

    def done(self) -> set[Place]:
        """Chunks that are finished, whoever did them."""
        found = set()
        for numbers in self._lines("done", 2):
            found.add((numbers[0], numbers[1]))
        return found

    def unreadable(self) -> list[Window]:
        """Rectangles of the image, in its pixels, that no run could read."""
        windows = {tuple(numbers) for numbers in self._lines("unreadable", 4)}
        return [(slice(a, b), slice(c, d)) for a, b, c, d in sorted(windows)]

    def mark_done(self, owner: str, chunks: Collection[Place]) -> None:
        """Chunks are written: called after they are, so that a chunk whose line is there is there itself."""
        self._append("done", owner, (f"{i} {j}" for i, j in chunks))

    def mark_unreadable(self, owner: str, windows: Iterable[Window]) -> None:
        self._append("unreadable", owner, (f"{r.start} {r.stop} {c.start} {c.stop}" for r, c in windows))

    @property
    def levels_built(self) -> bool:
        """Whether the smaller levels above chunks that were written in parts were built since."""
        parts = [p for p in self.folder.glob("done-*.txt") if p.name != f"done-{WHOLE}.txt"]
        return not parts or (self.folder / "levels.txt").exists()

    @levels_built.setter
    def levels_built(self, built: bool) -> None:
        path = self.folder / "levels.txt"
        with explained(path):
            if built:
                path.touch()
            else:
                path.unlink(missing_ok=True)

    def _lines(self, kind: str, count: int) -> Iterator[list[int]]:
        for path in sorted(self.folder.glob(f"{kind}-*.txt")):
            # A killed program leaves half a line at the end; a power cut perhaps anything.
            for line in path.read_text(encoding="ascii", errors="replace").split("\n")[:-1]:
                parts = line.split()
                if len(parts) == count and all(p.isdecimal() for p in parts):
                    yield [int(p) for p in parts]

    def _append(self, kind: str, owner: str, lines: Iterable[str]) -> None:
        text = "".join(f"{line}\n" for line in lines).encode("ascii")
        if not text:
            return
        path = self.folder / f"{kind}-{owner}.txt"
        with self._appending, explained(path):
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
            try:
                end = os.lseek(handle, 0, os.SEEK_END)
                if end:
                    os.lseek(handle, end - 1, os.SEEK_SET)
                    if os.read(handle, 1) != b"\n":
                        text = b"?\n" + text  # what may be half a number never counts
                os.write(handle, text)
                with suppress(OSError):  # some network drives cannot
                    os.fsync(handle)
            finally:
                os.close(handle)

    # --- what a person put back

    def keep(self, rows: slice, columns: slice, values: Array) -> None:
        """Keep values of a rectangle, which no run overwrites from now on; a later one on the same place wins.

        Call it before `LabelPyramid.put`, and both while `writing`.
        """
        folder = self.folder / "painted"
        with explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
        corners = np.array([rows.start, rows.stop, columns.start, columns.stop], np.int64)

        def write(part: Path) -> None:
            with part.open("wb") as file:
                np.savez_compressed(file, corners=corners, values=values)

        with self.writing():
            number = 1 + max((int(p.stem) for p in folder.glob("*.npz") if p.stem.isdecimal()), default=0)
            write_file(folder / f"{number:06}.npz", write)

    def painted(self, rows: slice, columns: slice) -> list[Painted]:
        """What a person put back into a rectangle, the oldest first; also what came since the last call."""
        try:
            names = sorted(p.name for p in (self.folder / "painted").iterdir() if p.stem.isdecimal())
        except FileNotFoundError:
            return []
        found = []
        for name in names:
            where = self._corners.get(name)
            if where is None:
                with np.load(self.folder / "painted" / name) as stored:
                    top, bottom, left, right = (int(n) for n in stored["corners"])
                where = self._corners[name] = (slice(top, bottom), slice(left, right))
            if _overlap(where[0], rows) and _overlap(where[1], columns):
                found.append(Painted(*where, self._values(name)))
        return found

    def _values(self, name: str) -> Array:
        """Values of a patch; those of the last few stay in memory, as its chunks follow one another."""
        if name not in self._kept:
            with np.load(self.folder / "painted" / name) as stored:
                self._kept[name] = stored["values"]
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return self._kept[name]


def _other(title: str, before: Any, now: Any) -> str:
    if title == "model" and isinstance(before, Mapping):
        same = before.get("reference") == now.get("reference")
        return f"other weights of the model {now['reference']}" if same else f"the model {before.get('reference')}"
    if title == "options" and isinstance(before, Mapping):
        changed = sorted(k for k in {*before, *now} if before.get(k) != now.get(k))
        return "other options (" + ", ".join(f"{k}: {before.get(k)}, now {now.get(k)}" for k in changed) + ")"
    if title == "image":
        return "another image, or the image's file has changed since"
    return f"another {title}"


def _overlap(a: slice, b: slice) -> bool:
    return bool(a.start < b.stop and b.start < a.stop)
