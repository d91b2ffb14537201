"""What to look at next after a run: marked in the labels layer and told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from napari_medseg.core import Progress
from napari_medseg.editing.corrections import corrections_of

from .keys import bound_keys
from .slices import name_slice

if TYPE_CHECKING:
    import napari.viewer

SUGGESTED = 6
"""How many slices the window suggests unless told otherwise: about what is painted in one sitting."""

SHARE = 3
"""Of a short series at most every third, and one at least: marks on all of it would say nothing."""

TOLD = 3


class Suggestions:
    """Keeps the network's doubts while slices finish.

    Parameters
    ----------
    number
        How many slices to suggest.
    """

    def __init__(self, number: int = 0) -> None:
        self._number = number
        self._figures: dict[int, Mapping[str, float]] = {}

    def put(self, progress: Progress) -> None:
        """Keep what a report tells of a finished slice, if it does."""
        if self._number and progress.result is not None and progress.metrics:
            z = progress.region[0] if progress.region else 0
            if isinstance(z, int):
                self._figures[z] = progress.metrics

    def mark(self, viewer: napari.viewer.Viewer, layer: Any) -> str:
        """Suggest slices in the layer; a sentence that names the first of them, or "".

        Slices that are corrected or accepted are done. What an earlier run suggested outside of the slices of this one
        comes after. A run of one slice leaves everything as it is.
        """
        if len(self._figures) < 2:
            return ""
        # Loaded by the run itself: here this costs nothing.
        from napari_medseg.evaluation.suggest import suggest_slices

        corrections = corrections_of(layer)
        done = {*corrections.edited_slices(), *corrections.accepted}
        number = min(self._number, max(1, len(layer.data) // SHARE))
        new = suggest_slices(self._figures, number, done)
        earlier = [z for z in corrections.suggested if z not in self._figures and z not in done]
        corrections.set_suggested((*new, *earlier)[:number])
        if not new:
            return ""
        numbers = ", ".join(name_slice(viewer, layer, z).removeprefix("slice ") for z in new[:TOLD])
        key = next((key for key, words in bound_keys(viewer).items() if words == "next suggested"), "")
        return f"Look next at slice{'s' if len(new) > 1 else ''} {numbers}" + (f" (key {key})." if key else ".")
