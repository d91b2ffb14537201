"""The slice in view while a model trains: asked for from the training thread, shown in a layer of its own."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_medseg.core import ClassInfo, Progress
from napari_medseg.widgets import learning_preview
from napari_medseg.widgets.layer_picker import LayerPicker
from napari_medseg.widgets.learning_preview import LearningPreview
from napari_medseg.widgets.pairs_list import PairsList
from napari_medseg.widgets.slices import labels_in_question

BONE = (ClassInfo.numbered(1, "bone"),)


@pytest.fixture
def preview(viewer: ViewerModel, qtbot: Any) -> Any:
    made = LearningPreview(viewer)
    yield made
    made.stop()


def answer(preview: LearningPreview, value: int = 1) -> Progress:
    """What a training reports about the slice that is asked for."""
    asked = preview.ask()
    assert asked is not None
    labels = np.full(asked.image.shape[-2:], value)
    return Progress("Training", region=asked.key, result=labels)


def test_it_asks_for_the_slice_the_slider_stands_at(
    qtbot: Any, viewer: ViewerModel, preview: LearningPreview, make_stack: Callable[..., Any]
) -> None:
    image = make_stack()
    assert preview.ask() is None, "nothing is asked before a run"
    viewer.dims.set_point(0, 2 * 3)
    preview.start(image, BONE, "my-bone")
    first = preview.ask()
    assert first is not None
    assert first.z == 2
    viewer.dims.set_point(0, 4 * 3)
    qtbot.waitUntil(lambda: preview.ask().z == 4)
    assert preview.ask().image is first.image, "the reader that measured the image is used again"
    preview.stop()
    assert preview.ask() is None


def test_answers_are_outlines_in_a_layer_that_goes_with_the_run(
    viewer: ViewerModel, preview: LearningPreview, make_stack: Callable[..., Any]
) -> None:
    image = make_stack(translate=(5, 1, 2))
    mine = viewer.add_labels(np.zeros((6, 24, 24), np.uint8), name="mine")
    mine.mode = "paint"
    preview.start(image, BONE, "my-bone")
    preview.show(Progress("Training", 3, 10))
    assert preview.layer is None, "no layer before there is something to show"
    preview.show(answer(preview))
    layer = preview.layer
    assert layer.name == "preview of my-bone"
    assert layer.contour > 0
    assert not layer.editable
    assert layer.get_color(1) is not None
    assert viewer.layers.selection.active is mine, "the user paints on"
    assert not mine.data.any()
    z = preview.ask().z
    np.testing.assert_allclose(layer.data_to_world((0, 0, 0)), image.data_to_world((z, 0, 0)))
    viewer.dims.set_point(0, 5 + 1 * 3)
    preview._look()
    preview.show(answer(preview, 0))
    assert preview.layer is layer
    np.testing.assert_allclose(layer.data_to_world((0, 0, 0)), image.data_to_world((1, 0, 0)))
    preview.stop()
    assert layer not in viewer.layers


def test_nobody_can_learn_from_the_preview_or_choose_it(
    qtbot: Any, viewer: ViewerModel, preview: LearningPreview, make_stack: Callable[..., Any]
) -> None:
    image = make_stack()
    preview.start(image, BONE, "my-bone")
    preview.show(answer(preview))
    pairs, picker = PairsList(viewer), LayerPicker(viewer, "labels")
    qtbot.addWidget(pairs)
    qtbot.addWidget(picker)
    assert pairs.rows == ()
    assert picker.value() is None
    assert labels_in_question(viewer) is None
    pairs.close_down()
    picker.close_down()


def test_image_removed_meanwhile_ends_the_preview(
    viewer: ViewerModel, preview: LearningPreview, make_stack: Callable[..., Any]
) -> None:
    """G1."""
    image = make_stack()
    preview.start(image, BONE, "my-bone")
    progress = answer(preview)
    preview.show(progress)
    viewer.layers.remove(image)
    preview.show(progress)
    assert preview.ask() is None
    assert len(viewer.layers) == 0


def test_preview_removed_by_the_user_comes_back_with_the_next_slice(
    viewer: ViewerModel, preview: LearningPreview, make_stack: Callable[..., Any]
) -> None:
    """G1."""
    preview.start(make_stack(), BONE, "my-bone")
    preview.show(answer(preview))
    viewer.layers.remove(preview.layer)
    preview.show(answer(preview))
    assert preview.layer in viewer.layers


def test_of_a_huge_image_only_what_is_in_view_is_asked(
    viewer: ViewerModel, preview: LearningPreview, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning_preview, "_WHOLE", 100)
    monkeypatch.setattr(learning_preview, "_PART", 64)
    pixels = np.arange(300 * 200).reshape(300, 200)
    image = viewer.add_image(pixels, scale=(0.5, 0.5))
    preview.start(image, BONE, "slide")
    asked = preview.ask()
    assert asked is not None
    top, left = asked.key
    np.testing.assert_array_equal(asked.image.slice(0), pixels[top : top + 64, left : left + 64])
    preview._look()
    assert preview.ask().image is asked.image, "the same part is not cut out again"
    preview.show(answer(preview))
    np.testing.assert_allclose(preview.layer.data_to_world((0, 0)), image.data_to_world((top, left)))


def test_nothing_is_left_behind(viewer: ViewerModel, make_stack: Callable[..., Any], qtbot: Any) -> None:
    """G11."""
    image = make_stack()
    events = (viewer.dims.events.current_step, viewer.scene.camera.events)
    before = [len(event.callbacks) for event in events]
    gone = []
    for _ in range(5):
        preview = LearningPreview(viewer)
        preview.start(image, BONE, "my-bone")
        preview.stop()
        gone.append(weakref.ref(preview))
        del preview
    assert [len(event.callbacks) for event in events] == before
    qtbot.waitUntil(lambda: gc.collect() >= 0 and all(link() is None for link in gone), timeout=5000)
