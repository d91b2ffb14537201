"""Train the encoder and decoder that new networks can start from: shared by all families of made-up images.

    python scripts/shared_weights.py [--minutes 75] [--out FOLDER] [--device auto]

Each family has a head of its own; what is kept is what they share, and the head that tells shapes by their type. A new
network takes it with ``+phantoms`` behind its encoder: ``unet:tu-resnet10t+phantoms``. What that brings on real images
is measured by ``benchmarks/starters.py phantoms``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from made_up import FAMILIES, Supply
from one_cycle import cost, learn
from torch import Tensor, nn

from napari_medseg.core import ClassInfo, ModelCard, Normalisation, Score
from napari_medseg.inference.device import pick_device
from napari_medseg.models.build import build_network
from napari_medseg.models.starts import PHANTOMS
from napari_medseg.models.weights import save_network
from napari_medseg.phantoms.draw import Draw
from napari_medseg.phantoms.primitives import TYPES

KEPT = "shapes"
"""Family whose head is kept."""

BATCH, SIDE = 2, 160
"""Images of each family in a step, and the pixels of their side."""

UNSEEN, MEASURED = 1_000_000, 24
"""First seed of the images that measure, and how many of each family."""

CARD = ModelCard(
    name="phantoms", title="Shared by all made-up images", architecture="unet", encoder="tu-resnet10t", channels=3,
    network={"encoder_depth": 4, "decoder_channels": [128, 64, 32, 16]}, licence="BSD-3-Clause",
    classes=tuple(ClassInfo.numbered(i, name) for i, name in enumerate(TYPES, 1)),
    normalisation=Normalisation(method="window", low=0, high=255),
    description="Encoder and decoder that a new network may start from, trained on made-up images only, drawn by the "
    "project's own phantom generators. Segments nothing by itself but simple shapes.",
)  # fmt: skip


class Shared(nn.Module):
    """One U-Net up to its head, and a head for each family."""

    def __init__(self) -> None:
        super().__init__()
        network: Any = build_network(CARD)
        self.encoder, self.decoder = network.encoder, network.decoder
        kept = network.segmentation_head
        width = kept[0].in_channels
        self.heads = nn.ModuleList(
            kept if name == KEPT else nn.Conv2d(width, family.classes + 1, 3, padding=1)
            for name, family in FAMILIES.items()
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """Logits of each family from images of all of them, as many of each, (families * N, 3, Y, X)."""
        features = self.decoder(self.encoder(images.contiguous(memory_format=torch.channels_last)))
        return [head(part) for head, part in zip(self.heads, features.chunk(len(self.heads)), strict=True)]

    def bare(self) -> nn.Module:
        """As a network of its own, with the head that is kept."""
        network: Any = build_network(CARD)
        network.encoder, network.decoder = self.encoder, self.decoder
        network.segmentation_head = self.heads[[*FAMILIES].index(KEPT)]
        return network  # type: ignore[no-any-return]


def as_colour(images: Tensor) -> Tensor:
    """Three channels, of which grey images have three times the same."""
    return images.expand(-1, 3, -1, -1)


@torch.no_grad()
def measure(network: nn.Module, device: torch.device) -> tuple[Score, ...]:
    """Dice of each family on made-up images that were not learnt from, all pixels and things together."""
    scores = []
    images, labels = zip(*(f.generate(Draw(UNSEEN, device), MEASURED) for f in FAMILIES.values()), strict=True)
    found = [logits.argmax(1) for logits in network(torch.cat([as_colour(part) for part in images]))]
    for name, said, truth in zip(FAMILIES, found, labels, strict=True):
        hit, total = int(((said == truth) & (truth > 0)).sum()), int((said > 0).sum() + (truth > 0).sum())
        dice = round(2 * hit / max(total, 1), 4)
        scores.append(Score(metric="dice", value=dice, on=f"{MEASURED} unseen synthetic images: {name}"))
    return tuple(scores)


def make(limits: argparse.Namespace) -> ModelCard:
    """Train, and write what is shared with its card."""
    device = pick_device(limits.device)
    torch.manual_seed(limits.seed)
    network = Shared()
    supplies = [
        Supply(family, Draw(limits.seed + 1000 * i, device), BATCH, SIDE) for i, family in enumerate(FAMILIES.values())
    ]

    def step_cost() -> Tensor:
        images, labels = zip(*(supply.batch() for supply in supplies), strict=True)
        found = network(torch.cat([as_colour(part) for part in images]))
        return torch.stack([cost(f.float(), truth) for f, truth in zip(found, labels, strict=True)]).mean()

    shared = learn(network, step_cost, device, limits)
    assert isinstance(shared, Shared)
    how = f"{limits.steps} steps" if limits.steps else f"{limits.minutes:g} minutes"
    words = {"trained_on": f"synthetic images drawn by the project, {how}", "scores": measure(shared, device)}
    return save_network(limits.out, CARD.model_copy(update=words), shared.bare().cpu(), half=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=75)
    parser.add_argument("--steps", type=int, help="in place of minutes: then the same seed gives the same weights")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=PHANTOMS, help="folder, in place of the shipped one")
    print(make(parser.parse_args()).model_dump_json(indent=2))


if __name__ == "__main__":
    main()
