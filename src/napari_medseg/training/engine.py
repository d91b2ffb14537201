"""The device that trains: number format, memory layout, and what to do when memory runs out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from napari_medseg.core import ModelCard
from napari_medseg.inference.device import (
    DTYPES,
    fast_precision,
    hold_memory,
    pick_device,
    ran_out_of_memory,
    thread_count,
)
from napari_medseg.inference.tiles import lay_grid, pad
from napari_medseg.models import size_multiple
from napari_medseg.models.heads import split_output

from .naming import figure_name
from .options import TrainOptions

WHOLE = 1024
"""Sides up to this go through the network whole when held-out slices are scored."""

SMALLEST = 256
"""Smallest windows that are tried when memory runs out."""


@dataclass(frozen=True)
class Engine:
    """Where and how the network computes.

    Attributes
    ----------
    device
        Where tensors lie.
    precision
        ``fp32``, ``bf16`` or ``fp16``; weights stay float32.
    outputs
        Channels of the network's output: classes and background.
    multiple
        The sides of the network's input are multiples of this.
    outlines
        Whether the network gives masks; if not, slices are what is learnt and measured, and not their pixels.
    """

    device: torch.device
    precision: str
    outputs: int
    multiple: int
    outlines: bool = True

    @property
    def figure(self) -> str:
        """What is measured on held-out slices."""
        return figure_name(self.outlines)

    def forward(self, network: nn.Module, images: Tensor) -> Tensor:
        """Logits (N, K, Y, X), float32, of images (N, C, Y, X) on this device."""
        return self.both(network, images)[0]

    def both(self, network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """The same, and the logit (N,) of each image holding anything; None from a network without a slice head."""
        images = images.contiguous(memory_format=torch.channels_last)
        with self.autocast():
            mask, said = split_output(network(images))
        return mask.float(), None if said is None else said.float()

    def autocast(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, DTYPES[self.precision], enabled=self.precision != "fp32")

    @torch.no_grad()
    def predict(self, network: nn.Module, pixels: npt.NDArray[np.float16], known: Sequence[int]) -> Tensor:
        """Class indices (Y, X) of one slice (C, Y, X), among the outputs ``known``.

        With less memory than that takes, by smaller windows.
        """
        side = WHOLE
        while True:
            try:
                return self._predict(network, pixels, known, side)
            except (RuntimeError, MemoryError) as error:
                side = side // 2
                if not ran_out_of_memory(error) or side < SMALLEST:
                    raise

    def _predict(self, network: nn.Module, pixels: npt.NDArray[np.float16], known: Sequence[int], side: int) -> Tensor:
        shape = pixels.shape[-2:]
        layout = lay_grid((shape[0], shape[1]), side, 0.1, self.multiple)
        padded = torch.from_numpy(pad(pixels.astype(np.float32), layout.padded))[None]
        result = torch.zeros(layout.padded, dtype=torch.long, device=self.device)
        outputs = torch.tensor(list(known), device=self.device)
        for rows, columns in layout.windows:
            logits = self.forward(network, padded[..., rows, columns].to(self.device))
            result[rows, columns] = outputs[logits[0, outputs].argmax(0)]
        return result[: shape[0], : shape[1]]

    @torch.no_grad()
    def probabilities(self, network: nn.Module, pixels: npt.NDArray[np.float16], known: Sequence[int]) -> Tensor:
        """Probabilities (K, Y, X) of the outputs ``known`` in one slice (C, Y, X), which goes through whole."""
        height, width = pixels.shape[-2:]
        layout = lay_grid((height, width), max(height, width), 0.0, self.multiple)
        padded = torch.from_numpy(pad(pixels.astype(np.float32), layout.padded))[None].to(self.device)
        return self.forward(network, padded)[0, list(known), :height, :width].softmax(0)

    @torch.no_grad()
    def presence(self, network: nn.Module, pixels: npt.NDArray[np.float16]) -> float:
        """Probability that one slice (C, Y, X) holds anything: that of its likeliest window.

        NaN from a network without a slice head.
        """
        shape = pixels.shape[-2:]
        layout = lay_grid((shape[0], shape[1]), WHOLE, 0.1, self.multiple)
        padded = torch.from_numpy(pad(pixels.astype(np.float32), layout.padded))[None]
        windows = (padded[..., rows, columns].to(self.device) for rows, columns in layout.windows)
        said = [found for window in windows if (found := self.both(network, window)[1]) is not None]
        return float(torch.cat(said).max().sigmoid()) if said else math.nan

    def on_cpu(self) -> Engine | None:
        """The same work on the CPU, in the number format that is best there; None if it is there already."""
        if self.device.type == "cpu":
            return None
        device = torch.device("cpu")
        torch.set_num_threads(thread_count())
        return replace(self, device=device, precision=fast_precision(device) or "fp32")

    def place(self, network: nn.Module) -> nn.Module:
        """The network on this device, laid out as convolutions like it."""
        placed: nn.Module = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return placed


def start_engine(options: TrainOptions, card: ModelCard, local: int = 0) -> Engine:
    """Pick device and number format.

    Parameters
    ----------
    local
        Which of the processes on this computer this is, where several train together.
    """
    device = pick_device(options.device)
    if device.type == "cpu":
        torch.set_num_threads(max(1, thread_count() // options.devices))
        hold_memory()
    elif options.devices > 1:
        device = torch.device(device.type, local)
    # Measured on five tasks: half-size formats train to the same Dice wherever the hardware has them.
    precision = options.precision if options.precision != "auto" else fast_precision(device) or "fp32"
    if device.type == "mps":
        precision = "fp32"
    return Engine(device, precision, card.out_channels, size_multiple(card), card.outlines)


def load(engine: Engine, network: nn.Module, say: Callable[[str], None]) -> tuple[Engine, nn.Module]:
    """The network on the engine's device, or on the CPU where that has no memory for it."""
    try:
        return engine, engine.place(network)
    except RuntimeError as error:
        cpu = engine.on_cpu() if ran_out_of_memory(error) else None
        if cpu is None:
            raise
    say(f"{engine.device.type.upper()} has no memory for the network: trains on the CPU.")
    return cpu, cpu.place(network)


def choose_batch(options: TrainOptions, size: tuple[int, int], device: torch.device) -> int:
    """Samples in a step: up to 16 on a CPU (half a million pixels, less where time is short), 32 elsewhere (four)."""
    if options.batch:
        return options.batch
    pixels, most = (2**19, 16) if device.type == "cpu" else (2**22, 32)
    return max(2, min(most, round((options.pixels or pixels) / (size[0] * size[1]))))
