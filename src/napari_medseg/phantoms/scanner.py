"""What a CT scanner makes of an object: blur, noise, streaks, cropped field of view, table, grey window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .fields import smooth
from .plane import Plane
from .shapes import Waves


@dataclass(frozen=True)
class Scanner:
    """One protocol.

    Attributes
    ----------
    blur, edge
        Deviation (pixels) of the point spread, and strength of the edge-enhancing kernel.
    noise, grain
        Noise deviation (HU) and its correlation length (pixels).
    streaks, hardening
        HU of the streaks and of the dark band between dense bones.
    crop
        Radius of the reconstructed circle over half the image's width; above 1.5 none is visible.
    outside
        HU outside that circle.
    """

    blur: float
    edge: float
    noise: float
    grain: float
    streaks: float
    hardening: float
    crop: float
    outside: float


def draw_scanner(rng: np.random.Generator) -> Scanner:
    """Sharp to smooth, clean to noisy."""
    circle = rng.random() < 0.35
    return Scanner(
        blur=float(rng.uniform(0.45, 1.1)),
        edge=float(rng.uniform(0, 0.9) if rng.random() < 0.6 else 0.0),
        noise=float(np.exp(rng.uniform(np.log(4), np.log(45)))),
        grain=float(rng.uniform(0.4, 1.2)),
        streaks=float(rng.exponential(6)),
        hardening=float(rng.uniform(0, 25)),
        crop=float(rng.uniform(0.97, 1.03)) if circle else 2.0,
        outside=float(rng.choice([-1024.0, -2000.0])),
    )


def white_noise(rng: np.random.Generator, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Standard normal numbers, drawn on the CPU and the same on any device."""
    return torch.from_numpy(rng.standard_normal(shape, np.float32)).to(device)


def band_noise(white: Tensor, fine: float, coarse: float) -> Tensor:
    """White noise (Y, X) as noise of unit deviation between two blur widths (pixels)."""
    band = smooth(white, fine, truncate=3, wrap=True).sub_(smooth(white, coarse, truncate=3, wrap=True))
    return band.div_(band.std(correction=0))


def scan(
    image: Tensor, scanner: Scanner, rng: np.random.Generator, inside: Tensor, centres: NDArray[np.float64]
) -> Tensor:
    """Blur and noise of one slice.

    Parameters
    ----------
    image
        Ideal HU, shape (Y, X).
    inside
        Depth (pixels, positive inside) under the skin; noise and hardening grow with it.
    centres
        Row, column of the two femora; shape (2, 2).
    """
    height, width = image.shape
    out = smooth(image, scanner.blur, truncate=3)
    if scanner.edge:
        out.add_(out - smooth(out, 1.3, truncate=2.5), alpha=scanner.edge)
    deep = (inside / (0.1 * width)).clamp_(0, 1)
    noise = smooth(white_noise(rng, (height, width), image.device), scanner.grain, truncate=2.5)
    noise.mul_(scanner.noise / noise.std(correction=0))
    rows = torch.arange(height, device=image.device, dtype=torch.float32)[:, None]
    columns = torch.arange(width, device=image.device, dtype=torch.float32)[None, :]
    (r0, c0), (r1, c1) = centres.tolist()
    slope = (r1 - r0) / max(c1 - c0, 1)
    line = (rows - r0) - (columns - c0) * slope
    band = line.div_(0.05 * width).square_().neg_().exp_().mul_(deep + 0.35)
    out.sub_(band.mul_(inside > 0), alpha=scanner.hardening)
    fibres = smooth(white_noise(rng, (height, width), image.device), (0, 14), truncate=2)
    fibres.mul_(scanner.streaks / fibres.std(correction=0))
    out.addcmul_(noise, 0.35 + 0.65 * deep).addcmul_(fibres, deep.add_(0.2))
    if scanner.crop < 1.5:
        far = torch.hypot(rows - height / 2, columns - width / 2) > scanner.crop * width / 2
        out.masked_fill_(far, scanner.outside)
    return out.clamp_(min(scanner.outside, -1024), 3071)


@dataclass(frozen=True)
class Table:
    """The couch: thin bright curves under the body, a pad, and perhaps sheets.

    Each line holds lowest height (mm under the origin), rise (mm) at the half-width, half-width (mm),
    thickness (mm), HU and the first level (mm) at which it is seen.
    """

    lines: NDArray[np.float64]
    power: float
    pad: float
    sheet: float
    cover: float


def draw_table(rng: np.random.Generator, body_back: float) -> Table:
    """A couch that the body's back (mm) rests on or nearly so."""
    half, rise = rng.uniform(190, 270), rng.choice([0.0, 1.0], p=[0.15, 0.85]) * rng.uniform(25, 75)
    top = body_back + rise * (100 / half) ** 2 + rng.uniform(0, 25)
    value, thick = rng.uniform(-300, 700), rng.uniform(1.5, 4)
    lines = [(top, rise, half, thick, value, -1e6)]
    if rng.random() < 0.85:
        lines.append((top + rng.uniform(20, 60), rise + rng.uniform(15, 55), half, thick, value, -1e6))
    for _ in range(int(rng.integers(0, 3))):
        lift = rng.uniform(4, 20)
        first = rng.choice([-1e6, rng.uniform(-50, 400)])
        lines.append(
            (
                top - lift,
                rise,
                half * rng.uniform(0.85, 1),
                thick * 0.7,
                value + rng.uniform(-200, 100),
                first,
            )
        )
    pad = rng.uniform(-990, -900) if rng.random() < 0.6 else -1000.0
    sheet = rng.uniform(3, 25) if rng.random() < 0.4 else 0.0
    return Table(np.array(lines), float(rng.choice([2.0, 2.0, 3.0])), float(pad), float(sheet), rng.uniform(-800, -200))


def paint_table(image: Tensor, plane: Plane, table: Table, sheet_at: Tensor) -> None:
    """Couch, pad and sheets in place, on air; ``sheet_at`` is the distance (mm) to the skin."""
    x, y, _ = plane.points()
    for low, rise, half, thick, value, first in table.lines.tolist():
        if plane.z < first:
            continue
        ratio = (x.abs() / half).clamp_(max=1.2)
        height = low - rise * ratio**table.power
        (steep,) = torch.gradient(height[0], spacing=plane.pixel)
        far = (y - height).abs_().div_((1 + steep * steep).sqrt_())
        share = far.sub_(thick / 2).div_(-plane.pixel).add_(0.5).clamp_(0, 1).mul_(ratio < 1)
        image.addcmul_(share, value - image)
        if low == table.lines[0, 0] and table.pad > -1000:
            under = (y > height + thick) & (y < height + 25) & (ratio < 1) & (sheet_at > 0)
            torch.where(under, image.clamp(min=table.pad), image, out=image)
    if table.sheet:
        wave = Waves(np.array([[0.05, 0.03, 0.002], [0.02, 0.06, 0.001]], np.float32), np.zeros(2, np.float32))
        far = wave(plane.points()).mul_(-6).add_(sheet_at).sub_(table.sheet).abs_()
        share = (1 - far / 1.2).clamp_(0, 1).mul_(wave((y, x, torch.full_like(x, plane.z * 0.1))).clamp_(0, 1))
        image.addcmul_(share, (table.cover - image).clamp_(min=0))


def draw_window(rng: np.random.Generator) -> tuple[float, float]:
    """Lowest and highest HU of a grey window: the whole range often, bone windows, now and then a soft one."""
    kind = rng.choice(4, p=[0.4, 0.35, 0.2, 0.05])
    if kind == 0:
        low = -1024 + rng.uniform(-30, 60)
        return float(low), float(low + rng.choice([4095, 4095, 3072, 2600]) * rng.uniform(0.95, 1.05))
    width, level = (
        (rng.uniform(1300, 2200), rng.uniform(200, 500)),
        (rng.uniform(2000, 3200), rng.uniform(200, 800)),
        (rng.uniform(350, 600), rng.uniform(20, 120)),
    )[kind - 1]
    return float(level - width / 2), float(level + width / 2)


def to_grey(image: Tensor, window: tuple[float, float]) -> Tensor:
    """HU to 0-255 (uint8) through a window (lowest, highest HU)."""
    low, high = window
    return (image - low).mul_(255 / (high - low)).add_(0.5).clamp_(0, 255).to(torch.uint8)
