"""Prepared slices through the network: batches, tiles, number format, and what to do when memory runs out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from napari_medseg.core import ComputeError, ModelCard, ModelError
from napari_medseg.models import size_multiple
from napari_medseg.models.build import QUICK, needs_whole

from .device import AGREEMENT, DTYPES, Precision, device_title, pick_device, pick_precision, thread_count, timed
from .openvino import WORTH_SECONDS, compile_network, is_installed
from .options import SegmentOptions
from .tiles import WHOLE_UP_TO, Layout, blend_weights, lay_out, pad, round_up

# A batch on the CPU ends within this time, so that a click on Cancel is answered within a second.
CPU_BATCH_SECONDS = 0.4
SMALLEST_TILE = 64

_FLIPS: tuple[tuple[int, ...], ...] = ((), (-2,), (-1,), (-2, -1))
"""Axes that are mirrored; the first two leave left and right where they are."""


@dataclass(frozen=True)
class Plan:
    """Where and in what portions the work is done; a new plan follows when memory runs out."""

    device: torch.device
    tile: int
    batch: int


class Predictor:
    """A network on a device, ready for the slices of one image.

    Parameters
    ----------
    card, network
        The model. The network is moved to the device and set to evaluation.
    options
        Device, precision, tile, overlap, batch and flips.
    shape
        (Y, X) of the slices to come.
    beat
        Called after every pass through the network; may raise `Cancelled`.

    Attributes
    ----------
    message
        Device and precision in words: ``"CPU, bf16 (2.4x fp32 here)"``.
    notes
        What had to be given up on the way (memory, number format), one sentence each.
    """

    def __init__(
        self,
        card: ModelCard,
        network: torch.nn.Module,
        options: SegmentOptions,
        shape: tuple[int, int],
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._card, self._network, self._options, self._beat = card, network.eval(), options, beat
        self._shape = shape
        self._multiple = size_multiple(card)
        self._uncut = needs_whole(card)
        whole = self._uncut or (not options.tile and max(shape) <= WHOLE_UP_TO * card.tile)
        self._first_tile = round_up(max(shape) if whole else options.tile or card.tile, self._multiple)
        batch = 0 if options.batch == "auto" else options.batch
        self._plan = Plan(pick_device(options.device), self._first_tile, batch)
        self._precision: Precision | None = None
        self._loaded = False
        self._count = 1
        self._compiled: Callable[[torch.Tensor], torch.Tensor] = network
        self.notes: list[str] = []
        self.message = device_title(self._plan.device)

    @property
    def slices_per_call(self) -> int:
        """How many slices to hand over together: those that fill one batch."""
        return max(1, self._plan.batch // len(self._layout.windows))

    @property
    def _layout(self) -> Layout:
        return lay_out(self._shape, self._plan.tile, self._options.overlap, self._multiple)

    def prepare(self, probe: npt.NDArray[np.float32], count: int = 1) -> None:
        """Load the network, choose number format and batch on one slice (C, Y, X) of the ``count`` to come."""
        self._count = count
        self._carry_out(lambda: None, probe)

    def __call__(self, slices: npt.NDArray[np.float32]) -> torch.Tensor:
        """Logits (N, K, Y, X), float32, of prepared slices (N, C, Y, X); on the device or, when tiled, on the CPU.

        Raises
        ------
        ComputeError
            Memory is not enough even for the smallest tile on the CPU, or the network fails.
        ModelError
            The network's output does not fit its card or is not a number.
        """
        logits = self._carry_out(lambda: self._logits(slices), slices[0])
        assert logits is not None
        return logits

    def _carry_out(
        self, work: Callable[[], torch.Tensor | None], probe: npt.NDArray[np.float32]
    ) -> torch.Tensor | None:
        """Do ``work``; when memory or the device fails, again with a humbler plan, until it succeeds."""
        failures: list[str] = []
        while True:
            try:
                if self._precision is None:
                    self._settle(probe)
                with torch.inference_mode():
                    result = work()
                break
            except (RuntimeError, MemoryError) as error:
                failures.append(why_failed(error, self._plan.device))
            # Outside of the handler: the traceback no longer keeps the failed batch in memory.
            self._step_down(failures[-1])
        if failures:
            self._note(f"{failures[0]}; went on with {self.message}, tile {self._plan.tile}, batch {self._plan.batch}.")
        return result

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def _settle(self, probe: npt.NDArray[np.float32]) -> None:
        """Load the network and choose number format and batch."""
        device = self._plan.device
        if device.type == "cpu":
            torch.set_num_threads(thread_count())
        self._loaded = False
        self._network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._loaded = True
        layout = self._layout
        padded = pad(probe[np.newaxis], layout.padded)
        middle = layout.windows[len(layout.windows) // 2]
        patch = torch.from_numpy(np.ascontiguousarray(padded[..., *middle]))
        if self._card.architecture == QUICK:
            precision = Precision("fp32", seconds=CPU_BATCH_SECONDS)  # nothing to choose: no pass is spent on it
        elif self._options.precision == "auto":
            key = (self._card.sha256, str(device), str(layout.patch), self._options.tta) if self._card.sha256 else ()
            precision = pick_precision(device, lambda name: self._forward(patch, name), key)
            if precision.name == "fp32" and device.type == "cpu":
                precision = self._try_openvino(patch, precision)
        else:
            precision = Precision(self._options.precision)
        if not self._plan.batch:
            seconds = precision.seconds or timed(lambda: self._forward(patch, precision.name), device)[1]
            self._plan = Plan(device, self._plan.tile, default_batch(device, layout.patch, seconds))
        self._precision = precision
        faster = f" ({precision.speedup:.1f}x fp32 here)" if precision.speedup > 1 else ""
        self.message = f"{device_title(device)}, {precision.name}{faster}"

    def _try_openvino(self, patch: torch.Tensor, torchs: Precision) -> Precision:
        """OpenVINO where it is installed, the work is long enough, and it is faster and gives the same labels."""
        expected = torchs.seconds * self._count * len(self._layout.windows)
        if expected < WORTH_SECONDS or not is_installed():
            return torchs
        try:
            self._compiled = compile_network(self._network, self._card.in_channels, thread_count())
            theirs, seconds = timed(lambda: self._forward(patch, "openvino"), self._plan.device)
        except Exception as error:  # any reason will do: torch computes the same
            self._note(f"OpenVINO cannot run this network ({type(error).__name__}); torch does.")
            return torchs
        same = (theirs.argmax(1) == self._forward(patch, "fp32").argmax(1)).float().mean().item() >= AGREEMENT
        return Precision("openvino", torchs.seconds / seconds, seconds) if same and seconds < torchs.seconds else torchs

    def _step_down(self, failure: str) -> None:
        """Smaller batch, smaller tile, then the CPU from the model's tile down again."""
        device, tile, batch = self._plan.device, self._plan.tile, self._plan.batch
        on_cpu = device.type == "cpu"
        patch = max(self._layout.patch)
        for_memory = "memory" in failure
        if for_memory and self._loaded and batch > 1:
            self._plan = Plan(device, tile, batch // 2)
        elif for_memory and self._loaded and not self._uncut and patch // 2 >= max(SMALLEST_TILE, self._multiple):
            self._plan = Plan(device, round_up(patch // 2, self._multiple), 1)
        elif not on_cpu:
            self._plan = Plan(torch.device("cpu"), self._first_tile, 0)
            self._precision = None
        else:
            raise ComputeError(
                f"{failure}, even for a tile of {patch} pixels.", "Close other programs or choose a smaller model."
            )
        if device.type == "cuda" and for_memory:
            torch.cuda.empty_cache()

    def _logits(self, slices: npt.NDArray[np.float32]) -> torch.Tensor:
        layout, batch = self._layout, max(1, self._plan.batch)
        height, width = slices.shape[-2:]
        padded = torch.from_numpy(np.ascontiguousarray(pad(slices, layout.padded)))
        patches = [(i, window) for i in range(len(slices)) for window in layout.windows]
        whole: list[torch.Tensor] = []
        total: torch.Tensor | None = None
        weights = torch.from_numpy(blend_weights(layout.patch).copy())
        weight_sum = torch.zeros(layout.padded)
        for window in layout.windows:
            weight_sum[window] += weights
        for first in range(0, len(patches), batch):
            part = patches[first : first + batch]
            logits = self._checked(torch.stack([padded[i][..., *window] for i, window in part]))
            if len(layout.windows) == 1:
                whole.append(logits)
                continue
            if total is None:
                total = torch.zeros((len(slices), logits.shape[1], *layout.padded))
            for (i, window), tile in zip(part, logits.cpu(), strict=True):
                total[i][..., *window] += tile * weights
        result = torch.cat(whole) if total is None else total / weight_sum
        return result[..., :height, :width]

    def _checked(self, patches: torch.Tensor) -> torch.Tensor:
        """Logits of patches; those that overflow the short number format are computed again in fp32."""
        assert self._precision is not None
        logits = self._forward(patches, self._precision.name)
        if torch.isfinite(logits).all():
            return logits
        if self._precision.name != "fp32":
            self._note(f"Numbers became too large for {self._precision.name}; those parts were computed in fp32.")
            logits = self._forward(patches, "fp32")
        if not torch.isfinite(logits).all():
            raise ModelError(
                f"The output of the model {self._card.reference} is not a number.", "Its weights are damaged."
            )
        return logits

    def _forward(self, patches: torch.Tensor, precision: str) -> torch.Tensor:
        """Logits (N, K, Y, X), float32, averaged over the flips; in the orientation of ``patches``."""
        device = self._plan.device
        batch = patches.to(device).contiguous(memory_format=torch.channels_last)
        flips = _FLIPS[: 1 if self._options.tta == "none" or self._uncut else 2 if self._card.sides else 4]
        total: torch.Tensor | None = None
        dtype = DTYPES.get(precision, torch.float32)
        run = self._compiled if precision == "openvino" else self._network
        with torch.inference_mode(), torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
            for axes in flips:
                output: Any = run(batch.flip(axes) if axes else batch)
                self._beat()
                logits = output[0] if isinstance(output, tuple | list) else output
                logits = self._fit(logits.float(), patches)
                logits = logits.flip(axes) if axes else logits
                total = logits if total is None else total + logits
        assert total is not None
        return total / len(flips)

    def _fit(self, logits: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
        wanted = (len(patches), self._card.out_channels, *patches.shape[-2:])
        if tuple(logits.shape) == (wanted[0], 1, *wanted[2:]) and wanted[1] == 2:
            # One logit of a network trained with a sigmoid: softmax of (0, x) is the sigmoid of x.
            return torch.cat([torch.zeros_like(logits), logits], 1)
        if tuple(logits.shape) != wanted:
            raise ModelError(
                f"The output of the model {self._card.reference} is {tuple(logits.shape)}, its card says {wanted}.",
                "Correct the classes in its card.json.",
            )
        return logits


def default_batch(device: torch.device, patch: tuple[int, int], seconds: float) -> int:
    """Patches per batch: about 4 million pixels on a graphics card; on the CPU what fits its caches and ends soon."""
    area = patch[0] * patch[1]
    if device.type == "cpu":
        return max(1, min(32, 2**18 // area, int(CPU_BATCH_SECONDS / max(seconds, 1e-6))))
    return max(1, min(256, 2**22 // area))


def why_failed(error: Exception, device: torch.device) -> str:
    """The reason in words when a humbler plan may help: memory, or a device other than the CPU.

    Raises
    ------
    ComputeError
        From ``error``, when nothing can be done about it.
    """
    text = str(error)
    title = device_title(device) if device.type != "cuda" else "The graphics card"
    memory = isinstance(error, torch.OutOfMemoryError | MemoryError) or "allocate memory" in text
    if memory or "not enough memory" in text or "out of memory" in text:
        return f"{title} has not enough memory"
    first = text.strip().partition("\n")[0]
    if device.type != "cpu" and isinstance(error, NotImplementedError):
        return f"{title} lacks an operation of this network"
    if device.type != "cpu" and ("CUDA" in text or "MPS" in text or "cuDNN" in text):
        return f"{title} failed ({first})"
    raise ComputeError(f"The network failed: {first}.", "Try another model, or fp32 on the CPU.") from error
