"""The Evaluate dock: figures per class, and the slices worth looking at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from pytestqt.qtbot import QtBot

from napari_medseg._layers import labels_layer_data
from napari_medseg.core import ClassInfo, Finding, Geometry, Labels
from napari_medseg.widgets.evaluate import EvaluateWidget

CLASSES = (ClassInfo.numbered(1, "femur"), ClassInfo.numbered(2, "tibia"))


def add(viewer: ViewerModel, name: str, data: np.ndarray) -> None:
    names = tuple(f"{z}.png" for z in range(len(data)))
    pixels, kwargs, _ = labels_layer_data(Labels(data, CLASSES, Geometry(spacing=(4, 2, 2), unit="mm"), names))
    viewer.add_labels(pixels, **{**kwargs, "name": name})


@pytest.fixture
def viewer() -> ViewerModel:
    truth = np.zeros((5, 20, 30), np.uint8)
    truth[:, 2:8, 2:8] = 1
    truth[:, 12:18, 12:18] = 2
    prediction = truth.copy()
    prediction[3] = np.roll(prediction[3], 3, axis=0)
    viewer = ViewerModel()
    add(viewer, "truth", truth)
    add(viewer, "labels", prediction)
    return viewer


@pytest.fixture
def dock(viewer: ViewerModel, qtbot: QtBot) -> Iterator[EvaluateWidget]:
    widget = EvaluateWidget(viewer)
    qtbot.addWidget(widget)
    yield widget
    qtbot.waitUntil(lambda: not widget.panel.job.running)


def run(dock: EvaluateWidget, qtbot: QtBot) -> None:
    dock.panel.run.click()
    qtbot.waitUntil(lambda: not dock.panel.job.running)


def row(table: object, y: int) -> list[str]:
    return [table.item(y, x).text() for x in range(table.columnCount())]


def test_no_layers_says_what_is_needed(qtbot: QtBot) -> None:
    """G9."""
    dock = EvaluateWidget(ViewerModel())
    qtbot.addWidget(dock)
    assert not dock.panel.run.isEnabled()
    assert "two labels layers" in dock.panel.status.text()


def test_layer_called_truth_is_taken_as_truth(dock: EvaluateWidget) -> None:
    assert dock.prediction.value().name == "labels"
    assert dock.truth.value().name == "truth"
    assert dock.panel.run.isEnabled()


def test_truth_is_found_when_it_arrives_later(viewer: ViewerModel, qtbot: QtBot) -> None:
    truth = viewer.layers.pop(0)
    dock = EvaluateWidget(viewer)
    qtbot.addWidget(dock)
    assert not dock.panel.run.isEnabled()
    viewer.add_layer(truth)
    assert dock.truth.value() is truth
    assert dock.prediction.value().name == "labels"


def test_figures_of_every_class_are_shown(dock: EvaluateWidget, qtbot: QtBot) -> None:
    run(dock, qtbot)
    # Four perfect slices and one shifted by half the square.
    assert dock.scores.item(0, 0).text() == "femur"
    assert dock.scores.columnSpan(0, 0) == 5
    assert row(dock.scores, 1)[:4] == ["0.900", "0.867", "0.900", "0.900"]
    assert dock.scores.item(2, 0).text() == "tibia"
    header = dock.scores.horizontalHeaderItem(4)
    assert header is not None
    assert header.text() == "HD95 mm"


def test_click_on_a_worst_slice_shows_it(dock: EvaluateWidget, qtbot: QtBot) -> None:
    run(dock, qtbot)
    assert row(dock.worst, 0) == ["3.png", "femur", "0.500"]
    dock.worst.cellClicked.emit(0, 0)
    assert dock.viewer.dims.current_step[0] == 3


def test_click_after_the_layer_is_gone_does_nothing(dock: EvaluateWidget, qtbot: QtBot) -> None:
    """G1."""
    run(dock, qtbot)
    dock.viewer.layers.remove("labels")
    dock.worst.cellClicked.emit(0, 0)


def test_all_classes_can_be_scored_as_one(dock: EvaluateWidget, qtbot: QtBot) -> None:
    dock.merge.setChecked(True)
    run(dock, qtbot)
    assert dock.scores.rowCount() == 2, "a name and its figures"


def test_what_is_not_computed_in_a_work_area_is_not_scored(qtbot: QtBot) -> None:
    truth = np.zeros((20, 30), np.uint8)
    truth[2:8, 2:8] = 1
    prediction = truth.copy()
    truth[:, 5:] = 255
    viewer = ViewerModel()
    for name, data, empty in (("truth", truth, 255), ("labels", prediction, None)):
        pixels, kwargs, _ = labels_layer_data(Labels(data, CLASSES, Geometry.unknown(2), not_computed=empty))
        viewer.add_labels(pixels, **{**kwargs, "name": name})
    dock = EvaluateWidget(viewer)
    qtbot.addWidget(dock)
    run(dock, qtbot)
    assert dock.scores.item(0, 0).text() == "femur"
    assert row(dock.scores, 1)[:4] == ["1.000"] * 4
    assert "83.3 % of the pixels have no result" in dock.notes.text()


def test_layers_of_different_sizes_are_one_sentence(dock: EvaluateWidget, qtbot: QtBot) -> None:
    """G8."""
    dock.viewer.add_labels(np.ones((5, 9, 9), np.uint8), name="small")
    dock.truth.set_value(dock.viewer.layers["small"])
    run(dock, qtbot)
    assert dock.panel.status.property("bad")
    assert dock.panel.run.isEnabled()


@pytest.mark.parametrize("suffix", [".json", ".csv"])
def test_report_is_saved_with_every_slice(dock: EvaluateWidget, qtbot: QtBot, suffix: str, tmp_path: Path) -> None:
    run(dock, qtbot)
    path = tmp_path / f"report{suffix}"
    dock.save_report(path)
    text = path.read_text(encoding="utf-8")
    if suffix == ".json":
        assert len(json.loads(text)["rows"]) == 10
    else:
        lines = text.splitlines()
        assert len(lines) == 11
        assert lines[0].startswith("slice,value,class,true_positive")
    assert str(path) in dock.panel.status.text()


def test_report_that_cannot_be_written_says_why(dock: EvaluateWidget, qtbot: QtBot, tmp_path: Path) -> None:
    """W1."""
    run(dock, qtbot)
    dock.save_report(tmp_path / "gone" / "report.json")
    assert "cannot be written" in dock.panel.status.text()


def test_what_was_found_in_the_files_is_shown(viewer: ViewerModel, dock: EvaluateWidget) -> None:
    """D4: figures of uneven slices are read with that in mind."""
    assert dock.findings.isHidden()
    labels = Labels(
        np.ones((5, 20, 30), np.uint8),
        CLASSES,
        Geometry.unknown(3),
        findings=(Finding("IRREGULAR_SPACING", "Slices do not lie evenly."),),
    )
    pixels, kwargs, _ = labels_layer_data(labels)
    viewer.add_labels(pixels, **{**kwargs, "name": "uneven"})
    dock.prediction.set_value(viewer.layers["uneven"])
    assert "do not lie evenly" in dock.findings.text()


def test_one_layer_asks_for_a_second(qtbot: QtBot) -> None:
    """G9."""
    alone = ViewerModel()
    add(alone, "labels", np.ones((2, 8, 9), np.uint8))
    dock = EvaluateWidget(alone)
    qtbot.addWidget(dock)
    assert "second labels layer" in dock.panel.status.text()


def add_image(viewer: ViewerModel, dock: EvaluateWidget) -> np.ndarray:
    pixels = np.tile(np.arange(30, dtype=np.uint8) * 4, (5, 20, 1))
    viewer.add_image(np.zeros((7, 9, 9), np.uint8), name="another")
    viewer.add_image(pixels, name="ct")
    viewer.layers.move(len(viewer.layers) - 1, 0)
    return pixels


def test_the_chosen_slice_is_drawn_beside_its_truth(viewer: ViewerModel, dock: EvaluateWidget, qtbot: QtBot) -> None:
    add_image(viewer, dock)
    run(dock, qtbot)
    assert dock.panels.image.value().name == "ct", "the image of that size"
    assert dock.panels.view.isHidden()
    dock.worst.setCurrentCell(0, 0)
    assert not dock.panels.view.isHidden()
    assert dock.panels.view.text.text().startswith("3.png")
    picture = dock.panels.view.small.pixmap().toImage()
    assert picture.width() > 2.5 * picture.height()
    dock.panels.image.set_value(viewer.layers["another"])
    assert "No slice of the image" in dock.panels.view.text.text()


def test_panels_are_saved_into_an_empty_folder(
    viewer: ViewerModel, dock: EvaluateWidget, qtbot: QtBot, tmp_path: Path
) -> None:
    run(dock, qtbot)
    assert not dock.panels.save.isEnabled(), "there is no image yet"
    add_image(viewer, dock)
    dock.panels.choose_image(viewer.layers["truth"])
    for place, says in ((tmp_path / "new", "5 panels saved"), (tmp_path, "no empty folder")):
        dock.panels.write(place)
        qtbot.waitUntil(lambda: not dock.panels.drawing)
        assert says in dock.panel.status.text()
    assert len([*(tmp_path / "new").iterdir()]) == 5


def test_found_and_missed_slices_are_told_as_evaluate_does(
    viewer: ViewerModel, dock: EvaluateWidget, qtbot: QtBot
) -> None:
    run(dock, qtbot)
    assert dock.detection.isHidden(), "every slice holds something"
    for name, slices in (("truth", (0, 1)), ("labels", (1, 2))):
        viewer.layers[name].data[list(slices)] = 0
    run(dock, qtbot)
    assert not dock.detection.isHidden()
    assert [row(dock.detection.matrix, y) for y in range(2)] == [["something (3)", "2", "1"], ["nothing (2)", "1", "1"]]
    assert row(dock.detection.figures, 0)[:4] == ["0.667", "0.667", "0.500", "0.667"]
    assert row(dock.detection.volumes, 0)[-1] == "1", "falsely found slices"
    assert "Slices that hold" not in dock.notes.text()


def test_of_a_slice_classifier_no_figures_of_masks_are_shown(
    viewer: ViewerModel, dock: EvaluateWidget, qtbot: QtBot, tmp_path: Path
) -> None:
    labels = viewer.layers["labels"]
    labels.data[:] = 0
    viewer.layers["truth"].data[4] = 0
    about = {"presence": {0: 0.35, 1: 0.9, 2: 0.2, 3: 0.3, 4: 0.1}, "threshold": 0.3, "outlined": False}
    labels.metadata = {"napari_medseg": {**labels.metadata["napari_medseg"], **about}}
    run(dock, qtbot)
    assert dock.scores.isHidden()
    assert dock.worst.isHidden()
    assert dock.worst_heading.isHidden()
    assert dock.panel.status.text() == "5 slices compared."
    assert [row(dock.detection.matrix, y)[1:] for y in range(2)] == [["3", "1"], ["0", "1"]]
    for table, titles in (
        (dock.detection.figures, ["Prec.", "Sens.", "Spec.", "F1", "AUROC"]),
        (dock.detection.volumes, ["Volume", "Slices", "False"]),
    ):
        heads = [table.horizontalHeaderItem(x) for x in range(table.columnCount())]
        assert [head.text() for head in heads if head is not None] == titles
    dock.save_report(tmp_path / "report.csv")
    assert (tmp_path / "report.csv").read_text().splitlines()[:2] == [
        "slice,truth,predicted,probability", "0.png,1,1,0.35"
    ]  # fmt: skip
    labels.metadata = {"napari_medseg": {**labels.metadata["napari_medseg"], "outlined": True}}
    run(dock, qtbot)
    assert not dock.worst.isHidden()
    assert dock.detection.matrix.item(0, 1).text() == "0", "by the masks"


def test_the_class_of_a_worst_slice_can_be_read_beside_a_long_name(
    viewer: ViewerModel, dock: EvaluateWidget, qtbot: QtBot
) -> None:
    for layer in viewer.layers:
        names = [f"TCGA_CS_4943_20000902_and_more_of_it_{z}.tif" for z in range(5)]
        layer.metadata = {"napari_medseg": {**layer.metadata["napari_medseg"], "names": names}}
    dock.resize(300, 800)
    dock.show()
    run(dock, qtbot)
    words = dock.worst.fontMetrics().horizontalAdvance("femur")
    assert dock.worst.columnWidth(1) >= words
    assert dock.worst.horizontalHeader().length() <= dock.worst.viewport().width()
