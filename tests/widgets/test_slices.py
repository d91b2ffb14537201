"""Which slice is meant and where it lies on the slider, however layers are placed and shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_medseg.editing.corrections import corrections_of
from napari_medseg.widgets.slice_states import SliceStates, read_states
from napari_medseg.widgets.slices import (
    LabelsInView,
    find_axis,
    go_to_slice,
    labels_in_question,
    name_slice,
    seen_slice,
)


def add_labels(viewer: ViewerModel, slices: int = 6, **kwargs: Any) -> Any:
    return viewer.add_labels(np.zeros((slices, 8, 8), np.uint8), **kwargs)


@pytest.mark.parametrize(
    "placed",
    [
        {},
        {"scale": (3, 0.8, 0.8)},
        {"scale": (3, 0.8, 0.8), "translate": (7, -2, 4)},
        {"scale": (-2, 1, 1), "translate": (30, 0, 0)},
        {"translate": (0.5, 0, 0)},
        {"rotate": (0, 0, 20)},
    ],
)
def test_every_slice_is_gone_to_and_is_then_the_one_seen(viewer: ViewerModel, placed: dict[str, Any]) -> None:
    """G5: scaled, moved, upside down, turned within the slice."""
    viewer.add_image(np.zeros((40, 8, 8)))
    layer = add_labels(viewer, **placed)
    for z in (0, 3, 5):
        assert go_to_slice(viewer, layer, z)
        if placed != {"translate": (0.5, 0, 0)}:  # napari itself shows every second slice only, half a step off
            assert seen_slice(viewer, layer) == z
        assert abs(float(layer.world_to_data(viewer.dims.point)[-3]) - z) <= 0.5


def test_slice_follows_napari_s_own_slicing_of_a_finer_stack(viewer: ViewerModel) -> None:
    """G5: two stacks of different spacing on one slider; what napari draws is what is said to be seen."""
    add_labels(viewer, 20, scale=(0.7, 1, 1))
    layer = add_labels(viewer, 6, scale=(2.5, 1, 1))
    axis = find_axis(viewer, layer)
    assert axis is not None
    for step in range(axis.steps):
        viewer.dims.set_current_step(0, step)
        z = seen_slice(viewer, layer)
        if z is not None:
            assert z == round(float(layer._data_slice.point[0]))
            assert abs(axis.step_of(z) - step) <= 0.5 / axis.slope + 1e-6


def test_no_slice_of_a_stack_that_the_slider_has_left(viewer: ViewerModel) -> None:
    """G5: several stacks of different length."""
    viewer.add_image(np.zeros((12, 8, 8)))
    layer = add_labels(viewer, 5, translate=(3, 0, 0))
    seen = []
    for step in range(12):
        viewer.dims.set_current_step(0, step)
        seen.append(seen_slice(viewer, layer))
    assert seen == [None] * 3 + [0, 1, 2, 3, 4] + [None] * 4
    assert name_slice(viewer, layer, 0) == "slice 3", "the number that the slider shows"


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing:UserWarning")
def test_slices_are_not_seen_from_the_side_in_3d_or_cut_across(viewer: ViewerModel) -> None:
    """G5: rolled axes, 3D view, a stack turned out of its plane."""
    layer = add_labels(viewer)
    assert find_axis(viewer, layer) is not None
    viewer.dims.order = (1, 0, 2)
    assert find_axis(viewer, layer) is None
    assert seen_slice(viewer, layer) is None
    assert not go_to_slice(viewer, layer, 2)
    viewer.dims.order = (0, 2, 1)
    assert seen_slice(viewer, layer) is not None, "only turned within the slice"
    viewer.dims.ndisplay = 3
    assert seen_slice(viewer, layer) is None
    viewer.dims.ndisplay = 2
    layer.rotate = (0, 30, 0)
    assert find_axis(viewer, layer) is None
    assert seen_slice(viewer, layer) is None


def test_single_images_and_more_axes(viewer: ViewerModel) -> None:
    single = viewer.add_labels(np.zeros((8, 8), np.uint8))
    assert find_axis(viewer, single) is None
    assert seen_slice(viewer, single) == 0
    assert name_slice(viewer, single, 0) == "the image"
    layer = add_labels(viewer)
    viewer.add_image(np.zeros((2, 6, 8, 8)))
    found = find_axis(viewer, layer)
    assert found is not None
    assert found.axis == 1
    viewer.dims.set_current_step(1, 4)
    assert seen_slice(viewer, layer) == 4


def test_labels_in_question_are_the_active_ones_else_the_newest(viewer: ViewerModel) -> None:
    assert labels_in_question(viewer) is None
    image = viewer.add_image(np.zeros((6, 8, 8)))
    first, second = add_labels(viewer), add_labels(viewer)
    pyramid = viewer.add_labels([np.zeros((8, 8), np.uint8), np.zeros((4, 4), np.uint8)], multiscale=True)
    assert viewer.layers.selection.active is pyramid
    assert labels_in_question(viewer) is second, "a pyramid cannot be painted in"
    viewer.layers.selection.active = first
    assert labels_in_question(viewer) is first
    viewer.layers.selection.active = image
    assert labels_in_question(viewer) is second
    preview = add_labels(viewer, metadata={"napari_medseg": {"preview": True}})
    assert viewer.layers.selection.active is preview
    assert labels_in_question(viewer) is second, "a preview is nobody's to accept"


def test_follows_the_layer_in_question_and_lets_go_of_the_last(viewer: ViewerModel) -> None:
    """G1, G11."""
    first, second = add_labels(viewer), add_labels(viewer)
    view = LabelsInView(viewer)
    told: list[int] = []
    view.changed.connect(lambda: told.append(1))
    corrections_of(second).accept(1)
    assert view.layer is second
    assert len(told) == 1
    viewer.layers.remove(second)
    assert view.layer is first
    told.clear()
    corrections_of(second).accept(2)
    second.metadata = {}
    assert not told
    first.scale = (2, 1, 1)
    assert told
    view.close_down()
    told.clear()
    corrections_of(first).accept(0)
    viewer.dims.ndisplay = 3
    viewer.layers.clear()
    assert not told


def test_states_are_gathered_and_a_slice_dealt_with_is_no_suggestion_any_more(viewer: ViewerModel) -> None:
    layer = add_labels(viewer, metadata={"napari_medseg": {"missing": [0, 1, 5], "card": {"name": "x"}}})
    corrections = corrections_of(layer)
    layer.data_setitem((np.array([1]), np.array([2]), np.array([2])), 1)
    corrections.accept(3)
    corrections.set_held_out([1])
    corrections.set_suggested([4, 3, 2, 1])
    states = read_states(layer)
    assert states == SliceStates(
        frozenset({1}), frozenset({3}), frozenset({1}), (4, 2), frozenset({0, 5}), by_hand=False, filled=True
    )
    assert states.describe(1) == "corrected · held out: only measures"
    assert states.describe(5) == "no result yet"
    assert states.describe(2) == "look here next"
    assert [states.next_suggested(z) for z in (None, 0, 4, 2)] == [4, 4, 2, 4]
    assert SliceStates().next_suggested(3) is None
