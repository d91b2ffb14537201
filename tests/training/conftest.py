"""Small made-up series: a bright disc on the left, a square on the right, in noise."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from napari_medseg.core import Image, Progress
from napari_medseg.core.geometry import Geometry
from napari_medseg.training import train
from napari_medseg.training.truth import Painted

SIDE = 64

Folders = tuple[Path, Path]


def draw(seed: int, classes: tuple[int, int] = (1, 2)) -> tuple[np.ndarray, np.ndarray]:
    """An image of 64 x 64 uint8 and its mask."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    y, x = random.integers(24, 40), random.integers(14, 22)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[(rows - y) ** 2 + (columns - x) ** 2 < 64] = classes[0]
    mask[(abs(rows - y) < 7) & (abs(columns - x - 28) < 7)] = classes[1]
    image = np.where(mask > 0, 180, 60) + random.normal(0, 10, mask.shape)
    return image.clip(0, 255).astype(np.uint8), mask


@pytest.fixture
def write_series(tmp_path: Path) -> Callable[..., Folders]:
    """Write ``count`` slices and their masks, each mask changed by ``change`` first; return the two folders."""

    def write(
        count: int = 5, change: Callable[[np.ndarray, int], np.ndarray] = lambda mask, i: mask, name: str = "a"
    ) -> Folders:
        images, masks = tmp_path / name / "images", tmp_path / name / "masks"
        images.mkdir(parents=True)
        masks.mkdir()
        for i in range(count):
            image, mask = draw(i)
            Picture.fromarray(image).save(images / f"{i}.png")
            Picture.fromarray(change(mask, i)).save(masks / f"{i}.png")
        return images, masks

    return write


@pytest.fixture
def paint_slices() -> Callable[..., list[Painted]]:
    """Snapshots of one image whose slices have these masks."""

    def paint(*masks: np.ndarray, groups: tuple[str, ...] = ()) -> list[Painted]:
        stack = np.stack([np.where(m > 0, 180, 60) for m in masks]).astype(np.uint8)
        image = Image(stack, "ZYX", Geometry.unknown(3))
        return [
            Painted(image, z, np.asarray(m, np.int64), (), f"slice {z}", groups[z] if groups else "")
            for z, m in enumerate(masks)
        ]

    return paint


class Listener:
    """A reporter that remembers, and stops the run when ``stop`` says so."""

    def __init__(self, stop: Callable[[Progress], bool] = lambda progress: False) -> None:
        self.heard: list[Progress] = []
        self._stop = stop

    def __call__(self, progress: Progress) -> None:
        from napari_medseg.core import Cancelled

        self.heard.append(progress)
        if self._stop(progress):
            raise Cancelled

    @property
    def said(self) -> str:
        return " ".join(p.message for p in self.heard)


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library with a model ``first`` that remembers six slices, one of which measured; it has learnt next to
    nothing."""
    home, data = tmp_path_factory.mktemp("library"), tmp_path_factory.mktemp("series")
    for part in ("images", "masks"):
        (data / part).mkdir()
    for i in range(6):
        image, mask = draw(100 + i)
        Picture.fromarray(image).save(data / "images" / f"{i}.png")
        Picture.fromarray(mask).save(data / "masks" / f"{i}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_MEDSEG_HOME", str(home))
        folders = (data / "images", data / "masks")
        train(
            [folders],
            name="first",
            model="unet:tu-resnet10t",
            classes=["1=disc", "2=square"],
            device="cpu",
            batch=2,
            max_steps=1,
            augmentation="none",
        )
    shutil.copytree(data, home / "data")
    return home


@pytest.fixture
def library(trained_once: Path, own_library: Path) -> Path:
    shutil.copytree(trained_once, own_library, dirs_exist_ok=True)
    return own_library
