"""Which slices and strokes measure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from napari_medseg.training.split import Measured, Past, hold_out
from napari_medseg.training.truth import Painted

Paint = Callable[..., list[Painted]]

BACKGROUND = frozenset({0, 3})


def strokes(*values: int, length: int = 6, side: int = 64) -> np.ndarray:
    """Strokes of these values below one another, 3 pixels thick."""
    mask = np.zeros((side, side), np.uint8)
    for i, value in enumerate(values):
        mask[2 + 6 * i : 5 + 6 * i, 4 : 4 + length] = value
    return mask


def as_strokes(painted: list[Painted]) -> list[Painted]:
    return [replace(one, unlabelled=0) for one in painted]


def distinct(painted: list[Painted]) -> list[Painted]:
    """The same, of slices whose pixels differ."""
    for i, one in enumerate(painted):
        one.image.data[i, 60, 60] = i + 1
    return painted


def labelled(parts: list[Painted]) -> dict[int, np.ndarray]:
    """Labelled pixels by slice."""
    return {one.z: one.values != one.unlabelled for one in parts}


def test_of_few_slices_with_strokes_every_fifth_stroke_of_a_class_measures(paint_slices: Paint) -> None:
    painted = as_strokes(paint_slices(strokes(1, 1, 1, 1, 1, 3, 3, 3, 3, 3), strokes(1, 1, 1, 1, 1, 3, 3, 3, 3, 3)))
    training, measuring, note = hold_out(painted, 0.2, BACKGROUND)
    assert not note
    held = sum(int((one.values == value).sum()) for one in measuring for value in (1, 3))
    assert held == 4 * 18, "two of ten strokes of each value"
    whole, parts = labelled(training), labelled(measuring)
    for z, part in parts.items():
        assert not (part & whole[z]).any(), "no pixel both trains and measures"
        assert ((part | whole[z]) == (painted[z].values > 0)).all(), "no stroke is lost"


def test_a_stroke_is_held_out_with_all_its_pixels(paint_slices: Paint) -> None:
    """Never by pixel, corners that touch included."""
    diagonal = np.zeros((64, 64), np.uint8)
    diagonal[np.arange(40), np.arange(40)] = 1
    painted = as_strokes(paint_slices(diagonal, strokes(0, 0, 0, 0, 0, 0, 0, 1, 1, 3, 3)))
    _, measuring, _ = hold_out(painted, 0.3, BACKGROUND)
    assert sum(int((one.values == 1).sum()) for one in measuring) in (18, 40)
    _, (whole,), _ = hold_out(as_strokes(paint_slices(diagonal + strokes(*[0] * 9, 1))), 0.5, BACKGROUND)
    assert (whole.values == 1).sum() == 40


def test_each_class_keeps_a_stroke_that_trains(paint_slices: Paint) -> None:
    """T9, T2: a class of one stroke, or of single pixels, only trains."""
    mask = strokes(1, 1, 2, 3, 3)
    mask[50, 50] = mask[55, 55] = 4
    training, measuring, _ = hold_out(as_strokes(paint_slices(mask)), 0.2, BACKGROUND)
    assert set().union(*(one.shown for one in training)) == {1, 2, 3, 4}
    assert set().union(*(one.shown for one in measuring)) == {1, 3}


def test_too_few_strokes_all_train(paint_slices: Paint) -> None:
    """T2."""
    training, measuring, note = hold_out(as_strokes(paint_slices(strokes(1, 3, 3, 3))), 0.2, BACKGROUND)
    assert not measuring, "strokes of background alone would measure no class"
    assert (training[0].values > 0).sum() == 4 * 18
    assert "too few strokes" in note


def test_many_slices_with_strokes_are_held_out_whole(paint_slices: Paint) -> None:
    painted = as_strokes(paint_slices(*[strokes(1, 3)] * 6))
    training, measuring, _ = hold_out(painted, 0.2, BACKGROUND)
    assert ([one.z for one in measuring], len(training)) == ([3], 5)


def test_whole_slices_beside_strokes_train_whole(paint_slices: Paint) -> None:
    """Dense slices and strokes in one run: only strokes are divided while there are few slices."""
    dense, other = paint_slices(strokes(1, 2), strokes(1, 1, 1, 3, 3, 3))
    training, measuring, _ = hold_out([dense, replace(other, unlabelled=0)], 0.2, BACKGROUND)
    assert [one.z for one in measuring] == [1]
    assert training[0] is dense


def test_work_areas_measure_with_all_that_is_in_them(paint_slices: Paint) -> None:
    """0 is background inside of an area, another value is what nobody labelled."""
    mask = np.full((64, 64), 255, np.uint8)
    for i in range(5):
        mask[12 * i : 12 * i + 9, 4:30] = 0
        mask[12 * i + 3 : 12 * i + 6, 10:20] = 1
    painted = [replace(one, unlabelled=255) for one in paint_slices(mask)]
    _, (area,), _ = hold_out(painted, 0.2)
    assert ((area.values == 0).sum(), (area.values == 1).sum()) == (9 * 26 - 30, 30)


def test_of_neighbours_the_slice_with_most_classes_measures(paint_slices: Paint) -> None:
    shows = [(1,), (1, 2), (1,), (1,), (1, 2), (1,), (1,), (1, 2), (1,)]
    _, measuring, _ = hold_out(paint_slices(*[strokes(*s) for s in shows]), 0.2)
    assert [one.z for one in measuring if 2 in one.shown]


def test_slices_that_were_painted_measure_before_those_that_were_only_accepted(paint_slices: Paint) -> None:
    """What the start labelled itself, it cannot get wrong."""
    slices = distinct(paint_slices(*[strokes(1)] * 7))
    for at in range(1, 6):
        painted = [replace(one, accepted=one.z not in (0, at, 6)) for one in slices]
        training, measuring, _ = hold_out(painted, 0.4)
        assert [one.z for one in measuring] == [at]
        assert len(training) == 6
    whole = [replace(one, group="abc"[one.z // 3], accepted=one.z != 4) for one in slices]
    assert {one.group for one in hold_out(whole, 0.2)[1]} == {"b"}, "a group in which one was painted"
    painted = [replace(one, accepted=one.z not in (0, 6)) for one in slices]
    assert len(hold_out(painted, 0.2)[1]) == 1, "where nothing else can measure"
    past = Past(measured={painted[3].identity: Measured(np.ones((64, 64), bool), (0, 0), (64, 64))})
    assert [one.z for one in hold_out(painted, 0.4, past=past)[1]] == [3], "none beside what measured before"


def test_what_measured_once_goes_on_measuring(paint_slices: Paint) -> None:
    """Painted anew too; and what has trained is not chosen, which would flatter the start model."""
    painted = distinct(paint_slices(*[strokes(1)] * 7))
    ones = np.ones((64, 64), bool)
    past = Past(
        trained=frozenset(painted[i].identity for i in (0, 2, 3, 4)),
        measured={painted[1].identity: Measured(ones, (0, 0), (64, 64))},
    )
    training, measuring, _ = hold_out(painted, 0.2, past=past)
    assert [one.z for one in measuring] == [1]
    assert len(training) == 6
    _, measuring, _ = hold_out(painted, 0.4, past=past)
    assert [one.z for one in measuring] == [1, 5]


def test_a_class_is_learnt_even_where_it_measured_once(paint_slices: Paint) -> None:
    """T9."""
    painted = distinct(paint_slices(strokes(1), strokes(1, 2), strokes(1), strokes(1)))
    past = Past(measured={painted[1].identity: Measured(np.ones((64, 64), bool), (0, 0), (64, 64))})
    training, _, _ = hold_out(painted, 0.2, past=past)
    assert 2 in set().union(*(one.shown for one in training))


@pytest.mark.parametrize("whole", [64, 32], ids=["same grid", "coarser grid"])
def test_strokes_that_measured_once_go_on_measuring(paint_slices: Paint, whole: int) -> None:
    first, second = strokes(1, 1, 1, 1, 3, 3), strokes(1, 1, 1, 1, 3, 3, 1, 3)
    painted = as_strokes(paint_slices(first))
    _, (measured,), _ = hold_out(painted, 0.2, BACKGROUND)
    mask = measured.values != 0
    step = 64 // whole
    past = Past(
        frozenset({measured.identity}),
        {measured.identity: Measured(mask[::step, ::step][: whole // 2], (0, 0), (whole, whole))},
    )
    again = [replace(painted[0], values=second)]
    training, (anew,), _ = hold_out(again, 0.2, BACKGROUND, past)
    assert (anew.values[mask] != 0).all()
    assert (training[0].values[38:41, 4:10] == 1).all() or (anew.values[38:41, 4:10] == 1).all()


def test_a_class_of_strokes_is_learnt_even_where_it_measured_once(paint_slices: Paint) -> None:
    """T9."""
    painted = distinct(as_strokes(paint_slices(strokes(1, 1, 2, 3), strokes(1, 1, 3, 3))))
    past = Past(measured={painted[0].identity: Measured(np.ones((64, 64), bool), (0, 0), (64, 64))})
    training, measuring, _ = hold_out(painted, 0.2, BACKGROUND, past)
    assert set().union(*(one.shown for one in training)) == {1, 2, 3}
    assert 1 in set().union(*(one.shown for one in measuring))


def test_with_nothing_to_hold_out_everything_trains(paint_slices: Paint) -> None:
    painted = paint_slices(*[strokes(1)] * 4)
    past = Past(measured={painted[1].identity: Measured(np.ones((64, 64), bool), (0, 0), (64, 64))})
    assert hold_out(painted, 0.0, past=past) == (painted, [], "")


@pytest.mark.parametrize(("volumes", "whole"), [(4, False), (5, True)])
def test_of_several_volumes_whole_ones_measure(paint_slices: Paint, volumes: int, whole: bool) -> None:
    """Slices beside those that train would flatter."""
    mask = strokes(1, 2)
    painted = [one for _ in range(volumes) for one in paint_slices(mask, mask, mask, mask)]
    training, measuring, note = hold_out(painted, 0.2)
    assert not note
    assert len(training) + len(measuring) == 4 * volumes
    shared = {id(one.image) for one in training} & {id(one.image) for one in measuring}
    assert bool(shared) is not whole
    assert len(measuring) == (4 if whole else 3)


def test_what_has_measured_decides_whatever_volumes_there_are(paint_slices: Paint) -> None:
    """Else each volume, a slice of which has measured, would measure from now on, and nothing train."""
    mask = strokes(1, 2)
    painted = [one for _ in range(5) for one in distinct(paint_slices(mask, mask, mask, mask))]
    before = {one.identity: Measured(np.ones((1, 1), bool), (0, 0), (1, 1)) for one in painted[1::4]}
    trained = frozenset(one.identity for one in painted) - {*before}
    training, measuring, _ = hold_out(painted, 0.2, past=Past(trained, before))
    assert {one.identity for one in measuring} == {*before}
    assert len(training) == 15


def volumes(paint_slices: Paint, count: int, *masks: np.ndarray) -> list[Painted]:
    """Slices of several volumes, no two alike."""
    painted = [one for _ in range(count) for one in paint_slices(*masks)]
    for i, one in enumerate(painted):
        one.image.data[one.z, 60:62, 60] = i + 1, 7
    return painted


def images(painted: list[Painted]) -> set[int]:
    return {id(one.image) for one in painted}


def test_whole_volumes_measure_whatever_else_the_start_has_learnt(paint_slices: Paint) -> None:
    """Such as a shipped model, which knows none of them."""
    past = Past(frozenset({"x"}), {"y": Measured(np.ones((1, 1), bool), (0, 0), (1, 1))})
    training, measuring, _ = hold_out(volumes(paint_slices, 5, *[strokes(1, 2)] * 4), 0.2, past=past)
    assert (len(training), len(measuring)) == (16, 4)
    assert not images(training) & images(measuring)


def test_new_slices_of_a_known_volume_go_where_it_went(paint_slices: Paint) -> None:
    """What has measured goes on measuring, and never with slices of its volume that are new and train."""
    painted = volumes(paint_slices, 6, *[strokes(1, 2)] * 4)
    wholly = Measured(np.ones((1, 1), bool), (0, 0), (1, 1))
    old = [painted[4 * k + z] for k in range(6) for z in (0, 1)]
    measured = {one.identity: wholly for one in old[4:6]}
    past = Past(frozenset(one.identity for one in old) - {*measured}, measured)
    _, measuring, _ = hold_out(painted, 0.2, past=past)
    assert {one.identity for one in measuring} == {one.identity for one in painted[8:12]}, "all of the third"
    measured = {painted[1].identity: wholly, painted[8].identity: wholly}
    past = Past(frozenset(one.identity for one in old[:10]) - {*measured}, measured)
    training, measuring, _ = hold_out(painted, 0.2, past=past)
    assert {one.identity for one in measuring} == {*measured}, "of volumes that did both, and no new slice of them"
    assert len(training) == 22


def test_a_new_class_in_a_volume_that_measured_leaves_the_rest_of_it_measuring(paint_slices: Paint) -> None:
    painted = volumes(paint_slices, 6, *[strokes(1)] * 3)
    measured = {one.identity: Measured(np.ones((1, 1), bool), (0, 0), (1, 1)) for one in painted[3:5]}
    past = Past(frozenset(one.identity for one in (*painted[:3], *painted[6:])), measured)
    new = replace(painted[5], values=strokes(1, 2).astype(np.int64))
    training, measuring, _ = hold_out([*painted[:5], new, *painted[6:]], 0.2, past=past)
    assert {one.identity for one in measuring} == {*measured}
    assert new.identity in {one.identity for one in training}


def test_where_of_every_volume_a_slice_has_measured_the_others_train(paint_slices: Paint) -> None:
    painted = volumes(paint_slices, 5, *[strokes(1, 2)] * 4)
    measured = {one.identity: Measured(np.ones((1, 1), bool), (0, 0), (1, 1)) for one in painted[1::4]}
    training, measuring, _ = hold_out(painted, 0.2, past=Past(measured=measured))
    assert {one.identity for one in measuring} == {*measured}
    assert len(training) == 15
