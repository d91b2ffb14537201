"""What a made-up head in MR is made of: tissues in three sequences, filled from the outside inwards, and tumours."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from .shapes import Points, Vector, Waves, cut, ellipsoid, union

SEQUENCES = ("T1", "FLAIR", "T1 after contrast")

TISSUES = {
    "scalp": (0.85, 0.55, 0.88), "skull": (0.12, 0.10, 0.12), "fluid": (0.22, 0.12, 0.22),
    "grey matter": (0.48, 0.52, 0.52), "white matter": (0.66, 0.42, 0.68),
    "swelling": (0.42, 0.78, 0.42), "tumour": (0.38, 0.90, 0.50), "rim": (0.40, 0.82, 0.95),
}  # fmt: skip
"""Brightness in each of `SEQUENCES`: what is bright on FLAIR is dark before contrast, and the rim takes it up."""


def vary_tissues(rng: np.random.Generator) -> dict[str, tuple[float, ...]]:
    """`TISSUES` of another scanner: a tumour stays brighter than the brain on FLAIR, and mostly darker on T1."""
    found = {name: np.array(value) * np.exp(rng.normal(0, 0.12, len(SEQUENCES))) for name, value in TISSUES.items()}
    found["cyst"] = found["fluid"] * rng.uniform(0.8, 2.0)
    found["mass"] = found["grey matter"] * rng.uniform(0.7, 1.3, len(SEQUENCES))
    found["fat"], found["muscle"] = found["scalp"] * rng.uniform(0.7, 1.1), found["grey matter"] * rng.uniform(0.4, 1.0)
    found["air"] = np.full(len(SEQUENCES), 0.02)
    found["hindbrain"] = (found["grey matter"] + found["white matter"]) / 2 * rng.uniform(0.85, 1.35)
    found["cap"] = found["white matter"] * (1, rng.uniform(1, 1.5), 1)
    found["mucosa"] = found["grey matter"] * rng.uniform(0.7, 2, len(SEQUENCES))
    found["scalp"] *= np.exp(rng.uniform(-0.6, 0.5, len(SEQUENCES)))
    for name in ("swelling", "tumour", "rim"):
        found[name][1] = found["grey matter"][1] * rng.uniform(1.06, 2.1)
    for name in ("swelling", "tumour"):
        before = (found["white matter"][0] + found["grey matter"][0]) / 2 * rng.uniform(0.6, 1.02)
        found[name][[0, 2]] = before, before * rng.uniform(0.95, 1.2)
    brightest = max(1.0, *(float(value.max()) for value in found.values()))
    return {name: tuple((value / brightest).tolist()) for name, value in found.items()}


class HeadTissue:
    """Brightness of every voxel in the three sequences, (Z, 3, Y, X), filled from the outside inwards.

    ``pixel`` is the size (mm) of one, which borders are blurred over.
    """

    def __init__(
        self, points: Points, pixel: float, rng: np.random.Generator, tissues: Mapping[str, tuple[float, ...]]
    ) -> None:
        self._points, self._pixel, self._rng, self._tissues = points, pixel, rng, tissues
        x, y, z = points
        self.shape = slices, rows, columns = len(z), y.shape[1], x.shape[2]
        self.values = torch.full((slices, len(SEQUENCES), rows, columns), 0.02, device=x.device)
        self.wide, self.long, self.high = (np.array([70, 88, 72]) * rng.uniform(0.94, 1.06, 3)).tolist()

    def head(self, *, based: bool = False) -> None:
        """Scalp, skull, fluid, the folded brain and its ventricles; the base of the skull and the eyes if asked."""
        low = (0.0, 0.0, -8.0)
        bumps = self._waves(60, 120) * 1.5
        for name, inset in (("scalp", 0.0), ("skull", 6.0), ("fluid", 11.0)):
            radii = (self.wide - inset, self.long - inset, self.high - inset)
            self._fill(name, ellipsoid(self._points, low, radii).add_(bumps))
        brain = ellipsoid(self._points, low, (self.wide - 13, self.long - 13, self.high - 13))
        hind = None
        if based:
            skull = ellipsoid(self._points, low, (self.wide - 9, self.long - 9, self.high - 9))
            brain, hind = self._base(brain, skull)
        cleft = self._points[0].abs() - 1.2
        folds = self._waves(14, 34).abs_().mul_(6)  # furrows run where the waves pass through zero
        self.brain = cut(torch.maximum(brain, (brain / 8 + 2).sub_(folds)), cleft, 1.5)
        self._fill("grey matter", self.brain)
        self._fill("white matter", torch.maximum(brain + 4, self.brain + 3))
        horns = [
            ellipsoid(self._points, (side * 11.0, 4.0, 2.0), (6.0 * self._rng.uniform(0.7, 1.4), 30.0, 11.0))
            for side in (-1, 1)
        ]
        ventricles = union(horns[0], horns[1], 3.0)
        if hind is not None:
            self._differ(hind, ventricles)
        self._fill("fluid", ventricles)

    def _differ(self, hind: Tensor, ventricles: Tensor) -> None:
        """What is not alike in every brain: the hindbrain, a glow around the ventricles, slow differences of tissue."""
        self._fill("hindbrain", torch.maximum(self.brain, hind), blur=2.0)
        folds = (self._waves(5, 12) - self._rng.uniform(0, 1)) * 2
        self._fill("white matter", torch.maximum(torch.maximum(self.brain + 2, hind + 2), folds), blur=4.0)
        self._fill("cap", torch.maximum(self.brain + 2, ventricles - self._rng.uniform(0, 5)), blur=3.0)
        inside = (self.brain < 0)[:, None]
        for i in range(len(SEQUENCES)):
            self.values[:, i : i + 1] *= 1 + inside * self._waves(30, 90)[:, None] * self._rng.uniform(0, 0.07)

    def _base(self, brain: Tensor, skull: Tensor) -> tuple[Tensor, Tensor]:
        """Fill the skull's base, and return the brain that lies above, and the hindbrain in it.

        ``skull`` is the inside of the skull's outer wall.
        """
        _, y, z = self._points
        size, down = self._rng.uniform(0.9, 1.1), self._rng.uniform(-10, 10)

        def lump(centre: Vector, radii: Vector) -> Tensor:
            raised = centre[0] * size, centre[1] * size, centre[2] + down
            return ellipsoid(self._points, raised, (radii[0] * size, radii[1] * size, radii[2] * size))

        above = (down - 20) - z - 0.12 * y
        hind = union(lump((0.0, 42.0, -42.0), (50.0, 34.0, 26.0)), lump((0.0, 12.0, -45.0), (14.0, 12.0, 60.0)), 3.0)
        for part in (*(lump((side * 37.0, -10.0, -28.0), (21.0, 33.0, 24.0)) for side in (-1, 1)), hind):
            above = union(above, part, 3.0)
        inner = torch.maximum(brain, above)
        below = torch.maximum(skull, 4 - inner)
        self._fill("muscle", below)
        rough = self._waves(9, 30)
        for name, wave in (("fat", rough), ("skull", -rough)):
            self._fill(name, torch.maximum(below, (self._rng.uniform(0.3, 1.1) - wave) * 4))
        caves = (self._rng.uniform(0.3, 1.1) - self._waves(12, 35)) * 4
        self._fill("mucosa", torch.maximum(below, caves - self._rng.uniform(0, 3)))
        self._fill("air", torch.maximum(below, caves))
        for side in (-1, 1):
            self._fill("fat", torch.maximum(lump((side * 30.0, -46.0, -32.0), (19.0, 26.0, 18.0)), below))
            eye = ellipsoid(self._points, (side * 29.0 * size, -49.0 * size, down - 32.0), (12.0, 12.0, 12.0))
            self._fill("muscle", torch.maximum(eye - 1.5, below))
            self._fill("fluid", torch.maximum(eye, below))
        return inner, hind

    def grow(self) -> Tensor:
        """Put a tumour with its swelling into one half, and return where it is."""
        rng = self._rng
        side = float(rng.choice((-1.0, 1.0)))
        centre = (side * rng.uniform(24, 38), rng.uniform(-38, 38), rng.uniform(-12, 22))
        a, b, c = rng.uniform(11, 22, 3).tolist()
        lump = ellipsoid(self._points, centre, (a, b, c)).add_(self._waves(18, 45), alpha=3)
        inside = torch.maximum(lump, self.brain - 3)
        self._fill("swelling", inside, blur=3.0)
        core = torch.maximum(lump + 0.4 * min(a, b, c), inside)
        self._fill("tumour", core)
        if rng.random() < 0.6:
            self._fill("rim", torch.maximum(core, -core - 2.5))
        return inside < 0

    def grow_any(self) -> Tensor:
        """The same anywhere in the brain: one or two, large or small, sharp or not, alike throughout or mixed."""
        mask = torch.zeros(self.shape, dtype=torch.bool, device=self.values.device)
        for _ in range(1 if self._rng.random() < 0.85 else 2):
            mask |= self._lump() < 0
        return mask

    def _lump(self) -> Tensor:
        """One of them, and the distance to it; its core lies anywhere in it, up to its border."""
        rng = self._rng
        centre = rng.uniform((-48, -60, -50), (48, 60, 40))
        radii = np.exp(rng.uniform(np.log(7), np.log(38))) * rng.uniform(0.7, 1.3, 3)
        share = rng.uniform(0.3, 0.85)
        beside = centre + rng.uniform(-1, 1, 3) * radii * (1 - share) * rng.uniform(0, 1.3)
        whole, core = (
            ellipsoid(self._points, (float(c[0]), float(c[1]), float(c[2])), (float(r[0]), float(r[1]), float(r[2])))
            for c, r in ((centre, radii), (beside, radii * share))
        )
        bumps = self._waves(14, 45) * rng.uniform(1, 6)
        kind = str(rng.choice(["swelling", "tumour", "cyst", "mass"], p=(0.3, 0.25, 0.2, 0.25)))
        if kind != "swelling":
            whole = torch.minimum(whole, core)
        inside = torch.maximum(whole + bumps, self.brain - 3)
        self._fill("swelling", inside, blur=rng.uniform(1, 6))
        if kind == "swelling":
            return inside
        core = torch.maximum(inside, core + bumps)
        self._fill(kind, core, blur=rng.uniform(1, 4))
        if kind == "mass":
            patches = self._waves(8, 30)
            for name, wave in (("cyst", patches), ("tumour", -patches)):
                self._fill(name, torch.maximum(core, (rng.uniform(0.2, 1.5) - wave) * 4), blur=2.0)
        if rng.random() < 0.4:
            self._fill("rim", torch.maximum(core, -core - rng.uniform(1.5, 4)))
        return inside

    def _fill(self, name: str, distance: Tensor, blur: float = 1.0) -> None:
        share = (distance / (-self._pixel * blur)).add_(0.5).clamp_(0, 1)[:, None]
        value = torch.tensor(self._tissues[name], device=share.device)[:, None, None] * self._rng.uniform(0.93, 1.07)
        self.values.addcmul_(share, value - self.values)

    def _waves(self, shortest: float, longest: float, count: int = 10) -> Tensor:
        """Smooth noise with wavelengths (mm) in a range."""
        turned = self._rng.normal(size=(count, 3))
        turned /= np.linalg.norm(turned, axis=1, keepdims=True)
        length = np.exp(self._rng.uniform(np.log(shortest), np.log(longest), (count, 1)))
        phases = self._rng.uniform(0, 2 * np.pi, count).astype(np.float32)
        return Waves((turned * (2 * np.pi / length)).astype(np.float32), phases)(self._points)
