"""Which of the held-out slices are scored while a network learns."""

from __future__ import annotations

import time

from napari_medseg.core import InputError, spread

from .material import Material
from .schedule import Budget
from .step import Job
from .truth import LabelledSlice
from .watch import Watch


def hold_out(job: Job, material: Material, watch: Watch, *, compared: bool = False) -> str:
    """Give a job the held-out slices that it has time to score; why it measures nothing, or ``""``.

    Raises
    ------
    InputError
        It measures nothing and is to be compared.
    """
    job.held_out, why = showing(limit(material.held_out, job, watch.budget, watch))
    if why and compared:
        raise InputError(f"Nothing can be compared: {why}.", "Label more slices, or give images that only measure.")
    job.spare = [one for one in material.held_out if not any(one is other for other in job.held_out)]
    if job.team.rank:  # only the first process measures
        job.held_out = []
    return why


def showing(held_out: list[LabelledSlice]) -> tuple[list[LabelledSlice], str]:
    """Held-out slices if any shows a class, and else none; why nothing is measured on those of today, or ``""``."""
    today = [one for one in held_out if not one.remembered]
    why = "" if any(one.present - {0} for one in today) else "no class is painted in the held-out slices"
    shown = held_out if any(one.present - {0} for one in held_out) else []
    return shown, why if today else "nothing was held out"


def limit(slices: list[LabelledSlice], job: Job, budget: Budget, watch: Watch) -> list[LabelledSlice]:
    """As many held-out slices as can be scored in about 3 % of the time; at least three of today's and three others."""
    today = [one for one in slices if not one.remembered]
    past = [one for one in slices if one.remembered]
    if budget.seconds is None or max(len(today), len(past)) <= 3:
        return slices
    everything = range(job.engine.outputs)
    job.network.eval()
    job.engine.predict(job.network, slices[0].pixels, everything)  # the first pass chooses kernels
    begin = time.monotonic()
    job.engine.predict(job.network, slices[0].pixels, everything)
    most = max(3, int(0.03 * budget.seconds / max(time.monotonic() - begin, 1e-6)))
    today = thin(today, most)
    measured = [*today, *thin(past, max(3, most - len(today)))]
    if len(measured) < len(slices):
        watch.say(f"Of {len(slices)} held-out slices, {len(measured)} are measured, so that measuring leaves time for "
                  "training.")  # fmt: skip
    return measured


def thin(slices: list[LabelledSlice], most: int) -> list[LabelledSlice]:
    """At most so many of them, evenly spread; at least half, if there are so many, show a class."""
    full = [one for one in slices if one.present - {0}]
    if not full or len(slices) <= most:
        return spread(slices, most)
    full = spread(full, max(-(-most // 2), round(most * len(full) / len(slices))))
    return [*full, *spread([one for one in slices if not one.present - {0}], most - len(full))]
