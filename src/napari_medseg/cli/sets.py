"""A folder of images of different sizes: one mask each."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_medseg import io
from napari_medseg.core import Cancelled, Finding, InputError, ModelError, Progress, Reporter
from napari_medseg.inference import segment as segment_image
from napari_medseg.io.cases import find_cases
from napari_medseg.io.findings import LEFT_OUT, counted
from napari_medseg.io.masks.large import WHOLE
from napari_medseg.io.names import stem_of
from napari_medseg.io.registry import known_suffix
from napari_medseg.io.series import image_files

from .claims import claimed
from .job import CANCELLED, DONE, Job
from .slides import remove_run, running_place
from .targets import check_names
from .watch import Watch


def segment_set(job: Job, report: Reporter) -> int:
    """Segment images of different sizes, one mask each; one that is damaged or not for the model is told and left out.

    Raises
    ------
    InputError
        Two images have one name, one lacks the file of a channel, or none can be segmented.
    OutputError
        Another run writes to the folder, or the result cannot be written.
    """
    found = _images_in(job)
    counts = Counter(stem_of(name).lower() for name in found)
    if twice := [stem_of(name) for name in found if counts[stem_of(name).lower()] > 1]:
        raise InputError(f"Several images in {job.source} are called {twice[0]}.", "Their masks need different names.")
    check_names(job.output, [f"{stem_of(name)}.png" for name in found])
    job.lookout.leave_out(job.extras.labelled, found)
    with claimed(job.output, range(len(found)), folder=True):
        code = _each(job, found, report)
    job.record.look_at = job.lookout.look_at([])
    if not job.record.slices:
        raise InputError(
            f"None of the {len(found)} images in {job.source} can be segmented.", job.record.findings[-1].message
        )
    return code


def cases_of(source: Path, channels: int) -> dict[str, tuple[Path, ...]]:
    """Images of a folder each channel of which is a file, where a model takes so many channels; else nothing.

    Raises
    ------
    InputError
        One lacks the file of a channel, or the folder cannot be read.
    """
    found = io.inspect(source)
    count, rest = divmod(channels, found.channels)
    # Grey pictures saved as RGB are whole for a model of colours.
    if count < 2 or rest or found.header.channels == channels:
        return {}
    return find_cases(image_files(source), count=count)


def _images_in(job: Job) -> dict[str, tuple[Path, ...]]:
    """The files of each image by the name of its mask: one, or those of its channels where the model takes so many."""
    found = io.inspect(job.source)
    job.record.findings += [finding for finding in found.findings if finding.code in LEFT_OUT]
    cases = cases_of(job.source, job.model.card.channels)
    if cases:
        files = next(iter(cases.values()))
        first = " + ".join(path.name for path in files)
        many = f"{counted(len(cases), 'image')}, each of {len(files)} files as its channels"
        print(f"{many}: {first}{' …' * (len(cases) > 1)}", file=sys.stderr)
    joined = {path for files in cases.values() for path in files}
    alone = {path.name: (path,) for path in found.files if path not in joined}
    return {f"{case}{known_suffix(files[0].name)}": files for case, files in cases.items()} | alone


def _each(job: Job, found: Mapping[str, tuple[Path, ...]], report: Reporter) -> int:
    for number, (name, files) in enumerate(found.items()):
        try:
            image = job.extras.read(*files)
            target = job.output / f"{stem_of(name)}{'.tif' if image.is_stack else '.png'}"
            if image.levels and math.prod(image.shape) > WHOLE**2:
                raise InputError(f"{name} is a slide, too large for a PNG mask.", "Segment it on its own.")
            watch = Watch.of(image)
            # A large one fills on disk, beside its mask until that is written.
            place: dict[str, Any] = {"output": running_place(target), "overwrite": True} if image.levels else {}
            labels = segment_image(image, job.model, job.options, report=_numbered(report, number, len(found)), **place)
            watch.check()
        except InputError as error:
            job.record.lose(name, Finding("UNREADABLE", str(error), (name,)))
        except ModelError as error:
            job.record.lose(name, Finding("NOT_FOR_MODEL", str(error), (name,)))
        except (Cancelled, KeyboardInterrupt):
            if not number:
                raise Cancelled("nothing was finished") from None
            for left in [*found][number:]:
                job.record.lose(left)
            return CANCELLED
        else:
            told = io.write(target, labels, overwrite=job.extras.overwrite)
            if image.levels:
                remove_run(running_place(target))
            job.record.add(labels, (*labels.findings, *told))
            job.record.measure(image, labels)
            job.lookout.finish_image(name)
    return DONE


def _numbered(report: Reporter, number: int, total: int) -> Reporter:
    """Counts images instead of the slices of one."""

    def tell(progress: Progress) -> None:
        done = number + (1 if progress.result is not None else 0)
        report(replace(progress, done=done, total=total))

    return tell
