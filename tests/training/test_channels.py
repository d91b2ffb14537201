"""What the channels of training images are is told by asking or by looking."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture
from scipy import ndimage

from napari_medseg.core import ClassInfo, InputError, ModelCard, Normalisation
from napari_medseg.training import train
from napari_medseg.training.channels import find_channels
from napari_medseg.training.truth import LabelledSlice

SIDE = 64


def card(channels: int, **more: object) -> ModelCard:
    return ModelCard(name="a", classes=(ClassInfo.numbered(1),), channels=channels, **more)


def blobs(seed: int) -> np.ndarray:
    """Smooth random values of 0 to 1."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(SIDE, SIDE)), 5, mode="wrap")
    return (noise - noise.min()) / (noise.max() - noise.min())


def slide(
    seed: int, first: tuple[float, ...] = (0.65, 0.70, 0.29), second: tuple[float, ...] = (0.07, 0.99, 0.11)
) -> np.ndarray:
    """Two dyes in light, (3, Y, X): haematoxylin and eosin."""
    density = sum(1.2 * blobs(seed + i)[None] * np.array(dye)[:, None, None] for i, dye in enumerate((first, second)))
    return np.exp(-density)


def brain(seed: int) -> np.ndarray:
    """Three sequences of a head in air, each bright elsewhere."""
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    inside = rows**2 + columns**2 < 22**2
    return np.stack([blobs(seed + i) * inside for i in range(3)])


def retina(seed: int) -> np.ndarray:
    """An orange disc in a black frame."""
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    inside = rows**2 + columns**2 < 28**2
    return np.array([0.9, 0.5, 0.2])[:, None, None] * (0.5 + 0.5 * blobs(seed)) * inside


def slices(draw: object, count: int = 3) -> list[LabelledSlice]:
    return [
        LabelledSlice(str(i), draw(10 * i).astype(np.float16), np.zeros((SIDE, SIDE), np.int16)) for i in range(count)
    ]


def brown(seed: int) -> np.ndarray:
    """Haematoxylin and DAB."""
    return slide(seed, second=(0.27, 0.57, 0.78))


@pytest.mark.parametrize(
    ("draw", "kind"), [(slide, "stain"), (brown, "stain"), (brain, "sequences"), (retina, "photo")]
)
def test_three_channels_are_told_by_their_pixels(draw: object, kind: str) -> None:
    assert find_channels(slices(draw), card(3)).kind == kind


def test_normalised_pixels_are_told_as_plain_ones() -> None:
    normalisation = Normalisation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    mean, std = (np.array(values)[:, None, None] for values in (normalisation.mean, normalisation.std))
    for draw, kind in ((slide, "stain"), (brain, "sequences"), (retina, "photo")):
        found = find_channels(
            slices(lambda seed, draw=draw: (draw(seed) - mean) / std), card(3, normalisation=normalisation)
        )
        assert (found.kind, found.mean, found.std) == (kind, normalisation.mean, normalisation.std)


def test_the_slice_itself_is_looked_at_and_not_its_neighbours() -> None:
    def stack(seed: int) -> np.ndarray:
        return np.concatenate([slide(seed), brain(seed), slide(seed)])

    found = find_channels(slices(stack), card(3, neighbours=1))
    assert (found.kind, found.planes) == ("sequences", 3)


@pytest.mark.parametrize(("channels", "kind"), [(1, "grey"), (2, "sequences"), (4, "sequences")])
def test_other_numbers_of_channels_need_no_look(channels: int, kind: str) -> None:
    assert find_channels(slices(lambda seed: np.zeros((channels, 8, 8))), card(channels)).kind == kind


def test_colours_without_any_colour_are_sequences() -> None:
    """An MR case whose sequences are copies of one."""
    assert find_channels(slices(lambda seed: np.stack([blobs(seed)] * 3)), card(3)).kind == "sequences"


def test_what_was_asked_for_is_not_looked_at() -> None:
    for kind in ("sequences", "photo", "stain"):
        assert find_channels(slices(brain), card(3), kind).kind == kind
    assert find_channels([], card(1), "stain").kind == "grey"
    with pytest.raises(InputError, match="2 channels have no red"):
        find_channels([], card(2), "stain")


def test_a_run_says_what_it_takes_the_channels_for(tmp_path: Path, listener: object) -> None:
    """Nothing is guessed silently."""
    images, masks = tmp_path / "images", tmp_path / "masks"
    images.mkdir()
    masks.mkdir()
    for i in range(2):
        Picture.fromarray((slide(i).transpose(1, 2, 0) * 255).astype(np.uint8)).save(images / f"{i}.png")
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[20:40, 10:50] = 1
        Picture.fromarray(mask).save(masks / f"{i}.png")
    train([(images, masks)], model="unet:resnet18", max_steps=1, device="cpu", report=listener)
    assert "The channels are taken for red, green and blue of a stained slide." in listener.said
