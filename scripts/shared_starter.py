"""Train one encoder and decoder across all families of made-up images, each with a head of its own.

    python scripts/shared_starter.py FOLDER [--minutes 70] [--start MODEL] [--device auto]

Writes a model for each family, all with the same encoder and decoder, into a folder of its name in FOLDER. Whether one
of them may ship is judged by ``benchmarks/starters.py NAME --model FOLDER/FAMILY --write``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from families import FAMILIES, RANGE, Family, Supply, measure
from one_cycle import cost, learn
from torch import Tensor, nn
from train_starter import COLOUR, FINE, LIMITS, STARTERS

from napari_medseg.core import ClassInfo, ModelCard
from napari_medseg.inference.device import pick_device
from napari_medseg.models.build import build_network
from napari_medseg.models.weights import adapt_network, load_network, read_card, save_network
from napari_medseg.phantoms.draw import Draw

BATCH, SIDE = 2, 160
"""Images of each family in a step, and the pixels of their side."""


def describe(name: str, family: Family) -> ModelCard:
    """Card of a family's model: that of the built-in one where there is one, but as the shared network is."""
    shared = {"channels": 3, "licence": "BSD-3-Clause"}
    for starter in STARTERS.values():
        if starter.family == name:
            return starter.card.model_copy(update=shared)
    things = tuple(ClassInfo.numbered(i, thing) for i, thing in enumerate(family.things, 1))
    values = RANGE if family.grey else COLOUR["normalisation"]
    card = ModelCard(name=folder_of(name), title=name.capitalize(), description=LIMITS, classes=things, **FINE)
    return card.model_copy(update=shared | {"normalisation": values})


def folder_of(name: str) -> str:
    """Name of a family's folder."""
    return name.replace(" ", "-")


class Shared(nn.Module):
    """One U-Net up to its head, and a head for each family.

    Parameters
    ----------
    start
        Folder of a model of three channels whose encoder and decoder it goes on from.
    """

    def __init__(self, start: Path | None = None) -> None:
        super().__init__()
        networks: list[Any] = [build_network(describe(name, family)) for name, family in FAMILIES.items()]
        first: Any = load_network(start)[1] if start else networks[0]
        self.encoder, self.decoder = first.encoder, first.decoder
        self.heads = nn.ModuleList(network.segmentation_head for network in networks)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Logits of each family from images of all of them, as many of each, (families * N, 3, Y, X)."""
        features = self.decoder(self.encoder(images.contiguous(memory_format=torch.channels_last)))
        return [head(part) for head, part in zip(self.heads, features.chunk(len(self.heads)), strict=True)]

    def of(self, name: str) -> tuple[ModelCard, nn.Module]:
        """A family's card and network of its own; grey ones get one channel."""
        family, card = FAMILIES[name], describe(name, FAMILIES[name])
        network: Any = build_network(card).eval()
        network.encoder, network.decoder = self.encoder, self.decoder
        network.segmentation_head = self.heads[[*FAMILIES].index(name)]
        return adapt_network(card, network, classes=card.classes, channels=1 if family.grey else 3)


def as_colour(images: Tensor) -> Tensor:
    """Three channels, of which grey images have three times the same."""
    return images.expand(-1, 3, -1, -1)


def make(limits: argparse.Namespace) -> dict[str, ModelCard]:
    """Train, and write a model for each family."""
    device = pick_device(limits.device)
    torch.manual_seed(limits.seed)
    network = Shared(limits.start)
    supplies = [
        Supply(family, Draw(limits.seed + 1000 * i, device), BATCH, SIDE) for i, family in enumerate(FAMILIES.values())
    ]

    def step_cost() -> Tensor:
        images, labels = zip(*(supply.batch() for supply in supplies), strict=True)
        found = network(torch.cat([as_colour(part) for part in images]))
        return torch.stack([cost(f.float(), truth) for f, truth in zip(found, labels, strict=True)]).mean()

    shared = learn(network, step_cost, device, limits)
    assert isinstance(shared, Shared)
    made = f"made-up images of {len(FAMILIES)} kinds,"
    how = f"{limits.steps} steps" if limits.steps else f"{limits.minutes:g} minutes"
    before = f"{read_card(limits.start).trained_on} and then" if limits.start else made
    cards = {}
    for name, family in FAMILIES.items():
        card, own = shared.of(name)
        words: dict[str, Any] = {
            "trained_on": f"{before} {how}",
            "parent": f"{card.architecture}:{card.encoder}",
        }
        words["scores"] = (measure(family, own.to(device), device),)
        cards[name] = save_network(limits.folder / folder_of(name), card.model_copy(update=words), own.cpu(), half=True)
    return cards


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=70)
    parser.add_argument("--steps", type=int, help="in place of minutes: then the same seed gives the same weights")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--start", type=Path, help="go on from encoder and decoder of this model's folder, FOLDER/shapes"
    )
    for name, card in make(parser.parse_args()).items():
        print(f"{name}: {card.scores[0].value:.3f} on {card.scores[0].on}")


if __name__ == "__main__":
    main()
