"""Made-up HE patches at low magnification, in which every gland is known; contrasts differ as far as they may.

At 1-3 um a pixel nuclei are dots: they are drawn as texture, not one by one as in `histology`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .draw import Draw, Stars, column, enlarge, grid, resample, smooth_step, star_distance
from .stain import show_slide
from .tissue import draw_glass, wobble

COARSE = 64
"""Side of the grid on which outlines are computed."""

MOST = 16
"""Rows, and columns, of things on a patch."""

APART = 400.0
"""Distance in pixels where nothing is."""


@dataclass(frozen=True)
class GlandPatches:
    """Some patches.

    Attributes
    ----------
    image
        Whole numbers 0 to 255 as float32, (N, 3, Y, X).
    glands
        Glands with their lumen, (N, Y, X), bool.
    pixel
        um per pixel.
    """

    image: Tensor
    glands: Tensor
    pixel: float


def draw_glands(draw: Draw, count: int, size: int = 256, pixel: tuple[float, float] = (0.9, 3.0)) -> GlandPatches:
    """Draw patches of tissue with glands: many or few, healthy or wild, with any stain.

    Stain, texture and thickness of each layer are drawn by themselves, after Billot et al., "SynthSeg" (2023): a
    network that has seen all of it asks only how the layers lie.

    Parameters
    ----------
    draw
        Random numbers, and the device.
    count, size
        Number of patches; rows and columns of each.
    pixel
        Between which um per pixel the one of these patches is drawn.
    """
    scale = float(draw.scale(*pixel, 1))
    plan = _Plan(draw, count, size, scale)
    haematoxylin, eosin = plan.paint_stroma()
    haematoxylin, eosin = plan.paint_glands(haematoxylin, eosin)
    haematoxylin, eosin = plan.paint_holes(haematoxylin, eosin)
    glass = draw_glass(draw, count, size)
    density = torch.stack([haematoxylin, eosin, torch.zeros_like(eosin)], 1) * (1 - glass)[:, None]
    return GlandPatches(show_slide(draw, density, 0.1), (plan.gland < 0) & (glass < 0.5), scale)


class _Plan:
    """Where glands lie, and how the layers of a patch are stained; distances in pixels."""

    def __init__(self, draw: Draw, count: int, size: int, pixel: float) -> None:
        self._draw, self._count, self._size, self._pixel = draw, count, size, pixel
        self.radius = draw.scale(18, 75, count) / pixel
        placed = self._place(self.radius, draw.chance(0.88, count))
        rough = column(self.radius * draw.uniform(0, 0.07, count)) * draw.rough(count, size, size / 16, 2)
        self.gland = placed + rough
        self._strength = self._each(0.35, 1.2)

    def _each(self, low: float, high: float) -> Tensor:
        """A number for each patch."""
        return column(self._draw.uniform(low, high, self._count))

    def _place(self, radius: Tensor, there: Tensor) -> Tensor:
        """Signed distance to outlines that do not touch; on a bent lattice that is more or less disturbed."""
        draw, count, size = self._draw, self._count, self._size
        spacing = 2 * radius * draw.scale(0.95, 1.7, count)
        aspect = draw.scale(1, 2.6, count)
        side = min(math.ceil(1.5 * size / float(spacing.min())) + 1, MOST)
        most = side * side
        index = torch.arange(most, device=draw.device)
        row = (index // side).float() - (side - 1) / 2
        along = (index % side).float() - (side - 1) / 2 + 0.5 * (index // side % 2)
        row, along = (line[None] + column(draw.uniform(0, 0.45, count))[..., 0] * draw.normal(count, most)
                      for line in (row, along))  # fmt: skip
        turn = draw.uniform(0, math.pi, count)[:, None]
        v, u = row * (spacing / aspect.sqrt())[:, None], along * (spacing * aspect.sqrt())[:, None]
        y = size / 2 + v * turn.cos() + u * turn.sin()
        x = size / 2 + u * turn.cos() - v * turn.sin()
        own = draw.scale(0.65, 1.35, count * most).reshape(count, most) * radius[:, None]
        stretch = (aspect[:, None] * draw.scale(0.75, 1.3, count * most).reshape(count, most)).clamp(min=1).sqrt()
        cosine, sine = wobble(draw, count * most, draw.scale(0.04, 0.5, count).repeat_interleave(most))
        stars = Stars(
            image=torch.arange(count, device=draw.device).repeat_interleave(most),
            row=y.flatten(), column=x.flatten(), long=(own * stretch).flatten(), wide=(own / stretch).flatten(),
            angle=(turn + 0.3 * draw.normal(count, most)).flatten(), cosine=cosine, sine=sine,
        )  # fmt: skip
        py, px = (c * (size / COARSE) for c in grid(COARSE, draw.device))
        bend = size * draw.uniform(0, 0.05, count)
        dy, dx = (column(bend) * draw.noise(count, COARSE, 4) for _ in range(2))
        share = torch.where(there, draw.uniform(0.4, 1.3, count), 0.0)
        kept = draw.chance(share.repeat_interleave(most), count * most)
        apart = draw.scale(3, 25, count) / self._pixel
        # Most of the lattice lies beyond the patch.
        reach = 2 * torch.maximum(stars.long, stars.wide) + apart.repeat_interleave(most)
        near = ((place > -reach) & (place < size + reach) for place in (stars.row, stars.column))
        drawn = (kept & torch.stack([*near]).all(0)).nonzero()[:, 0]
        some = stars.pick(drawn)
        distance = torch.full((count * most, COARSE, COARSE), APART, device=draw.device)
        distance[drawn] = star_distance(
            (py + dy)[some.image] - some.row[:, None, None], (px + dx)[some.image] - some.column[:, None, None], some
        )
        distance = distance.reshape(count, most, COARSE, COARSE)
        first, second = distance.topk(2, 1, largest=False).values.unbind(1)
        return enlarge(torch.maximum(first, (column(apart) - (second - first)) / 2)[:, None], size)[:, 0]

    def _dots(self, um: tuple[float, float], density: Tensor) -> Tensor:
        """Share of nuclei in each pixel, (N, Y, X): dots of a size in um, as many as the density, -2 to 2, says."""
        draw, size = self._draw, self._size
        cells = size * self._pixel / draw.one(*um)
        coarse, fine = (draw.noise(self._count, size, min(times * cells, 0.7 * size)) for times in (1, 2))
        return smooth_step(0.8 * coarse + 0.6 * fine + density, 0.6, 1.3)

    def _slow(self, um: float) -> Tensor:
        return self._draw.noise(self._count, self._size, max(2.0, self._size * self._pixel / um))

    def paint_stroma(self) -> tuple[Tensor, Tensor]:
        """Haematoxylin and eosin between the glands: fibres, muscle, and cells, gathered here and there."""
        draw, count, size = self._draw, self._count, self._size
        fine = draw.noise(count, size, size * self._pixel / draw.one(3, 9), draw.one(2, 9))
        y, x = grid(size, draw.device)
        turn, bend = draw.uniform(0, math.pi, count), self._each(2, 25) * draw.noise(count, size, draw.one(2, 7))
        across, along = (
            (y * column(turn.cos()) - x * column(turn.sin())) + bend, y * column(turn.sin()) + x * column(turn.cos())
        )  # fmt: skip
        fibres = resample(fine, across + size / 2, along + size / 2)
        eosin = self._strength * (1 + self._each(0.05, 0.5) * fibres + self._each(0.0, 0.3) * self._slow(60))
        gathered = self._slow(draw.one(60, 250))
        nuclei = self._dots((6, 13), self._each(-1.6, 0.3) + self._each(0, 1.0) * gathered)
        haematoxylin = self._each(0, 0.25) * self._strength + self._each(0.35, 1.5) * nuclei
        return haematoxylin, eosin.clamp(min=0.03)

    def paint_glands(self, haematoxylin: Tensor, eosin: Tensor) -> tuple[Tensor, Tensor]:
        """A wall of cells, a lumen with or without something in it, and, round some, a gap to the stroma.

        Where the stains were drawn as those of the stroma, nothing but the order of the nuclei tells a gland.
        """
        draw, count = self._draw, self._count
        wall = self.radius * draw.uniform(0.25, 0.95, count)
        *own, rough = self._paint_wall(wall)
        depth = -self.gland
        hollow = column(draw.chance(0.75, count))
        lumen = smooth_step(depth + 0.6 * rough - column(wall), -0.8, 1.2) * hollow
        # Sieve-like: further holes in the wall of some.
        holes = self._dots((25, 70), self._each(-1.5, 0.3)) * column(draw.chance(0.25, count)) * (depth > 3)
        empty = 1 - (1 - lumen) * (1 - holes)
        secretion = self._each(-0.6, 0.6).clamp(min=0) * self._strength * (1 + 0.5 * self._slow(15)).clamp(min=0)
        debris = self._dots((6, 12), self._each(-2.5, -0.6)) * self._each(-0.5, 0.7).clamp(min=0)
        filled = 0.2 * secretion + debris, secretion
        gap = column(draw.chance(0.3, count) * draw.scale(1, 8, count) / self._pixel)
        halo = smooth_step(gap - self.gland, -0.5, 0.5) * smooth_step(self.gland, -0.5, 0.5) * (gap > 0)
        around = 1 - halo * smooth_step(self._slow(50), -0.2, 0.4)
        inside = smooth_step(depth, -0.7, 0.7)
        out = [
            torch.lerp(old * around, torch.lerp(cells, content, empty), inside).clamp(min=0)
            for old, cells, content in zip((haematoxylin, eosin), own, filled, strict=True)
        ]
        return out[0], out[1]

    def _paint_wall(self, wall: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Haematoxylin and eosin of cells: a row of nuclei along the border or all through, cytoplasm, drops of mucin.

        Also how far the inner border is from where it should be.
        """
        draw, count, depth = self._draw, self._count, -self.gland
        band = torch.minimum(wall, draw.scale(6, 30, count) / self._pixel)
        wild = draw.chance(0.3, count)  # nuclei all through the wall
        band = torch.where(wild, wall, band)
        start = torch.where(wild, 0.0, draw.uniform(0, 0.3, count) * band)
        rough = self._each(0, 0.25) * column(wall) * self._slow(draw.one(12, 40))
        begun, ended = depth + rough - column(start), column(band) + rough - depth
        row = smooth_step(begun, -0.8, 1.2) * smooth_step(ended, -0.8, 1.2)
        dense = torch.where(draw.chance(0.85, count), draw.uniform(0.2, 1.8, count), -0.6)
        nuclei = self._dots((5, 12), column(dense)) * row + self._dots((5, 12), self._each(-2.2, -0.4)) * (1 - row)
        mucin = self._dots((12, 30), self._each(-1.2, 1.2)) * (1 - row) * column(draw.chance(0.6, count))
        slow = 1 + self._each(0, 0.25) * self._slow(40)
        eosin = self._strength * self._each(0.3, 1.4) * slow * (1 - mucin * self._each(0.3, 1))
        eosin = eosin * (1 - row * self._each(0, 0.5))
        ground = self._each(-0.1, 0.5).clamp(min=0) * slow * (1 - 0.5 * mucin)
        haematoxylin = ground + mucin * self._each(-0.3, 0.3).clamp(min=0)
        haematoxylin = haematoxylin + self._each(0, 0.4) * row + self._each(0.45, 1.6) * nuclei
        return haematoxylin, eosin, rough

    def paint_holes(self, haematoxylin: Tensor, eosin: Tensor) -> tuple[Tensor, Tensor]:
        """What is hollow and no gland: fat, vessels with their wall and blood, and cracks; all of it between glands."""
        draw, count, size = self._draw, self._count, self._size
        between = smooth_step(self.gland, 1.0, 3.0)
        holes = self._place(draw.scale(10, 60, count) / self._pixel, draw.chance(0.4, count))
        fatty = column(draw.chance(0.4, count)) & (self._slow(300) > self._each(-1, 1))
        fat = smooth_step(-holes, -0.5, 0.8) * fatty
        vessels = torch.where(fatty | (self._slow(300) < self._each(0, 2)), APART, holes)
        thick = self._each(1.0, 12) / self._pixel
        wall = smooth_step(thick - vessels.abs(), -0.5, 0.8)
        blood = smooth_step(-vessels, -0.5, 0.8)
        red = self._each(-0.8, 1.2).clamp(min=0) * (1 + 0.3 * draw.noise(count, size, size / 3))
        eosin = eosin + between * wall * self._each(0, 0.5)
        eosin = torch.lerp(eosin, red, blood * between)
        haematoxylin = torch.lerp(haematoxylin, 0.05 * red, blood * between)
        crack = draw.noise(count, size, size * self._pixel / draw.one(30, 120), draw.one(2, 6))
        crack = smooth_step(crack - self._each(1.2, 4.0), 0, 0.2)
        left = 1 - between * (1 - (1 - fat) * (1 - crack))
        return haematoxylin * left, eosin * left
