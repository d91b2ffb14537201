"""Made-up MR volumes of heads in three sequences, some of whose slices hold a tumour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_medseg.core import ClassInfo, Geometry, Image, Labels

from .fields import smooth
from .head import SEQUENCES, TISSUES, HeadTissue, vary_tissues
from .shapes import Points

TUMOUR = ClassInfo.numbered(1, "tumour")

VIEW = 200.0
HEIGHT = 130.0
"""Side of the slices, and what the slices reach over from the base of the brain to the top, in mm."""

SEED = 1863
"""Of the person that the sample shows."""

UNEVEN, NOISE = 0.12, 0.025
"""How far a coil's sensitivity differs from place to place, and deviation of the noise; varied heads have more or less.
"""

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

    def arrays(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8], tuple[float, float, float]]:
        """The same as numpy arrays: values (Z, Y, X, 3), the mask (Z, Y, X), 1 where the tumour is; spacing."""
        values = self.values.movedim(1, -1).contiguous().cpu().numpy()
        return values, self.tumour.cpu().numpy().astype(np.uint8), self.spacing


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
        Whether contrasts, evenness and noise, and the size, place and make of tumours, differ as far as they may in any
        scanner, and the base of the skull and the eyes are drawn, too: for training. After Billot et al., "SynthSeg"
        (2023).
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
    tissue = HeadTissue(points, spacing[2], rng, vary_tissues(rng) if varied else TISSUES)
    tissue.head(based=varied)
    grow = tissue.grow_any if varied else tissue.grow
    mask = grow() if tumour else torch.zeros(slices, size, size, dtype=torch.bool, device=device)
    uneven, noise = np.exp(rng.uniform(np.log((0.05, 0.006)), np.log((0.5, 0.03)))) if varied else (UNEVEN, NOISE)
    values = _scan(tissue.values, rng, float(uneven), float(noise))
    if varied and rng.random() < ALIKE:
        values = values[:, 1:2].repeat(1, len(SEQUENCES), 1, 1)
    return Head(values, mask, spacing)


def brain_sample(
    seed: int, *, slices: int = 22, size: int = 192, tumour: bool = True, name: str = "head"
) -> tuple[Image, Labels]:
    """A head as an image and its labels; slices are named ``head_1.png``, ``head_2.png`` and so on."""
    data, truth, spacing = draw_head(seed, slices=slices, size=size, tumour=tumour).arrays()
    geometry = Geometry(spacing=spacing, unit="mm")
    names = tuple(f"{name}_{n}.png" for n in range(1, slices + 1))
    image = Image(data, "ZYXC", geometry, names, "channels", channel_names=SEQUENCES)
    return image, Labels(truth, (TUMOUR,), geometry, names)


def _scan(values: Tensor, rng: np.random.Generator, uneven: float, noise: float) -> Tensor:
    """What the scanner makes of it: uneven sensitivity, blur, and noise of the magnitude (Rician)."""
    shape = values[:, 0].shape

    def random() -> Tensor:
        return torch.from_numpy(rng.normal(size=shape).astype(np.float32)).to(values.device)

    field = smooth(random(), [n / 4 for n in shape])
    field = 1 + uneven * field / field.abs().max().clamp(min=1e-6)
    out = torch.empty_like(values)
    for i in range(values.shape[1]):
        sharp = smooth(values[:, i] * field, (0, 0.5, 0.5))
        real, imaginary = sharp.add_(random(), alpha=noise), random().mul_(noise)
        out[:, i] = torch.hypot(real, imaginary).mul_(rng.uniform(0.85, 1.1))
    return out.mul_(230).clamp_(0, 255).to(torch.uint8)
