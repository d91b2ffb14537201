"""Train a built-in model and put it where the package ships it.

    python scripts/train_starter.py nuclei-he [--minutes 40] [--out FOLDER] [--device auto] [--start FOLDER]
    python scripts/train_starter.py femur-ct --memory      # renews only what femur-ct remembers

Images are drawn while it trains, on the device that trains (`napari_medseg.phantoms`): nothing is read from disk, and
no patient's image is used, but for lungs-xray; see lungs_starter.py. Scores on real images are written into the card by
``benchmarks/starters.py NAME --write``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from femur_starter import make_femur_ct, remember
from lungs_starter import make_lungs_xray
from torch import Tensor, nn
from tumour_starter import make_tumour_mr

from napari_medseg.core import ClassInfo, ModelCard, Normalisation, Score
from napari_medseg.inference.device import DTYPES, fast_precision, pick_device
from napari_medseg.models.build import build_network
from napari_medseg.models.weights import load_network, save_network
from napari_medseg.phantoms.body import draw_ct_slices
from napari_medseg.phantoms.draw import Draw
from napari_medseg.phantoms.glands import draw_glands
from napari_medseg.phantoms.histology import draw_histology
from napari_medseg.training.average import Average
from napari_medseg.training.losses import on_labelled, overlap

SHIPPED = Path(__file__).parents[1] / "src" / "napari_medseg" / "models" / "starters"

UNSEEN = 1_000_000
"""First seed of the images that measure; those that train come from the run's own seed."""

RATE, DECAY, WARM_UP = 2e-3, 1e-2, 0.1
MEASURED = 64
"""Unseen images that measure the result."""

REMEMBERED = 1000
"""Steps that the averaged weights remember."""

Generate = Callable[[Draw, int], tuple[Tensor, Tensor]]
"""Draws images (N, C, Y, X), as the card's normalisation leaves them, and their labels (N, Y, X)."""


def nuclei(draw: Draw, count: int) -> tuple[Tensor, Tensor]:
    """Tissue at 0.23-0.55 um a pixel: nuclei."""
    made = draw_histology(draw, count, 256)
    return made.image / 255, made.nuclei.long()


def glands(draw: Draw, count: int) -> tuple[Tensor, Tensor]:
    """Tissue at 0.9-3 um a pixel: glands with their lumen."""
    made = draw_glands(draw, count, 256)
    return made.image / 255, made.glands.long()


def bones(draw: Draw, count: int) -> tuple[Tensor, Tensor]:
    """CT slices of any part of the body: bones."""
    made = draw_ct_slices(draw, count, 256)
    return stretch(draw, made.image), made.bones.long()


def stretch(draw: Draw, images: Tensor) -> Tensor:
    """Grey values as the percentiles of their whole series leave them, which one slice does not tell exactly."""
    flat = images.flatten(1)
    low, high = (flat.quantile(share / 100, dim=1)[:, None, None, None] for share in (RANGE.low, RANGE.high))
    high = low + (high - low).clamp(min=20) * draw.uniform(0.9, 1.5, len(images), 1, 1, 1)
    return ((images - low) / (high - low)).clamp(0, 1)


@dataclass(frozen=True)
class Starter:
    """What sets one built-in model apart.

    Attributes
    ----------
    card
        The card but for its scores: network, classes, normalisation, words.
    generate
        Draws what it learns from.
    batch, side
        Images in a step, and the pixels of their side; they are cut from drawn ones that are larger.
    """

    card: ModelCard
    generate: Generate
    batch: int = 16
    side: int = 192


RANGE = Normalisation()
COLOUR = {"channels": 3, "normalisation": Normalisation(method="window", low=0, high=255), "modality": "HE slide"}
LIMITS = (
    "Trained on made-up images only, drawn by the project's own phantom generator. A starting point for fine-tuning, "
    "not a diagnostic device."
)
FINE = {"architecture": "unet", "encoder": "tu-resnet10t",
        "network": {"encoder_depth": 4, "decoder_channels": [128, 64, 32, 16]}}  # fmt: skip
WIDE = {"architecture": "unet", "encoder": "tu-mobilenetv3_large_100",
        "network": {"decoder_channels": [128, 64, 32, 16, 16]}}  # fmt: skip
STARTERS = {
    "nuclei-he": Starter(
        ModelCard(
            name="nuclei-he", title="Nuclei in HE", classes=(ClassInfo.numbered(1, "nucleus"),), tile=512, **FINE,
            description=f"{LIMITS} Expects 0.23-0.55 um a pixel (40x to 20x), bright field, haematoxylin and eosin; "
            "outlines nuclei, not single cells: touching ones may join. The generator was changed after looking at "
            "what earlier models made of MoNuSeg and MoNuSAC, which trained nothing.", **COLOUR,
        ),
        nuclei, side=128,
    ),
    "tissue-he": Starter(
        ModelCard(
            name="tissue-he", title="Glands in HE", classes=(ClassInfo.numbered(1, "gland"),), reduction=2, tile=512,
            **FINE, description=f"{LIMITS} Expects 0.45-1.5 um a pixel (20x to 5x), bright field, haematoxylin and "
            "eosin; outlines glands with their lumen, healthy or not.", **COLOUR,
        ),
        glands, side=128,
    ),
    "bone-ct": Starter(
        ModelCard(
            name="bone-ct", title="Bones in CT", classes=(ClassInfo.numbered(1, "bone"),), tile=512, **FINE,
            description=f"{LIMITS} Expects slices in any direction, in HU or through any window that shows bone; "
            "marrow counts as bone. Contrast medium, calcified vessels and parts of the couch may be taken for bone. "
            "The couch in the made-up images was redrawn after looking at what an earlier model made of one real CT, "
            "which trained nothing.", modality="CT", normalisation=RANGE,
        ),
        bones, side=128,
    ),
}  # fmt: skip


class Supply:
    """Made-up images to learn from: new ones push out old ones, each is shown a few times.

    So a CPU draws fewer in a step than it learns from; a graphics card draws nearly for nothing.
    """

    def __init__(self, starter: Starter, draw: Draw) -> None:
        graphics = draw.device.type == "cuda"
        self._starter, self._draw = starter, draw
        self._fresh = starter.batch if graphics else max(2, starter.batch // 8)
        first = [starter.generate(draw, self._fresh) for _ in range(32)]
        self._images, self._labels = (torch.cat(part) for part in zip(*first, strict=True))
        self._next = 0

    def batch(self) -> tuple[Tensor, Tensor]:
        """Images and labels of one step."""
        images, labels = self._starter.generate(self._draw, self._fresh)
        count = len(self._images)
        where = torch.arange(self._next, self._next + self._fresh, device=self._draw.device) % count
        self._images[where], self._labels[where] = images, labels
        self._next = (self._next + self._fresh) % count
        chosen = torch.randint(count, (self._starter.batch,), generator=self._draw.generator, device=self._draw.device)
        # Smaller squares, each from another place: more images for the same work.
        side, room = self._starter.side, self._images.shape[2] - self._starter.side + 1
        corners = torch.randint(room, (len(chosen), 2), generator=self._draw.generator, device=self._draw.device)
        cuts = [(i, slice(y, y + side), slice(x, x + side)) for i, (y, x) in zip(chosen, corners.tolist(), strict=True)]
        images = torch.stack([self._images[i, :, y, x] for i, y, x in cuts])
        return self._vary(images, torch.stack([self._labels[i, y, x] for i, y, x in cuts]))

    def _vary(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        draw = self._draw
        if draw.one(0, 1) < 0.5:
            images, labels = images.flip(3), labels.flip(2)
        turn = int(draw.one(0, 4))
        images, labels = images.rot90(turn, (2, 3)), labels.rot90(turn, (1, 2))
        count, channels = images.shape[:2]
        gain = draw.uniform(0.85, 1.15, count, 1, 1, 1) * draw.uniform(0.94, 1.06, count, channels, 1, 1)
        bias = draw.uniform(-0.08, 0.08, count, 1, 1, 1)
        return (images * gain + bias).clamp(0, 1), labels


def cross_entropy(log_chance: Tensor, truth: Tensor) -> Tensor:
    """All pixels alike: with rare classes counting more, everything that is a little like one would become one."""
    return -(truth * log_chance).sum() / truth.sum().clamp(min=1)


def one_cycle(progress: float) -> float:
    """Learning rate at a share of the run: up to the middle rate soon, then down to nothing.

    Source: Smith & Topin, "Super-convergence" (2019).
    """
    if progress < WARM_UP:
        return RATE * (0.04 + 0.96 * progress / WARM_UP)
    return RATE * 0.5 * (1 + float(torch.cos(torch.tensor(torch.pi * (progress - WARM_UP) / (1 - WARM_UP)))))


def learn(starter: Starter, network: nn.Module, device: torch.device, limits: argparse.Namespace) -> nn.Module:
    """Train until the time or the steps are over; the averaged network."""
    supply = Supply(starter, Draw(limits.seed, device))
    network = network.to(device).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    average, loss_of = Average(network, REMEMBERED), on_labelled((1.0, overlap), (1.0, cross_entropy))
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    kind = DTYPES[fast_precision(device)]
    begin, told, step = time.monotonic(), 0.0, 0
    while True:
        spent = (time.monotonic() - begin) / 60
        progress = step / limits.steps if limits.steps else spent / limits.minutes
        if progress >= 1:
            return average.network
        for group in optimiser.param_groups:
            group["lr"] = one_cycle(progress)
        images, labels = supply.batch()
        with torch.autocast(device.type, kind, enabled=kind != torch.float32):
            logits = network(images.contiguous(memory_format=torch.channels_last))
        loss = loss_of(logits.float(), labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        step += 1
        average.update(network, step)
        if spent - told > 0.5:
            told = spent
            print(f"{spent:.1f} min, step {step}, loss {float(loss.detach()):.3f}", flush=True)


@torch.no_grad()
def measure(starter: Starter, network: nn.Module, device: torch.device) -> Score:
    """Dice on made-up images that were not learnt from, all pixels together."""
    hit = total = 0.0
    for part in range(MEASURED // 8):
        images, labels = starter.generate(Draw(UNSEEN + part, device), 8)
        found = network(images.contiguous(memory_format=torch.channels_last)).argmax(1)
        hit += float(((found == labels) & (labels > 0)).sum())
        total += float((found > 0).sum() + (labels > 0).sum())
    return Score(metric="dice", value=round(2 * hit / max(total, 1), 4), on=f"{MEASURED} unseen synthetic images")


def make(name: str, output: Path, limits: argparse.Namespace) -> None:
    """Train a starter and write it with its card."""
    starter, device = STARTERS[name], pick_device(limits.device)
    torch.manual_seed(limits.seed)
    if limits.batch:
        starter = replace(starter, batch=limits.batch)
    network = load_network(limits.start)[1] if limits.start else build_network(starter.card)
    network = learn(starter, network, device, limits)
    score = measure(starter, network, device)
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
