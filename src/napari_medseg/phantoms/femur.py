"""A made-up CT from hip to knee in which the outlines of both femora are known exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_medseg.core import Progress, Reporter, silent

from .anatomy import Anatomy, draw_anatomy
from .otherbones import draw_hand, paint_hand, paint_knee, paint_pelvis
from .plane import Plane, paint
from .scanner import band_noise, draw_scanner, draw_table, draw_window, paint_table, scan, to_grey, white_noise
from .shapes import Points, capsule
from .soft import body_distance, draw_muscles, leg_at, paint_organs, paint_soft
from .thighbone import femur_distance, paint_femur

PIXELS = (0.6, 1.6)
"""Between which mm a pixel's size is drawn, for slices of 512."""

Volume = tuple[NDArray[np.uint8] | NDArray[np.int16], NDArray[np.uint8], tuple[float, float, float]]


@dataclass(frozen=True)
class Thighs:
    """Some slices of one person, on the device that they were drawn on.

    Attributes
    ----------
    image
        uint8 grey (or int16 HU), shape (Z, Y, X).
    labels
        uint8, same shape: 1 = femur on the image's left, 2 = on its right, whole bone with marrow.
    spacing
        z, y, x in mm.
    """

    image: Tensor
    labels: Tensor
    spacing: tuple[float, float, float]

    def arrays(self) -> Volume:
        """The same as numpy arrays."""
        return self.image.cpu().numpy(), self.labels.cpu().numpy(), self.spacing


@dataclass(frozen=True)
class Cuts:
    """Where a person is cut.

    Attributes
    ----------
    levels
        One for each slice: 0 = centres of the heads, 1 = knee joint; about -0.1 to 1.1 is useful.
    gap
        Distance of neighbouring slices in mm, to which their thickness is fitted.
    pixel
        Pixel size in mm; None to draw what shows both thighs (0.6-1.6 mm for 512 pixels).
    """

    levels: tuple[float, ...]
    gap: float
    pixel: float | None = None


def series_cuts(seed: int, slices: int, spacing: tuple[float, float] | None = None) -> Cuts:
    """Evenly from hip to knee, or over a part of that; ``spacing`` (slices, pixels; mm) is drawn where not given."""
    rng = np.random.default_rng([seed, 23])
    start, end = draw_anatomy(seed).ends
    length = end - start
    thickest = min(6.0, 1.2 * length / max(slices, 1))
    gap = float(rng.uniform(min(1.0, thickest), thickest)) if spacing is None else spacing[0]
    cover = gap * (slices - 1)
    first = start - 0.08 * length + rng.uniform(0, 1) * max(1.16 * length - cover, 0)
    if cover > 1.16 * length:
        first = start + length / 2 - cover / 2
    levels = tuple((first + gap * i - start) / length for i in range(slices))
    return Cuts(levels, gap, spacing[1] if spacing else None)


def single_cuts(seed: int, levels: Sequence[float], pixel: float | None = None) -> Cuts:
    """At given levels, with a drawn thickness."""
    return Cuts(tuple(map(float, levels)), float(np.random.default_rng([seed, 29]).uniform(1, 6)), pixel)


def draw_thighs(
    seed: int,
    cuts: Cuts,
    *,
    size: int = 512,
    window: bool = True,
    device: str | torch.device = "cpu",
    report: Reporter = silent,
) -> Thighs:
    """Draw slices of one person, on any device.

    The person and the noise are drawn on the CPU, so that a seed gives the same picture on every device.

    Parameters
    ----------
    seed
        The same seed gives the same person, scanner and window.
    cuts
        The slices.
    size
        Rows and columns of each.
    window
        Grey values through a randomly drawn window, as exported series have; otherwise HU.
    device
        Where the tensors lie.
    report
        Told after each slice.
    """
    a, device = draw_anatomy(seed), torch.device(device)
    rng = np.random.default_rng([seed, 31])
    pixel = cuts.pixel or _pixel(a, size, rng)
    canvas = _Canvas(a, (size, pixel), rng, device)
    thickness = float(np.clip(cuts.gap * rng.uniform(0.5, 1.0), 0.6, 6))
    image = torch.empty((len(cuts.levels), size, size), dtype=torch.int16, device=device)
    labels = torch.zeros(image.shape, dtype=torch.uint8, device=device)
    for index, level in enumerate(cuts.levels):
        plane = canvas.plane(a.height(level), thickness)
        noise = np.random.default_rng([seed, 37, round(abs(plane.z) * 100), int(plane.z < 0)])
        image[index] = canvas.slice(plane, labels[index], noise)
        report(Progress("Drawing", index + 1, len(cuts.levels)))
    return Thighs(to_grey(image, draw_window(rng)) if window else image, labels, (cuts.gap, pixel, pixel))


def femur_ct(
    seed: int,
    *,
    slices: int = 48,
    size: int = 512,
    spacing: tuple[float, float] | None = None,
    window: bool = True,
    device: str | torch.device = "cpu",
) -> Volume:
    """Draw a CT series of both femora, from hip to knee or a part of that.

    Parameters
    ----------
    seed
        The same seed gives the same series.
    slices, size
        Number of slices, and rows and columns of each.
    spacing
        Distance of slices and pixel size in mm. By default drawn: 1-6 mm and what shows both thighs
        (0.6-1.6 mm for 512 pixels).
    window
        Grey values through a randomly drawn window, as exported series have; otherwise HU.
    device
        Where it is drawn.

    Returns
    -------
    image
        uint8 grey (or int16 HU), shape (slices, size, size), from hip to knee.
    labels
        uint8, same shape: 1 = femur on the image's left, 2 = on its right, whole bone with marrow.
    spacing
        z, y, x in mm.
    """
    return draw_thighs(seed, series_cuts(seed, slices, spacing), size=size, window=window, device=device).arrays()


def femur_slices(
    seed: int,
    levels: Sequence[float],
    *,
    size: int = 512,
    pixel: float | None = None,
    window: bool = True,
    device: str | torch.device = "cpu",
) -> Volume:
    """Draw single slices of one person: the cheap way to many different people.

    Parameters
    ----------
    seed
        The same seed gives the same person, scanner and window.
    levels
        Where to cut: 0 = centres of the heads, 1 = knee joint; about -0.1 to 1.1 is useful.
    size
        Rows and columns.
    pixel
        Pixel size in mm; by default drawn.
    window, device
        As for `femur_ct`.

    Returns
    -------
    image, labels, spacing
        As for `femur_ct`; the first spacing is the slice thickness.
    """
    return draw_thighs(seed, single_cuts(seed, levels, pixel), size=size, window=window, device=device).arrays()


def _pixel(a: Anatomy, size: int, rng: np.random.Generator) -> float:
    """A pixel size (mm) at which both thighs fit, now and then with the flanks cut off."""
    bones = max(abs(f.centre(z)[0]) for f in a.femora for z in a.ends)
    need = 2 * (bones + 55 * a.scale + a.fat * rng.uniform(0, 0.7))
    fit = need * rng.uniform(1.0, 1.6)
    return float(np.clip(fit / 512, *PIXELS) * 512 / size)


class _Canvas:
    """Everything that stays the same from slice to slice of one series."""

    def __init__(self, a: Anatomy, frame: tuple[int, float], rng: np.random.Generator, device: torch.device) -> None:
        """``frame`` is the slices' side in pixels, and the size (mm) of one."""
        self.anatomy, self.device, (self.size, self.pixel) = a, device, frame
        self.scanner = draw_scanner(rng)
        self.muscles = draw_muscles(rng)
        step = 1 / self.pixel
        fine = self._grain(rng, (max(rng.uniform(0.4, 0.9) * step, 0.4), rng.uniform(1.6, 3) * step))
        wide = self._grain(rng, (rng.uniform(1.2, 2.5) * step, rng.uniform(4, 8) * step))
        self.grain = fine.mul_(0.7).add_(wide, alpha=rng.uniform(0.4, 1))
        start, end = a.ends
        heights = np.array([f.centre(z)[1] for z in (start, end) for f in a.femora])
        self.middle = float(rng.uniform(0.3, 0.7) * heights.min() + 0.4 * heights.max())
        # On the CPU always: rounded otherwise, the table would lie elsewhere.
        line = torch.arange(-300, 300, 4, dtype=torch.float32, device="cpu")
        legs = leg_at(a, 0, start), leg_at(a, 1, start)
        column = torch.full_like(line[:1, None], a.hip), line[:, None], torch.full_like(line[:1, None], start)
        inside = line[(body_distance(column, a, legs) < 0)[:, 0]]
        self.table = draw_table(rng, float(inside.max()) if len(inside) else 120.0)
        self.hands = [self._hand(side, rng, float(legs[side].y)) for side in (0, 1)]

    def _grain(self, rng: np.random.Generator, widths: tuple[float, float]) -> Tensor:
        return band_noise(white_noise(rng, (self.size, self.size), self.device), *widths)

    def _hand(self, side: int, rng: np.random.Generator, y: float) -> tuple[list, list]:  # type: ignore[type-arg]
        a = self.anatomy
        mirror = (-1.0, 1.0)[side]
        z = a.ends[0] + rng.uniform(-60, 150)
        leg = leg_at(a, side, z)
        half = max(abs(leg.x) + leg.a, a.hip + 95 * a.scale * a.bulk + 0.8 * a.fat)
        wrist = (mirror * (half + rng.uniform(25, 65)), y + rng.uniform(-50, 70), z)
        hand = draw_hand(rng, wrist, mirror, a.scale * rng.uniform(0.9, 1.1))
        return hand if a.build[("hand_left", "hand_right")[side]] else ([], [])

    def plane(self, z: float, thickness: float) -> Plane:
        """The slice at a level (mm)."""
        line = (torch.arange(self.size, device=self.device, dtype=torch.float32) - (self.size - 1) / 2) * self.pixel
        return Plane(line, line + self.middle, z, self.pixel, thickness)

    def slice(self, plane: Plane, labels: Tensor, rng: np.random.Generator) -> Tensor:
        """HU of one slice, in whole numbers; its labels are put in place."""
        a = self.anatomy
        image = torch.full((self.size, self.size), -1000.0, device=self.device)
        grain = self.grain.roll(rng.integers(0, self.size, 2).tolist(), (0, 1))
        skin = paint_soft(image, plane, a, self.muscles, grain)
        paint_organs(image, plane, a)
        paint_table(image, plane, self.table, skin)
        for hand in self.hands:
            paint_hand(image, plane, hand, a, (skin, grain))
        sections = [plane.cut(partial(femur_distance, femur=f), 9) for f in a.femora]
        for section in sections:
            if section is not None:
                patch = image[section.where]
                capsule_share = (1 - section.depth / 7).clamp_(0, 1) * (0.6 if plane.z < a.ends[0] + 40 else 0.2)
                patch.addcmul_(capsule_share, 50 - patch)
        paint_pelvis(image, plane, a, grain)
        paint_knee(image, plane, a, grain)
        for index, (femur, section) in enumerate(zip(a.femora, sections, strict=True)):
            if section is not None:
                paint_femur(image, plane, femur, section, grain)
                labels[section.where].masked_fill_(section.depth < 0, index + 1)
                if a.build["nail"] and index == 0:
                    self._nail(image, plane)
        centres = np.array([f.centre(plane.z) for f in a.femora])[:, ::-1]
        corner = (self.size - 1) / 2 * self.pixel
        centres = (centres - (self.middle - corner, -corner)) / self.pixel
        return scan(image, self.scanner, rng, skin / -self.pixel, centres).round_()

    def _nail(self, image: Tensor, plane: Plane) -> None:
        """A metal nail in the marrow of the image-left femur."""
        x, y = self.anatomy.femora[0].centre(plane.z)

        def rod(points: Points) -> Tensor:
            return capsule(points, (x, y, plane.z - 5), (x, y, plane.z + 5), (5, 5))

        paint(image, plane.cut(rod), 3071.0)
