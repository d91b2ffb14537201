"""From stain on a slide to what its scanner stores: colours, folds, dust, focus, compression."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from .draw import Draw, blur, column, grid, smooth_step

# Optical density of red, green and blue that one unit of each stain makes: Ruifrok & Johnston, "Quantification of
# histochemical staining by color deconvolution" (2001).
HAEMATOXYLIN = (0.65, 0.70, 0.29)
EOSIN = (0.07, 0.99, 0.11)

# What scanners show lies between those vectors and bluer, greyer ones, which overlap more.
_BLUE_HAEMATOXYLIN = (0.52, 0.73, 0.44)
_RED_EOSIN = (0.26, 0.86, 0.44)

# Quantisation of luminance and of chroma at quality 50: ITU-T T.81, annex K.
_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55), (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62), (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99), (18, 21, 26, 66, 99, 99, 99, 99), (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99), *((99,) * 8,) * 4,
)  # fmt: skip


def draw_stains(draw: Draw, count: int) -> Tensor:
    """Optical density of R, G, B for a unit of haematoxylin, of eosin, of red cells: (count, 3, 3), of length 1."""
    vectors = []
    for first, second in ((HAEMATOXYLIN, _BLUE_HAEMATOXYLIN), (EOSIN, _RED_EOSIN)):
        share = draw.uniform(-0.1, 1.15, count)[:, None]
        ends = torch.tensor([first, second], device=draw.device)
        vectors.append((ends[0] + share * (ends[1] - ends[0]) + 0.055 * draw.normal(count, 3)).clamp(min=0.03))
    orange = torch.tensor([0.1, 0.85, 0.5], device=draw.device) + 0.08 * draw.normal(count, 3)
    stains: Tensor = torch.stack([*vectors, 0.5 * vectors[1] + 0.5 * orange.clamp(min=0.03)], 1)
    return functional.normalize(stains, dim=2)


def show_slide(draw: Draw, density: Tensor, uneven: float) -> Tensor:
    """What a scanner stores, 0 to 255, (N, 3, Y, X), of a section with these amounts of each stain, (N, 3, Y, X).

    Parameters
    ----------
    uneven
        Standard deviation of the section's thickness, as a share.
    """
    count, _, size, _ = density.shape
    thickness = 1 + uneven * draw.noise(count, size, 3)
    density = add_folds(draw, density * thickness[:, None].clamp(min=0.5))
    colours = torch.einsum("nsyx,nsc->ncyx", density, draw_stains(draw, count))
    return take_picture(draw, add_dirt(draw, colours))


def add_folds(draw: Draw, density: Tensor) -> Tensor:
    """Fold a few sections, in place: a band of about twice the density, (N, C, Y, X)."""
    size = density.shape[2]
    which = draw.chance(0.06, len(density)).nonzero()[:, 0]
    count = len(which)
    if count:
        y, x = grid(size, draw.device)
        turn = column(draw.uniform(0, math.pi, count))
        line = (y - size / 2) * turn.cos() + (x - size / 2) * turn.sin() + 0.1 * size * draw.noise(count, size, 3)
        at = column(draw.uniform(-0.5, 0.5, count) * size)
        band = smooth_step(column(draw.uniform(0.02, 0.12, count)) * size - (line - at).abs(), 0, 3)
        density[which] *= (1 + column(draw.uniform(0.5, 1.1, count)) * band)[:, None]
    return density


def add_dirt(draw: Draw, density: Tensor) -> Tensor:
    """Specks of dust and pigment, and ink of a pen, on a few, in place."""
    size = density.shape[2]
    for probability, cells, low, high, soft, dark in (
        (0.08, size / 9, 2.6, 3.4, 0.5, 1.5),
        (0.03, 2, 0.6, 1.2, 0.1, 1.2),
    ):
        which = draw.chance(probability, len(density)).nonzero()[:, 0]
        count = len(which)
        if count:
            spots = smooth_step(draw.noise(count, size, cells) - column(draw.uniform(low, high, count)), 0, soft)
            density[which] += spots[:, None] * draw.uniform(0.1, dark, count, 3)[:, :, None, None]
    return density


def take_picture(draw: Draw, density: Tensor) -> Tensor:
    """Colours 0 to 255, (N, 3, Y, X), of optical densities: light, focus, noise, gamma, compression."""
    count, _, size, _ = density.shape
    light = 1 - draw.uniform(0.0, 0.11, count, 1) - draw.uniform(0, 0.05, count, 3) * draw.chance(0.6, count, 1)
    shade = 1 + 0.03 * draw.noise(count, size, 2)
    image = light[:, :, None, None] * shade[:, None] * (-density).exp()
    sigma = torch.where(draw.chance(0.12, count), draw.uniform(1.0, 2.0, count), draw.uniform(0.35, 1.0, count))
    image = blur(image, sigma)
    sharp = (draw.chance(0.35, count) * draw.uniform(0, 1.2, count))[:, None, None, None]
    image = (image + sharp * (image - blur(image, sigma * 0 + 1.2, 3))).clamp(0.004, 1)
    image = image ** draw.scale(0.8, 1.25, count)[:, None, None, None]
    grain = draw.normal(count, 1, size, size) * 0.7 + draw.normal(count, 3, size, size) * 0.5
    image = image + grain * draw.scale(0.003, 0.025, count)[:, None, None, None]
    image = (255 * image).clamp(0, 255)
    packed = draw.chance(0.65, count)[:, None, None, None]
    return torch.where(packed, compress(image, draw.uniform(35, 92, count)), image).round().clamp(0, 255)


def compress(image: Tensor, quality: Tensor) -> Tensor:
    """What JPEG of a quality (N,), 1 to 100, leaves of colours 0 to 255, (N, 3, Y, X), with halved chroma."""
    height, width = image.shape[2:]
    image = functional.pad(image, (0, -width % 16, 0, -height % 16), mode="replicate")
    red, green, blue = image.unbind(1)
    luminance = 0.299 * red + 0.587 * green + 0.114 * blue
    chroma = torch.stack([0.564 * (blue - luminance), 0.713 * (red - luminance)], 1)
    chroma = functional.avg_pool2d(chroma, 2)
    factor = torch.where(quality < 50, 50 / quality, 2 - quality / 50).clamp(min=0.02)
    luminance = _quantise(luminance[:, None] - 128, _LUMINANCE, factor)[:, 0] + 128
    chroma = _quantise(chroma, _CHROMA, factor)
    cb, cr = functional.interpolate(chroma, scale_factor=2, mode="bilinear", align_corners=False).unbind(1)
    green = luminance - 0.344 * cb - 0.714 * cr
    return torch.stack([luminance + 1.402 * cr, green, luminance + 1.772 * cb], 1)[:, :, :height, :width]


def _quantise(plane: Tensor, table: tuple[tuple[int, ...], ...], factor: Tensor) -> Tensor:
    """Round the cosine transform of blocks of 8 x 8 pixels."""
    count, channels, height, width = plane.shape
    k = torch.arange(8, device=plane.device, dtype=torch.float32)
    basis = (math.pi * k[:, None] * (2 * k[None, :] + 1) / 16).cos() / 2
    basis[0] = math.sqrt(1 / 8)
    blocks = plane.reshape(count, channels, height // 8, 8, width // 8, 8).transpose(3, 4)
    step = (torch.tensor(table, device=plane.device, dtype=torch.float32) * factor[:, None, None]).clamp(min=1)
    step = step[:, None, None, None]
    blocks = basis.T @ ((basis @ blocks @ basis.T / step).round() * step) @ basis
    return blocks.transpose(3, 4).reshape(plane.shape)
