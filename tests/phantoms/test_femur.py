"""The femur phantom: exact truth, the same again for the same seed, and edges where the labels say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion, gaussian_filter

from napari_medseg.phantoms import femur_ct, femur_slices


@pytest.fixture(scope="module")
def series():
    return femur_ct(3, slices=10, size=256, spacing=(40.0, 1.8), window=False)


def test_series_has_the_promised_form(series):
    image, labels, spacing = series
    assert image.shape == labels.shape == (10, 256, 256)
    assert (image.dtype, labels.dtype) == (np.int16, np.uint8)
    assert spacing == (40.0, 1.8, 1.8)
    assert image.min() >= -2000
    assert image.max() <= 3071


def test_same_seed_draws_the_same_series():
    first, again = (femur_ct(5, slices=2, size=128) for _ in range(2))
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert first[2] == again[2]


def test_seeds_draw_different_people():
    first, other = (femur_ct(seed, slices=2, size=128) for seed in (5, 6))
    assert not np.array_equal(first[1], other[1])
    assert first[2] != other[2]


def test_window_changes_grey_values_only():
    grey, labels, spacing = femur_ct(7, slices=2, size=128)
    hu, truth, same = femur_ct(7, slices=2, size=128, window=False)
    assert (grey.dtype, hu.dtype) == (np.uint8, np.int16)
    assert np.array_equal(labels, truth)
    assert spacing == same


def test_drawn_spacing_stays_within_what_scanners_use():
    for seed in range(4):
        gap, row, column = femur_ct(seed, slices=1)[2]
        assert 1 <= gap <= 6
        assert 0.6 <= row <= 1.6
        assert row == column


@pytest.mark.parametrize("seed", range(6))
def test_left_femur_is_one_and_right_femur_is_two(seed):
    _, labels, _ = femur_slices(seed, [0.1, 0.5, 0.85], size=128)
    for slice_ in labels:
        left, right = (np.argwhere(slice_ == value)[:, 1].mean() for value in (1, 2))
        assert left < right


def test_series_shows_both_femora_from_hip_to_knee(series):
    areas = [[(slice_ == value).sum() for slice_ in series[1]] for value in (1, 2)]
    for area in areas:
        assert sum(a > 0 for a in area) >= 8
        assert max(area) > 3 * area[5] > 0


@pytest.mark.parametrize("seed", [1, 4, 9])
def test_border_of_the_shaft_lies_on_the_outer_edge_of_the_cortex(seed):
    image, labels, _ = femur_slices(seed, [0.45], size=512, pixel=0.9, window=False)
    smooth = gaussian_filter(image[0].astype(float), 0.5)
    for value in (1, 2):
        bone = labels[0] == value
        cortex = np.median(smooth[binary_erosion(bone, iterations=2) & ~binary_erosion(bone, iterations=4)])
        around = np.median(smooth[binary_dilation(bone, iterations=5) & ~binary_dilation(bone, iterations=3)])
        half = (cortex + around) / 2
        near = binary_dilation(bone, iterations=3) & ~binary_erosion(bone, iterations=3)
        assert ((smooth > half) != bone)[near].sum() < 0.2 * near.sum() / 3


def test_labels_hold_only_the_femora():
    image, labels, spacing = femur_slices(11, [0.0, 0.3, 0.9], size=256, window=False)
    assert set(np.unique(labels)) <= {0, 1, 2}
    for slice_, hu in zip(labels, image, strict=True):
        for value in (1, 2):
            spot = np.argwhere(slice_ == value)
            assert len(spot) * spacing[1] * spacing[2] < 7000
            assert np.ptp(spot, axis=0).max() * spacing[1] < 130
        assert (hu[slice_ == 0] > 400).sum() > 0


def test_other_bones_table_and_hands_are_background():
    image, labels, _ = femur_ct(1, slices=3, size=256, spacing=(5.0, 1.9), window=False)
    bright = (image > 300) & (labels == 0)
    assert bright.any()
    rows = np.argwhere(labels > 0)[:, 1]
    assert np.ptp(rows) < 256 // 2
    columns = np.argwhere(labels > 0)[:, 2]
    assert columns.min() > 5
    assert columns.max() < 250
