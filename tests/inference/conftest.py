"""Small images and networks whose right answer is plain to see."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from napari_medseg.core import ClassInfo, Geometry, Image, ModelCard, Normalisation
from napari_medseg.models import Model

MakeImage = Callable[..., Image]
MakeModel = Callable[..., Model]


class Threshold(torch.nn.Module):
    """Class 1 where the first channel's middle plane is above a half; class k where it is above k / (classes + 1)."""

    def __init__(self, classes: int = 1) -> None:
        super().__init__()
        self.levels = [k / (classes + 1) for k in range(1, classes + 1)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        plane = x[:, x.shape[1] // 2]
        # Steps add up so that the highest level passed has the largest logit.
        logits = [torch.zeros_like(plane)]
        for level in self.levels:
            logits.append(logits[-1] + 20 * (plane - level))
        return torch.stack(logits, 1)


@pytest.fixture
def make_model() -> MakeModel:
    def make(network: torch.nn.Module | None = None, count: int = 1, **card: Any) -> Model:
        card.setdefault("normalisation", Normalisation(method="window", low=0, high=100))
        card.setdefault("classes", tuple(ClassInfo.numbered(k + 1) for k in range(count)))
        network = network or Threshold(len(card["classes"]))
        return Model(ModelCard(name="test", **card), network, Path())

    return make


@pytest.fixture
def make_image() -> MakeImage:
    def make(data: npt.ArrayLike, axes: str | None = None, pixel_size: float | None = None, **more: Any) -> Image:
        array = data if hasattr(data, "ndim") else np.asarray(data)
        axes = axes or {2: "YX", 3: "ZYX"}[array.ndim]
        ndim = len(axes.replace("C", ""))
        geometry = Geometry.unknown(ndim)
        if pixel_size is not None:
            geometry = Geometry(spacing=(pixel_size,) * ndim, unit="mm")
        return Image(array, axes, geometry, **more)  # type: ignore[arg-type]

    return make


class Unreadable:
    """A stack of which some slices cannot be read, as a reader of single files hands it out."""

    def __init__(self, data: npt.NDArray[Any], broken: set[int]) -> None:
        self.data, self.broken = data, broken
        self.shape, self.ndim, self.dtype = data.shape, data.ndim, data.dtype

    def __getitem__(self, z: int) -> npt.NDArray[Any]:
        from napari_medseg.core import InputError

        if z in self.broken:
            raise InputError(f"{z}.png ends too early.", "Copy it again.")
        return np.asarray(self.data[z])


@pytest.fixture
def unreadable() -> type[Unreadable]:
    return Unreadable


@pytest.fixture
def stack() -> npt.NDArray[np.uint8]:
    """Twelve slices of 40 x 48: a bright square that moves by its slice number on a dark ground."""
    data = np.full((12, 40, 48), 10, np.uint8)
    for z in range(12):
        data[z, 8:20, z + 4 : z + 16] = 90
    return data
