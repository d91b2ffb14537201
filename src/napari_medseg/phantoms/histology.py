"""Made-up patches of tissue stained with haematoxylin and eosin, in which every nucleus and gland is known."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .cells import EPITHELIAL, RED_CELL, Cells, draw_cells, draw_vacuoles
from .draw import Draw, Stars, column, enlarge, smooth_step, stamp
from .stain import show_slide
from .tissue import MIXED, Tissue, draw_tissue


@dataclass(frozen=True)
class Histology:
    """Some patches.

    Attributes
    ----------
    image
        Whole numbers 0 to 255 as float32, (N, 3, Y, X).
    nuclei, glands, tissue
        Masks (N, Y, X), bool: nuclei of every kind; glands with their lumen, and nests of epithelium; all but the
        glass beyond the section's edge.
    haematoxylin
        Optical density of haematoxylin before the picture was taken, (N, Y, X).
    pixel
        um per pixel.
    """

    image: Tensor
    nuclei: Tensor
    glands: Tensor
    tissue: Tensor
    haematoxylin: Tensor
    pixel: float


def draw_histology(
    draw: Draw,
    count: int,
    size: int = 256,
    pixel: tuple[float, float] = (0.23, 0.55),
    shares: tuple[float, ...] = MIXED,
) -> Histology:
    """Draw patches of tissue.

    Parameters
    ----------
    draw
        Random numbers, and the device.
    count
        Number of patches.
    size
        Rows and columns of each.
    pixel
        Between which um per pixel the one of these patches is drawn: below 0.6 nuclei show their chromatin, above 1
        glands show their shape.
    shares
        How often each of `tissue.KINDS` comes.
    """
    scale = float(draw.scale(*pixel, 1))
    tissue = draw_tissue(draw, count, size, scale, shares)
    vacuoles = stamp(draw_vacuoles(draw, tissue), count, size)
    hole = smooth_step(-vacuoles.depth, -0.7, 1.2)
    cells = draw_cells(draw, tissue, hole)
    haematoxylin, eosin = _paint_ground(draw, tissue)
    haematoxylin, eosin = _paint_bodies(draw, tissue, cells, haematoxylin, eosin)
    haematoxylin, eosin = _paint_vacuoles(draw, vacuoles.depth, hole, haematoxylin, eosin)
    nuclei, haematoxylin, eosin, red = _paint_nuclei(draw, cells, haematoxylin, eosin)
    present = 1 - tissue.glass
    density = torch.stack([haematoxylin, eosin, red], 1) * present[:, None]
    image = show_slide(draw, density, 0.12)
    glass = tissue.glass > 0.5
    glands = (tissue.gland < 0) & ~glass
    return Histology(image, nuclei & ~glass, glands, ~glass, density[:, 0], scale)


def _paint_ground(draw: Draw, tissue: Tissue) -> tuple[Tensor, Tensor]:
    """Haematoxylin and eosin of stroma, epithelium and lumen."""
    count, size = tissue.gland.shape[:2]
    extent = size * tissue.pixel

    def each(low: float, high: float) -> Tensor:
        return column(draw.uniform(low, high, count))

    inside = smooth_step(-tissue.gland, -1, 1)
    strength = column(draw.scale(0.3, 1.25, count))
    slow = draw.rough(count, size, extent / draw.one(12, 40), 2)
    grain, foam = _draw_texture(draw, count, size, extent)
    stroma = strength * (1 + each(0.08, 0.45) * tissue.fibres + each(0.05, 0.25) * slow)
    cytoplasm = strength * each(0.35, 1.3) * (1 + each(0.05, 0.3) * slow)
    # Coarse where the square is large: what is as fine as chromatin must not look like a nucleus by that alone.
    coarse = torch.lerp(each(0.0, 0.6) ** 2, each(0.0, 0.75) ** 2, inside)
    lines = torch.lerp(each(-0.8, 0.8), each(-0.5, 1.2), inside).clamp(min=-0.2) * foam
    eosin = (torch.lerp(stroma, cytoplasm, inside) + strength * lines).clamp(min=0.02) * (coarse * grain).exp()
    basophil = each(-0.15, 0.5).clamp(min=0) * (1 + 0.3 * slow)
    smears = smooth_step(tissue.fibres, 1.2, 2.6) * each(-1.0, 0.9).clamp(min=0)
    haematoxylin = torch.lerp(each(0.0, 0.12) * (1 + slow) + smears, basophil, inside)
    haematoxylin = (haematoxylin + each(-0.5, 0.6).clamp(min=0) * lines.clamp(min=0)) * (1.4 * coarse * grain).exp()
    # Epithelium is often denser at its base than towards the lumen.
    share = (-tissue.gland / column(tissue.epithelium)).clamp(0, 1)
    paler = 1 - inside * share * each(-0.3, 0.7)
    secretion = column(draw.chance(0.35, count) * draw.uniform(0.1, 0.9, count)) * strength
    secretion = secretion * smooth_step(draw.rough(count, size, extent / 25, 3), -0.6, 0.8)
    left = (1 - tissue.cleft) * (1 - tissue.lumen)
    eosin = eosin.clamp(min=0.02) * paler * left + secretion * tissue.lumen
    haematoxylin = haematoxylin.clamp(min=0) * paler * left + 0.1 * secretion * tissue.lumen
    return haematoxylin, eosin


def _draw_texture(draw: Draw, count: int, size: int, extent: float) -> tuple[Tensor, Tensor]:
    """Granules, of unit deviation, and a net of lines, 0 to 1: membranes, fine fibres, the walls of foam."""
    grain = draw.rough(count, size, extent / draw.one(0.5, 2.0), 2)
    field = draw.noise(count, size, extent / draw.one(2.0, 5.0))
    wide = draw.noise(count, size, extent / draw.one(5, 15)) + 0.3 * grain
    field = torch.where(column(draw.chance(0.5, count)), field, wide)
    return grain, (1 - field.abs() * column(draw.scale(1.5, 7, count))).clamp(min=0)


def _paint_bodies(
    draw: Draw, tissue: Tissue, cells: Cells, haematoxylin: Tensor, eosin: Tensor
) -> tuple[Tensor, Tensor]:
    """Cell bodies with their membranes, drawn on half as many rows and columns as the rest."""
    count, size = eosin.shape[:2]
    half = (size + 1) // 2
    own = (cells.kind == EPITHELIAL) & draw.chance(0.6, count)[cells.stars.image]
    stars = _halved(cells.stars.pick(own), cells.room[own] / 2 * 1.5)
    total = len(stars.row)
    bodies = stamp(stars, count, half)
    clear = draw.uniform(-0.5, 0.85, count)
    pale = (clear[stars.image] + 0.2 * draw.normal(total)).clamp(-0.4, 0.92)
    inner = smooth_step(-bodies.depth, 0.0, 1.5)
    shade = 1 - inner * bodies.of(pale)
    # Bodies touch where the nearest one changes.
    owner = bodies.owner
    change = torch.zeros_like(inner)
    change[:, :, 1:] += (owner[:, :, 1:] != owner[:, :, :-1]).float()
    change[:, 1:] += (owner[:, 1:] != owner[:, :-1]).float()
    membrane = change.clamp(max=1) * column(draw.chance(0.7, count) * draw.uniform(0.1, 0.8, count))
    shade, membrane = (enlarge(field[:, None], size)[:, 0] for field in (shade, membrane))
    inside = (tissue.gland < 0) & (tissue.lumen < 0.5)
    shade = torch.where(inside, shade.clamp(min=0.05), 1.0)
    edge = torch.where(inside, membrane.clamp(min=0), 0.0)
    return haematoxylin * shade + 0.2 * edge, eosin * shade + 0.6 * edge


def _paint_vacuoles(
    draw: Draw, depth: Tensor, hole: Tensor, haematoxylin: Tensor, eosin: Tensor
) -> tuple[Tensor, Tensor]:
    """Drops of mucin or fat: pale, with a thin rim."""
    count = len(hole)
    rest = 1 - hole * column(draw.uniform(0.6, 0.97, count))
    rim = (depth.abs() < 1) * column(draw.uniform(0, 0.4, count))
    mucin = hole * column(draw.uniform(0, 0.25, count) * draw.chance(0.5, count))
    return haematoxylin * rest + mucin, eosin * (1 + rim) * rest


def _halved(stars: Stars, radius: Tensor) -> Stars:
    """Rounder outlines of a radius around the same middles, on half as many pixels."""
    aspect = (stars.long / stars.wide).clamp(max=2.0).sqrt().sqrt()
    return Stars(
        stars.image, stars.row / 2, stars.column / 2, radius * aspect, radius / aspect, stars.angle,
        stars.cosine, stars.sine,
    )  # fmt: skip


def _paint_nuclei(
    draw: Draw, cells: Cells, haematoxylin: Tensor, eosin: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mask of the nuclei, haematoxylin, eosin and the colour of red cells."""
    count, size = eosin.shape[:2]
    found = stamp(cells.stars, count, size)
    if not len(cells):
        empty = torch.zeros_like(eosin)
        return empty > 0, haematoxylin, eosin, empty
    pixel_size = cells.stars.wide[found.owner].clamp(min=1)
    rough = draw.noise(count, size, size / 5) * 0.35
    depth = found.depth + rough
    share = smooth_step(-depth, -0.5, 0.5) * 0.5 + 0.5 * (0.5 - depth / found.of(cells.soft * 1.5)).clamp(0, 1)
    share = share * (found.depth < 25)
    chromatin = draw.rough(count, size, size / 4.5, 2)
    inner = smooth_step(-depth / pixel_size, 0.0, 0.5)
    middle = 1 - found.of(cells.hollow) * inner
    texture = 1 + found.of(cells.clumps) * chromatin
    rows = torch.arange(size, device=draw.device, dtype=torch.float32)
    y = rows[None, :, None] - found.of(cells.stars.row + cells.spot_row)
    x = rows[None, None, :] - found.of(cells.stars.column + cells.spot_column)
    spot = found.of(cells.spot)
    nucleolus = smooth_step(spot - (y * y + x * x).sqrt(), -0.7, 0.7) * (spot > 0)
    stain = found.of(cells.stain) * ((middle * texture).clamp(min=0.08) + 0.6 * nucleolus)
    red = found.of((cells.kind == RED_CELL).float())
    kept = column(draw.uniform(0.15, 0.9, count))
    new = torch.lerp(haematoxylin * kept, stain + haematoxylin * kept, share)
    haematoxylin_out = torch.lerp(haematoxylin, new, share * (1 - red))
    blood = column(draw.scale(0.6, 1.8, count)) * (1 - 0.3 * inner)
    eosin_out = eosin * (1 - share * torch.where(red > 0, 1.0, 1 - kept))
    mask = (depth < 0) & (red == 0)
    return mask, haematoxylin_out, eosin_out, share * red * blood
