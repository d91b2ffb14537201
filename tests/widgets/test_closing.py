"""Closing napari while work runs."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari._qt import qt_main_window
from qtpy.QtWidgets import QDialog

from napari_medseg.core import ModelCard
from napari_medseg.widgets.segment import SegmentWidget

PROGRAM = """
    import threading
    import napari, numpy as np
    from napari_medseg.core import ModelCard, ClassInfo, Progress
    from napari_medseg.widgets import model_picker, segment
    from qtpy.QtCore import QThreadPool, QTimer

    card = ModelCard(name="bone", classes=(ClassInfo.numbered(1, "bone"),))
    running, wait = threading.Event(), threading.Event()

    def work(image, card, options, report):
        while True:
            running.set()
            report(Progress("Segmenting", 0, 5))
            wait.wait(0.001)

    model_picker.read_cards = lambda: (card,)
    segment._segment = work
    viewer = napari.Viewer(show=True)
    viewer.add_image(np.zeros((5, 32, 32), np.uint8), name="femur ct")
    _, dock = viewer.window.add_plugin_dock_widget("napari-medseg", "Segment")
    dock.panel.run.click()
    running.wait(10)
    print("asks:", *viewer.window._qt_window._window._task_status_manager.get_status())
    QTimer.singleShot(0, {how})
    napari.run()
    print("threads:", QThreadPool.globalInstance().waitForDone(3000))
"""


@pytest.mark.parametrize("how", ["viewer.close", "viewer.window._qt_window.close", "napari.qt.get_qapp().quit"])
def test_program_ends_at_once_and_well_while_work_runs(how: str) -> None:
    """G3: by a script, by the window's cross and by Quit; exit code 0, no thread left."""
    code = textwrap.dedent(PROGRAM).replace("{how}", how)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "Segment femur ct" in done.stdout
    assert "threads: True" in done.stdout
    assert "Traceback" not in done.stderr, done.stderr


class Click:
    """A click on the window's cross: Qt lets no program send a spontaneous event."""

    ignored = False

    def spontaneous(self) -> bool:
        return True

    def ignore(self) -> None:
        self.ignored = True


def test_napari_asks_before_it_closes_and_no_means_work_goes_on(
    qtbot: Any,
    make_napari_viewer: Callable[..., Any],
    cards: list[ModelCard],
    brake: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """G3."""
    asked: list[str] = []

    class Dialog:
        def __init__(self, *_: object, extra_info: str = "", **__: object) -> None:
            asked.append(extra_info)

        def exec_(self) -> Any:
            return QDialog.Rejected

    monkeypatch.setattr(qt_main_window, "ConfirmCloseDialog", Dialog)
    viewer = make_napari_viewer()
    viewer.add_image(np.zeros((6, 32, 32), np.uint8), name="femur ct")
    dock = SegmentWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Segment")
    brake.at = 2
    dock.panel.run.click()
    qtbot.waitUntil(lambda: len(brake.slices) == 2)
    click = Click()
    viewer.window._qt_window.closeEvent(click)
    assert click.ignored
    assert "Segment femur ct" in asked[0]
    assert dock.panel.job.running
    with qtbot.waitSignal(dock.panel.job.finished):
        brake.free.set()
    assert dock.panel.status.text().startswith("6 slices segmented")
