"""One call of ``segment``: what it was asked for, and what it keeps while it works."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from napari_medseg.core import Image
from napari_medseg.inference import SegmentOptions
from napari_medseg.io.registry import is_folder_format
from napari_medseg.models import Model

from .lookout import Lookout
from .record import Record
from .sources import open_image

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
            help="Go on with what OUT holds: the masks of a folder, or what is done of a slide; same image, model and "
            "options.",
            negative=(),
        ),
    ] = False
    shard: Annotated[
        str,
        Parameter(
            help="I/N: do the I-th of N parts of the series or slide (from 1), into the same OUT on a shared folder.",
            show_default=False,
        ),
    ] = ""
    inside: Annotated[
        Path | None,
        Parameter(help="Of a slide, segment only what lies inside the outlines of this file (in pixels of the slide)."),
    ] = None
    tissue_mask: Annotated[
        Path | None,
        Parameter(help="Of a slide, take what this mask marks as tissue; it covers the whole slide at any size."),
    ] = None
    cluster: Annotated[
        str,
        Parameter(
            help="Of a slide, compute on the workers of a dask.distributed cluster: the address of its scheduler "
            "(tcp://HOST:8786).",
            show_default=False,
        ),
    ] = ""
    series: Annotated[
        str,
        Parameter(
            help="Which series of a folder that holds several: the start of its names; or of a file, of which 'all' "
            "are taken as channels of one image.",
            show_default=False,
        ),
    ] = ""
    channel: Annotated[
        tuple[Path, ...],
        Parameter(
            help="A file or folder whose image is a further channel (sequences of an MR: same size and place), or the "
            "name of another series of INPUT; may be repeated, in the order that the model knows.",
            negative=(),
            show_default=False,
        ),
    ] = ()
    spacing: Annotated[
        tuple[float, ...],
        Parameter(
            help="Distance of pixels in mm, where the files do not tell it: one number, or Z Y X; of slides in mm too "
            "(0.00025 for 0.25 um).",
            negative=(),
            show_default=False,
            consume_multiple=True,
        ),
    ] = ()

    def read(self, source: Path, *channels: Path) -> Image:
        """Open an image, with the files of further channels, with what is known about it."""
        spacing = self.spacing[0] if len(self.spacing) == 1 else self.spacing or None
        return open_image(source, (*channels, *self.channel), self.series, spacing)

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


def is_folder(output: Path) -> bool:
    """Whether a result is a folder of PNG masks."""
    return (output.is_dir() or not output.suffix) and not is_folder_format(output)
