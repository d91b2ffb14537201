"""Small networks for the tests of models; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from napari_medseg.core import ClassInfo, ModelCard
from napari_medseg.models import build_network, save_network

Make = Callable[..., ModelCard]


@pytest.fixture
def make_card() -> Make:
    """Make the card of a network small enough to build in a moment."""

    def make(**changes: Any) -> ModelCard:
        names = changes.pop("names", ("femur",))
        card: dict[str, Any] = {
            "name": "tiny",
            "architecture": "unet",
            "encoder": "tu-resnet10t",
            "network": {"decoder_channels": [16, 8, 8, 4, 4], "encoder_depth": 5},
            "classes": tuple(ClassInfo.numbered(i, name) for i, name in enumerate(names, start=1)),
        }
        return ModelCard(**{**card, **changes})

    return make


@pytest.fixture
def tiny(make_card: Make) -> tuple[ModelCard, Any]:
    """Card and random network of one class, ``femur``, on grey slices."""
    import torch

    torch.manual_seed(1)
    card = make_card()
    return card, build_network(card).eval()


@pytest.fixture
def tiny_folder(tiny: tuple[ModelCard, Any], tmp_path: Path) -> Path:
    """The folder of `tiny`."""
    save_network(tmp_path / "tiny", *tiny)
    return tmp_path / "tiny"
