"""While the Fine-tune dock's training runs, and what is done about its outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QThreadPool

from napari_medseg.core import ModelCard, Progress
from napari_medseg.editing.corrections import corrections_of
from napari_medseg.training.verdict import Verdict
from napari_medseg.widgets.fine_tune import FineTuneWidget
from napari_medseg.widgets.new_labels import add_strokes
from napari_medseg.widgets.segment import SegmentWidget


@pytest.fixture
def dock(qtbot: Any, viewer: ViewerModel, cards: list[ModelCard]) -> Iterator[FineTuneWidget]:
    made = FineTuneWidget(viewer)
    qtbot.addWidget(made)
    yield made
    made.close()


@pytest.fixture
def running(qtbot: Any, corrected: Any, dock: FineTuneWidget, trainer: Any) -> FineTuneWidget:
    """The dock with a training that has reported something and waits."""
    dock.panel.run.click()
    qtbot.waitUntil(lambda: dock.curves.latest("dice") is not None)
    return dock


def end(qtbot: Any, dock: FineTuneWidget, trainer: Any) -> None:
    with qtbot.waitSignal(dock.panel.job.finished):
        trainer.free.set()


def show_preview(dock: FineTuneWidget, trainer: Any) -> None:
    """What a training does every few seconds, brought to the window at once."""
    asked = trainer.preview()
    dock._on_progress(Progress("Training", region=asked.key, result=np.ones(asked.image.shape[-2:], int)))


def test_strokes_and_whole_slices_train_together(
    qtbot: Any, corrected: Any, dock: FineTuneWidget, trainer: Any, viewer: ViewerModel
) -> None:
    """Each pair says which of its values does not count."""
    strokes = add_strokes(viewer, viewer.layers[0], dock.model.value().classes)
    strokes.data_setitem((np.full(5, 3), np.full(5, 2), np.arange(5)), 2)
    qtbot.waitUntil(lambda: "learn from 4 slices" in dock.panel.status.text())
    dock.panel.run.click()
    qtbot.waitUntil(lambda: bool(trainer.seen))
    dense, sparse = trainer.seen[0].snapshots
    assert (dense.unlabelled, dense.slices) == (None, (1, 2, 4))
    assert (sparse.unlabelled, sparse.slices) == (255, (3,))
    assert [c.name for c in sparse.labels.classes] == ["bone", "background"]
    end(qtbot, dock, trainer)


def test_slice_in_view_is_shown_while_training_and_gone_after(
    qtbot: Any, running: FineTuneWidget, trainer: Any, corrected: Any
) -> None:
    before = corrected.data.copy()
    show_preview(running, trainer)
    [preview] = [layer for layer in running.viewer.layers if layer.name == "preview of my-grey-bone"]
    assert preview.data.any()
    np.testing.assert_array_equal(corrected.data, before)
    end(qtbot, running, trainer)
    assert preview not in running.viewer.layers
    assert trainer.preview() is None


def test_closed_dock_takes_the_preview_along(qtbot: Any, running: FineTuneWidget, trainer: Any) -> None:
    """G3: closed while training; no thread, no layer is left."""
    show_preview(running, trainer)
    layers = len(running.viewer.layers)
    running.close()
    assert len(running.viewer.layers) == layers - 1
    assert trainer.preview() is None
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=2000)


def test_layers_removed_while_training_do_no_harm(
    qtbot: Any, running: FineTuneWidget, trainer: Any, viewer: ViewerModel, corrected: Any
) -> None:
    """G1."""
    trainer.held_out = ((0, 1),)
    show_preview(running, trainer)
    viewer.layers.remove(corrected)
    viewer.layers.remove(viewer.layers["femur ct"])
    end(qtbot, running, trainer)
    assert len(viewer.layers) == 0
    assert "is better" in running.panel.status.text()
    running.use.click()
    assert "its image was closed" in running.panel.status.text()


def test_held_out_slices_are_marked_in_their_layer(
    qtbot: Any, running: FineTuneWidget, trainer: Any, corrected: Any
) -> None:
    """The run numbers its own slices: its third is the layer's slice 4."""
    trainer.held_out = ((0, 2),)
    end(qtbot, running, trainer)
    assert corrections_of(corrected).held_out == {4}


def test_what_was_learnt_is_not_newest_in_the_next_run(
    qtbot: Any, running: FineTuneWidget, trainer: Any, corrected: Any
) -> None:
    assert trainer.seen[0].snapshots[0].newest == ()
    end(qtbot, running, trainer)
    running.keep.click()
    corrected.data_setitem((np.full(3, 5), np.full(3, 9), np.arange(3)), 1)
    running.pairs.refresh()
    with qtbot.waitSignal(running.panel.job.finished):
        running.panel.run.click()
    assert trainer.seen[0].snapshots[0].newest == (5,)


def test_rejected_model_says_both_figures_and_stays_to_be_chosen(
    qtbot: Any, running: FineTuneWidget, trainer: Any
) -> None:
    """T6."""
    trainer.made = {"name": "my-grey-bone-rejected"}
    trainer.verdict = Verdict(0.81, 0.64, on="2 held-out slices")
    end(qtbot, running, trainer)
    assert running.panel.status.text() == (
        "The new model is worse on 2 held-out slices (0.81 → 0.64): it was kept aside as my-grey-bone-rejected v2. "
        "Keep the old one and correct more."
    )
    assert running.use.text() == "Use it anyway"
    running.keep.click()
    assert running.model.value().name == "grey-bone"
    running.model.set_value("my-grey-bone-rejected")
    assert running.model.value().version == 2
    assert running.name.text() == "my-grey-bone", "what grows from it is not called rejected by its name"


def test_retraining_starts_where_it_all_began_and_recalls_everything(
    qtbot: Any, running: FineTuneWidget, trainer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_medseg.widgets import fine_tune

    monkeypatch.setattr(fine_tune, "find_start", lambda card: "femur-ct@1")
    end(qtbot, running, trainer)
    assert running.after.retrain.isVisibleTo(running)
    with qtbot.waitSignal(running.panel.job.finished):
        running.after.retrain.click()
    order = trainer.seen[0]
    assert (order.start, order.recall) == ("femur-ct@1", "my-grey-bone@2")
    assert order.name == "my-grey-bone"
    assert [snapshot.slices for snapshot in order.snapshots] == [(1, 2, 4)]
    assert not running.after.retrain.isVisibleTo(running), "this one did start there"


def test_going_back_chooses_the_version_for_both_docks(
    qtbot: Any, running: FineTuneWidget, trainer: Any, cards: list[ModelCard], monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = SegmentWidget(running.viewer)
    qtbot.addWidget(segment)
    window = type("Window", (), {"dock_widgets": {"Segment": segment, "Fine-tune": running}})()
    end(qtbot, running, trainer)
    running.use.click()
    assert running.model.value().name == "my-grey-bone"
    monkeypatch.setattr(type(running.viewer), "window", window, raising=False)
    running.go_back(cards[0])
    assert running.model.value() == segment.model.value() == cards[0]
    assert running.panel.status.text() == "grey-bone v1 is chosen, to segment with and to start from."
    monkeypatch.undo()
    segment.close()


@pytest.mark.parametrize("first", ["segment", "fine-tune"])
def test_both_docks_work_at_once(
    qtbot: Any, corrected: Any, dock: FineTuneWidget, trainer: Any, brake: Any, first: str
) -> None:
    """G4, T7: segmenting while training and the reverse; each ends well, and the training learns its snapshot."""
    segment = SegmentWidget(dock.viewer)
    qtbot.addWidget(segment)
    brake.at = 2
    for name in (first, "fine-tune" if first == "segment" else "segment"):
        (segment if name == "segment" else dock).panel.run.click()
    qtbot.waitUntil(lambda: len(brake.slices) == 2 and dock.curves.latest("dice") is not None)
    assert segment.panel.job.running
    assert dock.panel.job.running
    dock.panel.clicked.emit()
    assert dock.panel.job.running, "a second click starts nothing"
    learnt = trainer.seen[0].snapshots[0].labels.data.copy()
    with qtbot.waitSignal(segment.panel.job.finished):
        brake.free.set()
    assert dock.panel.job.running
    end(qtbot, dock, trainer)
    np.testing.assert_array_equal(trainer.seen[0].snapshots[0].labels.data, learnt)
    segment.close()


def test_failed_first_run_leaves_no_empty_layer(
    qtbot: Any, viewer: ViewerModel, make_stack: Callable[..., Any], cards: list[ModelCard], brake: Any, tmp_path: Path
) -> None:
    """G8: the layer a run was to fill goes with it, unless something is in it."""
    make_stack()
    segment = SegmentWidget(viewer)
    qtbot.addWidget(segment)
    brake.fail = 0
    with qtbot.waitSignal(segment.panel.job.failed):
        segment.panel.run.click()
    assert len(viewer.layers) == 1
    brake.fail = 3
    with qtbot.waitSignal(segment.panel.job.failed):
        segment.panel.run.click()
    assert viewer.layers[-1].data[2].any()
    with qtbot.waitSignal(segment.panel.job.failed):
        segment.panel.run.click()
    assert len(viewer.layers) == 2, "what an earlier run wrote stays"
    segment.close()
