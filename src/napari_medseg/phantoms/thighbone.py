"""The femur as a solid: head, neck, trochanters, bowed shaft, condyles; and what it is made of."""

from __future__ import annotations

import numpy as np

from .anatomy import Femur, axis_at
from .plane import Plane, Section, paint_bone
from .shapes import Field, Points, Vector, capsule, cut, ellipse, ellipsoid, meet, union


def femur_distance(points: Points, femur: Femur) -> Field:
    """Signed distance (mm) of room points to the outside of one femur."""
    own = femur.pose.local(points)
    low, high = float(own[2].min()), float(own[2].max())
    solid = _shaft(own, femur)
    if low < 0.24 * femur.length:
        solid = union(solid, _hip_end(own, femur), 5)
    if high > 0.7 * femur.length:
        solid = _knee_end(own, femur, solid)
    smooth = 1 - 0.6 * np.clip(
        3 - np.sqrt(own[0] ** 2 + own[1] ** 2 + own[2] ** 2) / np.float32(0.5 * femur.head), 0, 1
    )
    rough = femur.rough(own) * smooth * np.float32(femur.roughness)
    return np.asarray(solid + rough + femur.warp(own) * np.float32(femur.bent), np.float32)


def _shaft(own: Points, f: Femur) -> Field:
    u, v, w = own
    share = w / np.float32(f.length)
    au, av = axis_at(w, f.length, (f.offset * np.cos(f.version), f.offset * np.sin(f.version)), (f.knee, f.bow))
    r, c = f.shaft, f.condyles
    at = [0.06, 0.15, 0.22, 0.45, 0.62, 0.74, 0.82, 0.9, 0.95]
    wide = [1.35 * r, 1.28 * r, 1.08 * r, r, 1.04 * r, 1.22 * r, 1.55 * r, 30 * c, 36 * c]
    deep = [1.2 * r, 1.15 * r, 1.05 * r, f.oval * r, 1.04 * r, 1.12 * r, 1.3 * r, 21 * c, 22 * c]
    width = np.interp(share, at, wide).astype(np.float32)
    depth = np.interp(share, at, deep).astype(np.float32)
    x, y = (u - au).astype(np.float32), (v - av).astype(np.float32)
    tube = ellipse(x, y, width, depth)
    strength = np.interp(share, [0.2, 0.32, 0.6, 0.72], [-5, 0, 0, -5]).astype(np.float32)
    crest = np.hypot(x * 1.3, y - depth - np.float32(f.ridge - 4.0)) - np.float32(4.2) - strength
    tube = union(tube, crest, 4)
    # The ends are cut where head and condyles take over.
    return meet(meet(tube, np.float32(0.09 * f.length) - w, 12), w - np.float32(f.length - 20 * c), 10)


def _hip_end(own: Points, f: Femur) -> Field:
    k = f.length / 430
    g = f.girth
    u, v = f.offset * np.cos(f.version), f.offset * np.sin(f.version)

    def near(du: float, dv: float, w: float) -> Vector:
        return (float(u + du * g), float(v + dv * g), w * k)

    neck_end = (float(u * 0.8), float(v * 0.8), 30 * k)
    neck = capsule(own, (0, 0, 2), neck_end, (f.neck * 0.98, f.neck * 1.1))
    solid = union(ellipsoid(own, (0, 0, 0), (f.head, f.head, f.head)), neck, 6)
    body = capsule(own, (float(u * 0.72), float(v * 0.72), 28 * k), near(0, 0, 75), (15 * g, f.shaft * 1.15))
    tip = near(13, 9, 4)
    greater = capsule(own, tip, near(5, 3, 42), (f.trochanter * 0.85, f.trochanter * 1.12))
    hook = capsule(own, near(6, 19, 10), near(1, 12, 45), (f.trochanter * 0.62, f.trochanter * 0.7))
    crest = capsule(own, near(3, 17, 25), near(-11, 11, 64), (6.5 * g, f.lesser * 0.8))
    lesser = capsule(own, near(-12, 13, 62), near(-6, 4, 72), (f.lesser, f.lesser))
    solid = union(solid, body, 7)
    solid = union(solid, union(greater, hook, 5), 6)
    solid = union(solid, union(crest, lesser, 4), 5)
    pit = capsule(own, near(-3, 22, 6), near(-9, 24, 26), (6 * g, 5 * g))
    return cut(solid, pit, 5)


def _knee_end(own: Points, f: Femur, shaft: Field) -> Field:
    c, u0, end = f.condyles, f.knee, f.length

    def at(u: float, v: float, w: float) -> Vector:
        return (u0 + u * c, v * c, end - w * c)

    inner = ellipsoid(own, at(-25, 6, 25), (f.medial * c, 31 * c, 25 * c))
    outer = ellipsoid(own, at(24, 4, 24), (16 * c, 31 * c, 24 * c))
    ridge_in = capsule(own, at(-4, -4, 64), at(-18, -16, 22), (6 * c, 11 * c))
    ridge_out = capsule(own, at(16, -5, 66), at(19, -20, 22), (6 * c, 11 * c))
    bridge = capsule(own, at(-20, 0, 30), at(20, 0, 30), (20 * c, 20 * c))
    solid = union(union(inner, outer, 3), bridge, 8)
    solid = union(solid, union(ridge_in, ridge_out, 5), 6)
    solid = union(shaft, solid, 9)
    groove = capsule(own, at(0, -44 + f.groove, 52), at(0, -40 + f.groove, 4), (13 * c, 15 * c))
    notch = capsule(own, at(0, 30 + f.notch, 48), at(0, 6 + f.notch, 0), (14 * c, 14 * c))
    hollow = capsule(own, at(0, 52, 70), at(0, 46, 40), (26 * c, 24 * c))
    return cut(cut(cut(solid, groove, 5), notch, 6), hollow, 8)


def paint_femur(image: Field, plane: Plane, femur: Femur, section: Section, grain: Field) -> None:
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
    share = w / np.float32(femur.length)
    slow = femur.warp((own[1], own[2], own[0]))
    wall = np.interp(
        share,
        [0.02, 0.07, 0.13, 0.22, 0.45, 0.66, 0.78, 0.88, 0.93],
        [0, 0.1, 0.4, 0.85, 1, 0.88, 0.45, 0.08, 0],
    )
    inward = np.clip((femur.offset * 0.75 - u) / np.float32(14 * k), -0.6, 1)
    calcar = np.exp(-np.square((w - 45 * k) / np.float32(24 * k))) * np.clip(inward, 0, 1) * (0.22 * femur.wall)
    rough = femur.rough((w, u, v))
    rim = femur.rim * np.clip(1 + femur.patchy * slow, 0.15, 2.2)
    au, av = axis_at(
        w,
        femur.length,
        (femur.offset * np.cos(femur.version), femur.offset * np.sin(femur.version)),
        (femur.knee, femur.bow),
    )
    back = np.clip((v - av) / np.float32(femur.shaft) - 0.75, 0, 0.5) * np.exp(-np.square((u - au) / 6)) * wall * 8
    thick = rim + wall * (femur.wall - femur.rim) * (1 + 0.12 * slow) * (1 + 0.06 * rough) + calcar + back
    inside = _spongy(own, femur, section, slow) + grain[section.where] * femur.texture * _coarse(share) * (
        1 + 0.3 * rough
    )
    cortex = femur.cortex * np.interp(share, [0, 0.1, 0.2, 0.8, 0.93], [0.72, 0.85, 1, 1, 0.7])
    patch = np.asarray(cortex * (1 - 0.25 * femur.patchy * np.clip(-slow, 0, 1) * (1 - wall)), np.float32)
    paint_bone(image, section, patch, thick.astype(np.float32), inside.astype(np.float32))


def _coarse(share: Field) -> Field:
    """How much trabecular texture there is at each level."""
    return np.interp(share, [0.0, 0.12, 0.22, 0.7, 0.85], [1, 0.7, 0.1, 0.1, 0.7]).astype(np.float32)


def _spongy(own: Points, f: Femur, section: Section, slow: Field) -> Field:
    """HU under the cortex: marrow in the shaft, trabecular bone towards head and condyles."""
    u, v, w = own
    share = w / np.float32(f.length)
    fill = np.interp(share, [0.02, 0.1, 0.2, 0.72, 0.86, 0.95], [0.75, 0.4, 0.0, 0.0, 0.45, 0.85])
    radius = np.sqrt(u * u + v * v + w * w)
    core = np.exp(-np.square(radius / np.float32(0.75 * f.head)))
    across = np.hypot(u - f.offset * 0.45, w - 22)
    poor = np.exp(-np.square(across / 14.0)) * 0.45
    shell = np.exp(np.minimum(section.depth, 0) / 3.5) * np.clip(fill * 2, 0, 1) * 0.5
    amount = np.clip(fill * (1 + 0.3 * slow) + 0.75 * core - poor + shell, 0, 2)
    return np.asarray(f.marrow + amount * (f.trabecular - f.marrow * 0.5), np.float32)
