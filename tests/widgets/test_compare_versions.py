"""Two versions on the slice in view: outlines, how much they differ, and which is nearer to what was painted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_medseg._layers import is_preview
from napari_medseg.core import ClassInfo, InputError, ModelCard
from napari_medseg.inference.versus import Versus
from napari_medseg.widgets.compare_versions import CompareVersions, find_rivals

ONE = ModelCard(name="grey-bone", classes=(ClassInfo.numbered(1, "bone"),))
TWO = ONE.model_copy(update={"version": 2})


@pytest.fixture
def versions(viewer: ViewerModel, qtbot: Any) -> CompareVersions:
    widget = CompareVersions(viewer)
    qtbot.addWidget(widget)
    widget.show_for(TWO, (ONE, TWO))
    return widget


def test_parents_come_first_then_newer_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    start = ONE.model_copy(update={"name": "start"})
    three = ONE.model_copy(update={"version": 3})
    cards = (start, ONE, TWO, three)
    monkeypatch.setattr("napari_medseg.models.library.lineage", lambda card: (start, card))
    assert [c.reference for c in find_rivals(TWO, cards)] == ["start@1", "grey-bone@3", "grey-bone@1"]


def test_a_model_without_rivals_offers_nothing(versions: CompareVersions) -> None:
    versions.show_for(ONE, (ONE,))
    assert versions.isHidden()


def test_without_an_image_it_says_so(versions: CompareVersions) -> None:
    with pytest.raises(InputError, match="no image to compare on"):
        versions.prepare()


def test_what_is_in_view_and_what_is_true_there_is_copied(
    versions: CompareVersions, viewer: ViewerModel, corrected: Any
) -> None:
    viewer.dims.set_current_step(0, 1)
    contest = versions.prepare()
    assert contest.z == 1
    assert contest.cards == (TWO, ONE)
    assert np.array_equal(contest.truth, corrected.data[1])
    viewer.dims.set_current_step(0, 3)
    assert versions.prepare().truth is None, "nobody has looked at that one"


@pytest.mark.parametrize(
    ("first", "name", "second"),
    [
        (["#e69f00"], "light blue", "#56b4e9"),
        (["#50b0f0"], "orange", "#e69f00"),
        (["#e69f00", "#56b4e9"], "purple", "#aa4499"),
    ],
)
def test_second_model_is_outlined_in_a_colour_seen_on_white_and_unlike_the_first(
    versions: CompareVersions,
    viewer: ViewerModel,
    make_stack: Callable[..., Any],
    first: list[str],
    name: str,
    second: str,
) -> None:
    classes = tuple(ClassInfo(value=n, name=f"bone {n}", color=color) for n, color in enumerate(first, 1))
    cards = tuple(card.model_copy(update={"classes": classes}) for card in (ONE, TWO))
    versions.show_for(cards[1], cards)
    make_stack()
    planes = (np.ones((24, 24), np.uint8), np.ones((24, 24), np.uint8))
    said = versions.show_result(versions.prepare(), Versus(planes, 0, (None, None)))
    assert f"and grey-bone v1 ({name})." in said
    outlines = [layer for layer in viewer.layers if is_preview(layer)]
    for color, layer in zip((first[0], second), outlines, strict=True):
        np.testing.assert_allclose(layer.get_color(1)[:3], np.array([*bytes.fromhex(color[1:])]) / 255, atol=0.01)


def test_outlines_lie_on_the_slice_and_go_with_the_next_comparison(
    versions: CompareVersions, viewer: ViewerModel, make_stack: Callable[..., Any]
) -> None:
    image = make_stack()
    viewer.dims.set_current_step(0, 2)
    viewer.layers.selection.active = image
    planes = (np.ones((24, 24), np.uint8), np.zeros((24, 24), np.uint8))
    contest = versions.prepare()
    said = versions.show_result(contest, Versus(planes, 576, (0.9, 0.812)))
    assert "576 pixels (100.0%) differ between grey-bone v2 and grey-bone v1 (light blue)" in said
    assert "0.900 against 0.812" in said
    outlines = [layer for layer in viewer.layers if is_preview(layer)]
    assert [layer.data.shape for layer in outlines] == [(1, 24, 24)] * 2
    assert all(layer.contour and not layer.editable for layer in outlines)
    assert outlines[0].data_to_world((0, 0, 0))[0] == image.data_to_world((2, 0, 0))[0]
    assert viewer.layers.selection.active is image
    said = versions.show_result(contest, Versus(planes, 0, (None, None)))
    assert "Dice" not in said
    assert len([layer for layer in viewer.layers if is_preview(layer)]) == 2
    versions.clear()
    assert [*viewer.layers] == [image]
