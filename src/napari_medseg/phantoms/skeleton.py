"""Sections through the bones of any region, as lists of star-shaped outlines: what a made-up CT slice shows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from .draw import WAVES, Stars

Spot = tuple[float, float]


@dataclass
class Outlines:
    """Outlines that are collected one by one, in pixels, each with further numbers of its own."""

    rows: list[tuple[float, ...]] = field(default_factory=list)
    waves: list[NDArray[np.float64]] = field(default_factory=list)
    extra: list[tuple[float, ...]] = field(default_factory=list)

    def stars(self, device: torch.device) -> Stars:
        """All outlines on a device."""
        table = torch.tensor(self.rows, dtype=torch.float32).reshape(-1, 6)
        waves = torch.from_numpy(np.array(self.waves, np.float32).reshape(-1, 2, WAVES)).to(device)
        image, row, column, long, wide, angle = table.to(device).unbind(1)
        return Stars(image.long(), row, column, long, wide, angle, waves[:, 0], waves[:, 1])

    def numbers(self, device: torch.device, width: int) -> torch.Tensor:
        """The further numbers, (K, width)."""
        return torch.tensor(self.extra, dtype=torch.float32).reshape(-1, width).to(device)


class Pen:
    """Adds outlines to one slice, in the frame of its body: the unit is the body's half-width.

    Parameters
    ----------
    rng
        Random numbers.
    image
        Index of the slice.
    frame
        Row and column of the body's middle, its half-width in pixels, and its turn in radians.
    bones, holes
        What is drawn, and what is taken away from it: canals, sockets, the inside of the skull.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        image: int,
        frame: tuple[float, float, float, float],
        bones: Outlines,
        holes: Outlines,
    ) -> None:
        self.rng, self.image, self.frame = rng, image, frame
        self.bones, self.holes = bones, holes
        self.wall = math.exp(rng.uniform(math.log(0.004), math.log(0.03)))
        self.dense = rng.uniform(0.75, 1.2)

    def place(self, at: Spot, size: Spot, angle: float, rough: float, into: Outlines) -> None:
        """One outline: middle (x, y), half-axes, angle."""
        row, column, unit, turn = self.frame
        x, y = at
        c, s = math.cos(turn), math.sin(turn)
        where = (row + unit * (x * s + y * c), column + unit * (x * c - y * s))
        axes = (max(unit * size[0], 0.6), max(unit * size[1], 0.6))
        into.rows.append((float(self.image), *where, *axes, angle + turn))
        # On a thin outline the same waves would be spikes.
        fall = rough * min(1, 2.5 * axes[1] / axes[0]) / np.arange(2, 2 + WAVES)
        into.waves.append(self.rng.normal(0, 1, (2, WAVES)) * fall)

    def bone(self, at: Spot, size: Spot, angle: float = 0.0, rough: float = 0.09, wall: float = 1.0) -> None:
        """One bone, or a part of one; ``wall`` times the usual thickness of its cortex."""
        self.place(at, size, angle, rough, self.bones)
        rng = self.rng
        cortex = self.dense * rng.uniform(350, 1500)
        inside = rng.uniform(-90, 60) + self.dense * rng.uniform(40, 420) * (rng.random() < 0.75)
        thick = max(self.frame[2] * self.wall * wall * rng.uniform(0.7, 1.5), 0.8)
        self.bones.extra.append((thick, cortex, inside, rng.uniform(10, 130)))

    def hole(self, at: Spot, size: Spot, angle: float = 0.0, rough: float = 0.1) -> None:
        """Take away an outline from all bones of the slice."""
        self.place(at, size, angle, rough, self.holes)

    def arc(self, at: Spot, radius: Spot, span: Spot, thick: Spot, parts: int = 9) -> None:
        """A curved plate: ``thick`` (at its start and end) along an ellipse from one angle to another."""
        angles = np.linspace(*span, parts)
        step = abs(angles[1] - angles[0]) if parts > 1 else 0.1
        for i, t in enumerate(angles):
            wide = thick[0] + (thick[1] - thick[0]) * i / max(parts - 1, 1)
            point = at[0] + radius[0] * math.cos(t), at[1] + radius[1] * math.sin(t)
            tangent = math.atan2(radius[1] * math.cos(t), -radius[0] * math.sin(t))
            long = 1.25 * step * math.hypot(radius[0] * math.sin(t), radius[1] * math.cos(t))
            self.bone(point, (max(long, wide), wide * self.rng.uniform(0.8, 1.2)), tangent, 0.1)


def vertebra(pen: Pen, at: Spot, size: float) -> None:
    """Seen from above: body, arch around the canal, processes."""
    u = pen.rng.uniform
    x, y = at
    pen.bone(at, (size * u(1.0, 1.35), size * u(0.8, 1.0)), 0, 0.1, 0.6)
    back = y + size * u(1.5, 1.9)
    for side in (-1, 1):
        pen.bone((x + side * size * 0.75, (y + back) / 2 + 0.2 * size), (size * 0.65, size * u(0.2, 0.35)), 1.57)
        if u() < 0.75:
            reach = size * u(1.3, 2.0)
            pen.bone(
                (x + side * reach, back - size * u(-0.2, 0.5)), (size * u(0.5, 0.9), size * u(0.18, 0.3)), side * 0.3
            )
        pen.bone((x + side * size * 0.5, back), (size * 0.6, size * u(0.2, 0.35)), side * u(0.3, 0.9))
    if u() < 0.8:
        pen.bone((x, back + size * u(0.5, 1.0)), (size * u(0.5, 1.0), size * u(0.12, 0.3)), 1.57 + u(-0.1, 0.1))
    pen.hole((x, y + size * u(1.15, 1.3)), (size * u(0.45, 0.65), size * u(0.35, 0.5)))


def trunk(pen: Pen, deep: float) -> None:
    """Spine and ribs, now and then breast bone and shoulder blades."""
    u = pen.rng.uniform
    vertebra(pen, (u(-0.03, 0.03), deep * u(0.3, 0.5)), u(0.1, 0.15))
    if u() < 0.75:
        for _ in range(int(u(5, 18))):
            t = u(0, 2 * math.pi)
            if abs(math.cos(t)) < 0.2 and math.sin(t) < 0:
                continue
            where = u(0.8, 0.93)
            at = where * math.cos(t), where * deep * math.sin(t)
            tangent = math.atan2(deep * math.cos(t), -math.sin(t))
            pen.bone(at, (u(0.03, 0.2), u(0.022, 0.045)), tangent + u(-0.15, 0.15))
    if u() < 0.35:
        pen.bone((u(-0.02, 0.02), -deep * u(0.8, 0.9)), (u(0.06, 0.16), u(0.03, 0.06)))
    if u() < 0.3:
        for side in (-1, 1):
            pen.arc((side * 0.5, deep * 0.2), (u(0.35, 0.5), u(0.4, 0.6) * deep),
                    (1.57 - side * 1.2, 1.57 - side * u(0.1, 0.5)), (0.03, 0.02), 7)  # fmt: skip
            if u() < 0.6:
                pen.bone((side * u(0.85, 0.98), deep * u(-0.1, 0.2)), (u(0.1, 0.15), u(0.1, 0.14)))


def pelvis(pen: Pen, deep: float) -> None:
    """Hip bones and sacrum, with the heads of the femora or without."""
    u = pen.rng.uniform
    tilt, reach = u(0.5, 1.1), u(0.45, 0.6)
    for side in (-1, 1):
        middle = math.pi / 2 - side * math.pi / 2
        pen.arc((side * (reach - 0.35), 0.0), (u(0.3, 0.4), deep * u(0.45, 0.7)),
                (middle - side * tilt, middle + side * u(0.3, 1.0)), (u(0.03, 0.07), u(0.05, 0.1)), 9)  # fmt: skip
        if u() < 0.6:
            head, at = u(0.11, 0.16), (side * u(0.48, 0.6), deep * u(-0.1, 0.15))
            pen.hole(at, (head * 1.12, head * 1.12), 0, 0.02)
            pen.bone((at[0] - side * head * 1.3, at[1]), (0.14, 0.04), 1.57)
            _femur(pen, at, head, side)
    if u() < 0.8:
        pen.bone((0.0, deep * u(0.45, 0.65)), (u(0.1, 0.3), u(0.06, 0.2)), 0, 0.25, 0.6)
    if u() < 0.4:
        for side in (-1, 1):
            pen.bone((side * u(0.06, 0.2), -deep * u(0.35, 0.6)), (u(0.1, 0.25), u(0.04, 0.09)), side * u(0.2, 0.7))


def _femur(pen: Pen, at: Spot, head: float, side: int) -> None:
    """Head and, in some slices, neck and trochanter. Holes were made before: they take nothing from these."""
    u = pen.rng.uniform
    pen.bone(at, (head, head), 0, 0.04, 0.6)
    pen.bones.extra[-1] = (*pen.bones.extra[-1][:3], -pen.bones.extra[-1][3])
    if u() < 0.5:
        pen.bone((at[0] + side * head * 1.4, at[1] + head * u(0, 0.6)), (head * 0.9, head * 0.6), side * 0.3)
        pen.bone((at[0] + side * head * 2.4, at[1] + head * u(0.3, 1.2)), (head * 0.8, head * 0.6), u(0, 3))


def head(pen: Pen, deep: float) -> None:
    """Skull, with or without the bones of face and jaw, and the neck's uppermost vertebrae."""
    u = pen.rng.uniform
    if u() < 0.7:
        wall, start = u(0.03, 0.08), u(0, 6)
        pen.arc((0, 0), (0.9, 0.9 * deep), (start, start + u(4, 6.4)), (wall, wall * u(0.7, 1.3)), 30)
    for _ in range(int(u(2, 14) * (u() < 0.6))):
        side, t = u(0.05, 0.65), u(-0.75, 0.5) * deep
        size, angle = (u(0.04, 0.25), u(0.012, 0.05)), u(0, 3.1)
        for mirror in (-1, 1):
            pen.bone((mirror * side, t), size, mirror * angle, 0.3, 0.5)
    if u() < 0.4:
        pen.arc((0, -0.2 * deep), (u(0.4, 0.6), 0.55 * deep), (math.pi + u(-0.4, 0.2), 2 * math.pi + u(-0.2, 0.4)),
                (0.06, 0.06), 13)  # fmt: skip
    if u() < 0.4:
        vertebra(pen, (0, deep * u(0.1, 0.4)), u(0.12, 0.2))


def limb(pen: Pen, deep: float) -> None:
    """One long bone or two, its shaft or its end, in a limb."""
    u = pen.rng.uniform
    if u() < 0.55:
        size = u(0.16, 0.55)
        pen.bone((u(-0.2, 0.2), u(-0.2, 0.2) * deep), (size, size * u(0.8, 1.0)), u(0, 3), 0.1, 12 * size * u(0.2, 1.1))
        if size > 0.35 and u() < 0.5:
            pen.bone((u(-0.1, 0.1), -deep * u(0.7, 0.85)), (0.25, 0.12))
    else:
        size, turn = u(0.12, 0.3), u(0, 6)
        for sign, scale in ((-1, 1.0), (1, u(0.4, 1.0))):
            at = sign * 0.35 * math.cos(turn), sign * 0.35 * deep * math.sin(turn)
            pen.bone(at, (size * scale, size * scale * u(0.7, 1.0)), u(0, 3), 0.13, 12 * size * u(0.2, 1.1))


def side_view(pen: Pen, deep: float) -> None:
    """A spine cut lengthwise: bodies, and processes behind them."""
    u = pen.rng.uniform
    size, bend, x0 = u(0.1, 0.16), u(-0.3, 0.3), u(-0.2, 0.3)
    gap = size * u(1.8, 2.4)
    behind = u() < 0.75
    for i in np.arange(-1.2, 1.2, gap):
        x, slope = x0 + bend * i * i, 2 * bend * i
        pen.bone((x, i), (size * u(1.0, 1.2), gap * u(0.36, 0.42)), -slope, 0.02, 0.5)
        pen.bones.waves[-1][0, 2] = -0.07  # four corners
        if behind:
            pen.bone(
                (x + size * u(2.2, 2.8), i + size * u(0.2, 0.7)), (size * u(0.6, 1.1), size * u(0.25, 0.4)), u(0.2, 0.7)
            )


def anything(pen: Pen, deep: float) -> None:
    """Bones of no particular kind: discs, rods and arcs of all sizes."""
    u = pen.rng.uniform
    for _ in range(int(u(1, 9))):
        at, size = (u(-0.8, 0.8), u(-0.8, 0.8) * deep), math.exp(u(math.log(0.03), math.log(0.4)))
        if u() < 0.25:
            start = u(0, 6)
            pen.arc(at, (size * 1.5, size * 1.5 * u(0.5, 1)), (start, start + u(0.8, 4)), (size * u(0.1, 0.4),) * 2)
        else:
            pen.bone(at, (size, size * u(0.25, 1)), u(0, 3), 0.25, u(0.3, 4))


REGIONS: dict[str, tuple[Callable[[Pen, float], None], float]] = {
    "trunk": (trunk, 0.24), "pelvis": (pelvis, 0.22), "limb": (limb, 0.22), "head": (head, 0.12),
    "side view": (side_view, 0.1), "anything": (anything, 0.1),
}  # fmt: skip
"""Each region's drawing and its share of the slices."""
