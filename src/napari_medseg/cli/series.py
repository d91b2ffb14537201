"""One image or series: masks that are written while slices finish, in a folder that later runs and shards share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from napari_medseg.core import Cancelled, Finding, Image, Reporter
from napari_medseg.inference import ProbabilityStack, pick_slices
from napari_medseg.inference import segment as segment_image
from napari_medseg.inference.options import parse_shard
from napari_medseg.io.atomic import write_file
from napari_medseg.io.findings import find_runs
from napari_medseg.io.writing import check_holds

from .claims import claimed
from .job import CANCELLED, DONE, Job, is_folder
from .masks import MaskFile, MaskFolder, SettledElsewhereError
from .targets import check_names
from .watch import Watch


def segment_series(job: Job, image: Image, report: Reporter) -> int:
    """Segment one image or series; what is finished when the run ends early is kept.

    Raises
    ------
    InputError
        A file changed while it was segmented, or the image cannot be segmented as asked for.
    OutputError
        Another run writes the same slices, or the result cannot be written.
    """
    watch, extras, output = Watch.of(image), job.extras, job.output
    job.lookout.leave_out(extras.labelled, image.slice_names)
    chosen = _chosen(job, len(image))
    if not is_folder(output):
        check_holds(output, len(image), image)
        with claimed(output, range(len(image)), folder=False):
            return _run(job, MaskFile(output, image, job.model.card, watch, extras.overwrite), chosen, report)
    masks = MaskFolder(output, image, job.model.card, watch)
    check_names(output, masks.names)
    # A run that starts anew removes all masks, those of other slices too.
    mine = chosen if extras.shared else range(len(image))
    with claimed(output, mine, folder=True) as alone:
        masks.begin(job.options, shared=extras.shared, overwrite=extras.overwrite)
        masks.tidy(mine, alone=alone)
        left = [z for z in chosen if z not in masks.done()] if extras.resume else chosen
        return _run(job, masks, left, report)


def _run(job: Job, target: MaskFolder | MaskFile, chosen: Sequence[int], report: Reporter) -> int:
    image, card, extras = target.image, job.model.card, job.extras
    chances = ProbabilityStack(image, card) if extras.probabilities else None
    findings: dict[Finding, None] = {}
    code = DONE
    try:
        for part in runs(chosen, image.missing if extras.resume else frozenset()):
            options = job.options.model_copy(update={"slices": f"{part.start}:{part.stop}"})
            labels = None
            while labels is None:
                settled = target.settled()
                filling = target.filling(report, settled)
                with suppress(SettledElsewhereError):  # once: then it goes on with what was settled
                    labels = segment_image(
                        image, job.model, options, report=filling, probabilities=chances, settled=settled
                    )
            findings |= dict.fromkeys(labels.findings)
            job.lookout.note_squares(labels)
        target.watch.check()
    except (Cancelled, KeyboardInterrupt):
        code = CANCELLED
    finally:
        if target.done():
            labels = target.finish()
            job.record.add(labels, (*findings, *labels.findings))
            job.record.measure(image, labels)
            job.record.look_at = job.lookout.look_at(image.slice_names)
    if code == CANCELLED and not target.done():
        raise Cancelled("nothing was finished")
    if chances is not None and extras.probabilities is not None:
        _write_probabilities(extras.probabilities, chances, job)
    return code


def _chosen(job: Job, count: int) -> list[int]:
    """Slices that this call does: ``--slices``, and of those the ``--shard``."""
    chosen = list(pick_slices(job.options.slices, count))
    if not job.extras.shard:
        return chosen
    index, parts = parse_shard(job.extras.shard)
    return chosen[len(chosen) * (index - 1) // parts : len(chosen) * index // parts]


def runs(chosen: Sequence[int], missing: frozenset[int] = frozenset()) -> Iterator[range]:
    """The chosen slices as ranges without gaps; ranges of which nothing can be read are left out."""
    return (part for part in find_runs(chosen) if not missing.issuperset(part))


def _write_probabilities(target: Path, chances: ProbabilityStack, job: Job) -> None:
    names = [info.name for info in job.model.card.classes]

    def write(path: Path) -> None:
        with path.open("wb") as file:
            np.savez_compressed(file, probabilities=chances.data, classes=np.array(names))

    write_file(target, write, overwrite=job.extras.overwrite)
