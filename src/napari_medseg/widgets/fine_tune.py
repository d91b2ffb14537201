"""The Fine-tune dock: learn from what was painted, watch old against new, segment again."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from napari_medseg._layers import card_of, classes_of, image_from_layer
from napari_medseg.core import Mark, MedsegError, ModelCard, Progress, marked
from napari_medseg.editing.corrections import corrections_of
from napari_medseg.models.start_cards import name_start, start_of
from napari_medseg.training.naming import figure_name
from napari_medseg.training.options import TrainOptions

from .curves import Curves
from .empty_state import EmptyState, open_dock
from .files_form import FilesForm
from .findings_note import FindingsNote
from .fold import Fold
from .job import Failure, describe_failure
from .learn_from import LearnFrom, why_nothing
from .learning_preview import LearningPreview
from .learnt import hash_slices, remember_learnt
from .look import Dock, theme_colors
from .model_picker import announce_models, choose_model
from .options_form import OptionsForm
from .pairs_list import ChosenPair
from .result_layer import is_image
from .run_panel import RunPanel
from .snapshot import Order, take_snapshots, train_order
from .start_form import StartForm
from .verdict import Outcome, describe_result, is_aside
from .versions import find_start

if TYPE_CHECKING:
    import napari.viewer

    from napari_medseg.training.verdict import TrainingResult


class FineTuneWidget(Dock):
    """Trains the chosen model on what the user corrected, accepted or painted in the viewer's labels layers."""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self._chosen: tuple[ChosenPair, ...] = ()
        self._image: Any = None
        self._order: Order | None = None
        self._learning: list[tuple[ChosenPair, list[str]]] = []
        self.result: ModelCard | None = None
        self.empty = EmptyState(self.viewer, "Open an image, segment it, then paint over its mistakes.")
        self.options = OptionsForm(TrainOptions, exclude=marked(TrainOptions, Mark.ELSEWHERE))
        self.start = StartForm(self.go_back, self.options)
        self.model, self.name, self.time = self.start.model, self.start.name, self.start.time
        self.learn = LearnFrom(self.viewer, self.model.value)
        self.pairs, self.accept = self.learn.pairs, self.learn.accept
        self.files = FilesForm()
        self.panel = RunPanel(
            "Fine-tune",
            cancel="Stop",
            tip="Train on the ticked slices",
            cancel_tip="Stop and keep the best so far",
            counted=False,
        )
        self.findings = FindingsNote(most=3)
        self.curves = Curves()
        self.preview = LearningPreview(self.viewer)
        self.after = Outcome()
        self.use, self.keep = self.after.use, self.after.keep
        fold = Fold("Options: steps, augmentation, loss", self.options, "Settings that rarely need a change")
        top = (self.learn, self.empty, self.files, self.start, fold, self.panel)
        for part in (*top, self.findings, self.curves, self.after):
            self.column.addWidget(part)
        self.curves.hide()
        self.after.hide()
        self._connect()
        self._recolor()
        self._show_state()

    def close_down(self) -> None:
        self.panel.job.abandon()
        self.empty.job.abandon()
        self.preview.stop()
        self.learn.close_down()
        self.files.close_down()
        self.curves.close_down()
        self.viewer.events.theme.disconnect(self._recolor)

    def _connect(self) -> None:
        for part in (self.learn, self.files, self.start, self.options):
            part.changed.connect(self._show_state)
        self.start.told.connect(lambda text, bad: self.panel.tell(text, bad=bad))
        self.empty.follow(self.panel, self._show_anew)
        self.panel.clicked.connect(self._on_run)
        job = self.panel.job
        job.progressed.connect(self._on_progress)
        job.finished.connect(self._on_finished)
        job.cancelled.connect(lambda: self.panel.tell("Stopped before anything was learnt; no model was made."))
        job.failed.connect(self._on_failed)
        for ended in (job.finished, job.cancelled, job.failed):
            ended.connect(self.preview.stop)
        self.use.clicked.connect(self._on_use)
        self.keep.clicked.connect(self._on_keep)
        self.after.retrain.clicked.connect(self._on_retrain)
        self.viewer.events.theme.connect(self._recolor)

    def _recolor(self, event: object = None) -> None:
        self.curves.set_colors(*theme_colors(self.viewer))

    # --- before a run

    def _show_state(self, *_: object) -> None:
        rows = self.pairs.rows
        self.empty.setVisible(not any(is_image(layer) for layer in self.viewer.layers))
        self._chosen = tuple(pair for row in rows if (pair := row.value()) is not None)
        self.findings.set_layers(layer for pair in self._chosen for layer in (pair.image, pair.labels))
        self.start.show_classes(self.files.value().any)
        self._suggest()
        self.after.setVisible(self.result is not None and not self.panel.job.running)
        if self.result is not None:
            return
        problem = self._find_problem()
        blocked = bool(problem) or not (rows or self.files.slices)
        text = problem if blocked else self._describe_start()
        self.panel.show_state(text, blocked=blocked)

    def _show_anew(self, *_: object) -> None:
        self.panel.forget_state()
        self._show_state()

    def _describe_start(self) -> str:
        slices = self.files.describe(sum(len(pair.truth.slices) for pair in self._chosen))
        card = self.model.value()
        start = name_start(card) if card else ""
        return f"Ready to learn from {slices}, starting from {start}."

    def _find_problem(self) -> str:
        if not self.pairs.rows and self.files.idle and self.empty.isVisibleTo(self):
            return ""
        return why_nothing(self.pairs, self.files) or self.start.problem

    def _suggest(self) -> None:
        """The start model that suits the first ticked pair, as long as the user has not chosen another."""
        image = self._chosen[0].image if self._chosen else None
        if image is not None and image is not self._image:
            self._image = image
            try:
                self.model.set_image(image_from_layer(image))
            except MedsegError as error:
                self.panel.refuse(describe_failure(error))
            made_by = card_of(self._chosen[0].labels)
            if made_by is not None:
                self.model.set_value(made_by)

    def go_back(self, card: ModelCard) -> None:
        """Choose an earlier version here and, where it is open, in the Segment dock."""
        self._forget_result()
        self.model.set_value(card)
        choose_model(self.viewer, card)
        self.panel.tell(f"{card.name} v{card.version} is chosen, to segment with and to start from.")

    # --- a run

    def _on_run(self) -> None:
        card = self.model.value()
        if card is not None:
            self._start(card, start_of(card))

    def _on_retrain(self) -> None:
        """Once more from where it all began, on today's slices and all that the new model remembers."""
        card, order = self.result, self._order
        if card is not None and order is not None:
            self._start(order.card, find_start(card), recall=card.reference)

    def _start(self, card: ModelCard, start: str, recall: str = "") -> None:
        pairs = self.pairs.value()
        if self.panel.job.running:
            return
        problem = self._find_problem()
        if problem:
            self.panel.tell(problem)
            return
        name = self.name.text().strip()
        try:
            snapshots = take_snapshots(pairs)
            options = self.options.value(max_minutes=self.start.minutes)
        except Exception as error:
            self.panel.refuse(describe_failure(error))
            return
        given = self.files.value(), *self.start.masks.value()
        self._order = Order(tuple(snapshots), card, start, name, options, recall, *given)
        self._learning = [(pair, hash_slices(pair.labels, pair.truth.slices)) for pair in pairs]
        self.result = None
        self.after.hide()
        self.curves.clear(figure_name(card.outlines))
        self.curves.show()
        classes = {c.value: c for c in card.classes} | {c.value: c for pair in pairs for c in classes_of(pair.labels)}
        if pairs:
            self.preview.start(pairs[0].image, tuple(classes.values()), name)
        work = partial(train_order, self._order, self.preview.ask)
        self.panel.start(work, f"Fine-tune {card.name}", "Preparing the labelled slices…")

    def _on_progress(self, progress: Progress) -> None:
        self.preview.show(progress)
        self.curves.add(progress.metrics.get("step", 0), progress.metrics)

    def _on_finished(self, result: TrainingResult) -> None:
        card = self.result = result.card
        for pair, hashes in self._learning:
            remember_learnt(pair.labels, pair.truth.slices, hashes)
        self._show_held_out(result)
        announce_models()
        self.after.show_for(card, can_retrain=self._can_retrain(card))
        self.curves.settle()
        self.pairs.refresh()
        self.panel.tell(describe_result(result))

    def _show_held_out(self, result: TrainingResult) -> None:
        """Tell each layer which of its slices only measured."""
        if self._order is None:
            return
        held_out: dict[int, set[int]] = {i: set() for i in range(len(self._learning))}
        for i, z in (one for one in result.held_out if one[0] in held_out):
            held_out[i].add(self._order.snapshots[i].in_layer(z, self._order.beside[0]))
        for i, slices in held_out.items():
            corrections_of(self._learning[i][0].labels).set_held_out(sorted(slices))

    def _can_retrain(self, card: ModelCard) -> bool:
        """Whether the model did not start from where it all began anyway."""
        return self._order is not None and find_start(card) != self._order.start

    def _on_failed(self, failure: Failure) -> None:
        self.curves.setVisible(self.curves.latest("loss") is not None)

    # --- afterwards

    def _on_use(self) -> None:
        card, image = self.result, self._image
        self._forget_result()
        segment = open_dock(self.viewer, "Segment")
        if card is None:
            return
        self.model.set_value(card)
        whole = [pair for pair, _ in self._learning if not pair.truth.strokes]
        for pair in whole:
            # Whole slices were taken as right, so the new result must not undo what they show.
            for z in pair.truth.slices:
                corrections_of(pair.labels).accept(z)
        self.pairs.refresh()
        name = f"{card.name} v{card.version}"
        kept = " The slices it learnt from stay as they are." if whole else ""
        self._learning = []
        if image is None:
            self.panel.tell(f"{name} is chosen. Open an image and segment it in the Segment dock.")
        elif image not in self.viewer.layers:
            self.panel.tell(f"{name} is chosen, but its image was closed. Choose another in the Segment dock.")
        elif segment is None or not segment.segment(image, card.reference):
            self.panel.tell(f"{name} is chosen. The Segment dock is busy: segment again there when it is done.")
        else:
            self.panel.tell(
                f"The Segment dock segments again with {name}.{kept} Correct what is still wrong, then repeat."
            )

    def _on_keep(self) -> None:
        card = self.result
        self._forget_result()
        if card is not None:
            where = "is kept aside" if is_aside(card) else "stays in the library"
            self.panel.tell(f"{card.name} v{card.version} {where}; “Go back” finds it, the Models dock removes it.")

    def _forget_result(self) -> None:
        self.result = None
        self.after.hide()
        self._show_state()
