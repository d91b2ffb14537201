"""Slides in the docks: scopes, tissue, the result that fills, going on, without a window."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QComboBox, QPushButton, QRadioButton
from slide_stage import NOT_COMPUTED, Threshold, add_slide, giant, stained

from napari_medseg.core import ModelCard
from napari_medseg.inference.slides.ledger import Ledger
from napari_medseg.io import read_labels
from napari_medseg.io.zarr.labels import LabelPyramid
from napari_medseg.widgets import slide_part
from napari_medseg.widgets.evaluate import EvaluateWidget
from napari_medseg.widgets.fine_tune import FineTuneWidget
from napari_medseg.widgets.segment import SegmentWidget
from napari_medseg.widgets.slide_result import find_slide_result, result_path
from napari_medseg.widgets.slide_scope import SlideScope, polygons_in
from napari_medseg.widgets.tissue_row import find_tissue_layer

TRUTH = (stained()[..., 0] < 150).astype(np.uint8)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Threshold:
    made = Threshold()
    monkeypatch.setattr(slide_part, "segment_slide", made)
    return made


@pytest.fixture
def dock(qtbot: Any, viewer: ViewerModel, cards: list[ModelCard]) -> Iterator[SegmentWidget]:
    made = SegmentWidget(viewer)
    qtbot.addWidget(made)
    yield made
    made.panel.job.stop()
    made.close()


def click(dock: SegmentWidget, name: str) -> None:
    button = dock.findChild(QPushButton, name)
    assert button.isVisibleTo(dock), f"{name} is hidden"
    assert button.isEnabled(), f"{name} is off"
    button.click()


def run(qtbot: Any, dock: SegmentWidget) -> Any:
    with qtbot.waitSignal(dock.panel.job.finished):
        click(dock, "run")
    return find_slide_result(dock.viewer, dock.image.value())


def test_a_slide_has_scopes_tissue_and_a_place_for_its_result_and_a_stack_has_slices(
    dock: SegmentWidget, viewer: ViewerModel, make_stack: Any, own_library: Path
) -> None:
    make_stack()
    parts = (dock.slide.scope, dock.slide.tissue, dock.slide.place)
    assert not any(part.isVisibleTo(dock) for part in parts)
    slide = add_slide(viewer)
    dock.image.set_value(slide)
    assert dock.model.value().name == "rgb-gland"
    assert all(part.isVisibleTo(dock) for part in parts)
    assert not dock.scope.isVisibleTo(dock)
    assert dock.panel.status.text() == "Ready to segment all tissue with rgb-gland v1."
    assert dock.slide.place.value().is_relative_to(own_library / "results")
    dock.slide.tissue.skip.setChecked(False)
    assert dock.panel.status.text().startswith("Ready to segment all of it")


def test_inside_shapes_waits_for_a_shapes_layer_and_says_so(qtbot: Any, viewer: ViewerModel) -> None:
    scope = SlideScope(viewer)
    qtbot.addWidget(scope)
    inside = scope.findChild(QRadioButton, "inside_shapes")
    assert not inside.isEnabled()
    assert inside.toolTip().startswith("No Shapes layer yet")
    layer = viewer.add_shapes([[[0, 0], [0, 5], [5, 5]]], shape_type="polygon", name="outlines")
    assert inside.isEnabled()
    scope.findChild(QComboBox, "shapes").activated.emit(0)
    assert inside.isChecked()
    assert scope.describe() == "what lies inside “outlines”"
    viewer.layers.remove(layer)
    assert scope.all.isChecked()
    scope.close_down()


def test_shapes_become_polygons_in_the_slide_s_pixels_wherever_both_layers_lie(viewer: ViewerModel) -> None:
    """G5."""
    slide = add_slide(viewer)
    box = np.array([(100, 200), (100, 300), (140, 300), (140, 200)])  # corners of pixels of the slide
    world = np.array([slide.data_to_world(p - 0.5) for p in box])
    shapes = viewer.add_shapes(world / 2 - 7, shape_type="rectangle", scale=(2, 2), translate=(14, 14))
    [polygon] = polygons_in(shapes, slide)
    np.testing.assert_allclose(np.sort(polygon, 0), np.sort(box, 0), atol=1e-6)


def test_result_fills_as_a_pyramid_over_the_slide_with_what_is_not_computed_in_grey(
    qtbot: Any, dock: SegmentWidget, viewer: ViewerModel, engine: Threshold
) -> None:
    """G2: stopped midway, what is finished is kept and said."""
    engine.at = 5
    slide = add_slide(viewer)
    click(dock, "run")
    qtbot.waitUntil(lambda: len(engine.did) == 5)
    qtbot.waitUntil(lambda: "42 % done" in dock.panel.status.text())
    layer = find_slide_result(viewer, slide)
    qtbot.waitUntil(lambda: bool((np.asarray(layer._slice.image.raw) != NOT_COMPUTED).any()))
    assert layer.multiscale
    assert not layer.editable
    np.testing.assert_allclose(layer.translate, slide.translate)
    assert layer.features["class"].tolist() == ["background", "gland", "not computed"]
    assert np.asarray(layer.get_color(NOT_COMPUTED))[3] < 0.7
    assert layer.get_status(slide.data_to_world((1200, 1600)), world=True)["value"].endswith("class: not computed")
    assert (np.asarray(layer.data[0][1024:, 1024:]) == NOT_COMPUTED).all()
    click(dock, "cancel")
    qtbot.waitUntil(lambda: not dock.panel.job.running)
    assert dock.panel.status.text().startswith("Stopped: 42 % of it is done and kept, in the layer")
    np.testing.assert_array_equal(layer.data[0][:512, :512], TRUTH[:512, :512])


def begin_run(qtbot: Any, dock: SegmentWidget, viewer: ViewerModel, engine: Threshold) -> Any:
    """The layer of a run that waits before it has computed anything."""
    engine.at = 0
    slide = add_slide(viewer)
    click(dock, "run")
    qtbot.waitUntil(lambda: find_slide_result(viewer, slide) is not None)
    return find_slide_result(viewer, slide)


@pytest.mark.parametrize("hidden", [False, True])
def test_whole_slide_in_view_is_drawn_as_it_was_segmented(
    qtbot: Any, dock: SegmentWidget, viewer: ViewerModel, engine: Threshold, hidden: bool
) -> None:
    """Of the whole slide the coarsest level is drawn."""
    layer = begin_run(qtbot, dock, viewer, engine)
    layer.data_level = len(layer.data) - 1
    layer.refresh()
    assert (np.asarray(layer._slice.image.raw) == NOT_COMPUTED).all()
    layer.visible = not hidden
    with qtbot.waitSignal(dock.panel.job.finished):
        engine.free.set()
    layer.visible = True
    assert layer.data_level == len(layer.data) - 1
    np.testing.assert_array_equal(layer._slice.image.raw, layer.data[-1])
    assert {*np.unique(layer._slice.image.raw)} == {0, 1}


def test_thumbnail_of_a_result_shows_what_was_found(
    qtbot: Any, dock: SegmentWidget, viewer: ViewerModel, engine: Threshold
) -> None:
    layer = begin_run(qtbot, dock, viewer, engine)
    grey = layer.thumbnail.copy()
    with qtbot.waitSignal(dock.panel.job.finished):
        engine.free.set()
    finished = layer.thumbnail.copy()
    assert (finished != grey).any()
    layer.refresh()
    np.testing.assert_array_equal(finished, layer.thumbnail)


def test_what_was_begun_is_resumed_and_begun_anew_only_when_said_twice(
    qtbot: Any, dock: SegmentWidget, viewer: ViewerModel, engine: Threshold
) -> None:
    engine.fail = 3
    add_slide(viewer)
    with qtbot.waitSignal(dock.panel.job.failed):
        click(dock, "run")
    assert "unexpected error" in dock.panel.status.text()
    assert "of the tissue is done" in dock.slide.offer.text.text()
    engine.fail = None
    with qtbot.waitSignal(dock.panel.job.finished):
        click(dock, "resume")
    assert len(engine.did) == len({*engine.did}) == 12
    assert not dock.slide.offer.isVisibleTo(dock), "there is nothing to offer"
    click(dock, "run")
    assert dock.slide.offer.text.text().startswith("All of its tissue is done. Overwrite rgb-gland-v1.ome.zarr?")
    click(dock, "keep_result")
    click(dock, "run")
    with qtbot.waitSignal(dock.panel.job.finished):
        click(dock, "overwrite")
    assert [order.anew for order in engine.orders] == [False, False, True]
    assert len(engine.did) == 24
    assert len([x for x in viewer.layers if x._type_string == "labels"]) == 1


def test_finished_result_is_offered_and_shown_when_the_slide_is_opened_again(
    qtbot: Any, dock: SegmentWidget, viewer: ViewerModel, engine: Threshold
) -> None:
    slide = add_slide(viewer)
    viewer.layers.remove(run(qtbot, dock))
    click(dock, "show_result")
    shown = find_slide_result(viewer, slide)
    np.testing.assert_array_equal(shown.data[0], TRUTH)
    assert not dock.slide.offer.show_button.isVisibleTo(dock)


def test_removed_result_layer_does_not_end_the_run(
    qtbot: Any, dock: SegmentWidget, viewer: ViewerModel, engine: Threshold
) -> None:
    """G1: it is on disk."""
    engine.at = 2
    slide = add_slide(viewer)
    click(dock, "run")
    qtbot.waitUntil(lambda: find_slide_result(viewer, slide) is not None and len(engine.did) == 2)
    viewer.layers.remove(find_slide_result(viewer, slide))
    engine.free.set()
    qtbot.waitUntil(lambda: not dock.panel.job.running)
    assert "in rgb-gland-v1.ome.zarr. Of the tissue: gland " in dock.panel.status.text()
    assert find_slide_result(viewer, slide) is None


def test_a_run_in_another_program_is_told_in_one_sentence(
    qtbot: Any, dock: SegmentWidget, viewer: ViewerModel, engine: Threshold, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W6."""
    add_slide(viewer)
    with Ledger(dock.slide.place.value()).held():
        monkeypatch.setattr(slide_part, "segment_slide", lambda order, report: Ledger(order.output).held().__enter__())
        with qtbot.waitSignal(dock.panel.job.failed):
            click(dock, "run")
    assert "is being written by process" in dock.panel.status.text()
    assert dock.panel.run.isEnabled()


def test_tissue_is_shown_may_be_painted_and_is_what_the_run_takes(
    qtbot: Any, dock: SegmentWidget, viewer: ViewerModel, engine: Threshold
) -> None:
    slide = add_slide(viewer)
    with qtbot.waitSignal(dock.slide.tissue.job.finished):
        click(dock, "show_tissue")
    assert "of the slide is tissue" in dock.panel.status.text()
    layer = find_tissue_layer(viewer, slide)
    for corner, middle in (((0, 0), (0, 0)), (np.array(layer.data.shape) - 1, np.array((1300, 1700)) - 1)):
        at = slide.world_to_data(layer.data_to_world(corner))
        assert np.abs(np.array(at) - middle).max() <= 1300 / layer.data.shape[0]
    layer.data_setitem((np.array([0]), np.array([0])), 1)
    run(qtbot, dock)
    assert engine.orders[0].tissue.mask[0, 0]
    assert engine.orders[0].options.tissue
    dock.slide.tissue.skip.setChecked(False)
    click(dock, "run")
    with qtbot.waitSignal(dock.panel.job.finished):
        click(dock, "overwrite")
    assert engine.orders[1].tissue is None
    assert not engine.orders[1].options.tissue


def test_place_of_the_result_is_remembered_and_a_folder_that_is_none_is_refused(
    qtbot: Any, dock: SegmentWidget, viewer: ViewerModel, engine: Threshold, tmp_path: Path
) -> None:
    slide = add_slide(viewer)
    dock.slide.place.set_value(tmp_path / "mine")
    layer = run(qtbot, dock)
    assert result_path(layer) == tmp_path / "mine.ome.zarr"
    (tmp_path / "photos.ome.zarr").mkdir()
    with pytest.raises(Exception, match="is no result of a slide"):
        dock.slide.place.set_value(tmp_path / "photos.ome.zarr")
    dock.image.changed.emit(slide)
    assert dock.slide.place.value() == tmp_path / "mine.ome.zarr"


@pytest.mark.parametrize("suffix", [".ome.zarr", ".ome.tif"])
def test_result_of_a_slide_is_saved_as_a_file_with_what_is_not_computed_told_apart(
    qtbot: Any, dock: SegmentWidget, viewer: ViewerModel, engine: Threshold, tmp_path: Path, suffix: str
) -> None:
    engine.fail = 9
    add_slide(viewer)
    with qtbot.waitSignal(dock.panel.job.failed):
        click(dock, "run")
    click(dock, "save_masks")
    panel = dock.save_panel
    panel.kind.setCurrentIndex(panel.kind.findData(suffix))
    panel.path.setText(str(tmp_path / f"saved{suffix}"))
    with qtbot.waitSignal(panel.saved):
        panel.save.click()
    saved = read_labels(tmp_path / f"saved{suffix}")
    result = LabelPyramid.open(dock.slide.place.value())
    np.testing.assert_array_equal(saved.data, result.levels[0])
    assert saved.not_computed == NOT_COMPUTED
    assert [c.name for c in saved.classes] == ["gland"]


def test_docks_read_next_to_nothing_of_a_giant_slide(
    qtbot: Any, viewer: ViewerModel, cards: list[ModelCard], own_library: Path
) -> None:
    """The window must answer: a level of such a slide takes minutes to read."""
    levels = giant()
    viewer.add_image(levels, multiscale=True, rgb=True, name="giant")
    before = [level.most for level in levels]
    for level in levels:
        level.most = 0
    docks = [SegmentWidget(viewer), FineTuneWidget(viewer), EvaluateWidget(viewer)]
    for dock in docks:
        qtbot.addWidget(dock)
    assert docks[0].image.summary.text().startswith("1 image · 100000×100000 · RGB")
    docks[1].learn.area.click()
    docks[1].learn.strokes.click()
    area = viewer.layers[-2]
    area.data_setitem((np.array([5]), np.array([6])), 1)
    docks[1].pairs.refresh()
    assert docks[1].pairs.rows
    assert max(level.most for level in levels) <= 3 * 2048**2, before
    for dock in docks:
        dock.close()
