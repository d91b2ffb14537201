"""Quick among the models to start from, and not among those to segment with."""

from __future__ import annotations

from typing import Any

import pytest

from napari_medseg.core import ClassInfo, ModelCard
from napari_medseg.models import start_cards
from napari_medseg.models.start_cards import name_start, start_of
from napari_medseg.training.options import TrainOptions
from napari_medseg.widgets import model_picker
from napari_medseg.widgets.model_picker import NEW, ModelPicker
from napari_medseg.widgets.options_form import OptionsForm
from napari_medseg.widgets.start_form import StartForm

pytest.importorskip("catboost")


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> list[ModelCard]:
    femur = ModelCard(name="grey-bone", classes=(ClassInfo.numbered(1, "femur"),), sha256="1" * 64)
    cards = [femur, femur.model_copy(update={"version": 2})]
    monkeypatch.setattr(model_picker, "read_cards", lambda: tuple(cards))
    return cards


def titles(picker: ModelPicker) -> list[str]:
    return [picker.box.itemText(i) for i in range(picker.box.count())]


def test_quick_can_be_started_from(qtbot: Any, cards: list[ModelCard]) -> None:
    form = StartForm(lambda card: None, OptionsForm(TrainOptions))
    qtbot.addWidget(form)
    assert titles(form.model)[2:] == ["Quick (in seconds)", "Quick with grey-bone", NEW]
    form.model.box.setCurrentIndex(2)
    chosen = form.model.value()
    assert chosen is not None
    assert start_of(chosen) == "quick"
    assert form.name.text() == "my-quick"
    assert form.problem == ""
    assert "without any model" in form.model.summary.text()
    form.model.box.setCurrentIndex(3)
    assert start_of(form.model.value()) == "quick:grey-bone"
    form.model.set_value("grey-bone@1")
    assert start_of(form.model.value()) == "grey-bone@1"


def test_the_choice_of_quick_stays_when_the_library_changes(qtbot: Any, cards: list[ModelCard]) -> None:
    picker = ModelPicker(starts=True)
    qtbot.addWidget(picker)
    picker.box.setCurrentIndex(3)
    cards.append(cards[0].model_copy(update={"name": "another"}))
    picker.refresh()
    assert start_of(picker.value()) == "quick:grey-bone"


def test_quick_takes_any_channels_and_its_base_does_not(qtbot: Any, cards: list[ModelCard]) -> None:
    picker = ModelPicker(starts=True)
    qtbot.addWidget(picker)
    picker.set_channels(3)
    assert titles(picker)[3].endswith("needs grey, this is RGB")
    assert name_start(picker.value()) == "Quick (in seconds)"


def test_a_fitted_quick_model_is_one_of_the_library(qtbot: Any, cards: list[ModelCard]) -> None:
    cards[:] = [cards[0].model_copy(update={"name": "quick", "architecture": "quick", "parent": "quick"})]
    picker = ModelPicker(starts=True)
    qtbot.addWidget(picker)
    assert titles(picker) == ["quick  v1", "Quick (in seconds)", NEW]
    assert start_of(picker.value()) == "quick@1"


def test_segmenting_does_not_offer_what_is_not_fitted(qtbot: Any, cards: list[ModelCard]) -> None:
    picker = ModelPicker()
    qtbot.addWidget(picker)
    assert titles(picker) == ["grey-bone  v2", "grey-bone  v1"]


def test_without_catboost_there_is_no_quick(
    qtbot: Any, cards: list[ModelCard], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start_cards, "find_spec", lambda name: None)
    picker = ModelPicker(starts=True)
    qtbot.addWidget(picker)
    assert titles(picker) == ["grey-bone  v2", "grey-bone  v1", NEW]
