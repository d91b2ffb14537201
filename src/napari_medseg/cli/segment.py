"""``napari-medseg segment``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from napari_medseg.core import InputError, OutputError
from napari_medseg.inference import SegmentOptions
from napari_medseg.inference.options import parse_shard
from napari_medseg.inference.shares import Shares
from napari_medseg.inference.suits import check_channels
from napari_medseg.io.findings import counted
from napari_medseg.io.locks import in_use
from napari_medseg.io.names import stem_of
from napari_medseg.io.parts import EVERY
from napari_medseg.io.series import image_files
from napari_medseg.io.sidecar import sidecar_path
from napari_medseg.io.writing import check_holds
from napari_medseg.models import Model, load_model

from .claims import at_work
from .flags import with_options
from .job import CANCELLED, Extras, Job, is_folder
from .lookout import Lookout
from .patients import segment_patients
from .progress import shown_progress
from .record import Record
from .series import segment_series
from .sets import cases_of, segment_set
from .slides import check_slide, is_begun, segment_on_disk
from .sources import is_set, patients_in
from .targets import check_names, check_target

_PLAIN = Extras()


@with_options(SegmentOptions)
def segment(
    source: Annotated[Path, Parameter(name="INPUT", help="A file, or a folder that holds a series or single images.")],
    /,
    *,
    model: Annotated[str, Parameter(help="A library name, NAME@VERSION, a folder, or hf:owner/repository.")],
    output: Annotated[Path, Parameter(help="A folder for PNG masks, or a file whose suffix names the format.")],
    extras: Annotated[Extras, Parameter(name="*")] = _PLAIN,
    options: SegmentOptions,
) -> int:
    """Segment an image, a series or a slide with a model.

    A folder of images of different sizes is a set of single images: one mask each, with the image's name. After Ctrl-C
    the finished slices are kept. Of a slide, or another single image too large to be looked at as a whole, everything
    finished is kept whatever happens, and --resume goes on with it. In a folder of folders each is segmented by itself,
    into a folder of its name in OUT; of a --report FILE.json there is one for each, FILE-NAME.json. Files CASE_0000,
    CASE_0001 … in a folder are the channels of one image, CASE, where the model takes so many.

    **Example**

    ```
    napari-medseg segment ct-slices/ --model femur-ct --output masks/
    napari-medseg segment t1.nii.gz --channel flair.nii.gz --model MODEL --output tumour.nii.gz
    napari-medseg segment slide.svs --model MODEL --output slide.ome.zarr
    napari-medseg segment patients/ --model MODEL --output found/
    ```
    """
    find = cache(lambda: load_model(model))
    work = partial(_segment, find=find, options=options)
    if extras.series in ("", EVERY) and not extras.channel and (patients := patients_in(source)):
        find()  # one that is not there is no patient's fault
        return segment_patients(work, source, patients, output, extras)
    return work(source, output, extras)


def _segment(source: Path, output: Path, extras: Extras, *, find: Callable[[], Model], options: SegmentOptions) -> int:
    """Segment one image or series, or a set of images."""
    several = extras.series in ("", EVERY) and (is_set(source) or _holds_cases(source, find))
    _check(source, output, extras, several)
    image = None if several else extras.read(source)
    slide = image is not None and bool(image.levels)
    if image is not None and slide:
        check_slide(image, output, extras, options)
    else:
        _check_plain(output, extras, several)
    loaded = find()
    if image is not None:  # before the output is begun
        check_channels(image, loaded.card)
    record = Record(
        " + ".join(map(str, (source, *extras.channel))), str(output), loaded.card.reference, loaded.card.sha256, options
    )
    lookout = Lookout(options.suggest)
    job = Job(source, output, loaded, options, extras, record, lookout)
    with shown_progress("windows" if slide else "") as report:
        watched = record.watching(lookout.watching(report))
        if image is None:
            code = segment_set(job, watched)
        else:
            code = (segment_on_disk if slide else segment_series)(job, image, watched)
    record.cancelled = code == CANCELLED
    record.note_empty(loaded.card)
    if extras.report is not None:
        record.write(extras.report)
    _tell(record)
    return code


def _holds_cases(source: Path, find: Callable[[], Model]) -> bool:
    """Whether files of one size in a folder are channels for the model: without it they are slices of series."""
    if not source.is_dir() or not any(stem_of(path).endswith("_0001") for path in image_files(source)):
        return False
    return bool(cases_of(source, find().card.channels))


def _check(source: Path, output: Path, extras: Extras, several: bool) -> None:
    """Refuse what cannot end well, before any work."""
    folder = is_folder(output)
    if several and extras.channel:
        raise InputError(f"{source} holds several images, to which --channel adds nothing.", "Segment them one by one.")
    if several and not folder:
        raise InputError(f"{source} holds images of different sizes, which {output} cannot hold.", "Give a folder.")
    if extras.shared and extras.overwrite:
        raise InputError("--overwrite does not go with --resume or --shard.", "Choose one.")
    if extras.probabilities is not None and (several or extras.shared or extras.probabilities.suffix != ".npz"):
        raise InputError(
            "--probabilities needs one series and a file ending in .npz.", "Give such a file, or leave it out."
        )
    if not folder:
        check_names(output.parent, [sidecar_path(output, folder=False).name])
        check_holds(output, 1)
        check_target(sidecar_path(output, folder=False), overwrite=extras.overwrite or extras.shared)
    if extras.shard:
        parse_shard(extras.shard)
    if not (extras.overwrite or extras.shared) and is_begun(output):
        raise OutputError(f"{output} was begun before.", "Go on with it with --resume, or start anew with --overwrite.")
    if not extras.shard and (others := at_work(output, folder=folder)):
        raise in_use(output, others[0].holder if others[0] else None)
    inputs = (source, *extras.channel)
    check_target(output, *inputs, overwrite=extras.overwrite or extras.shared)
    for target in (extras.report, extras.probabilities):
        if target is not None:
            check_target(target, *inputs, overwrite=extras.overwrite or extras.shared)


def _check_plain(output: Path, extras: Extras, several: bool) -> None:
    """Refuse what only slides, or only series, can have."""
    if extras.shared and (several or not is_folder(output)):
        raise InputError(
            "--resume and --shard need a series and a folder as output, or a slide.",
            "Leave them out, or give a folder.",
        )
    for flag, given in (("inside", extras.inside), ("tissue-mask", extras.tissue_mask), ("cluster", extras.cluster)):
        if given:
            raise InputError(f"--{flag} is for slides: single large images.", "Leave it out.")


def _tell(record: Record) -> None:
    for finding in record.unsaid:
        print(finding.message, file=sys.stderr)
    if record.missing:
        names = ", ".join(record.missing[:5]) + (" …" if len(record.missing) > 5 else "")
        print(f"No result for {counted(len(record.missing), 'slice')}: {names}", file=sys.stderr)
    if record.cancelled:
        kept = (
            f"is kept; the same with --resume goes on to {record.output}" if record.done else f"is in {record.output}"
        )
        print(f"napari-medseg: Cancelled; what was finished {kept}.", file=sys.stderr)
    device = f" ({record.device})" if record.device else ""
    print(f"Segmented {record.done or counted(record.slices, 'slice')}{device} into {record.output}")
    if record.found:
        print(record.found)
    if record.tissue:
        print(Shares.summed(record.tissue.values()))
    if record.look_at:
        print(f"Look next at {'; '.join(record.look_at)}, most doubtful first")
