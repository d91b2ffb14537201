"""Layers to paint in: strokes with a background of their own, work areas on a part of a large image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_medseg._layers import classes_of
from napari_medseg.core import ClassInfo, ModelCard, silent
from napari_medseg.inference import measure_range
from napari_medseg.io import read, read_labels
from napari_medseg.training import TrainOptions
from napari_medseg.widgets import new_labels
from napari_medseg.widgets.class_table import ClassTable
from napari_medseg.widgets.learn_from import LearnFrom
from napari_medseg.widgets.new_labels import add_strokes, add_work_area
from napari_medseg.widgets.pairs_list import ChosenPair
from napari_medseg.widgets.placing import find_seen, find_start, place_part
from napari_medseg.widgets.result_layer import image_of
from napari_medseg.widgets.snapshot import Order, save_run, take_snapshots
from napari_medseg.widgets.truth import find_truth

BONE = (ClassInfo.numbered(1, "bone"), ClassInfo.numbered(2, "marrow"))
PLACED = {"scale": (3, 0.8, 0.7), "translate": (1, 2, 3), "rotate": 20, "affine": np.diag([2.0, 2, 2, 1])}


def test_part_lies_on_its_pixels_however_the_image_lies(viewer: ViewerModel) -> None:
    """G5."""
    image = viewer.add_image(np.zeros((5, 100, 120), np.uint8), **PLACED)
    labels = viewer.add_labels(np.zeros((1, 20, 30), np.uint8), **place_part(image, (2, 33, 44)))
    assert find_start(image, labels) == (2, 33, 44)
    for corner in ((0, 0, 0), (0, 19, 29)):
        world = labels.data_to_world(corner)
        np.testing.assert_allclose(image.world_to_data(world), np.add(corner, (2, 33, 44)), atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "kwargs"),
    [
        ((1, 20, 30), {"scale": (3, 0.8, 0.7), "translate": (0, 0.4, 0)}),
        ((1, 20, 30), {"scale": (3, 0.4, 0.35)}),
        ((1, 20, 30), {"scale": (3, 0.8, 0.7), "translate": (0, 75, 0)}),
        ((20, 30), {"scale": (0.8, 0.7)}),
        ((6, 100, 120), {"scale": (3, 0.8, 0.7)}),
    ],
)
def test_labels_beside_the_pixels_or_outside_are_not_the_image_s(
    viewer: ViewerModel, shape: tuple[int, ...], kwargs: dict[str, Any]
) -> None:
    """T10."""
    image = viewer.add_image(np.zeros((5, 100, 120), np.uint8), scale=(3, 0.8, 0.7))
    assert find_start(image, viewer.add_labels(np.zeros(shape, np.uint8), **kwargs)) is None


def test_labels_of_the_image_s_shape_are_its_own_wherever_they_lie(viewer: ViewerModel) -> None:
    image = viewer.add_image(np.zeros((5, 10, 12), np.uint8), scale=(3, 0.8, 0.7))
    assert find_start(image, viewer.add_labels(np.zeros((5, 10, 12), np.uint8))) == (0, 0, 0)


def test_view_without_a_window_is_the_whole_slice_up_to_a_limit(viewer: ViewerModel) -> None:
    image = viewer.add_image(np.zeros((300, 200), np.uint8))
    assert find_seen(viewer, image, 500) == ((0, 0), (300, 200))
    assert find_seen(viewer, image, 100) == ((100, 50), (100, 100))


def test_strokes_layer_is_ready_to_paint_with_a_background_class(
    viewer: ViewerModel, make_stack: Callable[..., Any]
) -> None:
    image = make_stack()
    layer = add_strokes(viewer, image, BONE)
    assert [(c.value, c.name) for c in classes_of(layer)] == [(1, "bone"), (2, "marrow"), (3, "background")]
    assert len({c.color for c in classes_of(layer)}) == 3
    assert layer.features["class"].tolist() == ["background", "bone", "marrow", "background"]
    assert layer.data.shape == image.data.shape
    assert layer.mode == "paint"
    assert layer.selected_label == 1
    assert find_truth(layer).strokes
    assert image_of(viewer, layer) is image
    np.testing.assert_array_equal(layer.scale, image.scale)


def test_strokes_of_an_image_too_large_cover_what_is_in_view(
    viewer: ViewerModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(new_labels, "MOST", 64)
    image = viewer.add_image(np.zeros((300, 200), np.uint8))
    assert add_strokes(viewer, image, BONE).data.shape == (64, 64)


@pytest.mark.parametrize("stack", [True, False])
def test_work_area_trains_on_its_part_of_the_image(
    viewer: ViewerModel, monkeypatch: pytest.MonkeyPatch, cards: list[ModelCard], stack: bool
) -> None:
    """All of the area is true; the values are measured over the whole image."""
    monkeypatch.setattr(new_labels, "MOST", 32)
    pixels = np.random.default_rng(0).integers(0, 200, (4, 80, 90) if stack else (80, 90), dtype=np.uint8)
    pixels[..., 0, 0] = 255
    image = viewer.add_image(pixels, scale=(3, 0.5, 0.5)[-pixels.ndim :], translate=(0, 7, 9)[-pixels.ndim :])
    if stack:
        viewer.dims.set_point(0, 2 * 3)
    area = add_work_area(viewer, image, BONE)
    assert area.data.shape == ((1, 32, 32) if stack else (32, 32))
    area.data_setitem(tuple(np.array([0, 5, 6])[-pixels.ndim :, None]), 1)
    start = find_start(image, area)
    assert start is not None
    assert start == ((2, 24, 29) if stack else (24, 29))
    truth = find_truth(area, area=True)
    assert not truth.strokes
    snapshots = tuple(take_snapshots([ChosenPair(image, area, truth, start)]))
    order = Order(snapshots, cards[0], "x@1", "mine", TrainOptions())
    [pair] = save_run(order, silent).pairs
    whole = pixels[2] if stack else pixels
    np.testing.assert_array_equal(read(pair.image).slice(0), whole[24:56, 29:61])
    np.testing.assert_array_equal(read_labels(pair.labels).slice(0), area.data[0] if stack else area.data)
    [known] = pair.ranges
    assert known.normalisation == cards[0].normalisation
    assert known.range == measure_range(order.snapshots[0].image, cards[0].normalisation)
    assert pair.slices == (0,)
    assert order.snapshots[0].in_layer(0, 0) == 0, "held-out slices find back"


def test_work_areas_are_offered_for_large_images_only(
    qtbot: Any, viewer: ViewerModel, make_stack: Callable[..., Any]
) -> None:
    small = make_stack()
    part = LearnFrom(viewer, lambda: None)
    qtbot.addWidget(part)
    assert part.area.isHidden()
    large = viewer.add_image(np.zeros((1500, 1100), np.uint8))
    viewer.layers.selection.active = large
    assert not part.area.isHidden()
    part.area.click()
    assert image_of(viewer, viewer.layers[-1]) is large
    assert part.pairs.rows[-1].layer is viewer.layers[-1]
    viewer.layers.selection.active = small
    part.strokes.click()
    assert image_of(viewer, viewer.layers[-1]) is small
    assert part.fold.is_open
    part.close_down()


def test_classes_are_named_coloured_added_and_painted_with(
    qtbot: Any, viewer: ViewerModel, make_stack: Callable[..., Any]
) -> None:
    layer = add_strokes(viewer, make_stack(), BONE)
    table = ClassTable(viewer)
    qtbot.addWidget(table)
    assert [name.text() for _, name, _ in table.rows.values()] == ["bone", "marrow", "background"]
    table.rows[2][0].click()
    assert layer.selected_label == 2
    layer.selected_label = 3
    assert table.rows[3][0].isChecked()
    _, name, color = table.rows[2]
    name.setText("cartilage")
    name.editingFinished.emit()
    color.menu().actions()[4].trigger()
    changed = classes_of(layer)[1]
    assert (changed.value, changed.name, changed.color) == (2, "cartilage", "#0072b2")
    assert layer.features["class"].tolist()[2] == "cartilage"
    table.add.click()
    assert layer.selected_label == 4
    assert [c.value for c in classes_of(layer)] == [1, 2, 3, 4]
    name.setText("  ")
    name.editingFinished.emit()
    assert name.text() == "cartilage", "a class has a name"
    table.close_down()


def test_class_table_follows_the_active_labels_layer(viewer: ViewerModel, qtbot: Any) -> None:
    table = ClassTable(viewer)
    qtbot.addWidget(table)
    assert table.hint.text() == "Choose a labels layer to see its classes."
    assert not table.add.isEnabled()
    layer = viewer.add_labels(np.zeros((4, 4), np.uint8), name="bare")
    assert table.hint.text() == "The classes of “bare” have no names yet."
    table.rows[1][1].setText("bone")
    table.rows[1][1].editingFinished.emit()
    assert classes_of(layer)[0].name == "bone"
    assert table.hint.isHidden()
    viewer.layers.remove(layer)
    assert not table.rows
    table.close_down()
