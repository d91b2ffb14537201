"""At which size slices go through a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from napari_medseg.core import Geometry, Image, InputError
from napari_medseg.inference import segment
from napari_medseg.inference.normalise import SliceReader
from napari_medseg.inference.sizes import input_shape
from napari_medseg.inference.slides.reader import SlideReader
from napari_medseg.models import find_model, read_card

MakeModel = Callable[..., Any]
MakeImage = Callable[..., Image]


def oblong(shape: tuple[int, int], height: float, width: float) -> Image:
    """An image whose pixels have these sides in mm."""
    return Image(np.zeros(shape, np.uint8), "YX", Geometry(spacing=(height, width), unit="mm"))


def codes(image: Image, card: Any) -> list[str]:
    return [finding.code for finding in input_shape(image, card)[1]]


def test_other_pixel_size_is_resampled_and_said(make_image: MakeImage, make_model: MakeModel) -> None:
    """M10."""
    card = make_model(pixel_size=0.5).card
    image = make_image(np.zeros((40, 60)), pixel_size=1.0)
    assert input_shape(image, card)[0] == (80, 120)
    assert codes(image, card) == ["PIXEL_SIZE"]
    assert SliceReader(image, card, (0, 100))(0).shape == (1, 80, 120)


@pytest.mark.parametrize(
    ("sides", "taken"),
    [((0.2, 1.4), (25, 175)), ((0.8, 1.6), (100, 200)), ((1.2, 0.82), (150, 100)), ((0.4, 0.4), (50, 50))],
)
def test_each_side_of_a_pixel_becomes_that_of_the_model(
    make_model: MakeModel, sides: tuple[float, float], taken: tuple[int, int]
) -> None:
    """M10: the mean of 0.2 and 1.4 mm is 0.8 mm."""
    shape, (finding,) = input_shape(oblong((100, 100), *sides), make_model(pixel_size=0.8).card)
    assert shape == taken
    assert finding.code == "PIXEL_SIZE"
    size = "0.4 mm" if sides[0] == sides[1] else f"{sides[0]}×{sides[1]} mm"
    assert f"from {size} to 0.8 mm, the pixel size" in finding.message


def test_nearly_equal_pixel_size_is_left_alone(make_model: MakeModel) -> None:
    """M10."""
    assert input_shape(oblong((40, 60), 0.51, 0.48), make_model(pixel_size=0.5).card) == ((40, 60), ())


def test_unknown_pixel_size_is_said(make_image: MakeImage, make_model: MakeModel) -> None:
    """M10."""
    image, card = make_image(np.zeros((40, 60))), make_model(pixel_size=0.5).card
    assert input_shape(image, card)[0] == (40, 60)
    assert codes(image, card) == ["NO_SPACING"]


@pytest.mark.parametrize(("shape", "taken"), [((3000, 2400), (256, 205)), ((100, 128), (200, 256))])
def test_whole_pictures_are_taken_at_one_size_whatever_they_have(
    make_image: MakeImage, make_model: MakeModel, shape: tuple[int, int], taken: tuple[int, int]
) -> None:
    card = make_model(pixel_size=0.5, reduction=2, longest=256).card
    assert input_shape(make_image(np.zeros(shape), pixel_size=0.1), card) == (taken, ())


@pytest.mark.parametrize("sides", [(50, 50), (0.5, 5), (0.05, 0.5)])
def test_absurd_pixel_size_is_refused(make_model: MakeModel, sides: tuple[float, float]) -> None:
    """M10: each side counts."""
    with pytest.raises(InputError, match=r"pixels are .* mm, the model test@1 was trained at 0.5 mm"):
        input_shape(oblong((40, 60), *sides), make_model(pixel_size=0.5).card)


@pytest.mark.parametrize(
    ("sides", "taken"), [((0.5, 1), (40, 120)), ((2, 1), (80, 60)), ((0.5, 8), (20, 480)), ((1, 1.2), (40, 60))]
)
def test_pixels_that_are_not_square_become_so_for_a_model_without_a_pixel_size(
    make_model: MakeModel, sides: tuple[float, float], taken: tuple[int, int]
) -> None:
    """Else it would see other shapes than it learnt."""
    image, card = oblong((40, 60), *sides), make_model().card
    shape, findings = input_shape(image, card)
    assert shape == taken
    assert [f.code for f in findings] == ["PIXEL_SIZE"] * (sides != (1, 1.2))
    assert all(f"from {sides[0]}×{sides[1]} mm to" in f.message and "square pixels" in f.message for f in findings)
    assert SlideReader(image, card).shape == taken


def test_whole_pictures_keep_the_proportions_of_the_body(make_model: MakeModel) -> None:
    shape, findings = input_shape(oblong((100, 100), 0.2, 0.4), make_model(longest=256).card)
    assert shape == (128, 256)
    assert [f.code for f in findings] == ["PIXEL_SIZE"]


@pytest.mark.parametrize(("side", "strange"), [(0.39, True), (0.41, False), (1.0, False), (2.3, False), (2.5, True)])
def test_pixels_far_from_all_that_was_learnt_from_are_said(
    make_image: MakeImage, make_model: MakeModel, side: float, strange: bool
) -> None:
    """M10: a model that takes pixels as they come."""
    image, model = make_image(np.zeros((40, 60), np.uint8), pixel_size=side), make_model(pixel_range=(0.6, 1.6))
    shape, findings = input_shape(image, model.card)
    assert shape == (40, 60)
    assert [f.code for f in findings] == ["OTHER_SCALE"] * strange
    if strange:
        assert f"pixels are {side} mm, the model test@1 has learnt from 0.6 to 1.6 mm: correct" in findings[0].message
        assert findings[0] in segment(image, model).findings
    sized = make_model(pixel_range=(0.6, 1.6), pixel_size=1.0).card
    assert "OTHER_SCALE" not in codes(image, sized), "it is resampled to what was learnt from"
    assert "OTHER_SCALE" not in codes(make_image(np.zeros((40, 60))), model.card)
    assert "OTHER_SCALE" not in codes(image, make_model(pixel_range=(0.6, 1.6), longest=64).card)


def test_what_is_made_square_is_judged_by_what_it_becomes(make_model: MakeModel) -> None:
    card = make_model(pixel_range=(0.6, 1.6)).card
    assert codes(oblong((40, 40), 0.8, 5), card) == ["PIXEL_SIZE"]
    assert codes(oblong((40, 40), 4, 8), card) == ["PIXEL_SIZE", "OTHER_SCALE"]


@pytest.mark.parametrize(("name", "right", "wrong"), [("nuclei-he", 0.00025, 0.005), ("femur-ct", 0.9, 0.01)])
def test_built_in_models_know_their_scale(make_image: MakeImage, name: str, right: float, wrong: float) -> None:
    card = read_card(find_model(name))
    assert codes(make_image(np.zeros((40, 60)), pixel_size=right), card) == []
    assert codes(make_image(np.zeros((40, 60)), pixel_size=wrong), card) == ["OTHER_SCALE"]


@pytest.mark.parametrize("tile", [512, 64])
def test_what_was_made_square_comes_back_on_the_grid_of_the_image(make_model: MakeModel, tile: int) -> None:
    """M10: whole and in tiles."""
    data = np.zeros((60, 80), np.uint8)
    data[20:40, 30:50] = 100
    image = Image(data, "YX", Geometry(spacing=(1.5, 0.5), unit="mm"))
    model = make_model()
    seen: list[tuple[int, ...]] = []
    model.network.register_forward_hook(lambda module, args, output: seen.append(tuple(args[0].shape[-2:])))
    labels = segment(image, model, tile=tile)
    assert labels.data.shape == data.shape
    np.testing.assert_array_equal(np.asarray(labels.data), data > 50)
    assert [f.code for f in labels.findings] == ["PIXEL_SIZE"]
    assert max(max(one) for one in seen) == (192 if tile == 512 else 64)
