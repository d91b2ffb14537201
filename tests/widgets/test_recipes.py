"""Recipes in the Fine-tune dock: they set what the command line would, and what is set can be saved as one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from napari.components import ViewerModel
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt

from napari_medseg.models.start_cards import start_of
from napari_medseg.training.options import TrainOptions
from napari_medseg.training.recipe import Recipe, list_recipes
from napari_medseg.widgets.fine_tune import FineTuneWidget
from napari_medseg.widgets.model_picker import NEW, announce_models


@pytest.fixture
def dock(qtbot: QtBot) -> Iterator[FineTuneWidget]:
    widget = FineTuneWidget(ViewerModel())
    qtbot.addWidget(widget)
    yield widget
    widget.close()


def choose(dock: FineTuneWidget, name: str) -> Recipe:
    recipe = Recipe.read(name)
    box = dock.start.recipe.box
    box.setCurrentIndex(box.findText(recipe.title))
    box.activated.emit(box.currentIndex())
    return recipe


def settings(dock: FineTuneWidget) -> TrainOptions:
    return dock.options.value(max_minutes=dock.start.minutes)


@pytest.mark.parametrize("name", list_recipes())
def test_a_recipe_sets_what_it_does_on_the_command_line(dock: FineTuneWidget, name: str) -> None:
    dock.options.set_value(TrainOptions(loss="focal", device="cpu"))
    recipe = choose(dock, name)
    card = dock.start.model.value()
    assert card is not None
    assert start_of(card).partition("@")[0] == recipe.start
    assert dock.start.masks.value() == (recipe.classes, recipe.merge)
    assert settings(dock) == TrainOptions(**{**recipe.options, "device": "cpu"}), "the device is this computer's"
    assert dock.start.masks.isVisibleTo(dock) == bool(recipe.classes or recipe.merge)


def test_what_is_changed_afterwards_counts(dock: FineTuneWidget) -> None:
    choose(dock, "lungs-xray")
    dock.start.time.setCurrentIndex(1)
    dock.start.masks.merge.setChecked(False)
    dock.options.set_value(TrainOptions(loss="dice"))
    assert settings(dock) == TrainOptions(loss="dice", max_minutes=1 / 3)
    assert dock.start.masks.value() == (("1=lung",), False)


def test_several_names_for_one_class_are_a_problem(dock: FineTuneWidget) -> None:
    choose(dock, "cancer-he")
    assert dock.start.masks.problem == ""
    dock.start.masks.names.setText("1=tumour, 2=stroma")
    assert "Several classes are named, such as 'tumour' and 'stroma'" in dock.start.problem
    dock.start.masks.merge.setChecked(False)
    assert dock.start.masks.problem == ""


def test_a_new_network_stays_in_the_list_and_fits_the_image(dock: FineTuneWidget) -> None:
    choose(dock, "glands-he")
    dock.model.set_channels(3)
    card = dock.model.value()
    assert card is not None
    assert (start_of(card), card.channels) == ("unet:resnet18", 3)
    assert dock.name.text() == "my-unet-resnet18"


def test_a_new_network_is_written_into_the_list(dock: FineTuneWidget, qtbot: QtBot) -> None:
    model = dock.model
    before = model.value()
    box, field = model.box, model.new
    assert not field.isVisibleTo(dock)
    box.setCurrentIndex(box.findText(NEW))
    assert field.isVisibleTo(dock)
    assert model.value() == before, "chosen until another is written"
    offered = {field.box.itemText(i) for i in range(field.box.count())}
    assert offered >= {"classifier:resnet18", "unet:tu-efficientnet_lite0+imagenet"}
    for wrong, why in (
        ("resnet50", "“resnet50” is no model of the library; write architecture:encoder, such as unet:resnet18."),
        ("unet:resnet5000", "There is no encoder 'resnet5000'."),
        ("unet:resnet18+images", "'unet:resnet18+images' is not of the form architecture:encoder."),
    ):
        field.box.setEditText(wrong)
        field.button.click()
        assert field.problem.text().startswith(why)
        assert field.problem.isVisibleTo(dock)
        assert model.value() == before
    field.box.setEditText("classifier:resnet50+imagenet")
    assert not field.problem.isVisibleTo(dock), "nobody was asked about this one yet"
    qtbot.keyClick(field.box.lineEdit(), Qt.Key.Key_Return)
    assert not field.isVisibleTo(dock)
    card = model.value()
    assert card is not None
    assert (start_of(card), card.architecture, card.encoder) == (
        "classifier:resnet50+imagenet", "classifier", "resnet50"
    )  # fmt: skip
    assert box.currentText() == "classifier:resnet50+imagenet"
    assert model.summary.text() == "A new network, with an encoder that knows photos"
    assert dock.name.text() == "my-classifier-resnet50-imagenet"
    assert not model.more.isVisibleTo(dock), "nothing to go back to"
    box.setCurrentIndex(box.findText(NEW))
    model.set_value("femur-ct")
    assert not field.isVisibleTo(dock), "another was chosen"
    assert model.more.isVisibleTo(dock)
    announce_models()
    assert "classifier:resnet50+imagenet" in [box.itemText(i) for i in range(box.count())]


def test_what_is_set_is_saved_and_read_again(dock: FineTuneWidget, tmp_path: Path) -> None:
    choose(dock, "lungs-xray-published")
    dock.options.set_value(settings(dock).model_copy(update={"loss": "focal", "log_dir": tmp_path}))
    path = tmp_path / "my lungs.json"
    dock.start.recipe.saving.emit(path)
    assert str(path) in dock.panel.status.text()
    assert "log_dir" not in json.loads(path.read_text())["options"]
    choose(dock, "femur-ct")
    dock.start.recipe.read(path)
    assert dock.start.recipe.box.currentText() == "my lungs"
    assert settings(dock).loss == "focal"
    assert settings(dock).patience == 20
    assert settings(dock).log_dir == tmp_path, "stays as it was set"


def test_a_file_that_is_no_recipe_is_told_and_nothing_changes(dock: FineTuneWidget, tmp_path: Path) -> None:
    recipe = choose(dock, "lungs-xray")
    (tmp_path / "bad.json").write_text("{")
    dock.start.recipe.read(tmp_path / "bad.json")
    assert "is no recipe" in dock.panel.status.text()
    assert dock.start.recipe.box.currentText() == recipe.title


def test_names_that_are_none_are_told_before_anything_starts(dock: FineTuneWidget) -> None:
    dock.start.masks.set_value(("lungs",), False)
    assert "does not name a class" in dock.start.problem
