"""What of the tissue each class takes up, in words; measured by the worker that segments."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_medseg.core import Image, Labels, Reporter

if TYPE_CHECKING:
    from napari_medseg.inference.slides.tissue import Tissue


class MeasuredWork:
    """Work that segments an image and measures the result.

    Attributes
    ----------
    told
        What of the tissue each class takes up, once the work is done.
    """

    def __init__(self, image: Image, segment: Callable[[Reporter], Labels]) -> None:
        self._image, self._segment = image, segment
        self.told = ""

    def __call__(self, report: Reporter) -> Labels:
        labels = self._segment(report)
        self.told = measure_shares(self._image, labels)
        return labels


def measure_shares(image: Image, labels: Labels, tissue: Tissue | None = None) -> str:
    """What of the tissue is of each class, of all slices together; empty where there is no telling."""
    from napari_medseg.inference.shares import Shares
    from napari_medseg.inference.shares import measure_shares as measure

    found = [one for one in measure(image, labels, tissue) if one is not None]
    return f"{Shares.summed(found)}." if found else ""
