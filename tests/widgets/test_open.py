"""The Open dock: a look first, then a layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from made_up_dicom import dicom_slice, save_dicom
from made_up_slides import write_slide
from napari.components import ViewerModel
from napari.layers import Image as ImageLayer
from PIL import Image as Picture
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent

from napari_medseg import io
from napari_medseg._layers import image_from_layer, image_layers, labels_from_layer, labels_layer_data
from napari_medseg.core import ClassInfo, Geometry, Image, Labels
from napari_medseg.widgets.open import OpenWidget
from napari_medseg.widgets.window_bar import WindowBar

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
    qtbot.waitUntil(lambda: not (widget._look.running or widget.panel.job.running or widget.series.job.running))


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


def test_slide_opens_as_a_pyramid_and_its_pixel_size_is_asked_for_in_micrometres(
    dock: OpenWidget, look: Look, qtbot: QtBot, tmp_path: Path
) -> None:
    look(write_slide(tmp_path / "slide.svs", 3000, ((500, 500, 900, 900),), mpp=None))
    assert "3000×3000 · RGB · 8 bit · 2 levels" in dock.summary.text()
    assert "pixel size" in dock.findings.text()
    dock.spacing.boxes[1].setValue(0.25)
    dock.spacing.boxes[2].setValue(0.25)
    open_it(dock, qtbot)
    (layer,) = dock.viewer.layers
    assert (layer.multiscale, layer.rgb, layer.name) == (True, True, "slide")
    image = image_from_layer(layer)
    assert (image.geometry.spacing, image.geometry.unit) == ((0.25, 0.25), "um")
    assert [level.shape for level in image.pyramid] == [(3000, 3000, 3), (1500, 1500, 3)]


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
    assert dock.series.count() == 2
    assert dock.series.value() is None
    dock.series.set_value("b-")
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
    assert dock.summary.text().startswith("1 image")


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


def volume(path: Path, affine: np.ndarray, dtype: type = np.int16) -> Path:
    """A NIfTI with this affine (RAS), bright in its middle."""
    import nibabel

    data = np.full((20, 24, 6), -1000, dtype)
    data[5:15, 6:18] = 300
    nibabel.save(nibabel.Nifti1Image(data, affine), path)
    return path


def oblique() -> np.ndarray:
    c, s = np.cos(0.3), np.sin(0.3)
    return np.array([[0.7, 0, 0, 5], [0, 0.7 * c, -3 * s, 7], [0, 0.7 * s, 3 * c, -400], [0, 0, 0, 1]])


def test_thumbnails_of_several_series_come_by_themselves(
    dock: OpenWidget, look: Look, qtbot: QtBot, tmp_path: Path
) -> None:
    """S6."""
    for name, value in (("a-1", 0), ("a-2", 0), ("b-1", 255), ("b-2", 255)):
        path = save(tmp_path / "two" / f"{name}.png")
        Picture.fromarray(np.tile(np.array([0, value], np.uint8), (20, 15))).save(path)
    look(tmp_path / "two")
    qtbot.waitUntil(lambda: not dock.series.job.running)
    means = [
        np.mean([dock.series.item(row).icon().pixmap(56).toImage().pixelColor(x, 28).red() for x in range(56)])
        for row in range(2)
    ]
    assert means[0] < 5 < means[1]
    assert dock.series.item(1).text() == "b-\n2 files"


# Not within the test: the thread that reads puts the filters back as they were when it began.
@pytest.mark.filterwarnings("ignore:Non-orthogonal")
def test_oblique_series_can_be_placed_in_the_patient(
    dock: OpenWidget, look: Look, qtbot: QtBot, tmp_path: Path
) -> None:
    """D4, N3."""
    path = volume(tmp_path / "mr.nii", oblique())
    look(path)
    assert not dock.place.isHidden()
    open_it(dock, qtbot)
    dock.place.setCurrentIndex(1)
    dock._start()
    qtbot.waitUntil(lambda: not dock.panel.job.running)
    assert dock.viewer.dims.ndisplay == 3, "in 2D there would be nothing but a line of it"
    assert "3D" in dock.panel.status.text()
    acquired, placed = dock.viewer.layers
    assert image_from_layer(acquired).geometry == image_from_layer(placed).geometry
    affine = image_from_layer(placed).geometry.affine()
    assert np.allclose(placed.data_to_world((1, 2, 3)), (affine @ (1, 2, 3, 1))[:3])
    assert not np.allclose(acquired.data_to_world((1, 2, 3)), (affine @ (1, 2, 3, 1))[:3])


def test_straight_series_has_no_place_to_choose(dock: OpenWidget, look: Look, tmp_path: Path) -> None:
    look(volume(tmp_path / "ct.nii", np.diag([-0.7, -0.7, 3, 1])))
    assert dock.place.isHidden()


def test_window_of_a_ct_is_one_click(dock: OpenWidget, look: Look, qtbot: QtBot, tmp_path: Path) -> None:
    look(volume(tmp_path / "ct.nii", np.diag([-0.7, -0.7, 3, 1])))
    assert dock.windows.isHidden()
    open_it(dock, qtbot)
    assert [b.text() for b in dock.windows.buttons] == ["Bone", "Soft tissue", "Lung", "Brain"]
    dock.windows.buttons[0].click()
    assert dock.viewer.layers[0].contrast_limits == [-500, 1300]


def test_series_far_from_the_others_comes_into_view(
    dock: OpenWidget, look: Look, qtbot: QtBot, tmp_path: Path, series: Path
) -> None:
    look(series)
    open_it(dock, qtbot)
    look(volume(tmp_path / "ct.nii", np.array([[-0.7, 0, 0, -800], [0, -0.7, 0, 0], [0, 0, 3, -900], [0, 0, 0, 1]])))
    open_it(dock, qtbot)
    layer = dock.viewer.layers[-1]
    assert -900 <= dock.viewer.dims.point[0] <= -885
    assert layer.data.shape == (6, 24, 20)


def test_masks_without_a_place_are_laid_on_their_image(
    dock: OpenWidget, look: Look, qtbot: QtBot, tmp_path: Path
) -> None:
    look(volume(tmp_path / "ct.nii", np.diag([-0.7, -0.7, 3, 1])))
    open_it(dock, qtbot)
    for z in range(6):
        save(tmp_path / "masks" / f"{z}.png", (24, 20))
    look(tmp_path / "masks")
    assert dock.kind.currentText() == "Masks"
    open_it(dock, qtbot)
    image, labels = dock.viewer.layers
    assert np.allclose(image.data_to_world((2, 3, 4)), labels.data_to_world((2, 3, 4)))


GEOJSON = """{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"classification":
{"name": "gland"}}, "geometry": {"type": "Polygon", "coordinates": [[[2, 2], [9, 2], [9, 9], [2, 9], [2, 2]]]}}]}"""


@pytest.mark.parametrize("kind", ["Outlines", "Masks"])
def test_outlines_open_as_shapes_or_filled(
    dock: OpenWidget, look: Look, qtbot: QtBot, tmp_path: Path, kind: str
) -> None:
    """X4."""
    (tmp_path / "slide.geojson").write_text(GEOJSON)
    look(tmp_path / "slide.geojson")
    assert dock.summary.text() == "1 region: gland 1"
    dock.kind.setCurrentText("Masks")
    assert "Open the image first" in dock.panel.status.text()
    look(save(tmp_path / "slide.png"))
    open_it(dock, qtbot)
    look(tmp_path / "slide.geojson")
    dock.kind.setCurrentText(kind)
    open_it(dock, qtbot)
    layer = dock.viewer.layers[-1]
    assert layer._type_string == ("shapes" if kind == "Outlines" else "labels")
    if kind == "Masks":
        assert np.argwhere(layer.data).tolist()[::48] == [[2, 2], [8, 8]]


def test_choice_of_series_shows_nothing_that_is_not_decided_yet(
    dock: OpenWidget, look: Look, qtbot: QtBot, tmp_path: Path
) -> None:
    """S6: what all series hold together is true of none; the layer is called as the series."""
    for name in ("a-1", "a-2", "b-1", "b-2"):
        save(tmp_path / "two" / f"{name}.png")
    look(tmp_path / "two")
    qtbot.waitUntil(lambda: not dock.series.job.running)
    assert dock.summary.isHidden()
    assert dock.kind.isHidden()
    assert dock.findings.isHidden()
    rows = sum(dock.series.sizeHintForRow(row) for row in range(2))
    assert dock.series.height() == rows + 2 * dock.series.frameWidth(), "no dead space below the last"
    dock.series.setCurrentRow(1)
    qtbot.waitUntil(lambda: not dock._look.running)
    assert not dock.summary.isHidden()
    open_it(dock, qtbot)
    assert dock.viewer.layers[0].name == "b-"


def test_dicom_series_is_called_as_its_description(dock: OpenWidget, look: Look, qtbot: QtBot, tmp_path: Path) -> None:
    """S6, D17: never by a name of the patient."""
    for number, what in ((4, "thigh bone"), (5, "thigh soft")):
        for z in (0, 3, 6):
            made = dicom_slice(z, SeriesNumber=number, SeriesDescription=what, SeriesInstanceUID=f"1.2.3.{number}",
                               SOPInstanceUID=f"1.2.{number}.{z + 1}")  # fmt: skip
            save_dicom(tmp_path / "two" / f"{number}-{z}.dcm", made)
    look(tmp_path / "two")
    assert [dock.series.item(row).text() for row in range(2)] == [
        f"thigh {w} · CT · 3 slices" for w in ("bone", "soft")
    ]
    dock.series.setCurrentRow(0)
    qtbot.waitUntil(lambda: not dock._look.running and not dock.series.job.running)
    open_it(dock, qtbot)
    assert dock.viewer.layers[0].name == "thigh bone · CT"


def test_windows_fit_the_narrowest_dock(qtbot: QtBot) -> None:
    """G9: the file's own names may be long."""
    layer = ImageLayer(np.array([[-1024, 2000]]), metadata={"napari_medseg": {
        "meaning": "HU", "windows": [{"name": "ABDOMEN WITHOUT CONTRAST", "low": -100, "high": 300}]}})  # fmt: skip
    bar = WindowBar()
    qtbot.addWidget(bar)
    bar.set_layer(layer)
    bar.resize(210, bar.sizeHint().height())
    bar.show()
    assert [b.text() for b in bar.buttons] == ["ABDOMEN WIT…", "Bone", "Soft tissue", "Lung", "Brain"]
    assert bar.minimumSizeHint().width() <= 280
    assert "ABDOMEN WITHOUT CONTRAST" in bar.buttons[0].toolTip()


def test_spacing_of_four_decimals_is_shown_whole(dock: OpenWidget, look: Look, tmp_path: Path) -> None:
    look(volume(tmp_path / "ct.nii", np.diag([-0.4883, -0.4883, 4.2231, 1])))
    dock.resize(360, 600)
    dock.show()
    for box in dock.spacing.boxes:
        needed = box.fontMetrics().horizontalAdvance(box.text())
        assert box.lineEdit().width() >= needed, f"'{box.text()}' is cut off"


def test_volume_called_a_mask_opens_as_masks(dock: OpenWidget, look: Look, qtbot: QtBot, tmp_path: Path) -> None:
    look(volume(tmp_path / "sub-1_seg-vert_msk.nii.gz", np.diag([-0.7, -0.7, 3, 1])))
    assert dock.kind.currentText() == "Masks"
    look(volume(tmp_path / "sub-1_ct.nii.gz", np.diag([-0.7, -0.7, 3, 1])))
    assert dock.kind.currentText() == "Image"


def test_masks_without_a_place_opened_by_napari_are_laid_on_their_image(dock: OpenWidget) -> None:
    """D4: File > Open knows no image beside; while a dock is open, the masks still come to lie on it."""
    geometry = Geometry(spacing=(3, 0.7, 0.7), unit="mm", origin=(-400, 5, 7))
    [(pixels, kwargs, _)] = image_layers(Image(np.zeros((6, 24, 20), np.int16), "ZYX", geometry))
    image = dock.viewer.add_image(pixels, **kwargs)
    data, kwargs, _ = labels_layer_data(Labels(np.ones((6, 24, 20), np.uint8), (), Geometry.unknown(3)))
    labels = dock.viewer.add_labels(data, **kwargs)
    assert np.allclose(image.data_to_world((2, 3, 4)), labels.data_to_world((2, 3, 4)))
    assert labels_from_layer(labels).geometry == geometry
    other = dock.viewer.add_labels(np.ones((6, 24, 20), np.uint8))
    assert tuple(other.scale) == (1, 1, 1), "a layer that somebody else made stays where it is"
