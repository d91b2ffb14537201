"""A model that is one threshold, series of small PNG files, and a way to run the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image as Picture

from napari_medseg.cli import main
from napari_medseg.core import ClassInfo, ModelCard, Normalisation
from napari_medseg.models import Model

sys.path.insert(0, str(Path(__file__).parents[1] / "io"))

SIZE = 48
SLIDE_SHAPE = (1300, 1500)


class Threshold(torch.nn.Module):
    """Background below 0.5, class 1 above."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(20.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bright = (x[:, :1] - 0.5) * self.scale
        return torch.cat([torch.zeros_like(bright), bright], 1)


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line with these arguments."""

    def call(*arguments: object) -> Result:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        return Result(code, shown.out, shown.err)

    return call


def bright_square(z: int, size: int = SIZE) -> np.ndarray:
    """Slice ``z`` of a series: a bright square that moves to the right."""
    pixels = np.full((size, size), 40, np.uint8)
    pixels[10:20, 4 + z : 14 + z] = 200
    return pixels


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """Six slices 0.png … 5.png."""
    folder = tmp_path / "slices"
    folder.mkdir()
    for z in range(6):
        Picture.fromarray(bright_square(z)).save(folder / f"{z}.png")
    return folder


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two images of different sizes."""
    folder = tmp_path / "images"
    folder.mkdir()
    Picture.fromarray(bright_square(0)).save(folder / "hip.png")
    Picture.fromarray(bright_square(3, size=70)).save(folder / "knee.png")
    return folder


def threshold_model(**card: object) -> Model:
    """The threshold as a model."""
    about = {
        "name": "threshold",
        "classes": (ClassInfo.numbered(1, "bright"),),
        "normalisation": Normalisation(method="window", low=0, high=255),
        "sha256": "0" * 64,
    }
    return Model(ModelCard(**{**about, **card}), Threshold().eval(), Path("nowhere"))  # type: ignore[arg-type]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    """The threshold, under every name."""
    loaded = threshold_model()
    monkeypatch.setattr("napari_medseg.cli.segment.load_model", lambda reference: loaded)
    return loaded


def slide_pixels() -> np.ndarray:
    """Bright discs on a dark ground."""
    y, x = np.mgrid[: SLIDE_SHAPE[0], : SLIDE_SHAPE[1]]
    return np.where((y % 200 - 100) ** 2 + (x % 170 - 80) ** 2 < 60**2, 200, 40).astype(np.uint8)


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    """A grey pyramid of two levels."""
    path = tmp_path / "slide.tif"
    about: dict[str, Any] = {"tile": (256, 256), "photometric": "minisblack", "compression": "zlib"}
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(slide_pixels(), subifds=1, resolution=(40000, 40000), resolutionunit="CENTIMETER", **about)
        tiff.write(slide_pixels()[::2, ::2], subfiletype=1, **about)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """Every file within, by its path."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
