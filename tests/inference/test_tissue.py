"""Where there is tissue."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from small_slides import Broken, small_slide

from napari_medseg.core import Geometry, Image
from napari_medseg.inference.slides.tissue import Tissue, find_tissue
from napari_medseg.io import read


def picture(pixels: Any, um: float | None = 8.0) -> Image:
    geometry = Geometry(spacing=(um, um), unit="um") if um else Geometry.unknown(2)
    return Image(pixels, "YXC", geometry)


def stained(size: int = 600, glass: int = 240) -> Any:
    rng = np.random.default_rng(0)
    pixels = np.full((size, size, 3), glass, np.float64)
    pixels[200:400, 100:300] = (200, 120, 170)
    return np.clip(pixels + rng.normal(0, 4, pixels.shape), 0, 255).astype(np.uint8)


def test_tissue_is_found_with_a_margin() -> None:
    found = find_tissue(picture(stained()))
    assert found.mask.shape == (600, 600)
    assert found.mask[194:406, 94:306].all()
    rows, columns = np.nonzero(found.mask)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (194, 405, 94, 305)
    assert found.share == pytest.approx(212 * 212 / 600**2)


@pytest.mark.parametrize("um", [0.5, None])
def test_it_is_looked_for_on_a_small_level(um: float | None) -> None:
    image = small_slide(um=2.0)
    found = find_tissue(image)
    assert found.mask.shape == (175, 1175)
    assert found.scale == (4.0, 4.0)
    inside = np.kron(found.mask, np.ones((4, 4), bool))
    assert inside[image.data[..., 1] < 200].all()
    assert 0.2 < found.share < 0.5


def test_dust_is_left_out_and_holes_are_filled() -> None:
    pixels = stained()
    pixels[50:52, 500:502] = (190, 110, 160)  # alone
    pixels[300:303, 200:203] = 240
    pixels[404:406, 306:308] = (190, 110, 160)  # beside the tissue
    mask = find_tissue(picture(pixels)).mask
    assert not mask[30:70, 480:520].any()
    assert mask[200:400, 100:300].all()
    assert mask[405, 307]


def test_where_there_is_no_telling_everything_is_tissue() -> None:
    rng = np.random.default_rng(0)
    everywhere = np.clip(rng.normal((200, 120, 170), 15, (300, 300, 3)), 0, 255).astype(np.uint8)
    glass = np.clip(rng.normal(240, 3, (300, 300, 3)), 0, 255).astype(np.uint8)
    nuclei = everywhere.copy()
    nuclei[::7, ::5] = (70, 40, 120)
    for pixels in (everywhere, glass, nuclei, np.full((300, 300, 3), 128, np.uint8)):
        assert find_tissue(picture(pixels)).share == 1
    grey = Image(stained()[..., 0], "YX", Geometry.unknown(2))
    assert find_tissue(grey).share == 1


def test_what_cannot_be_read_is_not_taken_for_glass() -> None:
    """F2: a white tile is no glass; a run shall find out."""
    pixels = stained()
    image = picture(pixels)
    broken = Image(Broken(pixels, slice(500, 540), slice(20, 70)), "YXC", image.geometry)
    lost = np.zeros((600, 600), bool)
    lost[500:540, 20:70] = True
    np.testing.assert_array_equal(find_tissue(broken).mask, find_tissue(image).mask | lost)


def test_glass_may_be_grey() -> None:
    assert find_tissue(picture(stained(glass=185))).share < 0.2


def test_windows_with_tissue_are_told() -> None:
    mask = np.zeros((10, 20), bool)
    mask[3, 7] = True
    tissue = Tissue.of_mask(mask, (100, 200))
    assert tissue.scale == (10, 10)
    rows = np.array([[0, 30], [0, 30.5], [39, 60], [40, 100]], float)
    columns = np.array([[0, 70], [79.5, 90], [60, 500]], float)
    expected = np.outer([False, True, True, False], [False, True, True])
    np.testing.assert_array_equal(tissue.touches(rows, columns), expected)
    assert Tissue.everywhere((100, 200)).touches(rows, columns).all()
    assert tissue.digest != Tissue.of_mask(mask, (100, 201)).digest


def test_most_of_a_real_slide_is_glass(real_data: Path) -> None:
    image = read(real_data / "wsi" / "CMU-1-Small-Region.svs")
    found = find_tissue(image)
    assert 0.4 < found.share < 0.7
    # Nothing strongly coloured is left out but some specks.
    step = round(found.scale[0])
    pixels = np.asarray(image.data[::step, ::step])[: found.mask.shape[0], : found.mask.shape[1]].astype(int)
    vivid = pixels.max(-1) - pixels.min(-1) > 50
    assert (vivid & ~found.mask[: len(vivid), : vivid.shape[1]]).sum() < 0.01 * vivid.sum()
