"""Windows of a slide at the model's pixel size."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from small_slides import Broken, small_model, small_slide

from napari_medseg.core import Geometry, Image, InputError, Normalisation
from napari_medseg.inference.slides.reader import SlideReader, measure_slide
from napari_medseg.inference.slides.tissue import Tissue
from napari_medseg.io.pyramid import halve_mean


@pytest.fixture(scope="module")
def slide() -> Image:
    pixels = np.random.default_rng(0).integers(0, 256, (304, 400, 3)).astype(np.uint8)
    pixels = halve_mean(np.kron(pixels, np.ones((3, 3, 1), np.uint8)))
    half = halve_mean(pixels)
    return Image(pixels, "YXC", Geometry(spacing=(0.25, 0.25), unit="um"), levels=(half, halve_mean(half)))


def reader(image: Image, um: float | None, **card: Any) -> SlideReader:
    return SlideReader(image, small_model(pixel_size=um and um / 1000, **card).card)


@pytest.mark.parametrize("um", [0.25, 0.26, 0.37, 0.5, 0.7, 1.3, 0.2])
def test_windows_agree_to_the_last_bit(slide: Image, um: float) -> None:
    found = reader(slide, um)
    height, width = found.shape
    whole, _ = found.read(slice(0, height), slice(0, width))
    assert whole.shape == (height, width, 3)
    assert whole.dtype == np.uint8
    rng = np.random.default_rng(1)
    for _ in range(5):
        (top, bottom), (left, right) = (sorted(rng.choice(n + 1, 2, replace=False).tolist()) for n in found.shape)
        part, lost = found.read(slice(top, bottom), slice(left, right))
        np.testing.assert_array_equal(part, whole[top:bottom, left:right])
        assert not lost


@pytest.mark.parametrize(("um", "level"), [(0.37, 0), (0.3, 0), (0.75, 1), (0.2, 0)])
def test_it_is_averaged_as_torch_does(slide: Image, um: float, level: int) -> None:
    """M10."""
    found = reader(slide, um)
    made, _ = found.read(slice(0, found.shape[0]), slice(0, found.shape[1]))
    source = torch.from_numpy(slide.pyramid[level]).permute(2, 0, 1)[None].float()
    wanted = torch.nn.functional.interpolate(source, found.shape, mode="bilinear", antialias=True)
    assert np.abs(made - wanted[0].permute(1, 2, 0).numpy()).max() <= 0.51


@pytest.mark.parametrize(("um", "level"), [(None, 0), (0.2575, 0), (0.51, 1), (0.97, 2)])
def test_a_level_of_nearly_that_size_is_taken_as_it_is(slide: Image, um: float | None, level: int) -> None:
    found = reader(slide, um)
    assert found.shape == slide.pyramid[level].shape[:2]
    made, _ = found.read(slice(10, 90), slice(33, 100))
    np.testing.assert_array_equal(made, slide.pyramid[level][10:90, 33:100])


def test_pixels_beyond_the_edge_are_mirrored(slide: Image) -> None:
    found = reader(slide, None)
    rows, columns = slice(400, 480), slice(590, 620)
    made, _ = found.read(rows, columns)
    padded = np.pad(slide.data, ((0, 40), (0, 40), (0, 0)), mode="reflect")
    np.testing.assert_array_equal(made, padded[rows, columns])
    small = replace(slide, data=slide.data[:3, :1], levels=())
    made, _ = reader(small, None).read(slice(0, 32), slice(0, 32))
    np.testing.assert_array_equal(made, np.pad(slide.data[:3, :1], ((0, 29), (0, 31), (0, 0)), mode="reflect"))


def test_the_network_gets_what_its_card_says(slide: Image) -> None:
    """V1, M3."""
    window = slice(3, 19), slice(8, 40)
    raw = reader(slide, None, neighbours=1)
    assert raw.raw
    planes = raw(window)
    assert planes.shape == (9, 16, 32)
    np.testing.assert_array_equal(planes[3:6], np.moveaxis(slide.data[window], -1, 0))
    floats = replace(slide, data=slide.data / 255, levels=())
    found = reader(floats, None, normalisation=Normalisation(method="window", low=0, high=1))
    assert not found.raw
    np.testing.assert_allclose(found(window), np.moveaxis(floats.data[window], -1, 0), atol=1e-6)
    assert found(window).dtype == np.float32
    with pytest.raises(InputError, match="needs grey, this slide has colours"):
        reader(slide, None, channels=1)(window)


def test_what_cannot_be_read_is_told_in_pixels_of_the_slide(slide: Image) -> None:
    """F2."""
    odd = slide.data[:451, :599]
    half = Broken(halve_mean(odd), slice(64, 128), slice(0, 64))
    found = reader(replace(slide, data=odd, levels=(half,)), 0.5)
    window = slice(96, 160), slice(32, 96)
    found(window)
    [(rows, columns)] = found.lost_in(window)
    assert (rows, columns) == (slice(192, 256), slice(64, 128))
    assert found.lost_in((slice(0, 9), slice(0, 9))) == []


def test_intensities_are_measured_once_within_the_tissue() -> None:
    image = small_slide()
    percent = Normalisation(low=1, high=99)
    mask = np.zeros((7, 47), bool)
    mask[3, 13:15] = True
    low, high = measure_slide(image, percent, Tissue.of_mask(mask, (700, 4700)))
    assert low < 60
    assert high <= 201
    low, high = measure_slide(image, percent, Tissue.everywhere((700, 4700)))
    assert high == 242
    assert measure_slide(image, Normalisation(method="window", low=3, high=9), Tissue.everywhere((9, 9))) == (3, 9)
