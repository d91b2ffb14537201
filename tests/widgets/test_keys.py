"""Keys of the viewer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils.action_manager import action_manager
from napari.utils.key_bindings import KeymapHandler
from qtpy.QtWidgets import QApplication, QLineEdit, QPushButton, QSpinBox

from napari_medseg.editing.corrections import corrections_of
from napari_medseg.widgets.accept import AcceptButton
from napari_medseg.widgets.keys import KEYS, Keys, bound_keys


@pytest.fixture
def keys(viewer: ViewerModel) -> Iterator[Keys]:
    made = Keys(viewer)
    yield made
    made.close_down()


@pytest.fixture
def layer(viewer: ViewerModel) -> Any:
    made = viewer.add_labels(np.zeros((8, 8, 8), np.uint8), name="bone", scale=(3, 1, 1), translate=(9, 0, 0))
    viewer.dims.set_current_step(0, 2)
    return made


@pytest.fixture
def keys_and_layer(viewer: ViewerModel, keys: Keys, layer: Any) -> tuple[ViewerModel, Any]:
    return viewer, layer


def press(viewer: ViewerModel, key: str) -> str:
    """Press a key as the window would, and read the status line."""
    handler = KeymapHandler()
    active = viewer.layers.selection.active
    handler.keymap_providers = [viewer] if active is None else [active, viewer]
    viewer.status = ""
    handler.press_key(key)
    return str(viewer.status)


def shown(viewer: ViewerModel) -> int:
    return int(viewer.dims.current_step[0])


def test_a_accepts_the_shown_slice_and_takes_it_back_and_stays(viewer: ViewerModel, keys: Keys, layer: Any) -> None:
    corrections_of(layer).set_suggested([5])
    assert press(viewer, "A") == "Slice 2 is accepted; 1 suggestion left"
    assert corrections_of(layer).accepted == {2}
    assert shown(viewer) == 2
    assert press(viewer, "A") == "Slice 2 is no longer accepted"
    assert corrections_of(layer).accepted == frozenset()


def test_accepting_a_slice_without_a_result_says_what_that_means(viewer: ViewerModel, keys: Keys, layer: Any) -> None:
    layer.metadata = {"napari_medseg": {"missing": [2, 3]}}
    assert press(viewer, "A") == "Slice 2 is accepted, without a result: all of it counts as background"


def test_nothing_is_accepted_that_is_not_seen(viewer: ViewerModel, keys: Keys, layer: Any) -> None:
    """G5, G9."""
    viewer.dims.ndisplay = 3
    assert press(viewer, "A") == "No single slice of “bone” is shown, so none was accepted"
    assert corrections_of(layer).accepted == frozenset()
    corrections_of(layer).set_suggested([5])
    assert "turn the view back" in press(viewer, "N")
    viewer.layers.clear()
    assert "segment first" in press(viewer, "A")


def test_n_goes_from_one_suggestion_to_the_next_and_past_what_is_done(
    viewer: ViewerModel, keys: Keys, layer: Any
) -> None:
    assert press(viewer, "N") == "No suggestions yet: segment first"
    corrections = corrections_of(layer)
    corrections.set_suggested([6, 1, 4])
    assert press(viewer, "N") == "Slice 6: suggestion 1 of 3, most doubtful first"
    assert shown(viewer) == 6
    press(viewer, "N")
    assert shown(viewer) == 1
    press(viewer, "A")
    layer.data_setitem((np.array([6]), np.array([2]), np.array([2])), 1)
    press(viewer, "N")
    assert shown(viewer) == 4
    assert press(viewer, "N") == "Slice 4 is the last suggestion left: correct it, or accept it"
    press(viewer, "A")
    assert press(viewer, "N").startswith("All suggested slices are done")
    assert shown(viewer) == 4


def test_n_skips_no_suggestion_wherever_it_is_pressed(viewer: ViewerModel, keys: Keys, layer: Any) -> None:
    """Also where the slice in view is a suggestion that nobody was led to."""
    corrections = corrections_of(layer)
    for _ in range(2):
        corrections.set_suggested([6, 1, 4, 7])
        viewer.dims.set_current_step(0, 4)
        assert press(viewer, "N") == "Slice 6: suggestion 1 of 4, most doubtful first"
        press(viewer, "N")
        assert shown(viewer) == 1
    viewer.dims.set_current_step(0, 3)
    walked = []
    for _ in range(4):
        press(viewer, "N")
        walked.append(shown(viewer))
    assert walked == [4, 7, 6, 1], "on from where it was, and round again"


def test_n_goes_on_from_a_suggestion_that_is_done(viewer: ViewerModel, keys: Keys, layer: Any) -> None:
    corrections_of(layer).set_suggested([6, 1, 4])
    press(viewer, "N")
    press(viewer, "N")
    press(viewer, "A")
    press(viewer, "N")
    assert shown(viewer) == 4, "6 was looked at and left"


def test_comma_and_period_walk_the_slices_that_are_done(viewer: ViewerModel, keys: Keys, layer: Any) -> None:
    assert press(viewer, ".") == "No slice is corrected or accepted yet"
    for z in (1, 4, 7):
        corrections_of(layer).accept(z)
    walked = []
    for key in "..,,,":
        press(viewer, key)
        walked.append(shown(viewer))
    assert walked == [4, 7, 4, 1, 7]


def test_walk_goes_the_slider_s_way_through_a_stack_that_runs_backwards(viewer: ViewerModel, keys: Keys) -> None:
    """G5."""
    layer = viewer.add_labels(np.zeros((8, 8, 8), np.uint8), scale=(-1, 1, 1))
    for z in (1, 4, 6):
        corrections_of(layer).accept(z)
    viewer.dims.set_current_step(0, 0)
    walked = []
    for key in "...":
        press(viewer, key)
        walked.append(shown(viewer))
    assert walked == [1, 3, 6]


def test_keys_the_user_has_bound_are_left_alone(viewer: ViewerModel, layer: Any) -> None:
    called: list[str] = []

    def mine(_: Any) -> None:
        called.append("mine")

    viewer.bind_key("a", mine)
    keys = Keys(viewer)
    assert set(bound_keys(viewer)) == set(KEYS) - {"A"}
    press(viewer, "A")
    assert called == ["mine"]
    keys.close_down()
    assert bound_keys(viewer) == {}
    press(viewer, "A")
    assert called == ["mine", "mine"]
    viewer.bind_key("a", None)


def test_key_bound_over_ours_stays_the_user_s_when_we_go(viewer: ViewerModel, layer: Any) -> None:
    keys = Keys(viewer)
    viewer.bind_key("n", print, overwrite=True)
    assert "N" not in bound_keys(viewer)
    keys.close_down()
    assert list(viewer.keymap.values()) == [print]


def test_key_given_to_napari_in_the_preferences_is_given_up(viewer: ViewerModel, keys: Keys, layer: Any) -> None:
    assert "A" in bound_keys(viewer)
    action_manager.register_action("test:act", lambda: None, "Act", type(layer))
    try:
        action_manager.bind_shortcut("test:act", "A")
        assert "A" not in bound_keys(viewer)
    finally:
        action_manager.unbind_shortcut("test:act")
        action_manager._actions.pop("test:act")
    assert "A" in bound_keys(viewer)


@pytest.mark.parametrize(("kind", "acts"), [(QLineEdit, False), (QSpinBox, False), (QPushButton, True)])
def test_no_key_acts_while_something_is_typed(
    qtbot: Any, keys_and_layer: tuple[ViewerModel, Any], monkeypatch: pytest.MonkeyPatch, kind: Any, acts: bool
) -> None:
    viewer, layer = keys_and_layer
    field = kind()
    qtbot.addWidget(field)
    monkeypatch.setattr(QApplication, "focusWidget", lambda: field)
    press(viewer, "A")
    assert (corrections_of(layer).accepted == {2}) is acts


def test_napari_leaves_these_keys_free() -> None:
    """No layer kind that images and labels are shown in has them, and neither has the viewer."""
    from napari.layers import Image, Labels

    for kind in (*ViewerModel.__mro__, *Labels.__mro__, *Image.__mro__):
        taken = {str(key) for key in getattr(kind, "class_keymap", {})}
        assert not taken & set(KEYS)


def test_button_names_its_key_only_where_it_is_bound(qtbot: Any, viewer: ViewerModel, layer: Any) -> None:
    button = AcceptButton(viewer)
    qtbot.addWidget(button)
    assert "Key" not in button.toolTip()
    keys = Keys(viewer)
    button.refresh()
    assert button.toolTip().endswith("Key: A")
    keys.close_down()
    button.close_down()
