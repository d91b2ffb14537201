"""What training makes of the pixel sizes of its images, and what the card of the new model says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_medseg import io
from napari_medseg.inference.sizes import input_shape
from napari_medseg.training import train

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
