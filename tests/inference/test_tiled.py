"""Slices larger than a tile: as if they had gone through whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import ndimage

from napari_medseg.core import Image
from napari_medseg.inference import ProbabilityStack, segment, tiled
from napari_medseg.inference.tiles import lay_grid
from napari_medseg.models import Model
from napari_medseg.models.smp import import_smp

MakeImage = Callable[..., Image]
MakeModel = Callable[..., Model]
Labels = npt.NDArray[Any]
SIDE, TILE = 768, 512


@pytest.fixture(scope="module")
def colours() -> npt.NDArray[np.uint8]:
    """Smooth clouds, from dark to bright."""
    noise = np.random.default_rng(0).normal(size=(SIDE, SIDE, 3))
    noise = ndimage.gaussian_filter(noise, (6, 6, 0))
    return np.asarray(50 + 25 * noise / noise.std(), np.float64).clip(0, 100).astype(np.uint8)


@pytest.fixture(scope="module")
def unet(colours: Labels) -> torch.nn.Module:
    """A real network with random weights, whose three classes each have a part of the clouds."""
    torch.manual_seed(0)
    widths = (32, 16, 16, 8, 8)
    network = import_smp().Unet("tu-resnet10t", encoder_weights=None, classes=3, decoder_channels=widths).eval()
    with torch.inference_mode():
        logits = network(torch.from_numpy(colours[:256, :256].transpose(2, 0, 1)[None] / np.float32(100)))[0].flatten(1)
        head = network.segmentation_head[0]
        head.weight.data /= logits.std(1)[:, None, None, None]
        head.bias.data = (head.bias.data - logits.mean(1)) / logits.std(1)
    return network  # type: ignore[no-any-return]


def run(make_image: MakeImage, model: Model, data: Labels, **options: Any) -> Labels:
    axes = "YXC" if data.ndim == 3 else "YX"
    return np.asarray(segment(make_image(data, axes), model, device="cpu", precision="fp32", **options).data)


@pytest.mark.parametrize("blend", ["gaussian", "discard"])
def test_tiled_labels_are_those_of_the_whole(
    make_image: MakeImage,
    make_model: MakeModel,
    unet: torch.nn.Module,
    colours: Labels,
    blend: str,
) -> None:
    """C5: on 99.99 % of the pixels, and no more changes of class at the borders of tiles than without any."""
    model = make_model(unet, count=2, channels=3)
    whole = run(make_image, model, colours, tile=SIDE)
    assert (np.bincount(whole.ravel()) > 0.1 * whole.size).all()
    found = run(make_image, model, colours, tile=TILE, blend=blend)
    assert (found == whole).mean() >= 0.9999
    edges = np.array([n for first in lay_grid((SIDE, SIDE), TILE, 0.25).columns for n in (first, first + TILE)])
    edges = edges[(edges > 0) & (edges < SIDE)]
    assert changes_at(edges, found) <= 1.05 * changes_at(edges, whole)


def changes_at(edges: npt.NDArray[np.int64], labels: Labels) -> int:
    """Pixels whose left or upper neighbour beyond an edge has another class."""
    across = (labels[:, edges] != labels[:, edges - 1]).sum()
    return int(across + (labels[edges] != labels[edges - 1]).sum())


def small_network() -> torch.nn.Module:
    """Sees six pixels around."""
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(1, 8, 7, padding=3), torch.nn.Tanh(), torch.nn.Conv2d(8, 3, 7, padding=3)]
    return torch.nn.Sequential(*layers)


@pytest.mark.parametrize("shape", [(256, 192), (201, 333)])
def test_discarded_margins_leave_what_the_whole_gives_exactly(
    make_image: MakeImage, make_model: MakeModel, shape: tuple[int, int]
) -> None:
    """C5: for a network that sees no further than half the overlap."""
    data = np.random.default_rng(0).integers(0, 100, shape, np.uint8)
    model = make_model(small_network(), count=2)
    whole = run(make_image, model, data, tile=512)
    assert len(np.unique(whole)) == 3
    np.testing.assert_array_equal(run(make_image, model, data, tile=64, blend="discard", overlap=0.25), whole)


def test_slice_put_together_block_by_block_is_the_same(
    make_image: MakeImage, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = np.random.default_rng(0).integers(0, 100, (300, 410), np.uint8)
    model = make_model(small_network(), count=2, pixel_size=1.0)
    image = make_image(data, pixel_size=1.5)
    results = []
    for limit in (tiled.SUMS_BYTES, 2**20):
        monkeypatch.setattr(tiled, "SUMS_BYTES", limit)
        monkeypatch.setattr(tiled, "SMALLEST_BLOCK", 96)
        taken = ProbabilityStack(image, model.card)
        results.append((segment(image, model, tile=96, device="cpu", suggest=1, probabilities=taken), taken.data))
    (whole, shares), (blocks, block_shares) = results
    np.testing.assert_array_equal(blocks.data, whole.data)
    np.testing.assert_array_equal(block_shares, shares)
    assert len(whole.look_in) == 1
    assert blocks.look_in == ()


def test_raw_values_give_the_labels_of_prepared_ones(
    make_image: MakeImage, make_model: MakeModel, unet: torch.nn.Module, colours: Labels
) -> None:
    """Integers are scaled on the device, floats before."""
    model = make_model(unet, count=2, channels=3)
    part = colours[:200, :300]
    raw = run(make_image, model, part, tile=TILE)
    prepared = run(make_image, model, part.astype(np.float32), tile=TILE)
    assert (raw == prepared).mean() > 0.9999
