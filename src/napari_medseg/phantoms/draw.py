"""Random numbers, noise fields and star-shaped stamps in torch: the same code on a CPU and a graphics card."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .fields import bell

WAVES = 4
"""Fourier terms of a star-shaped outline, from the second on: the first would only move it."""


class Draw:
    """Random numbers on one device; the same seed gives the same numbers on the same kind of device.

    Parameters
    ----------
    seed
        Of the random numbers.
    device
        Where the tensors lie.
    """

    def __init__(self, seed: int, device: str | torch.device = "cpu") -> None:
        self.device = torch.device(device)
        self.generator = torch.Generator(self.device).manual_seed(seed)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Numbers between two bounds."""
        return torch.rand(shape, generator=self.generator, device=self.device) * (high - low) + low

    def scale(self, low: float, high: float, *shape: int) -> Tensor:
        """Numbers between two positive bounds, every octave as often."""
        return self.uniform(math.log(low), math.log(high), *shape).exp()

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers."""
        return torch.randn(shape, generator=self.generator, device=self.device)

    def chance(self, probability: float | Tensor, *shape: int) -> Tensor:
        """True with a probability."""
        return torch.rand(shape, generator=self.generator, device=self.device) < probability

    def one(self, low: float, high: float) -> float:
        """A single number between two bounds."""
        return float(self.uniform(low, high, 1))

    def noise(self, count: int, size: int, cells: float, stretch: float = 1.0) -> Tensor:
        """Smooth noise of about unit deviation, (count, size, size), with ``cells`` bumps across the rows.

        ``stretch`` makes the bumps that many times longer along the columns' direction.
        """
        rows = min(max(2, round(cells)), size)
        columns = min(max(2, round(cells / stretch)), size)
        field = self.normal(count, 1, rows, columns)
        if (rows, columns) != (size, size):
            # Slow waves are as smooth after a linear last step, which costs a quarter of the cubic one.
            times = 4 if rows < size / 12 else 2 if rows < size / 5 else 1
            between = size // times if stretch == 1 else size
            field = enlarge(field, between).mul_(1.25 if rows < size / 2 else 1.1)
            if between != size:
                field = functional.interpolate(field, (size, size), mode="bilinear", align_corners=False)
        return field[:, 0]

    def rough(self, count: int, size: int, cells: float, octaves: int = 3) -> Tensor:
        """Noise of about unit deviation whose bumps have finer bumps, each octave 0.6 times as strong."""
        total = self.noise(count, size, cells)
        weight, squares = 1.0, 1.0
        for _ in range(octaves - 1):
            cells, weight = cells * 2.1, weight * 0.6
            total = total + weight * self.noise(count, size, cells)
            squares += weight * weight
        return total / math.sqrt(squares)


def column(values: Tensor) -> Tensor:
    """(N,) as (N, 1, 1), to go with images (N, Y, X)."""
    return values[:, None, None]


def enlarge(field: Tensor, size: int) -> Tensor:
    """(N, C, y, x) by cubic interpolation to (N, C, size, size)."""
    return functional.interpolate(field, (size, size), mode="bicubic", align_corners=False)


def smooth_step(values: Tensor, low: float, high: float) -> Tensor:
    """0 below ``low``, 1 above ``high``, smooth between."""
    share = ((values - low) * (1 / (high - low))).clamp_(0, 1)
    return (3 - 2 * share).mul_(share).mul_(share)


def grid(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows and columns of the pixels, each (size, size)."""
    line = torch.arange(size, device=device, dtype=torch.float32)
    return line[:, None].expand(size, size), line[None, :].expand(size, size)


def look_up(field: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Values of (N, Y, X) at positions (N, M), those outside at the nearest border."""
    y = rows.round().long().clamp(0, field.shape[1] - 1)
    x = columns.round().long().clamp(0, field.shape[2] - 1)
    return field.flatten(1).gather(1, y * field.shape[2] + x)


def resample(field: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """(N, Y, X) at positions in pixels, both (N, y, x); beyond the border it is mirrored."""
    y, x = (2 * (p + 0.5) / size - 1 for p, size in zip((rows, columns), field.shape[1:], strict=True))
    where = torch.stack([x, y], -1)
    return functional.grid_sample(field[:, None], where, "bilinear", "reflection", align_corners=False)[:, 0]


def blur(field: Tensor, deviation: Tensor, reach: int = 4) -> Tensor:
    """Gaussian blur of (N, C, Y, X), with a deviation in pixels for each image."""
    count, channels = field.shape[:2]
    kernel = bell(deviation.clamp(min=0.05), reach).repeat_interleave(channels, 0)
    flat = functional.pad(field.reshape(1, count * channels, *field.shape[2:]), (reach,) * 4, mode="reflect")
    flat = functional.conv2d(flat, kernel[:, None, None, :], groups=count * channels)
    flat = functional.conv2d(flat, kernel[:, None, :, None], groups=count * channels)
    return flat.reshape(field.shape)


@dataclass(frozen=True)
class Stars:
    """Star-shaped outlines; every field is (K,), or (K, WAVES) for the Fourier terms.

    Attributes
    ----------
    image
        Index of the image each lies on.
    row, column
        Middle, in pixels.
    long, wide
        Half-axes in pixels.
    angle
        Direction of the long axis from the columns' direction, in radians.
    cosine, sine
        Fourier terms of the radius, as shares of it, from the second on.
    """

    image: Tensor
    row: Tensor
    column: Tensor
    long: Tensor
    wide: Tensor
    angle: Tensor
    cosine: Tensor
    sine: Tensor

    def pick(self, which: Tensor) -> Stars:
        """Those of an index or a mask."""
        return Stars(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


def star_distance(y: Tensor, x: Tensor, stars: Stars) -> Tensor:
    """Distance in pixels, negative inside, of offsets from the middle; (K, ...) as the stars are (K,)."""
    shape = (-1, *[1] * (y.ndim - 1))
    cos, sin = stars.angle.cos().reshape(shape), stars.angle.sin().reshape(shape)
    long, wide = stars.long.reshape(shape), stars.wide.reshape(shape)
    u, v = (x * cos + y * sin) / long, (y * cos - x * sin) / wide
    radius = (u * u + v * v).sqrt() + 1e-4
    # Powers of the unit vector (c, s) give the cosines and sines of the multiples of its angle.
    c, s = u / radius, v / radius
    a, b = c, s
    depth = radius - 1
    for k in range(WAVES):
        a, b = a * c - b * s, a * s + b * c
        depth.sub_(stars.cosine[:, k].reshape(shape) * a).sub_(stars.sine[:, k].reshape(shape) * b)
    return depth.div_(((c / long).square_() + (s / wide).square_()).sqrt_())


@dataclass(frozen=True)
class Stamped:
    """The nearest outline of each pixel.

    Attributes
    ----------
    depth
        Distance in pixels to it, negative inside, (N, Y, X); `FAR` where none is near.
    owner
        Its index, 0 where none is near; (N, Y, X).
    """

    depth: Tensor
    owner: Tensor

    def of(self, values: Tensor) -> Tensor:
        """The values (K,) of the outlines at each pixel, (N, Y, X)."""
        return values[self.owner] if len(values) else torch.zeros_like(self.depth)


FAR = 30.0
_SHIFT = 32
_FINE = 256.0


def stamp(stars: Stars, count: int, size: int, margin: float = 3.0) -> Stamped:
    """Draw outlines on ``count`` images of ``size`` pixels; where they overlap, the one that is deeper there wins.

    Outlines are drawn in groups of similar size, each in windows that just hold it, so that the cost goes by the area
    that they cover.
    """
    device = stars.row.device
    empty = int(2 * FAR * _FINE) << _SHIFT
    keys = torch.full((count * size * size,), empty, dtype=torch.int64, device=device)
    swell = 1 + stars.cosine.abs().sum(1) + stars.sine.abs().sum(1)
    reach = torch.maximum(stars.long, stars.wide) * swell.clamp(max=1.5) + margin
    seen = (stars.row > -reach) & (stars.row < size + reach) & (stars.column > -reach) & (stars.column < size + reach)
    last = 0.0
    largest = float(reach.max()) if len(reach) else 0.0
    while last < largest:
        limit = max(1.3 * last, 8.0)
        which = ((reach > last) & (reach <= limit) & seen).nonzero()[:, 0]
        last = limit
        if not len(which):
            continue
        half = math.ceil(min(limit, float(reach[which].max())))
        _stamp_group(keys, stars.pick(which), which, half, size)
    depth = (keys >> _SHIFT).float() / _FINE - FAR
    owner = torch.where(keys == empty, 0, keys & ((1 << _SHIFT) - 1))
    return Stamped(depth.clamp(max=FAR).reshape(count, size, size), owner.reshape(count, size, size))


def _stamp_group(keys: Tensor, own: Stars, index: Tensor, half: int, size: int) -> None:
    """Write the windows of some outlines of similar size into the keys, in place."""
    line = torch.arange(-half, half + 1, device=keys.device)
    rows = own.row.round().long()[:, None, None] + line[None, :, None]
    columns = own.column.round().long()[:, None, None] + line[None, None, :]
    y = rows - own.row[:, None, None]
    x = columns - own.column[:, None, None]
    depth = star_distance(y.expand(-1, -1, len(line)), x.expand(-1, len(line), -1), own).clamp(-FAR, FAR)
    rank = ((depth + FAR) * _FINE).long() << _SHIFT
    inside = (rows >= 0) & (rows < size) & (columns >= 0) & (columns < size) & (depth < FAR)
    spot = (own.image[:, None, None] * size + rows) * size + columns
    keys.scatter_reduce_(0, spot[inside], (rank | index[:, None, None])[inside], "amin")
