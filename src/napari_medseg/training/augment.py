"""Vary training samples; images and labels move together.

Position, rotation, scale and bending are composed into one sampling grid, used once for the image and once for the
labels. That is why kornia is not used here: its chain of transforms samples once per step, fills the outside of labels
with 0 (background) where this project must not claim anything, and took several times as long on a CPU.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .losses import IGNORE
from .presets import Augmentation


@dataclass
class Dice:
    """Seeded random numbers: few and cheap ones on the CPU, one per sample."""

    generator: torch.Generator

    def between(self, low: float, high: float, n: int) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=self.generator)

    def around(self, most: float, n: int) -> Tensor:
        return self.between(-most, most, n)

    def happens(self, probability: float, n: int) -> Tensor:
        return torch.rand(n, generator=self.generator) < probability


def augment(
    image: Tensor, labels: Tensor, preset: Augmentation, generator: torch.Generator, *, sides: bool = False
) -> tuple[Tensor, Tensor]:
    """Return varied copies of a batch.

    Parameters
    ----------
    image
        Normalised input, (N, C, H, W), float32.
    labels
        Class indices or `IGNORE`, (N, H, W), int64; what lies outside the image becomes `IGNORE`.
    preset
        What to do, an entry of ``AUGMENTATIONS``.
    generator
        Random numbers, on the CPU: the same on every device.
    sides
        Whether left and right are different classes: then nothing is mirrored or turned upside down.
    """
    if preset == Augmentation():
        return image, labels
    dice = Dice(generator)
    image, labels = move(image, labels, preset, dice, sides=sides)
    return change_values(image, preset, dice), labels


def move(image: Tensor, labels: Tensor, preset: Augmentation, dice: Dice, *, sides: bool) -> tuple[Tensor, Tensor]:
    """Mirror, turn, scale, shift and bend image and labels alike."""
    n, _, height, width = image.shape
    colour = image.shape[1] % 3 == 0
    matrix = _matrices(n, height / width, preset, dice, mirror=not sides, free=colour and not sides)
    grid = functional.affine_grid(matrix.to(image.device), [n, 1, height, width], align_corners=False)
    if preset.elastic:
        coarse = torch.stack([dice.around(preset.elastic * 2, n * 25).view(n, 5, 5) for _ in range(2)], 1)
        bend = functional.interpolate(coarse.to(image.device), (height, width), mode="bicubic", align_corners=True)
        grid = grid + bend.permute(0, 2, 3, 1)
    moved = functional.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    # Shifted by one so that the zeros from outside the image become IGNORE.
    shifted = (labels - IGNORE)[:, None].float()
    moved_labels = functional.grid_sample(shifted, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return moved, moved_labels[:, 0].long() + IGNORE


def _matrices(n: int, aspect: float, preset: Augmentation, dice: Dice, *, mirror: bool, free: bool) -> Tensor:
    """Matrices from output to input positions in -1…1, (N, 2, 3); ``aspect`` is height / width."""
    angle = torch.deg2rad(dice.around(preset.turn, n))
    if free and aspect == 1:
        angle = angle + math.pi / 2 * torch.randint(0, 4, (n,), generator=dice.generator)
    low, high = (math.log(limit) for limit in preset.scale)
    size = torch.exp(-dice.between(low, high, n))
    x = 1 - 2 * (dice.happens(preset.mirror, n) & mirror).float()
    y = 1 - 2 * (dice.happens(preset.mirror, n) & ((free or preset.upside_down) and mirror)).float()
    shift = [dice.around(2 * preset.shift, n) for _ in range(2)]
    cosine, sine = size * angle.cos(), size * angle.sin()
    rows = [cosine * x, -sine * aspect * y, shift[0], sine / aspect * x, cosine * y, shift[1]]
    return torch.stack(rows, 1).view(n, 2, 3)


def change_values(image: Tensor, preset: Augmentation, dice: Dice) -> Tensor:
    """Change brightness, contrast, gamma and colour; add noise; blur; lower the resolution; cover squares."""
    n, channels = image.shape[:2]

    def column(values: Tensor) -> Tensor:
        return values.to(image.device).view(n, -1, 1, 1)

    low, high = image.amin((1, 2, 3), keepdim=True), image.amax((1, 2, 3), keepdim=True)
    if preset.gamma:
        reach = math.log(1 + preset.gamma)
        span = (high - low).clamp(min=1e-6)
        image = ((image - low) / span).clamp_(0, 1).pow_(column(dice.around(reach, n).exp())) * span + low
    spread, mean = torch.std_mean(image, (1, 2, 3), keepdim=True)
    gain = column(dice.around(math.log(1 + preset.contrast), n).exp())
    offset = column(dice.around(preset.brightness, n))
    if channels > 1:
        offset = offset + column(dice.around(preset.colour, n * channels))
    image = torch.addcmul(mean * (1 - gain) + offset * spread, image, gain)
    for changed, change in ((dice.happens(preset.blur, n), _blur), (dice.happens(preset.coarse, n), _coarsen)):
        for i in changed.nonzero().flatten().tolist():
            image[i] = change(image[i : i + 1], dice)[0]
    if preset.noise:
        noise = torch.empty(image.shape, device=image.device)
        noise = (
            noise.copy_(torch.randn(image.shape, generator=dice.generator)) if _same(image, dice) else noise.normal_()
        )
        image = image.addcmul_(noise, column(dice.between(0, preset.noise, n)) * spread)
    for _ in range(preset.dropout):
        _cover(image, dice, mean)
    return image


def _same(image: Tensor, dice: Dice) -> bool:
    return image.device == dice.generator.device


def _blur(image: Tensor, dice: Dice) -> Tensor:
    """Blur with a binomial kernel of 3 or 5 pixels."""
    weights = torch.tensor([1.0, 2, 1] if dice.happens(0.5, 1) else [1.0, 4, 6, 4, 1], device=image.device)
    kernel = torch.outer(weights, weights) / weights.sum() ** 2
    channels, reach = image.shape[1], len(weights) // 2
    padded = functional.pad(image, (reach,) * 4, mode="replicate")
    return functional.conv2d(padded, kernel.expand(channels, 1, -1, -1), groups=channels)


def _coarsen(image: Tensor, dice: Dice) -> Tensor:
    """Lower the resolution by a factor of 1.5 to 3 and enlarge again."""
    factor = float(dice.between(1.5, 3, 1))
    size = image.shape[-2:]
    small = functional.interpolate(image, [max(1, round(side / factor)) for side in size], mode="area")
    return functional.interpolate(small, size, mode="bilinear", align_corners=False)


def _cover(image: Tensor, dice: Dice, mean: Tensor) -> None:
    """Replace a square of each image by its mean; the labels stay, so that context must be used."""
    height, width = image.shape[-2:]
    for i in range(len(image)):
        side, y, x = dice.between(0, 1, 3).tolist()
        rows = slice(int(y * height), int((y + side / 5) * height))
        columns = slice(int(x * width), int((x + side / 5) * width))
        image[i, :, rows, columns] = mean[i]
