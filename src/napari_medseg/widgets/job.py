"""One piece of work in the background: progress, stop, and one clear ending in the main thread."""

from __future__ import annotations

import atexit
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import ref

from napari.qt.threading import create_worker
from qtpy.compat import isalive
from qtpy.QtCore import QObject, QThreadPool

from napari_medseg.core import Cancelled, MedsegError, Progress, Reporter
from napari_medseg.core.priority import step_back

from .signals import Signal

Work = Callable[[Reporter], Any]


@dataclass(frozen=True)
class Failure:
    """Why work failed: one sentence for the status line, the traceback for those who want it."""

    sentence: str
    details: str


def describe_failure(error: Exception) -> Failure:
    """Turn any exception into one sentence; a `MedsegError` already is one."""
    details = "".join(traceback.format_exception(error))
    if isinstance(error, MedsegError):
        return Failure(str(error), details)
    first_line = str(error).strip().splitlines()[:1]
    cause = f"{type(error).__name__}: {first_line[0][:160]}" if first_line else type(error).__name__
    return Failure(f"The work stopped at an unexpected error ({cause}).", details)


def _is_alive(thing: QObject) -> bool:
    return bool(isalive(thing))  # type: ignore[no-untyped-call]


class _Relay(QObject):
    """Carries "there is something to read" from worker threads to the main thread."""

    arrived = Signal(object)
    ended = Signal(object)


# One for all and for ever: a signal's owner that dies while its signal is on the way takes the program with it.
_relay = _Relay()

# The same holds for napari's workers, which own signals too: the last ones are kept, emptied of what they worked on.
_workers: deque[Any] = deque(maxlen=16)


_active: set[_Run] = set()


@atexit.register
def _stop_all() -> None:
    """End what still runs when the program ends without Qt's own farewell, as scripts do."""
    for run in tuple(_active):
        run.stop.set()
    pool = QThreadPool.globalInstance()
    if _active and pool is not None:
        pool.waitForDone(5000)


class _Run:
    """What the worker thread and the main thread share; outlives the dock if the dock is closed first."""

    def __init__(self, work: Work, name: str, owner: QObject) -> None:
        self._owner = ref(owner)
        self.work: Work | None = work
        self.name = name
        self.stop = threading.Event()
        self.quit_requested: Callable[[], bool] | None = None
        self.value: Any = None
        self.error: Exception | None = None
        self._lock = threading.Lock()
        self._pending: list[Progress] = []

    def __repr__(self) -> str:
        # napari shows this when it asks whether to close while work is running.
        return f"“{self.name}”"

    def __call__(self) -> None:
        # Nothing may leave this function: superqt would show it a second time, or lose it.
        work, self.work = self.work, None
        step_back()
        try:
            self.value = work(self.report) if work is not None else None
        except Exception as error:
            self.error = error
        self.quit_requested = None
        _active.discard(self)
        # The program may be gone already.
        with suppress(RuntimeError):
            _relay.ended.emit(self)

    def report(self, progress: Progress) -> None:
        # Queue first, then cancel: the slice that is just finished is kept.
        with self._lock:
            self._pending.append(progress)
            wake = len(self._pending) == 1
        if wake and _is_alive(_relay):
            _relay.arrived.emit(self)
        if self._must_stop():
            raise Cancelled("stopped by the user")

    def _must_stop(self) -> bool:
        # Asked here rather than told by QObject.destroyed: PyQt crashes in Python slots of that signal.
        owner = self._owner()
        closed = owner is None or not _is_alive(owner)
        return closed or self.stop.is_set() or (self.quit_requested is not None and self.quit_requested())

    def take(self) -> list[Progress]:
        with self._lock:
            pending, self._pending = self._pending, []
        return pending


class Job(QObject):
    """Runs one function at a time in napari's worker and tells about it in the main thread.

    The function gets a reporter, which never waits for the window. Exactly one of ``finished``, ``cancelled`` and
    ``failed`` follows each ``started``; reports that arrive faster than the window draws are merged, except those that
    carry a result, metrics or the work as it stands.
    """

    started = Signal()
    progressed = Signal(object)
    finished = Signal(object)
    cancelled = Signal()
    failed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._run: _Run | None = None
        self._clock = _Clock()
        _relay.arrived.connect(self._drain)
        _relay.ended.connect(self._end)

    @property
    def running(self) -> bool:
        return self._run is not None

    @property
    def stopping(self) -> bool:
        """Whether a stop was asked for and the work has not ended yet."""
        return self._run is not None and self._run.stop.is_set()

    def start(self, work: Work, name: str) -> bool:
        """Start ``work(report)``; False, and nothing happens, while another run is under way."""
        if self._run is not None:
            return False
        run = self._run = _Run(work, name, self)
        self._clock = _Clock()
        worker = create_worker(run, _start_thread=False)
        run.quit_requested = partial(_was_quit, worker)
        _workers.append(worker)
        _active.add(run)
        self.started.emit()
        worker.start()
        return True

    def stop(self) -> None:
        """Ask the work to end at its next report; what is finished is kept."""
        if self._run is not None:
            self._run.stop.set()

    def abandon(self) -> None:
        """Stop, and tell nothing more: the dock is being closed."""
        self.stop()
        self._run = None

    def seconds_left(self, progress: Progress) -> float | None:
        """Estimate from the pace so far, or None while there is no pace yet."""
        return self._clock.seconds_left(progress)

    def _drain(self, run: _Run) -> None:
        if run is not self._run:
            return
        reports = run.take()
        for i, progress in enumerate(reports):
            self._clock.note(progress)
            news = progress.result is not None or progress.so_far is not None or progress.metrics
            if news or i == len(reports) - 1:
                self.progressed.emit(progress)

    def _end(self, run: _Run) -> None:
        if run is not self._run:
            return
        self._drain(run)
        self._run = None
        if isinstance(run.error, Cancelled):
            self.cancelled.emit()
        elif run.error is not None:
            self.failed.emit(describe_failure(run.error))
        else:
            self.finished.emit(run.value)
        run.value = run.error = None


def _was_quit(worker: Any) -> bool:
    return bool(worker.abort_requested)


class _Clock:
    """Pace of the work since its first finished unit, so that start-up does not count."""

    def __init__(self) -> None:
        self._first: tuple[str, int, float] | None = None
        self._rate: float | None = None

    def note(self, progress: Progress) -> None:
        now = time.monotonic()
        if self._first is None or self._first[0] != progress.stage or progress.done < self._first[1]:
            self._first, self._rate = (progress.stage, progress.done, now), None
            return
        _, done, start = self._first
        if progress.done > done and now > start:
            self._rate = (progress.done - done) / (now - start)

    def seconds_left(self, progress: Progress) -> float | None:
        if self._rate is None or progress.total <= 0:
            return None
        return max(0.0, (progress.total - progress.done) / self._rate)
