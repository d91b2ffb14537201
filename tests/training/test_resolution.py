"""Large things are learnt from smaller images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Picture

import napari_medseg as medseg
from napari_medseg.core import ClassInfo, Geometry, Image, InputError, ModelCard
from napari_medseg.models import load_model
from napari_medseg.training import Pair, TrainingRun
from napari_medseg.training.intake import settle_intake
from napari_medseg.training.resolution import choose_reduction
from napari_medseg.training.start import Start
from napari_medseg.training.truth import Painted

CARD = ModelCard(name="a", classes=(ClassInfo.numbered(1),))


def painted(size: int, radius: int, unlabelled: int | None = None) -> Painted:
    rows, columns = np.ogrid[:size, :size]
    values = ((rows - size / 2) ** 2 + (columns - size / 2) ** 2 < radius**2).astype(np.uint8)
    image = Image(values, "YX", Geometry.unknown(2))
    return Painted(image, 0, values, (), "a", "", unlabelled=unlabelled)


@pytest.mark.parametrize(
    ("size", "radius", "reduction"),
    [(512, 150, 2), (512, 60, 1), (2048, 600, 8), (384, 150, 1), (2048, 250, 4)],
)
def test_the_larger_the_things_the_smaller_the_images(size: int, radius: int, reduction: int) -> None:
    assert choose_reduction([painted(size, radius)], CARD, False, 2**22) == reduction


def test_the_size_that_counts_is_the_one_that_a_network_sees() -> None:
    """Pixels that are not square become so first: here slices four times as high."""
    square = painted(512, 60)
    values = square.values[::4]
    image = Image(values, "YX", Geometry(spacing=(2, 0.5), unit="mm"))
    flat = replace(square, image=image, values=values)
    for pixels in (2**18, 2**22):
        assert choose_reduction([flat], CARD, False, pixels) == choose_reduction([square], CARD, False, pixels)


def test_slices_that_must_go_through_whole_do_as_a_network_sees_them() -> None:
    square = painted(512, 60, unlabelled=255)
    high = replace(square, image=replace(square.image, geometry=Geometry(spacing=(2, 0.5), unit="mm")))
    run = TrainingRun(pairs=(Pair(image=Path("a"), labels=Path("b")),))
    start = Start(CARD.model_copy(update={"presence": 0.5}), torch.nn.Identity(), None, ())
    for slices, reduction in ((square, 1), (high, 4)):
        assert settle_intake(run, start, [slices]).options.reduction == reduction


@pytest.mark.parametrize(
    ("size", "radius", "pixels", "side"), [(384, 50, 2**17, 128), (384, 50, 2**15, 96), (384, 20, 2**17, 224),
                                           (512, 60, 2**18, 192), (256, 5, 2**15, 256)],
)  # fmt: skip
def test_with_little_time_images_are_smaller_but_small_things_stay(
    size: int, radius: int, pixels: int, side: int
) -> None:
    assert size / choose_reduction([painted(size, radius)], CARD, False, pixels) == pytest.approx(side)


@pytest.mark.parametrize(
    ("size", "radius", "reduction"),
    [(1000, 15, 1), (500, 75, 2), (433, 75, 2), (200, 75, 1), (2572, 150, 4), (500, 15, 1)],
)
def test_pictures_in_colour_keep_their_size_but_where_things_are_large(size: int, radius: int, reduction: int) -> None:
    """Time does not matter, as texture tells: only the size of nuclei, glands or regions."""
    for pixels in (2**15, 2**22):
        assert choose_reduction([painted(size, radius)], CARD, True, pixels) == reduction


def test_strokes_keep_their_size() -> None:
    assert choose_reduction([painted(512, 150, unlabelled=255)], CARD, False, 2**15) == 1


def test_sequences_become_smaller_where_time_is_short(own_library: Path, tmp_path: Path) -> None:
    """Sequences of a scanner are not pictures: their looks say little, where things lie says much."""
    mask = painted(256, 60).values
    sequences = np.zeros((256, 256, 3), np.uint8)
    for channel in range(3):
        sequences[40 * channel : 40 * channel + 100, 60:200, channel] = 80 + 60 * channel
    for folder, pixels in (("images", sequences), ("masks", mask)):
        (tmp_path / folder).mkdir()
        for i in range(3):
            Picture.fromarray(np.roll(pixels, 9 * i, 0)).save(tmp_path / folder / f"{i}.png")
    settings = {"model": "unet:tu-resnet10t", "device": "cpu", "batch": 2, "max_steps": 1, "pixels": 2**15}
    card = medseg.train([(tmp_path / "images", tmp_path / "masks")], name="small", **settings)
    assert card.reduction > 2
    assert card.normalisation.method == "median", "each sequence by its own body"
    data = [(tmp_path / "images", tmp_path / "masks")]
    chosen = medseg.train(data, name="chosen", normalisation="percentile", **settings | {"reduction": 4})
    assert chosen.normalisation.method == "percentile"


def test_a_model_of_smaller_images_gives_masks_of_full_size(own_library: Path, tmp_path: Path) -> None:
    mask = painted(512, 150).values
    for folder, pixels in (("images", mask * 200), ("masks", mask)):
        (tmp_path / folder).mkdir()
        for i in range(3):
            Picture.fromarray(np.roll(pixels, 9 * i, 0)).save(tmp_path / folder / f"{i}.png")
    settings = {"model": "unet:tu-resnet10t", "device": "cpu", "batch": 2, "max_steps": 2, "augmentation": "none"}
    card = medseg.train([(tmp_path / "images", tmp_path / "masks")], name="large", **settings)
    assert card.reduction == 2
    labels = medseg.segment(medseg.read(tmp_path / "images"), load_model("large"), device="cpu")
    assert labels.data.shape == (3, 512, 512)


def test_pictures_of_different_sizes_are_learnt_at_one(own_library: Path, tmp_path: Path) -> None:
    mask = painted(512, 150).values
    for folder, pixels in (("images", mask * 200), ("masks", mask)):
        (tmp_path / folder).mkdir()
        for size in (200, 256, 600):
            Picture.fromarray(pixels).resize((size, size), Picture.Resampling.NEAREST).save(
                tmp_path / folder / f"{size}.png"
            )
    pairs = [(tmp_path / "images" / f"{size}.png", tmp_path / "masks" / f"{size}.png") for size in (200, 256, 600)]
    settings = {"model": "unet:tu-resnet10t", "device": "cpu", "batch": 2, "max_steps": 2, "augmentation": "none"}
    card = medseg.train(pairs, name="whole", longest=96, **settings)
    assert (card.longest, card.reduction) == (96, 1)
    labels = medseg.segment(medseg.read(pairs[2][0]), load_model("whole"), device="cpu")
    assert labels.data.shape[-2:] == (600, 600)
    again = medseg.train(pairs, name="whole", **settings | {"model": "whole"})
    assert again.longest == 96, "as long as the network is the same, so is what it looks at"


def test_one_size_and_a_reduction_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="reduction"):
        medseg.train([(tmp_path, tmp_path)], model="unet:resnet18", name="both", longest=96, reduction=2)
