"""One run of the Segment dock over slices: fills a labels layer, and says how it ended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from napari_medseg.core import Labels, Progress

from .look import count, words_for_seconds
from .probabilities import Probabilities
from .result_writer import ResultWriter
from .suggestions import Suggestions

if TYPE_CHECKING:
    import napari.viewer

    from .shares import MeasuredWork


class SliceRun:
    """What goes on while slices are segmented into a labels layer.

    Parameters
    ----------
    layer
        Where the labels go.
    work
        What segments.
    suggest
        How many slices to suggest afterwards.
    probabilities
        Has begun already; ends with the run.
    """

    def __init__(
        self, viewer: napari.viewer.Viewer, layer: Any, work: MeasuredWork, suggest: int, probabilities: Probabilities
    ) -> None:
        self._viewer, self._layer, self._work, self._probabilities = viewer, layer, work, probabilities
        self._writer = ResultWriter(viewer, layer)
        self._suggestions = Suggestions(suggest)
        self._started = time.monotonic()

    @property
    def lost(self) -> str:
        """Why results can no longer be written, and what to do, or ``""``."""
        return f"{self._writer.lost} Segment again to get a new one." if self._writer.lost else ""

    def put(self, progress: Progress) -> None:
        """Write the slice that a report carries, if it does."""
        self._writer.put(progress)
        self._suggestions.put(progress)
        self._probabilities.put(progress)

    def close(self) -> int:
        """Write what still waits; number of slices written."""
        return self._writer.finish()

    def finish(self, labels: Labels) -> str:
        """The end of the whole run, in words."""
        done, next_ = self._settle()
        seconds = words_for_seconds(time.monotonic() - self._started)
        noun = "image" if self._layer.data.ndim == 2 else "slice"
        more = "Paint over mistakes and fine-tune, or save the masks." if labels.outlined else ""
        segmented = f"{count(done, noun)} segmented in {seconds}, in the layer “{self._layer.name}”."
        return " ".join(filter(None, (segmented, self._work.told, next_, more)))

    def stop(self, total: int) -> str:
        """The end of a run that was stopped before it had done all, where that is known (not 0), in words."""
        done, next_ = self._settle()
        counted = f"{done} of {total}" if total > 0 else f"{done}"
        kept = f"{counted} slices done, kept in “{self._layer.name}”" if done else "nothing was written"
        return f"Stopped: {kept}. {next_}".strip()

    def fail(self) -> str:
        """What is kept of a run that failed, in words that follow the reason."""
        done, _ = self._settle()
        return f" {count(done, 'slice')} done before that are kept in “{self._layer.name}”." if done else ""

    def _settle(self) -> tuple[int, str]:
        """Write what still waits; number of slices written, and what to look at next (or "")."""
        done = self.close()
        self._probabilities.finish()
        return done, "" if self._writer.lost else self._suggestions.mark(self._viewer, self._layer)
