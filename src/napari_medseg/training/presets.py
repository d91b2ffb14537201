"""What each augmentation preset does, in numbers; loads no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Augmentation:
    """Ranges of one preset; 0 (or the pair 1, 1) switches that part off.

    Factors are drawn evenly on a logarithmic scale: a half is as likely as the double.

    Attributes
    ----------
    mirror
        Probability of a mirror image; never left-right when classes are sides.
    turn
        Largest rotation in degrees, both ways.
    shear
        Largest slant in degrees, both ways: rows are shifted along themselves, the further up or down the more.
    scale
        Smallest and largest magnification.
    shift
        Largest shift as a share of the sample's side.
    elastic
        Largest bending as a share of the sample's side.
    air
        What lies outside of a scan that was moved is black and counts as background: so many pixels of it, at most,
        for each labelled one. Else a network that saw few images takes black borders for something dark.
    any_up
        Whether scans too may be turned by 90 degrees and mirrored top to bottom, as pictures always are: those have
        no up.
    brightness, contrast, gamma
        Largest shift in standard deviations, and largest factors (1 + contrast, 1 + gamma, or their inverse).
    colour
        The same as brightness, for each channel of sequences and pictures by itself.
    uneven
        Largest factor (1 + uneven, or its inverse) by which sequences get brighter from place to place, as the nearness
        of a receiving coil or uneven light makes them.
    stain
        Largest factor (1 + stain, or its inverse) on the amount of each dye of a stained slide, and four times the
        largest amount added or taken away, in optical density.
    hue
        Largest turn of the hue of pictures in degrees, both ways.
    channel_drop, channel_copy, channel_same
        Probability that one sequence is missing, that one is a copy of another, and that all are copies of one: some
        archives fill up cases so.
    noise
        Largest standard deviation of added noise, in standard deviations of the image.
    blur, coarse
        Probability of a blurred and of a low-resolution sample.
    cutout
        Number of squares, each up to a fifth of the side, whose image is replaced by its mean.
    """

    mirror: float = 0.0
    turn: float = 0.0
    shear: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    shift: float = 0.0
    elastic: float = 0.0
    air: float = 0.0
    any_up: bool = False
    brightness: float = 0.0
    contrast: float = 0.0
    gamma: float = 0.0
    colour: float = 0.0
    uneven: float = 0.0
    stain: float = 0.0
    hue: float = 0.0
    channel_drop: float = 0.0
    channel_copy: float = 0.0
    channel_same: float = 0.0
    noise: float = 0.0
    blur: float = 0.0
    coarse: float = 0.0
    cutout: int = 0

    @property
    def moves(self) -> bool:
        """Whether pixels change their place."""
        moved = self.mirror or self.turn or self.shear or self.scale != (1.0, 1.0) or self.shift or self.elastic
        return bool(moved or self.any_up)


AUGMENTATIONS: dict[str, Augmentation] = {
    "none": Augmentation(),
    "light": Augmentation(
        mirror=0.5, turn=5, scale=(0.9, 1.1), shift=0.05, air=0.5, brightness=0.1, contrast=0.1, gamma=0.1, colour=0.05,
        uneven=0.1, stain=0.05, hue=3,
    ),
    "medium": Augmentation(
        mirror=0.5, turn=15, shear=5, scale=(0.7, 1.4), shift=0.1, air=0.5, brightness=0.2, contrast=0.25, gamma=0.3,
        colour=0.1, uneven=0.3, stain=0.15, hue=8, channel_drop=0.1, channel_copy=0.05, channel_same=0.12, noise=0.1,
        blur=0.1, coarse=0.1,
    ),
    "heavy": Augmentation(
        mirror=0.5, turn=30, shear=10, scale=(0.7, 1.4), shift=0.15, air=0.5, elastic=0.04, any_up=True,
        brightness=0.4, contrast=0.4, gamma=0.5, colour=0.2, uneven=0.6, stain=0.3, hue=15, channel_drop=0.2,
        channel_copy=0.1, channel_same=0.15, noise=0.3, blur=0.2, coarse=0.2, cutout=3,
    ),
}  # fmt: skip

AUTO = "auto"

FEW = 40
"""Times; what a new network has seen less often is varied lightly."""


def choose_preset(name: str, seen: float) -> Augmentation:
    """The preset of that name; for ``auto`` the light one until things were seen often enough to be learnt by heart.

    Strong variation is against overfitting. A new network that has hardly seen its images cannot overfit yet: there it
    only makes things harder to learn.

    Parameters
    ----------
    seen
        How many times everything that trains has been shown; infinite for a network that has learnt before.
    """
    return AUGMENTATIONS[name if name != AUTO else "light" if seen < FEW else "medium"]
