"""A folder of images of different sizes: one mask each."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_medseg import io
from napari_medseg.core import Cancelled, Finding, InputError, Progress, Reporter
from napari_medseg.inference import segment as segment_image
from napari_medseg.io.masks.large import WHOLE
from napari_medseg.io.names import stem_of

from .claims import claimed
from .job import CANCELLED, DONE, Job
from .slides import remove_run, running_place
from .targets import check_names
from .watch import Watch


def segment_set(job: Job, report: Reporter) -> int:
    """Segment images of different sizes, one mask each; an image that cannot be read is told and left out.

    Raises
    ------
    InputError
        Two images have one name, or none can be read.
    OutputError
        Another run writes to the folder, or the result cannot be written.
    """
    files = io.inspect(job.source).files
    counts = Counter(stem_of(file).lower() for file in files)
    if twice := [stem_of(file) for file in files if counts[stem_of(file).lower()] > 1]:
        raise InputError(f"Several images in {job.source} are called {twice[0]}.", "Their masks need different names.")
    check_names(job.output, [f"{stem_of(file)}.png" for file in files])
    job.lookout.leave_out(job.extras.labelled, [file.name for file in files])
    with claimed(job.output, range(len(files)), folder=True):
        code = _each(job, files, report)
    job.record.look_at = job.lookout.look_at([])
    if not job.record.slices:
        raise InputError(
            f"None of the {len(files)} images in {job.source} can be read.", job.record.findings[0].message
        )
    return code


def _each(job: Job, files: Sequence[Path], report: Reporter) -> int:
    for number, file in enumerate(files):
        try:
            image = job.extras.read(file)
            target = job.output / f"{stem_of(file)}{'.tif' if image.is_stack else '.png'}"
            if image.levels and math.prod(image.shape) > WHOLE**2:
                raise InputError(f"{file.name} is a slide, too large for a PNG mask.", "Segment it on its own.")
            watch = Watch.of(image)
            # A large one fills on disk, beside its mask until that is written.
            place: dict[str, Any] = {"output": running_place(target), "overwrite": True} if image.levels else {}
            labels = segment_image(image, job.model, job.options, report=_numbered(report, number, len(files)), **place)
            watch.check()
        except InputError as error:
            job.record.lose(file.name, Finding("UNREADABLE", str(error), (file.name,)))
        except (Cancelled, KeyboardInterrupt):
            if not number:
                raise Cancelled("nothing was finished") from None
            for left in files[number:]:
                job.record.lose(left.name)
            return CANCELLED
        else:
            told = io.write(target, labels, overwrite=job.extras.overwrite)
            if image.levels:
                remove_run(running_place(target))
            job.record.add(labels, (*labels.findings, *told))
            job.record.measure(image, labels)
            job.lookout.finish_image(file.name)
    return DONE


def _numbered(report: Reporter, number: int, total: int) -> Reporter:
    """Counts images instead of the slices of one."""

    def tell(progress: Progress) -> None:
        done = number + (1 if progress.result is not None else 0)
        report(replace(progress, done=done, total=total))

    return tell
