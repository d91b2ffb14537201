"""Vary the values of training images where they stand: light, colours, sharpness; nothing moves."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from skimage.color import hed_from_rgb, rgb_from_hed
from torch import Tensor
from torch.nn import functional

from .channels import Channels
from .presets import Augmentation

DARKEST = 1 / 256
"""Values of pictures below this have no logarithm worth the name."""

SIGMAS = (0.5, 1.5)
BLUR = 9
"""Standard deviations of blurs in pixels, and the side of their kernel."""

COARSER = (1.5, 3.0)
"""How much lower a low resolution is."""


PATCHES = 4
"""Places along each side whose brightness differs."""


@dataclass
class Chance:
    """Seeded random numbers, few and cheap ones, drawn on the CPU, so that they are the same on every device."""

    generator: torch.Generator

    def between(self, low: float, high: float, n: int) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=self.generator)

    def around(self, most: float, n: int) -> Tensor:
        return self.between(-most, most, n)

    def factor(self, most: float, n: int) -> Tensor:
        """Between 1 / (1 + most) and 1 + most."""
        return self.around(math.log1p(most), n).exp()

    def happens(self, probability: float, n: int) -> Tensor:
        return torch.rand(n, generator=self.generator) < probability

    def normal(self, like: Tensor) -> Tensor:
        """As many normal numbers as ``like`` has, made on its device, which no other draw depends on."""
        seed = int(torch.randint(2**62, (1,), generator=self.generator))
        return torch.randn(like.shape, generator=torch.Generator(like.device).manual_seed(seed), device=like.device)


def change_values(image: Tensor, preset: Augmentation, chance: Chance, channels: Channels) -> Tensor:
    """Varied copies of images (N, C, H, W)."""
    n = len(image)

    def column(values: Tensor) -> Tensor:
        return values.to(image.device).view(n, -1, 1, 1)

    if channels.is_picture and (preset.stain or preset.hue):
        image = change_colours(image, preset, chance, channels)
    if preset.gamma:
        low, high = image.amin((1, 2, 3), keepdim=True), image.amax((1, 2, 3), keepdim=True)
        span = (high - low).clamp(min=1e-6)
        image = ((image - low) / span).clamp_(0, 1).pow_(column(chance.factor(preset.gamma, n))) * span + low
    spread, mean = torch.std_mean(image, (1, 2, 3), keepdim=True)
    gain = column(chance.factor(preset.contrast, n))
    offset = column(chance.around(preset.brightness, n))
    if channels.kind in {"sequences", "photo"}:
        offset = offset + column(chance.around(preset.colour, n * image.shape[1]))
    image = torch.addcmul(mean * (1 - gain) + offset * spread, image, gain)
    if channels.kind == "sequences":
        if preset.uneven:
            image = _light_unevenly(image, preset, chance)
        _miss_channels(image, preset, chance, channels)
    if changed := chance.happens(preset.blur, n).nonzero().flatten().tolist():
        from kornia.filters import gaussian_blur2d  # slow to load, and many runs never blur

        sigma = chance.between(*SIGMAS, len(changed)).to(image.device)[:, None].expand(-1, 2)
        image[changed] = gaussian_blur2d(image[changed], BLUR, sigma, "replicate")
    for i in chance.happens(preset.coarse, n).nonzero().flatten().tolist():
        image[i] = _coarsen(image[i : i + 1], chance)[0]
    if preset.noise:
        image = image.addcmul_(chance.normal(image), column(chance.between(0, preset.noise, n)) * spread)
    for _ in range(preset.cutout):
        _cover(image, chance, mean)
    return image


def change_colours(image: Tensor, preset: Augmentation, chance: Chance, channels: Channels) -> Tensor:
    """Vary the dyes of stained slides and turn the hue, both in plain red, green and blue of 0 to 1.

    The amounts of haematoxylin, eosin and DAB are linear in the optical density; to vary them is one matrix a sample.

    Source: Ruifrok & Johnston, "Quantification of histochemical staining by color deconvolution" (2001), by
    scikit-image's matrices; Tellez et al., "Whole-slide mitosis detection in H&E breast histology" (2018).
    """
    n, planes = len(image), channels.planes
    mean, std = (
        torch.tensor(values or (plain,)).to(image.device).view(1, 1, -1, 1)
        for values, plain in ((channels.mean, 0.0), (channels.std, 1.0))
    )
    # (N, planes, 3, pixels): the same change for a slice and its neighbours.
    colours = image.reshape(n, planes, 3, -1) * std + mean
    if channels.kind == "stain" and preset.stain:
        to_dyes, from_dyes = (torch.from_numpy(matrix).float() for matrix in (hed_from_rgb, rgb_from_hed))
        gain = chance.factor(preset.stain, 3 * n).view(n, 1, 3)
        more = chance.around(preset.stain / 4, 3 * n).view(n, 1, 3)
        # scikit-image's matrices take rows of pixels; here pixels are columns.
        change = ((to_dyes * gain) @ from_dyes).mT[:, None].to(image.device)
        added = (more @ from_dyes).mT[:, None].to(image.device)
        density = colours.clamp(min=DARKEST).log_().neg_()
        colours = (change @ density + added).neg_().exp_()
    if preset.hue:
        turn = _turn_hue(torch.deg2rad(chance.around(preset.hue, n)))[:, None].to(image.device)
        colours = turn @ colours
    return ((colours.clamp_(0, 1) - mean) / std).view(image.shape)


def _turn_hue(angle: Tensor) -> Tensor:
    """Rotations (N, 3, 3) of red, green and blue about the axis of greys, which stay as they are."""
    cosine, sine = angle.cos().view(-1, 1, 1), angle.sin().view(-1, 1, 1)
    third = torch.full((3, 3), 1 / 3)
    across = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    return cosine * torch.eye(3) + (1 - cosine) * third + sine * across


def _light_unevenly(image: Tensor, preset: Augmentation, chance: Chance) -> Tensor:
    """Brighter here and darker there, all channels alike; what is black stays so.

    Source: the receiving coils' bias field, as in Sudre et al., "Longitudinal segmentation of age-related white matter
    hyperintensities" (2017).
    """
    n = len(image)
    most = chance.between(0, math.log1p(preset.uneven), n).view(n, 1, 1, 1)
    places = most * chance.around(1, n * PATCHES**2).view(n, 1, PATCHES, PATCHES)
    field = functional.interpolate(places.to(image.device), image.shape[-2:], mode="bicubic", align_corners=True).exp()
    black = image.amin((2, 3), keepdim=True)
    return (image - black) * field + black


def _miss_channels(image: Tensor, preset: Augmentation, chance: Chance, channels: Channels) -> None:
    """In some samples, make one sequence dark or a copy of another, or all copies of one; in every plane alike."""
    n = len(image)
    per_plane = image.shape[1] // channels.planes
    odds = (preset.channel_drop, preset.channel_copy, preset.channel_same)
    dropped, copied, same = (chance.happens(probability, n) for probability in odds)
    if per_plane == 1:
        return
    for i in (dropped | copied | same).nonzero().flatten().tolist():
        kept, *lost = torch.randperm(per_plane, generator=chance.generator).tolist()
        for c in lost if same[i] else lost[:1]:
            # Channel c of every plane.
            plain = image[i, c::per_plane].amin()
            image[i, c::per_plane] = image[i, kept::per_plane] if copied[i] or same[i] else plain


def _coarsen(image: Tensor, chance: Chance) -> Tensor:
    """Lower the resolution and enlarge again."""
    factor = float(chance.between(*COARSER, 1))
    size = image.shape[-2:]
    small = functional.interpolate(image, [max(1, round(side / factor)) for side in size], mode="area")
    return functional.interpolate(small, size, mode="bilinear", align_corners=False)


def _cover(image: Tensor, chance: Chance, mean: Tensor) -> None:
    """Replace a square of each image by its mean; the labels stay, so that context must be used."""
    height, width = image.shape[-2:]
    for i in range(len(image)):
        side, y, x = chance.between(0, 1, 3).tolist()
        rows = slice(int(y * height), int((y + side / 5) * height))
        columns = slice(int(x * width), int((x + side / 5) * width))
        image[i, :, rows, columns] = mean[i]
