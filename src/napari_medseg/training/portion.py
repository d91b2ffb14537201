"""How much a step may take in, so that there are enough steps in the time given."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import torch
from torch import nn

from napari_medseg.core import ModelCard
from napari_medseg.models.build import QUICK

from .engine import Engine, start_engine
from .run import TrainingRun
from .schedule import Budget
from .start import Start
from .step import measure_loss, set_training
from .watch import Watch

STEPS = 400
"""Steps that a run of several classes from random weights needs at least before the rarest is learnt."""

FURTHER_STEPS = 200
"""Steps that a trained model needs to learn what is new."""

SHARE = 0.8
"""Of a run's time that its steps have; the rest goes into reading, measuring and adding up weights."""

SMALLEST, LARGEST = 2**15, 2**19
"""Pixels of a step on a CPU: with less it learns too little of a step, with more the steps become too few."""

GAIN = 1.15
"""A half-size number format must be faster by this factor: so that the choice is the same every time."""

_SIDE = 128

TURNS = 3

_speeds: dict[tuple[str, ...], tuple[str, float]] = {}


def settle_portions(run: TrainingRun, start: Start, watch: Watch) -> TrainingRun:
    """Decide number format and pixels of a step, where they are not chosen, by how fast this computer is."""
    options, card = run.options, start.card
    if card.architecture == QUICK:
        return run
    engine = start_engine(options, card)
    settled: dict[str, object] = {}
    if options.precision == "auto" and engine.device.type == "cpu":
        settled["precision"] = _measure(engine, start.network, card, watch.budget)[0]
    steps = FURTHER_STEPS if start.parent else STEPS
    pixels = options.pixels or _choose_pixels(engine, start.network, card, watch.budget, steps)
    if pixels < LARGEST:
        settled["pixels"] = pixels
    return run.model_copy(update={"options": options.model_copy(update=settled)})


def small_crop(pixels: int) -> int:
    """Side of crops of which a step of ``pixels`` holds three; 0 where there is time for whole slices.

    For a trained model, which knows things by their looks.
    """
    if not 0 < pixels < LARGEST:
        return 0
    return max(_SIDE, 32 * math.ceil(math.sqrt(pixels / 3) / 32))


def _choose_pixels(engine: Engine, network: nn.Module, card: ModelCard, budget: Budget, steps: int) -> int:
    """Pixels of a step with which so many steps fit into the time; on a CPU, where steps take long.

    Without a limit of time, and on other devices, as many as learn well.
    """
    if budget.seconds is None or engine.device.type != "cpu":
        return LARGEST
    speed = _measure(engine, network, card, budget)[1]
    return int(min(max(SHARE * budget.seconds / (steps * max(speed, 1e-12)), SMALLEST), LARGEST))


def _measure(engine: Engine, network: nn.Module, card: ModelCard, budget: Budget) -> tuple[str, float]:
    """The faster number format, and seconds a pixel of a step takes in it; measured once for a kind of network."""
    key = (card.architecture, card.encoder, str(card.network), str(card.in_channels), engine.precision)
    if key not in _speeds:
        twin = copy.deepcopy(network).to(engine.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        short, least = engine.precision, dict.fromkeys(("fp32", engine.precision), math.inf)
        with torch.random.fork_rng(devices=()):
            # In turn, and the first of each only chooses kernels: what else the computer does would otherwise decide.
            for turn in range(1 + TURNS):
                for name in least:
                    seconds = _time(replace(engine, precision=name), twin, card.in_channels, budget)
                    least[name] = min(least[name], seconds) if turn else math.inf
        _speeds[key] = (short, least[short]) if GAIN * least[short] < least["fp32"] else ("fp32", least["fp32"])
    return _speeds[key]


def _time(engine: Engine, network: nn.Module, channels: int, budget: Budget) -> float:
    """Seconds of a step for each of its pixels, by the run's clock."""
    images = torch.rand(2, channels, _SIDE, _SIDE)
    target = (images[:, 0] > 0.5).long()
    set_training(network, frozen_statistics=False)
    begin = budget.clock()
    loss = measure_loss(engine, network, "dice-ce", (images, target, images[:, 0, 0, 0]))
    loss.backward()  # type: ignore[no-untyped-call]
    network.zero_grad(set_to_none=True)
    return (budget.clock() - begin) / target.numel()
