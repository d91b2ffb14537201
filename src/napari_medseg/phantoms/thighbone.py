"""The femur as a solid: head, neck, trochanters, bowed shaft, condyles; and what it is made of."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .anatomy import Femur, axis_at
from .fields import extremes, piecewise
from .plane import Plane, Section, paint_bone
from .shapes import Points, Vector, capsules, cut, ellipse, ellipsoid, meet, union


def femur_distance(points: Points, femur: Femur) -> Tensor:
    """Signed distance (mm) of room points to the outside of one femur."""
    own = femur.pose.local(points)
    low, high = extremes(own[2])
    solid = _shaft(own, femur)
    if low < 0.24 * femur.length:
        solid = union(solid, _hip_end(own, femur), 5)
    if high > 0.7 * femur.length:
        solid = _knee_end(own, femur, solid)
    rough = femur.rough(own).mul_(femur.roughness)
    if low < 1.5 * femur.head:
        near = (3 - _radius(own) / (0.5 * femur.head)).clamp_(0, 1)
        rough.mul_(1 - 0.6 * near)
    return (solid + rough).add_(femur.warp(own), alpha=femur.bent)


def _radius(own: Points) -> Tensor:
    u, v, w = own
    return (u * u).addcmul_(v, v).addcmul_(w, w).sqrt_()


def _off_axis(own: Points, f: Femur) -> tuple[Tensor, Tensor]:
    """Distance (mm) from the shaft's axis outwards and backwards."""
    offset = (f.offset * math.cos(f.version), f.offset * math.sin(f.version))
    au, av = axis_at(own[2], f.length, offset, (f.knee, f.bow))
    return own[0] - au, own[1] - av


def _shaft(own: Points, f: Femur) -> Tensor:
    w = own[2]
    share = w / f.length
    r, c = f.shaft, f.condyles
    at = [0.06, 0.15, 0.22, 0.45, 0.62, 0.74, 0.82, 0.9, 0.95]
    wide = [1.35 * r, 1.28 * r, 1.08 * r, r, 1.04 * r, 1.22 * r, 1.55 * r, 30 * c, 36 * c]
    deep = [1.2 * r, 1.15 * r, 1.05 * r, f.oval * r, 1.04 * r, 1.12 * r, 1.3 * r, 21 * c, 22 * c]
    width, depth = piecewise(share, at, wide), piecewise(share, at, deep)
    x, y = _off_axis(own, f)
    tube = ellipse(x, y, width, depth)
    strength = piecewise(share, [0.2, 0.32, 0.6, 0.72], [-5, 0, 0, -5])
    crest = torch.hypot(x * 1.3, y - depth - (f.ridge - 4.0)).sub_(strength).sub_(4.2)
    tube = union(tube, crest, 4)
    # The ends are cut where head and condyles take over.
    return meet(meet(tube, 0.09 * f.length - w, 12), w - (f.length - 20 * c), 10)


def _hip_end(own: Points, f: Femur) -> Tensor:
    k = f.length / 430
    g = f.girth
    u, v = f.offset * math.cos(f.version), f.offset * math.sin(f.version)

    def near(du: float, dv: float, w: float) -> Vector:
        return (u + du * g, v + dv * g, w * k)

    neck_end = (u * 0.8, v * 0.8, 30 * k)
    tip = near(13, 9, 4)
    neck, body, greater, hook, crest, lesser, pit = capsules(
        own,
        [
            ((0, 0, 2), neck_end, f.neck * 0.98, f.neck * 1.1),
            ((u * 0.72, v * 0.72, 28 * k), near(0, 0, 75), 15 * g, f.shaft * 1.15),
            (tip, near(5, 3, 42), f.trochanter * 0.85, f.trochanter * 1.12),
            (near(6, 19, 10), near(1, 12, 45), f.trochanter * 0.62, f.trochanter * 0.7),
            (near(3, 17, 25), near(-11, 11, 64), 6.5 * g, f.lesser * 0.8),
            (near(-12, 13, 62), near(-6, 4, 72), f.lesser, f.lesser),
            (near(-3, 22, 6), near(-9, 24, 26), 6 * g, 5 * g),
        ],
    )
    solid = union(ellipsoid(own, (0, 0, 0), (f.head, f.head, f.head)), neck, 6)
    solid = union(solid, body, 7)
    solid = union(solid, union(greater, hook, 5), 6)
    solid = union(solid, union(crest, lesser, 4), 5)
    return cut(solid, pit, 5)


def _knee_end(own: Points, f: Femur, shaft: Tensor) -> Tensor:
    c, u0, end = f.condyles, f.knee, f.length

    def at(u: float, v: float, w: float) -> Vector:
        return (u0 + u * c, v * c, end - w * c)

    inner = ellipsoid(own, at(-25, 6, 25), (f.medial * c, 31 * c, 25 * c))
    outer = ellipsoid(own, at(24, 4, 24), (16 * c, 31 * c, 24 * c))
    ridge_in, ridge_out, bridge, groove, notch, hollow = capsules(
        own,
        [
            (at(-4, -4, 64), at(-18, -16, 22), 6 * c, 11 * c),
            (at(16, -5, 66), at(19, -20, 22), 6 * c, 11 * c),
            (at(-20, 0, 30), at(20, 0, 30), 20 * c, 20 * c),
            (at(0, -44 + f.groove, 52), at(0, -40 + f.groove, 4), 13 * c, 15 * c),
            (at(0, 30 + f.notch, 48), at(0, 6 + f.notch, 0), 14 * c, 14 * c),
            (at(0, 52, 70), at(0, 46, 40), 26 * c, 24 * c),
        ],
    )
    solid = union(union(inner, outer, 3), bridge, 8)
    solid = union(solid, union(ridge_in, ridge_out, 5), 6)
    solid = union(shaft, solid, 9)
    return cut(cut(cut(solid, groove, 5), notch, 6), hollow, 8)


def paint_femur(image: Tensor, plane: Plane, femur: Femur, section: Section, grain: Tensor) -> None:
    """Draw one femur's cut in place.

    Parameters
    ----------
    image
        HU, shape (Y, X).
    plane
        The slice.
    section
        The femur's cut on that slice.
    grain
        Trabecular texture of unit deviation, at least as large as the slice.
    """
    own = femur.pose.local(plane.points(section.where))
    u, v, w = own
    k = femur.length / 430
    share = w / femur.length
    slow = femur.warp((v, w, u))
    wall = piecewise(
        share,
        [0.02, 0.07, 0.13, 0.22, 0.45, 0.66, 0.78, 0.88, 0.93],
        [0, 0.1, 0.4, 0.85, 1, 0.88, 0.45, 0.08, 0],
    )
    inward = ((femur.offset * 0.75 - u) / (14 * k)).clamp_(0, 1)
    calcar = _hump((w - 45 * k) / (24 * k)).mul_(inward).mul_(0.22 * femur.wall)
    rough = femur.rough((w, u, v))
    rim = femur.rim * (1 + femur.patchy * slow).clamp_(0.15, 2.2)
    outwards, backwards = _off_axis(own, femur)
    back = (backwards / femur.shaft - 0.75).clamp_(0, 0.5).mul_(_hump(outwards / 6)).mul_(wall).mul_(8)
    thick = wall * (femur.wall - femur.rim) * (1 + 0.12 * slow) * (1 + 0.06 * rough)
    thick.add_(rim).add_(calcar).add_(back)
    texture = _coarse(share).mul_(1 + 0.3 * rough).mul_(femur.texture)
    inside = _spongy(own, femur, section, slow).addcmul_(grain[section.where], texture)
    cortex = piecewise(share, [0, 0.1, 0.2, 0.8, 0.93], [0.72, 0.85, 1, 1, 0.7]).mul_(femur.cortex)
    cortex.mul_(1 - 0.25 * femur.patchy * (-slow).clamp_(0, 1) * (1 - wall))
    paint_bone(image, section, cortex, thick, inside)


def _hump(values: Tensor) -> Tensor:
    return values.square().neg_().exp_()


def _coarse(share: Tensor) -> Tensor:
    """How much trabecular texture there is at each level."""
    return piecewise(share, [0.0, 0.12, 0.22, 0.7, 0.85], [1, 0.7, 0.1, 0.1, 0.7])


def _spongy(own: Points, f: Femur, section: Section, slow: Tensor) -> Tensor:
    """HU under the cortex: marrow in the shaft, trabecular bone towards head and condyles."""
    u, _, w = own
    fill = piecewise(w / f.length, [0.02, 0.1, 0.2, 0.72, 0.86, 0.95], [0.75, 0.4, 0.0, 0.0, 0.45, 0.85])
    core = _hump(_radius(own) / (0.75 * f.head))
    poor = _hump(torch.hypot(u - f.offset * 0.45, w - 22) / 14)
    shell = (section.depth.clamp(max=0) / 3.5).exp_().mul_((fill * 2).clamp_(0, 1))
    amount = (1 + 0.3 * slow).mul_(fill).add_(core, alpha=0.75).sub_(poor, alpha=0.45).add_(shell, alpha=0.5)
    return amount.clamp_(0, 2).mul_(f.trabecular - f.marrow * 0.5).add_(f.marrow)
