"""What comes out of a run: the new model beside the old ones, and how it compares."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from functools import partial
from pathlib import Path

import torch

from napari_medseg.core import Cancelled, Score
from napari_medseg.io.atomic import write_text
from napari_medseg.io.findings import counted, some_of
from napari_medseg.models import add_model

from .augment import has_up
from .guard import score
from .loop import Best
from .material import count_slices
from .memory import Memory, write_memory
from .presence import measure_presence
from .presets import choose_preset
from .run import RESULT_FILE, TrainingRun
from .start import Start
from .step import Job
from .verdict import TrainingResult, Verdict
from .watch import Watch


def keep(run: TrainingRun, start: Start, job: Job, best: Best, verdict: Verdict, watch: Watch) -> TrainingResult:
    """Add the new model to the library, beside the old ones, and say how it compares."""
    parent = start.parent
    remarks = [str(verdict)]
    if watch.stopped:
        remarks.append("Stopped early.")
    for k in best.scores.empty if best.scores else ():
        remarks.append(f"'{job.classes[k - 1].name}' is not found at all in the held-out slices.")
    if not verdict.promoted:
        remarks.append(f"{verdict.reason}: kept aside as {run.name}-rejected.")
    scores = []
    if best.scores:
        on = verdict.on
        figure = verdict.figure.replace("Dice", "dice")
        scores = [Score(metric=figure, value=round(best.scores.mean(), 4), on=on)]
        scores += [
            Score(metric=f"{figure} {c.name}", value=round(d, 4), on=on)
            for c, d in zip(job.classes, best.scores.dice[1:], strict=True) if not math.isnan(d)
        ]  # fmt: skip
        if not math.isnan(verdict.old):
            scores.append(Score(metric=f"{figure} of its start", value=round(verdict.old, 4), on=on))
        if not math.isnan(verdict.knows):
            before = f"{counted(sum(one.remembered for one in job.held_out), 'slice')} its start remembers"
            scores.append(Score(metric=f"{figure}, remembered", value=round(verdict.knows, 4), on=before))
            scores.append(Score(metric=f"{figure} of its start, remembered", value=round(verdict.knew, 4), on=before))
        if not math.isnan(verdict.rival):
            scores.append(Score(metric="dice of Quick", value=round(verdict.rival, 4), on=on))
    presence = measure_presence(start.card, job, watch)
    tested = measure_test(job, watch)
    scores += [*presence.scores, *tested]
    if tested:
        remarks.insert(1, f"Test: {job.engine.figure} {tested[0].value:.3f} on {tested[0].on}.")
    sources = sorted({pair.image.name for pair in run.pairs})
    data = f"{counted(len(job.samples.slices), 'slice')} of {some_of(sources, 3)}"
    card = start.card.model_copy(update={
        "name": run.name if verdict.promoted else f"{run.name}-rejected",
        "title": "",
        "sides": job.sides,
        "upright": has_up(choose_preset(job.options.augmentation, math.inf), job.channels, sides=job.sides),
        "description": " ".join(remarks),
        "trained_on": data,
        "scores": tuple(s for s in scores if not math.isnan(s.value)),
        "parent": run.start if parent is None else parent.reference,
        "parent_sha256": parent.sha256 if parent else "",
        "sha256": "",
        **presence.changes,
    })  # fmt: skip
    network = job.network.to("cpu", memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
    card = add_model(network, card, partial(remember, start, job))
    message = f"{card.reference}: {' '.join(remarks)}"
    result = TrainingResult(card, verdict, message, tuple(watch.notes))
    write_result(run, result, best.step, tested[0].value if tested else math.nan)
    with suppress(Cancelled):  # the work is done
        watch.end()
    return result


def measure_test(job: Job, watch: Watch) -> list[Score]:
    """What the finished network reaches on the slices set aside: the mean over the classes, then each; else nothing."""
    if not job.test:
        return []
    with suppress(Cancelled):
        watch.say("Measuring on the test.")
    try:
        found = score(job.network, job.test, job.engine, beat=watch.beat)
    except Cancelled:
        watch.say("The test was stopped and says nothing.")
        return []
    figure = f"{job.engine.figure.replace('Dice', 'dice')}, test"
    on = f"{count_slices(job.test)} set aside"
    named = [(figure, found.mean())]
    named += [(f"{figure}, {c.name}", dice) for c, dice in zip(job.classes, found.dice[1:], strict=True)]
    return [Score(metric=name, value=round(dice, 4), on=on) for name, dice in named if not math.isnan(dice)]


def remember(start: Start, job: Job, folder: Path) -> None:
    """Write what the new model remembers into its folder: today's slices, and what its start remembers."""
    if job.options.remember:
        parts = (job.samples.slices, (*job.held_out, *job.spare))
        today = (tuple(s for s in part if not s.remembered) for part in parts)
        write_memory(folder, Memory(*today), start.card, start.archive)


def write_result(run: TrainingRun, result: TrainingResult, step: int, test: float) -> None:
    """Write ``result.json`` beside ``run.json``; ``test`` is what was reached on the slices set aside, or NaN."""
    assert run.folder is not None
    verdict = result.verdict
    figures = {"old_dice": verdict.old, "new_dice": verdict.new, "old_remembered": verdict.knew,
               "new_remembered": verdict.knows, "quick_dice": verdict.rival, "test_dice": test}  # fmt: skip
    content = {
        "model": result.card.reference, "promoted": verdict.promoted,
        **{name: None if math.isnan(dice) else dice for name, dice in figures.items()},
        "best_step": step, "message": result.message, "notes": list(result.notes),
    }  # fmt: skip
    write_text(run.folder / RESULT_FILE, json.dumps(content, indent=2))
