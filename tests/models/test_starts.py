"""New networks that start from weights of the package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from napari_medseg.core import ClassInfo, ModelCard, ModelError
from napari_medseg.models import build_network, save_network, start_card, start_network, starts

SPEC = "unet:tu-resnet10t+phantoms"
CLASSES = (ClassInfo.numbered(1, "liver"), ClassInfo.numbered(2, "kidney"))


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The network whose weights the package has: smaller than the real one, and with another head."""
    torch.manual_seed(3)
    card = ModelCard(
        name="phantoms", architecture="unet", encoder="tu-resnet10t", channels=3, classes=CLASSES[:1],
        network={"encoder_depth": 3, "decoder_channels": [16, 8, 8]},
    )  # fmt: skip
    network = build_network(card).eval()
    save_network(tmp_path / "phantoms", card, network)
    monkeypatch.setattr(starts, "PHANTOMS", tmp_path / "phantoms")
    return network


def features(network: Any, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return torch.as_tensor(network.eval().decoder(network.encoder(images)))


@pytest.mark.parametrize(("channels", "neighbours"), [(1, 0), (2, 0), (3, 0), (1, 1), (5, 0)])
def test_encoder_and_decoder_see_the_same_in_what_all_channels_show(known: Any, channels: int, neighbours: int) -> None:
    card = start_card(SPEC, name="new", classes=CLASSES, channels=channels, neighbours=neighbours)
    network: Any = start_network(SPEC, card)
    grey = torch.rand(1, 1, 64, 64)
    before = features(known, grey.expand(-1, 3, -1, -1))
    after = features(network, grey.expand(-1, card.in_channels, -1, -1))
    assert torch.allclose(before, after, atol=1e-4)
    assert network(torch.rand(1, card.in_channels, 64, 64)).shape[1] == 3
    assert "made-up" in card.trained_on


def test_head_is_random(known: Any) -> None:
    card = start_card(SPEC, name="new", classes=CLASSES[:1], channels=3)
    heads = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        network: Any = start_network(SPEC, card)
        heads.append(network.segmentation_head[0].weight)
    assert not torch.equal(*heads)
    assert not torch.equal(heads[0], known.segmentation_head[0].weight)


@pytest.mark.parametrize("spec", ["unet:resnet18+phantoms", "fpn:tu-resnet10t+phantoms"])
def test_weights_for_another_network_are_refused(known: Any, spec: str) -> None:
    with pytest.raises(ModelError, match="They are for unet:tu-resnet10t"):
        starts.check_weights(spec)
    with pytest.raises(ModelError, match="They are for unet:tu-resnet10t"):
        start_card(spec, name="new", classes=CLASSES)


def test_unknown_weights_are_refused() -> None:
    with pytest.raises(ModelError, match="not of the form"):
        start_card("unet:resnet18+everything", name="new", classes=CLASSES)
