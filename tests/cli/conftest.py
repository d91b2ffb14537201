"""A model that is one threshold, series of small PNG files, and a way to run the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from napari_medseg.cli import main
from napari_medseg.core import ClassInfo, ModelCard, Normalisation
from napari_medseg.models import Model

SIZE = 48


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


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    """The threshold, under every name."""
    card = ModelCard(
        name="threshold",
        classes=(ClassInfo.numbered(1, "bright"),),
        normalisation=Normalisation(method="window", low=0, high=255),
        sha256="0" * 64,
    )
    loaded = Model(card, Threshold().eval(), Path("nowhere"))
    monkeypatch.setattr("napari_medseg.cli.segment.load_model", lambda reference: loaded)
    return loaded
