"""Pictures of what was held out: image, truth and what the new model finds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from napari_medseg.core import Cancelled, OutputError
from napari_medseg.evaluation.panels import NamedPanel, display_range, draw_panel, write_panels

from .losses import IGNORE
from .material import Parts
from .step import Job
from .truth import Painted, fit, prepare_each
from .verdict import TrainingResult
from .watch import Watch

TEST = "test"
"""Folder of the pictures of the test, within that of the others."""


def draw_panels(result: TrainingResult, job: Job, parts: Parts, index: dict[int, int], watch: Watch) -> TrainingResult:
    """Draw the held-out slices, and in a folder of their own those of the test, with the finished network.

    Only the first process does, where a folder is asked for. Whatever goes wrong is said: the model is there already.
    """
    folder = job.options.panels
    if folder is None or job.team.rank:
        return result
    if not job.engine.outlines:
        with suppress(Cancelled):
            watch.say(f"Nothing is drawn into {folder}: {result.card.reference} outlines nothing.")
        return replace(result, notes=tuple(watch.notes))
    job.network = job.engine.place(job.network).eval()
    count = 0
    try:
        for place, slices in ((folder, parts.held_out), (folder / TEST, parts.test)):
            count += write_panels(place, _draw(slices, job, result, index, watch))
    except OutputError as error:
        with suppress(Cancelled):
            watch.say(str(error))
    except Cancelled:
        pass
    with suppress(Cancelled):
        watch.say(f"{count} panels of what was held out are in {folder}.")
    return replace(result, notes=tuple(watch.notes))


def _draw(
    slices: Sequence[Painted], job: Job, result: TrainingResult, index: dict[int, int], watch: Watch
) -> Iterator[NamedPanel]:
    """Panels in the size of the images, one after another."""
    engine, classes = job.engine, result.card.classes
    values = np.array([0, *(c.value for c in classes)])
    ranges: dict[int, tuple[float, float]] = {}
    for one, ready in prepare_each(slices, result.card, index, lambda message: None):
        found = engine.predict(job.network, ready.pixels, range(engine.outputs)).cpu().numpy().astype(np.int16)
        # A slice that the model takes as empty gets an empty mask, as when it segments.
        if result.card.presence is not None and engine.presence(job.network, ready.pixels) < result.card.presence:
            found[:] = 0
        target = one.indices(index)
        absent = target == IGNORE
        masks = values[np.where(absent, 0, target)], values[fit(found, target.shape)]
        if id(one.image) not in ranges:
            ranges[id(one.image)] = display_range(one.image)
        yield one.name, draw_panel(one.image.slice(one.z), masks, classes, ranges[id(one.image)], (absent, None))
        watch.beat()
