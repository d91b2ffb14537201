"""Train a built-in model and put it where the package ships it.

    python scripts/train_starter.py nuclei-he [--minutes 40] [--out FOLDER] [--device auto] [--start FOLDER]
    python scripts/train_starter.py femur-ct --memory      # renews only what femur-ct remembers

Images are drawn while it trains, on the device that trains (`napari_medseg.phantoms`): nothing is read from disk, and
no patient's image is used, but for lungs-xray; see lungs_starter.py. Scores on real images are written into the card by
``benchmarks/starters.py NAME --write``. The bone-ct that ships has learnt beside other families: shared_starter.py.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from families import FAMILIES, RANGE, Supply, measure
from femur_starter import make_femur_ct, remember
from lungs_starter import make_lungs_xray
from one_cycle import cost, learn
from torch import Tensor
from tumour_starter import make_tumour_mr

from napari_medseg.core import ClassInfo, ModelCard, Normalisation
from napari_medseg.inference.device import pick_device
from napari_medseg.models.build import build_network
from napari_medseg.models.weights import load_network, save_network
from napari_medseg.phantoms.draw import Draw

SHIPPED = Path(__file__).parents[1] / "src" / "napari_medseg" / "models" / "starters"


@dataclass(frozen=True)
class Starter:
    """What sets one built-in model apart.

    Attributes
    ----------
    card
        The card but for its scores: network, classes, normalisation, words.
    family
        What it learns from.
    batch, side
        Images in a step, and the pixels of their side; they are cut from drawn ones that are larger.
    """

    card: ModelCard
    family: str
    batch: int = 16
    side: int = 192


COLOUR = {"channels": 3, "normalisation": Normalisation(method="window", low=0, high=255), "modality": "HE slide"}
LIMITS = (
    "Trained on made-up images only, drawn by the project's own phantom generator. A starting point for fine-tuning, "
    "not a diagnostic device."
)
FINE = {"architecture": "unet", "encoder": "tu-resnet10t",
        "network": {"encoder_depth": 4, "decoder_channels": [128, 64, 32, 16]}}  # fmt: skip
STARTERS = {
    "nuclei-he": Starter(
        ModelCard(
            name="nuclei-he", title="Nuclei in HE", classes=(ClassInfo.numbered(1, "nucleus"),), tile=512, **FINE,
            pixel_range=(0.00023, 0.00055),
            description=f"{LIMITS} Expects 0.23-0.55 µm a pixel (40x to 20x), bright field, haematoxylin and eosin; "
            "outlines nuclei, not single cells: touching ones may join. The generator was changed after looking at "
            "what earlier models made of MoNuSeg and MoNuSAC, which trained nothing.", **COLOUR,
        ),
        "nuclei", side=128,
    ),
    "tissue-he": Starter(
        ModelCard(
            name="tissue-he", title="Glands in HE", classes=(ClassInfo.numbered(1, "gland"),), reduction=2, tile=512,
            pixel_range=(0.00045, 0.0015), **FINE,
            description=f"{LIMITS} Expects 0.45-1.5 um a pixel (20x to 5x), bright field, haematoxylin and "
            "eosin; outlines glands with their lumen, healthy or not.", **COLOUR,
        ),
        "glands", side=128,
    ),
    "bone-ct": Starter(
        ModelCard(
            name="bone-ct", title="Bones in CT", classes=(ClassInfo.numbered(1, "bone"),), tile=512, **FINE,
            description=f"{LIMITS} Expects slices in any direction, in HU or through any window that shows bone; "
            "marrow counts as bone. Contrast medium, calcified vessels and parts of the couch may be taken for bone. "
            "The couch in the made-up images was redrawn after looking at what an earlier model made of one real CT, "
            "which trained nothing.", modality="CT", normalisation=RANGE,
        ),
        "bones", side=128,
    ),
}  # fmt: skip


def make(name: str, output: Path, limits: argparse.Namespace) -> None:
    """Train a starter and write it with its card."""
    starter, device = STARTERS[name], pick_device(limits.device)
    torch.manual_seed(limits.seed)
    if limits.batch:
        starter = replace(starter, batch=limits.batch)
    network = load_network(limits.start)[1] if limits.start else build_network(starter.card)
    family = FAMILIES[starter.family]
    supply = Supply(family, Draw(limits.seed, device), starter.batch, starter.side)

    def step_cost() -> Tensor:
        images, labels = supply.batch()
        return cost(network(images.contiguous(memory_format=torch.channels_last)).float(), labels)

    network = learn(network, step_cost, device, limits)
    score = measure(family, network, device)
    how = f"{limits.steps} steps" if limits.steps else f"{limits.minutes:g} minutes"
    words: dict[str, Any] = {
        "licence": "BSD-3-Clause",
        "trained_on": f"synthetic images drawn by the project, {how}",
        "scores": (score,),
        "parent": f"{starter.card.architecture}:{starter.card.encoder}",
    }
    card = save_network(output, starter.card.model_copy(update=words), network.cpu(), half=True)
    print(card.model_dump_json(indent=2))


MAKERS = {"lungs-xray": make_lungs_xray, "tumour-mr": make_tumour_mr}
"""Those that learn as users' models do."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=["femur-ct", *MAKERS, *STARTERS])
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--steps", type=int, help="in place of minutes: then the same seed gives the same weights")
    parser.add_argument("--batch", type=int, help="images in a step, in place of the starter's own")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--start", type=Path, help="go on from this model's folder")
    parser.add_argument("--out", type=Path, help="folder of the model, in place of the shipped one")
    parser.add_argument("--memory", action="store_true", help="femur-ct: renew only what the model remembers")
    arguments = parser.parse_args()
    output = arguments.out or SHIPPED / arguments.name
    if arguments.name in MAKERS:
        MAKERS[arguments.name](output, arguments.minutes, arguments.seed)
    elif arguments.name != "femur-ct":
        make(arguments.name, output, arguments)
    elif arguments.memory:
        print(remember(output), "slices remembered")
    else:
        make_femur_ct(output, arguments.minutes, arguments.seed)


if __name__ == "__main__":
    main()
