"""A made-up CT from hip to knee in which the outlines of both femora are known exactly."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from napari_medseg.core import Progress, Reporter, silent

from .anatomy import Anatomy, draw_anatomy
from .otherbones import draw_hand, paint_hand, paint_knee, paint_pelvis
from .plane import Plane, paint
from .scanner import band_noise, draw_scanner, draw_table, draw_window, paint_table, scan, to_grey
from .shapes import Field, Points, capsule
from .soft import body_distance, draw_muscles, leg_at, paint_organs, paint_soft
from .thighbone import femur_distance, paint_femur

Volume = tuple[NDArray[np.uint8] | NDArray[np.int16], NDArray[np.uint8], tuple[float, float, float]]


def femur_ct(
    seed: int,
    *,
    slices: int = 48,
    size: int = 512,
    spacing: tuple[float, float] | None = None,
    window: bool = True,
    report: Reporter = silent,
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
    report
        Told after each slice.

    Returns
    -------
    image
        uint8 grey (or int16 HU), shape (slices, size, size), from hip to knee.
    labels
        uint8, same shape: 1 = femur on the image's left, 2 = on its right, whole bone with marrow.
    spacing
        z, y, x in mm.
    """
    rng = np.random.default_rng([seed, 23])
    anatomy = draw_anatomy(seed)
    start, end = anatomy.ends
    length = end - start
    thickest = min(6.0, 1.2 * length / max(slices, 1))
    gap = float(rng.uniform(min(1.0, thickest), thickest)) if spacing is None else spacing[0]
    cover = gap * (slices - 1)
    first = start - 0.08 * length + rng.uniform(0, 1) * max(1.16 * length - cover, 0)
    if cover > 1.16 * length:
        first = start + length / 2 - cover / 2
    levels = [(first + gap * i - start) / length for i in range(slices)]
    return _draw(anatomy, levels, size, (gap, spacing[1] if spacing else None), window, report)


def femur_slices(
    seed: int, levels: Sequence[float], *, size: int = 512, pixel: float | None = None, window: bool = True
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
    window
        As for `femur_ct`.

    Returns
    -------
    image, labels, spacing
        As for `femur_ct`; the first spacing is the slice thickness.
    """
    rng = np.random.default_rng([seed, 29])
    return _draw(draw_anatomy(seed), levels, size, (float(rng.uniform(1, 6)), pixel), window)


def _draw(
    a: Anatomy,
    levels: Sequence[float],
    size: int,
    spacing: tuple[float, float | None],
    window: bool,
    report: Reporter = silent,
) -> Volume:
    rng = np.random.default_rng([a.seed, 31])
    gap, pixel = spacing[0], spacing[1] or _pixel(a, size, rng)
    canvas = _Canvas(a, size, pixel, rng)
    thickness = float(np.clip(gap * rng.uniform(0.5, 1.0), 0.6, 6))
    start, end = a.ends
    image = np.empty((len(levels), size, size), np.int16)
    labels = np.zeros(image.shape, np.uint8)
    for index, level in enumerate(levels):
        plane = canvas.plane(start + level * (end - start), thickness)
        noise = np.random.default_rng([a.seed, 37, round(abs(plane.z) * 100), int(plane.z < 0)])
        image[index], labels[index] = canvas.slice(plane, noise)
        report(Progress("Drawing", index + 1, len(levels)))
    grey = to_grey(image, draw_window(rng)) if window else image
    return grey, labels, (gap, pixel, pixel)


def _pixel(a: Anatomy, size: int, rng: np.random.Generator) -> float:
    """A pixel size (mm) at which both thighs fit, now and then with the flanks cut off."""
    bones = max(abs(f.centre(z)[0]) for f in a.femora for z in a.ends)
    need = 2 * (bones + 55 * a.scale + a.fat * rng.uniform(0, 0.7))
    fit = need * rng.uniform(1.0, 1.6)
    return float(np.clip(fit / 512, 0.6, 1.6) * 512 / size)


class _Canvas:
    """Everything that stays the same from slice to slice of one series."""

    def __init__(self, a: Anatomy, size: int, pixel: float, rng: np.random.Generator) -> None:
        self.anatomy, self.size, self.pixel = a, size, pixel
        self.scanner = draw_scanner(rng)
        self.muscles = draw_muscles(rng)
        step = 1 / pixel
        fine = band_noise(rng, (size, size), max(rng.uniform(0.4, 0.9) * step, 0.4), rng.uniform(1.6, 3) * step)
        wide = band_noise(rng, (size, size), rng.uniform(1.2, 2.5) * step, rng.uniform(4, 8) * step)
        self.grain = np.asarray(fine * 0.7 + wide * rng.uniform(0.4, 1), np.float32)
        start, end = a.ends
        heights = np.array([f.centre(z)[1] for z in (start, end) for f in a.femora])
        self.middle = float(rng.uniform(0.3, 0.7) * heights.min() + 0.4 * heights.max())
        line: Field = np.arange(-300, 300, 4, dtype=np.float32)
        legs = leg_at(a, 0, start), leg_at(a, 1, start)
        column = (np.zeros((1, 1), np.float32), line[:, None], np.full((1, 1), start, np.float32))
        inside = line[(body_distance((column[0] + a.hip, *column[1:]), a, legs) < 0)[:, 0]]
        self.table = draw_table(rng, float(inside.max()) if len(inside) else 120.0)
        self.hands = [self._hand(side, rng, float(legs[side].y)) for side in (0, 1)]

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
        line = (np.arange(self.size, dtype=np.float32) - (self.size - 1) / 2) * np.float32(self.pixel)
        return Plane(line, line + np.float32(self.middle), z, self.pixel, thickness)

    def slice(self, plane: Plane, rng: np.random.Generator) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
        """HU and labels of one slice."""
        a = self.anatomy
        image = np.full((self.size, self.size), -1000, np.float32)
        labels = np.zeros(image.shape, np.uint8)
        grain = np.roll(self.grain, tuple(rng.integers(0, self.size, 2)), (0, 1))
        skin = paint_soft(image, plane, a, self.muscles, grain)
        paint_organs(image, plane, a)
        paint_table(image, plane, self.table, skin)
        for hand in self.hands:
            paint_hand(image, plane, hand, a, (skin, grain))
        sections = [plane.cut(partial(femur_distance, femur=f), 9) for f in a.femora]
        for section in sections:
            if section is not None:
                patch = image[section.where]
                capsule_share = np.clip(1 - section.depth / 7, 0, 1) * (0.6 if plane.z < a.ends[0] + 40 else 0.2)
                patch += capsule_share * (50 - patch)
        paint_pelvis(image, plane, a, grain)
        paint_knee(image, plane, a, grain)
        for index, (femur, section) in enumerate(zip(a.femora, sections, strict=True)):
            if section is not None:
                paint_femur(image, plane, femur, section, grain)
                labels[section.where][section.depth < 0] = index + 1
                if a.build["nail"] and index == 0:
                    self._nail(image, plane)
        centres = np.array([f.centre(plane.z) for f in a.femora])[:, ::-1]
        centres = (centres - (plane.y[0], plane.x[0])) / self.pixel
        hu = scan(image, self.scanner, rng, -skin / np.float32(self.pixel), centres)
        return np.rint(hu).astype(np.int16), labels

    def _nail(self, image: Field, plane: Plane) -> None:
        """A metal nail in the marrow of the image-left femur."""
        x, y = self.anatomy.femora[0].centre(plane.z)

        def rod(points: Points) -> Field:
            return capsule(points, (x, y, plane.z - 5), (x, y, plane.z + 5), (5, 5))

        paint(image, plane.cut(rod), 3071.0)
