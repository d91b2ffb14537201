"""``napari-medseg segment``."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import Parameter

from napari_medseg import io
from napari_medseg.core import Cancelled, Finding, Image, InputError, Progress, Reporter
from napari_medseg.inference import ProbabilityStack, SegmentOptions, pick_slices
from napari_medseg.inference import segment as segment_image
from napari_medseg.io.atomic import write_file
from napari_medseg.io.findings import counted
from napari_medseg.io.names import stem_of
from napari_medseg.io.sidecar import sidecar_path
from napari_medseg.io.writing import check_holds
from napari_medseg.models import Model, load_model

from .flags import with_options
from .lookout import Lookout
from .masks import MaskFile, MaskFolder
from .progress import shown_progress
from .record import Record
from .sources import is_set
from .targets import check_target

DONE, CANCELLED = 0, 130


@dataclass(frozen=True)
class Extras:
    """What ``segment`` may write besides, and how it deals with what is there."""

    probabilities: Annotated[Path | None, Parameter(help="Write the classes' probabilities to this .npz file.")] = None
    report: Annotated[Path | None, Parameter(help="Write model, options, time and findings to this JSON file.")] = None
    labelled: Annotated[
        Path | None, Parameter(help="A folder of masks that are right already: --suggest leaves those slices out.")
    ] = None
    overwrite: Annotated[bool, Parameter(help="Replace existing results.", negative=(), show_default=False)] = False
    resume: Annotated[
        bool,
        Parameter(
            help="Keep the masks that the folder OUT has and do the others; same model and options.", negative=()
        ),
    ] = False
    shard: Annotated[
        str,
        Parameter(
            help="I/N: do the I-th of N parts of the series (from 1), into the same folder OUT.", show_default=False
        ),
    ] = ""

    series: Annotated[
        str, Parameter(help="Which series of a folder that holds several: the start of its names.", show_default=False)
    ] = ""
    spacing: Annotated[
        tuple[float, ...],
        Parameter(
            help="Distance of pixels in mm, where the files do not tell it: one number, or Z Y X.",
            negative=(),
            show_default=False,
            consume_multiple=True,
        ),
    ] = ()

    def read(self, source: Path) -> Image:
        """Open an image with what is known about it."""
        spacing = self.spacing[0] if len(self.spacing) == 1 else self.spacing or None
        return io.read(source, spacing=spacing, series=self.series or None)

    @property
    def shared(self) -> bool:
        """Whether the output folder may hold other parts of the same run."""
        return self.resume or bool(self.shard)


@dataclass(frozen=True)
class Job:
    """One call of ``segment``."""

    source: Path
    output: Path
    model: Model
    options: SegmentOptions
    extras: Extras
    record: Record
    lookout: Lookout


@with_options(SegmentOptions)
def segment(
    source: Annotated[Path, Parameter(name="INPUT", help="A file, or a folder that holds a series or single images.")],
    /,
    *,
    model: Annotated[str, Parameter(help="A library name, NAME@VERSION, a folder, or hf:owner/repository.")],
    output: Annotated[Path, Parameter(help="A folder for PNG masks, or a file whose suffix names the format.")],
    extras: Annotated[Extras, Parameter(name="*")] = Extras(),
    options: SegmentOptions,
) -> int:
    """Segment an image or a series with a model.

    A folder of images of different sizes is a set of single images: one mask each, with the image's name. After Ctrl-C
    the finished slices are kept.

    **Example**

    ```
    napari-medseg segment ct-slices/ --model femur-ct --output masks/
    ```
    """
    several = is_set(source) and not extras.series
    _check(source, output, extras, several)
    loaded = load_model(model)
    record = Record(str(source), str(output), loaded.card.reference, loaded.card.sha256, options)
    lookout = Lookout(options.suggest)
    job = Job(source, output, loaded, options, extras, record, lookout)
    with shown_progress() as report:
        code = (_set if several else _series)(job, record.watching(lookout.watching(report)))
    record.cancelled = code == CANCELLED
    if extras.report is not None:
        record.write(extras.report)
    _tell(record)
    return code


def _check(source: Path, output: Path, extras: Extras, several: bool) -> None:
    """Refuse what cannot end well, before any work."""
    folder = _is_folder(output)
    if several and not folder:
        raise InputError(f"{source} holds images of different sizes, which {output} cannot hold.", "Give a folder.")
    if extras.shared and (several or not folder):
        raise InputError(
            "--resume and --shard need a series, and a folder as output.", "Leave them out, or give a folder."
        )
    if extras.shared and extras.overwrite:
        raise InputError("--overwrite does not go with --resume or --shard.", "Choose one.")
    if extras.probabilities is not None and (several or extras.shared or extras.probabilities.suffix != ".npz"):
        raise InputError(
            "--probabilities needs one series and a file ending in .npz.", "Give such a file, or leave it out."
        )
    if not folder:
        check_holds(output, 1)
        check_target(sidecar_path(output, folder=False), overwrite=extras.overwrite)
    if extras.shard:
        parse_shard(extras.shard)
    check_target(output, source, overwrite=extras.overwrite or extras.shared)
    for target in (extras.report, extras.probabilities):
        if target is not None:
            check_target(target, source, overwrite=extras.overwrite or extras.shared)


def _is_folder(output: Path) -> bool:
    return output.is_dir() or not output.suffix


def _series(job: Job, report: Reporter) -> int:
    """Segment one image or series; what is finished when the run ends early is kept."""
    image, card, extras = job.extras.read(job.source), job.model.card, job.extras
    names = image.names or tuple(str(z) for z in range(len(image)))
    job.lookout.leave_out(extras.labelled, names)
    chances = ProbabilityStack(image, card) if extras.probabilities else None
    chosen = _chosen(job, len(image))
    target: MaskFolder | MaskFile
    if _is_folder(job.output):
        target = MaskFolder(job.output, image, card)
        target.begin(job.options, shared=extras.shared, overwrite=extras.overwrite)
        chosen = [z for z in chosen if z not in target.done()] if extras.resume else chosen
    else:
        check_holds(job.output, len(image), image)
        target = MaskFile(job.output, image, card, extras.overwrite)
    findings: dict[Finding, None] = {}
    code = DONE
    try:
        for part in runs(chosen, image.missing if extras.resume else frozenset()):
            options = job.options.model_copy(update={"slices": f"{part.start}:{part.stop}"})
            labels = segment_image(image, job.model, options, report=target.filling(report), probabilities=chances)
            findings |= dict.fromkeys(labels.findings)
            job.lookout.note_squares(labels)
    except (Cancelled, KeyboardInterrupt):
        code = CANCELLED
    finally:
        if target.done():
            labels = target.finish()
            job.record.add(labels, (*findings, *labels.findings))
            job.record.look_at = job.lookout.look_at(names)
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


def parse_shard(text: str) -> tuple[int, int]:
    """``"2/5"`` is (2, 5).

    Raises
    ------
    InputError
        When it is not two numbers of that kind.
    """
    first, _, second = text.partition("/")
    if not (first.isdecimal() and second.isdecimal() and 1 <= int(first) <= int(second)):
        raise InputError(
            f"--shard must look like 1/4 (from 1/4 to 4/4), not {text}.", "Give the part and how many there are."
        )
    return int(first), int(second)


def runs(chosen: Sequence[int], missing: frozenset[int] = frozenset()) -> Iterator[range]:
    """The chosen slices as ranges without gaps; ranges of which nothing can be read are left out."""
    start = 0
    for i in range(1, len(chosen) + 1):
        if i == len(chosen) or chosen[i] != chosen[i - 1] + 1:
            part = range(chosen[start], chosen[i - 1] + 1)
            if not missing.issuperset(part):
                yield part
            start = i


def _write_probabilities(target: Path, chances: ProbabilityStack, job: Job) -> None:
    names = [info.name for info in job.model.card.classes]

    def write(path: Path) -> None:
        with path.open("wb") as file:
            np.savez_compressed(file, probabilities=chances.data, classes=np.array(names))

    write_file(target, write, overwrite=job.extras.overwrite)


def _set(job: Job, report: Reporter) -> int:
    """Segment images of different sizes, one mask each; an image that cannot be read is told and left out."""
    files = io.inspect(job.source).files
    counts = Counter(stem_of(file).lower() for file in files)
    if twice := [stem_of(file) for file in files if counts[stem_of(file).lower()] > 1]:
        raise InputError(f"Several images in {job.source} are called {twice[0]}.", "Their masks need different names.")
    job.lookout.leave_out(job.extras.labelled, [file.name for file in files])
    for number, file in enumerate(files):
        try:
            image = job.extras.read(file)
            labels = segment_image(image, job.model, job.options, report=_numbered(report, number, len(files)))
        except InputError as error:
            job.record.lose(file.name, Finding("UNREADABLE", str(error), (file.name,)))
        except (Cancelled, KeyboardInterrupt):
            if not number:
                raise Cancelled("nothing was finished") from None
            for left in files[number:]:
                job.record.lose(left.name)
            job.record.look_at = job.lookout.look_at([])
            return CANCELLED
        else:
            target = job.output / f"{stem_of(file)}{'.tif' if image.is_stack else '.png'}"
            told = io.write(target, labels, overwrite=job.extras.overwrite)
            job.record.add(labels, (*labels.findings, *told))
            job.lookout.finish_image(file.name)
    job.record.look_at = job.lookout.look_at([])
    if not job.record.slices:
        raise InputError(
            f"None of the {len(files)} images in {job.source} can be read.", job.record.findings[0].message
        )
    return DONE


def _numbered(report: Reporter, number: int, total: int) -> Reporter:
    """Counts images instead of the slices of one."""

    def tell(progress: Progress) -> None:
        done = number + (1 if progress.result is not None else 0)
        report(replace(progress, done=done, total=total))

    return tell


def _tell(record: Record) -> None:
    for finding in record.unsaid:
        print(finding.message, file=sys.stderr)
    if record.missing:
        names = ", ".join(record.missing[:5]) + (" …" if len(record.missing) > 5 else "")
        print(f"No result for {counted(len(record.missing), 'slice')}: {names}", file=sys.stderr)
    if record.cancelled:
        print(f"napari-medseg: Cancelled; what was finished is in {record.output}.", file=sys.stderr)
    device = f" ({record.device})" if record.device else ""
    print(f"Segmented {counted(record.slices, 'slice')}{device} into {record.output}")
    if record.look_at:
        print(f"Look next at {'; '.join(record.look_at)}, most doubtful first")
