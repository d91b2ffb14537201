"""What each augmentation preset does, in numbers; loads no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Augmentation:
    """Ranges of one preset; 0 (or the pair 1, 1) switches that part off.

    Attributes
    ----------
    mirror
        Probability of a mirror image; never left-right when classes are sides.
    turn
        Largest rotation in degrees, both ways. Colour images, which have no up, are also turned by 90 degrees.
    scale
        Smallest and largest magnification.
    shift
        Largest shift as a share of the sample's side.
    elastic
        Largest bending as a share of the sample's side.
    upside_down
        Whether grey images may be mirrored top to bottom too.
    brightness, contrast, gamma
        Largest shift in standard deviations, and largest factors (1 + contrast, 1 + gamma, or their inverse).
    colour
        The same as brightness, for each channel by itself.
    noise
        Largest standard deviation of added noise, in standard deviations of the image.
    blur, coarse
        Probability of a blurred and of a low-resolution sample.
    dropout
        Number of squares, each up to a fifth of the side, whose image is replaced by its mean.
    """

    mirror: float = 0.0
    turn: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    shift: float = 0.0
    elastic: float = 0.0
    upside_down: bool = False
    brightness: float = 0.0
    contrast: float = 0.0
    gamma: float = 0.0
    colour: float = 0.0
    noise: float = 0.0
    blur: float = 0.0
    coarse: float = 0.0
    dropout: int = 0


AUGMENTATIONS: dict[str, Augmentation] = {
    "none": Augmentation(),
    "light": Augmentation(
        mirror=0.5, turn=5, scale=(0.9, 1.1), shift=0.05, brightness=0.1, contrast=0.1, gamma=0.1, colour=0.05
    ),
    "medium": Augmentation(
        mirror=0.5, turn=15, scale=(0.7, 1.4), shift=0.1, brightness=0.2, contrast=0.25, gamma=0.3, colour=0.1,
        noise=0.1, blur=0.1, coarse=0.1,
    ),
    "heavy": Augmentation(
        mirror=0.5, turn=30, scale=(0.7, 1.4), shift=0.15, elastic=0.04, upside_down=True, brightness=0.4, contrast=0.4,
        gamma=0.5, colour=0.2, noise=0.3, blur=0.2, coarse=0.2, dropout=3,
    ),
}  # fmt: skip
