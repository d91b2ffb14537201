"""What training makes of the pixel sizes of its images, and what the card of the new model says of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch

from napari_medseg import io
from napari_medseg.core import ClassInfo, Finding, Geometry, Image, ModelCard
from napari_medseg.inference.sizes import input_shape
from napari_medseg.models import find_model
from napari_medseg.models.library import adopt_model
from napari_medseg.training import Pair, TrainingRun, TrainOptions, train
from napari_medseg.training.intake import note_origin
from napari_medseg.training.run import plan_run, recalling
from napari_medseg.training.start import Start
from napari_medseg.training.truth import Painted

from .conftest import Listener, draw

SMALL: dict[str, Any] = {
    "device": "cpu", "batch": 2, "max_steps": 1, "augmentation": "none", "rival": False, "validation": 0
}  # fmt: skip
NEW = "unet:tu-resnet10t"


def write(folder: Path, *sides: tuple[float, float] | None) -> list[tuple[Path, Path]]:
    """Images whose pixels have these sides in mm, None for unknown ones, and their masks."""
    folder.mkdir(exist_ok=True)
    pairs = []
    for i, one in enumerate(sides):
        about = {f"PhysicalSize{axis}": size for axis, size in zip("YX", one or (), strict=False)}
        units = {f"{name}Unit": "mm" for name in about}
        image, mask = draw(i)
        pairs.append((folder / f"{i}.tif", folder / f"{i}_mask.tif"))
        tifffile.imwrite(pairs[-1][0], image, ome=True, metadata={"axes": "YX", **about, **units})
        tifffile.imwrite(pairs[-1][1], mask)
    return pairs


def test_pixels_that_are_not_square_are_learnt_square(own_library: Path, tmp_path: Path, listener: Listener) -> None:
    """M10: as they are segmented later."""
    pairs = write(tmp_path / "a", (0.5, 1.0), (0.5, 1.0))
    card = train(pairs, model=NEW, name="s", report=listener, **SMALL)
    assert card.pixel_size == 0.5
    assert "128 x 64 pixels a step" in listener.said
    assert "resampled from 0.5×1 mm to 0.5 mm, the pixel size of the model s@1. (and 1 more like it)" in listener.said
    assert input_shape(io.read(pairs[0][0]), card)[0] == (64, 128)
    # Where one of the sizes is not known, the model names none, and learns from square pixels all the same.
    mixed = train(write(tmp_path / "b", (0.5, 1.0), None), model=NEW, name="m", report=listener, **SMALL)
    assert mixed.pixel_size is None
    assert "resampled from 0.5×1 mm to 0.5 mm: the model m@1 takes square pixels." in listener.said
    assert np.prod(input_shape(io.read(pairs[0][0]), mixed)[0]) == 64 * 128


def test_a_model_says_from_which_pixels_it_has_learnt(own_library: Path, tmp_path: Path, listener: Listener) -> None:
    """M10: in all its trainings; what only measures does not count."""
    first = train(write(tmp_path / "a", (0.5, 0.5), None, (0.6, 0.6)), model=NEW, name="s", **SMALL)
    assert (first.pixel_size, first.pixel_range) == (None, (0.5, 0.6))
    unknown = train(write(tmp_path / "b", None), model="s@1", **SMALL)
    assert unknown.pixel_range == (0.5, 0.6)
    more, measures = write(tmp_path / "c", (1.6, 0.8)), write(tmp_path / "d", (9, 9))
    second = train(more, model="s@1", validation_data=measures, report=listener, **SMALL)
    assert second.pixel_range == (0.5, 0.8)
    assert second.fingerprint == second.model_copy(update={"pixel_range": None}).fingerprint, "no mask depends on it"
    assert "pixels are 9 mm, the model s@1 has learnt from 0.5 to 0.6 mm" in listener.said
    anew = train(recalling(plan_run(write(tmp_path / "e", (2, 2))), "s@1"), report=listener, **SMALL)
    assert "There is no model" not in listener.said, "random weights remember nothing"
    assert anew.pixel_range == (0.5, 2)
    pictures = train(write(tmp_path / "f", (0.5, 0.5)), model=NEW, name="p", longest=32, **SMALL)
    assert pictures.pixel_range is None


def series(image: Image) -> Painted:
    return Painted(image, 0, np.zeros((8, 8), np.uint8), (), "a", "")


def learnt(neighbours: int, distance: float | None, *images: Image) -> float | None:
    """What a model says of the distance of slices that goes on from one with this, on these images."""
    card = ModelCard(name="a", classes=(ClassInfo.numbered(1),), neighbours=neighbours, slice_distance=distance)
    start = Start(card, torch.nn.Identity(), card if distance else None, ())
    run = TrainingRun(pairs=(Pair(image=Path("a"), labels=Path("b")),))
    return note_origin(run, start, [series(image) for image in images]).card.slice_distance


def test_a_model_says_how_far_apart_its_slices_lay() -> None:
    pixels = np.zeros((3, 8, 8), np.uint8)
    near, close, far = (Image(pixels, "ZYX", Geometry(spacing=(z, 1, 1), unit="mm")) for z in (2.0, 2.5, 5.0))
    single = Image(pixels[0], "YX", Geometry(spacing=(1, 1), unit="mm"))
    guessed = replace(near, findings=(Finding("NO_SPACING", "The pixel size is taken."),))
    places = ((0.0, 0.0, 0.0), (2.0, 0.0, 0.0), (9.0, 0.0, 0.0))
    uneven = replace(near, geometry=Geometry(spacing=(2, 1, 1), unit="mm", positions=places))
    assert learnt(1, None, near) == learnt(1, None, near, single) == 2
    assert learnt(1, None, near, replace(near), close) == 2
    assert learnt(1, 2.2, near, close) == 2.2
    assert learnt(0, None, near) is None, "it looks at none of them"
    for others in ((far,), (guessed,), (uneven,)):
        assert learnt(1, None, near, *others) is None
    assert learnt(1, 5.0, near) is None, "it has learnt from both"


def test_a_model_that_learns_from_another_kind_is_no_longer_for_one_kind(
    own_library: Path, tmp_path: Path, listener: Listener
) -> None:
    """Else each image like those it has learnt from would be told to be of another kind."""
    [(image, mask)] = write(tmp_path / "a", (0.5, 0.5))
    first = train([(image, mask)], model=NEW, name="s", **SMALL)
    adopt_model(find_model(first.reference), first.model_copy(update={"name": "ct", "modality": "CT"}))
    for modality, kept in (("", "CT"), ("CT", "CT"), ("MR", "")):
        pair = Pair(image=image, labels=mask, modality=modality)
        card = train(TrainingRun(pairs=(pair,), start="ct@1", name="new", options=TrainOptions(**SMALL))).modality
        assert card == kept
