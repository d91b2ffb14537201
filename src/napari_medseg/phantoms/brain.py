"""Made-up MR volumes of heads in three sequences, some of whose slices hold a tumour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_medseg.core import ClassInfo, Geometry, Image, Labels

from .fields import smooth
from .shapes import Points, Waves, cut, ellipsoid, union

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


@dataclass(frozen=True)
class Head:
    """One head, on the device that it was drawn on.

    Attributes
    ----------
    values
        uint8, shape (Z, 3, Y, X), the channels in the order of `SEQUENCES`.
    tumour
        bool, shape (Z, Y, X).
    spacing
        z, y, x in mm.
    """

    values: Tensor
    tumour: Tensor
    spacing: tuple[float, float, float]


def draw_head(
    seed: int,
    *,
    slices: int = 22,
    size: int = 192,
    tumour: bool = True,
    varied: bool = False,
    device: str | torch.device = "cpu",
) -> Head:
    """Draw one head, on any device.

    The person and the noise are drawn on the CPU, so that a seed gives the same picture on every device.

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
    device
        Where the tensors lie.
    """
    rng = np.random.default_rng(seed)
    spacing = (HEIGHT / slices, VIEW / size, VIEW / size)
    z, y, x = (
        (torch.arange(n, device=device, dtype=torch.float32) - (n - 1) / 2) * s
        for n, s in zip((slices, size, size), spacing, strict=True)
    )
    points: Points = (x[None, None, :], y[None, :, None], z[:, None, None])
    tissue = _Tissue(points, spacing[2], rng, _vary(rng) if varied else TISSUES)
    tissue.head()
    grow = tissue.grow_any if varied else tissue.grow
    mask = grow() if tumour else torch.zeros(slices, size, size, dtype=torch.bool, device=device)
    values = _scan(tissue.values, rng)
    if varied and rng.random() < ALIKE:
        values = values[:, 1:2].repeat(1, len(SEQUENCES), 1, 1)
    return Head(values, mask, spacing)


def brain_mr(
    seed: int,
    *,
    slices: int = 22,
    size: int = 192,
    tumour: bool = True,
    varied: bool = False,
    device: str | torch.device = "cpu",
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], tuple[float, float, float]]:
    """`draw_head` as arrays.

    Returns
    -------
    tuple
        Values (Z, Y, X, 3) in the order of `SEQUENCES`; the mask (Z, Y, X), 1 where the tumour is; spacing in mm.
    """
    head = draw_head(seed, slices=slices, size=size, tumour=tumour, varied=varied, device=device)
    values = head.values.movedim(1, -1).contiguous().cpu().numpy()
    return values, head.tumour.cpu().numpy().astype(np.uint8), head.spacing


def brain_sample(
    seed: int,
    *,
    slices: int = 22,
    size: int = 192,
    tumour: bool = True,
    name: str = "head",
    device: str | torch.device = "cpu",
) -> tuple[Image, Labels]:
    """`brain_mr` as an image and its labels; slices are named ``head_1.png``, ``head_2.png`` and so on."""
    data, truth, spacing = brain_mr(seed, slices=slices, size=size, tumour=tumour, device=device)
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

    def head(self) -> None:
        """Scalp, skull, fluid, the folded brain and its ventricles."""
        low = (0.0, 0.0, -8.0)
        bumps = self._waves(60, 120) * 1.5
        for name, inset in (("scalp", 0.0), ("skull", 6.0), ("fluid", 11.0)):
            radii = (self.wide - inset, self.long - inset, self.high - inset)
            self._fill(name, ellipsoid(self._points, low, radii).add_(bumps))
        brain = ellipsoid(self._points, low, (self.wide - 13, self.long - 13, self.high - 13))
        cleft = self._points[0].abs() - 1.2
        folds = self._waves(14, 34).abs_().mul_(6)  # furrows run where the waves pass through zero
        self.brain = cut(torch.maximum(brain, (brain / 8 + 2).sub_(folds)), cleft, 1.5)
        self._fill("grey matter", self.brain)
        self._fill("white matter", torch.maximum(brain + 4, self.brain + 3))
        horns = [
            ellipsoid(self._points, (side * 11.0, 4.0, 2.0), (6.0 * self._rng.uniform(0.7, 1.4), 30.0, 11.0))
            for side in (-1, 1)
        ]
        self._fill("fluid", union(horns[0], horns[1], 3.0))

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
        """The same anywhere in the brain: one or two, large or small, sharp or not, solid or with a cyst."""
        rng, mask = self._rng, torch.zeros(self.shape, dtype=torch.bool, device=self.values.device)
        for _ in range(1 if rng.random() < 0.85 else 2):
            x, y, z = rng.uniform((-48, -60, -45), (48, 60, 40)).tolist()
            a, b, c = (np.exp(rng.uniform(np.log(7), np.log(38))) * rng.uniform(0.7, 1.3, 3)).tolist()
            lump = ellipsoid(self._points, (x, y, z), (a, b, c))
            inside = torch.maximum(lump + self._waves(14, 45) * rng.uniform(1, 6), self.brain - 3)
            self._fill("swelling", inside, blur=rng.uniform(1, 6))
            core = torch.maximum(inside, lump + rng.uniform(0.2, 0.8) * min(a, b, c))
            kind = rng.choice(["swelling", "tumour", "cyst"], p=(0.25, 0.45, 0.3))
            if kind != "swelling":
                self._fill(str(kind), core)
            if rng.random() < 0.4:
                self._fill("rim", torch.maximum(core, -core - rng.uniform(1.5, 4)))
            mask |= inside < 0
        return mask

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


def _scan(values: Tensor, rng: np.random.Generator) -> Tensor:
    """What the scanner makes of it: uneven sensitivity, blur, and noise of the magnitude (Rician)."""
    shape = values[:, 0].shape

    def noise() -> Tensor:
        return torch.from_numpy(rng.normal(size=shape).astype(np.float32)).to(values.device)

    field = smooth(noise(), [n / 4 for n in shape])
    field = 1 + 0.12 * field / field.abs().max().clamp(min=1e-6)
    out = torch.empty_like(values)
    for i in range(values.shape[1]):
        sharp = smooth(values[:, i] * field, (0, 0.5, 0.5))
        real, imaginary = sharp.add_(noise(), alpha=0.025), noise().mul_(0.025)
        out[:, i] = torch.hypot(real, imaginary).mul_(rng.uniform(0.85, 1.1))
    return out.mul_(230).clamp_(0, 255).to(torch.uint8)
