"""One piece of work in the background: progress, stop, and one clear ending in the main thread."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from napari.qt.threading import create_worker
from qtpy.QtCore import QObject

from napari_medseg.core import Cancelled, MedsegError, Progress, Reporter

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


class _Relay(QObject):
    """Carries "there is something to read" from the worker thread to the main thread."""

    arrived = Signal()
    ended = Signal()


@dataclass
class _Run:
    """What the worker thread and the main thread share; outlives the dock if the dock is closed first."""

    work: Work
    name: str
    relay: _Relay = field(default_factory=_Relay)
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    pending: list[Progress] = field(default_factory=list)
    value: Any = None
    error: Exception | None = None
    quit_requested: Callable[[], bool] = lambda: False

    def __repr__(self) -> str:
        # napari shows this when it asks whether to close while work is running.
        return f"“{self.name}”"

    def __call__(self) -> None:
        # Nothing may leave this function: superqt would show it a second time, or lose it.
        try:
            self.value = self.work(self.report)
        except Exception as error:
            self.error = error
        self.relay.ended.emit()

    def report(self, progress: Progress) -> None:
        # Queue first, then cancel: the slice that is just finished is kept.
        with self.lock:
            self.pending.append(progress)
            wake = len(self.pending) == 1
        if wake:
            self.relay.arrived.emit()
        if self.stop.is_set() or self.quit_requested():
            raise Cancelled("stopped by the user")

    def take(self) -> list[Progress]:
        with self.lock:
            pending, self.pending = self.pending, []
        return pending


def _stop_all(runs: list[_Run], *_: object) -> None:
    for run in runs:
        run.stop.set()


class Job(QObject):
    """Runs one function at a time in napari's worker and tells about it in the main thread.

    The function gets a reporter, which never waits for the window. Exactly one of ``finished``, ``cancelled`` and
    ``failed`` follows each ``started``; reports that arrive faster than the window draws are merged, except those that
    carry a result or metrics.
    """

    started = Signal()
    progressed = Signal(object)
    finished = Signal(object)
    cancelled = Signal()
    failed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._run: _Run | None = None
        self._active: list[_Run] = []
        self._clock = _Clock()
        # The stop events, not this object: the slot runs when this object is half gone.
        self.destroyed.connect(partial(_stop_all, self._active))

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
        run = self._run = _Run(work, name)
        self._active[:] = [run]
        self._clock = _Clock()
        run.relay.arrived.connect(self._drain)
        run.relay.ended.connect(self._end)
        worker = create_worker(run, _start_thread=False)
        run.quit_requested = partial(_was_quit, worker)
        self.started.emit()
        worker.start()
        return True

    def stop(self) -> None:
        """Ask the work to end at its next report; what is finished is kept."""
        _stop_all(self._active)

    def seconds_left(self, progress: Progress) -> float | None:
        """Estimate from the pace so far, or None while there is no pace yet."""
        return self._clock.seconds_left(progress)

    def _drain(self) -> None:
        run = self._run
        if run is None:
            return
        reports = run.take()
        for i, progress in enumerate(reports):
            self._clock.note(progress)
            if progress.result is not None or progress.metrics or i == len(reports) - 1:
                self.progressed.emit(progress)

    def _end(self) -> None:
        run = self._run
        if run is None:
            return
        self._drain()
        self._run = None
        self._active.clear()
        if isinstance(run.error, Cancelled):
            self.cancelled.emit()
        elif run.error is not None:
            self.failed.emit(describe_failure(run.error))
        else:
            self.finished.emit(run.value)


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
