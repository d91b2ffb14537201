"""Prepared patches through the network: batches, number format, and what to do when memory runs out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from napari_medseg.core import ComputeError, ModelCard, ModelError
from napari_medseg.models import size_multiple
from napari_medseg.models.build import needs_whole

from .choice import choose_batch, choose_precision
from .device import Precision, device_title, hold_memory, pick_device, thread_count
from .options import SegmentOptions
from .passes import Launched, Passes, why_failed
from .pipeline import as_tensor, make_batch
from .ranges import ValueRange
from .scale import Scale
from .tiles import WHOLE_UP_TO, Grid, cut, lay_grid, round_up

SMALLEST_TILE = 64
AHEAD = {"cuda": 1}
"""Batches on a device that are launched before the result of an earlier one is waited for; elsewhere none."""

Batch = torch.Tensor | npt.NDArray[Any]


class TileChanged(Exception):
    """Memory did not suffice for a patch: the predictor has a grid of smaller ones now."""


@dataclass(frozen=True)
class Plan:
    """Where and in what portions the work is done; a new plan follows when memory runs out."""

    device: torch.device
    tile: int
    batch: int


class Predictor:
    """A network on a device, ready for the patches of one image.

    Parameters
    ----------
    card, network
        The model. The network is moved to the device and set to evaluation.
    options
        Device, precision, tile, overlap, batch and flips.
    shape
        (Y, X) of the image, or of each of its slices, at the network's pixel size.
    beat
        Called after every pass through the network; may raise `Cancelled`.
    settings
        `settings` of an earlier run whose result is to be continued; they take the place of those options.

    Attributes
    ----------
    tile_may_shrink
        Whether smaller patches are tried before the CPU is when memory runs out; `TileChanged` tells of it.
    keeps_presence
        Whether `take_presence` will be called after each batch.
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
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        given = settings or {}
        self._card, self._network, self._options = card, network.eval(), options
        self._passes = Passes(card, self._network, options.tta, beat)
        self._shape = shape
        self._multiple = size_multiple(card)
        self._uncut = needs_whole(card)
        whole = self._uncut or (not options.tile and max(shape) <= WHOLE_UP_TO * card.tile)
        tile = given.get("tile") or round_up(max(shape) if whole else options.tile or card.tile, self._multiple)
        self._first_tile = int(tile)
        batch = given.get("batch") or (0 if options.batch == "auto" else options.batch)
        self._plan = Plan(pick_device(given.get("device") or options.device), self._first_tile, int(batch))
        self._wanted = str(given.get("precision") or options.precision)
        self._precision: Precision | None = None
        self._loaded = False
        self._count = 1
        self._failure = ""
        self.tile_may_shrink = self.keeps_presence = False
        self._presence: list[Callable[[], npt.NDArray[Any]]] = []
        self.notes: list[str] = []
        self.message = device_title(self._plan.device)

    @property
    def grid(self) -> Grid:
        """Windows over an image of this shape, by tile and overlap; another one after `TileChanged`."""
        return lay_grid(self._shape, self._plan.tile, self._options.overlap, self._multiple)

    @property
    def device(self) -> torch.device:
        return self._plan.device

    @property
    def batch(self) -> int:
        """Patches that go through the network together; known after `prepare`, fewer after memory ran out."""
        return max(1, self._plan.batch)

    @property
    def settings(self) -> dict[str, Any]:
        """Device type, precision, batch and tile: what a later run needs to compute the same numbers."""
        return {
            "device": self._plan.device.type,
            "precision": self._precision.name if self._precision else self._wanted,
            "batch": self._plan.batch,
            "tile": self._plan.tile,
        }

    def take_raw(self, value_range: ValueRange) -> None:
        """From now on patches of integers are raw values, of which ``value_range`` becomes 0 to 1, as the card says.

        Patches of floats are always the network's input as it is.
        """
        self._passes.scale = Scale(self._card, value_range)

    def make_batch(self, count: int, like: npt.NDArray[Any]) -> torch.Tensor:
        """Memory for patches (count, C, h, w) of the dtype of ``like`` (C, Y, X), from which the device copies fast."""
        return make_batch(count, like, self.grid.patch, self._plan.device)

    def prepare(self, probe: npt.NDArray[Any], count: int = 1) -> None:
        """Load the network, choose number format and batch.

        Parameters
        ----------
        probe
            A patch of the grid, or a whole slice, (C, Y, X), as `forward` takes them: something typical.
        count
            How many of the kind are to come.

        Raises
        ------
        ComputeError, ModelError
            As `forward`.
        """
        self._count = count
        while self._precision is None:
            with suppress(TileChanged):
                self._ready(probe)

    def forward(self, patches: Batch) -> torch.Tensor:
        """Logits (N, K, h, w), float32, on the device, of patches (N, C, h, w).

        Raises
        ------
        ComputeError
            Memory is not enough even on the CPU, or the network fails.
        ModelError
            The network's output does not fit its card or is not a number.
        TileChanged
            Only where `tile_may_shrink`.
        """
        return next(self.stream([patches]))

    def stream(self, batches: Iterable[Batch]) -> Generator[torch.Tensor]:
        """Logits of one batch after another, as `forward`; a graphics card gets its next one before it is done."""
        launched: deque[Launched] = deque()
        for patches in batches:
            launched.append(self._launch(as_tensor(patches)))
            while len(launched) > AHEAD.get(self._plan.device.type, 0):
                yield self._collect(launched.popleft())
        while launched:
            yield self._collect(launched.popleft())

    def take_presence(self) -> Callable[[], npt.NDArray[Any]] | None:
        """Waits for the probability (M,) of each patch holding anything, of those given since this was last called.

        None where there is no slice head, or nothing was given.
        """
        kept, self._presence = self._presence, []
        return (lambda: np.concatenate([one() for one in kept])) if kept else None

    def _launch(self, patches: torch.Tensor, precision: str = "") -> Launched:
        """Begin with a batch in the chosen number format, or in another one."""
        while True:
            if self._precision is None:
                self._ready(patches[0].cpu().numpy())
            assert self._precision is not None
            name = precision or self._precision.name
            try:
                return self._passes.launch(patches, self._plan.device, name, self.batch)
            except (RuntimeError, MemoryError) as error:
                failure = why_failed(error, self._plan.device)
            # Outside of the handler: the traceback no longer keeps the failed batch in memory.
            self.step_down(failure)

    def _collect(self, launched: Launched) -> torch.Tensor:
        """Wait for a batch; one that overflows its short number format is computed again in fp32."""
        try:
            # Looking at each number takes longer, and is only needed where their sum overflows.
            if np.isfinite(launched.total()) or bool(torch.isfinite(launched.logits).all()):
                self._say_failure()
                if self.keeps_presence and launched.said is not None:
                    self._presence.append(launched.said)
                return launched.logits
        except RuntimeError as error:  # a graphics card tells of trouble when its numbers are asked for
            self.step_down(why_failed(error, self._plan.device))
            return self._collect(self._launch(launched.patches))
        if launched.precision == "fp32":
            why = f"The output of the model {self._card.reference} is not a number."
            raise ModelError(why, "Its weights are damaged.")
        self._note(f"Numbers became too large for {launched.precision}; those parts were computed in fp32.")
        return self._collect(self._launch(launched.patches, "fp32"))

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def _say_failure(self) -> None:
        if self._failure:
            self._note(f"{self._failure}; went on with {self.message}, tile {self._plan.tile}, batch {self.batch}.")
            self._failure = ""

    def _ready(self, probe: npt.NDArray[Any]) -> None:
        """Load the network and choose number format and batch, if that is still to be done."""
        while self._precision is None:
            try:
                self._settle(probe)
                return
            except (RuntimeError, MemoryError) as error:
                failure = why_failed(error, self._plan.device)
            self.step_down(failure)

    def _settle(self, probe: npt.NDArray[Any]) -> None:
        device, grid = self._plan.device, self.grid
        if device.type == "cpu":
            torch.set_num_threads(thread_count())
            hold_memory()
        self._loaded = False
        self._network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._loaded = True
        count = self._count
        if probe.shape[-2:] != grid.patch:
            probe, count = cut(probe, grid.windows[grid.count // 2]), count * grid.count
        patch = self.make_batch(1, probe)
        np.copyto(patch[0].numpy(), probe)
        chosen = choose_precision(self._passes, patch, device, self._wanted, count)
        if not self._plan.batch:
            batch = choose_batch(self._passes, patch, device, chosen, count)
            self._plan = Plan(device, self._plan.tile, batch)
        self._precision = chosen
        self.notes += [note for note in self._passes.notes if note not in self.notes]
        faster = f" ({self._precision.speedup:.1f}x fp32 here)" if self._precision.speedup > 1 else ""
        self.message = f"{device_title(device)}, {self._precision.name}{faster}"

    def step_down(self, failure: str) -> None:
        """A humbler plan after ``failure``: smaller batch, smaller tile where it may shrink, then the CPU.

        Raises
        ------
        TileChanged
            The grid is another one now.
        ComputeError
            There is nothing smaller.
        """
        self._failure = self._failure or failure
        device, tile, batch = self._plan.device, self._plan.tile, self._plan.batch
        patch = max(self.grid.patch)
        for_memory = "memory" in failure
        halves = self.tile_may_shrink and not self._uncut and patch // 2 >= max(SMALLEST_TILE, self._multiple)
        if for_memory and self._loaded and batch > 1:
            self._plan = Plan(device, tile, batch // 2)
        elif for_memory and self._loaded and halves:
            self._plan = Plan(device, round_up(patch // 2, self._multiple), 1)
        elif device.type != "cpu":
            self._plan = Plan(torch.device("cpu"), self._first_tile, 0)
            self._precision = None
        else:
            raise ComputeError(
                f"{failure}, even for a tile of {patch} pixels.", "Close other programs or choose a smaller model."
            )
        if device.type == "cuda" and for_memory:
            torch.cuda.empty_cache()
        if self._plan.tile != tile:
            raise TileChanged
