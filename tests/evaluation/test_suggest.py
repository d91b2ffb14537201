"""Which slices are suggested for a look."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medseg.evaluation.suggest import (
    APART,
    choose,
    find_misfits,
    measure_fit,
    rank_doubt,
    suggest_images,
    suggest_slices,
)


def figures_of(stack: npt.NDArray[Any], values: tuple[int, ...] = (1,)) -> list[dict[str, float]]:
    """What a run reports of the labels alone."""
    return [dict(measure_fit(stack[z], list(stack[max(0, z - 2) : z])[::-1], values)) for z in range(len(stack))]


def squares(sides: list[int], value: int = 1) -> npt.NDArray[np.uint8]:
    """A stack of centred squares; 0 draws nothing."""
    stack = np.zeros((len(sides), 64, 64), np.uint8)
    for plane, side in zip(stack, sides, strict=True):
        half = side // 2
        plane[32 - half : 32 + half, 32 - half : 32 + half] = value
    return stack


def spike(n: int, *places: int) -> npt.NDArray[np.float64]:
    doubt = np.linspace(0.2, 0.1, n)
    for rank, z in enumerate(places):
        doubt[z] = 1 - 0.1 * rank
    return doubt


def test_most_doubtful_slices_come_first() -> None:
    assert choose(range(40), spike(40, 30, 10), 2) == (30, 10)


def test_suggestions_keep_away_from_labelled_slices_and_each_other() -> None:
    doubt = spike(60, 20, 21, 22, 23, 24, 40)
    chosen = choose(range(60), doubt, 5, labelled=[20])
    assert chosen[0] == 24
    taken = [20, *chosen]
    assert min(abs(a - b) for i, a in enumerate(taken) for b in taken[:i]) > APART


def test_every_third_suggestion_is_far_from_all_others() -> None:
    doubt = spike(100, 10, 16, 22, 28)
    assert choose(range(100), doubt, 4, labelled=[4]) == (10, 16, 99, 22)


def test_short_stack_is_filled_rather_than_left_short() -> None:
    assert sorted(choose(range(5), np.zeros(5), 9)) == [0, 1, 2, 3, 4]
    assert sorted(choose(range(5), np.zeros(5), 9, labelled=[1, 2])) == [0, 3, 4]
    assert choose(range(3), np.zeros(3), 2, labelled=[0, 1, 2]) == ()
    assert choose([0], np.zeros(1), 6) == (0,)
    assert choose([], np.zeros(0), 6) == ()


@settings(deadline=None)
@given(
    st.sets(st.integers(0, 60), max_size=40),
    st.sets(st.integers(0, 60), max_size=20),
    st.integers(0, 12),
    st.integers(0, 2**31 - 1),
)
def test_as_many_as_there_are_each_once_and_the_same_again(
    slices: set[int], labelled: set[int], number: int, seed: int
) -> None:
    doubt = np.random.default_rng(seed).integers(0, 5, len(slices)).astype(float)
    chosen = choose(sorted(slices), doubt, number, labelled)
    assert len(chosen) == len(set(chosen)) == min(number, len(slices - labelled))
    assert set(chosen) <= slices - labelled
    assert choose(sorted(slices), doubt, number, sorted(labelled)) == chosen


def test_slice_that_jumps_out_of_line_does_not_fit() -> None:
    misfits = find_misfits(figures_of(squares([20, 22, 24, 6, 28, 30, 32])))
    assert np.nanargmax(misfits) == 3
    assert np.isnan(misfits[[0, -1]]).all()


def test_steady_growth_and_honest_ends_fit_however_thick_the_slices() -> None:
    """A bone that begins, grows by half from slice to slice and ends: nothing is out of line."""
    misfits = find_misfits(figures_of(squares([0, 0, 8, 12, 18, 26, 40, 60, 60, 0, 0])))
    assert np.nanmax(misfits) == 0


@pytest.mark.parametrize("gap", [1, 3])
def test_nothing_found_between_slices_with_something_is_suspicious(gap: int) -> None:
    sides = [20] * 5 + [0] * gap + [20] * 5
    misfits = find_misfits(figures_of(squares(sides)))
    empty = range(5, 5 + gap)
    assert np.nanmin(misfits[list(empty)]) > max(misfits[z] for z in (1, 2, 3, 5 + gap + 1, 5 + gap + 2))


def test_one_of_several_classes_that_vanishes_for_a_slice_is_suspicious() -> None:
    stack = squares([20] * 9)
    stack[:, 2:12, 2:12] = 2
    stack[4, 2:12, 2:12] = 0
    assert np.nanargmax(find_misfits(figures_of(stack, (1, 2)))) == 4


def test_speck_in_an_empty_slice_is_no_class() -> None:
    stack = np.zeros((1, 512, 512), np.uint8)
    stack[0, 0, :20] = 1
    assert measure_fit(stack[0], [np.zeros((512, 512))] * 2, (1,)) == {"found": 0, "before": 0}
    assert measure_fit(np.zeros((512, 512)), [stack[0], np.zeros((512, 512))], (1,))["before"] == 0


def test_doubt_is_the_mean_rank_and_a_missing_figure_the_middle_one() -> None:
    figures = [{"border": b, "patch": p} for b, p in ((0.1, 0.1), (0.2, 0.3), (np.nan, 0.9), (0.3, 0.2))]
    doubt = rank_doubt(figures)
    assert np.argmax(doubt) == 2
    assert np.argmin(doubt) == 0
    assert ((doubt >= 0) & (doubt <= 1)).all()
    assert rank_doubt([{}, {}]).tolist() == [0.5, 0.5]


def test_nothing_found_where_something_must_be_comes_first_however_sure_the_network() -> None:
    figures = [{"border": 0.1 + 0.01 * z, "patch": 0.5, **one} for z, one in enumerate(figures_of(squares([20] * 20)))]
    figures[9] = {"border": np.nan, "patch": 0.0, "found": 0.0, "before": 0.0}
    figures[10] = {**figures[10], "before": 1.0}
    assert suggest_slices(dict(enumerate(figures)), 1) == (9,)


def test_labelled_slices_are_never_suggested() -> None:
    figures = {z: {"border": float(z), "patch": float(z)} for z in range(30)}
    assert 29 not in suggest_slices(figures, 5, labelled=[29])
    assert suggest_slices(figures, 1, labelled=[29]) == (25,)


def test_only_slices_of_the_run_are_suggested() -> None:
    figures = {z: {"border": 0.1, "patch": 0.1, "found": 1.0} for z in range(10, 20)}
    assert set(suggest_slices(figures, 99)) == set(range(10, 20))
    assert suggest_slices({}, 3) == ()
    assert suggest_slices({7: {}}, 3) == (7,)


def test_single_images_are_suggested_by_name() -> None:
    figures = {"a.png": {"border": 0.1, "patch": 0.2, "found": 1.0}, "b.png": {"border": 0.4, "patch": 0.5, "found": 0}}
    assert suggest_images(figures, 1) == ("b.png",)
    assert suggest_images({}, 3) == ()
