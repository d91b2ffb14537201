"""Learning from files: the pairing preview of the Fine-tune dock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from napari.components import ViewerModel

from napari_medseg.core import ModelCard, silent
from napari_medseg.training import TrainOptions
from napari_medseg.widgets.files_fold import FilesFold
from napari_medseg.widgets.files_form import ChosenFiles
from napari_medseg.widgets.fine_tune import FineTuneWidget
from napari_medseg.widgets.snapshot import Order, save_run


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Three images; one mask fits, one has another size, one image has none."""
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for name, side in (("anna", 16), ("bob", 9), ("carl", 0)):
        png = imagecodecs.png_encode(np.full((16, 16), 80, np.uint8))
        (tmp_path / "images" / f"{name}.png").write_bytes(png)
        if side:
            png = imagecodecs.png_encode(np.eye(side, dtype=np.uint8) + 1)
            (tmp_path / "masks" / f"{name}_mask.png").write_bytes(png)
    return tmp_path / "images", tmp_path / "masks"


@pytest.fixture
def dock(qtbot: Any, viewer: ViewerModel, cards: list[ModelCard]) -> Iterator[FineTuneWidget]:
    made = FineTuneWidget(viewer)
    qtbot.addWidget(made)
    yield made
    made.panel.job.stop()


def choose(form: FilesFold, images: Path, masks: Path) -> None:
    form.images.set_value(images)
    form.masks.set_value(masks)


def test_chosen_files_are_previewed_and_can_be_learnt_from(
    qtbot: Any, dock: FineTuneWidget, folders: tuple[Path, Path]
) -> None:
    """T3, T10: what is left out is told before anything starts."""
    form = dock.files.trains
    choose(form, *folders)
    qtbot.waitUntil(lambda: form.value() is not None)
    assert form.summary.text() == ("1 pair with 1 labelled slice, 1 cannot be used, 1 file without partner.")
    text = form.text.toPlainText()
    assert "anna.png — anna_mask.png" in text
    assert "bob_mask.png has 9 x 9 pixels" in text
    assert "carl.png: No mask is called carl" in text
    assert dock.panel.run.isEnabled()
    assert dock.panel.status.text() == "Ready to learn from 1 slice, starting from grey-bone v1."
    assert not dock.start.masks.isHidden()
    assert dock.files.value() == ChosenFiles(folders)


def test_files_that_do_not_fit_say_why_and_nothing_can_start(
    qtbot: Any, dock: FineTuneWidget, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    choose(dock.files.trains, folders[0], tmp_path / "absent")
    qtbot.waitUntil(lambda: "does not exist" in dock.files.trains.summary.text())
    assert dock.files.value() == ChosenFiles()
    assert not dock.panel.run.isEnabled()
    dock.files.trains.clear.click()
    assert dock.files.trains.summary.text().startswith("Choose images and their masks")


def test_the_last_chosen_files_count(qtbot: Any, dock: FineTuneWidget, folders: tuple[Path, Path]) -> None:
    choose(dock.files.trains, folders[0], folders[0])
    dock.files.trains.masks.set_value(folders[1])
    qtbot.waitUntil(lambda: dock.files.value().any)
    assert dock.files.value() == ChosenFiles(folders)


def test_a_run_from_files_is_saved_with_their_paths(cards: list[ModelCard], folders: tuple[Path, Path]) -> None:
    about = {"files": ChosenFiles(folders, folders), "classes": ("1=lungs",), "merge": True}
    order = Order((), cards[0], cards[0].reference, "mine", TrainOptions(), **about)
    run = save_run(order, silent)
    assert [(pair.image, pair.labels) for pair in run.pairs] == [folders]
    assert [(pair.image, pair.labels) for pair in run.validation_pairs] == [folders]
    assert run.merge
    assert [c.name for c in run.classes] == ["lungs"]


def test_chosen_files_that_only_measure_teach_nothing(
    qtbot: Any, dock: FineTuneWidget, folders: tuple[Path, Path]
) -> None:
    choose(dock.files.measures, *folders)
    qtbot.waitUntil(lambda: dock.files.value().any)
    assert not dock.panel.run.isEnabled()
    assert dock.panel.status.text() == "Segment an image first, or add a strokes layer and paint."
    choose(dock.files.trains, *folders)
    qtbot.waitUntil(lambda: dock.files.value() == ChosenFiles(folders, folders))
    assert dock.panel.run.isEnabled()
    assert "learn from 1 slice and to measure on 1 other, starting" in dock.panel.status.text()


def test_files_that_fit_nothing_say_so_in_the_status_line(
    qtbot: Any, dock: FineTuneWidget, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    """G9: a grey button without a word helps nobody."""
    dock.files.trains.images.set_value(folders[0])
    assert "both, images and masks" in dock.panel.status.text()
    (tmp_path / "none").mkdir()
    dock.files.trains.masks.set_value(tmp_path / "none")
    qtbot.waitUntil(lambda: not dock.files.trains.looking)
    assert not dock.panel.run.isEnabled()
    assert "nothing to learn from" in dock.panel.status.text()


def test_notes_about_many_masks_that_are_alike_are_one_line(qtbot: Any, dock: FineTuneWidget, tmp_path: Path) -> None:
    """T10: what needs a look is not buried."""
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for n, name in enumerate(("anna", "bob", "carl", "dora")):
        soft = np.zeros((64, 64), np.uint8)
        soft[16:48, 16:48] = 255
        soft[16, 16 : 40 + n] = np.arange(100, 124 + n)
        (tmp_path / "images" / f"{name}.png").write_bytes(imagecodecs.png_encode(np.full((64, 64), 80, np.uint8)))
        (tmp_path / "masks" / f"{name}.png").write_bytes(imagecodecs.png_encode(soft))
    choose(dock.files.trains, tmp_path / "images", tmp_path / "masks")
    qtbot.waitUntil(lambda: dock.files.value().any)
    text = dock.files.trains.text.toPlainText()
    assert text.count("values between 0 and 255") == 1
    assert "(and 3 more like it)" in text
    assert dock.files.trains.text.horizontalScrollBar().maximum() == 0
