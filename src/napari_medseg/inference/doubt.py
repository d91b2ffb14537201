"""How unsure the network was about each slice, in a few figures taken from its logits where they are."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn import functional

from napari_medseg.evaluation.suggest import choose_squares

BAND = 3
"""Pixels on either side of a predicted border that count as its band."""

PATCH = 64
"""Side in pixels of the squares of which the worst counts."""

FINE = 384
"""Slices with both sides at least this long are looked at in every second pixel: as telling, a quarter of the time."""


FIGURES = ("border", "patch")


def measure_doubt(logits: torch.Tensor, best: torch.Tensor) -> torch.Tensor:
    """Figures of doubt, (N, 2) in the order of `FIGURES`; all are 0 for a network that is sure and grow to 1.

    ``border`` is the mean entropy of the class probabilities in a band round the predicted borders, NaN where nothing
    was found; ``patch`` is the mean entropy of the worst square of 64 pixels. Entropies are divided by that of K
    equally likely classes. Entropy as a measure of doubt: Shannon, Bell System Technical Journal 27 (1948); as a guide
    to what should be labelled next: Settles, "Active Learning Literature Survey" (2009), section 3.1.

    Parameters
    ----------
    logits
        (N, K, Y, X), float32, on any device.
    best
        Index of the likeliest class, (N, Y, X), on the same device.
    """
    step = 2 if min(logits.shape[-2:]) >= FINE else 1
    entropy = _entropy(logits[..., ::step, ::step])[:, None]
    band = _near_border(best[:, None, ::step, ::step].to(entropy.dtype), max(1, BAND // step))
    border = (entropy * band).sum((1, 2, 3)) / band.sum((1, 2, 3))
    worst = _pool(entropy, step)[0].amax((1, 2, 3))
    return torch.stack([border, worst], 1)


def find_squares(logits: torch.Tensor, number: int) -> tuple[tuple[slice, slice], ...]:
    """Rows and columns of the squares of a single image, logits (1, K, Y, X), that are most worth a look, best first.

    They go by mean entropy, are apart from each other, and every third is far from the others, as slices of a stack.
    None when the image is no larger than a few of them.
    """
    if min(logits.shape[-2:]) < 4 * PATCH:
        return ()
    step = 2 if min(logits.shape[-2:]) >= FINE else 1
    pooled, strides = _pool(_entropy(logits[..., ::step, ::step])[:, None], step)
    chosen = choose_squares(pooled[0, 0].cpu().numpy().astype(np.float64), number)
    corners = [(row * strides[0] * step, column * strides[1] * step) for row, column in chosen]
    return tuple((slice(y, y + PATCH), slice(x, x + PATCH)) for y, x in corners)


def _pool(entropy: torch.Tensor, step: int) -> tuple[torch.Tensor, list[int]]:
    """Mean of each square, (N, 1, Y, X) -> (N, 1, R, C), and the distance of their corners; they overlap by half."""
    patch = [min(PATCH // step, side) for side in entropy.shape[-2:]]
    strides = [max(1, side // 2) for side in patch]
    return functional.avg_pool2d(entropy, patch, strides), strides


def _entropy(logits: torch.Tensor) -> torch.Tensor:
    """Entropy of the classes at each pixel as a share of the largest possible, (N, K, Y, X) -> (N, Y, X)."""
    if logits.shape[1] == 2:
        # A quarter of the time on a CPU: one plane instead of two.
        odds = (logits[:, 1] - logits[:, 0]).abs()
        return (functional.softplus(-odds) + odds * torch.sigmoid(-odds)) / math.log(2)
    shares = logits.log_softmax(1)
    return -(shares.exp() * shares).sum(1) / math.log(logits.shape[1])


def _near_border(classes: torch.Tensor, width: int) -> torch.Tensor:
    """Where another class is at most ``width`` pixels away, (N, 1, Y, X) of 0 and 1."""
    size = 2 * width + 1
    largest = functional.max_pool2d(classes, size, 1, width)
    smallest = -functional.max_pool2d(-classes, size, 1, width)
    return (largest != smallest).to(classes.dtype)
