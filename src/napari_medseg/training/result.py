"""What comes out of a run: the new model beside the old ones, and how it compares."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import dataclass

import torch

from napari_medseg.core import Cancelled, ModelCard, Score
from napari_medseg.models import add_model

from .guard import Verdict
from .loop import Best
from .run import TrainingRun, write_text
from .start import Start
from .step import Job
from .watch import Watch

RESULT_FILE = "result.json"


@dataclass(frozen=True)
class TrainingResult:
    """What came out of a run.

    Attributes
    ----------
    card
        Of the new model in the library.
    verdict
        Old against new on the held-out labels.
    message
        The outcome in words.
    notes
        Everything else that was said on the way.
    """

    card: ModelCard
    verdict: Verdict
    message: str
    notes: tuple[str, ...]


def keep(run: TrainingRun, start: Start, job: Job, best: Best, verdict: Verdict, watch: Watch) -> TrainingResult:
    """Add the new model to the library, beside the old ones, and say how it compares."""
    parent = start.parent
    remarks = [str(verdict)]
    if watch.stopped:
        remarks.append("Stopped early.")
    for k in best.scores.empty if best.scores else ():
        remarks.append(f"'{job.classes[k - 1].name}' is not found at all in the held-out slices.")
    if not verdict.promoted:
        remarks.append(f"Worse than its start: kept aside as {run.name}-rejected.")
    scores = []
    if best.scores:
        on = f"{len(job.held_out)} held-out slices"
        scores = [Score(metric="dice", value=round(best.scores.mean(), 4), on=on)]
        scores += [
            Score(metric=f"dice {c.name}", value=round(d, 4), on=on)
            for c, d in zip(job.classes, best.scores.dice[1:], strict=True) if not math.isnan(d)
        ]  # fmt: skip
        if not math.isnan(verdict.old):
            scores.append(Score(metric="dice of its start", value=round(verdict.old, 4), on=on))
    sources = sorted({pair.image.name for pair in run.pairs})
    data = f"{len(job.samples.slices)} slices of {', '.join(sources[:3])}{' and others' if len(sources) > 3 else ''}"
    card = start.card.model_copy(update={
        "name": run.name if verdict.promoted else f"{run.name}-rejected",
        "title": "",
        "sides": job.sides,
        "description": " ".join(remarks),
        "trained_on": data,
        "scores": tuple(s for s in scores if not math.isnan(s.value)),
        "parent": run.start if parent is None else parent.reference,
        "parent_sha256": parent.sha256 if parent else "",
        "sha256": "",
    })  # fmt: skip
    card = add_model(job.network.to("cpu", memory_format=torch.contiguous_format).eval(), card)  # type: ignore[call-overload]
    message = f"{card.reference}: {' '.join(remarks)}"
    result = TrainingResult(card, verdict, message, tuple(watch.notes))
    write_result(run, result, best.step)
    with suppress(Cancelled):  # the work is done
        watch.end()
    return result


def write_result(run: TrainingRun, result: TrainingResult, step: int) -> None:
    """Write ``result.json`` beside ``run.json``."""
    assert run.folder is not None
    old, new = (None if math.isnan(d) else d for d in (result.verdict.old, result.verdict.new))
    content = {
        "model": result.card.reference, "promoted": result.verdict.promoted, "old_dice": old, "new_dice": new,
        "best_step": step, "message": result.message, "notes": list(result.notes),
    }  # fmt: skip
    write_text(run.folder / RESULT_FILE, json.dumps(content, indent=2))
