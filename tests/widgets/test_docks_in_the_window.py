"""The docks in a real napari window: opened from the manifest, every state grabbed, closed while work runs."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QThreadPool
from qtpy.QtWidgets import QAbstractButton, QLabel, QWidget

from napari_medseg.core import ModelCard
from napari_medseg.editing.corrections import corrections_of
from napari_medseg.inference.options import SegmentOptions
from napari_medseg.models import list_models
from napari_medseg.training.verdict import TrainingResult, Verdict
from napari_medseg.widgets.fine_tune import FineTuneWidget
from napari_medseg.widgets.result_layer import result_layer
from napari_medseg.widgets.segment import SegmentWidget


def clipped(dock: QWidget) -> list[str]:
    """Texts that do not fit their label or button, or reach out of the dock."""
    found = []
    for part in [*dock.findChildren(QLabel), *dock.findChildren(QAbstractButton)]:
        if not part.isVisible() or not part.text():
            continue
        right = part.mapTo(dock, part.rect().topRight()).x()
        needed = part.heightForWidth(part.width()) if part.hasHeightForWidth() else part.minimumSizeHint().height()
        too_wide = not part.hasHeightForWidth() and part.minimumSizeHint().width() > part.width() + 1
        if right > dock.width() or needed > part.height() + 2 or too_wide:
            found.append(part.text())
    return found


@pytest.fixture
def look(qtbot: Any, tmp_path: Path) -> Callable[[QWidget, str], None]:
    """Waits for the layout, checks that nothing is clipped, and keeps a picture (in MEDSEG_SHOTS, if set)."""
    folder = Path(os.environ.get("MEDSEG_SHOTS", tmp_path))

    def check(dock: QWidget, state: str) -> None:
        qtbot.waitUntil(lambda: clipped(dock) == [], timeout=2000)
        picture = dock.grab()
        assert picture.save(str(folder / f"{type(dock).__name__}-{state}.png"))
        assert 300 <= dock.width() <= 420

    return check


def test_segment_dock_in_every_state(
    qtbot: Any, make_napari_viewer: Any, cards: list[ModelCard], brake: Any, look: Callable[[QWidget, str], None]
) -> None:
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1200, 800)
    dock = SegmentWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Segment")
    look(dock, "no-image")
    data = np.zeros((12, 64, 64), np.uint8)
    data[:, 20:40, 20:40] = 200
    grey, rgb = cards
    cards[:] = [rgb]
    dock.model.refresh()
    viewer.add_image(data, name="femur ct", scale=(3, 0.8, 0.8))
    look(dock, "no-model-fits")
    cards[:] = [grey, rgb]
    dock.model.refresh()
    look(dock, "ready")
    brake.at = 5
    dock.panel.run.click()
    qtbot.waitUntil(lambda: dock.panel.bar.value() == 5)
    look(dock, "running")
    with qtbot.waitSignal(dock.panel.job.cancelled, timeout=1000):
        dock.panel.cancel.click()
    look(dock, "cancelled")
    brake.at, brake.fail = None, 3
    with qtbot.waitSignal(dock.panel.job.failed):
        dock.panel.run.click()
    dock.panel.details.set_open(True)
    look(dock, "failed")
    brake.fail = None
    with qtbot.waitSignal(dock.panel.job.finished):
        dock.panel.run.click()
    look(dock, "done")
    viewer.theme = "light"
    dock.save.click()
    look(dock, "saving-light")
    brake.at = 5
    dock.panel.run.click()
    qtbot.waitUntil(lambda: len(brake.slices) > 17)
    # G3: the window goes while work runs.
    viewer.close()
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=2000)


def test_fine_tune_dock_in_every_state(
    qtbot: Any,
    make_napari_viewer: Any,
    cards: list[ModelCard],
    monkeypatch: pytest.MonkeyPatch,
    look: Callable[[QWidget, str], None],
) -> None:
    from napari_medseg.core import ComputeError, Progress
    from napari_medseg.widgets import fine_tune

    def train(order: Any, preview: Any, report: Any) -> Any:
        if order.name == "fails":
            raise ComputeError("The loss is no number from the first step.", "Try precision fp32.")
        for step in range(1, 21):
            metrics = {"loss": 1 / step, "step": step, "dice": 0.9 - 0.3 / step, "old_dice": 0.7}
            report(Progress("Training", step, 20, message="CPU, bf16", metrics=metrics))
        report(Progress("Training", 20, 20, region=(1, 0, 0), result=np.eye(32, dtype=int)))
        aside = "-rejected" if order.name == "worse" else ""
        verdict = Verdict(0.95, 0.9) if aside else Verdict(math.nan, math.nan)
        return TrainingResult(order.card.model_copy(update={"name": order.name + aside}), verdict, "", ())

    monkeypatch.setattr(fine_tune, "train_order", train)
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1200, 800)
    dock = FineTuneWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Fine-tune")
    look(dock, "no-image")
    image = viewer.add_image(np.zeros((5, 32, 32), np.uint8), name="femur ct")
    labels = result_layer(viewer, image, cards[0], SegmentOptions())
    qtbot.waitUntil(lambda: len(dock.pairs.rows) == 1)
    look(dock, "nothing-corrected")
    corrections_of(labels).accept(1)
    qtbot.waitUntil(dock.panel.run.isEnabled)
    look(dock, "ready")
    with qtbot.waitSignal(dock.panel.job.finished):
        dock.panel.run.click()
    look(dock, "done")
    dock.keep.click()
    dock.name.setText("fails")
    with qtbot.waitSignal(dock.panel.job.failed):
        dock.panel.run.click()
    viewer.theme = "light"
    look(dock, "failed-light")
    dock.name.setText("worse")
    dock.setFixedWidth(300)
    dock.learn.strokes.click()
    strokes = viewer.layers[-1]
    strokes.data_setitem((np.full(4, 2), np.full(4, 3), np.arange(4)), 1)
    qtbot.waitUntil(lambda: len(dock.pairs.value()) == 2)
    look(dock, "ready-mixed-narrow")
    shown = []
    viewer.layers.events.inserted.connect(lambda event: shown.append(event.value.name))
    with qtbot.waitSignal(dock.panel.job.finished):
        dock.panel.run.click()
    assert shown == ["preview of worse"]
    assert len(viewer.layers) == 3
    look(dock, "rejected-narrow")


def test_compare_dock_in_every_state(
    qtbot: Any, make_napari_viewer: Any, trainings: Any, look: Callable[[QWidget, str], None]
) -> None:
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1200, 900)
    segment = viewer.window.add_plugin_dock_widget("napari-medseg", "Segment")[1]
    place, dock = viewer.window.add_plugin_dock_widget("napari-medseg", "Compare", tabify=True)
    place.raise_()
    qtbot.waitUntil(lambda: dock.isVisible() and dock.width() <= 420)
    look(dock, "no-image")
    image = viewer.add_image(np.zeros((5, 32, 32), np.uint8), name="femur ct")
    labels = result_layer(viewer, image, list_models()[0], SegmentOptions())
    corrections_of(labels).accept(1)
    qtbot.waitUntil(dock.panel.run.isEnabled)
    look(dock, "ready")
    dock.form.starts.set_value(("unetplusplus:tu-regnety_004", "unet:resnet18", "fpn:resnet18", "unet:resnet34"))
    trainings.hold_at = 3
    dock.panel.run.click()
    qtbot.waitUntil(lambda: len(trainings.runs) == 3)
    qtbot.waitUntil(lambda: len(dock.curves.plot.listDataItems()) == 2)
    look(dock, "running")
    with qtbot.waitSignal(dock.panel.job.finished):
        trainings.free.set()
    look(dock, "done")
    viewer.theme = "light"
    dock.setFixedWidth(300)
    look(dock, "done-light-narrow")
    with qtbot.waitSignal(dock.panel.job.finished):
        dock.winner.keep.click()
    assert segment.model.value().reference == "my-fpn-resnet18@1"
    look(dock, "kept-light-narrow")


def test_models_dock_with_each_built_in_model(
    qtbot: Any, make_napari_viewer: Any, look: Callable[[QWidget, str], None]
) -> None:
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1200, 1000)
    dock = viewer.window.add_plugin_dock_widget("napari-medseg", "Models")[1]
    for row, card in enumerate(list_models()):
        dock.models.setCurrentRow(row)
        scores = dock.findChild(QLabel, "scores")
        qtbot.waitUntil(lambda label=scores: label.height() >= label.heightForWidth(label.width()))
        look(dock, card.name)


def test_evaluate_dock_before_and_after(
    qtbot: Any, make_napari_viewer: Any, look: Callable[[QWidget, str], None]
) -> None:
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1200, 1000)
    dock = viewer.window.add_plugin_dock_widget("napari-medseg", "Evaluate")[1]
    look(dock, "no-layers")
    found = np.zeros((5, 32, 32), np.uint8)
    found[:3, 8:20, 8:20] = 1
    viewer.add_labels(found, name="femur ct labels")
    viewer.add_labels(np.roll(found, 2, axis=2), name="truth")
    look(dock, "ready")
    with qtbot.waitSignal(dock.panel.job.finished):
        dock.panel.run.click()
    look(dock, "done")
    viewer.theme = "light"
    look(dock, "done-light")
