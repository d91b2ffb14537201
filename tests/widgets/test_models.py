"""The Models dock: what there is, and models from and for elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from napari.components import ViewerModel
from PIL import Image as Picture
from pytestqt.qtbot import QtBot
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QScrollArea

from napari_medseg import models
from napari_medseg.core import ClassInfo, ModelCard, Score
from napari_medseg.models import hub, library
from napari_medseg.models.build import build_network
from napari_medseg.models.weights import read_card
from napari_medseg.training.memory import Memory, write_memory
from napari_medseg.training.truth import LabelledSlice
from napari_medseg.widgets.export_form import ExportOrder, Kind
from napari_medseg.widgets.look import note
from napari_medseg.widgets.models import ModelsWidget
from napari_medseg.widgets.thumbnail import SIDE, model_icon, paint_model

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
    assert words["Input"].startswith("CT · grey · at 0.8 mm a pixel")
    assert words["Scores"] == "2 slices: Dice 0.930"
    assert words["Made from"] == "femur-ct v1"


def test_where_scores_take_several_lines_each_begins_with_a_mark(dock: ModelsWidget) -> None:
    scores = (Score(metric="dice", value=0.9, on="CT"), Score(metric="dice", value=0.8, on="MR"))
    dock.card.show_card(CARD.model_copy(update={"scores": scores}))
    assert dock.card._words["Scores"].text() == "• CT: Dice 0.900\n• MR: Dice 0.800"


def test_what_a_large_font_makes_wider_than_the_dock_is_reached_by_scrolling(dock: ModelsWidget, qtbot: QtBot) -> None:
    dock.resize(320, 600)
    dock.show()
    bar = dock.findChild(QScrollArea).horizontalScrollBar()
    assert not bar.isVisible()
    dock.setStyleSheet(f"{dock.styleSheet()} * {{ font-size: 40pt; }}")
    qtbot.waitUntil(bar.isVisible)
    assert bar.maximum() > 0


def test_words_stand_level_with_their_title_however_much_room_there_is(qtbot: QtBot) -> None:
    label = note("About")
    qtbot.addWidget(label)
    label.resize(100, 200)
    upper = _pixels(label.grab().toImage())
    assert (upper != upper[-1, -1]).any()


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


def test_built_in_models_have_pictures_of_their_own(qtbot: QtBot) -> None:
    folders = [folder for folder in library.STARTERS.iterdir() if (folder / "card.json").is_file()]
    shown = {folder.name: _pixels(model_icon(read_card(folder)).pixmap(SIDE, SIDE).toImage()) for folder in folders}
    for folder in folders:
        with Picture.open(folder / "thumbnail.png") as own:
            assert max(own.size) <= 128
            small = np.asarray(own.convert("RGB").resize((SIDE, SIDE), Picture.Resampling.BOX)).astype(int)
        apart = {name: np.abs(pixels - small).mean() for name, pixels in shown.items()}
        assert min(apart, key=lambda name: apart[name]) == folder.name
        assert len(np.unique(shown[folder.name].reshape(-1, 3), axis=0)) > 50, "no stripes of colours"


def _pixels(image: QImage) -> np.ndarray[Any, Any]:
    colours = [[image.pixelColor(x, y) for x in range(SIDE)] for y in range(SIDE)]
    return np.array([[(c.red(), c.green(), c.blue()) for c in row] for row in colours])


def test_a_model_fine_tuned_from_a_built_in_one_does_not_take_its_picture(dock: ModelsWidget, network: Any) -> None:
    shipped = library.STARTERS / "my-femur"
    models.save_network(shipped, CARD, network)
    Picture.new("RGB", (96, 96), "#ff0000").save(shipped / "thumbnail.png")
    models.remove_model("my-femur@1")
    own = read_card(library.find_model("my-femur@2"))
    shown = [_pixels(model_icon(card).pixmap(SIDE, SIDE).toImage())[5, 5] for card in (read_card(shipped), own)]
    np.testing.assert_allclose(shown, [(255, 0, 0), (230, 159, 0)], atol=2)


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


def export(dock: ModelsWidget, qtbot: QtBot, kind: Kind, out: Path) -> Path:
    """Export as a click on Save as would, once ``out`` is chosen."""
    dock.acts.export.click()
    assert not dock.export.isHidden()
    dock.export.set_value(kind)
    dock.export_to(out, dock.export.value())
    finish(dock, qtbot)
    assert dock.export.isHidden()
    assert not dock.acts.isHidden()
    return Path(dock.panel.status.text().removeprefix("Exported to ").removesuffix("."))


def add(dock: ModelsWidget, qtbot: QtBot, source: str | Path, name: str = "", network: str = "") -> ModelCard:
    for line, text in ((dock.add.source, str(source)), (dock.add.name, name), (dock.add.network, network)):
        line.setText(text)
    dock.panel.run.click()
    finish(dock, qtbot)
    card = dock.value()
    assert card is not None, dock.panel.status.text()
    assert f"{card.name} v{card.version} is in the library" in dock.panel.status.text()
    assert not dock.add.source.text()
    return card


@pytest.mark.parametrize("kind", ["zip", "folder"])
def test_exported_model_can_be_imported_again(dock: ModelsWidget, qtbot: QtBot, kind: Kind, tmp_path: Path) -> None:
    out = export(dock, qtbot, kind, tmp_path / "model")
    assert out == tmp_path / ("model.zip" if kind == "zip" else "model")
    assert out.exists()
    assert add(dock, qtbot, out).reference == "my-femur@3"
    assert "my-femur  v3" in titles(dock)
    assert add(dock, qtbot, out, "theirs").reference == "theirs@1"


def test_each_format_is_asked_only_what_it_has_room_for(
    dock: ModelsWidget, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, network: object
) -> None:
    asked: list[Any] = []

    def write(reference: str, out: Path, kind: str, **about: Any) -> Path:
        asked.append((reference, out.name, kind, about))
        return out

    monkeypatch.setattr(models, "export_model", write)
    dock.acts.export.click()
    form = dock.export
    assert form.authors.isHidden()
    form.set_value("bioimageio")
    form.authors.setText("A. Name; B. Name;")
    form.licence.setText("MIT")
    about = {"with_memory": False, "authors": ("A. Name", "B. Name"), "licence": "MIT"}
    export(dock, qtbot, "bioimageio", tmp_path / "package")
    assert asked.pop() == ("my-femur@2", "package.zip", "bioimageio", about)
    dock.acts.export.click()
    form.set_value("onnx")
    assert form.authors.isHidden()
    form.licence.clear()
    nothing = {"with_memory": False, "authors": (), "licence": ""}
    export(dock, qtbot, "onnx", tmp_path / "v2.5")
    assert asked.pop() == ("my-femur@2", "v2.5.onnx", "onnx", nothing)
    library.add_model(network, CARD.model_copy(update={"name": "free", "licence": "CC0-1.0"}))
    dock.refresh()
    dock.set_value("free@1")
    dock.acts.export.click()
    form.set_value("bioimageio")
    assert form.licence.isHidden(), "its card says it"
    assert form.value().licence == ""


def test_own_model_from_a_permissive_start_is_given_a_licence_in_every_format(
    dock: ModelsWidget, qtbot: QtBot, tmp_path: Path, network: object
) -> None:
    trained = CARD.model_copy(update={"name": "own", "licence": "BSD-3-Clause", "parent_sha256": "0" * 64})
    library.add_model(network, trained)
    library.add_model(network, trained.model_copy(update={"name": "bound", "licence": "CC-BY-NC-4.0"}))
    dock.refresh()
    dock.set_value("own@1")
    dock.acts.export.click()
    form = dock.export
    assert not form.licence.isHidden()
    assert form.licence.placeholderText() == "BSD-3-Clause"
    assert form.value().licence == "", "unless another is given, it keeps its own"
    form.licence.setText("MIT")
    out = export(dock, qtbot, "folder", tmp_path / "own")
    assert read_card(out).licence == "MIT"
    dock.set_value("bound@1")
    dock.acts.export.click()
    assert form.licence.isHidden(), "what it was trained from leaves no choice"
    assert form.value().licence == ""
    dock.set_value("my-femur@2")
    dock.acts.export.click()
    assert form.licence.text() == "", "of the other model"


def test_what_is_there_is_never_replaced_by_an_export(dock: ModelsWidget, qtbot: QtBot, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").touch()
    dock.export_to(tmp_path / "model.onnx", ExportOrder("onnx", ".onnx"))
    finish(dock, qtbot)
    assert "exists already" in dock.panel.status.text()
    assert dock.panel.status.property("bad")


def test_question_of_an_export_goes_when_another_model_is_chosen(dock: ModelsWidget) -> None:
    dock.acts.export.click()
    dock.set_value("my-femur@1")
    assert dock.export.isHidden()
    assert not dock.acts.isHidden()


def test_bare_weights_ask_for_their_network(dock: ModelsWidget, network: Any, qtbot: QtBot, tmp_path: Path) -> None:
    assert dock.add.network.isHidden()
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    dock.add.source.setText(str(tmp_path / "weights.pt"))
    assert not dock.add.network.isHidden()
    assert not dock.add.part.isHidden()
    assert not dock.panel.run.isEnabled()
    card = add(dock, qtbot, tmp_path / "weights.pt", network="unet:tu-mobilenetv3_small_050")
    assert (card.reference, len(card.classes), card.channels) == ("weights@1", 1, 1)
    torch.save({"model": network.state_dict(), "model_ema": network.state_dict()}, tmp_path / "two.pt")
    dock.add.source.setText(str(tmp_path / "two.pt"))
    dock.add.part.setText("model_ema")
    made = add(dock, qtbot, tmp_path / "two.pt", network="unet:tu-mobilenetv3_small_050")
    assert made.description.startswith("Imported from model_ema of two.pt")
    assert not dock.add.part.text()


def test_folder_of_segmentation_models_pytorch_is_imported(
    dock: ModelsWidget, network: Any, qtbot: QtBot, tmp_path: Path
) -> None:
    network.save_pretrained(tmp_path / "Their Net")
    assert add(dock, qtbot, tmp_path / "Their Net").reference == "their-net@1"


def test_hub_that_does_not_answer_is_said_in_one_sentence(
    dock: ModelsWidget, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "hub_answers", lambda: False)
    dock.add.source.setText("hf:somebody/weights.pt")
    assert dock.add.network.isHidden(), "a repository says what its network is"
    dock.panel.run.click()
    finish(dock, qtbot)
    assert dock.panel.status.property("bad")
    assert "huggingface.co does not answer" in dock.panel.status.text()


def test_what_is_no_model_is_refused_in_one_sentence(dock: ModelsWidget, qtbot: QtBot, tmp_path: Path) -> None:
    """G8."""
    dock.add.source.setText(str(tmp_path / "gone"))
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


def test_what_is_told_is_scrolled_into_view(
    network: object, own_library: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "hub_answers", lambda: False)
    library.add_model(network, CARD)
    dock = ModelsWidget(ViewerModel())
    qtbot.addWidget(dock)
    dock.resize(340, 300)
    dock.show()
    dock.add.source.setText("hf:somebody/model")
    assert dock.panel.status.visibleRegion().isEmpty(), "it is below what is in view"
    dock.panel.run.click()
    finish(dock, qtbot)
    qtbot.waitUntil(lambda: dock.panel.status.visibleRegion().boundingRect().height() >= dock.panel.status.height() > 0)


def test_what_an_export_asks_is_scrolled_into_view(dock: ModelsWidget, qtbot: QtBot) -> None:
    dock.resize(340, 300)
    dock.show()
    dock.bring_into_view(dock.acts)
    qtbot.waitUntil(lambda: not dock.acts.export.visibleRegion().isEmpty())
    dock.acts.export.click()
    save = dock.export.save
    qtbot.waitUntil(lambda: save.visibleRegion().boundingRect().height() >= save.height() > 0)
