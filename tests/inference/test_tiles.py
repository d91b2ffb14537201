"""Windows cover everything, evenly, and blend without seams."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medseg.inference.tiles import blend_profile, cut, lay_grid, pad, share_out, starts


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(1, 400), st.integers(1, 400)),
    st.integers(8, 200),
    st.floats(0, 0.75),
    st.sampled_from([1, 8, 16, 32]),
)
def test_windows_cover_every_pixel(shape: tuple[int, int], tile: int, overlap: float, multiple: int) -> None:
    """V6, V7, V8: any size, from one pixel on."""
    grid = lay_grid(shape, tile, overlap, multiple)
    seen = np.zeros(grid.padded, int)
    for window in grid.windows:
        seen[window] += 1
        assert seen[window].shape == grid.patch
    assert seen.min() >= 1
    assert grid.count == len(grid.windows)
    assert all(n % multiple == 0 for n in grid.patch)
    assert all(0 <= p - n < multiple for p, n in zip(grid.padded, shape, strict=True))
    for firsts, side in zip((grid.rows, grid.columns), grid.patch, strict=True):
        gaps = np.diff(firsts)
        assert (gaps <= side - np.floor(overlap * side)).all()
        if side * (1 - overlap) >= multiple:
            assert (np.array(firsts) % multiple == 0).all()


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


def test_windows_at_the_edges_are_cut_as_if_all_was_padded() -> None:
    pixels = np.random.default_rng(0).random((3, 70, 45), np.float32)
    grid = lay_grid((70, 45), 32, 0.25, 16)
    padded = pad(pixels, grid.padded)
    for window in grid.windows:
        np.testing.assert_array_equal(cut(pixels, window), padded[..., *window])


def test_weights_are_positive_symmetric_and_highest_in_the_middle() -> None:
    profile = blend_profile(64)
    assert profile.min() > 0
    np.testing.assert_allclose(profile, profile[::-1], rtol=1e-5)
    assert profile.argmax() in (31, 32)


@pytest.mark.parametrize("blend", ["gaussian", "discard"])
@pytest.mark.parametrize("firsts", [(0,), (0, 32, 80, 128), (0, 16, 32, 48)])
def test_shares_add_up_to_one_at_every_pixel(firsts: tuple[int, ...], blend: str) -> None:
    total = np.zeros(firsts[-1] + 64)
    for first, shares in zip(firsts, share_out(firsts, 64, blend), strict=True):
        assert ((shares > 0) | (blend == "discard")).all()
        total[first : first + 64] += shares
    np.testing.assert_allclose(total, 1, rtol=1e-6)


def test_margins_are_discarded_up_to_the_middle_of_the_overlap() -> None:
    np.testing.assert_array_equal(np.flatnonzero(share_out((0, 48), 64, "discard")[1]) + 48, np.arange(56, 112))
