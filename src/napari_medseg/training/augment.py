"""Vary training samples; images and labels move together.

Position, rotation, shear, scale and bending are composed into one sampling grid, used once for the image and once for
the labels. kornia's chain of transforms samples once per step (an image loses sharpness each time), gives the outside
of labels the value 0 (background) where this project must not claim anything, and draws from torch's global random
numbers. What kornia does well on a whole batch, `values` takes from it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from .channels import GREY, Channels
from .losses import IGNORE
from .presets import Augmentation
from .values import Chance, change_values

NODES = 5
"""Points by which images are bent, along each side."""


def augment(
    image: Tensor,
    labels: Tensor,
    preset: Augmentation,
    generator: torch.Generator,
    *,
    sides: bool = False,
    channels: Channels = GREY,
) -> tuple[Tensor, Tensor]:
    """Return varied copies of a batch.

    Parameters
    ----------
    image
        Normalised input, (N, C, H, W), float32.
    labels
        Class indices or `IGNORE`, (N, H, W), int64; what lies outside the image becomes `IGNORE`, or background where
        the preset says so.
    preset
        What to do, an entry of ``AUGMENTATIONS``.
    generator
        Random numbers, on the CPU: the same on every device.
    sides
        Whether left and right are different classes: then nothing is mirrored or turned upside down.
    channels
        What the channels of ``image`` are: pictures have no up, sequences may be missing.
    """
    if preset == Augmentation():
        return image, labels
    chance = Chance(generator)
    if preset.moves:
        image, labels = move(image, labels, preset, chance, channels, sides=sides)
    return change_values(image, preset, chance, channels), labels


def has_up(preset: Augmentation, channels: Channels, *, sides: bool) -> bool:
    """Whether top and bottom are never exchanged: nothing tells the two apart in pictures, but in scans."""
    return sides or not (channels.is_picture or preset.any_up)


def move(
    image: Tensor, labels: Tensor, preset: Augmentation, chance: Chance, channels: Channels, *, sides: bool
) -> tuple[Tensor, Tensor]:
    """Mirror, turn, shear, scale, shift and bend image and labels alike."""
    n, _, height, width = image.shape
    free = not has_up(preset, channels, sides=sides)
    matrix = _matrices(n, height / width, preset, chance, mirror=not sides, free=free)
    grid = functional.affine_grid(matrix.to(image.device), [n, 1, height, width], align_corners=False)
    if preset.elastic:
        nodes = chance.around(preset.elastic * 2, n * 2 * NODES**2).view(n, 2, NODES, NODES)
        bend = functional.interpolate(nodes.to(image.device), (height, width), mode="bicubic", align_corners=True)
        grid = grid + bend.permute(0, 2, 3, 1)
    # Around a scan lies air, beyond a picture's edge more of the same.
    beyond = "reflection" if channels.is_picture else "zeros"
    moved = functional.grid_sample(image, grid, mode="bilinear", padding_mode=beyond, align_corners=False)
    # Shifted by one so that the zeros from outside the image become IGNORE.
    shifted = (labels - IGNORE)[:, None].float()
    moved_labels = functional.grid_sample(shifted, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    target = moved_labels[:, 0].long() + IGNORE
    if preset.air and beyond == "zeros":
        target = _claim_air(target, (grid.abs() > 1).any(-1), preset.air, chance)
    return moved, target


def _claim_air(target: Tensor, outside: Tensor, share: float, chance: Chance) -> Tensor:
    """Call some of what lies outside background; few labels, such as strokes, are not drowned in it."""
    labelled = ((target != IGNORE) & ~outside).sum((1, 2))
    wanted = (share * labelled / outside.sum((1, 2)).clamp(min=1))[:, None, None]
    claimed = torch.rand(target.shape, generator=chance.generator).to(target.device) < wanted
    return torch.where(outside & claimed, 0, target)


def _matrices(n: int, aspect: float, preset: Augmentation, chance: Chance, *, mirror: bool, free: bool) -> Tensor:
    """Matrices from output to input positions in -1…1, (N, 2, 3); ``aspect`` is height / width."""
    angle = torch.deg2rad(chance.around(preset.turn, n))
    if free and aspect == 1:
        angle = angle + math.pi / 2 * torch.randint(0, 4, (n,), generator=chance.generator)
    low, high = (math.log(limit) for limit in preset.scale)
    size = torch.exp(-chance.between(low, high, n))
    x = 1 - 2 * (chance.happens(preset.mirror, n) & mirror).float()
    y = 1 - 2 * (chance.happens(preset.mirror, n) & free).float()
    shift = [chance.around(2 * preset.shift, n) for _ in range(2)]
    slant = torch.deg2rad(chance.around(preset.shear, n)).tan() if preset.shear else torch.zeros(n)
    cosine, sine = size * angle.cos(), size * angle.sin()
    # Mirrored, then sheared, then turned, in pixels; aspect converts columns' and rows' -1…1 into each other.
    right, down = (cosine * x, sine / aspect * x), ((cosine * slant - sine) * aspect * y, (sine * slant + cosine) * y)
    rows = [right[0], down[0], shift[0], right[1], down[1], shift[1]]
    return torch.stack(rows, 1).view(n, 2, 3)
