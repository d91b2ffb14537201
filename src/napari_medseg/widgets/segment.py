"""The Segment dock: an image, a model, one click; the labels fill in slice by slice, or where one looks on a slide."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QWidget

from napari_medseg._layers import image_from_layer
from napari_medseg.core import Image, Labels, Mark, MedsegError, ModelCard, Progress, Reporter, marked
from napari_medseg.inference.options import SegmentOptions

from .empty_state import EmptyState, open_dock
from .findings_note import FindingsNote
from .fold import Fold
from .job import Failure, Work, describe_failure
from .layer_picker import LayerPicker
from .look import Dock, Rows, beside, button, stacked
from .model_picker import ModelPicker
from .options_form import OptionsForm
from .positive_slices import PositiveSlices
from .probabilities import Probabilities
from .result_layer import find_answered, find_result, result_layer
from .run_panel import RunPanel
from .save_panel import SavePanel
from .scope_row import ScopeRow
from .shares import MeasuredWork
from .slice_run import SliceRun
from .slide_part import SlidePart
from .suggestions import SUGGESTED
from .window_bar import WindowBar

if TYPE_CHECKING:
    import napari.viewer


class SegmentWidget(Dock):
    """Segments the chosen image with the chosen model into a labels layer that can be painted meanwhile."""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self._image: Image | None = None
        self._problem = ""
        self._run: SliceRun | None = None
        self.empty = EmptyState(self.viewer, "Open a series of slices or a single image to segment it.")
        self.image = LayerPicker(self.viewer, "image")
        self.model = ModelPicker(more=self._show_models)
        self.options = OptionsForm(SegmentOptions, exclude=marked(SegmentOptions, Mark.ELSEWHERE))
        self.options.set_value(SegmentOptions(suggest=SUGGESTED))
        self.probabilities = Probabilities(self.viewer)
        self.panel = RunPanel("Segment", tip="Fill a labels layer with the model's classes, slice by slice")
        self.slide = SlidePart(self.viewer, self.panel)
        self.scope_row = ScopeRow(self.viewer, self.slide.scope)
        self.scope = self.scope_row.slices
        self.findings = FindingsNote(most=3)
        self.windows = WindowBar()
        self.save_panel = SavePanel()
        self.after = self._make_after()
        self.positive = PositiveSlices(self.viewer)
        self._rows = Rows({
            "Image": self.image, "Window": self.windows, "Model": self.model, "Scope": self.scope_row,
            "Tissue": self.slide.tissue, "Result": self.slide.place,
        })  # fmt: skip
        self.image.box.setToolTip("The image layer to segment")
        self.model.box.setToolTip("The model that does it; those that do not fit the image say why")
        more = stacked(self.options, self.probabilities)
        fold = Fold("Options: device, tiles, clean-up, probabilities", more, "Settings that rarely need a change")
        above, below = (
            (self._rows, fold, self.slide.offer, self.panel),
            (self.findings, self.empty, self.positive, self.after),
        )
        for part in (*above, *below, self.slide.correct, self.save_panel):
            self.column.addWidget(part)
        self.save_panel.hide()
        self._connect()
        self._on_image(self.image.value())

    def segment(self, image_layer: Any, reference: str) -> bool:
        """Choose an image and a model and start, as the buttons would; False when it cannot, as while it runs."""
        if self.panel.job.running:
            return False
        self.image.set_value(image_layer)
        self.model.set_value(reference)
        self._start()
        return self.panel.job.running

    def close_down(self) -> None:
        if self.panel.job.running and self._run is not None:
            self._run.close()
        for job in (self.panel.job, self.save_panel.job, self.empty.job):
            job.abandon()
        self.positive.set_layer(None)
        self.slide.close_down()
        self.scope_row.close_down()
        self.image.close_down()
        for event in (self.viewer.layers.events.inserted, self.viewer.layers.events.removed):
            event.disconnect(self._show_after)

    def _make_after(self) -> QWidget:
        self.save = button("Save masks…", "Save the labels as masks: a folder of PNG files or one file", "save_masks")
        self.fine_tune = button("Fine-tune…", "Teach a model your corrections", "fine_tune")
        return beside(self.save, self.fine_tune)

    def _connect(self) -> None:
        self.image.changed.connect(self._on_image)
        self.model.changed.connect(self._on_model)
        self.slide.changed.connect(self._show_state)
        self.slide.started.connect(self._start)
        self.scope_row.changed.connect(self._show_state)
        self.options.changed.connect(self._show_state)
        self.empty.follow(self.panel, self._show_state)
        self.panel.clicked.connect(self._start)
        job = self.panel.job
        job.progressed.connect(self._on_progress)
        job.finished.connect(self._on_finished)
        job.cancelled.connect(self._on_cancelled)
        job.failed.connect(self._on_failed)
        self.save.clicked.connect(self._on_save)
        self.fine_tune.clicked.connect(self._on_fine_tune)
        self.save_panel.saved.connect(
            lambda path: self.panel.tell(f"Masks saved in {path}. {self.save_panel.told}".strip())
        )
        self.save_panel.failed.connect(self.panel.refuse)
        for event in (self.viewer.layers.events.inserted, self.viewer.layers.events.removed):
            event.connect(self._show_after)

    # --- before a run

    def _on_image(self, layer: Any) -> None:
        self._image, self._problem = None, ""
        if layer is not None:
            try:
                self._image = image_from_layer(layer)
                self.model.set_image(self._image)
            except MedsegError as error:
                self._problem = str(error)
        self.windows.set_layer(layer)
        self._rows.show_row(self.windows, bool(self.windows.buttons) and layer is not None)
        self.slide.set_image(layer, self._image, self.model.value())
        self.scope_row.set_image(layer, self._image)
        self._rows.show_row(self.scope_row, self.scope_row.useful)
        for part in (self.slide.tissue, self.slide.place):
            self._rows.show_row(part, self.slide.active)
        self.empty.setVisible(layer is None)
        self.findings.set_value(self._image.findings if self._image is not None else ())
        self._show_after()
        self._show_state()

    def _on_model(self, *_: object) -> None:
        self.slide.set_card(self.model.value())
        self._show_state()

    def _show_state(self, *_: object) -> None:
        layer, card = self.image.value(), self.model.value()
        if layer is None:
            self.panel.set_blocked("")
        elif self._problem:
            self.panel.set_blocked("This layer cannot be segmented: see above.")
        elif card is None:
            self.panel.set_blocked(self.model.advice)
        else:
            self.panel.set_ready(f"Ready to segment {self.scope_row.describe()} with {card.name} v{card.version}.")

    def _show_after(self, event: object = None) -> None:
        layer = self.image.value()
        result = None if layer is None else find_result(self.viewer, layer)
        self.after.setVisible(result is not None)
        self.positive.set_layer(None if layer is None else find_answered(self.viewer, layer))
        if self.after.isHidden():
            self.save_panel.hide()

    # --- a run

    def _start(self) -> None:
        layer, card = self.image.value(), self.model.value()
        if self.panel.job.running or layer is None or card is None or self.slide.asks():
            return
        try:
            image = image_from_layer(layer)
            work = self._begin(layer, image, card)
        except Exception as error:
            self.probabilities.finish()
            self.panel.refuse(describe_failure(error))
            return
        self.save_panel.hide()
        self.findings.set_value(image.findings)
        self._show_after()
        self.panel.start(work, f"Segment {layer.name}", "Loading the model…")

    def _begin(self, layer: Any, image: Image, card: ModelCard) -> Work:
        """Have a layer for the slices, and the work that fills it; or the work over a slide."""
        more = self.probabilities.begin(layer, image, card)
        if image.levels:
            return self.slide.begin(card, self.options.value())
        options = self.options.value(slices=self.scope_row.chosen_slices())
        target = result_layer(self.viewer, layer, card, options)
        work = MeasuredWork(image, partial(_segment, image, card, options, **more))
        self._run = SliceRun(self.viewer, target, work, options.suggest, self.probabilities)
        return work

    def _on_progress(self, progress: Progress) -> None:
        if self.slide.running:
            self.slide.put(progress)
        elif self._run is not None:
            self._run.put(progress)
            if self._run.lost:
                self.panel.job.stop()

    def _on_finished(self, labels: Labels) -> None:
        image = self._image.findings if self._image is not None else ()
        self.findings.set_value((*image, *labels.findings))
        if not self._tell_slide(labels) and self._run is not None:
            self._tell_end(self._run, self._run.finish(labels))

    def _on_cancelled(self) -> None:
        if not self._tell_slide(None) and self._run is not None:
            self._tell_end(self._run, self._run.stop(self.panel.bar.maximum()))

    def _on_failed(self, failure: Failure) -> None:
        if self.slide.running:
            self.slide.end(None)
            self.panel.refuse(failure)
            return
        kept = self._run.fail() if self._run is not None else ""
        self._show_after()
        self.panel.tell(failure.sentence + kept, bad=True)

    def _tell_slide(self, labels: Labels | None) -> bool:
        """How a run over a slide ended, if it was one."""
        if not self.slide.running:
            return False
        told = self.slide.end(labels)
        self._show_after()
        self.panel.tell(told)
        return True

    def _tell_end(self, run: SliceRun, told: str) -> None:
        self._show_after()
        self.panel.tell(run.lost or told, bad=bool(run.lost))

    # --- afterwards

    def _show_models(self) -> None:
        models, card = open_dock(self.viewer, "Models"), self.model.value()
        if models is not None and card is not None:
            models.set_value(card.reference)

    def _on_save(self) -> None:
        target = find_result(self.viewer, self.image.value())
        if target is not None:
            try:
                self.save_panel.open_for(target)
            except MedsegError as error:
                self.panel.refuse(describe_failure(error))

    def _on_fine_tune(self) -> None:
        open_dock(self.viewer, "Fine-tune")


def _segment(image: Image, card: ModelCard, options: SegmentOptions, report: Reporter, **more: Any) -> Labels:
    # Here and not above: torch takes seconds to load, and this runs in the worker.
    from napari_medseg.inference import segment
    from napari_medseg.models.loading import load_torch

    load_torch()
    return segment(image, card.reference, options, report=report, **more)
