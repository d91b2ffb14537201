"""Slides and networks small enough for many runs, and what is in the files of a result."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from napari_medseg.core import ClassInfo, Geometry, Image, InputError, ModelCard, Normalisation
from napari_medseg.inference import SegmentOptions
from napari_medseg.io.pyramid import halve_mean
from napari_medseg.models import Model

SHAPE = (700, 4700)
"""Two by ten chunks; long enough for smaller levels."""

OPTIONS = SegmentOptions(device="cpu", precision="fp32", tile=128, batch=3, overlap=0.25)

Array = npt.NDArray[Any]


class Smooth(torch.nn.Module):
    """Two classes by the mean green of three by three pixels: pale is none of them."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        green = torch.nn.functional.avg_pool2d(x[:, 1:2], 3, 1, 1, count_include_pad=False)
        return torch.cat([10 * (green - 0.62), 0 * green, 12 * (0.45 - green)], 1)


def small_model(network: torch.nn.Module | None = None, **card: Any) -> Model:
    card = {"name": "smooth", "channels": 3, "normalisation": Normalisation(method="window", low=0, high=255)} | card
    card.setdefault("classes", tuple(ClassInfo.numbered(n) for n in (1, 2)))
    return Model(ModelCard(**card), network or Smooth(), Path())


def small_slide(shape: tuple[int, int] = SHAPE, um: float = 4.0, **more: Any) -> Image:
    """Two pieces of purple tissue on glass, with two smaller levels."""
    rng = np.random.default_rng(1)
    pixels = np.full((*shape, 3), 242, np.uint8)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    for middle, radius in (((0.5, 0.3), 0.13), ((0.4, 0.62), 0.05)):
        y, x = (n * m for n, m in zip(shape, middle, strict=True))
        inside = ((rows - y) / shape[0]) ** 2 * 0.1 + ((columns - x) / shape[1]) ** 2 < radius**2
        patches = np.kron(rng.integers(40, 190, (-(-shape[0] // 7), -(-shape[1] // 7))), np.ones((7, 7)))
        green = patches[: shape[0], : shape[1]][inside]
        pixels[inside] = np.stack([np.full_like(green, 190), green, np.full_like(green, 200)], -1)
    half = halve_mean(pixels)
    geometry = Geometry(spacing=(um, um), unit="um")
    return Image(pixels, "YXC", geometry, levels=(half, halve_mean(half)), meaning="RGB", **more)


class Broken:
    """A level of which a rectangle cannot be read, as readers of slides have it."""

    def __init__(self, data: Array, rows: slice, columns: slice) -> None:
        self.data, self.rows, self.columns = data, rows, columns
        self.shape, self.ndim, self.dtype, self.block = data.shape, data.ndim, data.dtype, (256, 256)

    def __getitem__(self, index: Any) -> Array:
        return self.data[index]

    def read(self, rows: slice, columns: slice) -> tuple[Array, tuple[tuple[slice, slice], ...]]:
        if rows.start < 0 or columns.start < 0 or rows.stop > self.shape[0] or columns.stop > self.shape[1]:
            raise InputError("beyond the level")
        pixels = self.data[rows, columns].copy()
        lost = tuple(
            slice(max(a.start, b.start), min(a.stop, b.stop))
            for a, b in zip((rows, columns), (self.rows, self.columns), strict=True)
        )
        if any(part.start >= part.stop for part in lost):
            return pixels, ()
        pixels[
            lost[0].start - rows.start : lost[0].stop - rows.start,
            lost[1].start - columns.start : lost[1].stop - columns.start,
        ] = 255
        return pixels, ((lost[0], lost[1]),)


def files_of(result: Path) -> dict[str, str]:
    """Every file of a result and its content."""
    paths = sorted(p for p in result.rglob("*") if p.is_file())
    return {str(p.relative_to(result)): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}
