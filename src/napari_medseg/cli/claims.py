"""Who is at work on an output: two runs never write the same slices, shards of one folder run side by side."""

from __future__ import annotations

import json
import os
import random
import socket
import time
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from secrets import token_hex

from filelock import FileLock, Timeout

from napari_medseg.core import OutputError
from napari_medseg.io.atomic import explained

_TRIES = 3
"""Two runs that start at the same moment see each other; the one that waits less goes first."""


@dataclass(frozen=True)
class Holder:
    """A run that is at work.

    Attributes
    ----------
    host, pid, since
        Where, which process, and from when on (seconds since 1970).
    slices
        Those it writes, as pairs of the first and the one after the last.
    """

    host: str
    pid: int
    since: float
    slices: tuple[tuple[int, int], ...]

    def shares(self, others: Collection[int]) -> bool:
        return any(first <= z < end for first, end in self.slices for z in others)

    def __str__(self) -> str:
        started = datetime.fromtimestamp(self.since).strftime("%H:%M on %d %B %Y")
        return f"process {self.pid} on {self.host} since {started}"


@contextmanager
def claimed(output: Path, slices: Collection[int], *, folder: bool) -> Iterator[bool]:
    """The right to write these slices of an output; the system gives it back when the process ends, however it ends.

    Yields
    ------
    bool
        Whether nobody else is at work on the other slices.

    Raises
    ------
    OutputError
        Another run writes some of them: says who, where and since when. What a killed run left is taken over.
    """
    place, start = _place(output, folder)
    with explained(place):
        place.mkdir(parents=True, exist_ok=True)
    for left in reversed(range(_TRIES)):
        own = place / f"{start}{token_hex(4)}.lock"
        lock = _take(own)
        if lock is None:  # found by another run that looks for what is left over, before it was locked
            continue
        try:
            holder = Holder(socket.gethostname(), os.getpid(), time.time(), _ranges(slices))
            with explained(place):
                _about(own).write_text(json.dumps(asdict(holder)), encoding="utf-8")
            others = at_work(output, folder=folder, but=own)
            found = [one for one in others if one is None or one.shares(slices)]
            if not found and own.exists():
                yield not others
                return
        finally:
            _drop(own, lock)
        if found and not left:
            raise in_use(output, found[0])
        time.sleep(random.uniform(0.02, 0.2))
    raise in_use(output, None)


def at_work(output: Path, *, folder: bool, but: Path | None = None) -> list[Holder | None]:
    """Runs that write to an output now; None for one of which nothing is known. What killed runs left is removed."""
    place, start = _place(output, folder)
    found: list[Holder | None] = []
    names = sorted(p.name for p in place.iterdir()) if place.is_dir() else []
    for path in (place / name for name in names if name.startswith(start) and name.endswith(".lock")):
        if path == but:
            continue
        lock = _take(path)
        if lock is not None:
            _drop(path, lock)
            continue
        try:
            told = json.loads(_about(path).read_text(encoding="utf-8"))
            found.append(Holder(**{**told, "slices": tuple((int(a), int(b)) for a, b in told["slices"])}))
        except (OSError, ValueError, LookupError, TypeError):
            if path.exists():
                found.append(None)
    return found


def in_use(output: Path, holder: Holder | None) -> OutputError:
    """The refusal, with who holds it."""
    return OutputError(
        f"{output} is being written by {holder or 'another run'}.", "Wait for that run, or choose another output."
    )


def _place(output: Path, folder: bool) -> tuple[Path, str]:
    """Folder of the locks, and how their names begin: hidden, so that nothing takes them for masks."""
    return (output, ".segment-") if folder else (output.parent, f".{output.name}-")


def _about(lock: Path) -> Path:
    """What is known of a run: beside its lock, because taking a lock empties the file."""
    return lock.with_suffix(".holder")


def _take(path: Path) -> FileLock | None:
    lock = FileLock(path, timeout=0, mode=0o666, thread_local=False)
    with explained(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # file systems without locks: a file that is there stands for one
        try:
            lock.acquire()
        except Timeout:
            return None
        except NotImplementedError as error:
            raise OutputError(f"{path.parent} has no locks.", "Choose a folder on another drive.") from error
    return lock


def _drop(path: Path, lock: FileLock) -> None:
    with suppress(OSError):
        _about(path).unlink(missing_ok=True)
        path.unlink(missing_ok=True)
    with suppress(OSError):
        lock.release()
        path.unlink(missing_ok=True)


def _ranges(slices: Collection[int]) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    for z in sorted(slices):
        if found and found[-1][1] == z:
            found[-1] = (found[-1][0], z + 1)
        else:
            found.append((z, z + 1))
    return tuple(found)
