"""Who is at work on a result: locks that the system gives back when their process ends, however it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from napari_medseg.core import OutputError
from napari_medseg.io.atomic import explained
from napari_medseg.io.locks import Mutex, about, in_use, read_signature, sign, take

WHOLE = "all"
"""Owner of a run over the whole slide."""

START_SECONDS = 600.0
"""How long one machine may take to make the result that the others then share."""

WRITE_SECONDS = 600.0
"""How long a program may write in one go."""

START, WRITE = "start", "writing"
"""Locks that are nobody's claim to a part."""


_mutexes: dict[Path, Mutex] = {}
"""One for each file in this process, so that threads and nested calls know of each other."""


class Holding:
    """Locks of a result.

    Parameters
    ----------
    result
        What is written.
    folder
        Where the locks are.
    """

    def __init__(self, result: Path, folder: Path) -> None:
        self.result, self.folder = result, folder

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Only one at a time makes the result or finishes it; the others wait.

        Raises
        ------
        OutputError
            Another program has been at it for too long.
        """
        with explained(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        lock = take(self.folder / f"{START}.lock", START_SECONDS)
        if lock is None:
            raise OutputError(
                f"Another program has been preparing {self.result} for {START_SECONDS / 60:.0f} minutes.",
                "See what it does.",
            )
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Read a chunk of the result, change it and write it: only one thread of one process does at a time.

        A thread that does may enter again. Inside `starting` and `held`, never around them.

        Raises
        ------
        OutputError
            Another program has been at it for too long.
        """
        path = self.folder.resolve() / f"{WRITE}.lock"
        with _mutexes.setdefault(path, Mutex(path)).held(WRITE_SECONDS) as mine:
            if not mine:
                raise OutputError(
                    f"Another program has been writing into {self.result} for {WRITE_SECONDS / 60:.0f} minutes.",
                    "See what it does.",
                )
            yield

    @contextmanager
    def held(self, owner: str = WHOLE) -> Iterator[None]:
        """The right to compute the part of an owner; the system gives it back when the process ends, however it ends.

        Raises
        ------
        OutputError
            Somebody computes this part, or one that overlaps it; says who, where and since when.
        """
        with explained(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = self._take(owner)
        try:
            if lock is None:
                raise self._refused(owner)
            for other in sorted(p.stem for p in self.folder.glob("*.lock") if p.stem not in (owner, START, WRITE)):
                if not _compatible(owner, other):
                    probe = take(self.folder / f"{other}.lock")
                    if probe is None:
                        raise self._refused(other)
                    probe.release()
            yield
        finally:
            if lock is not None:
                about(self.folder / f"{owner}.lock").unlink(missing_ok=True)
                lock.release()

    def _take(self, owner: str) -> FileLock | None:
        path = self.folder / f"{owner}.lock"
        lock = take(path)
        if lock is not None:
            sign(path)
        return lock

    def _refused(self, owner: str) -> OutputError:
        signature = read_signature(self.folder / f"{owner}.lock")
        return in_use(self.result, signature[0] if signature else None, "" if owner == WHOLE else owner)


def _compatible(owner: str, other: str) -> bool:
    """Whether two owners have nothing in common: shards of the same division."""
    mine, theirs = owner.partition("-of-"), other.partition("-of-")
    return bool(mine[1]) and mine[1:] == theirs[1:]
