"""What the channels of training images are is told by asking or by looking."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture
from pydantic import ValidationError
from scipy import ndimage

from napari_medseg.core import ClassInfo, Geometry, Image, InputError, ModelCard, ModelError, Normalisation
from napari_medseg.training import Pair, train
from napari_medseg.training.channels import agree_on_names, check_orders, find_channels
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


def named(*names: str) -> Image:
    pixels = np.zeros((8, 8, 2), np.uint8)
    return Image(pixels, "YXC", Geometry.unknown(2), meaning="channels", channel_names=names)


def test_a_model_calls_its_channels_as_all_its_images_do() -> None:
    new, old = card(2), card(2).model_copy(update={"channel_names": ("T1", "FLAIR")})
    one, same, other, none = named("T1", "FLAIR"), named("t1", "flair"), named("T1", "T2"), named()
    assert agree_on_names([one, same], new) == (("T1", "FLAIR"), "")
    assert agree_on_names([same, none], new) == ((), ""), "nobody says that it is the same"
    assert agree_on_names([same, none], old) == (("T1", "FLAIR"), "")
    for images, start, names in (
        ([one, other], new, ()),
        ([one, other], old, ()),
        ([other, other], old, ("T1", "T2")),
        ([other, none], old, ()),
    ):
        said = agree_on_names(images, start)
        assert said[0] == names, "what it was fine-tuned on, where that is sure"
        assert "T1, FLAIR here and T1, T2 there" in said[1]
    assert agree_on_names([one], card(3)) == ((), "")


def test_channels_in_another_order_are_refused() -> None:
    """What one network learnt from both would be worth nothing."""
    with pytest.raises(InputError, match="has the channels flair, t1, another has T1, FLAIR") as raised:
        check_orders([named(), named("T1", "FLAIR"), named("flair", "t1")], card(2))
    assert raised.value.hint == "Give the channels of all images in the same order."
    start = card(2).model_copy(update={"channel_names": ("T1", "FLAIR")})
    with pytest.raises(InputError, match="has the channels T2, T1, another has T1, T2"):
        check_orders([named("T1", "FLAIR"), named("T1", "T2"), named("T2", "T1")], card(2))
    with pytest.raises(
        ModelError, match=r"The image has the channels FLAIR, T1, the model .* has learnt from T1, FLAIR"
    ):
        check_orders([named("FLAIR", "T1")], start)
    check_orders([named("T1", "FLAIR"), named("T1", "T2"), named()], start)


def test_a_run_keeps_what_its_channels_are_called(own_library: Path, tmp_path: Path) -> None:
    """In files of their own, by a table; a model fine-tuned from it, too, and swapped columns are refused."""
    for i in range(2):
        image = (brain(i) * 255).astype(np.uint8)
        for name, pixels in zip(("t1", "flair"), image[:2], strict=True):
            Picture.fromarray(pixels).save(tmp_path / f"{i}_{name}.png")
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[20:40, 10:50] = 1
        Picture.fromarray(mask).save(tmp_path / f"{i}_mask.png")

    def table(*columns: str) -> tuple[Path, Path]:
        path = tmp_path / f"{'-'.join(columns)}.csv"
        rows = [",".join([*(f"{i}_{c}.png" for c in columns), f"{i}_mask.png"]) for i in range(2)]
        path.write_text("\n".join([",".join([*columns, "mask"]), *rows]))
        return path, tmp_path

    options: dict[str, Any] = {"max_steps": 1, "device": "cpu", "crop": 64}
    first = train([table("t1", "flair")], model="unet:tu-resnet10t", name="two", **options)
    assert (first.channels, first.channel_names) == (2, ("t1", "flair"))
    assert train([table("t1", "flair")], model="two", name="next", **options).channel_names == ("t1", "flair")
    with pytest.raises(ModelError, match=r"0_flair\.png has the channels flair, t1, the model two@1 has learnt"):
        train([table("flair", "t1")], model="two", name="other", **options)
    quick = train([table("t1", "flair")], model="quick:two", name="trees", **options)
    assert quick.channel_names == ("t1", "flair"), "whose features it uses"
    with pytest.raises(ModelError, match="has learnt from t1, flair"):
        train([table("flair", "t1")], model="quick:two", name="other", **options)


@pytest.mark.parametrize("names", [("x" * 101, "b"), ("", "b")])
def test_a_pair_has_no_names_that_a_card_cannot_have(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError, match="channel_names"):
        Pair(image=tmp_path / "i", labels=tmp_path / "l", channel_names=names)


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
