"""Who changed which pixel, and results that keep the user's."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels as LabelsLayer

from napari_medseg.core import InputError
from napari_medseg.editing.corrections import Corrections, corrections_of

SHAPE = (4, 24, 30)


def opened(data: np.ndarray | None = None) -> tuple[ViewerModel, LabelsLayer, Corrections]:
    viewer = ViewerModel()
    layer = viewer.add_labels(np.zeros(SHAPE, np.uint8) if data is None else data)
    return viewer, layer, Corrections(layer)


def stroke(layer: LabelsLayer, *points: tuple[float, ...], label: int = 1) -> None:
    """Drag the brush over points, as the mouse does."""
    layer._begin_stroke()
    for point in points:
        layer.paint(point, label)
    layer._commit_stroke()


def test_painted_pixels_are_corrections_and_undone_ones_are_not() -> None:
    _, layer, corrections = opened()
    stroke(layer, (0, 5, 5), (0, 5, 9))
    assert corrections.edited_slices() == (0,)
    assert (corrections.edited(0) == (layer.data[0] == 1)).all()
    layer.undo()
    assert corrections.edited_slices() == ()
    layer.redo()
    assert corrections.edited(0).sum() == (layer.data[0] == 1).sum() > 0


def test_erasing_counts_as_a_correction() -> None:
    _, layer, corrections = opened(np.ones(SHAPE, np.uint8))
    stroke(layer, (0, 5, 5), label=0)
    assert (corrections.edited(0) == (layer.data[0] == 0)).all()


def test_fill_and_scripted_edits_count() -> None:
    viewer, layer, corrections = opened()
    viewer.dims.current_step = (2, 0, 0)
    layer.fill((2, 5, 5), 2)
    assert corrections.edited(2).all()
    layer.data_setitem((np.array([0, 1]), np.array([3, 4]), np.array([5, 6])), 3)
    assert corrections.edited_slices() == (0, 1, 2)
    assert np.argwhere(corrections.edited(1)).tolist() == [[4, 6]]


def test_stroke_through_several_slices_is_one_correction_each() -> None:
    _, layer, corrections = opened()
    layer.n_edit_dimensions = 3
    layer.brush_size = 3
    stroke(layer, (2, 5, 5))
    assert corrections.edited_slices() == (1, 2, 3)
    layer.undo()
    assert corrections.edited_slices() == ()


def test_results_of_the_program_are_not_corrections() -> None:
    _, layer, corrections = opened()
    assert corrections.write(1, np.ones(SHAPE[1:], np.uint8))
    assert corrections.edited_slices() == ()
    stroke(layer, (0, 5, 5))
    corrections.write(0, np.full(SHAPE[1:], 3, np.uint8))
    assert corrections.edited_slices() == (0,)


def test_users_pixels_win_over_results() -> None:
    """G6."""
    _, layer, corrections = opened()
    stroke(layer, (0, 5, 5), label=2)
    mine = layer.data[0] == 2
    for value in (1, 2, 3):
        corrections.write(0, np.full(SHAPE[1:], value, np.uint8))
        assert (layer.data[0][mine] == 2).all()
        assert (layer.data[0][~mine] == value).all()
        # Also after a result that happened to agree with them.
        assert (corrections.edited(0) == mine).all()


def test_result_during_a_stroke_waits_for_its_end() -> None:
    """G6."""
    _, layer, corrections = opened()
    layer._begin_stroke()
    layer.paint((0, 5, 5), 2)
    assert not corrections.write(0, np.ones(SHAPE[1:], np.uint8))
    assert corrections.waiting == {0}
    assert layer.data[0, 20, 20] == 0
    layer.paint((0, 5, 9), 2)
    layer._commit_stroke()
    assert not corrections.waiting
    assert layer.data[0, 5, 5] == layer.data[0, 5, 9] == 2
    assert layer.data[0, 20, 20] == 1


def test_result_after_an_empty_or_aborted_stroke_is_written_by_flush() -> None:
    """G6."""
    _, layer, corrections = opened()
    layer._begin_stroke()
    corrections.write(0, np.ones(SHAPE[1:], np.uint8))
    layer._abort_stroke()
    assert corrections.flush()
    assert layer.data[0].all()


def test_undo_after_a_result_brings_no_stale_pixels_back() -> None:
    """G7."""
    viewer, layer, corrections = opened()
    stroke(layer, (0, 5, 5), label=2)
    viewer.dims.current_step = (3, 0, 0)
    stroke(layer, (3, 5, 5), label=2)
    corrections.write(0, np.ones(SHAPE[1:], np.uint8))
    shown = layer.data[0].copy()
    layer.undo()
    layer.undo()
    layer.redo()
    layer.redo()
    assert (layer.data[0] == shown).all()
    assert layer.data[3].any()  # the stroke in another slice could be undone and redone


@pytest.mark.parametrize("scripted", [False, True])
def test_result_in_one_slice_leaves_a_stroke_through_others_undoable(scripted: bool) -> None:
    """G7."""
    _, layer, corrections = opened()
    if scripted:
        layer.data_setitem((np.array([0, 1, 2]), np.array([5, 5, 5]), np.array([5, 5, 5])), [2, 3, 4])
    else:
        layer.n_edit_dimensions = 3
        layer.brush_size = 5
        stroke(layer, (1, 5, 5), label=2)
    painted = layer.data.copy()
    corrections.write(1, np.ones(SHAPE[1:], np.uint8))
    shown = layer.data[1].copy()
    layer.undo()
    assert not layer.data[[0, 2, 3]].any()
    assert (layer.data[1] == shown).all()
    assert corrections.edited_slices() == (1,)
    layer.redo()
    assert (layer.data[[0, 2, 3]] == painted[[0, 2, 3]]).all()
    assert (layer.data[1] == shown).all()


def test_undo_in_a_hidden_layer_before_a_result_is_not_missed() -> None:
    """G5, G7: napari tells of it only when the layer is shown again."""
    _, layer, corrections = opened()
    stroke(layer, (0, 5, 5))
    stroke(layer, (2, 5, 5))
    layer.visible = False
    layer.undo()
    told: list[object] = []
    corrections.touched.connect(told.append)
    corrections.write(3, np.ones(SHAPE[1:], np.uint8))
    assert [list(boxes) for boxes in told] == [[2]]


def test_listeners_find_the_pixels_of_scripted_edits_and_fills_in_the_layer() -> None:
    """napari itself tells of them first and writes then."""
    _, layer, corrections = opened()
    seen: list[int] = []
    corrections.changed.connect(lambda: seen.append(int(corrections.edited(0).sum())))
    layer.data_setitem((np.array([0]), np.array([4]), np.array([6])), 3)
    layer.fill((0, 0, 0), 2)
    assert seen == [1, SHAPE[1] * SHAPE[2]]


def test_suggested_and_held_out_slices_are_kept_and_told() -> None:
    _, layer, corrections = opened()
    told: list[int] = []
    corrections.changed.connect(lambda: told.append(1))
    corrections.set_suggested([2, 0])
    corrections.set_held_out([3])
    assert (corrections.suggested, corrections.held_out, len(told)) == ((2, 0), {3}, 2)
    layer.data = layer.data.copy()
    assert corrections.suggested == (2, 0)
    layer.data = np.zeros((2, 8, 8), np.uint8)
    assert (corrections.suggested, corrections.held_out) == ((), frozenset())


def test_restored_pixels_are_the_users_and_newer_ones_win() -> None:
    """G6."""
    _, layer, corrections = opened()
    stroke(layer, (1, 5, 5), label=4)
    newer = corrections.edited(1)
    mine = np.zeros(SHAPE[1:], bool)
    mine[:8, :8] = True
    corrections.restore(1, np.where(mine, 2, 9).astype(np.uint8), mine)
    assert (layer.data[1] == np.where(newer, 4, np.where(mine, 2, 0))).all()
    assert (corrections.edited(1) == (mine | newer)).all()
    corrections.write(1, np.full(SHAPE[1:], 7, np.uint8))
    assert (layer.data[1] == np.where(newer, 4, np.where(mine, 2, 7))).all()


def test_strokes_before_the_first_look_count() -> None:
    viewer = ViewerModel()
    layer = viewer.add_labels(np.zeros(SHAPE, np.uint8))
    stroke(layer, (0, 5, 5))
    stroke(layer, (0, 5, 6), label=2)
    viewer.dims.current_step = (1, 0, 0)
    stroke(layer, (1, 5, 5))
    layer.undo()
    corrections = Corrections(layer)
    assert corrections.edited_slices() == (0,)
    assert (corrections.edited(0) == (layer.data[0] > 0)).all()
    layer.redo()
    assert corrections.edited_slices() == (0, 1)


def test_edits_of_a_hidden_layer_are_seen() -> None:
    """G5."""
    _, layer, corrections = opened()
    stroke(layer, (0, 5, 5))
    layer.visible = False
    layer.undo()
    assert corrections.edited_slices() == ()


def test_accepted_slice_is_left_alone_until_taken_back() -> None:
    _, layer, corrections = opened()
    corrections.accept(1)
    corrections.write(1, np.ones(SHAPE[1:], np.uint8))
    assert corrections.accepted == {1}
    assert not layer.data[1].any()
    corrections.accept(1, False)
    corrections.write(1, np.ones(SHAPE[1:], np.uint8))
    assert layer.data[1].all()


def test_replaced_data_of_the_same_shape_keeps_corrections_and_drops_undo() -> None:
    """G1."""
    _, layer, corrections = opened()
    stroke(layer, (0, 5, 5))
    mine = corrections.edited(0)
    layer.data = layer.data.copy()
    layer.undo()
    assert (corrections.edited(0) == mine).all()
    assert (layer.data[0] == mine).all()


def test_replaced_data_of_another_shape_starts_afresh() -> None:
    """G1."""
    _, layer, corrections = opened()
    stroke(layer, (0, 5, 5))
    corrections.accept(2)
    layer.data = np.zeros((2, 8, 8), np.uint8)
    assert corrections.edited_slices() == ()
    assert not corrections.accepted
    with pytest.raises(InputError, match="no longer has the size"):
        corrections.write(0, np.ones(SHAPE[1:], np.uint8))


def test_value_that_does_not_fit_the_layer_is_refused() -> None:
    """G10."""
    _, _, corrections = opened()
    with pytest.raises(InputError, match="of type uint8 cannot hold the label 300"):
        corrections.write(0, np.full(SHAPE[1:], 300))


def test_single_image_is_slice_0() -> None:
    viewer = ViewerModel()
    layer = viewer.add_labels(np.zeros(SHAPE[1:], np.uint16))
    corrections = Corrections(layer)
    stroke(layer, (5, 5), label=2)
    mine = layer.data == 2
    corrections.write(0, np.ones(SHAPE[1:], np.uint8))
    assert corrections.edited_slices() == (0,)
    assert (layer.data == np.where(mine, 2, 1)).all()
    layer.undo()
    assert (layer.data == np.where(mine, 2, 1)).all()


@pytest.mark.parametrize("turned", [False, True])
def test_only_the_shown_slice_is_drawn_again(turned: bool) -> None:
    viewer, layer, corrections = opened()
    if turned:
        viewer.dims.order = (1, 0, 2)
    drawn: list[object] = []
    layer.events.set_data.connect(drawn.append)
    corrections.write(2, np.ones(SHAPE[1:], np.uint8))
    assert len(drawn) == turned
    viewer.dims.current_step = (2, 0, 0)
    drawn.clear()
    corrections.write(2, np.ones(SHAPE[1:], np.uint8))
    assert len(drawn) == 1
    assert layer.data[2].all()


def test_change_is_told_for_edits_undo_and_acceptance_only() -> None:
    viewer, layer, corrections = opened()
    told: list[int] = []
    corrections.changed.connect(lambda: told.append(1))
    for action, times in (
        (lambda: stroke(layer, (0, 5, 5)), 1),
        (layer.undo, 1),
        (lambda: corrections.accept(1), 1),
        (lambda: setattr(viewer.dims, "current_step", (3, 0, 0)), 0),
        (lambda: corrections.write(3, np.ones(SHAPE[1:], np.uint8)), 0),
    ):
        told.clear()
        action()
        assert len(told) == times


def test_one_record_a_layer_gone_with_the_layer() -> None:
    """G11."""
    layer = LabelsLayer(np.zeros(SHAPE, np.uint8))
    corrections = corrections_of(layer)
    assert corrections_of(layer) is corrections
    gone = weakref.ref(layer)
    del layer
    gc.collect()
    assert gone() is None
    with pytest.raises(InputError, match="does not exist any more"):
        corrections.edited(0)


def test_disconnected_record_no_longer_listens() -> None:
    _, layer, corrections = opened()
    corrections.disconnect()
    stroke(layer, (0, 5, 5))
    assert corrections.edited_slices() == ()


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_record_equals_a_dense_reference_through_any_edits(seed: int, ndim: int) -> None:
    """G6, G7."""
    rng = np.random.default_rng(seed)
    viewer = ViewerModel()
    shape = SHAPE[3 - ndim :]
    layer = viewer.add_labels(rng.integers(0, 4, shape).astype(np.uint8))
    corrections = Corrections(layer)
    program = layer.data.copy()  # what the program last wrote
    fixed = np.zeros(shape, bool)  # the user's at an earlier result
    for _ in range(120):
        z = int(rng.integers(SHAPE[0]))
        point = (z, *(int(rng.integers(n)) for n in SHAPE[1:]))[3 - ndim :]
        if ndim == 3:
            viewer.dims.current_step = (z, 0, 0)
        layer.brush_size = int(rng.integers(1, 8))
        layer.n_edit_dimensions = int(rng.integers(2, ndim + 1))
        label = int(rng.integers(5))
        action = rng.choice(["paint", "fill", "set", "undo", "redo", "write", "polygon"])
        if action == "paint":
            stroke(layer, point, (*point[:-2], point[-2] + 2, point[-1] + 2), label=label)
        elif action == "fill":
            layer.fill(point, label)
        elif action == "polygon":
            if layer.n_edit_dimensions == 2:
                layer.paint_polygon(
                    [point, (*point[:-1], point[-1] + 6), (*point[:-2], point[-2] + 6, point[-1])], label
                )
        elif action == "set":
            where = tuple(np.array([p, max(p - 1, 0)]) for p in point)
            layer.data_setitem(where, label)
        elif action == "write":
            result = rng.integers(0, 4, SHAPE[1:]).astype(np.uint8)
            index = z if ndim == 3 else ...
            before = layer.data.copy()
            mine = (fixed | (layer.data != program))[index]
            corrections.write(z if ndim == 3 else 0, result)
            fixed[index] |= mine
            program[index] = result
            assert (layer.data[index] == np.where(mine, before[index], result)).all()
        else:
            getattr(layer, action)()
        expected = fixed | (layer.data != program)
        for k in range(SHAPE[0] if ndim == 3 else 1):
            assert (corrections.edited(k) == (expected[k] if ndim == 3 else expected)).all(), action
