"""Made-up X-rays of the chest, in which the outline of the lungs is known exactly."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .chest import Chest, draw_chest, draw_girdle, draw_ribs
from .draw import Draw, blur, column, enlarge, grid, smooth_step


@dataclass(frozen=True)
class ChestXrays:
    """Some X-rays: image, 0 to 255 as float32, (N, 1, Y, X), and the mask of both lungs, bool, (N, Y, X)."""

    image: Tensor
    lungs: Tensor


def draw_chest_xrays(draw: Draw, count: int, size: int = 256) -> ChestXrays:
    """Draw X-rays of the chest from front or back, ``size`` pixels wide and high."""
    chest = draw_chest(draw, count, size)
    image = _expose(draw, _project(draw, chest), chest)
    image = _add_marks(draw, image)
    image, lungs = _crop(draw, image, chest.lungs < 0)
    return ChestXrays((255 * image).round().clamp(0, 255)[:, None], lungs)


def _project(draw: Draw, chest: Chest) -> Tensor:
    """What the beam meets on its way, in about the thickness of a trunk: flesh less air, and bone."""
    count, size = chest.x.shape[:2]

    def each(low: float, high: float) -> Tensor:
        return column(draw.uniform(low, high, count))

    deep = smooth_step(-chest.body, 0, 0.45).sqrt() * each(0.75, 1.1)
    flesh = deep * (1 + 0.06 * draw.noise(count, size, 4))
    belly = smooth_step(-chest.dome, -0.02, 0.1) * smooth_step(1.15 - chest.side, 0, 0.25)
    heart = smooth_step(-chest.heart, -0.02, 0.14)
    air = (1 - (chest.lungs / each(0.1, 0.3)).clamp(max=0).exp()) * each(0.42, 0.8)
    total = flesh + belly * each(0.1, 0.4) + heart * each(0.1, 0.35) - air.clamp(min=0) * (1 - 0.35 * belly)
    total = total + _lung_detail(draw, chest) * smooth_step(-chest.lungs, 0, 0.05)
    # Heart, vessels and food pipe in front of the spine widen downwards and hide most of it.
    wide = each(0.12, 0.2) + each(0.02, 0.16) * chest.y.clamp(0, 2)
    total = total + smooth_step(wide - chest.side, -0.12, 0.08) * each(0.05, 0.35) * smooth_step(chest.y, -0.1, 0.6)
    spine = smooth_step(each(0.09, 0.16) - chest.side, -0.02, 0.05)
    discs = (chest.y / each(0.16, 0.24) * 2 * torch.pi).sin()
    total = total + spine * each(0.02, 0.2) * (1 + each(0.05, 0.4) * discs)
    trachea = smooth_step(0.065 - (chest.x - each(-0.05, 0.05)).abs(), -0.01, 0.03) * smooth_step(0.7 - chest.y, 0, 0.2)
    total = total - trachea * each(0.02, 0.2) * (deep > 0)
    ribs = draw_ribs(draw, chest) * smooth_step(chest.side, 0.08, 0.22) * (1 - each(0.3, 0.95) * belly)
    total = total + each(0.03, 0.18) * ribs + each(0.1, 0.3) * draw_girdle(draw, chest)
    breast = ((chest.side - each(0.4, 0.7)) / each(0.35, 0.55)) ** 2 + (
        (chest.y - each(1.2, 1.7)) / each(0.35, 0.5)
    ) ** 2
    some = column(draw.chance(0.4, count) * draw.uniform(0.03, 0.25, count))
    total = total + some * smooth_step(1 - breast, 0, 0.5)
    gas = ((chest.x - each(0.25, 0.6)) / each(0.1, 0.25)) ** 2 + ((chest.y - each(1.85, 2.2)) / each(0.06, 0.2)) ** 2
    gas = smooth_step(1 - gas + 0.2 * draw.noise(count, size, 8), 0, 0.4) * (chest.dome < -0.04)
    return total - gas * column(draw.chance(0.6, count) * draw.uniform(0.05, 0.4, count)) * (deep > 0)


def _lung_detail(draw: Draw, chest: Chest) -> Tensor:
    """Vessels that spread from the hila, and now and then shadows of disease."""
    count, size = chest.x.shape[:2]
    near = ((chest.side - 0.25).clamp(min=0) ** 2 + (chest.y - 1.0) ** 2).sqrt()
    fine = draw.noise(count, size, size / 12) + 0.5 * draw.noise(count, size, size / 28)
    ridges = (1 - 2.2 * fine.abs()).clamp(min=0)
    vessels = ridges * (-near / 0.5).exp() * column(draw.uniform(0.05, 0.3, count))
    hilum = (-((near / 0.2) ** 2)).exp() * column(draw.uniform(0, 0.25, count))
    texture = column(draw.scale(0.004, 0.05, count)) * draw.rough(count, size, size / 8)
    sick = column(draw.chance(0.3, count) * draw.uniform(0.1, 0.5, count))
    shadow = smooth_step(draw.rough(count, size, 6), 0.7, 2.2) * (1 + 0.3 * fine)
    return vessels + hilum + texture + sick * shadow


def _expose(draw: Draw, total: Tensor, chest: Chest) -> Tensor:
    """Grey values, 0 to 1: dense is bright; scatter, noise, contrast as the maker's processing gives them."""
    count, size = total.shape[:2]
    image = total[:, None]
    wide = functional.avg_pool2d(image, size // 16)
    wide = enlarge(wide, size)
    boost = draw.uniform(-0.25, 0.7, count)[:, None, None, None]
    image = blur(image + boost * (image - wide), draw.uniform(0.3, 1.2, count))[:, 0]
    inside = chest.body < 0
    low = torch.where(inside, image, 9.0).amin((1, 2)) * draw.uniform(0.3, 1.1, count)
    high = torch.where(inside, image, -9.0).amax((1, 2)) * draw.uniform(0.6, 1.05, count)
    grey = (image - column(low)) / column((high - low).clamp(min=0.2))
    air = column(draw.chance(0.2, count) * draw.uniform(0, 0.3, count))
    grey = torch.where(inside, grey, grey * 0.3 + air)
    noise = draw.normal(count, size, size) * column(draw.scale(0.003, 0.03, count))
    grey = (grey + noise).clamp(0, 1) ** column(draw.scale(0.55, 1.7, count))
    grey = grey * column(draw.uniform(0.75, 1.0, count)) + column(draw.uniform(0, 0.08, count))
    return torch.where(column(draw.chance(0.03, count)), 1 - grey, grey)


def _add_marks(draw: Draw, image: Tensor) -> Tensor:
    """Letters and labels near the upper corners, lines and tubes across the chest."""
    count, size = image.shape[:2]
    rows, columns = grid(size, draw.device)
    for _ in range(3):
        there = draw.chance(0.45, count)
        y, x = draw.uniform(0.01, 0.25, count), draw.uniform(0.02, 0.98, count)
        height, width = draw.uniform(0.015, 0.04, count), draw.scale(0.015, 0.13, count)
        box = ((rows / size - column(y)).abs() < column(height)) & ((columns / size - column(x)).abs() < column(width))
        letters = (draw.noise(count, size, size / 3) > 0.2) | column(draw.chance(0.3, count))
        image = torch.where(box & letters & column(there), column(draw.uniform(0.7, 1.0, count)), image)
    which = draw.chance(0.12, count)
    path = column(draw.uniform(0.3, 0.7, count)) + 0.06 * draw.noise(count, size, 3)
    on = smooth_step(0.006 - (columns / size - path).abs(), 0, 0.003) * (
        rows / size < column(draw.uniform(0.3, 0.9, count))
    )
    return (image + column(which * draw.uniform(0.1, 0.4, count)) * on).clamp(0, 1)


def _crop(draw: Draw, image: Tensor, lungs: Tensor) -> tuple[Tensor, Tensor]:
    """Black borders, slightly turned, as collimators and scanned films have; nothing is seen behind them."""
    count, size = image.shape[:2]
    rows, columns = grid(size, draw.device)
    tilt = column(0.02 * draw.normal(count))
    y, x = rows + tilt * columns, columns - tilt * rows
    seen = torch.ones_like(lungs)
    for axis, flip in ((y, False), (y, True), (x, False), (x, True)):
        width = column(draw.chance(0.3, count) * draw.scale(0.01, 0.2, count)) * size
        seen &= ((size - 1 - axis) if flip else axis) >= width - 3
    edge = column(draw.chance(0.3, count) * draw.uniform(0, 0.1, count))
    return torch.where(seen, image, edge), lungs & seen
