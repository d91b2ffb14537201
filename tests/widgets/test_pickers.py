"""Choosing layers, models, options and slices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from napari.components import ViewerModel
from pydantic import Field
from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QLabel, QLineEdit, QSpinBox

from napari_medseg.core import Choice, Geometry, Image, InputError, ModelCard, Normalisation, Options
from napari_medseg.inference.options import SegmentOptions, list_devices
from napari_medseg.training.options import TrainOptions
from napari_medseg.widgets.layer_picker import LayerPicker
from napari_medseg.widgets.model_picker import ModelPicker, announce_models, describe_card
from napari_medseg.widgets.options_form import OptionsForm
from napari_medseg.widgets.scope_form import ScopeForm


class Example(Options):
    device: str = Field("auto", title="Device", description="Where it runs", pattern="^(auto|cpu)$")
    loss: Annotated[str, Choice({"dice": 1, "ce": 2})] = Field("dice", title="Loss")
    mode: Literal["fast", "good"] = "fast"
    batch: Annotated[int, Field(ge=1, le=64)] | Literal["auto"] = Field("auto", title="Batch")
    minutes: float | None = Field(None, gt=0, le=100)
    overlap: float = Field(0.25, ge=0, le=0.75)
    seed: int = Field(3, ge=0)
    holes: bool = True
    folder: Path | None = None


@pytest.fixture
def form(qtbot: Any) -> OptionsForm[Example]:
    made = OptionsForm(Example)
    qtbot.addWidget(made)
    return made


def test_form_starts_with_the_defaults(form: OptionsForm[Example]) -> None:
    assert form.value() == Example()


@pytest.mark.parametrize("kind", [SegmentOptions, TrainOptions, Example])
def test_every_field_has_a_row_with_its_help(qtbot: Any, kind: type[Options]) -> None:
    made = OptionsForm(kind)
    qtbot.addWidget(made)
    assert len(made.titles) == len(kind.model_fields)
    assert made.value() == kind()
    for name, info in kind.model_fields.items():
        editor = next(w for w in made.findChildren(object) if getattr(w, "objectName", str)() == name)
        assert editor.toolTip() == (info.description or "")


def test_form_shows_and_returns_other_values(form: OptionsForm[Example]) -> None:
    wanted = Example(
        loss="ce", mode="good", batch=8, minutes=2.5, overlap=0.5, seed=9, holes=False, device="cpu", folder=Path("a")
    )
    form.set_value(wanted)
    assert form.value() == wanted
    form.set_value(Example())
    assert form.value() == Example()


def test_form_uses_an_editor_for_each_kind(form: OptionsForm[Example]) -> None:
    assert isinstance(form.findChild(QLineEdit, "device"), QLineEdit)
    assert [form.findChild(QComboBox, "loss").itemText(i) for i in range(2)] == ["dice", "ce"]
    batch = form.findChild(QSpinBox, "batch")
    assert (batch.text(), batch.maximum()) == ("auto", 64)
    assert form.findChild(QDoubleSpinBox, "minutes").text() == "none"
    assert form.findChild(QCheckBox, "holes").isChecked()


def test_wrong_value_is_told_on_its_row(form: OptionsForm[Example]) -> None:
    form.findChild(QLineEdit, "device").setText("toaster")
    with pytest.raises(InputError, match="device"):
        form.value()
    shown = [label for label in form.findChildren(QLabel, "problem") if not label.isHidden()]
    assert len(shown) == 1
    form.findChild(QLineEdit, "device").setText("cpu")
    assert all(label.isHidden() for label in form.findChildren(QLabel, "problem"))


def test_excluded_fields_are_given_by_the_dock(qtbot: Any) -> None:
    made = OptionsForm(SegmentOptions, exclude=("slices",))
    qtbot.addWidget(made)
    assert made.value(slices="2:4").slices == "2:4"


def test_picker_follows_the_layers(qtbot: Any, viewer: ViewerModel, make_stack: Callable[..., Any]) -> None:
    """G1: inserted, renamed, reordered, removed."""
    picker = LayerPicker(viewer, "image")
    qtbot.addWidget(picker)
    assert picker.value() is None
    assert "no image" in picker.box.currentText()
    first = make_stack(name="one")
    assert picker.value() is first
    second = make_stack(name="two")
    assert picker.value() is first, "the choice stays"
    first.name = "uno"
    assert picker.box.currentText() == "uno"
    viewer.layers.reverse()
    assert picker.value() is first
    with qtbot.waitSignal(picker.changed):
        viewer.layers.remove(first)
    assert picker.value() is second
    picker.close_down()


def test_picker_describes_the_image(qtbot: Any, viewer: ViewerModel, make_stack: Callable[..., Any]) -> None:
    layer = make_stack()
    picker = LayerPicker(viewer, "image")
    qtbot.addWidget(picker)
    assert picker.summary.text() == "6 slices · 24×24 · 8 bit · 0.8 mm"
    layer.scale = (3, 0.5, 0.5)
    assert picker.summary.text().endswith("0.5 mm")
    viewer.add_image(np.zeros((40, 30, 3), np.uint8), rgb=True, name="slide")
    picker.set_value(viewer.layers["slide"])
    assert picker.summary.text() == "1 image · 30×40 · RGB"
    picker.close_down()


def test_models_that_do_not_fit_say_why(qtbot: Any, cards: list[ModelCard]) -> None:
    grey, rgb = cards
    picker = ModelPicker()
    qtbot.addWidget(picker)
    picker.set_channels(1)
    assert picker.value() == grey
    texts = [picker.box.itemText(i) for i in range(picker.box.count())]
    assert texts[1].endswith("needs RGB, this is grey")
    assert not picker.box.model().item(1).isEnabled()
    picker.set_channels(3)
    assert picker.value() == rgb
    cards.remove(rgb)
    picker.refresh()
    assert picker.value() is None
    assert picker.reason == "needs grey, this is RGB"


def test_a_line_says_which_pixels_a_model_knows(cards: list[ModelCard]) -> None:
    grey = cards[0].model_copy(update={"pixel_size": None, "pixel_range": (0.6, 1.6)})
    assert describe_card(grey).endswith("learnt from 0.6 to 1.6 mm")
    assert describe_card(grey.model_copy(update={"pixel_size": 0.8})).endswith("trained at 0.8 mm")


def test_what_suits_the_image_is_offered_first(qtbot: Any, cards: list[ModelCard]) -> None:
    """A stack of sequences is no stained slide, and a picture without a scale nothing for a model that needs one."""
    grey, rgb = cards
    sequences = rgb.model_copy(update={"name": "z-mr", "normalisation": Normalisation(method="median", high=3)})
    lungs = grey.model_copy(update={"name": "lungs", "modality": "X-ray", "longest": 256})
    scaled = grey.model_copy(update={"name": "a-bone", "pixel_size": 0.8})
    cards[:] = [scaled, grey, lungs, rgb, sequences]
    picker = ModelPicker()
    qtbot.addWidget(picker)
    values = np.random.default_rng(0).integers(0, 255, (2, 8, 9, 3)).astype(np.uint8)
    mr = Image(values, "ZYXC", Geometry.unknown(3), meaning="channels")
    for image, name in (
        (mr, "z-mr"),
        (replace(mr, meaning="RGB"), "rgb-gland"),
        (Image(values[..., 0], "ZYX", Geometry.unknown(3)), "lungs"),
        (Image(values[..., 0], "ZYX", Geometry(spacing=(1, 1, 1), unit="mm")), "a-bone"),
        (Image(values[..., 0], "ZYX", Geometry.unknown(3), modality="CT"), "grey-bone"),
    ):
        picker.set_image(image)
        assert picker.value().name == name
    picker.set_value("lungs")
    picker.set_image(Image(values[..., 1], "ZYX", Geometry(spacing=(1, 1, 1), unit="mm")))
    assert picker.value().name == "lungs", "what a person chose stays where it can be used"


def test_a_model_for_what_another_machine_took_says_so(qtbot: Any, cards: list[ModelCard]) -> None:
    bone = cards[0]
    heart = bone.model_copy(update={"name": "z-heart", "modality": "MR"})
    cards[:] = [bone, heart]
    picker = ModelPicker()
    qtbot.addWidget(picker)
    image = Image(np.zeros((2, 8, 9)), "ZYX", Geometry(spacing=(1, 1, 1), unit="mm"), modality="MR")
    picker.set_image(image)
    assert picker.value() == heart
    assert "this is" not in picker.summary.text()
    picker.set_value(bone)
    assert picker.summary.text().endswith("for CT, this is MR")
    picker.set_image(replace(image, modality=""))
    assert "this is" not in picker.summary.text()


def test_a_network_of_other_channels_can_be_trained_further(qtbot: Any, cards: list[ModelCard]) -> None:
    grey, rgb = cards
    picker = ModelPicker(starts=True)
    qtbot.addWidget(picker)
    picker.set_channels(3)
    assert picker.value() == rgb, "one that fits is chosen first"
    assert picker.box.itemText(0) == "grey-bone  v1 – takes grey"
    picker.box.setCurrentIndex(0)
    assert picker.value() == grey
    assert not picker.reason
    picker.refresh()
    assert picker.value() == grey, "what was chosen stays"
    picker.set_channels(1)
    assert picker.value() == grey
    assert picker.box.itemText(1) == "rgb-gland  v1 – takes RGB"


def test_new_model_appears_in_every_picker(qtbot: Any, cards: list[ModelCard]) -> None:
    grey = cards[0]
    pickers = [ModelPicker(), ModelPicker()]
    for picker in pickers:
        qtbot.addWidget(picker)
    cards.append(grey.model_copy(update={"version": 2}))
    announce_models()
    for picker in pickers:
        assert "grey-bone  v2" in [picker.box.itemText(i) for i in range(picker.box.count())]
        assert picker.value() == grey, "the choice stays"
        picker.set_value("grey-bone@2")
        assert picker.value().version == 2


def test_empty_library_says_so(qtbot: Any, cards: list[ModelCard]) -> None:
    """G9."""
    cards.clear()
    picker = ModelPicker()
    qtbot.addWidget(picker)
    assert picker.value() is None
    assert picker.reason == "The model library is empty."


def test_scope_in_the_words_of_the_options(qtbot: Any) -> None:
    scope = ScopeForm()
    qtbot.addWidget(scope)
    scope.set_count(93)
    assert scope.value(5) == ""
    scope.this.click()
    assert scope.value(5) == "5:6"
    scope.first.setValue(10)
    scope.last.setValue(20)
    assert scope.range.isChecked()
    assert scope.value(5) == "10:21"
    assert scope.describe(5) == "slices 10 to 20"


def test_device_is_chosen_from_what_is_here_or_typed(qtbot: Any, tmp_path: Path) -> None:
    gpus = tmp_path / "proc/driver/nvidia/gpus"
    for name in ("0000:01:00.0", "0000:02:00.0"):
        (gpus / name).mkdir(parents=True)
    assert {"auto", "cpu", "cuda:0", "cuda:1"} <= set(list_devices(tmp_path))
    for kind in (SegmentOptions, TrainOptions):
        form = OptionsForm(kind)
        qtbot.addWidget(form)
        box = form.findChild(QComboBox, "device")
        assert [box.itemText(i) for i in range(box.count())] == list_devices()
        assert form.value().device == "auto"
        box.setEditText("cuda:3")
        assert form.value().device == "cuda:3"
        box.setCurrentIndex(1)
        assert form.value().device == "cpu"
