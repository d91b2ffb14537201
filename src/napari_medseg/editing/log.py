"""A file that holds the latest state of named parts, whatever happens to the program that writes it.

The file is a line that names the format, then records: length and checksum (CRC-32) of what follows, a byte that says
whether the part is there or gone, the length of its name, its name, its bytes. Records are only ever added, so a
program that is killed leaves at worst half a record at the end, which is not read.
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from napari_medseg.core import InputError

MAGIC = b"napari-medseg journal 1\n"

SMALLEST = 2**22
"""A file of more bytes than this that is mostly out of date is written anew."""

_HEAD = struct.Struct("<II")
_LARGEST = 2**28

Encode = Callable[[], bytes | None]


def read_log(path: Path) -> dict[bytes, bytes]:
    """The latest state of each part, as far as the file is whole.

    Raises
    ------
    InputError
        If the file is no such log, or cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    if not content.startswith(MAGIC[: len(content)]):
        raise InputError(f"{path} is no journal of painting.")
    parts: dict[bytes, bytes] = {}
    place, view = len(MAGIC), memoryview(content)
    while len(content) >= place + _HEAD.size:
        length, checksum = _HEAD.unpack_from(content, place)
        record = view[place + _HEAD.size : place + _HEAD.size + length]
        if not 2 <= length <= _LARGEST or len(record) < length or zlib.crc32(record) != checksum:
            break
        name = bytes(record[2 : 2 + record[1]])
        if record[0]:
            parts[name] = bytes(record[2 + record[1] :])
        else:
            parts.pop(name, None)
        place += _HEAD.size + length
    return parts


class Log:
    """Writes parts into one file, in a thread of its own that lives only while there is something to write.

    Of a part that is put again before it is written only the last state is. All states are kept in memory too
    (compressed, as they are on disk): a disk that was full, or a file that somebody removed, costs nothing.

    Parameters
    ----------
    place
        Gives the path of the file; called once, in the thread. The folder is made; the file is locked, see `take_lock`.
    """

    def __init__(self, place: Callable[[], Path]) -> None:
        self._place = place
        self.path: Path | None = None
        self.problem = ""
        """Why the last attempt to write failed, or ``""``."""
        self._guard = threading.Lock()
        self._idle = threading.Event()
        self._idle.set()
        self._fresh: dict[bytes, Encode] = {}
        self._parts: dict[bytes, bytes] = {}
        self._unwritten: set[bytes] = set()
        self._size = 0  # of the file as far as it is whole; 0 is no file
        self._lock: FileLock | None = None
        self._thread: threading.Thread | None = None

    @property
    def settled(self) -> bool:
        """Whether all is on disk."""
        return self._idle.is_set() and not self._unwritten

    def put(self, parts: dict[bytes, Encode]) -> None:
        """Take over the newest state of parts; ``encode`` runs in the thread and gives None for a part that is gone."""
        with self._guard:
            self._fresh.update(parts)
        self.wake()

    def wake(self) -> None:
        """Write what is not written, as after a failure."""
        with self._guard:
            if self._thread is not None or not (self._fresh or self._unwritten):
                return
            self._idle.clear()
            self._thread = thread = threading.Thread(target=self._work, name="medseg-journal")
        try:
            thread.start()
        except RuntimeError:  # the interpreter is ending: no new threads
            self._work()

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until all is on disk; False when it is not."""
        # An attempt that is under way may fail for what was the matter when it began.
        for _ in range(1 if self._idle.is_set() else 2):
            self.wake()
            if not self._idle.wait(timeout):
                return False
            if not self.problem:
                break
        return not self.problem

    def close(self, timeout: float = 10.0) -> None:
        """Write what is left and let go of the file."""
        self.flush(timeout)
        self._let_go()

    def delete(self, timeout: float = 10.0) -> None:
        """Remove the file; the next `put` begins a new one."""
        self._idle.wait(timeout)
        with self._guard:
            self._fresh.clear()
            self._parts.clear()
            self._unwritten.clear()
            self._size = 0
        if self.path is not None:
            with suppress(OSError):
                self.path.unlink(missing_ok=True)
        self._let_go()

    def _let_go(self) -> None:
        if self._lock is not None and self.path is not None:
            drop_lock(self._lock)
            if not self.path.exists():
                with suppress(OSError):
                    self.path.parent.rmdir()
        self._lock, self.path = None, None

    def _work(self) -> None:
        failed = False
        while True:
            with self._guard:
                fresh, self._fresh = self._fresh, {}
                if not fresh and (failed or not self._unwritten):
                    self._thread = None
                    self._idle.set()
                    return
            for name, encode in fresh.items():
                part = encode()
                if part is not None:
                    self._parts[name] = part
                elif self._parts.pop(name, None) is None:
                    continue
                self._unwritten.add(name)
            try:
                self._write()
            except Exception as error:  # whatever it is: painting goes on, and the next edit tries again
                failed = True
                cause = error.strerror if isinstance(error, OSError) else None
                folder = self.path.parent if self.path is not None else "the journal"
                self.problem = (
                    f"Painting cannot be kept safe in {folder}: {cause or type(error).__name__}. "
                    "Go on painting; it is written there as soon as that is possible."
                )
            else:
                self._unwritten.clear()
                failed, self.problem = False, ""

    def _write(self) -> None:
        if not self._unwritten:
            return
        if self.path is None:
            self.path = self._place()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self._lock is None:
            self._lock = take_lock(self.path)
        records = _join(self._record(name) for name in self._unwritten)
        live = sum(map(len, self._parts.values()))
        whole = self._size > 0 and self.path.exists() and self.path.stat().st_size >= self._size
        if whole and self._size + len(records) <= max(SMALLEST, 4 * live):
            with self.path.open("r+b") as file:
                file.truncate(self._size)  # half a record of a disk that was full
                file.seek(self._size)
                _write_safely(file, records)
            self._size += len(records)
        else:
            everything = MAGIC + _join(map(self._record, self._parts))
            part = self.path.with_suffix(".part")
            with part.open("wb") as file:
                _write_safely(file, everything)
            part.replace(self.path)
            self._size = len(everything)

    def _record(self, name: bytes) -> bytes:
        part = self._parts.get(name)
        record = bytes((part is not None, len(name))) + name + (part or b"")
        return _HEAD.pack(len(record), zlib.crc32(record)) + record


def take_lock(path: Path) -> FileLock | None:
    """Lock a log for this process; the lock goes when the process does, however it ends.

    Returns
    -------
    lock
        None where the file system has no locks.

    Raises
    ------
    BlockingIOError
        If another process, or another log of this one, holds it.
    """
    lock = FileLock(path.with_suffix(".lock"), timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise BlockingIOError(f"{path} is in use") from error
    except NotImplementedError:
        return None
    return lock


def drop_lock(lock: FileLock | None) -> None:
    """Let go of a lock and remove its file."""
    if lock is not None:
        with suppress(OSError):
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)


def _join(records: Iterable[bytes]) -> bytes:
    return b"".join(records)


def _write_safely(file: Any, content: bytes) -> None:
    file.write(content)
    file.flush()
    os.fsync(file.fileno())
