"""The figures, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from napari_medseg.evaluation import METRICS
from napari_medseg.evaluation.metrics import count, hd95, surface, surface_dice, surface_distances


def square(top: int, left: int, side: int, shape: tuple[int, int] = (20, 20)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_overlap_metrics_equal_hand_computed_values() -> None:
    # Two 4 x 4 squares, one moved by 2 columns: 8 pixels shared, 8 only predicted, 8 only true.
    prediction, truth = square(5, 5, 4), square(5, 7, 4)
    assert count(prediction, truth) == (8, 8, 8)
    values = {name: METRICS[name].measure(prediction, truth, (1, 1)) for name in ("dice", "iou", "precision", "recall")}
    assert values == {"dice": 0.5, "iou": 8 / 24, "precision": 0.5, "recall": 0.5}


def test_precision_and_recall_tell_too_much_from_too_little() -> None:
    large, small = square(4, 4, 6), square(5, 5, 3)
    assert METRICS["precision"].measure(large, small, (1, 1)) == 9 / 36
    assert METRICS["recall"].measure(large, small, (1, 1)) == 1
    assert METRICS["precision"].measure(small, large, (1, 1)) == 1


def test_one_empty_mask_scores_zero_and_has_no_distance() -> None:
    nothing, something = np.zeros((20, 20), bool), square(5, 5, 4)
    assert METRICS["dice"].measure(nothing, something, (1, 1)) == 0
    assert METRICS["precision"].measure(nothing, something, (1, 1)) is None
    assert METRICS["recall"].measure(something, nothing, (1, 1)) is None
    assert hd95(nothing, something, (1, 1)) is None
    assert surface_dice(something, nothing, (1, 1)) == 0


def test_equal_masks_are_perfect() -> None:
    mask = square(3, 3, 7)
    assert [METRICS[n].measure(mask, mask, (1, 1)) for n in METRICS] == [1, 1, 1, 1, 0, 1]


def test_hd95_of_moved_pixel_is_the_distance_in_the_unit_of_the_spacing() -> None:
    a, b = square(5, 5, 1), square(8, 9, 1)
    assert hd95(a, b, (1, 1)) == 5
    assert hd95(a, b, (0.5, 0.5)) == 2.5
    assert hd95(a, b, (2, 1)) == pytest.approx(np.hypot(6, 4))


def test_hd95_is_the_larger_directed_percentile() -> None:
    # 38 outline pixels agree exactly; 2 of the prediction's 40 (5 %) lie 10 pixels away.
    truth, prediction = np.zeros((30, 50), bool), np.zeros((30, 50), bool)
    truth[5, :38] = prediction[5, :38] = True
    prediction[15, 10:12] = True
    to_truth, to_prediction = surface_distances(prediction, truth, (1, 1))
    assert sorted(to_truth)[-3:] == [0, 10, 10]
    assert not to_prediction.any()
    assert hd95(prediction, truth, (1, 1)) == np.percentile([0] * 38 + [10] * 2, 95)


def test_distances_equal_brute_force() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.random((2, 17, 23)) > 0.7
    points_a, points_b = np.argwhere(surface(a)) * (0.7, 1.9), np.argwhere(surface(b)) * (0.7, 1.9)
    between = np.linalg.norm(points_a[:, None] - points_b[None], axis=-1)
    to_b, to_a = surface_distances(a, b, (0.7, 1.9))
    np.testing.assert_allclose(to_b, between.min(1))
    np.testing.assert_allclose(to_a, between.min(0))


def test_surface_includes_pixels_at_the_image_edge() -> None:
    assert surface(np.ones((4, 5), bool)).sum() == 14
    assert surface(square(2, 2, 3)).sum() == 8


def test_surface_dice_forgives_one_pixel_but_not_two() -> None:
    truth = square(5, 5, 8)
    assert surface_dice(square(5, 6, 8), truth, (1, 1)) == 1
    # Moved by 2 columns: of each outline's 28 pixels, 7 in the top row, 7 in the bottom row and 2 of one side are near.
    assert surface_dice(square(5, 7, 8), truth, (1, 1)) == 32 / 56
