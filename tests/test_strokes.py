"""The made-up user of the benchmarks paints what is true, and as little as a person would."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

UNLABELLED = 255


def load() -> ModuleType:
    path = Path(__file__).parents[1] / "benchmarks" / "strokes.py"
    spec = importlib.util.spec_from_file_location("strokes", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


strokes = load()


@pytest.fixture
def mask() -> np.ndarray:
    """A disc and a bar, 200 x 240."""
    rows, columns = np.mgrid[:200, :240]
    found = np.zeros((200, 240), np.uint8)
    found[(rows - 90) ** 2 + (columns - 70) ** 2 < 30**2] = 1
    found[60:140, 150:180] = 2
    return found


def test_first_strokes_are_true_and_few(mask: np.ndarray) -> None:
    painted = strokes.simulate_strokes(mask, 0.01)
    labelled = painted != UNLABELLED
    assert (painted == mask)[labelled].all()
    assert 0.008 < labelled.mean() < 0.011
    half = (painted[labelled] > 0).mean()
    assert 0.4 < half < 0.6


def test_first_strokes_go_along_the_middle_the_border_and_outside(mask: np.ndarray) -> None:
    painted = strokes.simulate_strokes(mask, 0.02)
    for value in (1, 2):
        depth = ndimage.distance_transform_edt(mask == value)
        reached = depth[painted == value]
        assert reached.min() <= 2
        assert reached.max() >= 0.9 * depth.max()
    away = ndimage.distance_transform_edt(mask == 0)[painted == 0]
    assert (away < 6).any()
    assert (away > 10).any()


def test_equal_seeds_paint_alike(mask: np.ndarray) -> None:
    first, again, other = (strokes.simulate_strokes(mask, seed=seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_with_an_image_background_strokes_cross_what_is_there(mask: np.ndarray) -> None:
    image = np.zeros(mask.shape, np.uint8)
    image[150:190] = np.random.default_rng(0).integers(100, 255, (40, 240))
    crossed = [
        np.mean(image[(strokes.simulate_strokes(mask, 0.02, image=given, seed=seed) == 0)] > 0)
        for given in (None, image)
        for seed in range(3)
    ]
    assert np.mean(crossed[3:]) > 1.3 * np.mean(crossed[:3])


@settings(deadline=None, max_examples=60)
@given(mask=arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=24), elements=st.integers(0, 2)))
def test_any_mask_can_be_painted_and_corrected(mask: np.ndarray) -> None:
    """V6, V8: specks, lines, nothing but background or none of it."""
    for painted in (strokes.simulate_strokes(mask, 0.2), strokes.correct(np.roll(mask, 3, 1), mask, 0.2)):
        assert painted.shape == mask.shape
        labelled = painted != UNLABELLED
        assert (painted == mask)[labelled].all()


def test_corrections_lie_on_errors_only(mask: np.ndarray) -> None:
    prediction = np.roll(mask, 12, 1)
    prediction[10:40, 10:60] = 1
    painted = strokes.correct(prediction, mask, 0.02)
    labelled = painted != UNLABELLED
    assert 0 < labelled.mean() < 0.022
    assert (painted == mask)[labelled].all()
    assert (prediction != mask)[labelled].all()
    assert {0, 2} <= set(np.unique(painted[labelled]).tolist())


def test_the_largest_error_comes_first(mask: np.ndarray) -> None:
    prediction = mask.copy()
    prediction[mask == 2] = 0
    prediction[170:180, 20:30] = 1
    painted = strokes.correct(prediction, mask, 0.003)
    assert (painted == 2).any()
    assert (painted == 2).sum() > (painted == 0).sum()


def test_what_is_right_or_wrong_by_a_pixel_is_left_alone(mask: np.ndarray) -> None:
    for prediction in (mask, np.roll(mask, 1, 0)):
        assert (strokes.correct(prediction, mask) == UNLABELLED).all()


def test_the_unlabelled_value_is_no_class(mask: np.ndarray) -> None:
    with pytest.raises(ValueError, match="value 2"):
        strokes.simulate_strokes(mask, unlabelled=2)
    assert strokes.simulate_strokes(mask, unlabelled=300).dtype == np.uint16
