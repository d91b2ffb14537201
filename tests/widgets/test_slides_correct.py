"""Parts of a slide's result lifted, painted and put back: nothing lost, nothing invented."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from slide_stage import NOT_COMPUTED, Threshold, add_slide, make_result, stained

from napari_medseg._layers import image_from_layer, labels_layer_data
from napari_medseg.core import ClassInfo, ModelCard, silent
from napari_medseg.editing.corrections import corrections_of
from napari_medseg.inference.options import SegmentOptions
from napari_medseg.inference.slides.ledger import Ledger
from napari_medseg.inference.slides.results import carry_over
from napari_medseg.io import read, read_labels
from napari_medseg.io.zarr.labels import LabelPyramid
from napari_medseg.training import TrainOptions
from napari_medseg.training.gather import gather
from napari_medseg.training.schedule import Budget
from napari_medseg.training.watch import Watch
from napari_medseg.widgets import work_area
from napari_medseg.widgets.correct_bar import CorrectBar
from napari_medseg.widgets.new_labels import set_classes
from napari_medseg.widgets.pairs_list import ChosenPair
from napari_medseg.widgets.placing import find_start
from napari_medseg.widgets.restore import put_back as restore
from napari_medseg.widgets.result_layer import find_result
from napari_medseg.widgets.session import session_of
from napari_medseg.widgets.slide_result import is_slide_result, show_result
from napari_medseg.widgets.slide_work import SlideOrder
from napari_medseg.widgets.snapshot import Order, save_run, take_snapshots
from napari_medseg.widgets.truth import find_truth
from napari_medseg.widgets.work_area import choose_box, find_work_area, is_work_area

PIXELS = stained()
TRUTH = (PIXELS[..., 0] < 150).astype(np.uint8)
BOX = (slice(500, 700), slice(640, 1000))


class Stage:
    """A slide with its result in the viewer, and the bar that corrects it."""

    def __init__(self, viewer: ViewerModel, card: ModelCard, path: Path) -> None:
        self.viewer, self.card, self.path = viewer, card, path
        self.slide = add_slide(viewer)
        self.pyramid = make_result(path, classes=card.classes)
        self.pyramid.put(slice(0, 1300), slice(0, 1024), TRUTH[:, :1024])
        self.result = show_result(viewer, self.slide, self.pyramid, card, SegmentOptions())
        self.bar = CorrectBar(viewer)
        self.bar.set_image(self.slide)

    def draw(self, box: tuple[slice, slice] = BOX) -> Any:
        rows, columns = box
        corners = [(rows.start, columns.start), (rows.stop, columns.start), (rows.stop, columns.stop),
                   (rows.start, columns.stop)]  # fmt: skip
        world = [self.slide.data_to_world(np.array(c) - 0.5) for c in corners]
        return self.viewer.add_shapes([np.array(world)], shape_type="polygon", name="here")

    def lift(self, qtbot: Any, box: tuple[slice, slice] = BOX) -> Any:
        shapes = self.draw(box)
        with qtbot.waitSignal(self.bar.job.finished):
            self.bar.correct.click()
        self.viewer.layers.remove(shapes)
        area = find_work_area(self.viewer)
        self.viewer.layers.selection.active = area
        return area

    def put(self, qtbot: Any) -> str:
        with qtbot.waitSignal(self.bar.job.finished):
            self.bar.put_back.click()
        return str(self.bar.status.text())


@pytest.fixture
def stage(qtbot: Any, viewer: ViewerModel, cards: list[ModelCard], tmp_path: Path) -> Iterator[Stage]:
    made = Stage(viewer, cards[1], tmp_path / "results" / "slide.ome.zarr")
    qtbot.addWidget(made.bar)
    yield made
    made.bar.close_down()


def test_work_area_holds_the_result_s_pixels_on_the_slide_s_own(qtbot: Any, stage: Stage) -> None:
    area = stage.lift(qtbot)
    assert find_start(stage.slide, area) == (500, 640)
    np.testing.assert_array_equal(area.data, stage.pyramid.read(*BOX))
    assert area.mode == "paint"
    assert area.features["class"].tolist() == ["background", "gland", "not computed"]
    assert find_result(stage.viewer, stage.slide) is stage.result, "a work area is no result"
    assert "lifted into" in stage.bar.status.text()
    assert not stage.result.visible, "what is erased would still be seen in it"
    stage.viewer.layers.remove(area)
    assert stage.result.visible


def test_painting_is_put_back_into_every_level_and_no_later_run_overwrites_it(
    qtbot: Any, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    area = stage.lift(qtbot)
    rows, columns = np.arange(20, 80), np.full(60, 33)
    area.data_setitem((rows, columns), 1)
    wanted = TRUTH.copy()
    wanted[520:580, 673] = 1
    told = stage.put(qtbot)
    assert stage.result.visible
    assert not area.visible
    changed = int((wanted != TRUTH)[:, :1024].sum())
    assert told.startswith(f"Put back: {changed} pixels of the result changed")
    again = LabelPyramid.open(stage.path)
    np.testing.assert_array_equal(again.levels[0][:, :1024], wanted[:, :1024])
    assert (again.levels[0][:, 1024:] == NOT_COMPUTED).all()
    image = image_from_layer(stage.slide)
    ledger = Ledger(stage.path)
    ledger.begin({})
    order = SlideOrder(image, stage.card, SegmentOptions(), stage.path, None, None, lambda: None, anew=False)
    Threshold()(order, silent)
    np.testing.assert_array_equal(again.levels[0][:], wanted)


def test_what_was_put_back_is_in_the_result_of_the_next_model_too(qtbot: Any, stage: Stage) -> None:
    area = stage.lift(qtbot)
    area.data_setitem((np.array([1]), np.array([2])), 1)
    stage.put(qtbot)
    Ledger(stage.path).begin({"image": "this one"})
    for name, image in (("next", "this one"), ("other", "another slide")):
        path = stage.path.with_name(f"{name}.ome.zarr")
        make_result(path, classes=stage.card.classes)
        Ledger(path).begin({"image": image})
        assert carry_over(path) == (name == "next")
    assert carry_over(stage.path) == 0
    [patch] = Ledger(stage.path.with_name("next.ome.zarr")).painted(*BOX)
    np.testing.assert_array_equal(patch.values, area.data)


def test_result_opened_as_a_file_is_corrected_too(qtbot: Any, stage: Stage) -> None:
    stage.viewer.layers.remove(stage.result)
    labels = read_labels(stage.path)
    half = replace(labels, levels=(labels.data[::2, ::2],))  # as those of large slides have
    data, kwargs, _ = labels_layer_data(half)
    opened = stage.viewer.add_labels(data, **kwargs)
    area = stage.lift(qtbot)
    np.testing.assert_array_equal(area.data, stage.pyramid.read(*BOX))
    assert is_slide_result(opened)


def test_putting_back_twice_says_so_and_what_is_painted_then_goes_in_too(qtbot: Any, stage: Stage) -> None:
    area = stage.lift(qtbot)
    stage.bar.put()
    assert stage.bar.status.text().startswith("Nothing was painted in “slide work area” yet.")
    area.data_setitem((np.array([1]), np.array([2])), 1)
    stage.put(qtbot)
    assert stage.put(qtbot) == "All of “slide work area” is in the result already."
    area.data_setitem((np.array([3]), np.array([4])), 1)
    stage.put(qtbot)
    assert stage.pyramid.read(slice(501, 504), slice(642, 645)).diagonal().tolist() == [1, TRUTH[502, 643], 1]


def test_what_is_not_computed_stays_so_unless_painted_over_and_teaches_nothing(qtbot: Any, stage: Stage) -> None:
    box = (slice(0, 100), slice(1000, 1100))
    area = stage.lift(qtbot, box)
    assert "76 % of it are not computed" in stage.bar.status.text()
    area.data_setitem((np.array([10, 11]), np.array([50, 51])), (1, 0))
    # Computed meanwhile by a run:
    stage.pyramid.put(slice(0, 20), slice(1030, 1040), np.full((20, 10), 1, np.uint8))
    stage.put(qtbot)
    now = stage.pyramid.read(*box)
    assert now[10, 50] == 1
    assert now[11, 51] == 0, "painted as background"
    assert (now[:20, 30:40] == 1).all(), "what a run did meanwhile stays"
    assert (now[30:, 30:] == NOT_COMPUTED).all()
    [snapshot] = take_snapshots([ChosenPair(stage.slide, area, find_truth(area, area=True), (0, 1000))])
    assert snapshot.unlabelled == NOT_COMPUTED
    assert int((snapshot.labels.data != NOT_COMPUTED).sum()) == 100 * 24 + 2


def test_removed_result_layer_or_file_loses_nothing_and_is_said_in_one_sentence(qtbot: Any, stage: Stage) -> None:
    """G1."""
    area = stage.lift(qtbot)
    area.data_setitem((np.array([1]), np.array([2])), 1)
    stage.viewer.layers.remove(stage.result)
    assert stage.bar.put_back.isEnabled()
    assert "is not shown now" in stage.put(qtbot)
    assert stage.pyramid.read(slice(501, 502), slice(642, 643)) == 1
    shutil.rmtree(stage.path)
    area.data_setitem((np.array([5]), np.array([6])), 1)
    stage.bar.put()
    assert stage.bar.status.text().startswith("The result slide.ome.zarr is not there any more; “slide work area” is")
    assert corrections_of(area).edited().sum() == 2


def test_result_made_anew_with_other_classes_is_not_written_into(qtbot: Any, stage: Stage) -> None:
    area = stage.lift(qtbot)
    area.data_setitem((np.array([1]), np.array([2])), 1)
    shutil.rmtree(stage.path)
    other = (stage.card.classes[0].model_copy(update={"name": "tumour"}),)
    make_result(stage.path, classes=other)
    with qtbot.waitSignal(stage.bar.job.failed):
        stage.bar.put()
    assert "was made anew with other classes" in stage.bar.status.text()
    assert not (Ledger(stage.path).folder / "painted").exists()
    assert session_of(stage.viewer) is not None


def test_class_added_in_a_work_area_has_its_name_in_the_result(qtbot: Any, stage: Stage) -> None:
    area = stage.lift(qtbot)
    set_classes(area, (*stage.card.classes, ClassInfo.numbered(2, "stroma")))
    area.data_setitem((np.array([1]), np.array([2])), 2)
    stage.put(qtbot)
    assert [c.name for c in LabelPyramid.open(stage.path).classes] == ["gland", "stroma"]
    assert stage.result.features["class"].tolist() == ["background", "gland", "stroma", "not computed"]


def test_unsaved_painting_in_a_work_area_is_guarded_until_it_is_put_back(qtbot: Any, stage: Stage) -> None:
    """G3, W3: closing asks about it, and a killed program leaves it to be restored."""
    session = session_of(stage.viewer)
    area = stage.lift(qtbot)
    assert area not in session.unsaved()
    area.data_setitem((np.array([1]), np.array([2])), 1)
    assert area in session.unsaved()
    stage.put(qtbot)
    assert area not in session.unsaved()
    area.data_setitem((np.array([7]), np.array([8])), 1)
    assert area in session.unsaved()
    shown = area.data.copy()
    qtbot.waitUntil(lambda: session._keep(area))
    stage.viewer.layers.remove(area)
    qtbot.waitUntil(lambda: bool(session.offers.pending))
    [offer] = session.offers.pending
    again = restore(stage.viewer, stage.slide, offer.unsaved)
    np.testing.assert_array_equal(again.data, shown)
    assert is_work_area(again)
    stage.viewer.layers.selection.active = again
    stage.put(qtbot)
    np.testing.assert_array_equal(stage.pyramid.read(*BOX), shown)
    session.close()


def test_what_is_lifted_is_the_middle_of_a_view_that_is_too_large(
    qtbot: Any, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_area, "MOST", 256)
    box, told = choose_box(stage.viewer, stage.slide)
    assert box == (slice(522, 778), slice(722, 978))
    assert told.startswith("It is the middle of 1,700 × 1,300 pixels")


def test_work_area_trains_on_the_slide_s_finest_pixels(qtbot: Any, stage: Stage) -> None:
    area = stage.lift(qtbot)
    area.data_setitem((np.array([1]), np.array([2])), 1)
    truth = find_truth(area, area=True)
    assert truth.describe() == "1 corrected work area"
    snapshots = tuple(take_snapshots([ChosenPair(stage.slide, area, truth, (500, 640))]))
    [pair] = save_run(Order(snapshots, stage.card, "x@1", "mine", TrainOptions()), silent).pairs
    image = read(pair.image)
    np.testing.assert_array_equal(image.slice(0), PIXELS[BOX])
    assert image.geometry.pixel_size == pytest.approx(0.25e-3)
    np.testing.assert_array_equal(read_labels(pair.labels).slice(0), area.data)
    assert pair.unlabelled is None
    assert pair.part


@pytest.mark.parametrize("erased", [False, True])
def test_what_is_not_computed_in_a_work_area_reaches_the_training_as_that(
    qtbot: Any, stage: Stage, erased: bool
) -> None:
    """Also where nothing else than background is known: 0 and 255 alone are a mask of one class elsewhere."""
    box = (slice(500, 600), slice(940, 1040))
    area = stage.lift(qtbot, box)
    rows, columns = np.nonzero((area.data == 1) | (np.arange(100) == 3))
    area.data_setitem((rows, columns), 0 if erased else 1)
    truth = find_truth(area, area=True)
    snapshots = tuple(take_snapshots([ChosenPair(stage.slide, area, truth, (500, 940))]))
    run = save_run(Order(snapshots, stage.card, "x@1", "mine", TrainOptions()), silent)
    [one] = gather(run.pairs, run.options, Watch(silent, Budget(None, 1)))
    assert one.shown == ({0} if erased else {0, 1})
    np.testing.assert_array_equal(one.values == one.unlabelled, area.data == NOT_COMPUTED)
    np.testing.assert_array_equal(one.image.slice(0), PIXELS[box])


def test_what_of_the_slide_cannot_be_read_teaches_nothing(qtbot: Any, stage: Stage) -> None:
    """F2."""

    class Damaged:
        shape, ndim, dtype, block = (1300, 1700, 3), 3, np.dtype(np.uint8), (100, 100)

        def __getitem__(self, index: Any) -> Any:
            return PIXELS[index]

        def read(self, rows: slice, columns: slice) -> Any:
            pixels = PIXELS[rows, columns].copy()
            pixels[:30, :40] = 255
            return pixels, ((slice(rows.start, rows.start + 30), slice(columns.start, columns.start + 40)),)

    area = stage.lift(qtbot)
    area.data_setitem((np.array([1]), np.array([2])), 1)
    [snapshot] = take_snapshots([ChosenPair(stage.slide, area, find_truth(area, area=True), (500, 640))])
    damaged = replace(snapshot, image=replace(snapshot.image, data=Damaged()))
    [pair] = save_run(Order((damaged,), stage.card, "x@1", "mine", TrainOptions()), silent).pairs
    assert pair.unlabelled == 255
    labels = np.asarray(read_labels(pair.labels).slice(0))
    assert (labels[:30, :40] == 255).all()
    assert (labels[30:] == area.data[30:]).all()


def test_key_lifts_and_puts_back(qtbot: Any, stage: Stage) -> None:
    from napari.utils.key_bindings import coerce_keybinding

    press = stage.viewer.keymap[coerce_keybinding("C")]
    stage.viewer.layers.selection.active = stage.result
    with qtbot.waitSignal(stage.bar.job.finished):
        press(stage.viewer)
    area = find_work_area(stage.viewer)
    assert area.data.shape == (1300, 1700)
    area.data_setitem((np.array([1]), np.array([2])), 1)
    stage.viewer.layers.selection.active = area
    with qtbot.waitSignal(stage.bar.job.finished):
        press(stage.viewer)
    assert stage.pyramid.read(slice(1, 2), slice(2, 3)) == 1
    stage.bar.close_down()
    assert coerce_keybinding("C") not in stage.viewer.keymap
