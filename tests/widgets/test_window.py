"""Docks in a real window, as napari opens and closes them, and as they open each other."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QThreadPool
from qtpy.QtWidgets import QPushButton

from napari_medseg.core import ModelCard, Progress, Reporter
from napari_medseg.editing.corrections import corrections_of
from napari_medseg.training.verdict import TrainingResult, Verdict
from napari_medseg.widgets import fine_tune
from napari_medseg.widgets.empty_state import open_dock
from napari_medseg.widgets.snapshot import Order

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

NAMES = ("Open", "Segment", "Fine-tune", "Evaluate", "Models")


@pytest.mark.parametrize("name", NAMES)
def test_napari_opens_and_closes_the_docks_by_name(make_napari_viewer: Callable[..., Any], name: str) -> None:
    """G11."""
    viewer = make_napari_viewer()
    dock, widget = viewer.window.add_plugin_dock_widget("napari-medseg", name)
    assert widget.findChild(QPushButton, "run") is not None
    inner = widget._scroll.widget()
    assert inner.minimumSizeHint().width() <= 340
    viewer.window.remove_dock_widget(dock)
    assert widget._closed


@pytest.mark.parametrize("name", NAMES)
def test_dock_closed_while_its_work_runs_tells_nothing_more(
    qtbot: Any, make_napari_viewer: Callable[..., Any], name: str
) -> None:
    """G3: no thread is left, and no slot of the closed dock is called."""
    viewer = make_napari_viewer()
    dock, widget = viewer.window.add_plugin_dock_widget("napari-medseg", name)
    running, ended, pace = threading.Event(), [], threading.Event()

    def work(report: Reporter) -> None:
        while True:
            running.set()
            report(Progress("Working"))
            pace.wait(0.001)

    widget.panel.start(work, "work", "Working…")
    for signal in (widget.panel.job.finished, widget.panel.job.cancelled, widget.panel.job.failed):
        signal.connect(lambda *_: ended.append(1))
    qtbot.waitUntil(running.is_set)
    viewer.window.remove_dock_widget(dock)
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=2000)
    qtbot.waitUntil(lambda: not widget.panel.job.running)
    assert not ended


def test_button_beside_the_model_shows_it_in_the_models_dock(
    make_napari_viewer: Callable[..., Any], cards: list[ModelCard], monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_medseg.widgets import models

    monkeypatch.setattr(models, "read_cards", lambda: tuple(cards))
    viewer = make_napari_viewer()
    _, segment = viewer.window.add_plugin_dock_widget("napari-medseg", "Segment")
    segment.model.set_value("rgb-gland")
    segment.findChild(QPushButton, "models").click()
    shown = open_dock(viewer, "Models")
    assert shown.value() == segment.model.value()
    assert shown.value().name == "rgb-gland"


def open_from_menu(viewer: Any, name: str) -> None:
    """As a click in napari's menu Plugins > MedSeg."""
    [menu] = [action.menu() for action in viewer.window.plugins_menu.actions() if action.text() == "MedSeg"]
    [action] = [action for action in menu.actions() if action.text() == f"{name} (MedSeg)"]
    action.trigger()


@pytest.mark.parametrize("first", ["menu", "button"])
def test_each_dock_is_opened_once_from_the_menu_and_from_another_dock(
    qtbot: Any, make_napari_viewer: Callable[..., Any], first: str
) -> None:
    viewer = make_napari_viewer(show=True)
    opened = {}
    for name in ("Segment", "Fine-tune"):
        if first == "menu":
            open_from_menu(viewer, name)
        opened[name] = open_dock(viewer, name)
    assert [*viewer.window.dock_widgets] == ["Segment (MedSeg)", "Fine-tune (MedSeg)"]
    segment, tune = opened.values()
    qtbot.waitUntil(lambda: not tune.visibleRegion().isEmpty())
    segment.parent().close()
    assert open_dock(viewer, "Segment") is segment
    qtbot.waitUntil(lambda: not segment.visibleRegion().isEmpty())
    open_from_menu(viewer, "Segment")
    assert [*viewer.window.dock_widgets.values()] == [segment, tune]
    assert not segment.parent().isVisible(), "napari's menu hides what it shows"


@pytest.mark.parametrize("name", ["Fine-tune", "Models"])
def test_dock_from_the_menu_is_a_tab_of_the_one_that_is_open(
    qtbot: Any, make_napari_viewer: Callable[..., Any], name: str
) -> None:
    viewer = make_napari_viewer(show=True)
    for one in ("Segment", name):
        open_from_menu(viewer, one)
    segment, other = (w.parent() for w in viewer.window.dock_widgets.values())
    qtbot.waitUntil(lambda: segment.parent().tabifiedDockWidgets(other) == [segment])
    qtbot.waitUntil(lambda: not other.widget().visibleRegion().isEmpty())
    assert segment.widget().visibleRegion().isEmpty(), "the newest is in front"


def train_at_once(cards: list[ModelCard]) -> Callable[..., Any]:
    def train(order: Order, preview: object, report: Reporter) -> Any:
        new = order.card.model_copy(update={"name": order.name})
        cards.append(new)
        return TrainingResult(new, Verdict(math.nan, math.nan), "", ())

    return train


def test_use_it_after_the_image_is_gone_or_while_segment_is_busy_says_so(
    qtbot: Any,
    make_napari_viewer: Callable[..., Any],
    cards: list[ModelCard],
    brake: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """G1, G4."""
    monkeypatch.setattr(fine_tune, "train_order", train_at_once(cards))
    viewer = make_napari_viewer()
    image = viewer.add_image(np.full((4, 32, 32), 200, np.uint8), name="femur ct")
    labels = viewer.add_labels(np.ones((4, 32, 32), np.uint8))
    segment, tune = (open_dock(viewer, name) for name in ("Segment", "Fine-tune"))
    brake.at = 1
    segment.panel.run.click()
    tune.pairs.rows[0].check.click()
    qtbot.waitUntil(tune.panel.run.isEnabled)
    for words in ("The Segment dock is busy", "its image was closed"):
        with qtbot.waitSignal(tune.panel.job.finished):
            tune.panel.run.click()
        if "closed" in words:
            viewer.layers.remove(image)
            viewer.layers.remove(labels)
        tune.use.click()
        assert words in tune.panel.status.text()
    with qtbot.waitSignal(segment.panel.job.finished):
        brake.free.set()


def test_use_it_segments_again_and_leaves_what_it_learnt_from(
    qtbot: Any,
    make_napari_viewer: Callable[..., Any],
    cards: list[ModelCard],
    brake: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whole slices were taken as right, so the new result is not written over them."""

    monkeypatch.setattr(fine_tune, "train_order", train_at_once(cards))
    viewer = make_napari_viewer()
    image = viewer.add_image(np.full((4, 32, 32), 200, np.uint8), name="femur ct")
    segment, tune = (open_dock(viewer, name) for name in ("Segment", "Fine-tune"))
    with qtbot.waitSignal(segment.panel.job.finished):
        segment.panel.run.click()
    labels = viewer.layers[-1]
    labels.data_setitem((np.ones(5, int), np.arange(5), np.arange(5)), 0)
    labels.data[1, 20] = 0
    qtbot.waitUntil(tune.panel.run.isEnabled)
    with qtbot.waitSignal(tune.panel.job.finished):
        tune.panel.run.click()
    image.data = np.full((4, 32, 32), 201, np.uint8)
    with qtbot.waitSignal(segment.panel.job.finished):
        tune.use.click()
    assert tune.panel.status.text() == (
        "The Segment dock segments again with my-grey-bone v1. The slices it learnt from stay as they are. "
        "Correct what is still wrong, then repeat."
    )
    assert labels.metadata["napari_medseg"]["card"]["name"] == "my-grey-bone"
    assert not labels.data[1, 20].any()
    assert labels.data[2].all()
    assert tune.pairs.rows[0].summary.text() == "1 accepted slice", "what was learnt is right, as the strip draws it"
    assert corrections_of(labels).accepted == {1}
    assert segment.panel.status.text().startswith("4 slices segmented")
    assert tune.model.value().name == "my-grey-bone"
