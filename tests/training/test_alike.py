"""Series whose sequences are copies of one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from napari_medseg import read, segment, train


@pytest.mark.parametrize("kind", ["sequences", "stain"])
def test_files_whose_channels_are_alike_train_beside_others(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(0)
    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 20:40] = 1
    pairs = []
    for name, alike in (("a", False), ("b", True)):
        images, masks = tmp_path / name / "images", tmp_path / name / "masks"
        images.mkdir(parents=True)
        masks.mkdir()
        for z in range(3):
            pixels = rng.integers(0, 80, (64, 64, 1 if alike else 3)).astype(np.uint8) + 120 * mask[..., None]
            Picture.fromarray(np.broadcast_to(pixels, (64, 64, 3)).copy()).save(images / f"{name}{z}.png")
            Picture.fromarray(mask).save(masks / f"{name}{z}.png")
        pairs.append((images, masks))
    few = {"max_steps": 2, "device": "cpu", "rival": False}
    card = train(pairs, model="unet:tu-resnet10t", name="both", channels=kind, **few)
    assert card.channels == 3
    assert card.upright == (kind == "sequences"), "pictures have no up"
    labels = segment(read(pairs[1][0]), card.reference, device="cpu")
    assert labels.data.shape == (3, 64, 64)
