"""Where glands, stroma, gaps and cells lie on a made-up slide of stained tissue."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .draw import WAVES, Draw, Stars, column, enlarge, grid, resample, smooth_step, star_distance

COARSE = 64
"""Side of the grid on which outlines of glands are computed."""

KINDS = ("glands", "nests", "sheet", "stroma", "lymphoid")
MIXED = (0.38, 0.22, 0.2, 0.12, 0.08)
"""Shares of the kinds where any tissue may come."""

GLANDULAR = (0.6, 0.22, 0.03, 0.09, 0.06)
"""The same where glands and nests are what is looked for."""

GLANDS, NESTS, SHEET, STROMA, LYMPHOID = range(5)


@dataclass(frozen=True)
class Tissue:
    """The plan of some patches; fields are (N, Y, X), the others (N,), lengths in um.

    Attributes
    ----------
    pixel
        um per pixel.
    kind
        Index into `KINDS`.
    gland
        Signed distance to the outline of glands and nests, negative inside.
    epithelium
        Thickness of the epithelium around a lumen.
    lumen
        Share that is lumen.
    glass
        Share that lies beyond the edge of the section.
    cleft
        Share that is a gap in the tissue.
    angle
        Direction of the fibres in radians.
    fibres
        Texture of the stroma, of unit deviation.
    inflamed
        Where lymphocytes gather, 0 to 1.
    """

    pixel: float
    kind: Tensor
    gland: Tensor
    epithelium: Tensor
    lumen: Tensor
    glass: Tensor
    cleft: Tensor
    angle: Tensor
    fibres: Tensor
    inflamed: Tensor

    @property
    def white(self) -> Tensor:
        """Share that lets the light through: glass, gaps and lumens."""
        return 1 - (1 - self.glass) * (1 - self.cleft) * (1 - self.lumen)


def draw_tissue(draw: Draw, count: int, size: int, pixel: float, shares: tuple[float, ...] = MIXED) -> Tissue:
    """Draw the plan of ``count`` patches of ``size`` pixels of ``pixel`` um, with these shares of `KINDS`."""
    extent = size * pixel
    kind = torch.multinomial(
        torch.tensor(shares, device=draw.device), count, replacement=True, generator=draw.generator
    )
    epithelium = draw.scale(9, 38, count)
    gland = _draw_glands(draw, count, extent, kind)
    gland = enlarge(gland[:, None], size)[:, 0]
    gland = gland + column(draw.scale(0.3, 2.0, count)) * draw.rough(count, size, extent / 12)
    # An epithelium sheds and folds: its inner border is rougher than its outer one.
    inner = -gland - column(epithelium) + column(draw.scale(1, 6, count)) * draw.rough(count, size, extent / 14)
    hollow = (kind == GLANDS) | ((kind == NESTS) & draw.chance(0.25, count))
    lumen = smooth_step(inner, -0.8, 0.8) * column(hollow)
    angle, fibres = _draw_fibres(draw, count, size, extent)
    glass = draw_glass(draw, count, size)
    gaps = column(draw.chance(0.7, count) * draw.uniform(0.0, 1.3, count))
    cleft = smooth_step(-fibres - 2.6 + gaps, 0, 0.9) * (gland > 0)
    shrunk = column(draw.chance(0.3, count) * draw.scale(1, 7, count))
    halo = smooth_step(gland, -0.5, 0.5) * smooth_step(shrunk - gland, -0.5, 0.5) * (shrunk > 0)
    halo = halo * smooth_step(draw.noise(count, size, extent / 35), -0.3, 0.4)
    spots = draw.noise(count, size, extent / 30) + 0.4 * draw.noise(count, size, extent / 8)
    level = column(draw.uniform(-0.5, 3.0, count) - 4 * (kind == LYMPHOID))
    return Tissue(
        pixel, kind, gland, epithelium, lumen, glass, 1 - (1 - cleft) * (1 - halo), angle, fibres,
        smooth_step(spots - level, 0, 0.6) * (gland > 0),
    )  # fmt: skip


def wobble(draw: Draw, count: int, strength: Tensor) -> tuple[Tensor, Tensor]:
    """Fourier terms (count, WAVES) of an outline, the slower ones stronger."""
    fall = strength[:, None] / torch.arange(2, 2 + WAVES, device=draw.device) ** 1.2
    return draw.normal(count, WAVES) * fall, draw.normal(count, WAVES) * fall


def _draw_glands(draw: Draw, count: int, extent: float, kind: Tensor) -> Tensor:
    """Signed distance (um) to glands that do not touch, on the coarse grid."""
    beyond = 50.0
    most = min(40, max(6, round(((extent + 2 * beyond) / 70) ** 2)))
    total = count * most
    typical = draw.scale(14, 85, count).repeat_interleave(most)
    long = typical * draw.scale(0.7, 1.4, total)
    aspect = draw.uniform(1, 2.4, count).repeat_interleave(most) * draw.uniform(0.8, 1.1, total)
    angle = draw.uniform(0, math.pi, count).repeat_interleave(most) + 0.4 * draw.normal(total)
    cosine, sine = wobble(draw, total, draw.scale(0.05, 0.45, count).repeat_interleave(most))
    stars = Stars(
        image=torch.arange(count, device=draw.device).repeat_interleave(most),
        row=draw.uniform(-beyond, extent + beyond, total), column=draw.uniform(-beyond, extent + beyond, total),
        long=long * aspect.clamp(min=1).sqrt(), wide=long / aspect.clamp(min=1).sqrt(), angle=angle,
        cosine=cosine, sine=sine,
    )  # fmt: skip
    y, x = (c * (extent / COARSE) for c in grid(COARSE, draw.device))
    distance = star_distance(y[None] - stars.row[:, None, None], x[None] - stars.column[:, None, None], stars)
    there = draw.chance(draw.uniform(0.35, 1.0, count).repeat_interleave(most), total)
    distance = torch.where(there[:, None, None], distance, 400.0).reshape(count, most, COARSE, COARSE)
    first, second = distance.topk(2, 1, largest=False).values.unbind(1)
    apart = column(draw.scale(1.5, 25, count))
    gland = torch.maximum(first, (apart - (second - first)) / 2)
    sheet = -30 + 12 * draw.noise(count, COARSE, extent / 60)
    gland = torch.where(column(kind == SHEET), sheet, gland)
    return torch.where(column(kind >= STROMA), 60.0, gland)


def _draw_fibres(draw: Draw, count: int, size: int, extent: float) -> tuple[Tensor, Tensor]:
    """Direction of the fibres and their texture: streaks, bent by slow waves."""
    turn = draw.uniform(0, math.pi, count)
    stretch = draw.one(6, 16)
    fine = draw.noise(count, size, extent / draw.one(0.9, 2.8), stretch)
    coarse = draw.noise(count, size, extent / draw.one(5, 10), stretch / 2)
    streaks = 0.7 * fine + 0.6 * coarse
    y, x = grid(size, draw.device)
    bend = column(draw.scale(0.15, 2.5, count)) * draw.noise(count, size, extent / draw.one(30, 80))
    cos, sin = column(turn.cos()), column(turn.sin())
    across = (y * cos - x * sin) + bend * (8 / (extent / size))
    along = y * sin + x * cos
    texture = resample(streaks, across + size / 2, along + size / 2)
    slope = torch.stack(torch.gradient(bend * (8 / (extent / size)), dim=(1, 2)))
    # The streaks run where `across` does not change.
    angle = torch.atan2(-(slope[1] - sin), slope[0] + cos)
    return angle, texture / texture.std((1, 2), keepdim=True).clamp(min=1e-3)


def draw_glass(draw: Draw, count: int, size: int) -> Tensor:
    """Share beyond the edge of the section, on one patch in eight."""
    glass = torch.zeros(count, size, size, device=draw.device)
    which = draw.chance(0.13, count).nonzero()[:, 0]
    if not len(which):
        return glass
    y, x = grid(size, draw.device)
    turn = column(draw.uniform(0, 2 * math.pi, len(which)))
    edge = (y / size - 0.5) * turn.cos() + (x / size - 0.5) * turn.sin() + 0.06 * draw.rough(len(which), size, 5)
    glass[which] = smooth_step(edge - column(draw.uniform(-0.1, 0.45, len(which))), 0, 0.02)
    return glass
