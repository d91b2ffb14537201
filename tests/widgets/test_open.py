"""The Open dock: a look first, then a layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from PIL import Image as Picture
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent

from napari_medseg import io
from napari_medseg._layers import image_from_layer
from napari_medseg.core import ClassInfo, Geometry, Labels
from napari_medseg.widgets.open import OpenWidget

Look = Callable[..., None]


def save(path: Path, shape: tuple[int, ...] = (20, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Picture.fromarray(np.full(shape, 7, np.uint8)).save(path)
    return path


@pytest.fixture
def series(tmp_path: Path) -> Path:
    for number in (1, 2, 4, 10):
        save(tmp_path / "series" / f"{number}.png")
    return tmp_path / "series"


@pytest.fixture
def dock(qtbot: QtBot) -> Iterator[OpenWidget]:
    widget = OpenWidget(ViewerModel())
    qtbot.addWidget(widget)
    yield widget
    qtbot.waitUntil(lambda: not widget._look.running and not widget.panel.job.running)


@pytest.fixture
def look(dock: OpenWidget, qtbot: QtBot) -> Look:
    def look_at(source: Path | list[Path]) -> None:
        dock.look_at(source)
        qtbot.waitUntil(lambda: not dock._look.running)

    return look_at


def open_it(dock: OpenWidget, qtbot: QtBot) -> None:
    dock.panel.run.click()
    qtbot.waitUntil(lambda: not dock.panel.job.running)


def test_nothing_chosen_says_what_to_do(dock: OpenWidget) -> None:
    """G9."""
    assert not dock.panel.run.isEnabled()
    assert "Choose a folder" in dock.panel.status.text()


def test_look_shows_order_size_and_gaps_before_opening(dock: OpenWidget, look: Look, series: Path) -> None:
    """S3, S5."""
    look(series)
    assert dock.summary.text() == "4 slices: 1.png … 10.png\n30×20 · grey · 8 bit"
    assert "missing" in dock.findings.text()
    assert dock.panel.run.isEnabled()
    assert not dock.viewer.layers


def test_open_adds_the_image_with_corrected_spacing(dock: OpenWidget, look: Look, qtbot: QtBot, series: Path) -> None:
    look(series)
    for box, spacing in zip(dock.spacing.boxes, (3, 0.5, 0.5), strict=True):
        box.setValue(spacing)
    assert dock.spacing.unit.currentText() == "mm"
    open_it(dock, qtbot)
    image = image_from_layer(dock.viewer.layers["series"])
    assert image.geometry == Geometry(spacing=(3, 0.5, 0.5), unit="mm")
    assert image.names == ("1.png", "2.png", "4.png", "10.png")
    assert "NO_SPACING" not in [f.code for f in image.findings]
    assert not dock.segment.isHidden()


def test_untouched_spacing_stays_unknown(dock: OpenWidget, look: Look, qtbot: QtBot, series: Path) -> None:
    look(series)
    open_it(dock, qtbot)
    assert not image_from_layer(dock.viewer.layers[0]).geometry.known


def test_several_series_wait_for_a_choice(dock: OpenWidget, look: Look, qtbot: QtBot, tmp_path: Path) -> None:
    """S6."""
    for name in ("a-1", "a-2", "b-1", "b-2", "b-3"):
        save(tmp_path / "two" / f"{name}.png")
    look(tmp_path / "two")
    assert not dock.panel.run.isEnabled()
    assert dock.series.count() == 3
    dock.series.setCurrentIndex(2)
    dock.series.activated.emit(2)
    qtbot.waitUntil(lambda: not dock._look.running)
    assert dock.summary.text().startswith("3 slices: b-1.png")
    open_it(dock, qtbot)
    assert dock.viewer.layers[0].data.shape == (3, 20, 30)


def test_written_masks_open_as_labels(dock: OpenWidget, look: Look, qtbot: QtBot, tmp_path: Path) -> None:
    classes = (ClassInfo(value=1, name="femur", color="#123456"),)
    labels = Labels(np.ones((2, 20, 30), np.uint8), classes, Geometry.unknown(3), ("1.png", "2.png"))
    io.write(tmp_path / "out", labels)
    look(tmp_path / "out")
    open_it(dock, qtbot)
    assert dock.viewer.layers[0]._type_string == "labels"
    assert dock.segment.isHidden()


def test_foreign_masks_open_as_labels_when_asked(dock: OpenWidget, look: Look, qtbot: QtBot, series: Path) -> None:
    look(series)
    dock.kind.setCurrentIndex(1)
    open_it(dock, qtbot)
    assert dock.viewer.layers[0]._type_string == "labels"


def test_what_cannot_be_opened_is_one_sentence(dock: OpenWidget, look: Look, tmp_path: Path) -> None:
    look(tmp_path / "gone")
    assert "does not exist" in dock.panel.status.text()
    assert not dock.panel.run.isEnabled()


def test_series_that_breaks_after_the_look_says_so(dock: OpenWidget, look: Look, qtbot: QtBot, series: Path) -> None:
    """S10, G8."""
    look(series)
    for path in series.iterdir():
        path.unlink()
    open_it(dock, qtbot)
    assert "holds no images" in dock.panel.status.text()
    assert dock.panel.run.isEnabled()


def test_newer_choice_wins_while_an_older_one_is_looked_at(
    dock: OpenWidget, qtbot: QtBot, series: Path, tmp_path: Path
) -> None:
    single = save(tmp_path / "other" / "knee.png")
    dock.look_at(series)
    dock.look_at(single)
    qtbot.waitUntil(lambda: dock.name.text() == "knee.png" and not dock._look.running)
    assert dock.summary.text().startswith("1 slice")


def test_dropped_files_are_looked_at(dock: OpenWidget, qtbot: QtBot, series: Path) -> None:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(series))])
    event = QDropEvent(
        QPointF(5, 5),
        Qt.DropAction.CopyAction,
        mime,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    dock.dropEvent(event)
    qtbot.waitUntil(lambda: dock.name.text() == "series")


def test_fits_a_narrow_dock(dock: OpenWidget, look: Look, series: Path) -> None:
    look(series)
    inner = dock._scroll.widget()
    assert inner is not None
    assert inner.minimumSizeHint().width() <= 340


def test_numbers_too_fine_to_show_are_kept(dock: OpenWidget) -> None:
    geometry = Geometry(spacing=(1.23456789, 0.5, 0.5), origin=(1, 2, 3), unit="mm")
    dock.spacing.set_value(geometry)
    assert dock.spacing.value() == geometry
    dock.spacing.boxes[2].setValue(0.25)
    assert dock.spacing.value() == geometry.model_copy(update={"spacing": (1.23456789, 0.5, 0.25)})
