"""One step of training: draw a batch, vary it, learn from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_medseg.core import ClassInfo, ComputeError

from .augment import augment
from .engine import Engine, ran_out_of_memory
from .losses import LOSSES
from .options import TrainOptions
from .presets import AUGMENTATIONS
from .samples import Samples
from .schedule import WARM_UP, WARM_UP_STEPS, rate
from .truth import LabelledSlice
from .watch import Watch

CLIP = 1.0
"""Largest norm of a gradient."""

COARSE = 0.4
"""Share of a run from random weights that sees samples at half resolution: four times as many steps in the same time
to learn what lies where, before the borders are learnt at full resolution."""

LARGE = 384
"""Smaller samples are never shown at half resolution."""


@dataclass
class Job:
    """What a run trains, on what, and how.

    Attributes
    ----------
    network
        On the engine's device; trained in place.
    pretrained
        Whether it comes from a trained model: then steps are smaller, most of all in the encoder, and the
        normalisation layers keep their statistics, which a few slices would spoil.
    sides
        Whether images must not be mirrored.
    """

    network: nn.Module
    pretrained: bool
    samples: Samples
    held_out: Sequence[LabelledSlice]
    classes: Sequence[ClassInfo]
    engine: Engine
    options: TrainOptions
    batch: int
    sides: bool


class Stepper:
    """Trains a job's network, one batch at a time."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._optimiser = make_optimiser(job)
        self._scaler = torch.amp.GradScaler(job.engine.device.type, enabled=job.engine.precision == "fp16")
        self._random = torch.Generator().manual_seed(job.options.seed)
        self._halves = shows_halves(job)
        self._done = 0

    def __call__(self, progress: float, watch: Watch) -> dict[str, float]:
        """Learn from one batch and return loss and learning rate; a loss that is no number changes no weight.

        With less memory than the batch takes, from smaller ones from now on.
        """
        self._done += 1
        size = rate(progress, 3 * WARM_UP if self._job.pretrained else WARM_UP)
        if self._job.pretrained:
            size = min(size, self._done / WARM_UP_STEPS)
        for group in self._optimiser.param_groups:
            group["lr"] = group["largest"] * size
        metrics = {"learning_rate": float(self._optimiser.param_groups[-1]["lr"])}
        while True:
            try:
                return metrics | {"loss": self._learn(*self._draw(progress))}
            except (RuntimeError, MemoryError) as error:
                if not ran_out_of_memory(error):
                    raise ComputeError(f"The training failed: {error}.", "Try the CPU or precision fp32.") from error
                if self._job.batch == 1:
                    raise ComputeError(
                        "Memory is not enough to train with a single sample.",
                        "Choose smaller crops or a smaller network.",
                    ) from error
            # Outside of the handler: its traceback would keep the failed batch in memory.
            self._shrink(watch)

    def _shrink(self, watch: Watch) -> None:
        self._job.batch = max(1, self._job.batch // 2)
        self._optimiser.zero_grad(set_to_none=True)
        if self._job.engine.device.type == "cuda":
            torch.cuda.empty_cache()
        watch.say(f"Memory is not enough for the batch: trains on with {self._job.batch} samples a step.")

    def _draw(self, progress: float) -> tuple[Tensor, Tensor]:
        """A varied batch on the device."""
        job = self._job
        images, target = (t.to(job.engine.device) for t in job.samples.draw(job.batch))
        images, target = augment(images, target, AUGMENTATIONS[job.options.augmentation], self._random, sides=job.sides)
        if self._halves and progress < COARSE:
            images, target = functional.avg_pool2d(images, 2), target[:, ::2, ::2]
        return images, target

    def _learn(self, images: Tensor, target: Tensor) -> float:
        job = self._job
        set_training(job.network, frozen_statistics=job.pretrained or len(images) == 1)
        loss = LOSSES[job.options.loss](job.engine.forward(job.network, images), target)
        value = float(loss.detach())
        if not math.isfinite(value):
            return math.nan
        self._optimiser.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self._scaler.unscale_(self._optimiser)
        norm = float(nn.utils.clip_grad_norm_(job.network.parameters(), CLIP))
        if not math.isfinite(norm) and not self._scaler.is_enabled():
            # Such a step would make every weight NaN, and then the average; a scaler leaves it out by itself.
            return math.nan
        self._scaler.step(self._optimiser)
        self._scaler.update()
        return value


def shows_halves(job: Job) -> bool:
    """Whether the run begins at half resolution."""
    even = all(side % (2 * job.engine.multiple) == 0 for side in job.samples.size)
    return even and not job.pretrained and min(job.samples.size) >= LARGE


def make_optimiser(job: Job) -> torch.optim.Optimizer:
    """AdamW with a group for the encoder and one for the rest; biases and normalisations are not decayed."""
    largest = job.options.learning_rate or 3e-3
    encoder = {id(p) for name, p in job.network.named_parameters() if name.startswith("encoder.")}
    groups: list[dict[str, Any]] = []
    for inside, share in ((True, 0.1 if job.pretrained else 1.0), (False, 1.0)):
        for decayed in (True, False):
            parameters = [
                p for p in job.network.parameters() if (id(p) in encoder) == inside and (p.ndim > 1) == decayed
            ]
            if parameters:
                decay = 1e-4 if decayed else 0.0
                groups.append({"params": parameters, "largest": largest * share, "weight_decay": decay})
    return torch.optim.AdamW(groups, lr=largest)


def set_training(network: nn.Module, *, frozen_statistics: bool) -> None:
    network.train()
    if frozen_statistics:
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
