"""Made-up images of simple shapes in any contrast, each pixel labelled with the type of its shape.

Nothing in them is anatomy: what a network can learn from them is to outline things by their shape and against any
surroundings. Sources: Tadokoro et al., "Primitive Geometry Segment Pre-training for 3D Medical Image Segmentation"
(BMVC 2023), for types of shapes as classes; Billot et al., "SynthSeg" (2023), for brightness, contrast, bias field and
resolution that are drawn anew for each image.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .draw import Draw, blur, column, grid

ROUNDS = 2
"""Shapes of each type that are placed on an image, as far as chance lets them appear."""


@dataclass(frozen=True)
class Primitives:
    """Some images: 0 to 1 as float32, (N, 3, Y, X), and their labels, int64, (N, Y, X): 0 and the `TYPES` from 1."""

    image: Tensor
    labels: Tensor


def ellipse(u: Tensor, v: Tensor, share: Tensor) -> Tensor:
    """A disc; all shapes are signed distances as shares of their size, negative inside, about the origin."""
    return (u.square() + v.square()).sqrt() - 1


def ring(u: Tensor, v: Tensor, share: Tensor) -> Tensor:
    """A disc with a hole: vessels, bowel, the cortex of a long bone; ``share`` (0 to 1) is how thick its wall is."""
    thick = 0.06 + 0.2 * share
    return ((u.square() + v.square()).sqrt() - 1 + thick).abs() - thick


def crescent(u: Tensor, v: Tensor, share: Tensor) -> Tensor:
    """A disc out of which another one, ``share`` aside, is cut."""
    hole = ((u - 0.35 - 0.5 * share).square() + v.square()).sqrt() - 0.85
    return torch.maximum(ellipse(u, v, share), -hole)


def polygon(corners: int) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """A regular polygon."""

    def shape(u: Tensor, v: Tensor, share: Tensor) -> Tensor:
        part = 2 * math.pi / corners
        angle = torch.atan2(v, u).remainder(part) - part / 2
        return (u.square() + v.square()).sqrt() * angle.cos() - math.cos(part / 2)

    return shape


def rod(u: Tensor, v: Tensor, share: Tensor) -> Tensor:
    """A long rectangle with round ends, thin or less so."""
    thick = 0.12 + 0.16 * share
    return ((u.abs() - 1 + thick).clamp(min=0).square() + v.square()).sqrt() - thick


def cross(u: Tensor, v: Tensor, share: Tensor) -> Tensor:
    """Two bars across one another."""
    thick = 0.2 + 0.15 * share
    bars = (torch.maximum(a.abs() - 1, b.abs() - thick) for a, b in ((u, v), (v, u)))
    return torch.minimum(*bars)


def star(u: Tensor, v: Tensor, share: Tensor) -> Tensor:
    """Five points with hollows between them."""
    angle = torch.atan2(v, u)
    return (u.square() + v.square()).sqrt() - 0.7 - (0.18 + 0.12 * share) * (5 * angle).cos()


TYPES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "ellipse": ellipse, "ring": ring, "crescent": crescent, "triangle": polygon(3), "rectangle": polygon(4), "rod": rod,
    "cross": cross, "star": star,
}  # fmt: skip


def draw_primitives(draw: Draw, count: int, size: int = 256) -> Primitives:
    """Draw images of shapes, ``size`` pixels wide and high; half of them in colours, half grey but for the noise."""
    colour = column(draw.chance(0.5, count))[:, None]
    image = _surroundings(draw, count, size)
    labels = torch.zeros((count, size, size), dtype=torch.int64, device=draw.device)
    order = torch.rand(ROUNDS * len(TYPES), generator=draw.generator, device=draw.device).argsort().tolist()
    for turn in order:
        kind = turn % len(TYPES)
        depth = _place(draw, [*TYPES.values()][kind], count, size)
        inside = (0.5 - depth / column(draw.uniform(0.6, 2.0, count))).clamp(0, 1)[:, None]
        image = image + inside * (_paint(draw, count, size) - image)
        labels = torch.where(depth < 0, kind + 1, labels)
    image = torch.where(colour, image, image[:, :1])
    return Primitives(acquire(draw, image), labels)


def acquire(draw: Draw, image: Tensor) -> Tensor:
    """What a device makes of an ideal image (N, C, Y, X): uneven field, blur, noise, any contrast; 0 to 1."""
    count, size = len(image), image.shape[2]
    bias = (draw.uniform(0, 0.35, count)[:, None, None] * draw.noise(count, size, draw.one(2, 5))).exp()
    image = blur(image * bias[:, None], draw.scale(0.3, 1.8, count))
    grain = blur(draw.normal(*image.shape), draw.uniform(0.05, 1.0, count))
    image = image + draw.scale(0.005, 0.06, count)[:, None, None, None] * grain / grain.std()
    low, high = (image.flatten(1).quantile(q, dim=1)[:, None, None, None] for q in (0.005, 0.995))
    grey = ((image - low) / (high - low).clamp(min=1e-3)).clamp(0, 1)
    return grey ** draw.scale(0.6, 1.7, count)[:, None, None, None]


def _surroundings(draw: Draw, count: int, size: int) -> Tensor:
    """Regions that are no shapes, so that an edge alone does not tell one: (N, 3, Y, X)."""
    image = _paint(draw, count, size)
    for _ in range(2):
        field = draw.rough(count, size, draw.one(2, 9)) - column(draw.uniform(-0.5, 1.2, count))
        share = (field / column(draw.scale(0.03, 0.5, count))).clamp(0, 1)
        image = image + share[:, None] * (_paint(draw, count, size) - image)
    return image


def _paint(draw: Draw, count: int, size: int) -> Tensor:
    """A colour with some texture for each image, (N, 3, Y, X)."""
    texture = draw.rough(count, size, draw.scale(6, size / 3, 1).item(), 2)
    strength = column(draw.scale(0.005, 0.12, count))
    return draw.uniform(0, 1, count, 3)[..., None, None] + (strength * texture)[:, None]


def _place(draw: Draw, shape: Callable[[Tensor, Tensor, Tensor], Tensor], count: int, size: int) -> Tensor:
    """Distance in pixels to a shape somewhere on each image, turned, stretched, and uneven at its edge; (N, Y, X)."""
    rows, columns = grid(size, draw.device)
    long = column(draw.scale(0.07, 0.35, count)) * size
    wide = long * column(draw.uniform(0.45, 1, count))
    y, x = (line - column(draw.uniform(-0.05, 1.05, count)) * size for line in (rows, columns))
    bend = column(draw.uniform(0, 0.12, count)) * long
    y, x = (line + bend * draw.noise(count, size, draw.one(3, 12)) for line in (y, x))
    angle = column(draw.uniform(0, 2 * math.pi, count))
    u, v = (x * angle.cos() + y * angle.sin()) / long, (y * angle.cos() - x * angle.sin()) / wide
    depth = shape(u, v, column(draw.uniform(0, 1, count))) * wide
    there = column(draw.chance(0.6, count))
    return torch.where(there, depth, size)
