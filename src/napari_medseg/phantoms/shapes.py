"""Signed distances (mm, negative inside) of simple solids, and how to join and roughen them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Amount = Tensor | float
"""One number, or one for each point."""
Points = tuple[Tensor, Tensor, Tensor]
"""Three tensors that broadcast together: the coordinates (mm) of the points asked for."""
Vector = tuple[float, float, float]
Rod = tuple[Vector, Vector, float, float]
"""Start, end, first and last radius, in mm."""


def mix(points: Points, weights: Vector, shift: float = 0.0) -> Tensor:
    """Weighted sum of the coordinates plus a number."""
    x, y, z = points
    return torch.add(torch.add((z * weights[2]).add_(shift), y, alpha=weights[1]), x, alpha=weights[0])


def capsule(points: Points, start: Vector, end: Vector, radii: tuple[float, float]) -> Tensor:
    """Distance to a rod from `start` to `end` (mm) whose radius goes from ``radii[0]`` to ``radii[1]``."""
    return capsules(points, [(start, end, *radii)])[0]


def capsules(points: Points, parts: Sequence[Rod]) -> Tensor:
    """Distance to each of some rods, (n, ...): all at once, which takes far fewer steps than one by one."""
    rows = torch.tensor([_numbers(part) for part in parts], device=points[0].device)
    sx, sy, sz, ax, ay, az, ux, uy, uz, foot, radius, growth = rows.reshape(
        len(parts), 12, *[1] * max(p.ndim for p in points)
    ).unbind(1)
    x, y, z = points
    along = torch.addcmul(torch.addcmul(torch.addcmul(foot, z, uz), y, uy), x, ux).clamp_(0, 1)
    x, y, z = (torch.addcmul(p, along, a, value=-1).sub_(s) for p, a, s in ((x, ax, sx), (y, ay, sy), (z, az, sz)))
    return x.square_().addcmul_(y, y).addcmul_(z, z).sqrt_().addcmul_(along, growth, value=-1).sub_(radius)


def _numbers(part: Rod) -> tuple[float, ...]:
    """Start; axis; axis over its squared length, and minus where this meets the start; radius and its growth."""
    start, end, first, last = part
    axis = [e - s for s, e in zip(start, end, strict=True)]
    length2 = max(sum(a * a for a in axis), 1e-6)
    unit = [a / length2 for a in axis]
    return *start, *axis, *unit, -sum(s * u for s, u in zip(start, unit, strict=True)), first, last - first


def ellipsoid(points: Points, centre: Vector, radii: Vector) -> Tensor:
    """Distance, exact at the surface, to an ellipsoid along the axes."""
    x, y, z = ((p - c).square_() for p, c in zip(points, centre, strict=True))
    a, b, c = (max(r, 1e-3) ** -2 for r in radii)
    first = mix((x, y, z), (a, b, c)).sqrt_()
    second = mix((x, y, z), (a * a, b * b, c * c)).sqrt_().add_(1e-6)
    return (first - 1).mul_(first).div_(second)


def ellipse(x: Tensor, y: Tensor, a: Amount, b: Amount) -> Tensor:
    """Distance, exact at the outline, to an ellipse around the origin with half-axes `a` and `b`."""
    x, y = x / a, y / b
    first = (x * x + y * y).sqrt_()
    second = ((x / a).square_() + (y / b).square_()).sqrt_().add_(1e-6)
    return (first - 1).mul_(first).div_(second)


def union(first: Tensor, second: Tensor, soft: float) -> Tensor:
    """Join two solids; `soft` (mm) is the width of the fillet."""
    fillet = (first - second).abs_().sub_(soft).clamp_(max=0)
    return torch.minimum(first, second).addcmul_(fillet, fillet, value=-0.25 / max(soft, 1e-6))


def cut(solid: Tensor, tool: Tensor, soft: float) -> Tensor:
    """Take `tool` away from `solid`; `soft` (mm) rounds the edge."""
    return meet(solid, -tool, soft)


def meet(first: Tensor, second: Tensor, soft: float) -> Tensor:
    """What two solids share; `soft` (mm) rounds the edge."""
    fillet = (first - second).abs_().sub_(soft).clamp_(max=0)
    return torch.maximum(first, second).addcmul_(fillet, fillet, value=0.25 / max(soft, 1e-6))


@dataclass(frozen=True)
class Waves:
    """Smooth noise of zero mean and about unit deviation: a few plane waves.

    Attributes
    ----------
    vectors
        Wave vectors in radians per mm, shape (n, 3).
    phases
        Radians, shape (n,).
    """

    vectors: NDArray[np.float32]
    phases: NDArray[np.float32]

    def __call__(self, points: Points) -> Tensor:
        waves = (
            mix(points, (a, b, c), phase).sin_()
            for (a, b, c), phase in zip(self.vectors.tolist(), self.phases.tolist(), strict=True)
        )
        return reduce(Tensor.add_, waves).mul_(math.sqrt(2 / len(self.phases)))


def draw_waves(rng: np.random.Generator, lengths: Sequence[float], count: int = 5) -> Waves:
    """Waves in random directions, with wavelengths (mm) between the two given."""
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    wavelength = np.exp(rng.uniform(np.log(lengths[0]), np.log(lengths[1]), size=(count, 1)))
    vectors = directions * 2 * np.pi / wavelength
    return Waves(vectors.astype(np.float32), rng.uniform(0, 2 * np.pi, count).astype(np.float32))
