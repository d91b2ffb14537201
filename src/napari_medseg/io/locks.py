"""Locks that the system gives back when their process ends, however it ends, and who holds them."""

from __future__ import annotations

import json
import os
import socket
import time
import warnings
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
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
    with explained(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # file systems without locks: a file that is there stands for one
        try:
            lock.acquire(timeout=seconds, poll_interval=0.1)
        except Timeout:
            return None
        except NotImplementedError as error:
            raise OutputError(f"{path.parent} has no locks.", "Choose a folder on another drive.") from error
    return lock


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


def in_use(output: Path, holder: Holder | None, part: str = "") -> OutputError:
    """The refusal of an output that somebody else writes."""
    return OutputError(
        f"{output} is being written by {holder or 'another run'}{f' ({part})' if part else ''}.",
        "Wait for that run, or choose another output.",
    )
