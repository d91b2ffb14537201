"""Windows cover everything, evenly, and blend without seams."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medseg.inference.tiles import blend_weights, lay_out, pad, starts


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 400), st.integers(1, 400)),
    st.integers(1, 200),
    st.floats(0, 0.75),
    st.sampled_from([8, 16, 32]),
)
def test_windows_cover_every_pixel(shape: tuple[int, int], tile: int, overlap: float, multiple: int) -> None:
    """V6, V7, V8: any size, from one pixel on."""
    layout = lay_out(shape, tile, overlap, multiple)
    seen = np.zeros(layout.padded, int)
    for window in layout.windows:
        seen[window] += 1
        assert seen[window].shape == layout.patch
    assert seen.min() >= 1
    assert all(n % multiple == 0 for n in layout.patch)
    assert all(p >= n for p, n in zip(layout.padded, shape, strict=True))
    assert all(p - n < multiple for p, n in zip(layout.padded, shape, strict=True))


def test_windows_are_evenly_spread() -> None:
    gaps = np.diff(starts(1000, 256, 0.25))
    assert gaps.max() - gaps.min() <= 1
    assert gaps.max() <= 192


def test_one_window_when_the_tile_is_large_enough() -> None:
    assert starts(512, 512, 0.5) == [0]


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (33, 31)])
def test_padding_keeps_content_at_the_upper_left(shape: tuple[int, int]) -> None:
    """V6, V7, V8."""
    pixels = np.random.default_rng(0).random((2, 1, *shape), np.float32)
    padded = pad(pixels, (64, 64))
    assert padded.shape == (2, 1, 64, 64)
    np.testing.assert_array_equal(padded[..., : shape[0], : shape[1]], pixels)
    assert np.isin(padded, pixels).all()


def test_weights_are_positive_symmetric_and_highest_in_the_middle() -> None:
    weights = blend_weights((64, 96))
    assert weights.min() > 0
    np.testing.assert_allclose(weights, weights[::-1, ::-1], rtol=1e-5)
    assert weights[32, 48] == pytest.approx(1, abs=0.01)
