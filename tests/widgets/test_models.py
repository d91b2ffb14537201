"""The Models dock: what there is, and models from and for elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from pytestqt.qtbot import QtBot

from napari_medseg.core import ClassInfo, ModelCard, Score
from napari_medseg.models import library
from napari_medseg.models.build import build_network
from napari_medseg.models.weights import read_card
from napari_medseg.training.memory import Memory, write_memory
from napari_medseg.training.truth import LabelledSlice
from napari_medseg.widgets.models import ModelsWidget
from napari_medseg.widgets.thumbnail import paint_model

CARD = ModelCard(
    name="my-femur",
    description="Both femora.",
    encoder="tu-mobilenetv3_small_050",
    network={"decoder_channels": [16, 16, 16, 16, 16]},
    classes=(ClassInfo(value=1, name="femur <left>", color="#e69f00"),),
    pixel_size=0.8,
    modality="CT",
    scores=(Score(metric="Dice", value=0.93, on="2 slices"),),
    parent="femur-ct@1",
)


@pytest.fixture(scope="module")
def network() -> object:
    return build_network(CARD)


@pytest.fixture
def dock(
    network: object, own_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot
) -> Iterator[ModelsWidget]:
    monkeypatch.setattr(library, "STARTERS", tmp_path / "starters")
    for _ in range(2):
        library.add_model(network, CARD)
    widget = ModelsWidget(ViewerModel())
    qtbot.addWidget(widget)
    yield widget
    qtbot.waitUntil(lambda: not widget.panel.job.running)


def titles(dock: ModelsWidget) -> list[str]:
    return [item.text() for row in range(dock.models.count()) if (item := dock.models.item(row)) is not None]


def finish(dock: ModelsWidget, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: not dock.panel.job.running, timeout=20000)


def test_every_version_is_listed_newest_first(dock: ModelsWidget) -> None:
    assert titles(dock) == ["my-femur  v2", "my-femur  v1"]


def test_card_is_told_in_words(dock: ModelsWidget) -> None:
    words = {title: label.text() for title, label in dock.card._words.items()}
    assert words["About"] == "Both femora."
    assert "femur &lt;left&gt; (1)" in words["Classes"]
    assert words["Input"].startswith("CT · grey · 0.8 mm pixels")
    assert words["Scores"] == "Dice 0.930 on 2 slices"
    assert words["Made from"] == "femur-ct v1"


def test_card_tells_the_whole_chain_of_parents(dock: ModelsWidget, network: object) -> None:
    first = library.find_model("my-femur@1")
    parent = {"parent": "my-femur@1", "parent_sha256": read_card(first).sha256}
    made = library.add_model(network, CARD.model_copy(update={"name": "hip", **parent}))
    dock.refresh()
    dock.set_value(made.reference)
    assert dock.card._words["Made from"].text() == "femur-ct v1 → my-femur v1"


def test_pictures_show_the_first_remembered_slice_or_the_colours_of_the_classes(tmp_path: Path) -> None:
    orange, blue = (230, 159, 0), (0, 114, 178)
    classes = (*CARD.classes, ClassInfo(value=2, name="other", color="#0072b2"))
    swatch = paint_model(str(tmp_path), "none", classes)
    assert tuple(swatch[5, 0]) == orange
    assert tuple(swatch[5, -1]) == blue
    target = np.zeros((40, 60), np.int16)
    target[20:] = 1
    one = LabelledSlice("slice", np.tile(np.linspace(0, 1, 60, dtype=np.float16), (1, 40, 1)), target)
    write_memory(tmp_path, Memory(training=(one,)), CARD)
    shown = paint_model(str(tmp_path), "some", classes).astype(int)
    assert np.ptp(shown[0, 0]) == 0, "the image is grey"
    assert shown[0, -1, 0] > shown[0, 0, 0] + 100
    assert shown[-1, 0, 0] > shown[-1, 0, 2] + 80, "its lower half wears the colour of its class"
    (tmp_path / "memory.zip").write_bytes(b"damaged")
    assert np.array_equal(paint_model(str(tmp_path), "damaged", classes), swatch)


def test_two_versions_are_compared_on_the_slice_in_view(dock: ModelsWidget, qtbot: QtBot) -> None:
    dock.set_value("my-femur@2")
    assert dock.compare.other.currentText() == "with my-femur v1"
    dock.compare.run.click()
    assert "no image to compare on" in dock.panel.status.text()
    image = dock.viewer.add_image(np.random.default_rng(0).integers(0, 255, (3, 64, 64), np.uint8))
    dock.compare.run.click()
    finish(dock, qtbot)
    assert "0 pixels (0.0%) differ between my-femur v2 and my-femur v1" in dock.panel.status.text()
    assert len(dock.viewer.layers) == 3
    dock.close()
    assert [*dock.viewer.layers] == [image], "the outlines go with the dock"


def test_removing_asks_first_inside_the_dock(dock: ModelsWidget) -> None:
    dock.set_value("my-femur@1")
    dock.acts.remove.click()
    assert dock.acts.question.text() == "Remove my-femur v1? Its files are deleted."
    dock.acts.keep.click()
    assert dock.acts.question.isHidden()
    assert len(titles(dock)) == 2
    dock.acts.remove.click()
    dock.acts.confirm.click()
    assert titles(dock) == ["my-femur  v2"]
    assert "my-femur v1 removed" in dock.panel.status.text()


def test_renaming_takes_all_versions_and_keeps_the_selection(dock: ModelsWidget) -> None:
    dock.set_value("my-femur@1")
    dock.acts.rename.click()
    assert dock.acts.question.text() == "New name of my-femur (2 versions):"
    assert not dock.acts.confirm_name.isEnabled(), "it has this name"
    dock.acts.new_name.setText("Not A Name")
    dock.acts.confirm_name.click()
    assert dock.panel.status.property("bad")
    assert titles(dock) == ["my-femur  v2", "my-femur  v1"]
    dock.acts.new_name.setText("hip")
    dock.acts.confirm_name.click()
    assert titles(dock) == ["hip  v2", "hip  v1"]
    card = dock.value()
    assert card is not None
    assert card.reference == "hip@1"
    assert "my-femur is now called hip" in dock.panel.status.text()
    assert dock.acts.question.isHidden()


def test_question_about_one_model_goes_when_another_is_chosen(dock: ModelsWidget) -> None:
    dock.acts.remove.click()
    dock.set_value("my-femur@1")
    assert dock.acts.question.isHidden()


def test_built_in_model_cannot_be_removed(
    dock: ModelsWidget, own_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = tmp_path / "starters" / "my-femur"
    shelf.parent.mkdir()
    (own_library / "models" / "my-femur" / "1").rename(shelf)
    dock.refresh()
    dock.set_value("my-femur@1")
    assert "my-femur  v1  ·  built in" in titles(dock)
    assert not dock.acts.remove.isEnabled()
    assert not dock.acts.rename.isEnabled()
    assert dock.acts.export.isEnabled()


@pytest.mark.parametrize("name", ["model.zip", "model"])
def test_exported_model_can_be_imported_again(dock: ModelsWidget, qtbot: QtBot, name: str, tmp_path: Path) -> None:
    dock.export_to(tmp_path / name)
    finish(dock, qtbot)
    assert (tmp_path / name).exists()
    dock.source.setText(str(tmp_path / name))
    dock.panel.run.click()
    finish(dock, qtbot)
    assert "my-femur  v3" in titles(dock)
    card = dock.value()
    assert card is not None
    assert card.reference == "my-femur@3"


def test_bare_weights_ask_for_their_network(dock: ModelsWidget) -> None:
    dock.source.setText("/data/weights.pt")
    assert not dock.network.isHidden()
    assert not dock.panel.run.isEnabled()
    dock.network.setText("unet:resnet18")
    assert dock.panel.run.isEnabled()


def test_what_is_no_model_is_refused_in_one_sentence(dock: ModelsWidget, qtbot: QtBot, tmp_path: Path) -> None:
    """G8."""
    dock.source.setText(str(tmp_path / "gone"))
    dock.panel.run.click()
    finish(dock, qtbot)
    assert dock.panel.status.property("bad")
    assert "gone" in dock.panel.status.text()
    assert dock.panel.run.isEnabled()


def test_damaged_model_is_named(dock: ModelsWidget, own_library: Path) -> None:
    """M9."""
    (own_library / "models" / "my-femur" / "2" / "card.json").write_text("{")
    dock.refresh()
    assert titles(dock) == ["my-femur  v1"]
    assert "card.json" in dock.problems.text()


def test_empty_library_offers_to_add_a_model(
    qtbot: QtBot, own_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G9."""
    monkeypatch.setattr(library, "STARTERS", tmp_path / "none")
    dock = ModelsWidget(ViewerModel())
    qtbot.addWidget(dock)
    assert dock.value() is None
    assert not dock.acts.export.isEnabled()
    assert "add a model" in dock.panel.status.text()
