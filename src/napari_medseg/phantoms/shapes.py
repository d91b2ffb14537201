"""Signed distances (mm, negative inside) of simple solids, and how to join and roughen them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Amount = NDArray[np.float32] | NDArray[np.float64] | float
"""One number, or one for each point."""
Points = tuple[Field, Field, Field]
"""Three arrays that broadcast together: the coordinates (mm) of the points asked for."""
Vector = tuple[float, float, float]


def capsule(points: Points, start: Vector, end: Vector, radii: tuple[float, float]) -> Field:
    """Distance to a rod from `start` to `end` (mm) whose radius goes from ``radii[0]`` to ``radii[1]``."""
    offsets = [p - np.float32(s) for p, s in zip(points, start, strict=True)]
    axis = [np.float32(e - s) for s, e in zip(start, end, strict=True)]
    length2 = max(float(sum(a * a for a in axis)), 1e-6)
    along = np.clip(sum(o * a for o, a in zip(offsets, axis, strict=True)) / np.float32(length2), 0, 1)
    squares = [np.square(o - along * a) for o, a in zip(offsets, axis, strict=True)]
    rod: Field = np.sqrt(squares[0] + squares[1] + squares[2]) - (
        np.float32(radii[0]) + np.float32(radii[1] - radii[0]) * along
    )
    return rod


def ellipsoid(points: Points, centre: Vector, radii: Vector) -> Field:
    """Distance, exact at the surface, to an ellipsoid along the axes."""
    scaled = [(p - np.float32(c)) / np.float32(max(r, 1e-3)) for p, c, r in zip(points, centre, radii, strict=True)]
    first = np.sqrt(scaled[0] ** 2 + scaled[1] ** 2 + scaled[2] ** 2)
    steep = [s / np.float32(max(r, 1e-3)) for s, r in zip(scaled, radii, strict=True)]
    second = np.sqrt(steep[0] ** 2 + steep[1] ** 2 + steep[2] ** 2)
    result: Field = first * (first - 1) / (second + np.float32(1e-6))
    return result


def ellipse(x: Field, y: Field, a: Amount, b: Amount) -> Field:
    """Distance, exact at the outline, to an ellipse around the origin with half-axes `a` and `b`."""
    sx, sy = x / a, y / b
    first = np.sqrt(sx * sx + sy * sy)
    second = np.sqrt((sx / a) ** 2 + (sy / b) ** 2) + np.float32(1e-6)
    result: Field = first * (first - 1) / second
    return result


def union(first: Field, second: Field, soft: float) -> Field:
    """Join two solids; `soft` (mm) is the width of the fillet."""
    fillet = np.maximum(np.float32(soft) - np.abs(first - second), 0)
    joined: Field = np.minimum(first, second) - fillet * fillet * np.float32(0.25 / max(soft, 1e-6))
    return joined


def cut(solid: Field, tool: Field, soft: float) -> Field:
    """Take `tool` away from `solid`; `soft` (mm) rounds the edge."""
    return -union(-solid, tool, soft)


def meet(first: Field, second: Field, soft: float) -> Field:
    """What two solids share; `soft` (mm) rounds the edge."""
    return -union(-first, -second, soft)


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

    def __call__(self, points: Points) -> Field:
        total = np.float32(0)
        for (a, b, c), phase in zip(self.vectors, self.phases, strict=True):
            total = total + np.sin(a * points[0] + b * points[1] + (c * points[2] + phase))
        return np.asarray(total * np.float32(np.sqrt(2 / len(self.phases))), np.float32)


def draw_waves(rng: np.random.Generator, lengths: Sequence[float], count: int = 5) -> Waves:
    """Waves in random directions, with wavelengths (mm) between the two given."""
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    wavelength = np.exp(rng.uniform(np.log(lengths[0]), np.log(lengths[1]), size=(count, 1)))
    vectors = directions * 2 * np.pi / wavelength
    return Waves(vectors.astype(np.float32), rng.uniform(0, 2 * np.pi, count).astype(np.float32))
