"""Windows put together by blocks against the same windows blended at once over the whole image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medseg.inference.mosaic import Mosaic
from napari_medseg.inference.tiles import Grid, blend_profile, lay_grid

CPU = torch.device("cpu")


def make_logits(grid: Grid, classes: int, seed: int = 0) -> torch.Tensor:
    """(rows, columns, K, h, w)."""
    made = np.random.default_rng(seed).normal(size=(len(grid.rows), len(grid.columns), classes, *grid.patch))
    return torch.from_numpy(made.astype(np.float32))


def naive(grid: Grid, logits: torch.Tensor, blend: str, chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Blended logits of the whole image, (K, Y, X), by the definition."""
    total = np.zeros((logits.shape[2], *grid.padded))
    weight = np.zeros(grid.padded)
    middles = [np.array(f) + n / 2 for f, n in zip((grid.rows, grid.columns), grid.patch, strict=True)]
    nearest = [np.abs(np.arange(n)[:, None] + 0.5 - m).argmin(1) for n, m in zip(grid.padded, middles, strict=True)]
    profile = np.outer(*(blend_profile(n) for n in grid.patch))
    for r, c in zip(*np.nonzero(chosen), strict=True):
        window = grid.window(r, c)
        own = np.outer(nearest[0][window[0]] == r, nearest[1][window[1]] == c)
        w = profile if blend == "gaussian" else own.astype(float)
        total[:, *window] += logits[r, c].numpy() * w
        weight[window] += w
    return (total / np.where(weight > 0, weight, 1))[:, : grid.shape[0], : grid.shape[1]]


def assemble(mosaic: Mosaic, logits: torch.Tensor, passes: list[list[tuple[int, int]]]) -> torch.Tensor:
    """Logits of all blocks (K, Y, X), one pass after the other."""
    result = torch.zeros((logits.shape[2], *mosaic.shape))
    seen = np.zeros(mosaic.shape, int)
    for blocks in passes:
        for empty in mosaic.start(blocks):
            seen[mosaic.pixels(empty)] += 1
        for r, columns in mosaic.needed():
            for finished in mosaic.add(r, columns, logits[r, columns]):
                assert (finished.rows, finished.columns) == mosaic.pixels(finished.block)
                result[:, finished.rows, finished.columns] = finished.logits
                seen[finished.rows, finished.columns] += 1
                torch.testing.assert_close(finished.best.long(), finished.logits.argmax(0))
        assert not mosaic._sums
        assert not mosaic._left
    assert (seen == 1).all()
    return result


def blocks_of(mosaic: Mosaic) -> list[tuple[int, int]]:
    return [(i, j) for i in range(mosaic.blocks[0]) for j in range(mosaic.blocks[1])]


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 150), st.integers(1, 150)),
    cut=st.tuples(st.sampled_from([16, 48, 64]), st.sampled_from([0.0, 0.25, 0.5])),
    block=st.sampled_from([17, 32, 64, 1000]),
    classes=st.sampled_from([2, 3]),
    blend=st.sampled_from(["gaussian", "discard"]),
    keep=st.sampled_from([1.0, 0.4]),
)
def test_blocks_are_what_blending_at_once_gives(
    shape: tuple[int, int], cut: tuple[int, float], block: int, classes: int, blend: str, keep: float
) -> None:
    grid = lay_grid(shape, *cut, 16)
    chosen = np.random.default_rng(1).random((len(grid.rows), len(grid.columns))) <= keep
    logits = make_logits(grid, classes)
    mosaic = Mosaic(grid, shape, block, classes, CPU, blend=blend, chosen=chosen)
    found = assemble(mosaic, logits, [blocks_of(mosaic)]).numpy()
    expected = naive(grid, logits, blend, chosen)
    if classes == 2:
        expected = expected - expected[:1]
    np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize("result", [(200, 331), (77, 130), (150, 130)])
def test_another_scale_is_interpolated_as_if_whole(result: tuple[int, int]) -> None:
    grid = lay_grid((100, 130), 64, 0.25, 16)
    logits = make_logits(grid, 3)
    mosaic = Mosaic(grid, result, 32, 3, CPU)
    found = assemble(mosaic, logits, [blocks_of(mosaic)])
    whole = torch.from_numpy(naive(grid, logits, "gaussian", mosaic.chosen))[None]
    expected = torch.nn.functional.interpolate(whole, result, mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(found.double(), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("result", [(300, 270), (431, 390)])
def test_the_division_into_passes_changes_no_bit(result: tuple[int, int]) -> None:
    """W3: a resumed run computes other blocks together than the first one did."""
    grid = lay_grid((300, 270), 64, 0.25, 32)
    logits = make_logits(grid, 2)
    chosen = np.random.default_rng(2).random((len(grid.rows), len(grid.columns))) < 0.7
    mosaic = Mosaic(grid, result, 50, 2, CPU, chosen=chosen)
    every = blocks_of(mosaic)
    at_once = assemble(mosaic, logits, [every])
    mixed = [every[i] for i in np.random.default_rng(3).permutation(len(every))]
    assert torch.equal(at_once, assemble(mosaic, logits, [mixed[:7], mixed[7:8], mixed[8:]]))


def test_pixels_that_no_window_covers_are_background() -> None:
    grid = lay_grid((128, 128), 64, 0.25, 32)
    chosen = np.zeros((3, 3), bool)
    chosen[0, 0] = True
    mosaic = Mosaic(grid, (128, 128), 64, 3, CPU, chosen=chosen)
    assert mosaic.start(blocks_of(mosaic)) == [(0, 1), (1, 0), (1, 1)]
    (finished,) = mosaic.add(0, [0], torch.ones(1, 3, 64, 64))
    assert not finished.best.any()
    assert mosaic.needed() == []


def test_only_blocks_that_are_begun_take_memory() -> None:
    grid = lay_grid((640, 64), 64, 0.25, 32)
    mosaic = Mosaic(grid, (640, 64), 64, 3, CPU)
    mosaic.start(blocks_of(mosaic))
    held = []
    for r, columns in mosaic.needed():
        mosaic.add(r, columns, torch.ones(len(columns), 3, 64, 64))
        held.append(len(mosaic._sums))
    assert max(held) <= 2
    assert held[-1] == 0
