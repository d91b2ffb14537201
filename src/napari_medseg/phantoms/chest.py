"""The plan of a made-up chest as it is projected: outlines in a frame of its own, and how much each part takes up."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .draw import Draw, column, grid, smooth_step
from .shapes import meet, union

# The frame: x from -1 to 1 between the outer borders of the lungs, y from 0 at their tops to about 2 at their ends.


@dataclass(frozen=True)
class Chest:
    """Positions and outlines of some chests; every field is (N, Y, X).

    Attributes
    ----------
    x, y
        Where each pixel lies in the chest's frame.
    side
        Distance from the middle.
    outer
        Distance at which the lungs end towards the arms, at each pixel's level.
    lungs
        Signed distance to both lungs' outline, negative inside.
    heart, dome
        Signed distances to the heart and to the diaphragm's upper face, negative below it.
    body
        Signed distance to the skin.
    """

    x: Tensor
    y: Tensor
    side: Tensor
    outer: Tensor
    lungs: Tensor
    heart: Tensor
    dome: Tensor
    body: Tensor


def draw_chest(draw: Draw, count: int, size: int) -> Chest:
    """Draw chests that fill most of images of ``size`` pixels."""

    def each(low: float, high: float) -> Tensor:
        return column(draw.uniform(low, high, count))

    x, y = _frame(draw, count, size)
    right = (x > 0).float()
    side = x.abs()
    # Both lungs differ a little in height and width.
    top = torch.lerp(each(-0.05, 0.08), each(-0.05, 0.08), right)
    down = y - top
    widest = each(1.0, 1.6)
    share = (1 - (widest - down).clamp(min=0) / widest).clamp(0, 1)
    arch = (1 - (1 - share) ** each(1.7, 2.6)).clamp(min=0) ** each(0.42, 0.68)
    apex = each(0.3, 0.46)
    outer = apex + (torch.lerp(each(0.93, 1.05), each(0.93, 1.05), right) - apex) * arch
    outer = outer - each(-0.05, 0.08) * (down - widest).clamp(min=0)
    middle = each(0.1, 0.24) + each(0.0, 0.06) * draw.noise(count, size, 5)
    inner = middle + (apex - 0.02 - middle).clamp(min=0) * (1 - (down / each(0.25, 0.55)).clamp(0, 1)) ** each(1.2, 2.5)
    heart = _heart(draw, count, x, y)
    level = torch.lerp(each(1.55, 1.95), each(1.6, 2.05), right)
    rise = each(0.2, 0.55)
    across = (side - each(0.38, 0.55)) / each(0.5, 0.68)
    dome = level - rise * (1 - across * across) + rise * 0.6 - y
    angle = 0.02 * draw.noise(count, size, 14)
    parts = [side - outer, inner - side, -dome, -down, -heart]
    lungs = parts[0]
    for part in parts[1:]:
        lungs = meet(lungs, part, 0.035)
    return Chest(x, y, side, outer, lungs + angle * 0.5, heart, dome, _body(draw, count, x, y))


def _frame(draw: Draw, count: int, size: int) -> tuple[Tensor, Tensor]:
    """Where the pixels lie in the chest's frame: moved, turned, stretched and bent a little."""
    rows, columns = grid(size, draw.device)
    half = column(draw.uniform(0.29, 0.46, count)) * size
    stretch = column(draw.uniform(0.82, 1.22, count))
    turn = column(0.05 * draw.normal(count))
    x = (columns - size / 2) / half + column(0.1 * draw.normal(count))
    y = (rows - size / 2) / half / stretch
    x, y = x * turn.cos() + y * turn.sin(), y * turn.cos() - x * turn.sin()
    bend = column(draw.uniform(0, 0.035, count))
    x = x + bend * draw.noise(count, size, 3)
    y = y + bend * draw.noise(count, size, 3) + column(draw.uniform(0.75, 1.15, count))
    return x, y


def _heart(draw: Draw, count: int, x: Tensor, y: Tensor) -> Tensor:
    """Mostly on the image's right; with the aortic arch above it. Mirrored now and then."""
    mirror = column(1 - 2 * draw.chance(0.03, count).float())
    x = x * mirror

    def each(low: float, high: float) -> Tensor:
        return column(draw.uniform(low, high, count))

    large = each(0.8, 1.25)
    slant = each(0.1, 0.6)
    u, v = x - each(0.1, 0.24), y - each(1.25, 1.55)
    u, v = u + slant * -v * 0.4, v + slant * u * 0.3
    # Below its middle it stays wide, down to the diaphragm.
    v = torch.where(v > 0, v * each(0.3, 0.9), v)
    main = ((u / (each(0.34, 0.48) * large)) ** 2 + (v / (each(0.38, 0.55) * large)) ** 2).sqrt() - 1
    arch = (((x - each(0.1, 0.2)) / each(0.08, 0.16)) ** 2 + ((y - each(0.55, 0.75)) / 0.14) ** 2).sqrt() - 1
    return union(main * 0.38, arch * 0.1, 0.12)


def _body(draw: Draw, count: int, x: Tensor, y: Tensor) -> Tensor:
    """Trunk, neck, shoulders and arms."""

    def each(low: float, high: float) -> Tensor:
        return column(draw.uniform(low, high, count))

    side = x.abs()
    padding = column(draw.scale(0.08, 0.55, count))
    trunk = torch.maximum(side - 1 - padding - each(-0.1, 0.15) * (y - 1.0), 0.25 - y)
    neck = torch.maximum(side - each(0.28, 0.5) - 0.1 * (y + 0.3).clamp(min=0), y - 1)
    slope = each(0.2, 0.6)
    shoulder = torch.maximum((-0.38 - y) + slope * side, y - 0.9)
    shoulder = torch.maximum(shoulder, side - each(1.2, 1.9))
    lift = each(-0.5, 0.5)
    arm = (side - each(1.45, 1.9) - lift * (y - 0.4)).abs() - each(0.16, 0.3)
    arm = torch.maximum(arm, -0.1 - y)
    return union(union(union(trunk, neck, 0.15), shoulder, 0.15), arm, 0.2)


def draw_ribs(draw: Draw, chest: Chest) -> Tensor:
    """What the ribs take up: bands from the spine outwards, and fainter ones that come down in front."""
    count, size = chest.x.shape[:2]

    def each(low: float, high: float) -> Tensor:
        return column(draw.uniform(low, high, count))

    out = chest.side / chest.outer.clamp(min=0.3)
    wave = 0.03 * draw.noise(count, size, 4)
    inside = smooth_step(1.06 - out, -0.02, 0.05) * smooth_step(chest.y + 0.15, 0, 0.2)
    spacing = each(0.17, 0.25)
    fall = each(0.05, 0.5)
    back = chest.y + each(0.05, 0.3) * (torch.pi * out.clamp(0, 1) * 0.8).sin() - fall * out**3 + wave
    total = _bands(back / spacing + each(0, 1), each(0.24, 0.36)) * inside * each(0.5, 1.2)
    front = chest.y - each(0.35, 0.8) * (1 - out) - each(0.1, 0.3) * out * out + wave
    fade = smooth_step(out, 0.3, 0.5)
    total = total + _bands(front / (spacing * each(0.95, 1.15)), each(0.28, 0.42)) * inside * fade * each(0.15, 0.8)
    rim = smooth_step(0.05 - (chest.side - chest.outer - 0.03).abs(), 0, 0.05) * inside
    return total + rim * each(0.2, 0.9)


def _bands(phase: Tensor, width: Tensor) -> Tensor:
    """Stripes around whole numbers, ``width`` of the distance wide, with brighter borders."""
    far = (phase - phase.round()).abs() * 2
    band = smooth_step(width - far, -0.08, 0.08)
    border = smooth_step(0.1 - (width - far).abs(), 0, 0.1)
    return 0.7 * band + 0.5 * border


def draw_girdle(draw: Draw, chest: Chest) -> Tensor:
    """What collar bones, shoulder blades and upper arms take up."""
    count = len(chest.x)

    def each(low: float, high: float) -> Tensor:
        return column(draw.uniform(low, high, count))

    tilt, start = each(-0.45, 0.05), each(0.1, 0.4)
    line = chest.y - start - tilt * (chest.side - 0.1) - each(-0.1, 0.1) * (torch.pi * chest.side).sin()
    thick = each(0.035, 0.07)
    far = line.abs() - thick
    collar = smooth_step(-far, -0.01, 0.02) * 0.7 + smooth_step(0.015 - far.abs(), 0, 0.015) * 0.4
    collar = collar * smooth_step(chest.side, 0.06, 0.12) * smooth_step(each(0.95, 1.3) - chest.side, 0, 0.08)
    blade = ((chest.side - each(0.95, 1.25)) / each(0.2, 0.35)) ** 2 + (
        (chest.y - each(0.3, 0.7)) / each(0.4, 0.6)
    ) ** 2
    blade = smooth_step(1 - blade.sqrt(), -0.03, 0.1)
    head = ((chest.side - each(1.3, 1.6)) ** 2 + (chest.y - each(-0.05, 0.25)) ** 2).sqrt() - each(0.13, 0.2)
    return collar * each(0.4, 1.3) + blade * each(0.0, 0.5) + smooth_step(-head, -0.02, 0.08) * each(0.3, 1.0)
