"""The loop in which built-in models learn from made-up images: AdamW, one cycle of the rate, averaged weights."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from napari_medseg.inference.device import DTYPES, fast_precision
from napari_medseg.training.average import Average
from napari_medseg.training.losses import on_labelled, overlap

RATE, DECAY, WARM_UP = 2e-3, 1e-2, 0.1
REMEMBERED = 1000
"""Steps that the averaged weights remember."""


def cross_entropy(log_chance: Tensor, truth: Tensor) -> Tensor:
    """All pixels alike: with rare classes counting more, everything that is a little like one would become one."""
    return -(truth * log_chance).sum() / truth.sum().clamp(min=1)


cost = on_labelled((1.0, overlap), (1.0, cross_entropy))
"""Of logits (N, K + 1, Y, X) and labels (N, Y, X)."""


def one_cycle(progress: float) -> float:
    """Learning rate at a share of the run: up to the middle rate soon, then down to nothing.

    Source: Smith & Topin, "Super-convergence" (2019).
    """
    if progress < WARM_UP:
        return RATE * (0.04 + 0.96 * progress / WARM_UP)
    return RATE * 0.5 * (1 + float(torch.cos(torch.tensor(torch.pi * (progress - WARM_UP) / (1 - WARM_UP)))))


def learn(
    network: nn.Module, step_cost: Callable[[], Tensor], device: torch.device, limits: argparse.Namespace
) -> nn.Module:
    """Train until the time or the steps are over.

    Parameters
    ----------
    network
        Trained in place, on the device.
    step_cost
        Draws images and gives what the network costs on them.
    limits
        ``minutes``, or ``steps`` where that is not None.

    Returns
    -------
    torch.nn.Module
        The averaged network, in evaluation mode.
    """
    network.to(device).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    average = Average(network, REMEMBERED)
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    kind = DTYPES[fast_precision(device)]
    begin, told, step = time.monotonic(), 0.0, 0
    while True:
        spent = (time.monotonic() - begin) / 60
        progress = step / limits.steps if limits.steps else spent / limits.minutes
        if progress >= 1:
            return average.network
        for group in optimiser.param_groups:
            group["lr"] = one_cycle(progress)
        with torch.autocast(device.type, kind, enabled=kind != torch.float32):
            loss = step_cost()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        step += 1
        average.update(network, step)
        if spent - told > 0.5:
            told = spent
            print(f"{spent:.1f} min, step {step}, loss {float(loss.detach()):.3f}", flush=True)
