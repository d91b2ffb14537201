"""Cells of a made-up slide: where their nuclei, bodies, vacuoles and the red cells lie, and what they look like."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .draw import Draw, Stars, look_up
from .placing import Points, place
from .tissue import GLANDS, LYMPHOID, SHEET, Tissue, wobble

EPITHELIAL, FIBROBLAST, LYMPHOCYTE, RED_CELL = range(4)


@dataclass(frozen=True)
class Cells:
    """Nuclei (and red cells, which have none) of some patches; every field is (K,) or as `Stars` has it.

    Attributes
    ----------
    stars
        Outlines in pixels.
    kind
        `EPITHELIAL`, `FIBROBLAST`, `LYMPHOCYTE` or `RED_CELL`.
    room
        Radius in pixels that each keeps free of others.
    stain
        Haematoxylin: optical density of the chromatin.
    hollow
        How much paler the inside is than the membrane, 0 to 1 (vesicular nuclei).
    clumps
        Strength of the chromatin's texture.
    soft
        Width of the border in pixels: some lie out of focus.
    spot_row, spot_column, spot
        Middle of the nucleolus from the nucleus' own, in pixels, and its radius; 0 where there is none.
    """

    stars: Stars
    kind: Tensor
    room: Tensor
    stain: Tensor
    hollow: Tensor
    clumps: Tensor
    soft: Tensor
    spot_row: Tensor
    spot_column: Tensor
    spot: Tensor

    def __len__(self) -> int:
        return len(self.kind)


@dataclass(frozen=True)
class _People:
    """What the cells of one patch have in common, each (N,), lengths in um; and where vessels lie, (N, Y, X)."""

    radius: Tensor
    aspect: Tensor
    crowding: Tensor
    zone: Tensor
    variety: Tensor
    lymphocyte: Tensor
    spindle: Tensor
    fibroblasts: Tensor
    stray: Tensor
    red: Tensor
    vessels: Tensor


def draw_cells(draw: Draw, tissue: Tissue, empty: Tensor) -> Cells:
    """Draw the cells that a plan has room for, none where the share ``empty`` (N, Y, X) is high."""
    count, pixel, size = len(tissue.kind), tissue.pixel, tissue.gland.shape[1]
    white = 1 - (1 - tissue.white) * (1 - empty)
    people = _draw_people(draw, count, tissue)
    chosen: dict[str, Tensor] = {}

    def choose(rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        kind, probability = _choose_kind(draw, tissue, (people, white), rows / pixel, columns / pixel)
        of = torch.arange(count, device=draw.device)[:, None, None].expand(rows.shape)
        size_of = (people.variety[of] * draw.normal(*rows.shape)).exp().clamp(0.6, 1.8)
        radius = people.radius[of] * size_of
        radius = torch.where(kind == FIBROBLAST, people.spindle[of] * size_of, radius)
        radius = torch.where(kind == LYMPHOCYTE, people.lymphocyte[of] * (0.5 + 0.5 * size_of), radius)
        radius = torch.where(kind == RED_CELL, 3.3, radius)
        crowding = torch.where(kind == EPITHELIAL, people.crowding[of], 0.95)
        chosen.update(kind=kind, radius=radius, room=radius * crowding)
        return probability, radius * crowding

    points = place(draw, count, size * pixel, choose)
    kind, radius, room = (chosen[name].flatten()[points.chosen] for name in ("kind", "radius", "room"))
    return _draw_looks(draw, tissue, people, points, (kind, radius, room))


def _draw_people(draw: Draw, count: int, tissue: Tissue) -> _People:
    crowding = draw.uniform(0.75, 1.5, count)
    roomy = draw.chance(0.5, count) & (tissue.kind != GLANDS)
    return _People(
        radius=draw.scale(2.6, 6.2, count),
        aspect=draw.uniform(1.0, 1.9, count),
        crowding=torch.where(roomy, draw.uniform(1.4, 3.0, count), crowding),
        zone=draw.uniform(0.3, 0.95, count),
        variety=draw.scale(0.05, 0.3, count),
        lymphocyte=draw.uniform(2.3, 3.5, count),
        spindle=draw.uniform(1.9, 3.4, count),
        fibroblasts=draw.scale(0.004, 0.08, count),
        stray=draw.scale(0.002, 0.06, count),
        red=draw.chance(0.4, count) * draw.uniform(0.2, 1.0, count),
        vessels=draw.noise(count, tissue.gland.shape[1], tissue.gland.shape[1] * tissue.pixel / 22),
    )


def _choose_kind(
    draw: Draw, tissue: Tissue, among: tuple[_People, Tensor], rows: Tensor, columns: Tensor
) -> tuple[Tensor, Tensor]:
    """Kind and probability of candidates at pixels (N, M, M); ``among`` are the people and what is white."""
    people, white = among
    shape, count = rows.shape, len(tissue.kind)
    flat = rows.reshape(count, -1), columns.reshape(count, -1)
    fields = tissue.gland, white, tissue.inflamed, people.vessels
    gland, bright, inflamed, vessels = (look_up(field, *flat).reshape(shape) for field in fields)
    depth = -gland
    base = (people.zone * tissue.epithelium)[:, None, None].clamp(min=7)
    everywhere = ((tissue.kind != GLANDS) | draw.chance(0.12, count))[:, None, None]
    in_zone = (depth > 1.5) & ((depth < base) | everywhere)
    epithelial = torch.where(in_zone, 0.85, 0.03 * (depth > 1.5))
    spindle, stray = (p[:, None, None].expand(shape) for p in (people.fibroblasts, people.stray))
    immune = stray + 0.5 * inflamed * torch.where(tissue.kind == LYMPHOID, 1.0, 0.5)[:, None, None]
    # Red cells lie packed in vessels and, few, elsewhere.
    vessel = people.red[:, None, None] * torch.where(vessels > 1.1, 0.7, 0.004)
    total = spindle + immune + vessel
    pick = draw.uniform(0, 1, *shape) * total
    stroma = torch.where(pick < spindle + immune, LYMPHOCYTE, RED_CELL)
    stroma = torch.where(pick < spindle, FIBROBLAST, stroma)
    inside = gland < -1
    # A few lymphocytes lie among epithelial cells.
    guest = draw.chance(0.03, *shape)
    kind = torch.where(inside, torch.where(guest, LYMPHOCYTE, EPITHELIAL), stroma)
    probability = torch.where(inside, epithelial, total * (gland > 1))
    return kind, (probability * (bright < 0.4)).clamp(0, 1)


def _draw_looks(
    draw: Draw, tissue: Tissue, people: _People, points: Points, own: tuple[Tensor, Tensor, Tensor]
) -> Cells:
    """Outline and stain of each cell; ``own`` holds kind, radius and room in um."""
    kind, radius, room = own
    total, count, of = len(points), len(tissue.kind), points.image
    epithelial, spindle, immune = kind == EPITHELIAL, kind == FIBROBLAST, kind == LYMPHOCYTE
    aspect = 1 + (people.aspect[of] - 1) * draw.uniform(0.3, 1.5, total)
    aspect = torch.where(spindle, draw.uniform(1.6, 5.5, total), aspect)
    aspect = torch.where(immune, draw.uniform(1.0, 1.3, total), aspect)
    aspect = torch.where(kind == RED_CELL, draw.uniform(1.0, 1.5, total), aspect)
    strength = draw.scale(0.03, 0.22, count)[of] * torch.where(epithelial, 1.0, 0.6)
    cosine, sine = wobble(draw, total, strength)
    stain = draw.scale(0.55, 1.9, count)[of] * (0.22 * draw.normal(total)).exp()
    stain = torch.where(immune, stain * draw.uniform(1.1, 1.5, count)[of], stain).clamp(max=2.6)
    dark = draw.chance(draw.scale(0.01, 0.2, count)[of], total)
    hollow = (draw.uniform(-0.35, 0.95, count)[of] + 0.2 * draw.normal(total)).clamp(0, 0.9)
    spot = radius * draw.uniform(0.16, 0.34, total) * draw.chance(draw.uniform(-0.4, 1.0, count)[of], total)
    turn, out = draw.uniform(0, 2 * math.pi, total), draw.uniform(0, 0.5, total) * radius
    soft = 1.0 + draw.chance(0.12, total) * draw.uniform(0, 3.0, total)
    scale = 1 / tissue.pixel
    stars = Stars(
        of, points.row * scale, points.column * scale, radius * aspect.sqrt() * scale, radius / aspect.sqrt() * scale,
        _direction(draw, tissue, points, kind), cosine, sine,
    )  # fmt: skip
    return Cells(
        stars, kind, room * scale, torch.where(dark, (stain * 1.6).clamp(max=2.8), stain),
        torch.where(dark | immune, hollow * 0.3, hollow),
        draw.scale(0.05, 0.45, count)[of] * draw.uniform(0.6, 1.4, total), soft,
        out * turn.sin() * scale, out * turn.cos() * scale,
        torch.where(epithelial & ~dark, spot, 0.0) * scale,
    )  # fmt: skip


def _direction(draw: Draw, tissue: Tissue, points: Points, kind: Tensor) -> Tensor:
    """Long axis: across the border in an epithelium, along it or the fibres in stroma, anyhow in between."""
    total, of = len(points), points.image
    rows, columns = points.row / tissue.pixel, points.column / tissue.pixel
    size = tissue.gland.shape[1]
    flat = (of * size + rows.round().long().clamp(0, size - 1)) * size + columns.round().long().clamp(0, size - 1)
    slope = torch.gradient(tissue.gland, dim=(1, 2))
    normal = torch.atan2(*(s.flatten()[flat] for s in slope))
    fibres, gland = tissue.angle.flatten()[flat], tissue.gland.flatten()[flat]
    any_way = draw.uniform(0, math.pi, total)
    columnar = draw.chance(torch.where(tissue.kind == GLANDS, 0.85, 0.2)[of], total)
    epithelial = torch.where(columnar & (tissue.kind != SHEET)[of], normal + 0.25 * draw.normal(total), any_way)
    beside = torch.where(gland < 14, normal + math.pi / 2, fibres) + 0.2 * draw.normal(total)
    angle = torch.where(kind == EPITHELIAL, epithelial, any_way)
    return torch.where(kind == FIBROBLAST, beside, angle)


def draw_vacuoles(draw: Draw, tissue: Tissue) -> Stars:
    """Outlines, in pixels, of mucin in the epithelium's inner part and of fat in stroma."""
    count, pixel, size = len(tissue.kind), tissue.pixel, tissue.gland.shape[1]
    goblet = draw.chance(0.45, count) * (tissue.kind == GLANDS) * draw.uniform(0.1, 0.8, count)
    foamy = draw.chance(0.2, count) * (tissue.kind != GLANDS) * draw.uniform(0.05, 0.6, count)
    fat = draw.chance(0.25, count) * draw.uniform(0.0, 0.7, count)
    typical = draw.scale(2.2, 7.0, count)
    radii: list[Tensor] = []

    def choose(rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        flat = (rows / pixel).reshape(count, -1), (columns / pixel).reshape(count, -1)
        gland = look_up(tissue.gland, *flat).reshape(rows.shape)
        base = (0.45 * tissue.epithelium)[:, None, None]
        inner = torch.where(-gland > base, goblet[:, None, None], 0.0) + foamy[:, None, None] * (gland < -1)
        radius = typical[:, None, None] * draw.scale(0.7, 1.4, *rows.shape)
        wide = draw.scale(6, 12, *rows.shape)
        radii.append(torch.where(gland > 8, wide, radius))
        return torch.where(gland > 8, 0.3 * fat[:, None, None], inner).clamp(0, 1), radii[0] * 0.92

    points = place(draw, count, size * pixel, choose, 2.6)
    radius = radii[0].flatten()[points.chosen] / pixel
    total = len(points)
    aspect = draw.uniform(1, 1.5, total)
    cosine, sine = wobble(draw, total, torch.full((total,), 0.12, device=draw.device))
    return Stars(
        points.image, points.row / pixel, points.column / pixel, radius * aspect.sqrt(), radius / aspect.sqrt(),
        draw.uniform(0, math.pi, total), cosine, sine,
    )  # fmt: skip
