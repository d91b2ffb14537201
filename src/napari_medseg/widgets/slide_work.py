"""A run over a slide as a click asks for it, away from the window: no Qt and no layer here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_medseg.core import Image, Labels, ModelCard, Reporter
from napari_medseg.inference.options import SegmentOptions

from .placing import Box
from .slide_scope import Polygons

if TYPE_CHECKING:
    from napari_medseg.inference.slides.tissue import Tissue


@dataclass(frozen=True)
class SlideOrder:
    """What a click on Segment asks for on a slide.

    Attributes
    ----------
    output
        Folder of the result.
    inside
        Polygons (Y, X) in pixels of full resolution; None for all of it.
    tissue
        The mask the user has seen; None to look for tissue, where the options say so.
    focus
        What is in view now; may be called from any thread.
    anew
        Whether a result that is there is given up, else it is continued.
    """

    image: Image
    card: ModelCard
    options: SegmentOptions
    output: Path
    inside: Polygons | None
    tissue: Tissue | None
    focus: Callable[[], Box | None]
    anew: bool


def segment_slide(order: SlideOrder, report: Reporter) -> Labels:
    """Run the model over the slide; runs in a worker."""
    # Here and not above: torch takes seconds to load.
    from napari_medseg.models.loading import load_torch

    load_torch()
    from napari_medseg.inference.slides.segment import segment_slide as run

    return run(
        order.image, order.card.reference, order.options, output=order.output, report=report, inside=order.inside,
        focus=order.focus, tissue_mask=order.tissue, resume=not order.anew, overwrite=order.anew,
    )  # fmt: skip
