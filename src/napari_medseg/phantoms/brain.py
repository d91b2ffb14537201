"""Made-up MR volumes of heads in three sequences, some of whose slices hold a tumour."""

from __future__ import annotations

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


def brain_mr(
    seed: int, *, slices: int = 22, size: int = 192, tumour: bool = True
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
    tissue = _Tissue(points, rng)
    tissue.head()
    mask = tissue.grow() if tumour else np.zeros(tissue.shape, np.uint8)
    return _scan(tissue.values, rng), mask, spacing


def brain_sample(
    seed: int, *, slices: int = 22, size: int = 192, tumour: bool = True, name: str = "head"
) -> tuple[Image, Labels]:
    """`brain_mr` as an image and its labels; slices are named ``head_1.png``, ``head_2.png`` and so on."""
    data, truth, spacing = brain_mr(seed, slices=slices, size=size, tumour=tumour)
    geometry = Geometry(spacing=spacing, unit="mm")
    names = tuple(f"{name}_{n}.png" for n in range(1, slices + 1))
    return Image(data, "ZYXC", geometry, names), Labels(truth, (TUMOUR,), geometry, names)


class _Tissue:
    """Brightness of every voxel in the three sequences, filled from the outside inwards."""

    def __init__(self, points: Points, rng: np.random.Generator) -> None:
        self._points, self._rng = points, rng
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

    def _fill(self, name: str, distance: Field, blur: float = 1.0) -> None:
        share = np.clip(0.5 - distance / np.float32(self._soft * blur), 0, 1)[..., None]
        value = np.asarray(TISSUES[name], np.float32) * np.float32(self._rng.uniform(0.93, 1.07))
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
