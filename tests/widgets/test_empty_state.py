"""Nothing is open yet: the sample, drawn in the background."""

from __future__ import annotations

from typing import Any

import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QThread, QThreadPool

from napari_medseg.core import InputError, ModelCard, Progress, Reporter
from napari_medseg.phantoms import sample
from napari_medseg.widgets import empty_state
from napari_medseg.widgets.fine_tune import FineTuneWidget
from napari_medseg.widgets.segment import SegmentWidget


@pytest.fixture(params=[SegmentWidget, FineTuneWidget])
def dock(request: Any, qtbot: Any, viewer: ViewerModel, cards: list[ModelCard]) -> Any:
    made = request.param(viewer)
    qtbot.addWidget(made)
    return made


def test_sample_is_drawn_in_the_background_with_its_progress(
    qtbot: Any, dock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G9."""
    monkeypatch.setattr(sample, "SLICES", 2)
    threads, told = [], []
    draw = empty_state._draw_sample

    def watched(report: Reporter) -> Any:
        threads.append(QThread.currentThread())
        return draw(report)

    monkeypatch.setattr(empty_state, "_draw_sample", watched)
    dock.empty.job.progressed.connect(lambda _: told.append(dock.panel.status.text()))
    with qtbot.waitSignal(dock.empty.job.finished, timeout=20_000):
        dock.empty.sample.click()
        assert dock.panel.status.text() == "Drawing the sample…"
        assert not dock.empty.sample.isEnabled()
    assert threads[0] is not dock.thread()
    assert told[-1] == "Drawing the sample: slice 2 of 2…"
    assert dock.viewer.layers["femur ct"].data.shape == (2, 512, 512)
    qtbot.waitUntil(lambda: not dock.empty.isVisibleTo(dock))
    qtbot.waitUntil(lambda: "Drawing" not in dock.panel.status.text())


def test_sample_that_fails_says_so_and_can_be_tried_again(
    qtbot: Any, dock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G8."""

    def fail(report: Reporter) -> Any:
        raise InputError("There is no room for the sample.", "Close other programs.")

    monkeypatch.setattr(empty_state, "_draw_sample", fail)
    with qtbot.waitSignal(dock.empty.job.failed):
        dock.empty.sample.click()
    assert dock.panel.status.text() == "There is no room for the sample. Close other programs."
    assert dock.empty.sample.isEnabled()


def test_dock_closed_while_the_sample_is_drawn_leaves_no_thread_and_no_layer(
    qtbot: Any, dock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G3."""
    seen: list[int] = []

    def endless(report: Reporter) -> Any:
        while True:
            seen.append(1)
            report(Progress("Drawing", 1, 2))

    monkeypatch.setattr(empty_state, "_draw_sample", endless)
    dock.empty.sample.click()
    qtbot.waitUntil(lambda: bool(seen))
    dock.close()
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=2000)
    assert not dock.viewer.layers
