"""Painting that a program left behind when it died: found by its image, put back, or given up."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from napari_medseg.core import InputError

from .corrections import Corrections
from .journal import ABOUT, ACCEPTED, JOURNAL
from .log import drop_lock, read_log, take_lock
from .tiles import TileName, count_mine, decode_tile

GIVEN_UP = ".discarded"
KEPT_DAYS = 30


@dataclass
class Unsaved:
    """One journal of unsaved painting. While this lives no other program offers it: it holds the journal's lock.

    Attributes
    ----------
    about
        What the journal's layer was: its ``name``, ``shape``, ``dtype``, and what was described with it.
    slices
        Slices painted in or accepted, ascending.
    changed_at
        When the last edit was written, in seconds since 1970.
    """

    path: Path
    about: dict[str, Any]
    slices: tuple[int, ...]
    accepted: frozenset[int]
    changed_at: float
    _lock: FileLock | None = field(repr=False, default=None)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.about["shape"])

    def read(self) -> Iterator[tuple[int, npt.NDArray[Any], npt.NDArray[np.bool_]]]:
        """Each slice, its label values and which of them are the user's, shape (Y, X).

        Values that are not the user's are the program's where the journal has them, else 0.
        """
        tiles: dict[int, list[tuple[TileName, bytes]]] = {z: [] for z in self.slices}
        for name, part in read_log(self.path).items():
            if (tile := TileName.unpack(name)) is not None and tile.z in tiles:
                tiles[tile.z].append((tile, part))
        for z, found in tiles.items():
            labels = np.zeros(self.shape[-2:], self.about["dtype"])
            mine = np.zeros(self.shape[-2:], bool)
            for tile, part in found:
                box = tile.box(self.shape)
                labels[box], mine[box] = decode_tile(part)
            yield z, labels, mine

    def put_back(self, corrections: Corrections, *, whole: bool) -> None:
        """Put the painting into a layer of the same shape; slices that were accepted are so again.

        Parameters
        ----------
        corrections
            Those of the layer.
        whole
            Put back what the program had written in these slices too, as into a new layer. In accepted slices it
            always is: they were accepted with it.
        """
        for z, labels, mine in self.read():
            corrections.restore(z, labels, mine, whole=whole or z in self.accepted)
        for z in sorted(self.accepted):
            corrections.accept(z)

    def give_up(self) -> None:
        """Do not offer it again. The file stays for some weeks: `take_back` undoes this."""
        self.path = self._renamed(GIVEN_UP)

    def take_back(self) -> None:
        """Undo `give_up`."""
        self.path = self._renamed(JOURNAL)

    def remove(self) -> None:
        """Delete the file: the painting is safe elsewhere."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
        self.release()
        with suppress(OSError):
            self.path.parent.rmdir()

    def release(self) -> None:
        """Let other programs offer it."""
        drop_lock(self._lock)
        self._lock = None

    def _renamed(self, suffix: str) -> Path:
        target = self.path.with_suffix(suffix)
        with suppress(OSError):
            self.path.replace(target)
        return target


def find_unsaved(folder: Path) -> list[Unsaved]:
    """Journals of one image that no living program writes, oldest first. What cannot be read is left where it is."""
    found = []
    for path in sorted(folder.glob(f"*{JOURNAL}")):
        try:
            lock = take_lock(path)
        except OSError:
            continue
        unsaved = None
        with suppress(InputError, OSError, ValueError, KeyError, TypeError):
            unsaved = _open(path, lock)
        if unsaved is None:
            drop_lock(lock)
        elif unsaved.slices:
            found.append(unsaved)
        else:  # everything was undone
            unsaved.remove()
    return sorted(found, key=lambda u: u.changed_at)


def find_old(home: Path, days: float = KEPT_DAYS) -> list[Path]:
    """Journals of unsaved painting of any image that no living program writes and nobody touched for so many days."""
    before = time.time() - days * 86400
    return [path for path in sorted(home.glob(f"*/*{JOURNAL}")) if path.stat().st_mtime < before and _is_free(path)]


def remove_journals(paths: Iterable[Path]) -> None:
    """Delete journals, except those that are in use."""
    for path in paths:
        if _is_free(path):
            with suppress(OSError):
                path.unlink(missing_ok=True)
                path.parent.rmdir()


def _is_free(path: Path) -> bool:
    try:
        drop_lock(take_lock(path))
    except OSError:
        return False
    return True


def prune(home: Path, days: float = KEPT_DAYS) -> None:
    """Delete what was given up so many days ago, and leftovers; never painting that is unsaved."""
    before = time.time() - days * 86400
    for pattern in (f"*/*{GIVEN_UP}", "*/*.part"):
        for path in home.glob(pattern):
            with suppress(OSError):
                if path.stat().st_mtime < before:
                    path.unlink()
                    path.parent.rmdir()


def _open(path: Path, lock: FileLock | None) -> Unsaved:
    parts = read_log(path)
    about = json.loads(parts[ABOUT])
    shape = tuple(int(n) for n in about["shape"])
    np.dtype(about["dtype"])
    slices = shape[0] if len(shape) == 3 else 1
    accepted = frozenset(int(z) for z in json.loads(parts.get(ACCEPTED, b"[]")))
    tiles = ((TileName.unpack(name), part) for name, part in parts.items())
    painted = {tile.z for tile, part in tiles if tile is not None and count_mine(part)}
    chosen = tuple(sorted(z for z in painted | accepted if 0 <= z < slices))
    return Unsaved(path, about, chosen, accepted & set(chosen), path.stat().st_mtime, lock)
