"""Fills a labels layer slice by slice while the user may be painting in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_medseg.core import InputError, Progress
from napari_medseg.editing.corrections import corrections_of

from .result_layer import is_blank, missing_slices, note_slices

if TYPE_CHECKING:
    import napari.viewer


class ResultWriter:
    """Puts the finished slices of one run into a labels layer; the user's pixels stay.

    Attributes
    ----------
    written
        The slices handed over so far.
    lost
        Why results can no longer be written, or ``""``.
    """

    def __init__(self, viewer: napari.viewer.Viewer, layer: Any) -> None:
        self._viewer, self.layer = viewer, layer
        self._corrections = corrections_of(layer)
        self._missing = missing_slices(layer)
        self.written: set[int] = set()
        self.lost = ""

    def put(self, progress: Progress) -> None:
        """Write the slice that a report carries, if it does."""
        if progress.result is None or progress.region is None or self.lost:
            return
        if self.layer not in self._viewer.layers:
            self._corrections.discard_waiting()
            self.lost = f"The labels layer “{self.layer.name}” was removed."
            return
        z = progress.region[0] if progress.region else 0
        if not isinstance(z, int):
            return
        try:
            self._corrections.write(z, progress.result)
        except InputError as error:
            self.lost = str(error)
        else:
            self.written.add(z)
            said = {z: progress.metrics["presence"]} if "presence" in progress.metrics else None
            note_slices(self.layer, self._missing - self.written, said)

    def finish(self) -> int:
        """Note in the layer which slices it holds now; number of slices written.

        A layer that holds nothing at all, as after a first run that failed, is taken out of the viewer.
        """
        if not self.lost:
            self._corrections.flush()
            note_slices(self.layer, self._missing - self.written)
            if is_blank(self.layer) and self.layer in self._viewer.layers:
                self._viewer.layers.remove(self.layer)
        return len(self.written)
