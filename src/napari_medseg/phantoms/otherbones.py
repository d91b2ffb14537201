"""The bones that must not be labelled: pelvis, sacrum, patella, tibia, fibula, forearms and hands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import numpy as np
import torch
from torch import Tensor

from .anatomy import Anatomy, Femur
from .plane import Plane, paint, paint_bone
from .shapes import Points, Rod, Vector, capsules, cut, ellipsoid, meet, union
from .thighbone import femur_distance


def rods(points: Points, parts: Sequence[Rod], soft: float) -> Tensor:
    """Distance (mm) to several rods joined."""
    return reduce(lambda solid, rod: union(solid, rod, soft), capsules(points, parts).unbind())


def _half_pelvis(points: Points, a: Anatomy, femur: Femur) -> Tensor:
    """One hip bone; own axes u outwards from the head, v back, w down, in the pelvis' own frame."""
    u, v, w = a.pelvis.local(points)
    own = (u * femur.pose.mirror - a.hip, v, w)
    k, b = a.scale, a.build
    socket = femur.head + a.gap * (0.6 + 0.8 * b["cup"])
    inner, hip = socket + 4 + 5 * b["cup"], a.hip

    ball = ellipsoid(own, (0, 0, 0), (inner, inner, inner))
    mouth = own[0] * 0.82 - own[1] * 0.25 + own[2] * 0.5 - (-3 + 9 * b["ramus"])
    cup = meet(ball, mouth, 3)
    thin = 6 + 4 * b["ramus"]
    sit = (-20 * k, 33 * k, 58 * k)
    pubis = (-hip + 11, (-44 - 8 * b["pubis"]) * k, 16 * k)
    parts: list[Rod] = [
        ((-22 * k, 22 * k, -22 * k), (-18 * k, 30 * k, 28 * k), 13 * k, 11 * k),
        ((-18 * k, 30 * k, 28 * k), sit, 11 * k, (11 + 5 * b["ischium"]) * k),
        ((-socket - 5, -8 * k, -14 * k), (-socket - 4, 18 * k, 8 * k), 6.5 * k, 8 * k),
        (sit, (-28 * k, 24 * k, 66 * k), 11 * k, 7 * k),
        ((-17 * k, -22 * k, -18 * k), (-hip * 0.55, -36 * k, 2 * k), 9 * k, thin * k),
        ((-hip * 0.55, -36 * k, 2 * k), pubis, thin * k, thin * k * 1.35),
        (pubis, (-hip + 11, (-34 - 8 * b["pubis"]) * k, 46 * k), 8.5 * k, 7 * k),
        (
            (-hip + 24, (-44 - 8 * b["pubis"]) * k, 14 * k),
            (-hip + 11, (-34 - 8 * b["pubis"]) * k, 40 * k),
            8 * k,
            8 * k,
        ),
        ((-hip + 13, -32 * k, 44 * k), sit, 5 * k, 7 * k),
        ((-14 * k, 8 * k, -34 * k), (-8 * k, 16 * k, -62 * k), 15 * k, 9 * k),
    ]
    solid = union(cup, rods(own, parts, 6), 7)
    wing = ellipsoid(own, (-6 * k, 8 * k, -100 * k), (9 * k, 70 * k, 62 * k))
    solid = union(solid, wing, 8)
    solid = cut(solid, ellipsoid(own, (0, 0, 0), (socket, socket, socket)), 1)
    fossa = ellipsoid(own, (-socket * 0.9, 6 * k, 6 * k), (8 * k, 12 * k, 12 * k))
    return cut(solid, fossa, 3).add_(a.inner(points), alpha=0.7)


def paint_pelvis(image: Tensor, plane: Plane, a: Anatomy, grain: Tensor) -> None:
    """Hip bones and sacrum, in place; never closer to a femur than the joint gap."""
    start = a.ends[0]
    if plane.z > start + 125 * a.scale:
        return
    for femur in a.femora:

        def solid(points: Points, femur: Femur = femur) -> Tensor:
            bone = _half_pelvis(points, a, femur)
            return torch.maximum(bone, a.gap - femur_distance(points, femur))

        section = plane.cut(solid)
        if section is not None:
            wall = femur.rim * 1.1 + 0.5 + 0.7 * a.fine(plane.points(section.where)).clamp_(-1, 1.5).square_()
            inside = _spongy(a, section.depth, grain[section.where], 0.55)
            paint_bone(image, section, femur.cortex * 0.85, wall, inside)
    _paint_sacrum(image, plane, a, grain)


def _spongy(a: Anatomy, depth: Tensor, grain: Tensor, share: float) -> Tensor:
    """HU inside a bone of `share` times the femoral head's trabecular density, denser under the surface."""
    femur = a.femora[0]
    near = (depth.clamp(max=0) / 4).exp_()
    base = near.mul_(0.45).add_(share).mul_(femur.trabecular).add_(femur.marrow * (1 - share))
    return base.add_(grain, alpha=femur.texture * 0.8)


def _paint_sacrum(image: Tensor, plane: Plane, a: Anatomy, grain: Tensor) -> None:
    k = a.scale
    back = 62 + 22 * a.build["back"]
    parts: list[Rod] = [
        ((0, (back - 8) * k, 18 * k), (0, (back + 3) * k, -12 * k), 4.5 * k, 8 * k),
        ((0, (back + 3) * k, -12 * k), (0, back * k, -60 * k), 8 * k, 20 * k),
        ((-18 * k, back * k, -60 * k), (-34 * k, (back - 16) * k, -110 * k), 12 * k, 26 * k),
        ((18 * k, back * k, -60 * k), (34 * k, (back - 16) * k, -110 * k), 12 * k, 26 * k),
    ]

    def solid(points: Points) -> Tensor:
        return rods(a.pelvis.local(points), parts, 6).add_(a.inner(points), alpha=0.8)

    section = plane.cut(solid)
    if section is not None:
        inside = _spongy(a, section.depth, grain[section.where], 0.4)
        paint_bone(image, section, a.femora[0].cortex * 0.7, 1.0, inside)


def patella_at(a: Anatomy, femur: Femur) -> tuple[float, float]:
    """Middle of the kneecap: own w and v (mm) of the femur."""
    c = femur.condyles
    return femur.length - (12 + 42 * a.build["patella"]) * c, -(41 + 5 * a.build["cup"]) * c


def paint_knee(image: Tensor, plane: Plane, a: Anatomy, grain: Tensor) -> None:
    """Patella, tibia and fibula of both sides, in place."""
    b = a.build
    for femur in a.femora:
        c = femur.condyles
        if plane.z < femur.pose.origin[2] + 0.72 * femur.length:
            continue
        high, front = patella_at(a, femur)
        bend = np.deg2rad(35 * b["knee_bend"] ** 2)
        down = np.array([0, np.sin(bend), np.cos(bend)])
        plate = np.array([femur.knee, 4 * c, femur.length + 6])

        def solid(points: Points, femur: Femur = femur, high: float = high, front: float = front) -> Tensor:
            own, c = femur.pose.local(points), femur.condyles
            cap = ellipsoid(own, (femur.knee + 4, front, high), (23 * c, 12 * c, 22 * c))
            behind = ellipsoid(own, (femur.knee + 1, front + 25 * c, high), (38 * c, 17 * c, 40 * c))
            return cut(cap, behind, 3).add_(femur.rough(own), alpha=0.5)

        def shin(
            points: Points,
            femur: Femur = femur,
            plate: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = plate,
            down: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = down,
        ) -> Tensor:
            own, c = femur.pose.local(points), femur.condyles

            def at(u: float, v: float, along: float) -> Vector:
                p = plate + np.array([u * c, v * c, 0]) + down * along * c
                return float(p[0]), float(p[1]), float(p[2])

            bone = rods(
                own,
                [
                    (at(-19, 2, 17), at(19, 2, 17), 18 * c, 17 * c),
                    (at(0, 0, 20), at(0, 0, 80), 24 * c, 14 * c),
                    (at(0, 0, 80), at(0, 0, 250), 14 * c, 11 * c),
                ],
                10,
            )
            small = rods(
                own,
                [(at(38, 16, 20), at(32, 22, 50), 9 * c, 6 * c), (at(32, 22, 50), at(30, 22, 250), 6, 6)],
                3,
            )
            bone = torch.minimum(bone, small).add_(femur.rough(own), alpha=0.5)
            return torch.maximum(bone, 3 - femur_distance(points, femur))

        for shape in (solid, shin):
            section = plane.cut(shape)
            if section is not None:
                inside = _spongy(a, section.depth, grain[section.where], 0.8)
                paint_bone(image, section, femur.cortex * 0.75, femur.rim + 0.8, inside)


def draw_hand(rng: np.random.Generator, wrist: Vector, outwards: float, scale: float) -> tuple[list[Rod], list[Rod]]:
    """Bones and flesh of one forearm and hand.

    Parameters
    ----------
    wrist
        Room x, y, z of the wrist in mm.
    outwards
        -1 on the image's left, 1 on its right.
    scale
        Size of the person.
    """
    along = np.array([rng.uniform(-0.3, 0.1) * outwards, rng.uniform(-0.3, 0.3), 1.0])
    along /= np.linalg.norm(along)
    angle = rng.uniform(-0.5, np.pi / 2 + 0.6)
    across = np.array([np.cos(angle) * outwards, np.sin(angle), 0.0])
    across -= along * (across @ along)
    across /= np.linalg.norm(across)
    palm = np.cross(along, across) * rng.choice([-1, 1])
    curl = rng.uniform(0, 0.9)

    def place(side: float, length: float, bent: float = 0.0) -> Vector:
        p = np.asarray(wrist) + scale * (across * side + along * length + palm * bent)
        return float(p[0]), float(p[1]), float(p[2])

    bones: list[Rod] = [
        (place(-11, -6), place(-16, -230), 10 * scale, 7 * scale),
        (place(14, -6), place(13, -230), 6 * scale, 8 * scale),
    ]
    bones += [
        (place(s, n), place(s * 1.05, n + 5), 6.5 * scale, 6.5 * scale) for s in (-14, -4, 6, 14) for n in (6, 20)
    ]
    for finger, side in enumerate((-22, -8, 6, 19)):
        start, spread = side * 0.8, side * 1.25
        reach = (92, 96, 92, 84)[finger]
        bones.append((place(start, 36), place(spread, reach), 4.6 * scale, 4.9 * scale))
        at, length, bent = reach + 6, 38 - 4 * abs(finger - 1), 0.0
        for joint in range(3):
            step = length * (1, 0.62, 0.45)[joint]
            turn = curl * (joint + 0.6)
            to, deep = at + step * np.cos(turn), bent + step * np.sin(turn)
            bones.append((place(spread, at, bent), place(spread * 1.08, to, deep), 4.2 * scale, 3.6 * scale))
            at, bent = to + 4 * np.cos(turn), deep + 4 * np.sin(turn)
    bones.append((place(-24, 26, 8), place(-38, 66, 18), 5 * scale, 5 * scale))
    bones.append((place(-39, 71, 19), place(-42, 100, 20), 4.4 * scale, 3.8 * scale))
    return bones, [(s, e, r0 + 7, r1 + 6) for s, e, r0, r1 in bones] + [(place(0, -14), place(0, -230), 22, 32)]


def paint_hand(
    image: Tensor,
    plane: Plane,
    hand: tuple[list[Rod], list[Rod]],
    a: Anatomy,
    surroundings: tuple[Tensor, Tensor],
) -> None:
    """One forearm and hand, in place, outside the body.

    Parameters
    ----------
    image, plane
        HU, shape (Y, X), and the slice it is.
    hand
        Bones and flesh, from `draw_hand`.
    a
        The person.
    surroundings
        Distance (mm) to the body's skin, and trabecular texture; both shape (Y, X).
    """
    skin_at, grain = surroundings
    bones, flesh = (
        [r for r in some if min(r[0][2], r[1][2]) - 40 < plane.z < max(r[0][2], r[1][2]) + 40] for some in hand
    )
    if not flesh:
        return
    skin = plane.cut(lambda p: rods(p, flesh, 8).add_(a.fine(p), alpha=0.5))
    if skin is None:
        return
    skin = replace(skin, depth=torch.maximum(skin.depth, -skin_at[skin.where] - 1))
    near = (skin.depth / -3).clamp_(0, 1)
    fibres = (0.6 + a.inner(plane.points(skin.where))).clamp_(0.1, 1)
    paint(image, skin, a.fat_value + (a.muscle - a.fat_value) * fibres * near)
    if not bones:
        return

    def solid(points: Points) -> Tensor:
        return capsules(points, bones).amin(0).add_(a.fine(points), alpha=0.3)

    section = plane.cut(solid, reach=2)
    if section is not None:
        section = replace(section, depth=torch.maximum(section.depth, 3 - skin_at[section.where]))
        inside = _spongy(a, section.depth, grain[section.where], 0.5)
        wall = 1.1 + 0.8 * a.inner(plane.points(section.where)).clamp_(-0.6, 1.5)
        paint_bone(image, section, a.femora[0].cortex * 0.9, wall * min(a.femora[0].wall / 6, 1.2), inside)
