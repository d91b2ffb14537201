"""Losses that see labelled pixels only.

Each takes ``logits`` of shape (N, K, H, W), float, and ``target`` of shape (N, H, W), int64 class indices or `IGNORE`,
and returns a scalar tensor. Logits of unlabelled pixels are replaced by zeros and multiplied by zero before anything is
summed, so neither the value nor any gradient depends on them, not even where they are no numbers. Torch enters through
the tensors alone: this module is part of the options and must stay cheap to import.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

IGNORE = -1
"""Target of a pixel nobody labelled."""

HEAVIEST = 5.0
"""Most that a pixel of a rare class counts."""

PRESENCE = 0.3
"""Weight of `presence_loss` beside the loss of the pixels."""

Loss = Callable[["Tensor", "Tensor"], "Tensor"]


def on_labelled(*parts: tuple[float, Loss]) -> Loss:
    """The weighted sum of parts that each take log-probabilities (K, M) and the truth (K, M).

    The truth is 1 for the class of a pixel, 0 for the other classes, and 0 for all classes of an unlabelled pixel.
    Classes come first because sums and softmax over a short last axis are about four times slower on a CPU.
    """

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        classes = logits.shape[1]
        logits = logits.masked_fill((target == IGNORE)[:, None], 0)
        log_chance = logits.transpose(0, 1).reshape(classes, -1).log_softmax(0)
        flat = target.flatten()
        truth = log_chance.new_zeros(log_chance.shape)
        for k in range(classes):
            truth[k] = flat == k
        total = log_chance.new_zeros(())
        for weight, part in parts:
            total = total + weight * part(log_chance, truth)
        return total

    return loss


def class_weights(truth: Tensor) -> Tensor:
    """1 / sqrt(share of each class among the labelled pixels), at most `HEAVIEST`, shape (K, 1)."""
    counts = truth.sum(1, keepdim=True)
    share = counts / counts.sum().clamp(min=1)
    return share.clamp(min=HEAVIEST**-2).rsqrt()


def cross_entropy(log_chance: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy averaged over labelled pixels, rare classes counting more."""
    weight = class_weights(truth) * truth
    return -(weight * log_chance).sum() / weight.sum().clamp(min=1)


def focal(log_chance: Tensor, truth: Tensor) -> Tensor:
    """Weighted cross-entropy in which pixels that are right already count little.

    Source: Lin et al., "Focal loss for dense object detection" (2017), gamma 2.
    """
    weight = class_weights(truth) * truth
    return -(weight * (1 - log_chance.exp()) ** 2 * log_chance).sum() / weight.sum().clamp(min=1)


def overlap(log_chance: Tensor, truth: Tensor, false_positive: float = 0.5, false_negative: float = 0.5) -> Tensor:
    """One minus the Tversky index of the batch, averaged over the foreground classes present; 0.5, 0.5 is Dice.

    A batch without any foreground gives 0: its Dice would be 0 whatever the network says.
    Source: Salehi et al., "Tversky loss function for image segmentation" (2017).
    """
    chance = log_chance.exp() * truth.sum(0)
    hit = (chance * truth).sum(1)[1:]
    size = truth.sum(1)[1:]
    wrong = chance.sum(1)[1:] - hit
    index = (hit + 0.5) / (hit + 0.5 + false_positive * wrong + false_negative * (size - hit))
    present = size > 0
    return ((1 - index) * present).sum() / present.sum().clamp(min=1)


def tversky(log_chance: Tensor, truth: Tensor) -> Tensor:
    """`overlap` that minds a missed pixel more than a false one."""
    return overlap(log_chance, truth, false_positive=0.3, false_negative=0.7)


def binary_cross_entropy(log_chance: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy of each class against all others, averaged over labelled pixels and classes."""
    labelled = truth.sum(0)
    classes = len(truth)
    total = (log_chance * truth).sum()
    for k in range(classes) if classes > 1 else ():
        # log(1 - p) as the log-sum of the other classes: exact where p is nearly 1.
        others = log_chance[[j for j in range(classes) if j != k]].logsumexp(0)
        total = total + (others * (labelled - truth[k])).sum()
    return -total / (labelled.sum() * classes).clamp(min=1)


def presence_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Binary cross-entropy of slice logits (N,), averaged over those whose truth (N,), 0 or 1, is not NaN."""
    from torch.nn.functional import binary_cross_entropy_with_logits

    known = ~truth.isnan()
    each = binary_cross_entropy_with_logits(logits, truth.masked_fill(~known, 0), reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)


LOSSES: dict[str, Loss] = {
    "dice-ce": on_labelled((1.0, overlap), (1.0, cross_entropy)),
    "dice": on_labelled((1.0, overlap)),
    "bce-dice": on_labelled((1.0, overlap), (0.8, binary_cross_entropy)),
    "focal": on_labelled((1.0, focal)),
    "tversky": on_labelled((1.0, tversky)),
}
