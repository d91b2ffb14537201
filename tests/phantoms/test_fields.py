"""Smoothing, lines through points and solids in torch: the same as scipy, numpy and plain formulas give."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_medseg.phantoms.draw import blur
from napari_medseg.phantoms.fields import extremes, piecewise, smooth
from napari_medseg.phantoms.shapes import Waves, capsule, capsules, cut, ellipsoid, meet, union


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize(
    ("shape", "deviation", "truncate"),
    [
        ((40, 33), 1.3, 2.5),
        ((40, 33), 0.45, 3.0),
        ((24, 50), (0, 14), 2.0),
        ((6, 20, 17), (0.0, 0.5, 2.0), 4.0),
        ((6, 20, 17), (1.5, 5.0, 4.25), 4.0),
    ],
)
def test_smooth_is_the_gaussian_filter_of_scipy(shape, deviation, truncate, wrap):
    field = 1000 * np.random.default_rng(1).standard_normal(shape, np.float32)
    found = smooth(torch.from_numpy(field), deviation, truncate, wrap)
    wanted = gaussian_filter(field, deviation, truncate=truncate, mode="wrap" if wrap else "reflect")
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, wanted, atol=2e-3)


def test_smooth_reaches_around_small_fields_more_than_once():
    field = np.random.default_rng(2).standard_normal((3, 4), np.float32)
    for wrap, mode in ((True, "wrap"), (False, "reflect")):
        wanted = gaussian_filter(field, 4.0, mode=mode)
        np.testing.assert_allclose(smooth(torch.from_numpy(field), 4.0, wrap=wrap), wanted, atol=1e-5)


def test_smooth_leaves_its_field_alone():
    field = torch.rand(8, 8)
    before = field.clone()
    smooth(field, 1.0)
    assert torch.equal(field, before)
    assert torch.equal(smooth(field, 0.0), before)


def test_blur_and_smooth_agree_away_from_the_border():
    field = torch.randn(2, 1, 32, 32)
    blurred = blur(field, torch.tensor([0.7, 1.0]))
    for one, deviation, found in zip(field[:, 0], (0.7, 1.0), blurred[:, 0], strict=True):
        torch.testing.assert_close(found[4:-4, 4:-4], smooth(one, deviation, 4 / deviation)[4:-4, 4:-4])


def test_piecewise_is_the_interpolation_of_numpy():
    at, heights = [-80, 0.06, 0.15, 0.22, 62], [1.05, -1.0, -1.0, 270.0, 0.9]
    values = np.concatenate([np.linspace(-200, 200, 999), np.linspace(0, 0.3, 999), at]).astype(np.float32)
    found = piecewise(torch.from_numpy(values).reshape(1, -1), at, heights)
    np.testing.assert_allclose(found[0], np.interp(values, at, heights), atol=1e-3)
    assert found.dtype == torch.float32
    assert found[0, 0] == np.float32(1.05)


def test_extremes_are_lowest_and_highest():
    assert extremes(torch.tensor([[2.0, -1.5], [7.25, 0.0]])) == (-1.5, 7.25)


@pytest.fixture
def points():
    line = torch.linspace(-30, 30, 25)
    return line[None, None, :], line[None, :, None], line[:, None, None]


def test_capsule_is_the_distance_to_its_axis_less_the_radius_there(points):
    start, end, radii = np.array([-10.0, 4, 2]), np.array([12.0, -6, 9]), (3.0, 5.0)
    grid = np.stack(np.broadcast_arrays(*(p.numpy() for p in points)), -1)
    along = np.clip((grid - start) @ (end - start) / np.sum((end - start) ** 2), 0, 1)
    wanted = np.linalg.norm(grid - start - along[..., None] * (end - start), axis=-1) - (3 + 2 * along)
    np.testing.assert_allclose(capsule(points, tuple(start), tuple(end), radii), wanted, atol=1e-4)


def test_capsules_are_each_capsule(points):
    parts = [((0.0, 1.0, 2.0), (8.0, 1.0, 2.0), 3.0, 4.0), ((5.0, 5.0, 5.0), (5.0, 5.0, 5.0), 2.0, 2.0)]
    for found, (start, end, *radii) in zip(capsules(points, parts), parts, strict=True):
        torch.testing.assert_close(found, capsule(points, start, end, tuple(radii)))


def test_ball_is_an_ellipsoid(points):
    x, y, z = points
    away = ((x - 3) ** 2 + (y + 2) ** 2 + (z - 1) ** 2).sqrt() - 12
    torch.testing.assert_close(ellipsoid(points, (3, -2, 1), (12, 12, 12)), away, atol=2e-3, rtol=0)


def test_joined_solids_are_rounded_only_where_they_meet():
    first, second = torch.tensor([1.0, 1.0, -8.0]), torch.tensor([1.0, 9.0, 2.0])
    assert union(first, second, 4).tolist() == [0.0, 1.0, -8.0]
    assert meet(first, second, 4).tolist() == [2.0, 9.0, 2.0]
    assert cut(first, -second, 4).tolist() == meet(first, second, 4).tolist()


def test_waves_are_the_sum_of_their_sines(points):
    rng = np.random.default_rng(3)
    vectors, phases = rng.normal(size=(4, 3)).astype(np.float32) / 10, rng.uniform(0, 6, 4).astype(np.float32)
    x, y, z = (p.numpy() for p in points)
    wanted = sum(np.sin(a * x + b * y + c * z + p) for (a, b, c), p in zip(vectors, phases, strict=True)) / np.sqrt(2)
    np.testing.assert_allclose(Waves(vectors, phases)(points), wanted, atol=1e-5)
