"""One made-up person: every size, density and pose that the phantom draws from, chosen at random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .plane import Pose, rotation
from .shapes import Waves, draw_waves

_Levels = TypeVar("_Levels", NDArray[np.float64], Tensor)
Draw = Callable[[float, float], float]


@dataclass(frozen=True)
class Femur:
    """One femur. Lengths in mm, densities in HU.

    Own axes: u outwards, v backwards, w towards the knee; the origin is the centre of the head and the
    middle of the knee lies at ``(knee, 0, length)``.
    """

    pose: Pose
    length: float
    girth: float
    head: float
    offset: float
    neck: float
    version: float
    knee: float
    bow: float
    shaft: float
    oval: float
    ridge: float
    condyles: float
    medial: float
    notch: float
    groove: float
    trochanter: float
    lesser: float
    cortex: float
    wall: float
    rim: float
    marrow: float
    trabecular: float
    texture: float
    rough: Waves
    warp: Waves
    roughness: float
    bent: float
    patchy: float
    axis: NDArray[np.float64]

    def centre(self, z: float) -> tuple[float, float]:
        """Where (room x, y in mm) the axis of the shaft passes a level."""
        order = np.argsort(self.axis[:, 2])
        points = self.axis[order]
        return float(np.interp(z, points[:, 2], points[:, 0])), float(np.interp(z, points[:, 2], points[:, 1]))


@dataclass(frozen=True)
class Anatomy:
    """A person from hip to knee; see `draw_anatomy`. Lengths in mm, densities in HU.

    ``femora`` holds the image's left one first. ``hip`` is half the distance of the two heads. ``build`` holds
    further free numbers that single structures read by name.
    """

    seed: int
    scale: float
    hip: float
    pelvis: Pose
    femora: tuple[Femur, Femur]
    gap: float
    fat: float
    bulk: float
    muscle: float
    fat_value: float
    seam: float
    male: bool
    build: dict[str, float]
    outline: Waves
    inner: Waves
    fine: Waves

    def height(self, level: float) -> float:
        """Room level (mm) of a share of the femur."""
        start, end = self.ends
        return start + level * (end - start)

    @property
    def ends(self) -> tuple[float, float]:
        """Room levels (mm) of the heads and of the knee joints, each the mean of both sides."""
        heads = [f.pose.origin[2] for f in self.femora]
        knees = [f.pose.room(np.array([[f.knee, 0, f.length]]))[0, 2] for f in self.femora]
        return float(np.mean(heads)), float(np.mean(knees))


def _shaft_axis(length: float, offset: tuple[float, float], knee: float, bow: float) -> NDArray[np.float64]:
    """Points of the shaft's curved axis in the femur's own axes, from above the hip to below the knee."""
    w = np.linspace(-0.3 * length, 1.3 * length, 81)
    u, v = axis_at(w, length, offset, (knee, bow))
    return np.stack([u, v, w], axis=1)


def axis_at(
    w: _Levels, length: float, offset: tuple[float, float], curve: tuple[float, float]
) -> tuple[_Levels, _Levels]:
    """Own u and v (mm) of the shaft's axis at own levels `w`; ``curve`` is (knee, bow)."""
    top = 0.1 * length
    share = (w - top) / (length - top)
    bowed = 4 * curve[1] * share.clip(0, 1) * (1 - share.clip(0, 1))
    u = offset[0] + (curve[0] - offset[0]) * share
    v = offset[1] * (1 - share) - bowed
    return u, v


def _draw_femur(draw: Draw, rng: np.random.Generator, shared: dict[str, float], pose: Pose) -> Femur:
    """One femur with the shared build and small differences of its own."""
    k = shared["scale"]
    girth = k * shared["girth"] * draw(0.97, 1.03)
    length = 430 * k * draw(0.99, 1.01)
    version = np.deg2rad(shared["version"] + draw(-5, 5))
    reach = shared["offset"] * k * draw(0.95, 1.05)
    offset = (float(reach * np.cos(version)), float(reach * np.sin(version)))
    knee, bow = draw(-8, 8) * k, shared["bow"] * draw(0.8, 1.2)
    own = _shaft_axis(length, offset, knee, bow)
    return Femur(
        pose=pose,
        length=length,
        girth=girth,
        head=23.3 * k * shared["head"] * draw(0.98, 1.02),
        offset=reach,
        neck=shared["neck"] * girth,
        version=float(version),
        knee=knee,
        bow=bow,
        shaft=14.2 * girth * shared["shaft"],
        oval=shared["oval"],
        ridge=draw(0.5, 4.5),
        condyles=shared["condyles"] * k * draw(0.98, 1.02),
        medial=draw(14.5, 18.5),
        notch=draw(10, 21),
        groove=draw(1, 8),
        trochanter=shared["trochanter"] * girth,
        lesser=draw(6.5, 10) * girth,
        cortex=shared["cortex"] + draw(-30, 30),
        wall=shared["wall"] * 14.2 * girth * draw(0.93, 1.07),
        rim=shared["rim"] * draw(0.8, 1.2),
        marrow=shared["marrow"] + draw(-15, 15),
        trabecular=shared["trabecular"] * draw(0.85, 1.15),
        texture=shared["texture"],
        rough=draw_waves(rng, (9, 40), 6),
        warp=draw_waves(rng, (45, 140), 4),
        roughness=draw(0.15, 0.65),
        bent=draw(0.3, 1.4),
        patchy=shared["patchy"],
        axis=pose.room(own),
    )


def _shared_femur(draw: Draw, rng: np.random.Generator) -> dict[str, float]:
    """What both femora of a person have in common."""
    dense = float(np.clip(rng.normal(0.6, 0.25), 0, 1.1))
    return {
        "scale": float(np.clip(rng.normal(1.0, 0.075), 0.8, 1.2)),
        "girth": draw(0.9, 1.1),
        "version": draw(-2, 32),
        "offset": draw(34, 53),
        "head": draw(0.9, 1.12),
        "neck": draw(13, 17),
        "bow": draw(3, 18),
        "shaft": draw(0.88, 1.12),
        "oval": draw(0.88, 1.2),
        "condyles": draw(0.9, 1.12),
        "trochanter": draw(10.5, 14.5),
        "cortex": 1000 + 700 * dense + draw(-120, 180),
        "wall": 0.28 + 0.3 * dense + draw(-0.08, 0.08),
        "rim": 0.5 + 0.8 * dense + draw(0, 0.8),
        "marrow": draw(-110, 60),
        "trabecular": 40 + 270 * dense + draw(-20, 80),
        "texture": draw(25, 110),
        "patchy": draw(0.1, 0.9),
    }


def _build(draw: Draw, rng: np.random.Generator) -> dict[str, float]:
    """Free numbers of the other structures."""
    names = "torso depth waist thigh tilt back bladder ramus ischium cup knee_bend patella pubis bowel cleft"
    build = {name: draw(0, 1) for name in names.split()}
    build["hand_left"], build["hand_right"] = rng.choice([0, 1], 2, p=[0.4, 0.6]).astype(float)
    build["calcified"] = float(rng.random() < 0.25)
    build["contrast"] = draw(100, 420) if rng.random() < 0.2 else 0.0
    build["together"] = draw(0, 1) ** 0.7
    build["nail"] = float(rng.random() < 0.015)
    return build


def draw_anatomy(seed: int) -> Anatomy:
    """Draw a person lying on the back. The same seed gives the same person."""
    rng = np.random.default_rng([seed, 11])

    def draw(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    shared = _shared_femur(draw, rng)
    k = shared["scale"]
    hip = k * draw(78, 98)
    fat = float(np.exp(rng.uniform(np.log(4), np.log(45))))
    bulk = draw(0.78, 1.15) * (1 + 0.003 * fat)
    off_centre = (draw(-30, 30), draw(-35, 35), 0.0)
    flexion, abduction, turn = draw(-6, 26), draw(-4, 7) + fat * 0.06, draw(-5, 22)
    pelvis = Pose(off_centre, rotation(draw(-12, 12), draw(-8, 8), draw(-6, 6)))
    heads = pelvis.room(np.array([[-hip, 0, 0], [hip, 0, 0]], float))
    femora = []
    for mirror, head in zip((-1.0, 1.0), heads, strict=True):
        x, y, z = (float(h) for h in head)
        matrix = rotation(flexion + draw(-5, 5), abduction + draw(-3, 3), turn + draw(-12, 12))
        femora.append(_draw_femur(draw, rng, shared, Pose((x, y, z + draw(-4, 4)), matrix, mirror)))
    return Anatomy(
        seed=seed,
        scale=k,
        hip=hip,
        pelvis=pelvis,
        femora=(femora[0], femora[1]),
        gap=float(np.exp(rng.uniform(np.log(0.7), np.log(4.5)))),
        fat=fat,
        bulk=bulk,
        muscle=draw(35, 70),
        fat_value=draw(-120, -80),
        seam=draw(0.2, 1) ** 2 * (1.5 + 0.05 * fat),
        male=bool(rng.random() < 0.5),
        build=_build(draw, rng),
        outline=draw_waves(rng, (60, 220), 5),
        inner=draw_waves(rng, (25, 90), 6),
        fine=draw_waves(rng, (8, 24), 5),
    )
