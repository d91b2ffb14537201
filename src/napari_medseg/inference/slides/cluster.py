"""A slide on a cluster of machines that share a folder: rows of blocks as tasks of ``dask.distributed``.

Only names and settings go through the scheduler: workers read the slide and write the result themselves, and load the
model once. A task of a worker that is lost is done again by another, which goes on where the first one was.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex
from threading import Lock
from typing import TYPE_CHECKING, Any, Unpack

from napari_medseg import io
from napari_medseg.core import (
    Cancelled,
    ComputeError,
    Finding,
    Geometry,
    Image,
    InputError,
    Labels,
    Progress,
    Reporter,
    silent,
)
from napari_medseg.inference.options import SegmentOptions
from napari_medseg.models import Model, find_model, load_model
from napari_medseg.models.weights import read_card

from .holding import WHOLE
from .job import SlideJob, check_fits, check_place, clear_place, find_place
from .ledger import Ledger
from .plan import STAGE, Plan, Planner
from .run import SlideRun
from .scope import Scope
from .segment import collect
from .shards import finish_levels, split_rows, work_by_row
from .tissue import Tissue

if TYPE_CHECKING:
    from distributed import Client

TASKS_PER_WORKER = 4
CONNECT_SECONDS = 30
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Order:
    """What a worker is told: where things are, as all machines see them."""

    source: Path
    geometry: Geometry
    model: str
    options: SegmentOptions
    output: Path
    run: str

    @property
    def stop(self) -> Path:
        """The file whose presence tells workers to end; of this run only, since an earlier one's may not have yet."""
        return Ledger(self.output).folder / f"stop-{self.run}.txt"


_plans: dict[Order, Plan] = {}
_one_at_a_time = Lock()


def segment_on_cluster(
    image: Image,
    model: str | Path | Model,
    options: SegmentOptions | None = None,
    *,
    address: str,
    report: Reporter = silent,
    **job: Unpack[SlideJob],
) -> Labels:
    """Segment a slide on the workers of a ``dask.distributed`` cluster, into the same bytes as `segment_slide` writes.

    Parameters
    ----------
    image
        Opened from a file or folder that workers see at the same path.
    model
        In a library or folder that workers see too.
    options
        As for `segment_slide`.
    address
        Of the scheduler, such as ``tcp://10.0.0.1:8786``.
    report
        Told of finished parts, in blocks of the result; may raise `Cancelled`: workers stop at their next row then.
    **job
        ``output``, ``resume``, ``overwrite`` and ``tissue_mask`` of `SlideJob`.

    Raises
    ------
    InputError
        No cluster is there, the image has no file, or as for `segment_slide`.
    ComputeError
        The cluster was lost, or a task failed on several workers.
    """
    if unknown := {*job} - {"output", "resume", "overwrite", "tissue_mask"}:
        raise InputError(f"A cluster knows nothing of {', '.join(sorted(unknown))}.", "Leave it out.")
    if image.source is None:
        raise InputError("An image without a file cannot be segmented on a cluster.", "Save it first.")
    options = options or SegmentOptions()
    folder = model.folder if isinstance(model, Model) else find_model(model)
    card = read_card(folder)
    check_fits(image, card, options)
    resume, overwrite = job.get("resume", False), job.get("overwrite", False)
    ledger = Ledger(find_place(image, job.get("output"), resume=resume).resolve())
    check_place(ledger, joins=resume, overwrite=overwrite)
    given = job.get("tissue_mask")
    shape = (image.shape[-2], image.shape[-1])
    tissue = given if given is None or isinstance(given, Tissue) else Tissue.of_mask(given, shape)
    source = image.source.resolve()
    order = Order(source, image.geometry, str(folder.resolve()), options, ledger.result, token_hex(8))
    report(Progress(STAGE, 0, 0, message="Connecting to the cluster"))
    with ExitStack() as stack:
        client = stack.enter_context(_connect(address))
        stack.enter_context(ledger.held(WHOLE))
        if overwrite and not resume:
            clear_place(ledger)
        report(Progress(STAGE, 0, 0, message="Loading the model"))
        count = _workers(client)
        work, findings = _result(client.submit(begin, order, tissue, pure=False))
        parts = [p for p in split_rows(work, TASKS_PER_WORKER * count) if p]
        tasks = [client.submit(compute, order, p.start, p.stop, pure=False) for p in parts]
        try:
            _follow(tasks, ledger, report)
        except BaseException:
            order.stop.touch()
            client.cancel(tasks)
            raise
        blocks = Scope(None, shape, _block(ledger)).blocks
        finish_levels(ledger, blocks)
        for left in ledger.folder.glob("stop-*.txt"):
            left.unlink(missing_ok=True)
    return collect(image, card, ledger, findings)


def begin(order: Order, tissue: Tissue | None) -> tuple[list[int], tuple[Finding, ...]]:
    """On a worker: begin the run or take it up; the work in each row of blocks, and what there is to say."""
    with _one_at_a_time:
        plan = _plan(order, tissue)
        return work_by_row(plan.mosaic()), plan.findings


def compute(order: Order, first: int, last: int) -> None:
    """On a worker: compute the rows of blocks from ``first`` up to ``last``."""
    with _one_at_a_time:
        plan = _plan(order)
        with plan.ledger.writing():
            plan.pyramid.clean(range(first, last), above=False)

        def report(progress: Progress) -> None:
            if order.stop.exists():
                raise Cancelled

        scope = Scope(None, plan.pyramid.shape, plan.pyramid.chunk)
        run = SlideRun(plan, f"rows-{first:06}-{last:06}", scope, report, levels=False)
        with suppress(Cancelled):
            run([place for place in scope.blocks if first <= place[0] < last])


def _plan(order: Order, tissue: Tissue | None = None) -> Plan:
    """The run as this worker sees it; image and model are opened once."""
    if order not in _plans:
        _plans.clear()
        image = replace(io.read(order.source), geometry=order.geometry)
        ledger = Ledger(order.output)
        planner = Planner(image, load_model(order.model), order.options, ledger, lambda _: None)
        with ledger.starting():
            _plans[order] = planner(tissue)
    return _plans[order]


def _connect(address: str) -> Client:
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError(
            "The package distributed is not installed.", "Install it with pip install 'napari-medseg[cluster]'."
        ) from error
    try:
        return Client(address, timeout=CONNECT_SECONDS, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(f"There is no cluster at {address}.", "Start a scheduler and workers there.") from error


def _workers(client: Client) -> int:
    threads: dict[str, int] = client.nthreads()  # type: ignore[no-untyped-call]
    if not threads:
        raise InputError("The cluster has no workers.", "Start some with dask worker.")
    return len(threads)


def _follow(tasks: Sequence[Any], ledger: Ledger, report: Reporter) -> None:
    """Report what workers finish, until all tasks are done."""
    size = _block(ledger)
    shape = ledger.read()["shape"]
    total = len(Scope(None, (shape[0], shape[1]), size).blocks)
    known: set[tuple[int, int]] = set()
    message = f"{len(tasks)} tasks on the cluster"
    while True:
        pending = [t for t in tasks if not t.done()]
        done = ledger.done()
        for i, j in sorted(done - known):
            region = tuple(slice(n * size, min((n + 1) * size, side)) for n, side in zip((i, j), shape, strict=True))
            report(Progress(STAGE, len(done), total, message, region=region))
        known = done
        report(Progress(STAGE, len(done), total, message))
        for task in tasks:
            if task.done():
                _result(task)
        if not pending:
            return
        time.sleep(POLL_SECONDS)


def _result(task: Any) -> Any:
    from distributed import CancelledError, KilledWorker

    try:
        return task.result()
    except KilledWorker as error:
        raise ComputeError("A part of the slide ended several workers.", "See their logs: perhaps memory.") from error
    except (CancelledError, OSError) as error:
        raise ComputeError("The cluster was lost.", "Start it again and resume.") from error


def _block(ledger: Ledger) -> int:
    return int(ledger.read()["block"])
