"""The Fine-tune dock, its truth and its snapshots."""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import Qt, QThreadPool
from qtpy.QtWidgets import QPushButton

from napari_medseg._layers import image_from_layer
from napari_medseg.core import Cancelled, ClassInfo, Finding, InputError, ModelCard, silent
from napari_medseg.editing.corrections import corrections_of
from napari_medseg.inference.neighbours import told_distance
from napari_medseg.inference.normalise import SliceReader
from napari_medseg.inference.options import SegmentOptions
from napari_medseg.io import read, read_labels
from napari_medseg.models.start_cards import fresh_start, start_of
from napari_medseg.training import TrainingRun, TrainOptions
from napari_medseg.training.gather import gather
from napari_medseg.training.neighbours import about_choice, choose_neighbours
from napari_medseg.training.schedule import Budget
from napari_medseg.training.truth import prepare
from napari_medseg.training.verdict import TrainingResult, Verdict
from napari_medseg.training.watch import Watch
from napari_medseg.widgets.curves import Curves
from napari_medseg.widgets.fine_tune import FineTuneWidget
from napari_medseg.widgets.model_picker import ModelPicker
from napari_medseg.widgets.pairs_list import ChosenPair
from napari_medseg.widgets.result_layer import result_layer
from napari_medseg.widgets.snapshot import Order, save_run, take_snapshots
from napari_medseg.widgets.truth import choose_strokes, copy_truth, find_truth
from napari_medseg.widgets.verdict import describe_result


def paint(layer: Any, z: int, value: int = 1, rows: int = 3) -> None:
    y, x = np.mgrid[:rows, :4]
    layer.data_setitem((np.full(y.size, z), y.ravel(), x.ravel()), value)


def make_order(pairs: list[ChosenPair], card: ModelCard) -> Order:
    return Order(tuple(take_snapshots(pairs)), card, card.reference, "mine", TrainOptions())


@pytest.fixture
def dock(qtbot: Any, viewer: ViewerModel, cards: list[ModelCard]) -> Iterator[FineTuneWidget]:
    made = FineTuneWidget(viewer)
    qtbot.addWidget(made)
    yield made
    made.panel.job.stop()


def test_truth_of_a_model_s_labels_is_what_was_corrected_or_accepted(corrected: Any) -> None:
    truth = find_truth(corrected)
    assert truth.slices == (1, 2, 4)
    assert truth.describe() == "2 corrected · 1 accepted slice"


def test_truth_of_labels_by_hand_is_every_painted_slice(viewer: ViewerModel) -> None:
    """T1."""
    data = np.zeros((5, 8, 8), np.uint8)
    data[3, 2, 2] = 1
    layer = viewer.add_labels(data)
    assert find_truth(layer).slices == (3,)
    paint(layer, 0)
    assert find_truth(layer).describe() == "2 painted slices; without a label is background"


def test_strokes_leave_the_rest_unlabelled(corrected: Any, viewer: ViewerModel) -> None:
    choose_strokes(corrected, True)
    planes, unlabelled = copy_truth(corrected, find_truth(corrected))
    assert unlabelled == 255
    assert (planes[0, :3, :4] == 1).all()
    assert (planes[0] == 255).sum() == 24 * 24 - 12
    assert not (planes[1] == 255).any(), "an accepted slice is right everywhere"
    by_hand = viewer.add_labels(np.pad(np.ones((1, 2, 2), np.uint8), ((0, 0), (0, 6), (0, 6))))
    choose_strokes(by_hand, True)
    strokes, _ = copy_truth(by_hand, find_truth(by_hand))
    assert sorted(np.unique(strokes)) == [1, 255]


def test_without_anything_the_sample_is_offered(dock: FineTuneWidget) -> None:
    """G9."""
    assert dock.empty.isVisibleTo(dock)
    assert not dock.panel.run.isEnabled()


def test_classes_that_the_heading_has_no_room_for_are_in_its_tip(
    qtbot: Any, dock: FineTuneWidget, viewer: ViewerModel, make_stack: Callable[..., Any], cards: list[ModelCard]
) -> None:
    names = ("femur, image left", "femur, image right")
    classes = tuple(ClassInfo.numbered(value, name) for value, name in enumerate(names, 1))
    card = cards[0].model_copy(update={"classes": classes})
    result_layer(viewer, make_stack(), card, SegmentOptions())
    qtbot.waitUntil(lambda: len(dock.pairs.rows) == 1)
    (heading,) = [one for one in dock.findChildren(QPushButton, "fold") if "Classes:" in one.text()]
    assert names[1] not in heading.text()
    assert all(name in heading.toolTip() for name in names)


def test_labels_without_corrections_say_what_to_do(
    qtbot: Any, dock: FineTuneWidget, viewer: ViewerModel, make_stack: Callable[..., Any], cards: list[ModelCard]
) -> None:
    result_layer(viewer, make_stack(), cards[0], SegmentOptions())
    qtbot.waitUntil(lambda: len(dock.pairs.rows) == 1)
    assert dock.pairs.rows[0].summary.text() == "nothing corrected yet: paint over a mistake"
    assert "Paint over a mistake" in dock.panel.status.text()
    assert not dock.panel.run.isEnabled()


def test_what_was_found_in_the_files_learnt_from_is_shown(corrected: Any, dock: FineTuneWidget) -> None:
    """D4."""
    assert dock.findings.isHidden()
    image = dock.viewer.layers[0]
    found = {"code": "GANTRY_TILT", "message": "Slices are tilted by 18.5 degrees.", "files": []}
    image.metadata = {**image.metadata, "napari_medseg": {"findings": [found]}}
    dock.pairs.refresh()
    assert "tilted by 18.5" in dock.findings.text()


def test_corrections_are_counted_while_painting(qtbot: Any, corrected: Any, dock: FineTuneWidget) -> None:
    assert dock.pairs.rows[0].check.isChecked()
    paint(corrected, 5)
    qtbot.waitUntil(lambda: dock.pairs.rows[0].summary.text() == "3 corrected · 1 accepted slice")
    corrected.undo()
    qtbot.waitUntil(lambda: dock.pairs.rows[0].summary.text() == "2 corrected · 1 accepted slice")
    assert dock.panel.status.text() == "Ready to learn from 3 slices, starting from grey-bone v1."


def test_accept_button_names_the_shown_slice(qtbot: Any, corrected: Any, dock: FineTuneWidget) -> None:
    dock.viewer.dims.set_point(0, 5 * 3)
    assert dock.accept.text() == "Accept slice 5: it is right"
    dock.accept.click()
    assert 5 in corrections_of(corrected).accepted
    assert "take back" in dock.accept.text()
    dock.accept.click()
    assert 5 not in corrections_of(corrected).accepted


def test_labels_of_another_size_find_no_image(qtbot: Any, corrected: Any, dock: FineTuneWidget) -> None:
    """T3, T10."""
    dock.viewer.add_labels(np.ones((7, 7), np.uint8), name="odd")
    qtbot.waitUntil(lambda: len(dock.pairs.rows) == 2)
    row = dock.pairs.rows[1]
    assert row.summary.text() == "no open image lies under it"
    assert not row.check.isEnabled()
    assert len(dock.pairs.value()) == 1


def test_fine_tuning_draws_curves_and_offers_the_better(
    qtbot: Any, corrected: Any, dock: FineTuneWidget, trainer: Any
) -> None:
    other = ModelPicker()
    qtbot.addWidget(other)
    dock.findChild(QPushButton, "run").click()
    qtbot.waitUntil(lambda: dock.curves.latest("dice") is not None)
    assert dock.curves.latest("old_dice") == 0.81
    with qtbot.waitSignal(dock.panel.job.finished):
        trainer.free.set()
    assert dock.panel.status.text() == "my-grey-bone v2 is better on 2 held-out slices (0.81 → 0.93)."
    assert dock.after.isVisibleTo(dock)
    assert "my-grey-bone  v2" in [other.box.itemText(i) for i in range(other.box.count())]
    dock.keep.click()
    assert not dock.after.isVisibleTo(dock)
    assert "stays in the library" in dock.panel.status.text()


def test_stop_keeps_the_best(qtbot: Any, corrected: Any, dock: FineTuneWidget, trainer: Any) -> None:
    """T4."""
    dock.panel.run.click()
    qtbot.waitUntil(lambda: dock.curves.latest("dice") is not None)
    with qtbot.waitSignal(dock.panel.job.finished, timeout=1000):
        dock.findChild(QPushButton, "cancel").click()
    assert dock.result is not None
    assert dock.after.isVisibleTo(dock)


def test_error_is_one_sentence(qtbot: Any, corrected: Any, dock: FineTuneWidget, trainer: Any) -> None:
    """G8, T1."""
    trainer.error = InputError("Only 'bone' is painted.", "Paint some background.")
    with qtbot.waitSignal(dock.panel.job.failed):
        dock.panel.run.click()
    assert dock.panel.status.text() == "Only 'bone' is painted. Paint some background."
    assert dock.panel.run.isEnabled()


def test_wrong_name_is_refused_before_the_start(corrected: Any, dock: FineTuneWidget) -> None:
    dock.name.setText("My Model!")
    assert "small letters" in dock.panel.status.text()
    assert not dock.panel.run.isEnabled()


def test_training_uses_the_snapshot(qtbot: Any, corrected: Any, dock: FineTuneWidget, trainer: Any) -> None:
    """T7: what is painted after the click does not count."""
    dock.panel.run.click()
    qtbot.waitUntil(lambda: bool(trainer.seen))
    before = trainer.seen[0].snapshots[0].labels.data.copy()
    paint(corrected, 1, value=0, rows=20)
    np.testing.assert_array_equal(trainer.seen[0].snapshots[0].labels.data, before)
    with qtbot.waitSignal(dock.panel.job.finished):
        trainer.free.set()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64, bool])
def test_saved_run_repeats_the_same_pixels(
    viewer: ViewerModel, corrected: Any, cards: list[ModelCard], dtype: type
) -> None:
    image = viewer.layers[0]
    image.data = (image.data > 100).astype(dtype) if dtype is bool else image.data.astype(dtype)
    pair = ChosenPair(image, corrected, find_truth(corrected))
    run = save_run(make_order([pair], cards[0]), silent)
    saved = run.pairs[0]
    assert saved.unlabelled is None
    pixels, labels = read(saved.image), read_labels(saved.labels)
    assert pixels.geometry.pixel_size == pytest.approx(0.8)
    assert saved.slices == (0, 1, 2)
    for i, z in enumerate((1, 2, 4)):
        np.testing.assert_array_equal(pixels.slice(i), image.data[z])
        np.testing.assert_array_equal(labels.slice(i), corrected.data[z])
    assert labels.classes[0].name == "bone"
    assert told_distance(pixels) == told_distance(image_from_layer(image))
    path = run.save()
    assert TrainingRun.load(path) == run


def test_saved_run_says_of_an_image_what_its_files_did(
    viewer: ViewerModel, corrected: Any, cards: list[ModelCard]
) -> None:
    """What took it; and how far apart its slices lie only where that was told and is the same for all."""
    order = make_order([ChosenPair(viewer.layers[0], corrected, find_truth(corrected))], cards[0])
    [snapshot] = order.snapshots
    even = snapshot.image.geometry
    places = tuple((float(z * z), 0.0, 0.0) for z in range(len(snapshot.image)))
    for name, about in (
        ("uneven", {"geometry": even.model_copy(update={"positions": places})}),
        ("guessed", {"findings": (Finding("NO_SPACING", "The pixel size is taken."),)}),
    ):
        other = replace(snapshot, image=replace(snapshot.image, modality="MR", **about))
        [pair] = save_run(replace(order, snapshots=(other,), name=name), silent).pairs
        image = read(pair.image)
        assert (pair.modality, told_distance(image)) == ("MR", None)
        assert image.geometry.pixel_sides == even.pixel_sides


def test_saved_run_keeps_the_neighbours_a_model_sees(
    viewer: ViewerModel, corrected: Any, cards: list[ModelCard]
) -> None:
    pair = ChosenPair(viewer.layers[0], corrected, find_truth(corrected))
    order = make_order([pair], cards[0].model_copy(update={"neighbours": 1}))
    run = save_run(order, silent)
    assert [order.snapshots[0].in_layer(z, 1) for z in run.pairs[0].slices] == [1, 2, 4]
    assert len(read(run.pairs[0].image)) == 6
    assert run.pairs[0].slices == (1, 2, 4)
    [snapshot] = order.snapshots
    lacking = replace(snapshot, image=replace(snapshot.image, missing=frozenset({5})))
    beside = read(save_run(replace(order, snapshots=(lacking,), name="lacking"), silent).pairs[0].image)
    np.testing.assert_array_equal(beside.slice(5), snapshot.image.slice(4), "not the black that stands for it")


def test_saved_run_knows_which_slices_were_accepted_as_the_model_made_them(
    viewer: ViewerModel, corrected: Any, cards: list[ModelCard]
) -> None:
    corrections_of(corrected).accept(4)
    pair = ChosenPair(viewer.layers[0], corrected, find_truth(corrected))
    run = save_run(make_order([pair], cards[0].model_copy(update={"neighbours": 1})), silent)
    painted = gather(run.pairs, run.options, Watch(silent, Budget(None, 1)))
    assert [(one.z, one.accepted) for one in painted] == [(1, False), (2, True), (4, False)]
    corrections_of(mine := viewer.add_labels(corrected.data.copy())).accept(3)
    mine.data[3] = 0
    assert find_truth(mine).untouched == (), "of a layer that no model made, all is the user's"


def new_order(viewer: ViewerModel, image: Any, slices: tuple[int, ...], neighbours: str = "auto") -> Order:
    """A new network is to learn from some slices, painted by hand."""
    data = np.zeros(image.data.shape, np.uint8)
    data[[*slices], 4:9, 4:9] = 1
    labels = viewer.add_labels(data, scale=image.scale)
    card = fresh_start("unet:tu-resnet10t", 1)
    snapshots = tuple(take_snapshots([ChosenPair(image, labels, find_truth(labels))]))
    return Order(snapshots, card, start_of(card), "mine", TrainOptions(neighbours=neighbours))


@pytest.mark.parametrize("slices", [(3, 15, 30), (0, 20, 39), (7,)])
@pytest.mark.parametrize(("asked", "wanted"), [("auto", 1), ("2", 2), ("0", 0)])
def test_new_network_learns_from_the_true_neighbours_of_painted_slices(
    viewer: ViewerModel, slices: tuple[int, ...], asked: str, wanted: int
) -> None:
    pixels = np.random.default_rng(0).integers(0, 200, (40, 16, 16), np.uint8)
    image = viewer.add_image(pixels, scale=(2, 0.8, 0.8), units=("mm",) * 3)
    order = new_order(viewer, image, slices, asked)
    run = save_run(order, silent)
    painted = gather(run.pairs, run.options, Watch(silent, Budget(None, 1)))
    assert [order.snapshots[0].in_layer(one.z, order.beside[0]) for one in painted] == [*slices]
    assert choose_neighbours(run, painted) == wanted
    card = order.card.model_copy(update={"neighbours": wanted})
    whole = SliceReader(order.snapshots[0].image, card, painted[0].value_range(card.normalisation))
    for z, one in zip(slices, prepare(painted, card, {1: 1}, list[str]().append), strict=True):
        np.testing.assert_array_equal(one.pixels, whole(z).astype(np.float16))


def test_new_network_is_not_shown_slices_that_lie_far_apart_or_unevenly(viewer: ViewerModel) -> None:
    pixels = np.random.default_rng(0).integers(0, 200, (40, 16, 16), np.uint8)
    thick = viewer.add_image(pixels, scale=(5, 0.8, 0.8), units=("mm",) * 3)
    even = viewer.add_image(pixels, scale=(2, 0.8, 0.8), units=("mm",) * 3)
    for image, missing in ((thick, frozenset[int]()), (even, frozenset({11}))):
        order = new_order(viewer, image, (3, 4, 5))
        [snapshot] = order.snapshots
        order = replace(order, snapshots=(replace(snapshot, image=replace(snapshot.image, missing=missing)),))
        run = save_run(order, silent)
        painted = gather(run.pairs, run.options, Watch(silent, Budget(None, 1)))
        assert choose_neighbours(run, painted) == 0
        assert ("single slices only" in about_choice(run, painted, 0)) == bool(missing)
    asking = run.model_copy(update={"options": TrainOptions(neighbours="1")})
    with pytest.raises(InputError, match="saved with 0 slices on either side"):
        choose_neighbours(asking, painted)


def test_colour_snapshot_of_a_single_image(viewer: ViewerModel, cards: list[ModelCard]) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (40, 30, 3), dtype=np.uint8)
    image = viewer.add_image(pixels, rgb=True, name="HE: slide 1/2")
    labels = viewer.add_labels((pixels[..., 0] > 100).astype(np.uint8))
    choose_strokes(labels, True)
    run = save_run(make_order([ChosenPair(image, labels, find_truth(labels))], cards[1]), silent)
    assert run.pairs[0].unlabelled == 255
    np.testing.assert_array_equal(read(run.pairs[0].image).slice(0), pixels)
    assert sorted(np.unique(read_labels(run.pairs[0].labels).slice(0))) == [1, 255]


def result_of(card: ModelCard, old: float, new: float, **more: Any) -> TrainingResult:
    return TrainingResult(card, Verdict(old, new, **more), "", ())


def test_worse_model_is_not_offered_as_better(cards: list[ModelCard]) -> None:
    """T6."""
    aside = cards[0].model_copy(update={"name": "mine-rejected"})
    said = describe_result(result_of(aside, 0.8, 0.5, on="2 held-out slices"))
    assert said.startswith("The new model is worse on 2 held-out slices (0.80 → 0.50)")
    assert "look at its result" in describe_result(result_of(cards[0], math.nan, math.nan))
    said = describe_result(result_of(aside, 0.8, 0.9, knew=0.9, knows=0.3))
    assert said.startswith("It lost what its start knew"), "better on labels that are all wrong"
    assert said.endswith("kept aside as mine-rejected v1.")


@pytest.mark.parametrize(
    ("old", "new", "more", "words"),
    [
        (0.812, 0.934, {}, "is better on 2 held-out slices (0.81 → 0.93)."),
        (0.812, 0.934, {"on": "1 held-out slice"}, "is better on 1 held-out slice (0.81 → 0.93)."),
        (0.931, 0.933, {}, "is as good as the old model on 2 held-out slices (0.931 → 0.933)."),
        (0.999, 1.0, {}, "is as good as the old model on 2 held-out slices (0.999 → 1.000)."),
        (0.93, 0.935, {}, "is as good as the old model on 2 held-out slices (0.93 → 0.94)."),
        (0.93, 0.936, {}, "is better on 2 held-out slices (0.93 → 0.94)."),
        (0.93, 0.93, {}, "is as good as the old model on 2 held-out slices (0.93 → 0.93)."),
        (math.nan, 0.93, {"on": "1 held-out slice"}, "is ready: Dice 0.93 on 1 held-out slice."),
        (math.nan, 1.0, {"figure": "F1 of slices"}, "is ready: F1 of slices 1.00 on 2 held-out slices."),
        (
            0.812,
            0.934,
            {"rival": 0.9},
            "is better on 2 held-out slices (0.81 → 0.93). Quick reaches 0.90 there, in seconds.",
        ),
    ],
)
def test_result_is_one_sentence_with_both_figures(
    cards: list[ModelCard], old: float, new: float, more: dict[str, Any], words: str
) -> None:
    result = result_of(cards[0], old, new, **{"on": "2 held-out slices", **more})
    assert describe_result(result) == f"grey-bone v1 {words}"


def test_how_a_run_ended_stays_told_until_something_changes(
    qtbot: Any, corrected: Any, dock: FineTuneWidget, trainer: Any
) -> None:
    trainer.error = Cancelled()
    with qtbot.waitSignal(dock.panel.job.cancelled):
        dock.panel.run.click()
    dock.pairs.refresh()
    assert dock.panel.status.text() == "Stopped before anything was learnt; no model was made."
    corrections_of(corrected).accept(3)
    dock.pairs.refresh()
    assert dock.panel.status.text() == "Ready to learn from 4 slices, starting from grey-bone v1."


def test_click_with_nothing_ticked_any_more_says_what_is_missing(
    qtbot: Any, corrected: Any, dock: FineTuneWidget, trainer: Any
) -> None:
    trainer.free.set()
    with qtbot.waitSignal(dock.panel.job.finished):
        dock.panel.run.click()
    dock.pairs.rows[0].check.click()
    dock.panel.run.click()
    assert not dock.panel.job.running
    assert dock.panel.status.text().startswith("Tick the labels to learn from")


def test_old_model_is_a_dashed_level_line(qtbot: Any) -> None:
    curves = Curves()
    qtbot.addWidget(curves)
    for step in (1, 5, 9):
        curves.add(step, {"loss": 1 / step, "dice": 0.5 + step / 100, "old_dice": 0.4})
    line = curves._lines["old_dice"]
    assert line.opts["pen"].style() == Qt.PenStyle.DashLine
    assert [list(axis) for axis in line.getData()] == [[0, 9], [0.4, 0.4]]
    assert curves._lines["dice"].opts["pen"].style() == Qt.PenStyle.SolidLine
    curves.settle()
    assert not curves.dice.isHidden()
    curves.clear()
    curves.add(1, {"loss": 1})
    curves.settle()
    assert curves.dice.isHidden(), "nothing was held out: an empty plot says nothing"
    curves.clear()
    assert not curves.dice.isHidden()
    curves.clear("F1 of slices")
    curves.set_colors("#ffffff", "#000000")
    assert curves.dice.getPlotItem().titleLabel.text == "held-out F1 of slices"


def test_closing_while_training_leaves_no_thread(qtbot: Any, viewer: ViewerModel, corrected: Any, trainer: Any) -> None:
    """G3."""
    dock = FineTuneWidget(viewer)
    dock.panel.run.click()
    qtbot.waitUntil(lambda: bool(trainer.seen))
    dock.close()
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=2000)
    dock.deleteLater()


def test_docks_see_the_layers_themselves(
    qtbot: Any, viewer: ViewerModel, corrected: Any, cards: list[ModelCard]
) -> None:
    """napari hands a dock a proxy of the viewer; corrections belong to the layer, not to a proxy of it."""
    from napari.utils._proxies import PublicOnlyProxy

    dock = FineTuneWidget(PublicOnlyProxy(viewer))
    qtbot.addWidget(dock)
    assert dock.pairs.rows[0].layer is corrected
    assert dock.accept.layer() is corrected
    assert dock.pairs.rows[0].summary.text() == "2 corrected · 1 accepted slice"


def test_ten_times_open_and_close_leaves_nothing(
    qtbot: Any, viewer: ViewerModel, corrected: Any, cards: list[ModelCard]
) -> None:
    """G11: no widget, no listener."""
    FineTuneWidget(viewer).close()  # the viewer's session, which stays, begins with the first dock
    events = (viewer.layers.events.inserted, viewer.dims.events.current_step, viewer.events.theme)
    before = [len(event.callbacks) for event in events], len(corrections_of(corrected).changed)
    gone = []
    for _ in range(10):
        dock = FineTuneWidget(viewer)
        gone.append(weakref.ref(dock))
        dock.close()
        dock.deleteLater()
        del dock
    qtbot.waitUntil(lambda: gc.collect() >= 0 and all(link() is None for link in gone), timeout=5000)
    assert ([len(event.callbacks) for event in events], len(corrections_of(corrected).changed)) == before
