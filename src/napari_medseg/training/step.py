"""One step of training: draw a batch, vary it, learn from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_medseg.core import ClassInfo, ComputeError
from napari_medseg.inference.device import ran_out_of_memory

from .augment import augment
from .channels import GREY, Channels
from .distributed import Team
from .dropout import leaving_out
from .engine import Engine, choose_batch
from .log import Log
from .losses import LOSSES, PRESENCE, presence_loss
from .optimisers import make_optimiser
from .options import TrainOptions
from .presets import choose_preset
from .samples import Samples
from .schedule import WARM_UP, WARM_UP_STEPS, Pace, rate
from .truth import LabelledSlice

CLIP = 1.0
"""Largest norm of a gradient."""

COARSE = 0.4
"""Share of a run from random weights that sees samples at half resolution: four times as many steps in the same time
to learn what lies where, before the borders are learnt at full resolution."""

MOMENTUM = 0.03
"""Weight of one batch in the statistics of the normalisation layers; smaller than usual, as batches are on a CPU."""

SETTLED = 0.6
"""Share of a run from random weights after which these statistics stay as they are, and the rest of the network learns
to work with them: what it was trained with is then what it is used with."""

EARLY = 0.25
"""Share of a run in which what was painted last is shown twice as often."""

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
        Whether it comes from a trained model that knows such images: then steps are smaller, most of all in the
        encoder, and the normalisation layers keep their statistics, which a few slices would spoil.
    sides
        Whether images must not be mirrored.
    channels
        What the channels of the network's input are.
    team
        The processes that train it together.
    spare
        Held-out slices that there is no time to score: they do not train either.
    test
        Slices that measure once, when everything is decided.
    log
        Keeps figures and pictures of the run for whoever looks at them later.
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
    channels: Channels = GREY
    team: Team = field(default_factory=Team)
    spare: Sequence[LabelledSlice] = ()
    test: Sequence[LabelledSlice] = ()
    log: Log = field(default_factory=Log)


class Stepper:
    """Trains a job's network, one batch at a time.

    Attributes
    ----------
    notes
        Sentences about what had to be changed, for whoever reports them.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._optimiser = make_optimiser(job.network, job.options, pretrained=job.pretrained)
        self._scaler = torch.amp.GradScaler(job.engine.device.type, enabled=job.engine.precision == "fp16")
        self._random = torch.Generator().manual_seed(job.options.seed + job.team.rank)
        self._halves = shows_halves(job)
        self._done, self._shown = 0, 0
        self.notes: list[str] = []

    def __call__(self, pace: Pace) -> dict[str, float]:
        """Learn from one batch and return loss and learning rate; a loss that is no number changes no weight.

        With less memory than the batch takes, from smaller ones from now on, at last on the CPU. Numbers that
        overflow in a short format are computed in fp32 from now on.
        """
        self._done += 1
        size = rate(pace.progress, 3 * WARM_UP if self._job.pretrained else WARM_UP, self._job.options.scheduler)
        if self._job.pretrained:
            size = min(size, self._done / WARM_UP_STEPS)
        for group in self._optimiser.param_groups:
            group["lr"] = group["largest"] * size * pace.factor
        metrics = {"learning_rate": float(self._optimiser.param_groups[-1]["lr"])}
        while True:
            try:
                batch = self._draw(pace.progress)
                self._set_training(len(batch[0]), pace.progress)
                return metrics | {"loss": self._attempt(*batch)}
            except (RuntimeError, MemoryError) as error:
                self._explain(error)
            # Outside of the handler: its traceback would keep the failed batch in memory.
            self._relieve()

    def state(self) -> dict[str, Any]:
        """What it takes to go on exactly from here, but for the network."""
        return {
            "optimiser": self._optimiser.state_dict(), "scaler": self._scaler.state_dict(),
            "random": self._random.get_state(), "done": self._done, "shown": self._shown,
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        moments = state["optimiser"]["state"]
        for kept in moments.values():
            # In the layout of the weights, as they were: arithmetic over different layouts is slow.
            kept.update({
                name: value.contiguous(memory_format=torch.channels_last)
                for name, value in kept.items() if isinstance(value, Tensor) and value.ndim == 4
            })  # fmt: skip
        self._optimiser.load_state_dict(state["optimiser"])
        if self._scaler.is_enabled() and state["scaler"]:
            self._scaler.load_state_dict(state["scaler"])
        if self._job.team.rank == 0:
            self._random.set_state(state["random"])
        self._done, self._shown = state["done"], state["shown"]

    def _explain(self, error: RuntimeError | MemoryError) -> None:
        """Raise what a user can understand where nothing is left that would help."""
        alone, device = self._job.team.size == 1, self._job.engine.device.type
        if isinstance(error, NotImplementedError) and device != "cpu" and alone:
            self._job.batch = 1  # the device lacks an operation, whatever the batch
        elif not ran_out_of_memory(error):
            raise ComputeError(f"The training failed: {error}.", "Try the CPU or precision fp32.") from error
        elif self._job.batch == 1 and not (alone and self._job.engine.on_cpu()):
            raise ComputeError(
                "Memory is not enough to train with a single sample.", "Choose smaller crops or a smaller network."
            ) from error

    def _relieve(self) -> None:
        """Need less of the device from now on."""
        job = self._job
        self._optimiser.zero_grad(set_to_none=True)
        cpu = job.engine.on_cpu() if job.batch == 1 else None
        if cpu:
            self.notes.append(f"{job.engine.device.type.upper()} cannot train this: trains on on the CPU.")
            job.engine, job.network = cpu, cpu.place(job.network)
            job.batch = choose_batch(job.options, job.samples.size, cpu.device)
            state = self._optimiser.state_dict()
            self._optimiser = make_optimiser(job.network, job.options, pretrained=job.pretrained)
            self._optimiser.load_state_dict(state)
            self._scaler = torch.amp.GradScaler("cpu", enabled=False)
        else:
            job.batch = max(1, job.batch // 2)
            self.notes.append(f"Memory is not enough for the batch: trains on with {job.batch} samples a step.")
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _draw(self, progress: float) -> tuple[Tensor, Tensor, Tensor]:
        """A varied batch on the device: images, class indices, and whether each image holds a class (N,), NaN where
        that is not known."""
        job = self._job
        drawn = job.samples.draw(job.batch, early=progress < EARLY)
        images, target, tells = (t.to(job.engine.device) for t in drawn)
        seen = math.inf if job.pretrained else self._shown / job.samples.pixels
        preset = choose_preset(job.options.augmentation, seen)
        if job.pretrained:  # it knows borders; claimed air only makes it forget what few strokes say
            preset = replace(preset, air=0)
        self._shown += target.numel() * job.team.size
        images, target = augment(images, target, preset, self._random, sides=job.sides, channels=job.channels)
        # Of what is there after the image was moved: a thing may have left it.
        holds = (target > 0).flatten(1).any(1).float().masked_fill(~tells, math.nan)
        if self._halves and progress < COARSE:
            images, target = functional.avg_pool2d(images, 2), target[:, ::2, ::2]
        return images, target, holds

    def _set_training(self, samples: int, progress: float) -> None:
        """Batches of one have no statistics, a trained model has its own, and in the end those of a new one stay."""
        frozen = self._job.pretrained or samples == 1 or progress >= SETTLED
        set_training(self._job.network, frozen_statistics=frozen, momentum=max(MOMENTUM, 1 / self._done))

    def _attempt(self, images: Tensor, target: Tensor, holds: Tensor) -> float:
        """Learn from a batch; in fp32 from now on, where the numbers overflow."""
        job, precision = self._job, self._job.engine.precision
        if precision == "fp32":
            return self._learn(images, target, holds)
        # Numbers that overflow also spoil the statistics of the normalisation layers.
        before = [] if job.pretrained else [(value, value.clone()) for value in job.network.buffers()]
        value = self._learn(images, target, holds)
        if math.isfinite(value) and not (self._scaler.is_enabled() and self._scaler.get_scale() < 1):
            return value
        with torch.no_grad():
            for buffer, old in before:
                buffer.copy_(old)
        job.engine = replace(job.engine, precision="fp32")
        self._scaler = torch.amp.GradScaler(job.engine.device.type, enabled=False)
        self.notes.append(f"The numbers overflow in {precision}: trains on in fp32.")
        return self._learn(images, target, holds)

    def _learn(self, images: Tensor, target: Tensor, holds: Tensor) -> float:
        job = self._job
        with leaving_out(job.network, job.options.dropout):
            loss = measure_loss(job.engine, job.network, job.options.loss, (images, target, holds))
        value = float(loss.detach())
        self._optimiser.zero_grad(set_to_none=True)
        if math.isfinite(value):
            self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        value = job.team.average(job.network, value)
        if not math.isfinite(value):
            return math.nan
        self._scaler.unscale_(self._optimiser)
        norm = float(nn.utils.clip_grad_norm_(job.network.parameters(), CLIP))
        if not math.isfinite(norm) and not self._scaler.is_enabled():
            # Such a step would make every weight NaN, and then the average; a scaler leaves it out by itself.
            return math.nan
        self._scaler.step(self._optimiser)
        self._scaler.update()
        return value


def measure_loss(engine: Engine, network: nn.Module, name: str, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """The loss ``name`` of the pixels of a batch (images, class indices, whether each image holds anything), and what a
    slice head adds to it."""
    images, target, holds = batch
    logits, said = engine.both(network, images)
    if said is None:
        return LOSSES[name](logits, target)
    presence = presence_loss(said, holds)
    return LOSSES[name](logits, target) + PRESENCE * presence if engine.outlines else presence


def shows_halves(job: Job) -> bool:
    """Whether the run begins at half resolution."""
    even = all(side % (2 * job.engine.multiple) == 0 for side in job.samples.size)
    return job.options.coarse_start and even and not job.pretrained and min(job.samples.size) >= LARGE


def set_training(network: nn.Module, *, frozen_statistics: bool, momentum: float = MOMENTUM) -> None:
    """Make a network ready for a step; ``momentum`` is that of the statistics of its normalisation layers."""
    network.train()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = momentum
            module.train(not frozen_statistics)
