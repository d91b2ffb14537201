"""A slide: a result that fills on disk while it is computed, and can be stopped, continued and shared."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from napari_medseg import io
from napari_medseg.core import Cancelled, Image, InputError, Labels, OutputError, Progress, Reporter
from napari_medseg.inference import SegmentOptions
from napari_medseg.inference.slides.ledger import Ledger
from napari_medseg.io.atomic import explained
from napari_medseg.io.registry import format_for, is_known
from napari_medseg.io.writing import check_holds

from .claims import claimed
from .job import CANCELLED, DONE, Extras, Job
from .scope import read_inside, read_tissue
from .targets import check_names, check_size

if TYPE_CHECKING:
    from napari_medseg.inference.slides.job import SlideJob
    from napari_medseg.inference.slides.tissue import Tissue


def running_place(output: Path) -> Path:
    """Where the result of a slide fills: ``output`` itself when it is an OME-Zarr, else a hidden one beside it."""
    if is_known(output) and format_for(output, writing=True).name == "zarr":
        return output
    return output.with_name(f".{output.name}.run.ome.zarr")


def is_begun(output: Path) -> bool:
    """Whether a run over a slide towards this output can be continued."""
    return (Ledger(running_place(output)).folder / "run.json").is_file()


def check_slide(image: Image, output: Path, extras: Extras, options: SegmentOptions) -> None:
    """Refuse what cannot be done with a slide, before any work.

    Raises
    ------
    InputError, OutputError
        It says what to choose.
    """
    if extras.probabilities is not None:
        raise InputError(
            "Probabilities are not kept of slides: they would take many times its size.",
            "Leave out --probabilities, or segment a part of the slide as an image of its own.",
        )
    if options.suggest or extras.labelled is not None:
        raise InputError("On slides nothing is suggested for a look.", "Leave out --suggest and --labelled.")
    if extras.tissue_mask is not None and not options.tissue:
        raise InputError("--tissue-mask and --no-tissue do not go together.", "Choose one.")
    check_size(image, output)
    if output.suffix:
        check_holds(output, 1, image)
    place = running_place(output)
    if extras.shard and place != output:
        raise OutputError(
            f"Parts of a slide cannot share {output.name}: only OME-Zarr is written in parts.",
            f"Choose a name ending in .ome.zarr, and convert it when all are done: "
            f"napari-medseg convert OUT.ome.zarr {output.name}",
        )
    if extras.cluster and (extras.shard or extras.inside):
        raise InputError(
            "--cluster computes whole slides and divides them by itself.", "Leave out --shard and --inside."
        )
    check_names(output.parent, [f"{place.name}.ledger"])


def segment_on_disk(job: Job, image: Image, report: Reporter) -> int:
    """Segment a slide; what is finished when the run ends early is kept, and ``--resume`` goes on with it.

    Raises
    ------
    InputError
        The slide, the model or an option is not what the run was begun with, or the slide changed meanwhile.
    OutputError
        Another run writes this result, or it cannot be written.
    """
    place, extras = running_place(job.output), job.extras
    hidden = place != job.output
    if hidden and extras.resume and job.output.exists() and not is_begun(job.output):
        with _held(job.output, hidden):
            _delete(place)  # of a run that was killed while it was removed
        job.record.done = f"nothing more of {job.source.name}: all of it was done"
        return DONE
    task: SlideJob = {"output": place, "resume": extras.resume, "overwrite": extras.overwrite}
    if extras.inside is not None:
        task["inside"] = read_inside(extras.inside, image)
    if extras.tissue_mask is not None:
        task["tissue_mask"] = read_tissue(extras.tissue_mask, image)
    if extras.shard:
        task["shard"] = extras.shard
    count = Count()
    with _held(job.output, hidden):
        try:
            labels = _run(job, image, count.watching(report), task)
        except (Cancelled, KeyboardInterrupt):
            if not is_begun(job.output):
                raise Cancelled("nothing was finished") from None
            _record(job, count, Ledger(place))
            return CANCELLED
        _record(job, count, Ledger(place))
        job.record.add(labels, labels.findings)
        job.record.measure(image, labels, _given(task, image))
        if hidden:
            report(Progress("Writing", message=f"Writing {job.output.name}"))
            told = io.write(job.output, labels, overwrite=extras.overwrite or extras.resume)
            job.record.findings += told
            remove_run(place)
    return DONE


def _run(job: Job, image: Image, report: Reporter, task: SlideJob) -> Labels:
    if job.extras.cluster:
        from napari_medseg.inference.slides.cluster import segment_on_cluster

        return segment_on_cluster(image, job.model, job.options, address=job.extras.cluster, report=report, **task)
    from napari_medseg.inference.slides.segment import segment_slide

    return segment_slide(image, job.model, job.options, report=report, **task)


def _given(task: SlideJob, image: Image) -> Tissue | None:
    """The tissue that the user named."""
    from napari_medseg.inference.slides.tissue import Tissue

    mask = task.get("tissue_mask")
    return None if mask is None else Tissue.of_mask(mask, (image.shape[-2], image.shape[-1]))


@contextmanager
def _held(output: Path, hidden: bool) -> Iterator[None]:
    """Nobody else writes the file that the result ends in; what a killed run left of it is removed."""
    if not hidden:
        yield
        return
    with claimed(output, range(1), folder=False), explained(output):
        for name in (output.name, running_place(output).name):
            for left in output.parent.glob(f".????????.part.{name}"):
                _delete(left)
        yield


def remove_run(place: Path) -> None:
    """Remove a hidden result; renamed first, so that a kill in between leaves nothing that looks like one."""
    with explained(place):
        for path in (Ledger(place).folder, place):
            _delete(path.rename(path.with_name(f".{token_hex(4)}.part.{place.name}")))


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@dataclass
class Count:
    """Windows of a run, counted while it goes on."""

    total: int = 0
    done: int = 0
    before: int | None = None
    message: str = ""
    start: float = 0.0
    end: float = 0.0

    def watching(self, report: Reporter) -> Reporter:
        """The same reporter, which also counts."""

        def watch(progress: Progress) -> None:
            if progress.total:
                if self.before is None:
                    self.before, self.start = progress.done, time.monotonic()
                self.done, self.total, self.end = progress.done, progress.total, time.monotonic()
                self.message = progress.message or self.message
            report(progress)

        return watch

    @property
    def rate(self) -> float | None:
        """Windows per second of this run; None where it had nothing to compute."""
        done, seconds = self.done - (self.before or 0), self.end - self.start
        return done / seconds if done and seconds > 0 else None


def _record(job: Job, count: Count, ledger: Ledger) -> None:
    about: dict[str, Any] = ledger.read()
    rate, unit = count.rate, "parts" if job.extras.cluster else "windows"
    job.record.device = count.message
    job.record.slide = {
        unit: count.total,
        f"{unit}_done": count.done,
        f"{unit}_before": count.before or 0,
        f"{unit}_per_second": None if rate is None else round(rate, 3),
        "tissue_share": about.get("tissue_share"),
        "unreadable": [[r.start, r.stop, c.start, c.stop] for r, c in ledger.unreadable()],
        "settings": about.get("settings", {}),
    }
    speed = "" if rate is None else f", {rate:.1f} a second"
    job.record.done = f"{count.done:,} of {count.total:,} {unit} of {job.source.name}{speed}"
