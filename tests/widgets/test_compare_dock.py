"""The Compare dock, with a comparison that waits to be told to go on."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QThreadPool
from qtpy.QtWidgets import QCheckBox, QLineEdit, QPushButton

from napari_medseg.core import ClassInfo, ModelCard, Normalisation, silent
from napari_medseg.io import read
from napari_medseg.models import library
from napari_medseg.training import Recipe, TrainOptions
from napari_medseg.training.candidates import CompareOptions
from napari_medseg.widgets import compare, contest, model_picker
from napari_medseg.widgets.compare import CompareWidget
from napari_medseg.widgets.look import theme_colors
from napari_medseg.widgets.model_picker import ModelPicker
from napari_medseg.widgets.pairs_list import ChosenPair
from napari_medseg.widgets.snapshot import take_snapshots
from napari_medseg.widgets.truth import find_truth

STARTS = ("unet:resnet18", "dpt:none", "fpn:resnet18", "unet:resnet34")


@pytest.fixture
def dock(qtbot: Any, viewer: ViewerModel, trainings: Any) -> Iterator[CompareWidget]:
    made = CompareWidget(viewer)
    made.form.starts.set_value(STARTS)
    qtbot.addWidget(made)
    yield made
    made.panel.job.stop()


def shown(dock: CompareWidget) -> dict[str, list[str]]:
    """What the table says of each candidate, from top to bottom."""
    table = dock.table
    texts = [
        [item.text() if (item := table.item(y, x)) is not None else "" for x in range(table.columnCount())]
        for y in range(table.rowCount())
    ]
    return {texts[y][0]: texts[y + 1] for y in range(0, len(texts), 2)}


def test_table_fills_while_it_runs(qtbot: Any, corrected: Any, dock: CompareWidget, trainings: Any) -> None:
    trainings.hold_at = 3
    dock.findChild(QPushButton, "run").click()
    qtbot.waitUntil(lambda: "fpn:resnet18  ·  training…" in shown(dock))
    assert [*shown(dock).items()] == [
        ("unet:resnet18", ["0.600", "1", "1.7", "–", "–", "–"]),
        ("fpn:resnet18  ·  training…", [""] * 6),
        ("unet:resnet34  ·  waiting", [""] * 6),
        ("dpt:none  ·  failed, see below", [""] * 6),
    ]
    qtbot.waitUntil(lambda: len(dock.curves.plot.listDataItems()) == 2)
    assert dock.failures.text() == "dpt:none cannot be trained: dpt:none does not fit."
    assert dock.winner.isHidden()
    with qtbot.waitSignal(dock.panel.job.finished):
        trainings.free.set()
    assert [*shown(dock).items()][:3] == [
        ("fpn:resnet18", ["0.895 ± 0.005", "2", "3.3", "14.3", "120", "560"]),
        ("unet:resnet34", ["0.795 ± 0.005", "2", "3.3", "14.3", "120", "560"]),
        ("unet:resnet18  ·  out", ["0.600", "1", "1.7", "14.3", "120", "560"]),
    ]
    assert dock.panel.status.text().startswith("fpn:resnet18 is best: held-out Dice 0.895 ± 0.005.")


def test_slice_classifiers_are_shown_by_what_is_measured_of_them(
    qtbot: Any, corrected: Any, dock: CompareWidget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_medseg.training.comparison._outlines", lambda start: False)
    with qtbot.waitSignal(dock.panel.job.finished):
        dock.panel.run.click()
    assert dock.table.horizontalHeaderItem(0).text() == "Held-out F1 of slices"
    assert dock.curves.plot.getPlotItem().titleLabel.text == "held-out F1 of slices over minutes"
    assert "held-out F1 of slices 0.895" in dock.panel.status.text()


def test_those_that_are_out_are_grey(qtbot: Any, corrected: Any, dock: CompareWidget) -> None:
    with qtbot.waitSignal(dock.panel.job.finished):
        dock.panel.run.click()
    colors = [dock.table.item(y, 0).foreground().color().name() for y in (0, 2, 4, 6)]
    assert colors[2] == colors[3] == dock.table._grey.name()
    assert colors[2] not in (colors[0], *theme_colors(dock.viewer))
    pens = {line.opts["pen"].color().name() for line in dock.curves.plot.listDataItems()}
    assert dock.table._grey.name() in pens
    assert len(pens) == 3


def test_stop_keeps_what_there_is(qtbot: Any, corrected: Any, dock: CompareWidget, trainings: Any) -> None:
    trainings.hold_at = 3
    dock.panel.run.click()
    qtbot.waitUntil(lambda: "fpn:resnet18  ·  training…" in shown(dock))
    with qtbot.waitSignal(dock.panel.job.finished, timeout=1000):
        dock.findChild(QPushButton, "cancel").click()
    assert [*shown(dock)] == [
        "unet:resnet18", "fpn:resnet18  ·  not trained", "unet:resnet34  ·  not trained",
        "dpt:none  ·  failed, see below",
    ]  # fmt: skip
    assert not dock.panel.bar.isVisibleTo(dock)
    assert dock.panel.status.text().startswith("Stopped: of what was trained until then, unet:resnet18 is best")
    assert dock.winner.keep.isEnabled()
    dock.table.selectRow(2)
    assert not dock.winner.keep.isEnabled(), "of what was not trained there is no model"


def test_after_a_crash_nothing_waits_or_is_trained(
    qtbot: Any, corrected: Any, dock: CompareWidget, trainings: Any
) -> None:
    trainings.dice["fpn:resnet18"] = "no number"
    with qtbot.waitSignal(dock.panel.job.failed):
        dock.panel.run.click()
    assert [*shown(dock)][:3] == [
        "unet:resnet18", "fpn:resnet18  ·  not trained", "unet:resnet34  ·  not trained",
    ]  # fmt: skip


def test_stopped_at_once_there_is_nothing_to_keep(
    qtbot: Any, corrected: Any, dock: CompareWidget, trainings: Any
) -> None:
    trainings.hold_at = 1
    dock.panel.run.click()
    qtbot.waitUntil(lambda: dock.table.rowCount() > 0)
    with qtbot.waitSignal(dock.panel.job.cancelled, timeout=1000):
        dock.panel.stop()
    assert "nothing to keep" in dock.panel.status.text()
    assert dock.winner.isHidden()
    assert dock.table.isHidden(), "nothing waits, and nothing is trained any more"
    assert dock.curves.isHidden()
    dock._show_latest()
    assert dock.table.isHidden()
    assert dock.failures.isHidden()


def test_what_failed_is_still_told_when_stopped_before_the_first(
    qtbot: Any, corrected: Any, dock: CompareWidget, trainings: Any
) -> None:
    dock.form.starts.set_value(("dpt:none", "unet:resnet18"))
    trainings.hold_at = 2
    dock.panel.run.click()
    qtbot.waitUntil(lambda: "does not fit" in dock.failures.text())
    with qtbot.waitSignal(dock.panel.job.cancelled, timeout=1000):
        dock.panel.stop()
    assert "dpt:none does not fit" in dock.failures.text()
    assert not dock.failures.isHidden()
    assert dock.panel.run.isEnabled()


def test_winner_is_kept_and_chosen_elsewhere(
    qtbot: Any, corrected: Any, dock: CompareWidget, cards: list[ModelCard], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_picker, "read_cards", lambda: (*cards, *library.list_models()))
    picker = ModelPicker()
    qtbot.addWidget(picker)
    chosen: list[str] = []
    monkeypatch.setattr(compare, "choose_model", lambda viewer, card: chosen.append(card.reference))
    with qtbot.waitSignal(dock.panel.job.finished):
        dock.panel.run.click()
    assert dock.winner.name.text() == "my-fpn-resnet18"
    dock.winner.name.setText("My best!")
    dock.winner.keep.click()
    assert "cannot be a model's name" in dock.panel.status.text()
    dock.winner.name.setText("mine")
    with qtbot.waitSignal(dock.panel.job.finished):
        dock.winner.keep.click()
    assert chosen == ["mine@1"]
    assert "mine  v1" in [picker.box.itemText(i) for i in range(picker.box.count())]
    assert (library.find_model("mine") / "model.safetensors").read_text() == "fpn:resnet18"
    dock.table.selectRow(2)
    assert dock.winner.keep.text() == "Keep the selected"
    with qtbot.waitSignal(dock.panel.job.finished):
        dock.winner.keep.click()
    assert (library.find_model("mine@2") / "model.safetensors").read_text() == "unet:resnet34"


def test_report_is_saved_as_json_and_csv(
    qtbot: Any, corrected: Any, dock: CompareWidget, tmp_path: Path, own_library: Path
) -> None:
    with qtbot.waitSignal(dock.panel.job.finished):
        dock.panel.run.click()
    dock.save_report(tmp_path / "mine.json")
    assert json.loads((tmp_path / "mine.json").read_text())["rows"][0]["start"] == "fpn:resnet18"
    assert (tmp_path / "mine.csv").read_text().splitlines()[1].startswith("fpn:resnet18,dice-ce,auto,,,,in,0.8950")
    [kept] = own_library.glob("runs/comparison-*/comparison.json")
    assert kept.read_text() == (tmp_path / "mine.json").read_text(), "also where nobody saves it"
    (tmp_path / "file").touch()
    dock.save_report(tmp_path / "file" / "mine.json")
    assert "cannot be written" in dock.panel.status.text()


def test_when_all_fail_why_is_told(qtbot: Any, corrected: Any, dock: CompareWidget) -> None:
    dock.form.starts.set_value(("pan:none", "dpt:none"))
    with qtbot.waitSignal(dock.panel.job.failed):
        dock.panel.run.click()
    assert dock.panel.status.text() == "dpt:none does not fit."
    assert dock.failures.text().count("cannot be trained") == 2
    assert dock.panel.run.isEnabled()


def test_plan_is_told_before_the_start(corrected: Any, dock: CompareWidget) -> None:
    assert dock.panel.status.text() == (
        "Ready to learn from 3 slices: 4 candidates, 2 min each; then the best 2 with 2 seeds, 3 min each."
    )
    dock.form.time.set_value(CompareOptions(max_minutes=1))
    dock._show_state()
    assert "give more minutes" in dock.panel.status.text()
    dock.form.starts.list.selectAll()
    dock.form.starts.remove.click()
    assert "one alone cannot be compared" in dock.panel.status.text()
    assert not dock.panel.run.isEnabled()
    dock.form.starts.entry.setEditText("unet")
    dock.form.starts.add.click()
    assert "write architecture:encoder" in dock.form.starts.problem.text()
    dock.form.starts.entry.setEditText("unet:resnet18")
    dock.form.starts.add.click()
    assert dock.form.starts.value() == ("unet:resnet18",)
    boxes = {box.text(): box for box in dock.form.options.findChildren(QCheckBox)}
    boxes["dice-ce"].click()
    assert boxes["dice-ce"].isChecked(), "one loss there must be"
    boxes["dice"].click()
    assert dock.panel.run.isEnabled()
    assert "2 candidates with 2 seeds" in dock.panel.status.text()


def write(dock: CompareWidget, name: str, text: str) -> None:
    """Type into a row of the options."""
    field = dock.form.options.findChild(QLineEdit, name)
    assert field is not None
    field.setText(text)


def test_one_start_is_compared_at_several_rates(
    qtbot: Any, corrected: Any, dock: CompareWidget, trainings: Any, tmp_path: Path
) -> None:
    dock.form.starts.set_value(("fpn:resnet18",))
    assert "one alone cannot be compared" in dock.panel.status.text()
    write(dock, "learning_rates", "0.001, 1e-5")
    write(dock, "batches", "2")
    assert "2 candidates with 2 seeds" in dock.panel.status.text()
    with qtbot.waitSignal(dock.panel.job.finished):
        dock.panel.run.click()
    assert {(one.options.learning_rate, one.options.batch) for one in trainings.runs} == {(0.001, 2), (1e-5, 2)}
    assert {*shown(dock)} == {"rate 0.001", "rate 1e-05"}
    dock.table.selectRow(2)
    row = dock.table.value()
    dock.form.recipe.saving.emit(tmp_path / "mine.json")
    recipe = Recipe.read(tmp_path / "mine.json")
    assert (recipe.options["learning_rate"], recipe.options["batch"]) == (row.learning_rate, 2)


@pytest.mark.parametrize("text", ["0,001", "fast", "0.5"])
def test_a_rate_that_cannot_be_one_is_told(corrected: Any, dock: CompareWidget, text: str) -> None:
    write(dock, "learning_rates", text)
    assert not dock.panel.run.isEnabled()
    assert "learning_rates" in dock.panel.status.text()
    write(dock, "learning_rates", "0.05")
    assert dock.panel.run.isEnabled()


def test_each_model_gets_its_own_range_of_values(
    viewer: ViewerModel, corrected: Any, trainings: Any, own_library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A window of Hounsfield units is not the percentiles that a fresh network goes by."""
    windowed = ModelCard(
        name="windowed", classes=(ClassInfo.numbered(1),), normalisation=Normalisation(method="window", low=-5, high=70)
    )
    monkeypatch.setattr(contest, "find_model", lambda start: start)
    monkeypatch.setattr(contest, "read_card", lambda folder: windowed)
    monkeypatch.setattr("napari_medseg.training.candidates.find_model", lambda start: start)
    trainings.dice["windowed"] = 0.5
    snapshots = take_snapshots([ChosenPair(viewer.layers[0], corrected, find_truth(corrected))])
    options = CompareOptions(starts=("windowed", "unet:resnet18"), seeds=1)
    contest.train_candidates(contest.Common(tuple(snapshots), TrainOptions()), options, contest.Shelf(), silent)
    for run in trainings.runs:
        known = {one.normalisation.method: one.range for one in run.pairs[0].ranges}
        assert known["window"] == (-5, 70)
        assert known["percentile"] == (0, 200)
        assert known["median"] == ((0,), (600,)), "three times the median of what is brighter than the mean"


def test_new_networks_learn_from_the_true_neighbours_of_painted_slices(
    viewer: ViewerModel, corrected: Any, trainings: Any, own_library: Path
) -> None:
    """Slices 1, 2 and 4 of six are painted; which start stands first does not matter."""
    snapshots = tuple(take_snapshots([ChosenPair(viewer.layers[0], corrected, find_truth(corrected))]))
    for starts in (("quick", "unet:resnet18"), ("unet:resnet18", "fpn:resnet18")):
        trainings.dice.update(dict.fromkeys(starts, 0.5))
        options = CompareOptions(starts=starts, seeds=1)
        contest.train_candidates(contest.Common(snapshots, TrainOptions()), options, contest.Shelf(), silent)
    for run in trainings.runs:
        [pair] = run.pairs
        assert (len(read(pair.image)), pair.slices, pair.neighbours) == (6, (1, 2, 4), 1)


def test_closing_while_it_runs_leaves_no_thread_and_no_models(
    qtbot: Any, viewer: ViewerModel, corrected: Any, trainings: Any
) -> None:
    """G3."""
    trainings.hold_at = 3
    dock = CompareWidget(viewer)
    dock.form.starts.set_value(STARTS)
    dock.panel.run.click()
    qtbot.waitUntil(lambda: len(trainings.runs) == 3)
    assert dock._shelf is not None
    folder = dock._shelf.path
    assert folder.is_dir()
    dock.close()
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=2000)
    dock.deleteLater()
    del dock
    qtbot.waitUntil(lambda: gc.collect() >= 0 and not folder.exists(), timeout=5000)


def choose_recipe(dock: CompareWidget, name: str) -> Recipe:
    recipe = Recipe.read(name)
    box = dock.form.recipe.box
    box.setCurrentIndex(box.findText(recipe.title))
    box.activated.emit(box.currentIndex())
    return recipe


def test_a_recipe_is_compared_among_others(dock: CompareWidget) -> None:
    dock.form.common.set_value(TrainOptions(device="cpu"))
    recipe = choose_recipe(dock, "lungs-xray-published")
    options = dock.form.value()
    assert options.starts == (recipe.start, *(start for start in STARTS if start != recipe.start))
    assert (options.losses, options.augmentations) == (("dice",), ("none",))
    common = dock.form.common.value()
    assert (common.learning_rate, common.longest, common.device) == (1e-5, 512, "cpu")
    assert dock.form.masks.value() == (("1=lung",), True)
    assert dock.form.masks.isVisibleTo(dock)


def test_a_recipe_sets_what_is_compared(dock: CompareWidget) -> None:
    recipe = choose_recipe(dock, "cancer-he-sweep")
    assert dock.form.value() == recipe.plan_comparison()
    assert dock.form.starts.value() == ("fcn8s:vgg16",)
    choose_recipe(dock, "femur-ct")
    assert dock.form.value().learning_rates == (), "no other is left behind"


def test_what_will_be_compared_becomes_a_recipe(dock: CompareWidget, tmp_path: Path) -> None:
    write(dock, "weight_decays", "0.001 0.01")
    dock.form.time.set_value(CompareOptions(max_minutes=7))
    before = dock.form.value()
    dock.form.recipe.saving.emit(tmp_path / "mine.json")
    recipe = Recipe.read(tmp_path / "mine.json")
    assert recipe.plan_comparison() == before
    assert recipe.plan([("images", "masks")]).options.weight_decay == 0.001, "a training takes the first"


def test_patients_are_held_out_as_a_whole(
    qtbot: Any, corrected: Any, dock: CompareWidget, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = []
    monkeypatch.setattr(compare, "train_candidates", lambda order, *_: plans.append(order.options) or 1 / 0)
    choose_recipe(dock, "brain-tumour")
    with qtbot.waitSignal(dock.panel.job.failed):
        dock.panel.run.click()
    assert plans[0].group == Recipe.read("brain-tumour").options["group"]


def test_the_selected_candidate_becomes_a_recipe(
    qtbot: Any, corrected: Any, dock: CompareWidget, tmp_path: Path
) -> None:
    dock.form.common.set_value(TrainOptions(crop=128))
    with qtbot.waitSignal(dock.panel.job.finished):
        dock.panel.run.click()
    dock.table.selectRow(2)
    dock.form.recipe.saving.emit(tmp_path / "mine.json")
    assert str(tmp_path / "mine.json") in dock.panel.status.text()
    recipe = Recipe.read(tmp_path / "mine.json")
    row = dock.table.value()
    assert row is not None
    assert (recipe.start, recipe.options, recipe.compare) == (row.start, {"crop": 128}, {})
