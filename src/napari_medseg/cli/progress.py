"""Progress on the terminal, and Ctrl-C as a request to stop."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from tqdm import tqdm

from napari_medseg.core import Cancelled, Progress, Reporter


@contextmanager
def shown_progress(unit: str = "") -> Iterator[Reporter]:
    """A reporter that shows progress and time left, and that raises `Cancelled` after Ctrl-C.

    A second Ctrl-C ends the program at once. Off a terminal only the messages are written, each once.

    Parameters
    ----------
    unit
        What is counted.
    """
    with _bar(unit) as show, _stop_request() as stopped:

        def report(progress: Progress) -> None:
            show(progress)
            if stopped():
                raise Cancelled("stopped with Ctrl-C")

        yield report


@contextmanager
def _bar(unit: str) -> Iterator[Reporter]:
    terminal = sys.stderr.isatty()
    bar: tqdm[Any] = tqdm(
        file=sys.stderr, disable=not terminal, dynamic_ncols=True, leave=False, unit=f" {unit}" if unit else "it"
    )  # fmt: skip
    said: set[str] = set()

    def show(progress: Progress) -> None:
        if progress.message and progress.message not in said:
            said.add(progress.message)
            tqdm.write(progress.message, file=sys.stderr)
        if not terminal:
            return
        if bar.desc != f"{progress.stage}: " or (progress.total and not bar.total):
            bar.reset()
            bar.initial = progress.done  # what an earlier run has done says nothing about the time that is left
            bar.set_description(progress.stage, refresh=False)
        bar.total = progress.total or None
        bar.n = progress.done
        if progress.metrics:
            bar.set_postfix({key: f"{value:.3f}" for key, value in progress.metrics.items()}, refresh=False)
        bar.refresh()

    try:
        yield show
    finally:
        bar.close()


@contextmanager
def _stop_request() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed since; the work goes on to its next report, where it can stop in good order."""
    pressed = threading.Event()

    def request(number: int, frame: FrameType | None) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()
        tqdm.write("Stopping at the next step; press Ctrl-C again to stop at once.", file=sys.stderr)

    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return
    before = signal.signal(signal.SIGINT, request)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)
