"""One batch of patches through the network, in a number format, averaged over mirror images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy.typing as npt
import torch

from napari_medseg.core import ComputeError, ModelCard, ModelError
from napari_medseg.models.build import needs_whole
from napari_medseg.models.heads import split_output

from .device import DTYPES, device_title, ran_out_of_memory
from .pipeline import fetch
from .scale import Scale


@dataclass(frozen=True)
class Launched:
    """A batch on its way.

    Attributes
    ----------
    patches, precision
        What was given, and the number format it is computed in.
    logits
        Of the classes, (N, K, h, w).
    total
        Waits for their sum, which is not finite when one of them is not.
    said
        Waits for the probabilities (N,) of the patches holding anything; None without a slice head.
    """

    patches: torch.Tensor
    precision: str
    logits: torch.Tensor
    total: Callable[[], npt.NDArray[Any]]
    said: Callable[[], npt.NDArray[Any]] | None


def choose_mirrors(card: ModelCard, tta: str) -> list[tuple[int, ...]]:
    """Axes that are mirrored for each of the images that are averaged: only ways round that the model learnt from."""
    if tta == "none" or needs_whole(card):
        return [()]
    rows, columns = ((), () if card.upright else (-2,)), ((), () if card.sides else (-1,))
    return list(dict.fromkeys(row + column for row, column in product(rows, columns)))


class Passes:
    """A network with what is done to patches before it and to logits after it.

    Parameters
    ----------
    card, network
        The model.
    tta
        As in `SegmentOptions`.
    beat
        Called after every pass through the network; may raise `Cancelled`.

    Attributes
    ----------
    key
        Names network and mirroring where the network's hash is known; else empty.
    scale
        Makes the network's input from patches of integers, which are raw values then; None refuses them.
    compiled
        What runs in place of the network for the precision ``"openvino"``.
    notes
        What could not be had, one sentence each.
    """

    def __init__(self, card: ModelCard, network: torch.nn.Module, tta: str, beat: Callable[[], None]) -> None:
        self.card, self.network, self._beat = card, network, beat
        self.key = (card.sha256, tta) if card.sha256 else ()
        self.notes: list[str] = []
        self._flips = choose_mirrors(card, tta)
        if tta != "none" and len(self._flips) == 1:
            self.notes.append(f"{card.name} takes images one way round only: no mirror images are averaged.")
        self.scale: Scale | None = None
        self.compiled: Callable[[torch.Tensor], Any] = network

    def __call__(self, patches: torch.Tensor, device: torch.device, precision: str) -> torch.Tensor:
        """Logits (N, K, h, w), float32, of patches (N, C, h, w), on ``device``."""
        return self.both(patches, device, precision)[0]

    def both(
        self, patches: torch.Tensor, device: torch.device, precision: str
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The same, and the logit (N,) of each patch holding anything; None from a network without a slice head."""
        batch = self._input(patches, device)
        total: torch.Tensor | None = None
        said: torch.Tensor | None = None
        dtype = DTYPES.get(precision, torch.float32)
        run = self.compiled if precision == "openvino" else self.network
        count = len(self._flips)
        with torch.inference_mode(), torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
            for axes in self._flips:
                mask, head = split_output(run(batch.flip(axes) if axes else batch))
                self._beat()
                logits = self._fit(mask.float(), patches)
                logits = logits.flip(axes) if axes else logits
                total = logits if total is None else total.add_(logits)
                if head is not None:
                    said = head.float() / count if said is None else said + head.float() / count
            assert total is not None
            return total if count == 1 else total.div_(count), said

    def launch(self, patches: torch.Tensor, device: torch.device, precision: str, batch: int) -> Launched:
        """Begin with patches, at most ``batch`` of them at a time."""
        if len(patches) <= batch:
            logits, said = self.both(patches, device, precision)
        else:
            parts = [self.both(part, device, precision) for part in torch.split(patches, batch)]
            heads = [head for _, head in parts if head is not None]
            with torch.inference_mode():
                logits, said = torch.cat([mask for mask, _ in parts]), torch.cat(heads) if heads else None
        with torch.inference_mode():
            chances = None if said is None else fetch(said.sigmoid())
            return Launched(patches, precision, logits, fetch(logits.sum()), chances)

    def _input(self, patches: torch.Tensor, device: torch.device) -> torch.Tensor:
        with torch.inference_mode():
            batch = patches.to(device, non_blocking=True)
            if not batch.is_floating_point():
                if self.scale is None:
                    raise TypeError(f"patches of {batch.dtype} need a scale")
                batch = self.scale(batch)
            return batch.contiguous(memory_format=torch.channels_last)

    def _fit(self, logits: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
        wanted = (len(patches), self.card.out_channels, *patches.shape[-2:])
        if tuple(logits.shape) == (wanted[0], 1, *wanted[2:]) and wanted[1] == 2:
            # One logit of a network trained with a sigmoid: softmax of (0, x) is the sigmoid of x.
            return torch.cat([torch.zeros_like(logits), logits], 1)
        if tuple(logits.shape) != wanted:
            raise ModelError(
                f"The output of the model {self.card.reference} is {tuple(logits.shape)}, its card says {wanted}.",
                "Correct the classes in its card.json.",
            )
        return logits


def why_failed(error: Exception, device: torch.device) -> str:
    """The reason in words when a humbler plan may help: memory, or a device other than the CPU.

    Raises
    ------
    ComputeError
        From ``error``, when nothing can be done about it.
    """
    text = str(error)
    title = device_title(device) if device.type != "cuda" else "The graphics card"
    if ran_out_of_memory(error):
        return f"{title} has not enough memory"
    first = text.strip().partition("\n")[0]
    if device.type != "cpu" and isinstance(error, NotImplementedError):
        return f"{title} lacks an operation of this network"
    if device.type != "cpu" and ("CUDA" in text or "MPS" in text or "cuDNN" in text):
        return f"{title} failed ({first})"
    raise ComputeError(f"The network failed: {first}.", "Try another model, or fp32 on the CPU.") from error
