"""Made-up MR volumes of heads in three sequences, some of whose slices hold a tumour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_medseg.core import ClassInfo, Geometry, Image, Labels

from .shapes import Field, Points, Waves, cut, ellipsoid, union

TUMOUR = ClassInfo.numbered(1, "tumour")
SEQUENCES = ("T1", "FLAIR", "T1 after contrast")

VIEW = 200.0
HEIGHT = 130.0
"""Side of the slices, and what the slices reach over from the base of the brain to the top, in mm."""

SEED = 1863
"""Of the person that the sample shows."""

TISSUES = {
    "scalp": (0.85, 0.55, 0.88), "skull": (0.12, 0.10, 0.12), "fluid": (0.22, 0.12, 0.22),
    "grey matter": (0.48, 0.52, 0.52), "white matter": (0.66, 0.42, 0.68),
    "swelling": (0.42, 0.78, 0.42), "tumour": (0.38, 0.90, 0.50), "rim": (0.40, 0.82, 0.95),
}  # fmt: skip
"""Brightness in each of `SEQUENCES`: what is bright on FLAIR is dark before contrast, and the rim takes it up."""


ALIKE = 0.15
"""Share of the varied heads all of whose sequences are copies of FLAIR, as some archives have them."""


def brain_mr(
    seed: int, *, slices: int = 22, size: int = 192, tumour: bool = True, varied: bool = False
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], tuple[float, float, float]]:
    """One head.

    Parameters
    ----------
    seed
        Of this person; the same one gives the same volume.
    slices, size
        Axial slices from the base to the top, and pixels along their sides.
    tumour
        Whether there is one; it takes up about a third of the slices.
    varied
        Whether contrasts, and the size, place and make of tumours, differ as far as they may in any scanner:
        for training. After Billot et al., "SynthSeg" (2023).

    Returns
    -------
    tuple
        Values (Z, Y, X, 3) in the order of `SEQUENCES`; the mask (Z, Y, X), 1 where the tumour is; spacing in mm.
    """
    rng = np.random.default_rng(seed)
    spacing = (HEIGHT / slices, VIEW / size, VIEW / size)
    z, y, x = (
        (np.arange(n, dtype=np.float32) - (n - 1) / 2) * np.float32(s)
        for n, s in zip((slices, size, size), spacing, strict=True)
    )
    points: Points = (x[None, None, :], y[None, :, None], z[:, None, None])
    tissue = _Tissue(points, rng, _vary(rng) if varied else TISSUES)
    tissue.head()
    grow = tissue.grow_any if varied else tissue.grow
    mask = grow() if tumour else np.zeros(tissue.shape, np.uint8)
    values = _scan(tissue.values, rng)
    if varied and rng.random() < ALIKE:
        values = np.repeat(values[..., 1:2], len(SEQUENCES), -1)
    return values, mask, spacing


def brain_sample(
    seed: int, *, slices: int = 22, size: int = 192, tumour: bool = True, name: str = "head"
) -> tuple[Image, Labels]:
    """`brain_mr` as an image and its labels; slices are named ``head_1.png``, ``head_2.png`` and so on."""
    data, truth, spacing = brain_mr(seed, slices=slices, size=size, tumour=tumour)
    geometry = Geometry(spacing=spacing, unit="mm")
    names = tuple(f"{name}_{n}.png" for n in range(1, slices + 1))
    return Image(data, "ZYXC", geometry, names, "channels"), Labels(truth, (TUMOUR,), geometry, names)


def _vary(rng: np.random.Generator) -> dict[str, tuple[float, ...]]:
    """`TISSUES` of another scanner: a tumour stays brighter than the brain on FLAIR, and mostly darker on T1."""
    found = {name: np.array(value) * np.exp(rng.normal(0, 0.12, len(SEQUENCES))) for name, value in TISSUES.items()}
    found["cyst"] = 1.1 * found["fluid"]
    found["scalp"] *= np.exp(rng.uniform(-0.6, 0.5, len(SEQUENCES)))
    for name in ("swelling", "tumour", "rim"):
        found[name][1] = found["grey matter"][1] * rng.uniform(1.06, 2.1)
    for name in ("swelling", "tumour"):
        before = (found["white matter"][0] + found["grey matter"][0]) / 2 * rng.uniform(0.6, 1.02)
        found[name][[0, 2]] = before, before * rng.uniform(0.95, 1.2)
    brightest = max(1.0, *(float(value.max()) for value in found.values()))
    return {name: tuple((value / brightest).tolist()) for name, value in found.items()}


class _Tissue:
    """Brightness of every voxel in the three sequences, filled from the outside inwards."""

    def __init__(
        self, points: Points, rng: np.random.Generator, tissues: Mapping[str, tuple[float, ...]] = TISSUES
    ) -> None:
        self._points, self._rng, self._tissues = points, rng, tissues
        self.shape = tuple(int(n) for n in np.broadcast_shapes(*(p.shape for p in points)))
        self.values = np.full((*self.shape, 3), 0.02, np.float32)
        self._soft = float(points[0][0, 0, 1] - points[0][0, 0, 0])
        self.wide, self.long, self.high = (float(v) for v in np.array([70, 88, 72]) * rng.uniform(0.94, 1.06, 3))

    def head(self) -> None:
        """Scalp, skull, fluid, the folded brain and its ventricles."""
        low = (0.0, 0.0, -8.0)
        bumps = self._waves(60, 120) * 1.5
        for name, inset in (("scalp", 0.0), ("skull", 6.0), ("fluid", 11.0)):
            radii = (self.wide - inset, self.long - inset, self.high - inset)
            self._fill(name, ellipsoid(self._points, low, radii) + bumps)
        brain = ellipsoid(self._points, low, (self.wide - 13, self.long - 13, self.high - 13))
        cleft = np.abs(self._points[0]) - np.float32(1.2) + 0 * brain
        folds = np.abs(self._waves(14, 34)) * 6.0  # furrows run where the waves pass through zero
        self.brain = cut(np.maximum(brain, np.float32(2.0) - folds + brain / 8), cleft, 1.5)
        self._fill("grey matter", self.brain)
        self._fill("white matter", np.maximum(brain + np.float32(4), self.brain + np.float32(3)))
        horns = [
            ellipsoid(self._points, (side * 11.0, 4.0, 2.0), (6.0 * self._rng.uniform(0.7, 1.4), 30.0, 11.0))
            for side in (-1, 1)
        ]
        self._fill("fluid", union(horns[0], horns[1], 3.0))

    def grow(self) -> NDArray[np.uint8]:
        """Put a tumour with its swelling into one half, and return where it is."""
        rng = self._rng
        side = rng.choice((-1.0, 1.0))
        centre = (side * rng.uniform(24, 38), rng.uniform(-38, 38), rng.uniform(-12, 22))
        radii = tuple(float(r) for r in rng.uniform(11, 22, 3))
        lump = ellipsoid(self._points, centre, (radii[0], radii[1], radii[2])) + self._waves(18, 45) * 3
        inside = np.maximum(lump, self.brain - np.float32(3))
        self._fill("swelling", inside, blur=3.0)
        core = np.maximum(lump + np.float32(0.4 * min(radii)), inside)
        self._fill("tumour", core)
        if rng.random() < 0.6:
            self._fill("rim", np.maximum(core, -core - np.float32(2.5)))
        return np.asarray(inside < 0, np.uint8)

    def grow_any(self) -> NDArray[np.uint8]:
        """The same anywhere in the brain: one or two, large or small, sharp or not, solid or with a cyst."""
        rng, mask = self._rng, np.zeros(self.shape, bool)
        for _ in range(1 if rng.random() < 0.85 else 2):
            centre = rng.uniform((-48, -60, -45), (48, 60, 40))
            radii = np.exp(rng.uniform(np.log(7), np.log(38))) * rng.uniform(0.7, 1.3, 3)
            lump = ellipsoid(self._points, tuple(centre.tolist()), tuple(radii.tolist()))
            inside = np.maximum(lump + self._waves(14, 45) * rng.uniform(1, 6), self.brain - np.float32(3))
            self._fill("swelling", inside, blur=rng.uniform(1, 6))
            core = np.maximum(inside, lump + np.float32(rng.uniform(0.2, 0.8) * radii.min()))
            kind = rng.choice(["swelling", "tumour", "cyst"], p=(0.25, 0.45, 0.3))
            if kind != "swelling":
                self._fill(str(kind), core)
            if rng.random() < 0.4:
                self._fill("rim", np.maximum(core, -core - np.float32(rng.uniform(1.5, 4))))
            mask |= inside < 0
        return mask.astype(np.uint8)

    def _fill(self, name: str, distance: Field, blur: float = 1.0) -> None:
        share = np.clip(0.5 - distance / np.float32(self._soft * blur), 0, 1)[..., None]
        value = np.asarray(self._tissues[name], np.float32) * np.float32(self._rng.uniform(0.93, 1.07))
        self.values += share * (value - self.values)

    def _waves(self, shortest: float, longest: float, count: int = 10) -> Field:
        """Smooth noise with wavelengths (mm) in a range."""
        turned = self._rng.normal(size=(count, 3))
        turned /= np.linalg.norm(turned, axis=1, keepdims=True)
        length = np.exp(self._rng.uniform(np.log(shortest), np.log(longest), (count, 1)))
        phases = self._rng.uniform(0, 2 * np.pi, count).astype(np.float32)
        return Waves((turned * (2 * np.pi / length)).astype(np.float32), phases)(self._points)


def _scan(values: Field, rng: np.random.Generator) -> NDArray[np.uint8]:
    """What the scanner makes of it: uneven sensitivity, blur, and noise of the magnitude (Rician)."""
    low: NDArray[Any] = rng.normal(size=values.shape[:3])
    field = np.asarray(gaussian_filter(low, [n / 4 for n in values.shape[:3]]), np.float32)
    field = 1 + 0.12 * field / max(float(np.abs(field).max()), 1e-6)
    out = np.empty_like(values)
    for i in range(values.shape[-1]):
        sharp = gaussian_filter(values[..., i] * field, (0.0, 0.5, 0.5))
        real, imaginary = (rng.normal(0, 0.025, sharp.shape).astype(np.float32) for _ in range(2))
        out[..., i] = np.hypot(sharp + real, imaginary) * rng.uniform(0.85, 1.1)
    return np.asarray(np.clip(out * 230, 0, 255), np.uint8)
