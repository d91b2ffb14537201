"""The accept button follows what is shown and what else accepts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_medseg.editing.corrections import corrections_of
from napari_medseg.widgets.accept import AcceptButton


@pytest.fixture
def button(qtbot: Any, viewer: ViewerModel) -> Iterator[AcceptButton]:
    made = AcceptButton(viewer)
    qtbot.addWidget(made)
    yield made
    made.close_down()


def test_without_labels_there_is_nothing_to_accept(viewer: ViewerModel, button: AcceptButton) -> None:
    """G9."""
    assert not button.isEnabled()
    assert button.text() == "Accept the shown slice"
    viewer.add_image(np.zeros((4, 8, 8)))
    assert not button.isEnabled()
    layer = viewer.add_labels(np.zeros((4, 8, 8), np.uint8))
    assert button.isEnabled()
    viewer.layers.remove(layer)
    assert not button.isEnabled()


def test_click_accepts_the_shown_slice_and_a_second_takes_it_back(viewer: ViewerModel, button: AcceptButton) -> None:
    layer = viewer.add_labels(np.zeros((4, 8, 8), np.uint8))
    viewer.dims.set_current_step(0, 3)
    assert button.text() == "Accept slice 3: it is right"
    button.click()
    assert corrections_of(layer).accepted == {3}
    assert button.text() == "Accepted: slice 3 is right (take back)"
    assert viewer.status == "Slice 3 is accepted"
    button.click()
    assert corrections_of(layer).accepted == frozenset()
    assert button.text() == "Accept slice 3: it is right"


def test_button_shows_what_was_accepted_elsewhere(viewer: ViewerModel, button: AcceptButton) -> None:
    layer = viewer.add_labels(np.zeros((4, 8, 8), np.uint8))
    viewer.dims.set_current_step(0, 1)
    corrections_of(layer).accept(1)
    assert "take back" in button.text()
    viewer.dims.set_current_step(0, 2)
    assert "it is right" in button.text()


def test_button_acts_on_another_layer_when_that_one_is_chosen(viewer: ViewerModel, button: AcceptButton) -> None:
    """G1."""
    first, second = (viewer.add_labels(np.zeros((4, 8, 8), np.uint8)) for _ in range(2))
    viewer.layers.selection.active = first
    button.click()
    assert corrections_of(first).accepted
    assert not corrections_of(second).accepted
    viewer.layers.remove(first)
    assert button.layer() is second
    assert "it is right" in button.text()


def test_no_click_where_no_single_slice_is_shown(viewer: ViewerModel, button: AcceptButton) -> None:
    """G5: in 3D, from the side, beyond the stack."""
    viewer.add_labels(np.zeros((4, 8, 8), np.uint8), name="bone")
    for show in ({"ndisplay": 3}, {"order": (1, 0, 2)}):
        for name, value in show.items():
            setattr(viewer.dims, name, value)
        assert not button.isEnabled()
        assert button.text() == "Accept: no single slice is shown"
        viewer.dims.ndisplay, viewer.dims.order = 2, (0, 1, 2)
        assert button.isEnabled()
    viewer.add_image(np.zeros((9, 8, 8)))
    viewer.dims.set_current_step(0, 8)
    assert not button.isEnabled()


def test_single_image_is_accepted_as_a_whole(viewer: ViewerModel, button: AcceptButton) -> None:
    layer = viewer.add_labels(np.zeros((8, 8), np.uint8))
    assert button.text() == "Accept the image: it is right"
    button.click()
    assert corrections_of(layer).accepted == {0}
    assert viewer.status == "The image is accepted"
