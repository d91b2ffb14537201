"""Who is at work on a result: locks that the system gives back when their process ends, however it ends."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from napari_medseg.core import OutputError
from napari_medseg.io.atomic import explained

WHOLE = "all"
"""Owner of a run over the whole slide."""

START_SECONDS = 600.0
"""How long one machine may take to make the result that the others then share."""


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
        """Only one at a time makes the result or finishes it; the others wait."""
        with explained(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / "start.lock", thread_local=False)
        try:
            lock.acquire(timeout=START_SECONDS, poll_interval=0.1)
        except Timeout as error:
            raise OutputError(
                f"Another program has been preparing {self.result} for {START_SECONDS / 60:.0f} minutes.",
                "See what it does.",
            ) from error
        try:
            yield
        finally:
            lock.release()

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
            for other in sorted(p.stem for p in self.folder.glob("*.lock") if p.stem not in (owner, "start")):
                if not _compatible(owner, other):
                    probe = self._take(other, tell=False)
                    if probe is None:
                        raise self._refused(other)
                    probe.release()
            yield
        finally:
            if lock is not None:
                (self.folder / f"{owner}.holder").unlink(missing_ok=True)
                lock.release()

    def _take(self, owner: str, *, tell: bool = True) -> FileLock | None:
        lock = FileLock(self.folder / f"{owner}.lock", thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return None
        if tell:
            # Beside the lock: taking a lock empties its file, even for those who do not get it.
            holder = {"host": socket.gethostname(), "pid": os.getpid(), "since": time.time()}
            (self.folder / f"{owner}.holder").write_text(json.dumps(holder), encoding="utf-8")
        return lock

    def _refused(self, owner: str) -> OutputError:
        try:
            holder = json.loads((self.folder / f"{owner}.holder").read_text(encoding="utf-8"))
            since = datetime.fromtimestamp(holder["since"]).strftime("%H:%M on %d %B %Y")
            who = f"process {holder['pid']} on {holder['host']} since {since}"
        except (OSError, ValueError, LookupError, TypeError):
            who = "another process"
        part = "" if owner == WHOLE else f" ({owner})"
        return OutputError(f"{self.result} is being written by {who}{part}.", "Wait for it or choose another output.")


def _compatible(owner: str, other: str) -> bool:
    """Whether two owners have nothing in common: shards of the same division."""
    mine, theirs = owner.partition("-of-"), other.partition("-of-")
    return bool(mine[1]) and mine[1:] == theirs[1:]
