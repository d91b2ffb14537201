"""What the Segment dock has for slides: which part, what is tissue, where the result goes, and the run itself."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_medseg.core import Image, InputError, Labels, ModelCard, Progress, Reporter
from napari_medseg.inference.options import SegmentOptions
from napari_medseg.inference.slides.results import carry_over, open_result

from .correct_bar import CorrectBar
from .job import Work, describe_failure
from .look import count, unwrap, words_for_seconds
from .placing import overlap
from .result_place import ResultOffer, ResultPlace
from .run_panel import RunPanel
from .shares import measure_shares
from .signals import Signal
from .slide_result import Refresher, covers, find_slide_result, is_slide_result, show_result
from .slide_scope import SlideScope
from .slide_work import SlideOrder, segment_slide
from .tissue_row import TissueRow, describe_share
from .visible import Visible

if TYPE_CHECKING:
    import napari.viewer


class SlidePart(QObject):
    """Parts of the dock, to be laid out by it, and the run over a slide.

    ``started`` asks the dock to start as its button would. A run is `begin`, `put` for each report, and `end`.

    Attributes
    ----------
    scope, tissue, place, offer, correct
        The parts.
    """

    changed = Signal()
    started = Signal()

    def __init__(self, viewer: napari.viewer.Viewer, panel: RunPanel) -> None:
        super().__init__()
        self._viewer, self._panel = unwrap(viewer), panel
        self._layer: Any = None
        self._image: Image | None = None
        self._card: ModelCard | None = None
        self._run: _Run | None = None
        self._anew = False
        self.scope = SlideScope(viewer)
        self.tissue = TissueRow(viewer)
        self.place = ResultPlace()
        self.offer = ResultOffer()
        self.correct = CorrectBar(viewer)
        self.scope.changed.connect(self.changed)
        self.tissue.changed.connect(self._on_tissue)
        self.tissue.told.connect(self._on_told)
        self.tissue.failed.connect(panel.refuse)
        self.place.changed.connect(self._look)
        self.place.failed.connect(lambda error: panel.refuse(describe_failure(error)))
        self.offer.shown.connect(self._on_shown)
        self.offer.resumed.connect(self.started)
        self.offer.begun.connect(self._on_begun)
        for name in ("inserted", "removed"):
            getattr(self._viewer.layers.events, name).connect(self._on_layers)

    @property
    def active(self) -> bool:
        """Whether the image is a slide."""
        return self._layer is not None

    @property
    def running(self) -> bool:
        """Whether a run over a slide has begun and not ended."""
        return self._run is not None

    def close_down(self) -> None:
        """Stop listening to the viewer; a run that goes on is not shown any more."""
        for name in ("inserted", "removed"):
            getattr(self._viewer.layers.events, name).disconnect(self._on_layers)
        if self._run is not None:
            self._run.close_down()
        for part in (self.tissue, self.correct):
            part.close_down()

    def set_image(self, layer: Any, image: Image | None, card: ModelCard | None) -> None:
        """The image the dock is about; hides everything when it is no slide."""
        slide = image is not None and bool(image.levels)
        self._layer, self._image, self._card = (layer, image, card) if slide else (None, None, card)
        self.tissue.set_image(self._layer, self._image)
        self.correct.set_image(self._layer)
        self.place.follow(self._layer, self._image, card)

    def set_card(self, card: ModelCard | None) -> None:
        """Another model was chosen."""
        self._card = card
        self.place.follow(self._layer, self._image, card)

    # --- a run

    def asks(self) -> bool:
        """Whether the user is asked first, in the dock: all of what a click would segment is done already."""
        if self._anew or not self.active:
            return False
        self._look()
        state = self.offer.state
        if state is None or not state.finished:
            return False
        self.offer.ask()
        return True

    def begin(self, card: ModelCard, options: SegmentOptions) -> Work:
        """The work of a click.

        Raises
        ------
        InputError
            There is no slide or no place for its result, or what is drawn on it cannot be used.
        """
        output, anew = self.place.value(), self._anew
        self._anew = False
        if self._layer is None or self._image is None or output is None:
            raise InputError("There is no slide to segment.", "Choose an image.")
        inside = self.scope.value(self._layer)
        mask = self.tissue.painted()
        options = options.model_copy(update={"tissue": self.tissue.skip.isChecked()})
        run = _Run(self._viewer, self._layer, self._panel)
        run.order = SlideOrder(self._image, card, options, output, inside, mask, run.visible, anew)
        self._run = run
        self.offer.hide()
        return partial(_listened, segment_slide, run.order, run)

    def put(self, progress: Progress) -> None:
        """Show what a report tells."""
        if self._run is not None:
            self._run.put(progress)

    def end(self, labels: Labels | None) -> str:
        """The run has ended, with its result or before it; what there is to say about it."""
        run, self._run = self._run, None
        if run is None:
            return ""
        told = run.end(labels)
        self._look()
        self.correct.refresh()
        return told

    # --- what is there already

    def _look(self) -> None:
        if self._run is None:
            path = self.place.value()
            shown = path is not None and find_slide_result(self._viewer, self._layer, path) is not None
            self.offer.look(path, visible=shown)
            self.changed.emit()

    def _on_layers(self, event: Any) -> None:
        if self.offer.state is not None and is_slide_result(event.value):
            self._look()

    def _on_shown(self) -> None:
        state = self.offer.state
        pyramid = open_result(state.path) if state is not None else None
        if pyramid is None or self._layer is None or self._card is None:
            self._look()
        elif not covers(self._layer, pyramid):
            self._panel.refuse(
                describe_failure(InputError(f"{pyramid.path.name} has another size than the slide.", "Start anew."))
            )
        else:
            show_result(self._viewer, self._layer, pyramid, self._card, None)

    def _on_begun(self) -> None:
        self._anew = True
        self.started.emit()
        self._anew = False

    def _on_tissue(self) -> None:
        self.scope.set_skipping(self.tissue.skip.isChecked())
        self.changed.emit()

    def _on_told(self, text: str) -> None:
        if not self._panel.job.running:
            self._panel.tell(text)


class _Run:
    """One run as the window sees it: its layer, what is in view, how far it is."""

    def __init__(self, viewer: napari.viewer.Viewer, image_layer: Any, panel: RunPanel) -> None:
        self._viewer, self._image_layer, self._panel = viewer, image_layer, panel
        self.visible = Visible(viewer, image_layer)
        self.order: SlideOrder | None = None
        self.layer: Any = None
        self._refresher: Refresher | None = None
        self.finished: deque[Any] = deque()  # parts of the result, filled by the worker
        self.carried = 0
        self.shares = ""
        self._lost = False
        self._begun = time.monotonic()
        self._progress = Progress("")
        self._before: int | None = None  # windows that an earlier run did

    def put(self, progress: Progress) -> None:
        if progress.total:
            self._before = progress.done if self._before is None else self._before
            self._progress = progress
            self._show()
        if self._refresher is not None and self._is_news():
            self._refresher.ask()
        self._tell(progress)

    def end(self, labels: Labels | None) -> str:
        self._show()
        self.close_down()
        assert self.order is not None
        progress, name = self._progress, self.order.output.name
        seconds = words_for_seconds(time.monotonic() - self._begun)
        where = f"in the layer “{self.layer.name}”" if self.layer is not None and not self._lost else f"in {name}"
        if labels is not None:
            windows = progress.done - (self._before or 0)
            if not windows:
                return f"All of it was done before; it is {where}."
            carried = f" {count(self.carried, 'part')} corrected before kept." if self.carried else ""
            return f"{count(windows, 'window')} segmented in {seconds}, {where}.{carried} {self.shares}".rstrip()
        if not progress.total:
            return "Stopped before anything was computed."
        return f"Stopped: {describe_share(progress.done / progress.total)} of it is done and kept, {where}."

    def close_down(self) -> None:
        self.visible.close_down()
        if self._refresher is not None:
            self._refresher.stop()
            self._refresher.draw()

    def _show(self) -> None:
        """Have the result in the viewer, as soon as there is one and as long as the user wants it there."""
        if self.layer is not None:
            self._lost = self.layer not in self._viewer.layers
            return
        if self.order is None or self._image_layer not in self._viewer.layers:
            return
        pyramid = open_result(self.order.output)
        if pyramid is not None:
            self.layer = show_result(self._viewer, self._image_layer, pyramid, self.order.card, self.order.options)
            self._refresher = Refresher(self.layer)

    def _is_news(self) -> bool:
        """Whether anything in view was finished since the last time: drawing the rest again would show the same."""
        news, seen = False, self.visible()
        while self.finished:
            region = self.finished.popleft()
            news |= seen is not None and overlap(region, seen)
        return news

    def _tell(self, progress: Progress) -> None:
        if not progress.total or self._panel.job.stopping:
            return
        left = self._panel.job.seconds_left(progress)
        parts = [f"{progress.stage}: {describe_share(progress.done / progress.total)} done"]
        if left:
            parts.append(f"{(progress.total - progress.done) / left:.2g} windows a second")
        self._panel.tell(" · ".join(part for part in (*parts, progress.message) if part))


def _listened(
    segment: Callable[[SlideOrder, Reporter], Labels], order: SlideOrder, run: _Run, report: Reporter
) -> Labels:
    """Segment, noting each finished part: of reports that come in bursts the window only sees the last.

    What a person put into earlier results of the slide goes into this one before the first part is computed.
    """
    new = order.anew or not order.output.exists()

    def note(progress: Progress) -> None:
        nonlocal new
        if progress.total and new:
            new = False
            run.carried = carry_over(order.output)
        if progress.region is not None:
            run.finished.append(progress.region)
        report(progress)

    labels = segment(order, note)
    run.shares = measure_shares(order.image, labels, order.tissue)
    return labels
