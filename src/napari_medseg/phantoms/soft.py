"""Skin, fat, muscles, organs and vessels around the bones."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .anatomy import Anatomy
from .fields import extremes, piecewise
from .otherbones import patella_at
from .plane import Plane, Pose, paint
from .shapes import Points, Vector, capsule, capsules, ellipse, ellipsoid, union


@dataclass(frozen=True)
class Muscles:
    """Where the muscles of one person lie.

    Attributes
    ----------
    seeds
        For each side, shape (2, n, 2): middle of each muscle, in half-axes of the thigh (or half torso).
    drift
        Its shift over the length of the thigh; same shape.
    weight, value
        Size (mm) and HU offset of each; shape (2, n).
    """

    seeds: NDArray[np.float32]
    drift: NDArray[np.float32]
    weight: NDArray[np.float32]
    value: NDArray[np.float32]


def draw_muscles(rng: np.random.Generator) -> Muscles:
    """Seeds spread over the unit disc, nearly alike on both sides."""
    count = int(rng.integers(14, 24))
    turns = np.arange(count) * 2.39996 + rng.uniform(0, 6)
    radii = np.sqrt((np.arange(count) + 0.5) / count) * 0.98
    one = np.stack([radii * np.cos(turns), radii * np.sin(turns)], axis=1)
    one = one + rng.normal(0, 0.07, one.shape)
    both = np.stack([one, one]) + rng.normal(0, 0.03, (2, count, 2))
    return Muscles(
        seeds=both.astype(np.float32),
        drift=(rng.normal(0, 0.25, (count, 2)) + rng.normal(0, 0.03, (2, count, 2))).astype(np.float32),
        weight=(rng.normal(0, 6, count) + rng.normal(0, 1, (2, count))).astype(np.float32),
        value=(rng.normal(0, 5, count) + rng.normal(0, 2, (2, count))).astype(np.float32),
    )


@dataclass(frozen=True)
class Leg:
    """The ellipse of one thigh on a slice: middle, half-axes (mm), turn (cos, sin)."""

    x: float
    y: float
    a: float
    b: float
    cos: float
    sin: float

    def local(self, points: Points) -> tuple[Tensor, Tensor]:
        """Coordinates (mm) along the two half-axes."""
        x, y = points[0] - self.x, points[1] - self.y
        return x * self.cos + y * self.sin, y * self.cos - x * self.sin


def leg_at(a: Anatomy, side: int, z: float) -> Leg:
    """The thigh of a side (0 image-left, 1 right) at a level."""
    femur = a.femora[side]
    x, y = femur.centre(z)
    head, knee = femur.pose.origin[2], femur.axis[:, 2].max()
    share = (z - head) / ((knee - head) / 1.3)
    mirror, k, b = femur.pose.mirror, a.scale, a.build
    girth = k * a.bulk * (0.92 + 0.16 * b["thigh"])
    at = [0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.15]
    slim = np.interp(share, at, [72, 72, 64, 58, 50, 50, 49, 48])
    deep = np.interp(share, at, [86, 86, 76, 66, 56, 54, 52, 52])
    padding = a.fat * np.interp(share, at, [1, 0.9, 0.8, 0.6, 0.5, 0.4, 0.35, 0.35])
    medial = np.interp(share, at, [22, 27, 24, 20, 12, 6, 3, 0]) * girth
    behind = np.interp(share, at, [14, 18, 22, 20, 16, 13, 11, 14]) * girth
    knee_floor = femur.condyles * np.interp(share, [0.7, 0.9, 1.2], [0, 48, 48])
    half = max(float(slim * girth), float(knee_floor))
    turn = np.deg2rad(mirror * (-24 + 48 * b["tilt"]) * np.interp(share, [0, 0.8, 1], [1, 0.6, 0]))
    return Leg(
        x=float(x - mirror * (medial - 0.15 * padding)),
        y=float(y + behind),
        a=float(half + padding),
        b=float(max(deep * girth, knee_floor) + padding),
        cos=float(np.cos(turn)),
        sin=float(np.sin(turn)),
    )


def body_distance(points: Points, a: Anatomy, legs: tuple[Leg, Leg]) -> Tensor:
    """Signed distance (mm) to the skin at the level of the points."""
    b, k = a.build, a.scale
    thighs = [ellipse(*leg.local(points), leg.a, leg.b) for leg in legs]
    skin = torch.minimum(thighs[0], thighs[1])
    own = a.pelvis.local(points)
    crotch = (50 + 22 * b["cleft"]) * k
    if extremes(own[2])[0] < crotch + 40:
        half = a.hip + (72 + 26 * b["torso"]) * k * a.bulk + a.fat * 0.8
        deep = (88 + 22 * b["depth"]) * k * a.bulk + a.fat
        deep_at = deep * piecewise(own[2], [-80, 0, crotch], [1.05, 1, 0.86])
        torso = ellipse(own[0], own[1] - 4, half, deep_at)
        torso = torch.maximum(torso, (own[2] - crotch) * 0.9)
        skin = union(skin, torso, 22)
        for side in (-1, 1):
            seat = (side * a.hip * 0.72, (42 + 14 * b["depth"]) * k, 5 * k)
            radii = (66 * k + a.fat * 0.5, 58 * k * a.bulk + a.fat * 0.7, 80 * k + a.fat)
            skin = union(skin, ellipsoid(own, seat, radii), 16)
        rear = deep * 0.95
        crease = own[0].abs() * 3 + (rear - 26 - 22 * b["cleft"] - own[1])
        skin = torch.maximum(skin, -crease)
        if a.male:
            front = -(deep * 0.55)
            parts = capsule(own, (0, front, 30 * k), (8, front - 40, 85 * k), (20, 15))
            pouch = ellipsoid(own, (4, front + 18, 80 * k), (30, 24, 34))
            skin = union(skin, union(parts, pouch, 3), 3)
    if extremes(points[2])[1] > a.ends[0] + 0.6 * (a.ends[1] - a.ends[0]):
        for femur in a.femora:
            high, front = patella_at(a, femur)
            pad, c = 3 + 8 * b["thigh"] + 0.2 * a.fat, femur.condyles
            radii = (24 * c + pad, 15 * c + pad, 40 * c)
            skin = union(skin, ellipsoid(femur.pose.local(points), (femur.knee + 4, front, high), radii), 18)
    return skin.add_(a.outline(points), alpha=2.5).add_(a.inner(points), alpha=0.5)


def _muscle_depth(
    points: Points, a: Anatomy, share: float, legs: tuple[Leg, Leg], muscles: Muscles
) -> tuple[Tensor, Tensor]:
    """Distance (mm, positive inside) to the nearest seam between muscles, and HU offset of each muscle.

    ``share`` is the points' level: 0 at the heads, 1 at the knee joints.
    """
    x, y, z = points
    bent = x + 5 * a.inner(points), y + 5 * a.inner((y, x, z)), z
    split = int((x < (legs[0].x + legs[1].x) / 2).sum())
    wide = 1.0 + 0.35 * max(0.0, 0.25 - share) / 0.25
    seam, value = torch.empty_like(bent[0]), torch.empty_like(bent[0])
    for side, mine in enumerate((slice(None, split), slice(split, None))):
        leg, mirror = legs[side], -1 if side == 0 else 1
        u, v = leg.local((bent[0][:, mine], bent[1][:, mine], z))
        first = torch.full_like(u, 1e6)
        second, best = first.clone(), torch.zeros_like(u)
        middles = (muscles.seeds[side] + muscles.drift[side] * (share - 0.4)) * wide * (leg.a * mirror, leg.b)
        for (mu, mv), weight, offset in zip(
            middles.tolist(), muscles.weight[side].tolist(), muscles.value[side].tolist(), strict=True
        ):
            away = (u - mu).square_().add_((v - mv).square_()).sqrt_().sub_(weight)
            best.masked_fill_(away < first, offset)
            second = torch.maximum(first, torch.minimum(second, away))
            first = torch.minimum(first, away)
        seam[:, mine], value[:, mine] = (second - first) / 2, best
    return seam, value


def _double(field: Tensor, shape: tuple[int, int]) -> Tensor:
    """Linear interpolation from every second pixel to all."""
    rows = field.new_empty(2 * field.shape[0], field.shape[1])
    rows[::2], rows[1:-1:2], rows[-1] = field, (field[1:] + field[:-1]) / 2, field[-1]
    full = field.new_empty(rows.shape[0], 2 * field.shape[1])
    full[:, ::2], full[:, 1:-1:2], full[:, -1] = rows, (rows[:, 1:] + rows[:, :-1]) / 2, rows[:, -1]
    return full[: shape[0], : shape[1]]


def paint_soft(image: Tensor, plane: Plane, a: Anatomy, muscles: Muscles, grain: Tensor) -> Tensor:
    """Skin, fat and muscles in place; returns the signed distance (mm) to the skin, shape (Y, X)."""
    legs = leg_at(a, 0, plane.z), leg_at(a, 1, plane.z)
    half = plane.points((slice(None, None, 2), slice(None, None, 2)))
    x, y, z = half
    shape = image.shape[0], image.shape[1]
    skin = body_distance(half, a, legs)
    start, end = a.ends
    share = (plane.z - start) / (end - start)
    padding = a.fat * float(np.interp(share, [-0.1, 0.2, 0.8, 1], [1, 0.85, 0.5, 0.3])) + 2.5
    padded = padding * (1 + 0.3 * a.outline((y, z, x)))
    seam, value = _muscle_depth(half, a, share, legs, muscles)
    width = a.seam * float(np.interp(share, [-0.1, 0.15, 0.5, 0.85, 1], [0.9, 0.7, 0.5, 1.6, 3.0]))
    gap = width * (1 + 0.8 * a.inner((z * 0.3, x, y))).clamp_(0.1, 3)
    flesh = torch.minimum(seam - gap, -skin - padded)
    if share < 0.1:
        own = a.pelvis.local(half)
        wide = a.hip * (0.5 + 0.12 * a.build["bowel"])
        cavity = ellipsoid(own, (0, 10, -45 * a.scale), (wide, 48 * a.scale, 75 * a.scale))
        flesh = torch.minimum(flesh, cavity)
    full = _double(skin, shape)
    amount = (_double(flesh, shape) / 1.3).add_(0.5).clamp_(0, 1)
    meat = torch.add(_double(value, shape), grain, alpha=4 + 5 * a.build["bowel"]).add_(a.muscle - a.fat_value)
    body = meat.mul_(amount).add_(a.fat_value).add_(grain.roll(100, 0), alpha=3)
    inner = ((full + 1.6) / -1.2).add_(0.5).clamp_(0, 1)
    rind = a.muscle - 35
    body.sub_(rind).mul_(inner).add_(rind)
    whole = (full / -plane.pixel).add_(0.5).clamp_(0, 1)
    image.addcmul_(whole, body.sub_(image))
    return full


def paint_organs(image: Tensor, plane: Plane, a: Anatomy) -> None:
    """Bladder, rectum, bowel, fat and capsule around the joints, vessels: in place."""
    b, k = a.build, a.scale
    head, _ = a.ends
    if plane.z < head + 70 * k:
        size = 22 + 26 * b["bladder"]
        rectum = [(0, 52 * k, -80 * k), (0, 48 * k, 20 * k)]
        blobs = [
            (lambda p: ellipsoid(a.pelvis.local(p), (0, -12, -22 * k), (size * 1.2, size * 0.9, size)), 8.0),
            (lambda p: capsule(a.pelvis.local(p), rectum[0], rectum[1], (17, 14)) + a.inner(p) * 2, 38.0),
            (lambda p: ellipsoid(a.pelvis.local(p), (0, 12, 18 * k), (24, 20, 22)) + a.inner(p), 45.0),
        ]
        if b["bowel"] > 0.5:
            blobs.append((lambda p: capsule(a.pelvis.local(p), (2, 50 * k, -80), (2, 48 * k, -25), (8, 4)), -950.0))
        for shape, value in blobs:
            paint(image, plane.cut(shape), value)
    blood = 42 + b["contrast"]
    for femur in a.femora:
        step = femur.length / 10
        path = [
            (-14, -28, 0),
            (-8, -26, 1),
            (-16, -16, 3),
            (-26, 6, 5),
            (-22, 26, 7),
            (2, 42, 9),
            (2, 42, 12),
        ]
        for shift, value, radius in ((0.0, blood, 4.2), (9.0, 40.0, 5.0)):
            spots = [(femur.offset * 0.3 + (u - shift) * k, (v + shift * 0.5) * k, w * step) for u, v, w in path]

            def tube(p: Points, pose: Pose = femur.pose, spots: list[Vector] = spots, r: float = radius) -> Tensor:
                own = pose.local(p)
                level = float(own[2].mean())
                pairs = [(s, e) for s, e in pairwise(spots) if s[2] - 90 < level < e[2] + 90]
                near = [(s, e, r, r) for s, e in pairs]
                return capsules(own, near).amin(0) if near else torch.full_like(own[0], 1e3)

            cut = plane.cut(tube, 2)
            if cut is not None:
                paint(image, cut, value)
                if b["calcified"] and shift == 0.0:
                    hard = (a.fine(plane.points(cut.where)) - 0.7).clamp_(0, 1) * (cut.depth.abs() < 0.8)
                    image[cut.where].add_(hard, alpha=900)
