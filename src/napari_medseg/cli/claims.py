"""Who is at work on an output: two runs never write the same slices, shards of one folder run side by side."""

from __future__ import annotations

import random
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from filelock import FileLock

from napari_medseg.io.atomic import explained
from napari_medseg.io.locks import Holder, about, in_use, read_signature, sign, take

_MOMENT = 60.0
"""Seconds that are waited for something that takes a few milliseconds."""

MOMENTS = ".settling.lock"
"""The lock of `one_at_a_time`; a killed run may leave it."""

_TRIES = 3
"""Two runs that start at the same moment see each other; the one that waits less goes first."""


@dataclass(frozen=True)
class Claim:
    """The slices that a run writes.

    Attributes
    ----------
    holder
        Who that is.
    slices
        Those it writes, as pairs of the first and the one after the last.
    """

    holder: Holder
    slices: tuple[tuple[int, int], ...]

    def shares(self, others: Collection[int]) -> bool:
        return any(first <= z < end for first, end in self.slices for z in others)


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
        lock = take(own)
        if lock is None:  # found by another run that looks for what is left over, before it was locked
            continue
        try:
            sign(own, slices=_ranges(slices))
            others = at_work(output, folder=folder, but=own)
            found = [one for one in others if one is None or one.shares(slices)]
            if not found and own.exists():
                yield not others
                return
        finally:
            _drop(own, lock)
        if found and not left:
            raise in_use(output, found[0].holder if found[0] else None)
        time.sleep(random.uniform(0.02, 0.2))
    raise in_use(output, None)


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Hold the other runs that share a folder off for a moment.

    Raises
    ------
    OutputError
        Somebody does for longer than that.
    """
    path = folder / MOMENTS
    lock = take(path, _MOMENT)
    if lock is None:
        raise in_use(folder, None)
    try:
        yield
    finally:
        _drop(path, lock)


def at_work(output: Path, *, folder: bool, but: Path | None = None) -> list[Claim | None]:
    """Runs that write to an output now; None for one of which nothing is known. What killed runs left is removed."""
    place, start = _place(output, folder)
    found: list[Claim | None] = []
    names = sorted(p.name for p in place.iterdir()) if place.is_dir() else []
    for path in (place / name for name in names if name.startswith(start) and name.endswith(".lock")):
        if path == but:
            continue
        lock = take(path)
        if lock is not None:
            _drop(path, lock)
            continue
        signature = read_signature(path)
        try:
            if signature is None:
                raise ValueError
            holder, told = signature
            found.append(Claim(holder, tuple((int(a), int(b)) for a, b in told["slices"])))
        except (ValueError, LookupError, TypeError):
            if path.exists():
                found.append(None)
    return found


def _place(output: Path, folder: bool) -> tuple[Path, str]:
    """Folder of the locks, and how their names begin: hidden, so that nothing takes them for masks."""
    return (output, ".segment-") if folder else (output.parent, f".{output.name}-")


def _drop(path: Path, lock: FileLock) -> None:
    with suppress(OSError):
        about(path).unlink(missing_ok=True)
        path.unlink(missing_ok=True)
    with suppress(OSError):
        lock.release()
        path.unlink(missing_ok=True)


def _ranges(slices: Collection[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for z in sorted(slices):
        if found and found[-1][1] == z:
            found[-1] = (found[-1][0], z + 1)
        else:
            found.append((z, z + 1))
    return found
