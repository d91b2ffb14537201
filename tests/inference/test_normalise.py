"""Intensities, pixel size and channels as the card says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medseg.core import Finding, Geometry, Image, InputError, Normalisation
from napari_medseg.inference import segment
from napari_medseg.inference.neighbours import about_neighbours
from napari_medseg.inference.normalise import (
    SliceReader,
    normalise,
)
from napari_medseg.inference.ranges import NORMALISATIONS, is_flat, measure_range
from napari_medseg.models import Model

MakeImage = Callable[..., Image]
MakeModel = Callable[..., Model]

WINDOW = Normalisation(method="window", low=0, high=100)


@pytest.mark.parametrize(
    "dtype", ["uint8", "int16", "uint16", "int32", "uint32", "int64", "float16", "float32", "float64"]
)
def test_any_dtype_gives_the_same_input(dtype: str) -> None:
    pixels = np.array([[0, 25], [50, 100]], dtype)
    np.testing.assert_allclose(normalise(pixels, WINDOW, (0, 100)), [[[0, 0.25], [0.5, 1]]], atol=1e-3)


def test_bool_image_is_zero_and_one(make_image: MakeImage) -> None:
    image = make_image(np.eye(8, dtype=bool))
    low_high = measure_range(image, Normalisation())
    assert normalise(image.slice(0), Normalisation(), low_high).max() == 1


def test_sequences_are_measured_by_their_bodies_each_by_itself(make_image: MakeImage) -> None:
    """Bright fat decides about percentiles, and one channel about all; the brain then looks different each time."""
    median = NORMALISATIONS["median"]
    brains = []
    for gain, fat in (((1, 0.5), 200), ((0.6, 1), 90)):
        plane = np.zeros((60, 60, 2))
        plane[10:50, 10:50] = np.array([50, 80]) * gain
        plane[10:13, 10:50] = fat
        image = make_image(np.stack([plane.round().astype(np.uint8)] * 2), "ZYXC")
        value_range = measure_range(image, median)
        assert value_range == ((0, 0), (150 * gain[0], 240 * gain[1]))
        assert not is_flat(value_range)
        brains.append(normalise(image.slice(0), median, value_range)[:, 30, 30])
    np.testing.assert_allclose(brains, 1 / 3, atol=1e-6)


def test_a_channel_that_holds_nothing_becomes_zeros(make_image: MakeImage) -> None:
    pixels = np.full((2, 8, 8, 2), 7, np.uint8)
    pixels[:, :4, :, 0] = 90
    image, median = make_image(pixels, "ZYXC"), NORMALISATIONS["median"]
    value_range = measure_range(image, median)
    assert not is_flat(value_range)
    found = normalise(image.slice(0), median, value_range)
    assert found[0].max() > 0
    assert not found[1].any()
    empty = measure_range(make_image(np.full((2, 8, 8, 2), 7, np.uint8), "ZYXC"), median)
    assert is_flat(empty)
    assert not normalise(pixels[0], median, empty).any()


def test_int32_keeps_small_differences_on_a_large_offset() -> None:
    pixels = np.array([[2**30, 2**30 + 1, 2**30 + 2]], np.int32)
    np.testing.assert_allclose(normalise(pixels, WINDOW, (2**30, 2**30 + 2))[0], [[0, 0.5, 1]])


def test_nan_and_inf_become_the_low_end() -> None:
    """V1."""
    pixels = np.array([[np.nan, np.inf], [-np.inf, 50]], np.float32)
    np.testing.assert_allclose(normalise(pixels, WINDOW, (0, 100)), [[[0, 0], [0, 0.5]]])


def test_nan_and_inf_do_not_move_the_range(make_image: MakeImage) -> None:
    """V1."""
    clean = np.linspace(0, 1, 4096, dtype=np.float32).reshape(64, 64)
    spoilt = clean.copy()
    spoilt[0, :9] = (np.nan, np.inf, -np.inf) * 3
    ranges = [measure_range(make_image(a), Normalisation()) for a in (clean, spoilt)]
    np.testing.assert_allclose(*ranges, atol=0.01)


@pytest.mark.parametrize("value", [0, 7, 65535])
def test_constant_image_gives_zeros(make_image: MakeImage, make_model: MakeModel, value: int) -> None:
    """V2."""
    image = make_image(np.full((3, 8, 8), value, np.uint16))
    low_high = measure_range(image, Normalisation())
    assert not normalise(image.slice(0), Normalisation(), low_high).any()


def test_constant_slice_keeps_its_place_in_the_range(make_image: MakeImage) -> None:
    """V2: a slice of air stays dark beside a slice of bone."""
    data = np.zeros((2, 16, 16), np.uint8)
    data[1] = np.arange(256).reshape(16, 16)
    low_high = measure_range(make_image(data), Normalisation())
    assert not normalise(data[0], Normalisation(), low_high).any()


def test_image_of_nothing_but_nan_gives_zeros(make_image: MakeImage) -> None:
    """V1, V2."""
    image = make_image(np.full((8, 8), np.nan, np.float32))
    assert not normalise(image.slice(0), Normalisation(), measure_range(image, Normalisation())).any()


def test_ct_values_beyond_the_usual_are_cut_at_the_window() -> None:
    """V3."""
    pixels = np.array([[-3024, -1024, 3071, 30000]], np.int16)
    window = Normalisation(method="window", low=-1024, high=3071)
    np.testing.assert_allclose(normalise(pixels, window, (-1024, 3071))[0], [[0, 0, 1, 1]])


def test_twelve_bits_in_sixteen_use_the_whole_range(make_image: MakeImage) -> None:
    """V4."""
    image = make_image(np.arange(4096, dtype=np.uint16).reshape(64, 64))
    low_high = measure_range(image, Normalisation())
    prepared = normalise(image.slice(0), Normalisation(), low_high)
    assert prepared.min() == 0
    assert prepared.max() == 1
    assert 0.45 < prepared.mean() < 0.55


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["uint8", "int16", "int32", "float32", "float64"]),
    st.lists(st.floats(width=32), min_size=1, max_size=12),
    st.booleans(),
)
def test_output_is_always_finite(dtype: str, values: list[float], clip: bool) -> None:
    """V1-V4."""
    array = np.array([values], np.float64)
    if np.dtype(dtype).kind != "f":
        info = np.iinfo(dtype)
        array = np.clip(np.nan_to_num(array), info.min, info.max)
    with np.errstate(over="ignore"):
        pixels = array.astype(dtype)
    prepared = normalise(pixels, Normalisation(clip=clip, mean=(0.5,), std=(0.2,)), (-10, 100))
    assert np.isfinite(prepared).all()


def test_range_is_the_same_each_time_and_skips_what_cannot_be_read(
    make_image: MakeImage, unreadable: Callable[..., Any]
) -> None:
    rng = np.random.default_rng(0)
    data = rng.integers(100, 200, (40, 16, 16)).astype(np.uint16)
    data[5] = 9999
    image = make_image(unreadable(data, {0, 8}), missing=frozenset({5}))
    low, high = measure_range(image, Normalisation())
    assert (low, high) == measure_range(image, Normalisation())
    assert 100 <= low < high <= 200


def test_mean_and_std_are_applied_to_each_channel() -> None:
    pixels = np.full((4, 4, 3), 50, np.uint8)
    rule = Normalisation(method="window", low=0, high=100, mean=(0, 0.5, 0.25), std=(1, 1, 0.5))
    np.testing.assert_allclose(normalise(pixels, rule, (0, 100))[:, 0, 0], [0.5, 0, 0.5])


def test_slices_beyond_a_wide_gap_are_no_neighbours_and_that_is_said(
    make_image: MakeImage, make_model: MakeModel
) -> None:
    data = np.stack([np.full((4, 4), 10 * z, np.uint8) for z in range(6)])
    image = make_image(data)
    places = tuple((z, 0.0, 0.0) for z in (0.0, 2.0, 4.0, 10.0, 12.0, 14.0))
    uneven = replace(image, geometry=Geometry(spacing=(2, 1, 1), unit="mm", positions=places))
    card = make_model(neighbours=2).card
    planes = [(SliceReader(uneven, card, (0, 100))(z)[:, 0, 0] * 10).round().astype(int).tolist() for z in (1, 2, 3)]
    assert planes == [[0, 0, 1, 2, 2], [0, 1, 2, 2, 2], [3, 3, 3, 4, 5]]
    (finding,) = about_neighbours(uneven, card)
    assert "at a wide gap it got the slice itself" in finding.message
    assert about_neighbours(image, card) == about_neighbours(uneven, make_model().card) == ()
    (finding,) = about_neighbours(replace(image, missing=frozenset({3})), card)
    assert "lacks slices: look at the masks there" in finding.message
    single = make_image(data[0])
    assert "this is a single one" in segment(single, make_model(neighbours=1)).findings[-1].message


@pytest.mark.parametrize(("distance", "strange"), [(1.3, True), (1.4, False), (3.0, False), (3.1, True)])
def test_slices_much_closer_or_farther_than_learnt_are_said(
    make_image: MakeImage, make_model: MakeModel, distance: float, strange: bool
) -> None:
    data, model = np.zeros((3, 8, 8), np.uint8), make_model(neighbours=1, slice_distance=2)
    image = replace(make_image(data), geometry=Geometry(spacing=(distance, 1, 1), unit="mm"))
    found = [f for f in about_neighbours(image, model.card) if f.code == "OTHER_DISTANCE"]
    assert len(found) == strange
    if strange:
        assert f"lay 2 mm apart where it learnt; here it is {distance} mm" in found[0].message
        assert found[0] in segment(image, model).findings
        guessed = replace(image, findings=(Finding("NO_SPACING", "The pixel size is taken."),))
        assert about_neighbours(guessed, model.card) == (), "nobody knows"
        assert about_neighbours(image, make_model(neighbours=1).card) == ()
        assert about_neighbours(image, make_model(slice_distance=2).card) == ()


def test_neighbours_are_stacked_and_clipped_at_the_ends(
    make_image: MakeImage, make_model: MakeModel, unreadable: Callable[..., Any]
) -> None:
    data = np.stack([np.full((4, 4), 10 * z, np.uint8) for z in range(6)])
    image = make_image(unreadable(data, {4}))
    card = make_model(neighbours=1).card
    read = SliceReader(image, card, (0, 100))
    planes = [(read(z)[:, 0, 0] * 10).round().astype(int).tolist() for z in (0, 1, 2, 3, 5)]
    assert planes == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 3], [5, 5, 5]]
    with pytest.raises(InputError, match="ends too early"):
        read(4)


def test_pictures_in_a_folder_are_taken_as_each_is_by_itself(make_model: MakeModel) -> None:
    """X-rays of one size and numbered lie in one stack, however differently they were exposed."""
    random = np.random.default_rng(0)
    bright = random.integers(100, 4000, (3, 40, 50)).astype(np.uint16)
    bright[1] //= 4
    stack = Image(bright, "ZYX", Geometry.unknown(3))
    for each in (True, False):
        card = make_model(normalisation=Normalisation(each=each)).card
        reader = SliceReader(stack, card, measure_range(stack, card.normalisation), raw=each)
        for z, pixels in enumerate(bright):
            alone = Image(pixels, "YX", Geometry.unknown(2))
            expected = SliceReader(alone, card, measure_range(alone, card.normalisation))(0)
            assert np.array_equal(reader(z), expected) == each


def test_a_folder_of_pictures_gives_the_masks_of_each_alone(make_model: MakeModel) -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (3, 48, 48)).astype(np.uint8)
    pixels[1] //= 3
    model = make_model(normalisation=Normalisation(each=True))
    together = segment(Image(pixels, "ZYX", Geometry.unknown(3)), model, device="cpu", precision="fp32")
    for z in range(3):
        alone = segment(Image(pixels[z], "YX", Geometry.unknown(2)), model, device="cpu", precision="fp32")
        np.testing.assert_array_equal(together.data[z], alone.data)
