"""How a step follows from the gradients, and how large it is in which part of the network.

The table is part of the options: importing this loads no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from .options import TrainOptions

Groups = list[dict[str, Any]]

ENCODER_SHARE = 0.1
"""Steps of a pretrained encoder as a share of the decoder's."""

PARTS = 5
"""Parts of equal length that an encoder is taken as, from the image to its depth."""


@dataclass(frozen=True)
class Optimiser:
    """An entry of `OPTIMISERS`.

    Attributes
    ----------
    make
        The optimiser of some parameter groups.
    rate
        Its largest learning rate where none is chosen.
    fresh
        The same of a network that starts from random weights: smaller, as all of it learns at that rate.
    """

    make: Callable[[Groups], Optimizer]
    rate: float
    fresh: float


def adamw(groups: Groups) -> Optimizer:
    """Adam with decoupled weight decay. Source: Loshchilov and Hutter (2019)."""
    import torch

    return torch.optim.AdamW(groups, fused=True)


def adam(groups: Groups) -> Optimizer:
    """Adam, whose weight decay is part of the gradient. Source: Kingma and Ba (2015)."""
    import torch

    return torch.optim.Adam(groups, fused=True)


def radam_lookahead(groups: Groups) -> Optimizer:
    """Rectified Adam, every sixth step half-way back. Sources: Liu et al. (2020); Zhang et al. (2019)."""
    import torch

    from napari_medseg.models.smp import import_smp

    import_smp()  # timm as smp imports it, whatever torchvision is beside it
    from timm.optim.lookahead import Lookahead

    optimiser: Optimizer = Lookahead(torch.optim.RAdam(groups, decoupled_weight_decay=True))  # type: ignore[no-untyped-call]
    return optimiser


def sgd(groups: Groups) -> Optimizer:
    """Stochastic gradient descent with much Nesterov momentum, as RootPainter trains (Smith et al. 2022)."""
    import torch

    return torch.optim.SGD(groups, lr=0.01, momentum=0.99, nesterov=True)


OPTIMISERS: dict[str, Optimiser] = {
    "adamw": Optimiser(adamw, 3e-3, 1e-3),
    "adam": Optimiser(adam, 3e-3, 1e-3),
    "radam-lookahead": Optimiser(radam_lookahead, 3e-3, 3e-3),  # every sixth step goes half-way back
    "sgd": Optimiser(sgd, 1e-2, 1e-2),
}


def make_optimiser(network: nn.Module, options: TrainOptions, *, pretrained: bool) -> Optimizer:
    """The optimiser of a network; each group's ``largest`` is its learning rate after the warm-up.

    Encoder and the rest have rates of their own; biases and normalisations are not decayed.
    """
    chosen = OPTIMISERS[options.optimizer]
    largest = options.learning_rate or (chosen.rate if pretrained else chosen.fresh)
    share = options.encoder_rate if options.encoder_rate is not None else ENCODER_SHARE if pretrained else 1.0
    inside = [name for name, _ in network.named_parameters() if name.startswith("encoder.")]
    part = {name: i * PARTS // len(inside) for i, name in enumerate(inside)}
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for name, parameter in network.named_parameters():
        depth, size = PARTS, largest
        if name in part:
            depth = part[name] if options.layer_decay < 1 else PARTS - 1
            size *= share * options.layer_decay ** (PARTS - 1 - depth)
        decayed = parameter.ndim > 1
        group = groups.setdefault(
            (depth, not decayed),
            {"params": [], "lr": size, "largest": size, "weight_decay": options.weight_decay if decayed else 0.0},
        )
        group["params"].append(parameter)
    return chosen.make([groups[key] for key in sorted(groups)])
