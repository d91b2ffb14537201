"""Work in the background."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QThread, QThreadPool

from napari_medseg.core import InputError, Progress, Reporter, priority
from napari_medseg.core.priority import BEHIND
from napari_medseg.widgets.job import Failure, Job
from napari_medseg.widgets.look import count, words_for_seconds
from napari_medseg.widgets.run_panel import RunPanel


def reports_until_stopped(report: Reporter) -> None:
    while True:
        time.sleep(0.001)
        report(Progress("Working"))


def test_value_arrives_in_the_main_thread(qtbot: Any) -> None:
    job, seen = Job(), []
    job.finished.connect(lambda value: seen.append((value, QThread.currentThread())))
    with qtbot.waitSignal(job.finished):
        job.start(lambda report: 7, "add")
    assert seen == [(7, job.thread())]
    assert not job.running


def test_runtime_error_is_told_with_its_traceback(qtbot: Any) -> None:
    """G8: torch's out-of-memory is a RuntimeError; it must neither vanish nor leave the job busy."""

    def run_out(report: Reporter) -> None:
        raise RuntimeError("out of memory\nmore lines")

    job = Job()
    with qtbot.waitSignal(job.failed) as signal:
        job.start(run_out, "fail")
    failure: Failure = signal.args[0]
    assert "RuntimeError: out of memory" in failure.sentence
    assert "\n" not in failure.sentence
    assert "in run_out" in failure.details
    assert not job.running


def test_own_errors_are_shown_as_they_are(qtbot: Any) -> None:
    def refuse(report: Reporter) -> None:
        raise InputError("a.tif is cut off.", "Copy it again.")

    job = Job()
    with qtbot.waitSignal(job.failed) as signal:
        job.start(refuse, "read")
    assert signal.args[0].sentence == "a.tif is cut off. Copy it again."


def test_second_start_is_refused_while_running(qtbot: Any) -> None:
    """G4: one job for each dock."""
    job = Job()
    assert job.start(reports_until_stopped, "first")
    assert not job.start(reports_until_stopped, "second")
    with qtbot.waitSignal(job.cancelled, timeout=1000):
        job.stop()


def test_two_jobs_run_at_once(qtbot: Any) -> None:
    """G4."""
    meet = threading.Barrier(2, timeout=5)
    jobs = [Job(), Job()]
    with qtbot.waitSignals([job.finished for job in jobs]):
        for job in jobs:
            job.start(lambda report: meet.wait(), "meet")


def test_stop_ends_within_a_second_and_keeps_the_last_result(qtbot: Any) -> None:
    """G2: the slice whose report is answered with a stop is delivered all the same."""
    go = threading.Event()
    got: list[int] = []

    def work(report: Reporter) -> None:
        go.wait(5)
        report(Progress("Working", 1, 2, region=(0,), result=np.zeros((2, 2), np.uint8)))

    job = Job()
    job.progressed.connect(lambda progress: got.append(progress.done))
    job.start(work, "slow")
    with qtbot.waitSignal(job.cancelled, timeout=1000):
        job.stop()
        go.set()
    assert got == [1]


def test_results_are_all_delivered_and_plain_reports_merged(qtbot: Any) -> None:
    got: list[Progress] = []

    def work(report: Reporter) -> None:
        for i in range(200):
            report(Progress("Working", i, 200))
        for i in range(50):
            report(Progress("Working", i, 50, region=(i,), result=np.zeros((1, 1), np.uint8)))

    job = Job()
    job.progressed.connect(got.append)
    with qtbot.waitSignal(job.finished):
        job.start(work, "many")
    assert [p.region for p in got if p.result is not None] == [(i,) for i in range(50)]
    assert len(got) < 250


def test_destroyed_job_stops_its_work(qtbot: Any) -> None:
    """G3: the dock is gone, no thread stays."""
    job = Job()
    running = threading.Event()

    def work(report: Reporter) -> None:
        running.set()
        reports_until_stopped(report)

    job.start(work, "orphan")
    qtbot.waitUntil(running.is_set)
    job.deleteLater()
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=2000)


def test_stop_on_napari_s_own_request(qtbot: Any) -> None:
    """G3: closing the window asks napari's workers to quit."""
    from napari.qt.threading import FunctionWorker

    job = Job()
    with qtbot.waitSignal(job.cancelled):
        job.start(reports_until_stopped, "quit")
        for worker in list(FunctionWorker._worker_set):
            worker.quit()


def test_panel_shows_amount_and_time_left(qtbot: Any) -> None:
    panel = RunPanel("Go")
    qtbot.addWidget(panel)
    hold = threading.Event()

    def work(report: Reporter) -> None:
        for i in range(1, 4):
            time.sleep(0.01)
            report(Progress("Working", i, 93, message="CPU"))
        while not hold.wait(0.01):
            report(Progress("Working", 3, 93))

    panel.start(work, "count", "Starting…")
    qtbot.waitUntil(lambda: panel.amount.text().startswith("3/93 · "))
    assert panel.amount.text().endswith(" left")
    assert panel.status.text() == "Working · CPU"
    assert not panel.run.isEnabled()
    with qtbot.waitSignal(panel.job.finished):
        hold.set()
    assert panel.run.isEnabled()
    assert panel.progress_row.isHidden()


def test_panel_unfolds_and_copies_the_details(qtbot: Any) -> None:
    """G8."""
    panel = RunPanel("Go")
    qtbot.addWidget(panel)
    with qtbot.waitSignal(panel.job.failed):
        panel.start(lambda report: 1 / 0, "divide", "Starting…")
    assert "ZeroDivisionError" in panel.status.text()
    assert panel.details.isVisibleTo(panel)
    assert not panel.details.is_open
    panel.details.copy.click()
    from qtpy.QtGui import QGuiApplication

    assert "Traceback" in QGuiApplication.clipboard().text()
    assert panel.run.isEnabled()


@pytest.mark.parametrize(("seconds", "words"), [(0.2, "1 s"), (59, "59 s"), (150, "2 min"), (3900, "1 h 5 min")])
def test_times_in_words(seconds: float, words: str) -> None:
    assert words_for_seconds(seconds) == words


def test_counts_in_words() -> None:
    assert [count(1, "slice"), count(2, "slice"), count(1, "class"), count(1234, "class")] == [
        "1 slice",
        "2 slices",
        "1 class",
        "1,234 classes",
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="only done on Linux")
def test_work_gives_way_to_the_window_and_so_do_its_threads(qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(priority, "BEHIND", BEHIND)
    job = Job()
    found: list[int] = []

    def look() -> None:
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    def work(report: Reporter) -> None:
        look()
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()

    for _ in range(2):  # threads are used again, and step back once
        with qtbot.waitSignal(job.finished):
            job.start(work, "look")
    own = os.getpriority(os.PRIO_PROCESS, os.getpid())
    assert found == [min(own + BEHIND, 19)] * 4
