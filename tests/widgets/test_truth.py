"""What of a labels layer is true: chosen per layer, counted without reading all of it again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_medseg.core import ClassInfo, ModelCard
from napari_medseg.editing.corrections import Corrections, corrections_of
from napari_medseg.inference.options import SegmentOptions
from napari_medseg.widgets.new_labels import set_classes
from napari_medseg.widgets.pairs_list import PairsList
from napari_medseg.widgets.result_layer import result_layer
from napari_medseg.widgets.slice_states import read_states
from napari_medseg.widgets.truth import choose_strokes, copy_truth, find_truth, forget_counts, has_strokes


def dab(layer: Any, z: int, value: int = 1, size: int = 3) -> None:
    y, x = np.mgrid[:size, :size]
    layer.data_setitem((np.full(y.size, z), y.ravel(), x.ravel()), value)


@pytest.fixture
def by_hand(viewer: ViewerModel) -> Any:
    data = np.zeros((6, 16, 16), np.uint8)
    data[3, 5, 5] = 2
    return viewer.add_labels(data, name="mine")


def test_slices_are_counted_as_the_strip_draws_them(
    viewer: ViewerModel, cards: list[ModelCard], make_stack: Callable[..., Any]
) -> None:
    """One that was corrected and accepted is accepted in both."""
    layer = result_layer(viewer, make_stack(slices=8, side=20), cards[0], SegmentOptions())
    corrections = corrections_of(layer)
    for z in (0, 1, 2, 3):
        dab(layer, z)
    for z in (3, 5, 6):
        corrections.accept(z)
    states = read_states(layer)
    assert (len(states.corrected - states.accepted), len(states.accepted)) == (3, 3)
    assert find_truth(layer).describe() == "3 corrected · 3 accepted slices"
    choose_strokes(layer, True)
    assert find_truth(layer).describe() == "strokes in 3 slices · 3 accepted slices; the rest is unknown"
    for z in (0, 1, 2):
        corrections.accept(z)
    assert find_truth(layer).describe() == "6 accepted slices; the rest is unknown"
    choose_strokes(layer, False)
    assert find_truth(layer).describe() == "6 accepted slices"


def test_in_strokes_of_one_s_own_only_what_is_painted_counts(by_hand: Any) -> None:
    choose_strokes(by_hand, True)
    corrections_of(by_hand).accept(3)
    assert find_truth(by_hand).describe() == "strokes in 1 slice; the rest is unknown"


def test_whole_slices_count_until_a_class_is_called_background(by_hand: Any) -> None:
    assert not has_strokes(by_hand)
    set_classes(by_hand, (ClassInfo.numbered(1, "bone"), ClassInfo.numbered(2, "background")))
    assert has_strokes(by_hand), "nobody paints background where 0 means it"
    choose_strokes(by_hand, False)
    assert not has_strokes(by_hand), "the user's choice counts"
    assert find_truth(by_hand).describe() == "1 painted slice; without a label is background"


@pytest.mark.parametrize(
    ("strokes", "area", "words"),
    [
        (True, False, "strokes in 1 slice; the rest is unknown"),
        (True, True, "strokes in 1 work area; the rest is unknown"),
        (False, True, "1 painted work area; without a label is background"),
    ],
)
def test_row_says_what_the_rest_means(by_hand: Any, strokes: bool, area: bool, words: str) -> None:
    choose_strokes(by_hand, strokes)
    assert find_truth(by_hand, area=area).describe() == words


def test_a_stroke_makes_nothing_but_its_slice_be_read_again(by_hand: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    before = Corrections.before
    monkeypatch.setattr(Corrections, "before", lambda self, z=0: read.append(z) or before(self, z))
    assert find_truth(by_hand).slices == (3,)
    assert len(read) == 6
    dab(by_hand, 1)
    assert find_truth(by_hand).slices == (1, 3)
    dab(by_hand, 3, 0, size=8)
    assert find_truth(by_hand).slices == (1,), "what is erased whole is no longer painted"
    by_hand.undo()
    by_hand.undo()
    assert find_truth(by_hand).slices == (3,)
    assert len(read) == 6
    by_hand.data = np.ones((6, 16, 16), np.uint8)
    assert find_truth(by_hand).slices == tuple(range(6)), "new data are read"


def test_slices_written_by_a_script_count_at_the_click(by_hand: Any) -> None:
    find_truth(by_hand)
    by_hand.data[5, 2, 2] = 1
    forget_counts(by_hand)
    assert find_truth(by_hand).slices == (3, 5)


def test_value_that_does_not_count_is_none_of_the_layer_s(viewer: ViewerModel) -> None:
    layer = viewer.add_labels(np.full((1, 4, 4), 255, np.uint8))
    choose_strokes(layer, True)
    layer.data[0, 0] = 0
    planes, unlabelled = copy_truth(layer, find_truth(layer))
    assert unlabelled == 65535
    assert sorted(np.unique(planes)) == [255, 65535]


def test_loaded_masks_are_ticked_by_the_user_only(
    qtbot: Any, viewer: ViewerModel, make_stack: Callable[..., Any]
) -> None:
    """A truth that was opened to measure against must not become training data unasked."""
    make_stack()
    layer = viewer.add_labels(np.ones((6, 24, 24), np.uint8), name="truth")
    pairs = PairsList(viewer)
    qtbot.addWidget(pairs)
    [row] = pairs.rows
    assert row.check.isEnabled()
    assert not row.check.isChecked()
    row.check.click()
    assert [pair.labels for pair in pairs.value()] == [layer]
    row.check.click()
    assert pairs.value() == ()
    corrections_of(layer).accept(2)
    pairs.refresh()
    assert not row.check.isChecked(), "the user has decided"
    pairs.close_down()


def test_row_offers_the_choice_and_keeps_it_with_the_layer(
    qtbot: Any, viewer: ViewerModel, make_stack: Callable[..., Any]
) -> None:
    make_stack()
    layer = viewer.add_labels(np.zeros((6, 24, 24), np.uint8), name="mine")
    pairs = PairsList(viewer)
    qtbot.addWidget(pairs)
    [row] = pairs.rows
    assert row.kind.isHidden(), "nothing is painted yet"
    dab(layer, 2)
    pairs.refresh()
    assert row.check.isChecked()
    row.kind.setCurrentIndex(1)
    row.kind.activated.emit(1)
    assert row.summary.text() == "strokes in 1 slice; the rest is unknown"
    assert pairs.value()[0].truth.strokes
    pairs.close_down()
    again = PairsList(viewer)
    qtbot.addWidget(again)
    assert again.rows[0].kind.currentText() == "Strokes only"
    again.close_down()
