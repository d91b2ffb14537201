"""A whole slide, out of core: begun, continued, or one part of it among others."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Unpack

from napari_medseg.core import Finding, Image, Labels, ModelCard, Progress, Reporter, silent
from napari_medseg.inference.device import release_memory
from napari_medseg.inference.options import SegmentOptions, parse_shard
from napari_medseg.io.zarr.labels import LabelPyramid
from napari_medseg.models import Model, load_model

from .holding import WHOLE
from .job import SlideJob, check_fits, check_place, clear_place, find_place
from .ledger import Ledger
from .plan import STAGE, Planner
from .run import SlideRun
from .scope import Scope
from .shards import finish_levels, split_rows, work_by_row


def segment_slide(
    image: Image,
    model: str | Path | Model,
    options: SegmentOptions | None = None,
    *,
    report: Reporter = silent,
    **job: Unpack[SlideJob],
) -> Labels:
    """Segment a single image of any size into an OME-Zarr label pyramid, in bounded memory.

    Whatever is finished when it ends, in whatever way, can be continued with ``resume``, and the files are then the
    same, byte for byte, as if it had not ended: a block's labels do not depend on which others are computed with it.
    That holds for the same kind of device and the same number format, which the result's ledger keeps.

    Parameters
    ----------
    image
        With its levels, large to small.
    model, options
        As for `segment`.
    report
        Told of progress in windows of the network, with the rows and columns of each finished part of the result as
        ``region``; may raise `Cancelled`.
    **job
        The fields of `SlideJob`.

    Returns
    -------
    Labels
        Arrays of the result's levels, read where they are looked at. ``not_computed`` is the value of pixels without
        a result, where there are any.

    Raises
    ------
    InputError
        A setting is wrong; what was begun was begun with another image, model or options; the image changes meanwhile.
    OutputError
        The output exists, cannot be written, or somebody else is writing it.
    ModelError, ComputeError
        As for `segment`.
    """
    options = options or SegmentOptions()
    report(Progress(STAGE, 0, 0, message="Loading the model"))
    loaded = load_model(model)
    check_fits(image, loaded.card, options)
    shard = parse_shard(shard_text) if (shard_text := job.get("shard")) else None
    resume, overwrite = job.get("resume", False), job.get("overwrite", False)
    ledger = Ledger(find_place(image, job.get("output"), resume=resume or shard is not None))
    check_place(ledger, joins=resume or shard is not None, overwrite=overwrite)
    owner = WHOLE if shard is None else f"{shard[0]}-of-{shard[1]}"
    training = loaded.network.training
    run: list[SlideRun] = []

    def beat() -> None:
        if run:
            run[0].tell()
        else:
            report(Progress(STAGE, 0, 0, message="Loading the model"))

    def say(message: str) -> None:
        report(Progress(STAGE, 0, 0, message=message))

    with ExitStack() as stack:
        stack.enter_context(ledger.held(owner))
        stack.callback(release_memory)
        stack.callback(loaded.network.train, training)
        with ledger.starting():
            if overwrite and shard is None and not resume:
                clear_place(ledger)
            plan = Planner(image, loaded, options, ledger, say)(job.get("tissue_mask"), beat)
        pyramid = plan.pyramid
        scope = Scope(job.get("inside"), pyramid.shape, pyramid.chunk)
        blocks = scope.blocks
        if shard is not None:
            rows = split_rows(work_by_row(plan.mosaic()), shard[1])[shard[0] - 1]
            blocks = [place for place in blocks if place[0] in rows]
            with ledger.writing():
                pyramid.clean(rows, above=False)
        else:
            with ledger.writing():
                pyramid.clean()
        run.append(SlideRun(plan, owner, scope, report, focus=job.get("focus"), levels=shard is None))
        run[0](blocks)
        finish_levels(ledger, Scope(None, pyramid.shape, pyramid.chunk).blocks)
    return collect(image, loaded.card, ledger, plan.findings)


def collect(image: Image, card: ModelCard, ledger: Ledger, findings: Sequence[Finding]) -> Labels:
    """The result of a run as it is now."""
    pyramid = LabelPyramid.open(ledger.result)
    lost = ledger.unreadable()
    missing = not ledger.done().issuperset(Scope(None, pyramid.shape, pyramid.chunk).blocks)
    told = [*image.findings, *findings]
    if lost:
        rows, columns = lost[0]
        area = sum((r.stop - r.start) * (c.stop - c.start) for r, c in lost) / 1e6
        text = (
            f"{area:.2g} megapixels of the slide could not be read and have no result; the first at row {rows.start},"
            f" column {columns.start}."
        )
        told.append(Finding("UNREADABLE", text, (image.source.name,) if image.source else ()))
    if missing:
        told.append(Finding("NOT_COMPUTED", "A part of the slide has no result yet; it is not background."))
    return Labels(
        data=pyramid.levels[0],
        classes=card.classes,
        geometry=image.geometry,
        names=image.names,
        source=image.source,
        findings=tuple(told),
        levels=pyramid.levels[1:],
        not_computed=pyramid.not_computed if lost or missing else None,
    )
