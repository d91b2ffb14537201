"""Carry out a training run: read, start, train, compare, add to the library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import torch

from napari_medseg.core import ClassInfo, ModelCard, Reporter, check_name, silent
from napari_medseg.evaluation.panels import check_folder
from napari_medseg.inference.device import pick_device
from napari_medseg.io.atomic import write_text
from napari_medseg.io.findings import counted
from napari_medseg.io.pairs.listing import SPLIT_FILE, split_text
from napari_medseg.models import Model, library_home
from napari_medseg.models.build import QUICK
from napari_medseg.models.names import check_name_is_own

from .blend import blend
from .channels import check_orders, find_channels
from .checkpoint import Checkpoints, check_resumable, discard, fingerprint
from .classes import check_painted, find_absent, find_classes, merge_classes
from .distributed import Team
from .drawn import draw_panels
from .engine import choose_batch, load, start_engine
from .guard import HeldOut, score
from .intake import note_origin, settle_intake, take_in
from .launch import assemble, first_here, settle_devices
from .log import check_log, opened
from .loop import fit
from .material import Material, Parts, find_archive, make_ready, split, strangers, why_sides
from .measuring import hold_out
from .memory import EMPTY
from .portion import settle_portions, small_crop
from .presence import check_telling, says_presence, whole_side
from .preview import Preview, Previews
from .quick import fit_quick, measure_rival
from .rehearsal import SHARE, rehearse
from .result import keep
from .run import TrainingRun, name_merged
from .samples import Samples, sample_size
from .schedule import Budget
from .split import NOTHING
from .start import Start, find_start, make_start
from .step import Job
from .truth import Painted
from .verdict import TrainingResult, Verdict
from .watch import Watch

SECONDS = {"cpu": 60.0, "cuda": 20.0, "mps": 30.0}
"""Time for a run that was given neither time nor steps, by device."""

STRANGE = 0.1
"""A start model with a lower held-out Dice does not know such images: held to its normalisation's statistics and to
small steps in the encoder, one of CT found nothing in MR after ten minutes."""


def carry_out(
    run: TrainingRun, report: Reporter, started: float = -1.0, preview: Preview | None = None
) -> TrainingResult:
    """Do a training run; see `train`.

    Parameters
    ----------
    started
        When its time began, by ``time.monotonic``; now if negative.
    preview
        Says which slice is in view; it is segmented every few seconds and reported.
    """
    run = run.model_copy(update={"options": settle_devices(run.options)})
    options = run.options
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        # What can be refused is refused before anything is written or read; the device also decides the default time.
        check_resumable(run)
        check_log(options)
        if first_here() and options.panels:
            check_folder(options.panels)
        parent = find_start(run.start)
        device = pick_device(options.device).type
        run = settle(run, parent.card if parent else None)
        timeless = options.max_minutes is None and options.max_steps is None
        minutes = SECONDS.get(device, 60.0) if timeless else options.max_minutes and options.max_minutes * 60
        budget = Budget(minutes, options.max_steps, started=started)
        with assemble(run) as team:
            watch = Watch(report if team.rank == 0 else silent, budget)
            result = work_on(team.share(lambda: run), parent, team, watch, preview)
            with suppress(OSError):  # an older one than the result is not gone on from
                discard(run)
            return result


def work_on(
    run: TrainingRun, parent: Model | None, team: Team, watch: Watch, preview: Preview | None
) -> TrainingResult:
    """One process's part in a settled run."""
    options, budget = run.options, watch.budget
    watch.say("Reading the labelled slices.")
    archive, past = find_archive(run.recall or run.start, watch) if parent or run.recall else (EMPTY, NOTHING)
    parts = split(run, past, watch, empty=says_presence(run, parent.card if parent else None))
    training, held_out = parts.training, parts.held_out
    list_parts(run, parts, team)
    classes, index, notes = merge_classes(parent.card.classes if parent else (), find_classes(training, run.classes))
    check_painted(training, classes, index)
    absent = find_absent([*parts], run.classes, options.unlabelled)
    for note in (*notes, *strangers([*held_out, *parts.test], index), *absent):
        watch.say(note)
    start = begin(run, parts, classes, parent)
    run = team.share(lambda: settle_options(run, start, [*training, *held_out], watch))
    options = run.options
    start = note_origin(run, take_in(run, start, [*training, *held_out], watch), training)
    # Of a slice that is painted again, today's labels count.
    start = replace(start, archive=archive.without({one.identity for one in parts}))
    material = make_ready(run, start, parts, index, watch)
    job = make_job(run, start, team, material, watch)
    why = hold_out(job, material, watch, compared=run.compared)
    engine = job.engine
    if start.card.architecture != QUICK:
        watch.say(describe_steps(job, team))
    rival = begin(run, parts, classes, find_start(run.recall)) if run.recall else start
    old = measure_start(rival, job, watch)
    job.pretrained = team.share(lambda: job.pretrained)  # only the first process has measured it

    if believed := rehearse(start, job, [*parts], material.training, watch):
        job.samples.rehearse(believed, max(SHARE, options.replay))
    quick = measure_rival(job, start.card, budget, watch)

    def judge(scores: HeldOut | None) -> Verdict:
        shared = start.known if old else ()
        parts = [found.mean(shared) if found else math.nan for found in (old, scores, quick)]
        knew, knows = (found.kept(shared) if found else math.nan for found in (old, scores))
        on = counted(sum(not one.remembered for one in job.held_out), "held-out slice")
        return Verdict(parts[0], parts[1], why, parts[2], knew, knows, engine.figure, on)

    before = known_weights(start, job)

    def passes(scores: HeldOut) -> bool:
        return judge(scores).promoted

    checkpoints = Checkpoints(
        run,
        {
            "start model": start.parent.fingerprint if start.parent else run.start,
            "data": fingerprint([*job.samples.slices, *material.replay]),
        },
    )
    with opened(run, job, start.card, watch.say) as job.log:
        if start.card.architecture == QUICK:
            best = fit_quick(job, material.replay, budget, watch)
        else:
            best = fit(job, budget, watch, passes, Previews(preview, start.card), checkpoints)
            if len(start.known) == engine.outputs and options.blend < 1 and job.pretrained:
                best = blend(job, before, best, watch, passes)
    result = team.share(lambda: keep(run, start, job, best, judge(best.scores), watch))
    result = draw_panels(result, job, parts, index, watch)
    return replace(result, held_out=tuple(sorted({(one.pair, one.z) for one in held_out if one.pair >= 0})))


def begin(run: TrainingRun, parts: Parts, classes: tuple[ClassInfo, ...], parent: Model | None) -> Start:
    """The network to train, of which all images, those that are set aside too, have the order of channels."""
    start = make_start(run, [*parts.training, *parts.held_out], classes, parent)
    check_orders([one.image for one in parts], start.card)
    return start


def describe_steps(job: Job, team: Team) -> str:
    """Where a network trains, and on how much in a step."""
    where = f"{f'{team.size} x ' if team.size > 1 else ''}{job.engine.device.type.upper()}"
    height, width = job.samples.size
    return f"{where}, {job.engine.precision}, {job.batch} samples of {width} x {height} pixels a step."


def list_parts(run: TrainingRun, parts: Parts, team: Team) -> None:
    """Write beside ``run.json`` which slices are for what."""
    if team.rank == 0 and run.folder:
        write_text(run.folder / SPLIT_FILE, split_text(parts.listed()))


def settle_options(run: TrainingRun, start: Start, painted: Sequence[Painted], watch: Watch) -> TrainingRun:
    """Decide what is not chosen; the run's file has it, so that it goes on, and is repeated, with the same."""
    run = settle_intake(settle_portions(run, start, watch), start, painted)
    run.save()
    return run


def known_weights(start: Start, job: Job) -> dict[str, torch.Tensor]:
    """Copies of the weights that a run begins with, but for those of a new slice head, which knows nothing yet."""
    new = ("classification_head.",) if start.parent and start.parent.presence is None else ()
    return {name: value.clone() for name, value in job.network.state_dict().items() if not name.startswith(new)}


def measure_start(start: Start, job: Job, watch: Watch) -> HeldOut | None:
    """What the start model reaches on the held-out slices over the classes it knows; None where it cannot be said.

    One that does not know such images need not be handled with care.
    """
    if start.parent is None or len(start.known) < 2 or not job.held_out:
        return None
    network = job.network if start.network is job.network else job.engine.place(start.network)
    old = score(network, job.held_out, job.engine, start.known, watch.beat)
    dice = old.shown(start.known)
    if math.isnan(dice):
        return None
    strange = job.pretrained and dice < STRANGE
    way = ": it does not know such images, and learns them as a new network does" if strange else ""
    watch.say(f"The start model's held-out {job.engine.figure} is {dice:.3f}{way}.", {"old_dice": dice})
    job.pretrained &= not strange
    return old


def settle(run: TrainingRun, parent: ModelCard | None) -> TrainingRun:
    """Give the run a valid name, the exact version of its start and a folder, and save it there."""
    name = run.name or (parent.name if parent else run.start.replace(":", "-").replace("+", "-").lower())
    check_name(name)
    check_name_is_own(name, parent.name if parent else "", run.recall)
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
    run = name_merged(run, parent.classes if parent else ())
    if first_here():
        run.save()
    return run


def make_job(run: TrainingRun, start: Start, team: Team, material: Material, watch: Watch) -> Job:
    """Everything the loop needs but the held-out slices."""
    options, slices = run.options, material.training
    why = why_sides(start, material) if options.sides == "auto" else ""
    if why:
        watch.say(f"Images are not mirrored: {why}.")
    sides = bool(why) or options.sides == "yes"
    engine, network = load(start_engine(options, start.card, team.local), start.network, watch.say)
    channels = find_channels(slices, start.card, options.channels)
    if start.card.channels > 1:
        watch.say(f"The channels are taken for {channels}.")
    limits = (512, 512) if sides else (128, 256) if engine.device.type == "cpu" else (256, 512)
    if options.presence or not start.card.outlines:
        check_telling(slices)
    whole = whole_side(start.card, slices, options.crop, watch)
    crop = options.crop or whole or (small_crop(options.pixels) if start.parent and not sides else 0)
    size = sample_size(slices, crop, limits, engine.multiple)
    seed = options.seed + team.rank
    samples = Samples(slices, size, seed, material.replay, options.replay, balanced=whole > 0)
    return Job(
        network, start.parent is not None, samples, [], start.card.classes,
        engine, options, choose_batch(options, size, engine.device), sides, channels, team,
        test=material.test if run.tested else [],
    )  # fmt: skip
