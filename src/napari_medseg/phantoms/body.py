"""Made-up CT slices of any part of the body, in which every bone is known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .draw import Draw, blur, column, grid, stamp, star_distance
from .scanner import draw_scanner, draw_window
from .skeleton import REGIONS, Outlines, Pen

AIR, FAT = -1000.0, -100.0


@dataclass(frozen=True)
class CtSlices:
    """Some slices: grey values 0 to 255 through a window as float32, (N, 1, Y, X); bones, bool, (N, Y, X); HU."""

    image: Tensor
    bones: Tensor
    hu: Tensor


@dataclass(frozen=True)
class _Plan:
    """Outlines on all slices; of bones also wall, cortex, inside and texture, of the rest HU and its texture."""

    bodies: Outlines
    bones: Outlines
    holes: Outlines
    organs: Outlines


def draw_ct_slices(draw: Draw, count: int, size: int = 256) -> CtSlices:
    """Draw CT slices of trunks, pelves, heads and limbs, whole or in part, ``size`` pixels wide and high."""
    rng = np.random.default_rng(int(draw.uniform(0, 2**24, 1)))
    plan = _plan(rng, count, size)
    hu, inside = _paint_flesh(draw, plan, count, size)
    hu, bones = _paint_bones(draw, plan, hu)
    hu = _paint_metal(draw, hu, bones, rng)
    hu = _scan(draw, _paint_table(draw, hu, inside), inside, rng)
    low, high = torch.tensor([draw_window(rng) for _ in range(count)], device=draw.device).float().unbind(1)
    grey = ((hu - column(low)) / column(high - low)).clamp(0, 1)
    return CtSlices((255 * grey).round()[:, None], bones, hu)


def _plan(rng: np.random.Generator, count: int, size: int) -> _Plan:
    plan = _Plan(Outlines(), Outlines(), Outlines(), Outlines())
    names, shares = [*REGIONS], [share for _, share in REGIONS.values()]
    for image in range(count):
        region = str(rng.choice(names, p=np.array(shares) / sum(shares)))
        small = region == "limb"
        unit = math.exp(rng.uniform(math.log(0.1 if small else 0.28), math.log(0.45 if small else 1.1))) * size
        twin = small and unit < 0.25 * size and rng.random() < 0.6
        shift = max(unit - 0.4 * size, 0.06 * size)
        middle = size / 2 + rng.uniform(-shift, shift, 2)
        turn = rng.normal(0, 0.12) + (rng.uniform(0, 6.3) if small else 0)
        deep = rng.uniform(0.55, 0.85) if region in ("trunk", "pelvis") else rng.uniform(0.8, 1.2)
        if region == "side view":
            deep = 2.0
        for side in (-1, 1) if twin else (0,):
            frame = (float(middle[0]), float(middle[1]) + side * unit * 1.15, float(unit), float(turn * (side or 1)))
            pen = Pen(rng, image, frame, plan.bones, plan.holes)
            pen.place((0, 0), (1, deep), 0, 0.05, plan.bodies)
            plan.bodies.extra.append((unit * math.exp(rng.uniform(math.log(0.02), math.log(0.3))), deep))
            REGIONS[region][0](pen, deep)
            _add_organs(pen, deep, region, plan.organs)
    return plan


def _add_organs(pen: Pen, deep: float, region: str, organs: Outlines) -> None:
    """Soft organs, lungs, gas, and vessels as bright as bone where contrast was given."""
    u = pen.rng.uniform

    def add(at: tuple[float, float], size: tuple[float, float], hu: float, texture: float) -> None:
        pen.place(at, size, u(0, 3), 0.25, organs)
        organs.extra.append((hu, texture))

    if region == "trunk" and u() < 0.5:
        for side in (-1, 1):
            add((side * u(0.35, 0.5), -deep * u(-0.1, 0.1)), (u(0.25, 0.4), deep * u(0.35, 0.55)), u(-900, -750), 60)
    if region == "head":
        add((0, 0), (0.82, 0.82 * deep), u(15, 45), 4)
    given = u() < 0.35
    for _ in range(int(u(0, 9))):
        at, size = (u(-0.6, 0.6), u(-0.6, 0.4) * deep), u(0.05, 0.3)
        add(at, (size, size * u(0.5, 1)), u(-20, 130 + 100 * given), u(3, 15))
    for _ in range(int(u(0, 5)) if region in ("trunk", "pelvis", "head") else 0):
        size = u(0.02, 0.12)
        add((u(-0.5, 0.5), u(-0.7, 0.3) * deep), (size, size * u(0.4, 1)), AIR, 5)
    for _ in range(int(u(1, 8))):
        size = u(0.012, 0.07)
        add((u(-0.7, 0.7), u(-0.7, 0.7) * deep), (size, size * u(0.8, 1)), u(150, 480) if given else u(30, 60), 3)


def _share(depth: Tensor, width: Tensor) -> Tensor:
    """Share of each pixel inside an outline whose border is so many pixels wide."""
    return (0.5 - depth / column(width)).clamp(0, 1)


def _paint_flesh(draw: Draw, plan: _Plan, count: int, size: int) -> tuple[Tensor, Tensor]:
    """Air, skin, fat, muscles and organs in HU; and the distance under the skin in pixels."""
    y, x = grid(size, draw.device)
    stars, extra = plan.bodies.stars(draw.device), plan.bodies.numbers(draw.device, 2)
    far = star_distance(y[None] - stars.row[:, None, None], x[None] - stars.column[:, None, None], stars)
    skin = torch.full((count, size, size), 1e3, device=draw.device)
    fat = torch.zeros(count, device=draw.device)
    for i, image in enumerate(stars.image.tolist()):
        skin[image] = torch.minimum(skin[image], far[i])
        fat[image] = extra[i, 0]
    skin = skin + 2.5 * draw.noise(count, size, 6)
    width = draw.uniform(0.8, 2.5, count)
    muscle = column(draw.uniform(30, 75, count))
    seams = (1 - draw.noise(count, size, draw.one(6, 22)).abs() * column(draw.scale(2, 9, count))).clamp(min=0)
    seams = seams * column(draw.uniform(0, 1, count))
    meat = muscle + 8 * draw.rough(count, size, 20) + seams * (FAT - muscle)
    inner = skin + column(fat) * (1 + 0.4 * draw.noise(count, size, 5))
    hu = FAT + 8 * draw.rough(count, size, 12) + _share(inner, width) * (meat - FAT)
    if len(plan.organs.rows):
        found = stamp(plan.organs.stars(draw.device), count, size)
        numbers = plan.organs.numbers(draw.device, 2)
        value = found.of(numbers[:, 0]) + found.of(numbers[:, 1]) * draw.rough(count, size, size / 9)
        hu = hu + _share(torch.maximum(found.depth, inner), width) * (value - hu)
    rind = _share((skin + 1.2).abs() - 0.8, width) * column(draw.uniform(0, 1, count))
    hu = hu + rind * (30 - hu)
    return AIR + _share(skin, width) * (hu - AIR), -skin


def _paint_bones(draw: Draw, plan: _Plan, hu: Tensor) -> tuple[Tensor, Tensor]:
    """Bones in HU, and their mask."""
    count, size = hu.shape[:2]
    stars, numbers = plan.bones.stars(draw.device), plan.bones.numbers(draw.device, 4)
    found = stamp(stars, count, size)
    depth = found.depth
    if len(plan.holes.rows):
        # What was marked lies in the hole, as a head in its socket.
        kept = stamp(stars.pick(numbers[:, 3] < 0), count, size).depth
        hole = stamp(plan.holes.stars(draw.device), count, size).depth
        depth = torch.minimum(torch.maximum(depth, -hole), kept)
    rough = draw.noise(count, size, size / 7)
    depth = depth + column(draw.uniform(0.0, 0.7, count)) * rough
    width = draw.uniform(0.8, 2.4, count)
    wall = found.of(numbers[:, 0]) * (1 + 0.25 * draw.noise(count, size, 30))
    grain = draw.rough(count, size, size / draw.one(3, 7), 2)
    inside = found.of(numbers[:, 2]) + found.of(numbers[:, 3].abs()) * grain
    near = (depth / (3 * wall)).clamp(max=0).exp() * 120
    cortex = found.of(numbers[:, 1]) * (1 + 0.1 * rough)
    value = cortex + _share(depth + wall.clamp(min=0.6), width) * (inside + near - cortex)
    return hu + _share(depth, width) * (value - hu), depth < 0


def _paint_metal(draw: Draw, hu: Tensor, bones: Tensor, rng: np.random.Generator) -> Tensor:
    """Implants on a few slices: part of the bone where they lie in it, with streaks around them."""
    count, size = hu.shape[:2]
    metal = Outlines()
    for image in range(count):
        if rng.random() < 0.06:
            spots = torch.nonzero(bones[image])
            at = spots[int(rng.integers(len(spots)))].tolist() if len(spots) else [size / 2, size / 2]
            pen = Pen(rng, image, (float(at[0]), float(at[1]), size / 2, 0.0), metal, metal)
            pen.place((0, 0), (rng.uniform(0.02, 0.12), rng.uniform(0.015, 0.05)), rng.uniform(0, 3), 0.05, metal)
    if not metal.rows:
        return hu
    stars = metal.stars(draw.device)
    found = stamp(stars, count, size)
    y, x = grid(size, draw.device)
    for i, image in enumerate(stars.image.tolist()):
        angle = torch.atan2(y - stars.row[i], x - stars.column[i])
        near = (-((y - stars.row[i]) ** 2 + (x - stars.column[i]) ** 2).sqrt() / (0.15 * size)).exp()
        rays = sum((k * angle + 6.3 * k * k / 7).sin() for k in (2, 5, 9, 14))
        hu[image] += 350 * near * rays * (hu[image] > -900)
    return torch.where(found.depth < 0, 3071.0, hu)


def _paint_table(draw: Draw, hu: Tensor, inside: Tensor) -> Tensor:
    """The couch under the body: a shell around foam, or a mat, as bright as bone on some; and a blanket's folds."""
    count, size = hu.shape[:2]
    y, x = grid(size, draw.device)
    for _ in range(2):
        at, bend = column(draw.uniform(0.58, 1.0, count)) * size, column(draw.uniform(-0.3, 0.03, count))
        from_middle = (x - size / 2 - column(draw.uniform(-0.05, 0.05, count)) * size).abs()
        across = y - at - bend * from_middle**2 / size * 4
        # Upper and lower shell meet where the couch ends.
        deep, end = (column(draw.uniform(low, high, count)) * size for low, high in ((0.0, 0.08), (0.25, 0.6)))
        within = torch.maximum(across.abs() - deep / 2 * (1 - (from_middle / end) ** 4).clamp(min=0), from_middle - end)
        outside, width = inside < -2, column(draw.uniform(0.6, 2.5, count))
        there = column(draw.chance(0.5, count) * draw.uniform(0.4, 1.0, count)) * outside
        foam = (0.5 - within).clamp(0, 1) * there
        hu = hu + foam * (column(draw.uniform(-1000, -500, count)) - hu)
        shell = (width - within.abs()).clamp(0, 1) * there
        hu = hu + shell * (column(draw.uniform(-500, 1200, count)) - hu)
    folds = (1 - 12 * (draw.noise(count, size, 6)).abs()).clamp(min=0) * (inside < -3) * (inside > -25)
    return hu + folds * column(draw.chance(0.3, count) * draw.uniform(100, 700, count))


def _scan(draw: Draw, hu: Tensor, inside: Tensor, rng: np.random.Generator) -> Tensor:
    """Blur, edge enhancement, noise, streaks and the circle that is reconstructed, as `scanner.draw_scanner` draws."""
    count, size = hu.shape[:2]
    scanners = [draw_scanner(rng) for _ in range(count)]
    table = torch.tensor(
        [(s.blur, s.edge, s.noise, s.grain, s.streaks, s.crop, s.outside) for s in scanners], device=draw.device
    ).float()
    sharpness, edge, noise, grain, streaks, crop, outside = table.unbind(1)
    image = blur(hu[:, None], sharpness)
    image = image + edge[:, None, None, None] * (image - blur(image, edge * 0 + 1.3))
    white = blur(draw.normal(count, 1, size, size), grain)[:, 0]
    white = white / white.std((1, 2), keepdim=True)
    fibres = draw.noise(count, size, size / 2, 20)
    deep = (inside / (0.1 * size)).clamp(0, 1)
    out = image[:, 0] + white * column(noise) * (0.35 + 0.65 * deep) + fibres * column(streaks) * (0.2 + deep)
    y, x = grid(size, draw.device)
    far = ((y - size / 2) ** 2 + (x - size / 2) ** 2).sqrt() > column(crop * size / 2)
    return torch.where(far, column(outside), out).clamp(-2000, 3071)
