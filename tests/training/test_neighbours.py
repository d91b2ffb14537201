"""Networks that also look at the slices beside each; many classes and channels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_medseg import io
from napari_medseg.core import Geometry, Image, InputError
from napari_medseg.evaluation.metrics import count, dice_of
from napari_medseg.inference import segment
from napari_medseg.models import find_model
from napari_medseg.training import Pair, TrainingRun, TrainOptions, train
from napari_medseg.training.memory import read_archive
from napari_medseg.training.neighbours import about_choice, choose_neighbours
from napari_medseg.training.truth import Painted

from .conftest import Listener

pytestmark = pytest.mark.long

SIDE = 32
PAINTED, OTHERS = (*range(1, 49, 3),), (*range(49, 73, 3),)
START: dict[str, Any] = {"device": "cpu", "batch": 4, "augmentation": "none", "rival": False, "precision": "fp32"}


def write_stack(path: Path, pixels: np.ndarray, spacing: float = 2.0, axes: str = "ZYX") -> Path:
    about = {"axes": axes, **{k: v for a, s in zip("ZYX", (spacing, 1, 1), strict=True) for k, v in (
        (f"PhysicalSize{a}", s), (f"PhysicalSize{a}Unit", "mm"))}}  # fmt: skip
    tifffile.imwrite(path, pixels, ome=True, metadata=about, photometric="minisblack")
    return path


@pytest.fixture
def riddle(tmp_path: Path) -> Pair:
    """Discs that look alike in the labelled slices; whether the next slice shows them too tells their class."""
    random = np.random.default_rng(0)
    pixels = random.normal(60, 5, (75, SIDE, SIDE))
    truth = np.zeros(pixels.shape, np.uint8)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for i, z in enumerate((*PAINTED, *OTHERS)):
        y, x = random.integers(11, 21, 2)
        disc = (rows - y) ** 2 + (columns - x) ** 2 < 50
        truth[z][disc] = 1 + i % 2
        pixels[z][disc] += 100
        pixels[z + 1][disc] += 100 * (i % 2)
    image = write_stack(tmp_path / "image.tif", pixels.clip(0, 255).astype(np.uint8))
    return Pair(image=image, labels=write_stack(tmp_path / "truth.tif", truth), slices=PAINTED)


def learn(pair: Pair, neighbours: str, listener: Listener) -> tuple[Any, float]:
    """Card after a short training, and its mean Dice over both classes on slices it has not seen."""
    options = TrainOptions(neighbours=neighbours, validation=0, max_steps=36, **START)
    card = train(TrainingRun(pairs=(pair,), start="unet:tu-resnet10t", name="r", options=options), report=listener)
    image, truth = io.read(pair.image), io.read_labels(pair.labels)
    found = segment(image, card.reference, device="cpu", precision="fp32", slices=f"{OTHERS[0]}:")
    ours, right = (np.asarray(one.data[[*OTHERS]]) for one in (found, truth))
    return card, float(np.mean([dice_of(*count(ours == k, right == k)) for k in (1, 2)]))


def test_what_only_the_next_slice_tells_is_learnt_with_neighbours(
    own_library: Path, riddle: Pair, listener: Listener
) -> None:
    seeing, dice = learn(riddle, "auto", listener)
    assert (seeing.neighbours, seeing.slice_distance) == (1, 2), "slices lie 2 mm apart"
    assert "also looks at the slice on either side" in listener.said
    assert dice > 0.85
    blind, alone = learn(riddle, "0", listener)
    assert blind.neighbours == 0
    assert alone < 0.7


def test_neighbours_are_kept_and_remembered_by_models_that_are_trained_further(own_library: Path, riddle: Pair) -> None:
    options = TrainOptions(max_steps=1, validation=0, **START)
    first = train(TrainingRun(pairs=(riddle,), start="unet:tu-resnet10t", name="r", options=options))
    assert first.neighbours == 1
    assert {one.entry.shape for one in read_archive(find_model("r")).slices} == {(3, SIDE, SIDE)}
    further = TrainOptions(neighbours="0", max_steps=1, validation=0, **START)
    again = Listener()
    card = train(TrainingRun(pairs=(riddle.model_copy(update={"slices": (1,)}),), start="r",
                             options=further), report=again)  # fmt: skip
    assert card.neighbours == 1, "a model that is trained further keeps its own"
    assert "looks at 1 slice on either side, and so does what is made from it" in again.said
    assert "come from 15 slices the start model remembers" in again.said
    anew = TrainingRun(pairs=(riddle,), start="unet:tu-resnet10t", recall="r")
    assert choose_neighbours(anew, ()) == 1, "as what is remembered was seen"


def stack(spacing: float = 2.0, unit: Any = "mm", positions: Sequence[float] = (), **more: Any) -> Image:
    places = tuple((z, 0.0, 0.0) for z in positions)
    geometry = Geometry(spacing=(spacing, 1, 1), unit=unit, positions=places)
    return Image(np.zeros((5, 8, 8), np.uint8), "ZYX", geometry, **more)


FLAT = Image(np.zeros((8, 8), np.uint8), "YX", Geometry(spacing=(1, 1), unit="mm"))


@pytest.mark.parametrize(
    ("images", "wanted", "said"),
    [
        ([stack()], 1, "also looks at the slice on either side"),
        ([stack(3.0), stack(300, unit="um")], 1, "also looks"),
        ([stack(3.000_265)], 1, "also looks"),  # 3 mm, computed from positions along an oblique axis
        ([stack(3.01)], 0, ""),
        ([stack(2, unit="pixel")], 0, ""),
        ([FLAT], 0, ""),
        ([stack(), FLAT], 0, ""),
        ([stack(positions=(0, 2, 4, 8, 10))], 0, "single slices only: the slices of the series lie unevenly"),
        ([stack(), stack(missing=frozenset({2}))], 0, "single slices only: the series lacks slices"),
    ],
)
def test_auto_looks_beside_where_all_slices_lie_close_and_evenly(
    images: Sequence[Image], wanted: int, said: str
) -> None:
    painted = [Painted(image, 0, np.zeros((8, 8), np.uint8), (), "", "") for image in images]
    run = TrainingRun(pairs=(Pair(image=Path("a"), labels=Path("b")),), start="unet:resnet18")
    chosen = choose_neighbours(run, painted)
    assert chosen == wanted
    assert said in about_choice(run, painted, chosen)
    assert bool(said) == bool(about_choice(run, painted, chosen))


@pytest.mark.parametrize("image", [FLAT, Image(FLAT.data[None], "ZYX", Geometry(spacing=(2, 1, 1), unit="mm"))])
def test_neighbours_of_single_images_are_refused(image: Image) -> None:
    painted = [Painted(image, 0, np.zeros((8, 8), np.uint8), (), "", "")]
    options = TrainOptions(neighbours="1")
    run = TrainingRun(pairs=(Pair(image=Path("a"), labels=Path("b")),), start="unet:resnet18", options=options)
    with pytest.raises(InputError, match="no slice has neighbours"):
        choose_neighbours(run, painted)


def test_sixteen_classes_in_five_channels_of_three_slices(own_library: Path, tmp_path: Path) -> None:
    values = np.arange(4 * 5 * SIDE * SIDE, dtype=np.uint16).reshape(4, 5, SIDE, SIDE) % 997
    image = write_stack(tmp_path / "image.tif", values, axes="ZCYX")
    truth = np.tile(np.arange(SIDE, dtype=np.uint8)[:, None] // 2 + 1, (4, 1, SIDE))
    masks = write_stack(tmp_path / "truth.tif", truth)
    card = train([(image, masks)], model="unet:tu-resnet10t", name="many", max_steps=1, neighbours="1", **START)
    assert (card.channels, card.in_channels, card.out_channels) == (5, 15, 17)
    assert segment(io.read(image), card.reference, device="cpu", precision="fp32").data.shape == (4, SIDE, SIDE)
    assert {one.entry.shape[0] for one in read_archive(find_model("many")).slices} == {15}
