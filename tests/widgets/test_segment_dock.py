"""The Segment dock, without a window except where one is needed."""

from __future__ import annotations

import gc
import re
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QThreadPool
from qtpy.QtWidgets import QComboBox, QPushButton

from napari_medseg._layers import METADATA, labels_from_layer, labels_layer_data
from napari_medseg.core import ClassInfo, Image, Labels, ModelCard, Progress
from napari_medseg.editing.corrections import corrections_of
from napari_medseg.widgets import segment
from napari_medseg.widgets.result_layer import find_result
from napari_medseg.widgets.segment import SegmentWidget


@pytest.fixture
def dock(qtbot: Any, viewer: ViewerModel, cards: list[ModelCard]) -> Iterator[SegmentWidget]:
    made = SegmentWidget(viewer)
    qtbot.addWidget(made)
    yield made
    made.panel.job.stop()


def run(qtbot: Any, dock: SegmentWidget) -> Any:
    with qtbot.waitSignal(dock.panel.job.finished):
        dock.findChild(QPushButton, "run").click()
    return dock.viewer.layers[-1]


def test_parts_have_the_agreed_names(dock: SegmentWidget) -> None:
    for kind, name in ((QPushButton, "run"), (QPushButton, "cancel"), (QComboBox, "image"), (QComboBox, "model")):
        assert dock.findChild(kind, name) is not None


def test_without_image_the_sample_is_offered(dock: SegmentWidget) -> None:
    """G9."""
    assert not dock.panel.run.isEnabled()
    assert dock.empty.isVisibleTo(dock)
    assert dock.findChild(QPushButton, "sample").text() == "Open sample"


def test_image_without_model_says_why(dock: SegmentWidget, viewer: ViewerModel, cards: list[ModelCard]) -> None:
    """G5, G9."""
    del cards[1]
    data = np.random.default_rng(0).integers(0, 255, (40, 30, 3), dtype=np.uint8)
    viewer.add_image(data, rgb=True)
    dock.model.refresh()
    assert dock.panel.status.text().startswith("No model fits this image.")
    assert dock.model.summary.text() == "needs grey, this is RGB"
    assert not dock.panel.run.isEnabled()


def test_multichannel_image_is_told_to_be_split(dock: SegmentWidget, viewer: ViewerModel) -> None:
    """G5: RGB against several channels."""
    viewer.add_image(np.zeros((64, 64, 4), np.uint8), rgb=False)
    assert "neither grey nor RGB" in dock.image.summary.text()
    assert not dock.panel.run.isEnabled()


def test_labels_appear_with_the_image_s_place_and_the_card_s_classes(
    qtbot: Any, dock: SegmentWidget, make_stack: Callable[..., Any], brake: Any
) -> None:
    """G5: a hidden, scaled, moved and turned layer."""
    brake.at = 0
    c, s = np.cos(0.3), np.sin(0.3)
    image = make_stack(translate=(1, 2, 3), rotate=[[1, 0, 0], [0, c, -s], [0, s, c]], visible=False)
    dock.panel.run.click()
    labels = dock.viewer.layers["femur ct labels"]
    assert not labels.data.any(), "the layer is there before the first slice"
    assert isinstance(labels.data, np.ndarray)
    assert labels.data.dtype == np.uint8
    for name in ("scale", "translate", "rotate"):
        np.testing.assert_allclose(getattr(labels, name), getattr(image, name))
    assert labels.units == image.units
    assert list(labels.features["class"]) == ["background", "bone"]
    with qtbot.waitSignal(dock.panel.job.finished):
        brake.free.set()
    np.testing.assert_array_equal(labels.data, image.data > 100)
    assert "6 slices segmented" in dock.panel.status.text()
    assert dock.after.isVisibleTo(dock)


def test_thumbnail_of_the_labels_shows_what_was_found(
    qtbot: Any, dock: SegmentWidget, make_stack: Callable[..., Any], brake: Any
) -> None:
    make_stack()
    labels = run(qtbot, dock)
    shown = labels.thumbnail.copy()
    assert shown[..., :3].any()
    labels.refresh()
    np.testing.assert_array_equal(shown, labels.thumbnail)


def test_single_image_fills_its_one_slice(qtbot: Any, dock: SegmentWidget, viewer: ViewerModel, brake: Any) -> None:
    """V8: one pixel wide."""
    image = viewer.add_image(np.full((9, 1), 200, np.uint8))
    assert not dock.scope.isVisibleTo(dock)
    labels = run(qtbot, dock)
    assert labels.data.shape == image.data.shape
    assert labels.data.all()
    assert dock.panel.status.text().startswith("1 image segmented in")


@pytest.mark.parametrize("slices", [(), (2,)])
def test_a_stained_picture_tells_what_of_its_tissue_each_class_takes_up(
    qtbot: Any, dock: SegmentWidget, viewer: ViewerModel, monkeypatch: pytest.MonkeyPatch, slices: tuple[int, ...]
) -> None:
    """A quarter of the tissue is found, in the words that slides have; what of a grey image is what tells nothing."""
    glass = np.full((*slices, 600, 600, 3), 240.0)
    glass[..., 200:400, 100:300, :] = (200, 120, 170)
    noise = np.random.default_rng(0).normal(0, 4, glass.shape)

    def find(image: Image, card: ModelCard, options: Any, report: Any) -> Labels:
        found = np.zeros(image.shape, np.uint8)
        found[..., 200:300, 100:200] = 1
        for z in range(len(image)):
            region = (z,) if image.is_stack else ()
            report(Progress("Segmenting", z + 1, len(image), region=region, result=found[z] if region else found))
        return Labels(found, card.classes, image.geometry)

    monkeypatch.setattr(segment, "_segment", find)
    placed = {"scale": (8,) * (2 + len(slices)), "units": ("um",) * (2 + len(slices))}
    viewer.add_image(np.clip(glass + noise, 0, 255).astype(np.uint8), rgb=True, name="he", **placed)
    run(qtbot, dock)
    told = re.search(r"Of the tissue: gland (\d+\.\d) % \((\S+) mm²\)\. Paint over", dock.panel.status.text())
    assert told, dock.panel.status.text()
    assert float(told[1]) == pytest.approx(25, abs=1)
    assert float(told[2]) == pytest.approx(0.64 * (slices or (1,))[0], rel=0.05)
    grey = viewer.add_image((glass[..., 0] + noise[..., 0]).clip(0, 255).astype(np.uint8), name="grey")
    dock.image.set_value(grey)
    run(qtbot, dock)
    assert "tissue" not in dock.panel.status.text()


@pytest.mark.parametrize("architecture", ["classifier", "unet"])
def test_slices_that_hold_something_are_named_once_and_a_classifier_gives_nothing_to_paint_over(
    qtbot: Any, dock: SegmentWidget, cards: list[ModelCard], make_stack: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch, architecture: str,
) -> None:  # fmt: skip
    def find(image: Image, card: ModelCard, options: Any, report: Any) -> Labels:
        found = np.zeros(image.shape, np.uint8)
        found[2] = card.outlines
        said = dict(enumerate((0.9, 0.1, 0.9, 0.35, 0.4, 0.2)))
        for z in range(6):
            report(Progress("Segmenting", z + 1, 6, metrics={"presence": said[z]}, region=(z,), result=found[z]))
        return Labels(found, card.classes, image.geometry, presence=said, threshold=0.3, outlined=card.outlines)

    monkeypatch.setattr(segment, "_segment", find)
    cards[0] = cards[0].model_copy(update={"architecture": architecture, "presence": 0.3})
    image = make_stack()
    labels = run(qtbot, dock)
    outlined = architecture == "unet"
    named = re.findall(r">([^<]+)</a>", dock.positive.text())
    assert named == (["2"] if outlined else ["0", "2–4"])
    assert ("Paint over" in dock.panel.status.text()) is outlined
    data, kwargs, _ = labels_layer_data(labels_from_layer(labels))
    dock.viewer.layers.remove(labels)
    assert dock.positive.isHidden()
    opened = dock.viewer.add_labels(data, **kwargs)
    assert find_result(dock.viewer, image) is None, "no model made this layer"
    assert re.findall(r">([^<]+)</a>", dock.positive.text()) == named
    assert dock.positive.toolTip().startswith(f"Slices of “{opened.name}”")
    assert not dock.positive.isHidden()


def test_second_run_reuses_the_layer_and_keeps_painted_pixels(
    qtbot: Any, dock: SegmentWidget, make_stack: Callable[..., Any], brake: Any
) -> None:
    """G6."""
    make_stack()
    labels = run(qtbot, dock)
    labels.data_setitem((np.array([2]), np.array([3]), np.array([4])), 1)
    assert run(qtbot, dock) is labels
    assert len(dock.viewer.layers) == 2
    assert labels.data[2, 3, 4] == 1
    assert labels.data[2].sum() == 24 * 12 + 1


def test_painting_while_results_arrive_wins(
    qtbot: Any, dock: SegmentWidget, make_stack: Callable[..., Any], brake: Any
) -> None:
    """G6, G7: the stroke is older than the result; undo does not bring stale pixels back."""
    brake.at = 2
    make_stack()
    dock.panel.run.click()
    qtbot.waitUntil(lambda: len(brake.slices) == 2)
    labels = dock.viewer.layers[-1]
    labels.data_setitem((np.array([4] * 24), np.arange(24), np.full(24, 2)), 1)
    with qtbot.waitSignal(dock.panel.job.finished):
        brake.free.set()
    assert labels.data[4, :, 2].all()
    assert labels.data[4, :, 12:].all()
    for step in (labels.undo, labels.redo, labels.undo):
        step()
        assert labels.data[4, :, 12:].all()


@pytest.mark.parametrize("at", [0, 3, 5])
def test_cancel_keeps_finished_slices(
    qtbot: Any, dock: SegmentWidget, make_stack: Callable[..., Any], brake: Any, at: int
) -> None:
    """G2: at the first, a middle, the last slice, within a second."""
    brake.at = at
    make_stack()
    dock.panel.run.click()
    qtbot.waitUntil(lambda: len(brake.slices) == at)
    with qtbot.waitSignal(dock.panel.job.cancelled, timeout=1000):
        dock.findChild(QPushButton, "cancel").click()
    labels = dock.viewer.layers[-1]
    if at:
        assert labels.data[:at].any(axis=(1, 2)).all()
        assert not labels.data[at:].any()
        assert labels.metadata[METADATA]["missing"] == list(range(at, 6))
    else:
        assert len(dock.viewer.layers) == 1, "a layer that holds nothing goes with its run"
    told = f"Stopped: {at} of 6 slices done, kept in “femur ct labels”." if at else "Stopped: nothing was written."
    assert dock.panel.status.text().startswith(told)
    assert dock.panel.run.isEnabled()


def test_failure_is_one_sentence_and_the_button_works_again(
    qtbot: Any, dock: SegmentWidget, make_stack: Callable[..., Any], brake: Any
) -> None:
    """G8."""
    brake.fail = 3
    make_stack()
    with qtbot.waitSignal(dock.panel.job.failed):
        dock.panel.run.click()
    assert "IndexError" in dock.panel.status.text()
    assert "3 slices done before that are kept" in dock.panel.status.text()
    assert "Traceback" in dock.panel.details.text.toPlainText()
    brake.fail = None
    assert run(qtbot, dock).data.any(axis=(1, 2)).all()
    assert not dock.panel.details.isVisibleTo(dock)


def test_wrong_setting_starts_nothing(dock: SegmentWidget, make_stack: Callable[..., Any], brake: Any) -> None:
    make_stack()
    dock.options.findChild(QComboBox, "device").setEditText("toaster")
    dock.panel.run.click()
    assert not dock.panel.job.running
    assert "device" in dock.panel.status.text()
    assert len(dock.viewer.layers) == 1


def test_scope_of_this_slice_is_the_one_shown(
    qtbot: Any, dock: SegmentWidget, make_stack: Callable[..., Any], brake: Any
) -> None:
    """G5: the slider counts world steps, the layer is scaled."""
    make_stack()
    dock.viewer.dims.set_point(0, 4 * 3)
    dock.scope.this.click()
    labels = run(qtbot, dock)
    assert brake.slices == [4]
    assert labels.metadata[METADATA]["missing"] == [0, 1, 2, 3, 5]
    labels.data_setitem((np.array([1]), np.array([3]), np.array([4])), 1)
    # A painted slice holds a result.
    qtbot.waitUntil(lambda: labels.metadata[METADATA]["missing"] == [0, 2, 3, 5])


def test_status_names_the_slice_the_slider_shows(dock: SegmentWidget, make_stack: Callable[..., Any]) -> None:
    make_stack()
    dock.scope.this.click()
    for z in (2, 5):
        dock.viewer.dims.set_point(0, 3 * z)
        assert dock.panel.status.text() == f"Ready to segment slice {z} with grey-bone v1."


def test_slices_count_as_the_slider_does_where_it_runs_against_the_file(
    qtbot: Any, dock: SegmentWidget, make_stack: Callable[..., Any], brake: Any
) -> None:
    """D4: the first slice of the file may be the uppermost, which the slider shows last."""
    make_stack(affine=np.diag([-1.0, 1, 1, 1]))
    dock.viewer.dims.set_current_step(0, 1)
    dock.scope.this.click()
    assert "slice 1 with" in dock.panel.status.text()
    run(qtbot, dock)
    assert brake.slices == [4]
    dock.scope.range.click()
    dock.scope.first.setValue(0)
    dock.scope.last.setValue(1)
    assert "slices 0 to 1" in dock.panel.status.text()
    run(qtbot, dock)
    assert brake.slices[1:] == [4, 5]


def test_slices_count_as_a_slider_that_begins_before_the_stack(
    dock: SegmentWidget, make_stack: Callable[..., Any]
) -> None:
    make_stack(translate=(30, 0, 0))
    dock.scope.first.setValue(2)
    dock.viewer.add_image(np.zeros((30, 8, 8)), scale=(3, 1, 1), name="long")
    dock.image.set_value(dock.viewer.layers[0])
    assert (dock.scope.first.minimum(), dock.scope.last.maximum()) == (10, 15)
    dock.scope.first.setValue(12)
    assert dock.scope.value(0) == "2:6"
    dock.viewer.layers.pop(1)
    assert (dock.scope.first.value(), dock.scope.last.value()) == (2, 5), "the same slices stay chosen"


def test_labels_removed_during_the_run_stop_it(
    qtbot: Any, dock: SegmentWidget, make_stack: Callable[..., Any], brake: Any
) -> None:
    """G1."""
    brake.at = 2
    make_stack()
    dock.panel.run.click()
    qtbot.waitUntil(lambda: len(brake.slices) == 2)
    dock.viewer.layers.remove(dock.viewer.layers[-1])
    brake.free.set()
    qtbot.waitUntil(lambda: not dock.panel.job.running)
    assert "was removed" in dock.panel.status.text()


def test_image_removed_renamed_or_swapped_during_the_run_changes_nothing(
    qtbot: Any, dock: SegmentWidget, make_stack: Callable[..., Any], brake: Any
) -> None:
    """G1: the work has its own view of the image."""
    brake.at = 2
    image = make_stack()
    dock.panel.run.click()
    labels = dock.viewer.layers[-1]
    image.name = "other"
    image.data = np.zeros((3, 5, 5), np.uint8)
    dock.viewer.layers.reverse()
    dock.viewer.layers.remove(image)
    with qtbot.waitSignal(dock.panel.job.finished):
        brake.free.set()
    assert labels.data.any(axis=(1, 2)).all()


def test_labels_data_swapped_during_the_run_are_left_alone(
    qtbot: Any, dock: SegmentWidget, make_stack: Callable[..., Any], brake: Any
) -> None:
    """G1."""
    brake.at = 2
    make_stack()
    dock.panel.run.click()
    qtbot.waitUntil(lambda: len(brake.slices) == 2)
    labels = dock.viewer.layers[-1]
    labels.data = np.zeros((6, 5, 5), np.uint8)
    brake.free.set()
    qtbot.waitUntil(lambda: not dock.panel.job.running)
    assert not labels.data.any()
    assert "no longer has the size" in dock.panel.status.text()


def test_labels_of_another_type_get_a_new_layer(
    qtbot: Any, dock: SegmentWidget, make_stack: Callable[..., Any], brake: Any
) -> None:
    """G10."""
    make_stack()
    labels = run(qtbot, dock)
    labels.data = labels.data.astype(np.int32)
    assert run(qtbot, dock) is not labels
    assert len(dock.viewer.layers) == 3


def test_model_with_other_classes_gets_a_new_layer(
    qtbot: Any, dock: SegmentWidget, make_stack: Callable[..., Any], brake: Any, cards: list[ModelCard]
) -> None:
    make_stack()
    labels = run(qtbot, dock)
    many = (ClassInfo.numbered(1, "left"), ClassInfo.numbered(300, "right"))
    cards.append(cards[0].model_copy(update={"name": "sides", "classes": many}))
    dock.model.refresh()
    dock.model.set_value("sides")
    other = run(qtbot, dock)
    assert other is not labels
    assert other.data.dtype == np.uint16


def test_accepted_slice_is_not_written_over(
    qtbot: Any, dock: SegmentWidget, make_stack: Callable[..., Any], brake: Any
) -> None:
    make_stack()
    labels = run(qtbot, dock)
    labels.data[1] = 0
    corrections_of(labels).accept(1)
    run(qtbot, dock)
    assert not labels.data[1].any()


def test_saving_asks_before_it_replaces(
    qtbot: Any, dock: SegmentWidget, make_stack: Callable[..., Any], brake: Any, tmp_path: Path
) -> None:
    """W5."""
    make_stack()
    run(qtbot, dock)
    dock.save.click()
    panel = dock.save_panel
    assert panel.isVisibleTo(dock)
    offered = [panel.kind.itemData(row) for row in range(panel.kind.count())]
    assert ".nii.gz" in offered or ".nii" in offered
    assert ".seg.dcm" not in offered, "these images are no DICOM series"
    target = tmp_path / "masks"
    panel.path.setText(str(target))
    with qtbot.waitSignal(panel.saved):
        panel.save.click()
    assert len(list(target.glob("*.png"))) == 6
    assert str(target) in dock.panel.status.text()
    dock.save.click()
    panel.path.setText(str(target))
    panel.save.click()
    assert "Replace" in panel.question.text()
    assert not panel.job.running
    with qtbot.waitSignal(panel.saved):
        panel.replace.click()


def test_failed_saving_is_one_sentence(
    qtbot: Any, dock: SegmentWidget, make_stack: Callable[..., Any], brake: Any, tmp_path: Path
) -> None:
    """W1."""
    make_stack()
    run(qtbot, dock)
    dock.save.click()
    (tmp_path / "file").write_text("")
    dock.save_panel.path.setText(str(tmp_path / "file" / "masks"))
    with qtbot.waitSignal(dock.save_panel.failed):
        dock.save_panel.save.click()
    assert dock.panel.status.text()
    assert dock.save_panel.isEnabled()


def test_closing_while_running_leaves_no_thread(
    qtbot: Any, viewer: ViewerModel, cards: list[ModelCard], make_stack: Callable[..., Any], brake: Any
) -> None:
    """G3."""
    brake.at = 1
    make_stack()
    dock = SegmentWidget(viewer)
    dock.panel.run.click()
    qtbot.waitUntil(lambda: len(brake.slices) == 1)
    dock.close()
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=2000)
    dock.deleteLater()


def test_fifty_times_open_and_close_leaves_nothing(
    qtbot: Any, viewer: ViewerModel, cards: list[ModelCard], make_stack: Callable[..., Any]
) -> None:
    """G11: no widget, no listener."""
    make_stack()
    SegmentWidget(viewer).close()  # the viewer's session, which stays, begins with the first dock
    events = (viewer.layers.events.inserted, viewer.layers.events.removed, viewer.events.theme)
    before = [len(event.callbacks) for event in events]
    gone = []
    for _ in range(50):
        dock = SegmentWidget(viewer)
        gone.append(weakref.ref(dock))
        dock.close()
        dock.deleteLater()
        del dock
    gc.collect()
    qtbot.waitUntil(lambda: all(link() is None for link in gone), timeout=2000)
    assert [len(event.callbacks) for event in events] == before


def test_slices_to_look_at_next_are_marked_and_told(
    qtbot: Any, dock: SegmentWidget, make_stack: Callable[..., Any], brake: Any
) -> None:
    make_stack(slices=20)
    brake.doubtful = (4, 12)
    labels = run(qtbot, dock)
    assert corrections_of(labels).suggested[:2] == (4, 12)
    assert len(corrections_of(labels).suggested) == 6
    assert "Look next at slices 4, 12, " in dock.panel.status.text()


@pytest.mark.parametrize(("slices", "marked"), [(2, 1), (6, 2), (12, 4), (60, 6)])
def test_of_a_short_series_only_a_third_is_suggested(
    qtbot: Any, dock: SegmentWidget, make_stack: Callable[..., Any], brake: Any, slices: int, marked: int
) -> None:
    make_stack(slices=slices)
    brake.doubtful = (1,)
    assert len(corrections_of(run(qtbot, dock)).suggested) == marked


def test_corrected_and_accepted_slices_are_not_suggested(
    qtbot: Any, dock: SegmentWidget, make_stack: Callable[..., Any], brake: Any
) -> None:
    make_stack(slices=20)
    brake.doubtful = (4, 12)
    labels = run(qtbot, dock)
    labels.data_setitem((np.array([4]), np.array([3]), np.array([4])), 1)
    corrections_of(labels).accept(12)
    run(qtbot, dock)
    assert not {4, 12} & {*corrections_of(labels).suggested}
    assert len(corrections_of(labels).suggested) == 6


def test_run_of_some_slices_suggests_of_these_and_keeps_the_other_suggestions(
    qtbot: Any, dock: SegmentWidget, make_stack: Callable[..., Any], brake: Any
) -> None:
    make_stack(slices=40)
    brake.doubtful = (30,)
    labels = run(qtbot, dock)
    whole = corrections_of(labels).suggested
    dock.scope.this.click()
    run(qtbot, dock)
    assert corrections_of(labels).suggested == whole
    dock.scope.range.click()
    dock.scope.first.setValue(0)
    dock.scope.last.setValue(2)
    run(qtbot, dock)
    suggested = corrections_of(labels).suggested
    assert {*suggested[:3]} == {0, 1, 2}
    assert suggested[3] == 30
    assert len(suggested) == 6


def test_stopped_run_suggests_of_what_is_finished(
    qtbot: Any, dock: SegmentWidget, make_stack: Callable[..., Any], brake: Any
) -> None:
    """G2."""
    brake.at = 5
    brake.doubtful = (3,)
    make_stack()
    dock.panel.run.click()
    qtbot.waitUntil(lambda: len(brake.slices) == 5)
    with qtbot.waitSignal(dock.panel.job.cancelled):
        dock.findChild(QPushButton, "cancel").click()
    labels = dock.viewer.layers[-1]
    assert corrections_of(labels).suggested[0] == 3
    assert 5 not in corrections_of(labels).suggested
    assert "Look next at slices 3, " in dock.panel.status.text()


def test_no_suggestions_when_none_are_wanted(
    qtbot: Any, dock: SegmentWidget, make_stack: Callable[..., Any], brake: Any
) -> None:
    make_stack()
    dock.options.set_value(dock.options.value().model_copy(update={"suggest": 0}))
    labels = run(qtbot, dock)
    assert corrections_of(labels).suggested == ()
    assert "Look next" not in dock.panel.status.text()
