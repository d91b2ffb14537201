"""How much of the tissue each class takes up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from napari_medseg.core import ClassInfo, Geometry, Image, Labels
from napari_medseg.inference.shares import Shares, measure_shares

CLASSES = (ClassInfo.numbered(1, "cancer"), ClassInfo.numbered(2, "stroma"))


def slide(size: int = 600) -> Any:
    """Pale glass with a square of 200 x 200 stained pixels."""
    pixels = np.full((size, size, 3), 240, np.float64)
    pixels[200:400, 100:300] = (200, 120, 170)
    return np.clip(pixels + np.random.default_rng(0).normal(0, 4, pixels.shape), 0, 255).astype(np.uint8)


def found(size: int = 600) -> Any:
    """Cancer in a quarter of the square, and as much beside it on the glass."""
    values = np.zeros((size, size), np.uint8)
    values[200:300, 100:200] = 1
    values[0:100, 0:100] = 1
    return values


def image(pixels: Any, um: float | None = 8.0) -> Image:
    geometry = Geometry(spacing=(um,) * (pixels.ndim - 1), unit="um") if um else Geometry.unknown(pixels.ndim - 1)
    return Image(pixels, "ZYXC" if pixels.ndim == 4 else "YXC", geometry)


def labels(values: Any, of: Image, **more: Any) -> Labels:
    return Labels(values, CLASSES, of.geometry, **more)


def test_of_the_tissue_and_not_of_the_glass() -> None:
    picture = image(slide())
    (shares,) = measure_shares(picture, labels(found(), picture))
    assert shares is not None
    assert shares.tissue == pytest.approx((200 * 0.008) ** 2, rel=0.02)
    assert shares.of("cancer") == pytest.approx(0.25, abs=0.01)
    assert shares.of("stroma") == 0
    assert str(shares).startswith("Of the tissue: cancer 25.0 % (0.64 mm²), stroma 0.0 %")


def test_a_smaller_level_and_pixels_of_unknown_size_tell_the_same() -> None:
    picture = image(slide(), None)
    whole = labels(found(), picture)
    (shares,) = measure_shares(
        picture, replace(whole, data=np.kron(found(), np.ones((8, 8), np.uint8)), levels=(found(),))
    )
    assert shares is not None
    assert shares.of("cancer") == pytest.approx(0.25, abs=0.01)
    assert "mm" not in str(shares)


def test_what_was_not_computed_counts_as_nothing() -> None:
    values = found()
    values[300:] = 255
    picture = image(slide())
    (shares,) = measure_shares(picture, labels(values, picture, not_computed=255))
    assert shares is not None
    assert shares.of("cancer") == pytest.approx(0.5, abs=0.01)


def test_every_slice_of_a_stack_and_none_of_a_scan() -> None:
    stack = image(np.stack([slide(), slide()]))
    values = np.stack([found(), np.zeros_like(found())])
    first, second = measure_shares(stack, labels(values, stack))
    assert first is not None
    assert second is not None
    assert Shares.summed([first, second]).of("cancer") == pytest.approx(0.125, abs=0.01)
    assert measure_shares(stack, labels(values, stack, missing=frozenset({0})))[0] is None
    scan = image(255 - slide())
    assert measure_shares(scan, labels(found(), scan)) == (None,)
    skin = np.zeros((64, 64, 3), np.uint8) + np.array([200, 150, 120], np.uint8)
    photo = image(skin)
    assert measure_shares(photo, labels(np.ones((64, 64), np.uint8), photo)) == (None,), "no tissue on glass"
    grey = Image(slide()[..., 0], "YX", Geometry.unknown(2))
    assert measure_shares(grey, labels(found(), grey)) == (None,)
