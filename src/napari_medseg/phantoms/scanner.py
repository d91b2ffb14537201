"""What a CT scanner makes of an object: blur, noise, streaks, cropped field of view, table, grey window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from .plane import Plane
from .shapes import Field, Waves


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


def band_noise(rng: np.random.Generator, shape: tuple[int, int], fine: float, coarse: float) -> Field:
    """Noise of unit deviation between two blur widths (pixels), shape as asked."""
    white = rng.standard_normal(shape, np.float32)
    band = gaussian_filter(white, fine, mode="wrap", truncate=3) - gaussian_filter(
        white, coarse, mode="wrap", truncate=3
    )
    return np.asarray(band / band.std(), np.float32)


def scan(
    image: Field, scanner: Scanner, rng: np.random.Generator, inside: Field, centres: NDArray[np.float64]
) -> Field:
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
    shape = image.shape[0], image.shape[1]
    out = gaussian_filter(image, scanner.blur, truncate=3)
    if scanner.edge:
        out += np.float32(scanner.edge) * (out - gaussian_filter(out, 1.3, truncate=2.5))
    deep = np.clip(inside / np.float32(0.1 * shape[1]), 0, 1)
    noise = rng.standard_normal(shape, np.float32)
    noise = gaussian_filter(noise, scanner.grain, truncate=2.5)
    noise *= np.float32(scanner.noise) / noise.std()
    rows = np.arange(shape[0], dtype=np.float32)[:, None]
    columns = np.arange(shape[1], dtype=np.float32)[None, :]
    (r0, c0), (r1, c1) = centres
    slope = (r1 - r0) / max(c1 - c0, 1)
    line = rows - np.float32(r0) - (columns - np.float32(c0)) * np.float32(slope)
    band = np.exp(-np.square(line / np.float32(0.05 * shape[1]))) * (0.35 + deep)
    out -= band * np.float32(scanner.hardening) * (inside > 0)
    fibres = gaussian_filter1d(rng.standard_normal(shape, np.float32), 14, axis=1, truncate=2)
    fibres *= np.float32(scanner.streaks) / fibres.std()
    out += (noise * (0.35 + 0.65 * deep) + fibres * (0.2 + deep)).astype(np.float32)
    if scanner.crop < 1.5:
        radius = np.float32(scanner.crop * shape[1] / 2)
        far = np.hypot(rows - shape[0] / 2, columns - shape[1] / 2) > radius
        out[far] = scanner.outside
    return np.asarray(np.clip(out, min(scanner.outside, -1024), 3071), np.float32)


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


def paint_table(image: Field, plane: Plane, table: Table, sheet_at: Field) -> None:
    """Couch, pad and sheets in place, on air; ``sheet_at`` is the distance (mm) to the skin."""
    x, y, _ = plane.points()
    for low, rise, half, thick, value, first in table.lines:
        if plane.z < first:
            continue
        ratio = np.minimum(np.abs(x) / np.float32(half), 1.2)
        height = np.float32(low) - np.float32(rise) * ratio ** np.float32(table.power)
        steep = np.gradient(height[0], plane.pixel)
        far = np.abs(y - height) / np.sqrt(1 + steep * steep).astype(np.float32)[None]
        share = np.clip((np.float32(thick / 2) - far) / np.float32(plane.pixel) + 0.5, 0, 1) * (ratio < 1)
        image += share * (np.float32(value) - image)
        if low == table.lines[0, 0] and table.pad > -1000:
            under = (y > height + thick) & (y < height + 25) & (ratio < 1) & (sheet_at > 0)
            image[under] = np.maximum(image[under], np.float32(table.pad))
    if table.sheet:
        wave = Waves(np.array([[0.05, 0.03, 0.002], [0.02, 0.06, 0.001]], np.float32), np.zeros(2, np.float32))
        far = np.abs(sheet_at - np.float32(table.sheet) - 6 * wave(plane.points()))
        share = np.clip(1 - far / 1.2, 0, 1) * np.clip(wave((y, x, np.float32(plane.z * 0.1) + 0 * x)), 0, 1)
        image += share * np.maximum(np.float32(table.cover) - image, 0)


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


def to_grey(image: NDArray[np.int16] | Field, window: tuple[float, float]) -> NDArray[np.uint8]:
    """HU to 0-255 through a window (lowest, highest HU)."""
    low, high = window
    grey = (image - np.float32(low)) * np.float32(255 / (high - low))
    return np.asarray(np.clip(grey + 0.5, 0, 255), np.uint8)
