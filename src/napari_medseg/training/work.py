"""Carry out a training run: read, start, train, compare, add to the library."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import torch

from napari_medseg.core import ClassInfo, InputError, ModelCard, Reporter
from napari_medseg.inference.device import pick_device
from napari_medseg.models import library_home

from .blend import blend
from .classes import are_sides, check_painted, find_absent, find_classes, merge_classes
from .engine import Engine, choose_batch, start_engine
from .gather import gather
from .guard import HeldOut, Verdict, score
from .loop import fit
from .result import TrainingResult, keep
from .run import TrainingRun
from .samples import Samples, sample_size
from .schedule import Budget
from .split import hold_out
from .start import Start, find_start, make_start
from .step import Job
from .truth import LabelledSlice, Painted, prepare
from .watch import Watch

SECONDS = {"cpu": 60.0, "cuda": 20.0, "mps": 30.0}
"""Time for a run that was given neither time nor steps, by device."""


def carry_out(run: TrainingRun, report: Reporter, started: float = -1.0) -> TrainingResult:
    """Do a training run; see `train`. ``started`` is when its time began, by ``time.monotonic``."""
    options = run.options
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        # What can be refused is refused before anything is written or read; the device also decides the default time.
        parent = find_start(run.start)
        device = pick_device(options.device).type
        run = settle(run, parent.card if parent else None)
        timeless = options.max_minutes is None and options.max_steps is None
        minutes = SECONDS.get(device, 60.0) if timeless else options.max_minutes and options.max_minutes * 60
        budget = Budget(minutes, options.max_steps, started=started)
        watch = Watch(report, budget)
        watch.say("Reading the labelled slices.")
        training, held_out = read(run, watch)
        found = find_classes(training, run.classes, options.unlabelled)
        classes, index, notes = merge_classes(parent.card.classes if parent else (), found)
        check_painted(training, classes, index, options.unlabelled)
        absent = find_absent([*training, *held_out], run.classes, options.unlabelled)
        for note in (*notes, *strangers(held_out, index, options.unlabelled), *absent):
            watch.say(note)
        start = make_start(run, [*training, *held_out], classes, parent)
        engine = start_engine(options, start.card)
        job = make_job(run, start, engine, training, index, watch)
        ready = prepare(held_out, start.card, index, options.unlabelled, watch.say)
        job.held_out, why = showing(limit(ready, job, budget, watch))
        watch.say(f"{engine.device.type.upper()}, {engine.precision}, {job.batch} samples of {job.samples.size[1]} x "
                  f"{job.samples.size[0]} pixels a step.")  # fmt: skip
        old = measure_start(start, job, watch)

        def judge(scores: HeldOut | None) -> Verdict:
            new = scores.mean(() if math.isnan(old) else start.known) if scores else math.nan
            return Verdict(old, new, why)

        before = {name: value.clone() for name, value in job.network.state_dict().items()}

        def passes(scores: HeldOut) -> bool:
            return judge(scores).promoted

        best = fit(job, budget, watch, passes)
        if len(start.known) == engine.outputs and options.blend < 1:
            best = blend(job, before, best, watch, passes)
        return keep(run, start, job, best, judge(best.scores), watch)


def showing(held_out: list[LabelledSlice]) -> tuple[list[LabelledSlice], str]:
    """Held-out slices if any shows a class, and else none and why nothing is measured."""
    if not held_out:
        return [], "nothing was held out"
    if not any(one.present - {0} for one in held_out):
        return [], "no class is painted in the held-out slices"
    return held_out, ""


def measure_start(start: Start, job: Job, watch: Watch) -> float:
    """Held-out Dice of the start model over the classes it knows; NaN where there is none."""
    if start.parent is None or len(start.known) < 2 or not job.held_out:
        return math.nan
    old = score(job.network, job.held_out, job.engine, start.known, watch.beat).mean(start.known)
    if not math.isnan(old):
        watch.say(f"The start model's held-out Dice is {old:.3f}.", {"old_dice": old})
    return old


def settle(run: TrainingRun, parent: ModelCard | None) -> TrainingRun:
    """Give the run a valid name, the exact version of its start and a folder, and save it there."""
    name = run.name or (parent.name if parent else run.start.replace(":", "-").replace("+", "-").lower())
    try:
        ModelCard(name=name, classes=(ClassInfo.numbered(1),))
    except ValueError:
        raise InputError(
            f"'{name}' cannot be a model's name.", "Use small letters, digits, '.', '_' and '-', a letter first."
        ) from None
    # A model in a folder of its own is named by the folder, one of the library by its version.
    start = parent.reference if parent and not Path(run.start).exists() and ":" not in run.start else run.start
    folder = run.folder
    if folder is None:
        stamp = f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
        folder = library_home() / "runs" / stamp
        count = 1
        while folder.exists():
            count += 1
            folder = library_home() / "runs" / f"{stamp}-{count}"
    run = run.model_copy(update={"name": name, "start": start, "folder": folder})
    run.save()
    return run


def read(run: TrainingRun, watch: Watch) -> tuple[list[Painted], list[Painted]]:
    """Snapshots of the slices that train and of those that measure."""
    options = run.options
    painted = gather(run.pairs, options.group, watch)
    if run.validation_pairs:
        return painted, gather(run.validation_pairs, "", watch)
    training, held_out, note = hold_out(painted, options.validation, options.unlabelled)
    if note:
        watch.say(note)
    elif held_out:
        names = ", ".join(one.name for one in held_out[:5]) + (" and others" if len(held_out) > 5 else "")
        watch.say(f"Trains on {len(training)} slices; {len(held_out)} only measure: {names}.")
    return training, held_out


def strangers(held_out: Sequence[Painted], index: dict[int, int], unlabelled: int | None) -> list[str]:
    """What to say about classes that are held out but nowhere to be learnt."""
    values = {v for one in held_out for v in one.where(unlabelled)} - {*index}
    return [
        f"Mask value {v} is only in held-out slices: it cannot be learnt and does not count." for v in sorted(values)
    ]


def make_job(
    run: TrainingRun, start: Start, engine: Engine, training: Sequence[Painted], index: dict[int, int], watch: Watch
) -> Job:
    """Everything the loop needs but the held-out slices."""
    options = run.options
    slices = prepare(training, start.card, index, options.unlabelled, watch.say)
    if not any(one.present - {0} for one in slices):
        raise InputError("No class is painted in the slices that can be read.", "Copy the damaged files again.")
    why = are_sides(training, start.card.classes, index, options.unlabelled) if options.sides == "auto" else ""
    if why:
        watch.say(f"Images are not mirrored: {why}.")
    sides = bool(why) or options.sides == "yes"
    largest = 256 if engine.device.type == "cpu" and not sides else 512
    size = sample_size(slices, options.crop, largest, engine.multiple)
    network = start.network.to(engine.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Job(
        network, start.parent is not None, Samples(slices, size, options.seed), [], start.card.classes, engine, options,
        choose_batch(options, size, engine.device), sides,
    )  # fmt: skip


def limit(slices: list[LabelledSlice], job: Job, budget: Budget, watch: Watch) -> list[LabelledSlice]:
    """As many held-out slices as can be scored in about 3 % of the time, evenly spread; at least three."""
    if budget.seconds is None or len(slices) <= 3:
        return slices
    everything = range(job.engine.outputs)
    job.network.eval()
    job.engine.predict(job.network, slices[0].pixels, everything)  # the first pass chooses kernels
    begin = time.monotonic()
    job.engine.predict(job.network, slices[0].pixels, everything)
    most = max(3, int(0.03 * budget.seconds / max(time.monotonic() - begin, 1e-6)))
    if len(slices) <= most:
        return slices
    watch.say(f"Of {len(slices)} held-out slices, {most} are measured, so that measuring leaves time for training.")
    return [slices[int((i + 0.5) * len(slices) / most)] for i in range(most)]
