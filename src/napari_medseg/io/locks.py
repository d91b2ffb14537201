"""Locks that the system gives back when their process ends, however it ends, and who holds them."""

from __future__ import annotations

import json
import os
import socket
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import RLock
from typing import Any

from filelock import FileLock, Timeout

from napari_medseg.core import OutputError

from .atomic import explained


@dataclass(frozen=True)
class Holder:
    """A run that is at work.

    Attributes
    ----------
    host, pid, since
        Where, which process, and from when on (seconds since 1970).
    """

    host: str
    pid: int
    since: float

    def __str__(self) -> str:
        started = datetime.fromtimestamp(self.since).strftime("%H:%M on %d %B %Y")
        return f"process {self.pid} on {self.host} since {started}"


def take(path: Path, seconds: float = 0.0) -> FileLock | None:
    """The lock of this file; None where somebody else holds it for longer than ``seconds``.

    Raises
    ------
    OutputError
        The drive has no locks, or nothing can be written there.
    """
    lock = FileLock(path, mode=0o666, thread_local=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # file systems without locks: a file that is there stands for one
        return lock if _acquire(lock, path, seconds) else None


class Mutex:
    """A lock among threads and processes alike, to be taken again and again; a thread that has it has it twice.

    Parameters
    ----------
    path
        Its file, whose folder is made where there is none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = RLock()
        self._depth = 0
        self._lock: FileLock | None = None

    @contextmanager
    def held(self, seconds: float) -> Iterator[bool]:
        """Hold it; False, and not held, where another process holds it for longer than ``seconds``."""
        with self._threads:
            if not self._depth and not self._take(seconds):
                yield False
                return
            self._depth += 1
            try:
                yield True
            finally:
                self._depth -= 1
                if not self._depth and self._lock is not None:
                    self._lock.release()

    def _take(self, seconds: float) -> bool:
        with explained(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._lock is not None:  # without `take`: what it does to warnings concerns all threads
            return _acquire(self._lock, self._path, seconds)
        self._lock = take(self._path, seconds)
        return self._lock is not None


def about(lock: Path) -> Path:
    """What is known of a lock's holder: beside it, because taking a lock empties the file, even in vain."""
    return lock.with_name(f"{lock.name.removesuffix('.lock')}.holder")


def sign(lock: Path, **more: Any) -> None:
    """Say who holds a lock: this process, from now on; and ``more``, as JSON has it."""
    told = {"host": socket.gethostname(), "pid": os.getpid(), "since": time.time(), **more}
    with explained(lock):
        about(lock).write_text(json.dumps(told), encoding="utf-8")


def read_signature(lock: Path) -> tuple[Holder, dict[str, Any]] | None:
    """Who holds a lock, and what else was said; None where nothing can be made out."""
    try:
        told = json.loads(about(lock).read_text(encoding="utf-8"))
        holder = Holder(str(told.pop("host")), int(told.pop("pid")), float(told.pop("since")))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    return holder, told


def _acquire(lock: FileLock, path: Path, seconds: float) -> bool:
    with explained(path):
        try:
            lock.acquire(timeout=seconds, poll_interval=0.1)
        except Timeout:
            return False
        except NotImplementedError as error:
            raise OutputError(f"{path.parent} has no locks.", "Choose a folder on another drive.") from error
    return True


def in_use(output: Path, holder: Holder | None, part: str = "") -> OutputError:
    """The refusal of an output that somebody else writes."""
    return OutputError(
        f"{output} is being written by {holder or 'another run'}{f' ({part})' if part else ''}.",
        "Wait for that run, or choose another output.",
    )
