"""What built-in models learn from: families of made-up images, drawn while a network trains; see train_starter.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from napari_medseg.core import Normalisation, Score
from napari_medseg.phantoms.body import draw_ct_slices
from napari_medseg.phantoms.brain import draw_head
from napari_medseg.phantoms.draw import Draw
from napari_medseg.phantoms.femur import draw_thighs, single_cuts
from napari_medseg.phantoms.glands import draw_glands
from napari_medseg.phantoms.histology import draw_histology
from napari_medseg.phantoms.primitives import TYPES, acquire, draw_primitives
from napari_medseg.phantoms.xray import draw_chest_xrays

SIZE = 256
"""Side of what is drawn, in pixels."""

UNSEEN, MEASURED = 1_000_000, 64
"""First seed of the images that measure, and how many of them; those that train come from the run's own seed."""

RANGE = Normalisation()
Generate = Callable[[Draw, int], tuple[Tensor, Tensor]]
"""Draws images (N, C, Y, X), as the card's normalisation leaves them, and their labels (N, Y, X)."""


def nuclei(draw: Draw, count: int) -> tuple[Tensor, Tensor]:
    """Tissue at 0.23-0.55 um a pixel: nuclei."""
    made = draw_histology(draw, count, SIZE)
    return made.image / 255, made.nuclei.long()


def glands(draw: Draw, count: int) -> tuple[Tensor, Tensor]:
    """Tissue at 0.9-3 um a pixel: glands with their lumen."""
    made = draw_glands(draw, count, SIZE)
    return made.image / 255, made.glands.long()


def bones(draw: Draw, count: int) -> tuple[Tensor, Tensor]:
    """CT slices of any part of the body: bones."""
    made = draw_ct_slices(draw, count, SIZE)
    return stretch(draw, made.image), made.bones.long()


def bones_anyhow(draw: Draw, count: int) -> tuple[Tensor, Tensor]:
    """Slices of any part of the body in any contrast, as MR has it: each HU becomes another grey value."""
    made = draw_ct_slices(draw, count, SIZE)
    anchors = torch.tensor([-1000.0, -300, -120, -40, 40, 90, 250, 700, 3100], device=draw.device)
    values = draw.uniform(0, 1, count, len(anchors))
    at = torch.bucketize(made.hu.clamp(-999, 3071), anchors).clamp(1, len(anchors) - 1)
    share = (made.hu.clamp(-1000, 3071) - anchors[at - 1]) / (anchors[at] - anchors[at - 1])
    low, high = (values.gather(1, (at - back).flatten(1)).reshape(at.shape) for back in (1, 0))
    return acquire(draw, (low + share * (high - low))[:, None]), made.bones.long()


def chests(draw: Draw, count: int) -> tuple[Tensor, Tensor]:
    """X-rays of the chest: lungs."""
    made = draw_chest_xrays(draw, count, SIZE)
    return stretch(draw, made.image), made.lungs.long()


def shapes(draw: Draw, count: int) -> tuple[Tensor, Tensor]:
    """Shapes by their type."""
    made = draw_primitives(draw, count, SIZE)
    return made.image, made.labels


def heads(draw: Draw, count: int) -> tuple[Tensor, Tensor]:
    """Slices of one head in three sequences of MR, side by side where that fills the image: tumours."""
    rng = np.random.default_rng(int(draw.one(0, 2**24)))
    seed, tumour = int(rng.integers(2**31)), rng.random() < 0.95
    head = draw_head(seed, size=SIZE // 2, tumour=tumour, varied=True, device=draw.device)
    likely = 0.3 + np.array(head.tumour.flatten(1).any(1).tolist())
    chosen = torch.from_numpy(rng.choice(len(likely), (count, 2, 2), p=likely / likely.sum())).to(draw.device)
    images, labels = head.values[chosen], head.tumour[chosen]
    images = images.permute(0, 3, 1, 4, 2, 5).reshape(count, 3, SIZE, SIZE) / 255
    return images, labels.permute(0, 1, 3, 2, 4).reshape(count, SIZE, SIZE).long()


def thighs(draw: Draw, count: int) -> tuple[Tensor, Tensor]:
    """CT slices of one person from hip to knee: both femora."""
    rng = np.random.default_rng(int(draw.one(0, 2**24)))
    seed, levels = int(rng.integers(2**31)), np.sort(rng.uniform(-0.1, 1.1, count)).tolist()
    made = draw_thighs(seed, single_cuts(seed, levels), size=SIZE, device=draw.device)
    return stretch(draw, made.image[:, None].float()), (made.labels > 0).long()


def stretch(draw: Draw, images: Tensor) -> Tensor:
    """Grey values as the percentiles of their whole series leave them, which one slice does not tell exactly."""
    flat = images.flatten(1)
    low, high = (flat.quantile(share / 100, dim=1)[:, None, None, None] for share in (RANGE.low, RANGE.high))
    high = low + (high - low).clamp(min=20) * draw.uniform(0.9, 1.5, len(images), 1, 1, 1)
    return ((images - low) / (high - low)).clamp(0, 1)


@dataclass(frozen=True)
class Family:
    """One kind of made-up images.

    Attributes
    ----------
    generate
        Draws them.
    things
        What is labelled in them.
    grey
        Whether they have one channel; if not, three.
    fresh
        Images that a CPU draws in a step, in the mean: the rest are seen again, cut and turned another way.
    """

    generate: Generate
    things: tuple[str, ...]
    grey: bool = True
    fresh: float = 2


FAMILIES = {
    "shapes": Family(shapes, tuple(TYPES), grey=False),
    "bones": Family(bones, ("bone",)),
    "bones in any contrast": Family(bones_anyhow, ("bone",)),
    "femora": Family(thighs, ("femur",), fresh=0.5),
    "chests": Family(chests, ("lung",)),
    "nuclei": Family(nuclei, ("nucleus",), grey=False),
    "glands": Family(glands, ("gland",), grey=False, fresh=0.2),
    "heads": Family(heads, ("tumour",), grey=False, fresh=0.5),
}


class Supply:
    """Made-up images to learn from: new ones push out old ones, each is shown a few times.

    So a CPU draws fewer in a step than it learns from; a graphics card draws as many.

    Parameters
    ----------
    family
        What is drawn.
    draw
        With which random numbers, and where.
    batch, side
        Images in a step, and the pixels of their side; they are cut from drawn ones that are larger.
    kept
        Images that wait to be seen again.
    """

    def __init__(self, family: Family, draw: Draw, batch: int, side: int, kept: int = 64) -> None:
        self._family, self._draw, self._batch, self._side = family, draw, batch, side
        self._fresh = float(batch) if draw.device.type == "cuda" else family.fresh
        first = [family.generate(draw, 4) for _ in range(kept // 4)]
        self._images, self._labels = (torch.cat(part) for part in zip(*first, strict=True))
        self._next, self._due = 0, 0.0

    def batch(self) -> tuple[Tensor, Tensor]:
        """Images and labels of one step."""
        self._renew()
        draw, room = self._draw, self._images.shape[2] - self._side + 1
        chosen = torch.randint(len(self._images), (self._batch,), generator=draw.generator, device=draw.device)
        # Smaller squares, each from another place: more images for the same work.
        corners = torch.randint(room, (self._batch, 2), generator=draw.generator, device=draw.device).tolist()
        cuts = [
            (i, slice(y, y + self._side), slice(x, x + self._side)) for i, (y, x) in zip(chosen, corners, strict=True)
        ]
        images = torch.stack([self._images[i, :, y, x] for i, y, x in cuts])
        return self._vary(images, torch.stack([self._labels[i, y, x] for i, y, x in cuts]))

    def _renew(self) -> None:
        """Draw what is due; several at once, where less than one falls due in a step."""
        self._due += self._fresh
        if self._due < 2:
            return
        count, self._due = int(self._due), self._due % 1
        images, labels = self._family.generate(self._draw, count)
        where = torch.arange(self._next, self._next + count, device=self._draw.device) % len(self._images)
        self._images[where], self._labels[where] = images, labels
        self._next = (self._next + count) % len(self._images)

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


@torch.no_grad()
def measure(family: Family, network: nn.Module, device: torch.device) -> Score:
    """Dice on made-up images that were not learnt from, all pixels and things together."""
    hit = total = 0
    for part in range(MEASURED // 8):
        images, labels = family.generate(Draw(UNSEEN + part, device), 8)
        found = network(images.contiguous(memory_format=torch.channels_last)).argmax(1)
        hit += int(((found == labels) & (labels > 0)).sum())
        total += int((found > 0).sum() + (labels > 0).sum())
    return Score(metric="dice", value=round(2 * hit / max(total, 1), 4), on=f"{MEASURED} unseen synthetic images")
