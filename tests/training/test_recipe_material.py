"""Every recipe of the package on made-up files of its kind: what it gathers, as which classes, and what is held out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Picture

from napari_medseg.training import Recipe, list_recipes
from napari_medseg.training.classes import find_classes
from napari_medseg.training.material import split
from napari_medseg.training.schedule import Budget
from napari_medseg.training.split import NOTHING
from napari_medseg.training.watch import Watch

from .conftest import Folders, Listener, draw

COUNT = 12
"""Images of each kind; all but those of lungs have one size."""


def series(folder: Path) -> Folders:
    """Slices of a CT or MR, ``0.png …``, two classes in each."""
    return pictures(folder, str)


def xrays(folder: Path) -> Folders:
    """Pictures of different sizes, the left and the right lung in each."""
    return pictures(folder, lambda i: f"chest{i:02}_{'abcdefghijkl'[i]}", lambda pixels, i: pixels[: 64 - i])


def stained(folder: Path) -> Folders:
    """Pictures in colour, two kinds of regions in each."""
    return pictures(folder, lambda i: f"region{'abcdefghijkl'[i]}", color=True)


def pictures(
    folder: Path,
    name: Callable[[int], str],
    cut: Callable[[np.ndarray, int], np.ndarray] = lambda pixels, i: pixels,
    color: bool = False,
) -> Folders:
    images, masks = folder / "images", folder / "masks"
    images.mkdir()
    masks.mkdir()
    for i in range(COUNT):
        image, mask = (cut(pixels, i) for pixels in draw(i))
        image = np.stack([image, image // 2, 255 - image // 3], -1) if color else image
        Picture.fromarray(image).save(images / f"{name(i)}.png")
        Picture.fromarray(mask).save(masks / f"{name(i)}.png")
    return images, masks


def patients(folder: Path) -> Folders:
    """Six patients with two slices of three sequences, masks beside them; every second slice is empty."""
    for i in range(COUNT):
        patient = f"TCGA_CS_{4940 + i // 2}_19960909"
        (folder / patient).mkdir(exist_ok=True)
        image, mask = draw(i)
        sequences = np.stack([image, image // 2, 200 - image // 2], -1)
        tifffile.imwrite(folder / patient / f"{patient}_{i % 2 + 1}.tif", sequences, photometric="rgb")
        tifffile.imwrite(
            folder / patient / f"{patient}_{i % 2 + 1}_mask.tif", ((mask > 0) * 255 * (i % 2)).astype("u1")
        )
    return folder, folder


def kind_of(recipe: str) -> Callable[[Path], Folders]:
    """The images that a recipe is for."""
    kinds = {"brain-tumour": patients, "femur": series, "lungs": xrays, "-he": stained}
    return next((kind for part, kind in kinds.items() if part in recipe), xrays)


@pytest.mark.parametrize("name", list_recipes())
def test_a_recipe_gathers_images_of_its_kind(name: str, tmp_path: Path, listener: Listener) -> None:
    recipe, kind = Recipe.read(name), kind_of(name)
    run = recipe.plan([kind(tmp_path)], name="new")
    parts = split(run, NOTHING, Watch(listener, Budget(None, 1)), empty=run.options.presence)
    painted = [*parts]
    assert len(painted) == COUNT, listener.said
    classes = find_classes(painted, run.classes)
    named = [one.partition("=")[2] for one in recipe.classes]
    if recipe.merge or kind is patients:
        assert [(c.value, c.name) for c in classes] == [(1, named[0])]
    else:
        assert [c.value for c in classes] == [1, 2]
        assert [c.name for c in classes][: len(named)] == named
    assert parts.training
    assert parts.held_out
    assert bool(parts.test) == bool(run.options.test)
    assert {one.image.channels for one in painted} == {3 if kind in (stained, patients) else 1}
    if run.options.group:
        assert {one.group for one in painted} > {one.group for one in parts.held_out} > set()
        assert not {one.group for one in parts.training} & {one.group for one in parts.held_out}
