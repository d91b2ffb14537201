"""The Fine-tune dock: learn from corrected slices, watch old against new, segment again."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from napari_medseg._layers import card_of, image_from_layer
from napari_medseg.core import ClassInfo, MedsegError, ModelCard, Progress, Reporter
from napari_medseg.editing.corrections import corrections_of
from napari_medseg.inference.normalise import count_channels
from napari_medseg.training.options import TrainOptions

from .accept import AcceptButton
from .curves import Curves
from .empty_state import EmptyState, open_dock
from .fold import Fold
from .job import Failure, describe_failure
from .look import Dock, Rows, button, count, theme_colors, tighten
from .model_picker import ModelPicker, announce_models
from .options_form import OptionsForm
from .pairs_list import ChosenPair, PairsList
from .run_panel import RunPanel
from .snapshot import Snapshot, save_run, take_snapshots
from .verdict import describe_result

if TYPE_CHECKING:
    import napari.viewer

_TIMES: tuple[tuple[str, float | None], ...] = (
    ("60 s (20 s with a GPU)", None),
    ("20 s", 1 / 3),
    ("3 min", 3.0),
    ("10 min", 10.0),
    ("30 min", 30.0),
)


class FineTuneWidget(Dock):
    """Trains the chosen model on what the user corrected, accepted or painted in the viewer's labels layers."""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self._pairs: tuple[ChosenPair, ...] = ()
        self._image: Any = None
        self._suggested = ""
        self._state: tuple[bool, str] | None = None
        self._learnt: list[tuple[Any, tuple[int, ...]]] = []
        self.result: ModelCard | None = None
        self.empty = EmptyState(self.viewer, "Open an image, segment it, then paint over its mistakes.")
        self.pairs = PairsList(self.viewer)
        self.accept = AcceptButton(self.viewer)
        self.dense, self.strokes = QRadioButton("Whole slices"), QRadioButton("Painted strokes only")
        self.model = ModelPicker()
        self.name = QLineEdit()
        self.time = QComboBox()
        self.options = OptionsForm(TrainOptions, exclude=("max_minutes", "unlabelled", "group"))
        self.panel = RunPanel(
            "Fine-tune",
            cancel="Stop",
            tip="Train on the ticked slices",
            cancel_tip="Stop and keep the best so far",
            counted=False,
        )
        self.curves = Curves()
        self.after = self._make_after()
        heading = QLabel("Learn from")
        heading.setProperty("heading", True)
        self._learn = (heading, self.pairs, self.accept)
        fold = Fold("Options: steps, augmentation, loss", self.options, "Settings that rarely need a change")
        parts = (*self._learn, self.empty, self._make_rows(), fold, self.panel, self.curves, self.after)
        for part in parts:
            self.column.addWidget(part)
        self.curves.hide()
        self.after.hide()
        self._connect()
        self._recolor()
        self._show_state()

    def close_down(self) -> None:
        self.panel.job.abandon()
        self.empty.job.abandon()
        self.pairs.close_down()
        self.accept.close_down()
        self.curves.close_down()
        self.viewer.events.theme.disconnect(self._recolor)

    def _make_rows(self) -> QWidget:
        truth = QWidget()
        choices = QVBoxLayout(truth)
        tighten(choices)
        choices.setSpacing(3)
        self._truths = QButtonGroup(self)
        for choice in (self.dense, self.strokes):
            self._truths.addButton(choice)
            choices.addWidget(choice)
        self.dense.setChecked(True)
        self.dense.setToolTip("Every pixel of a corrected or accepted slice is right; what has no label is background")
        self.strokes.setToolTip(
            "Only painted pixels are right; all others are unknown. "
            "Paint some of what is not wanted too, with a label of its own"
        )
        self.name.setObjectName("name")
        self.name.setToolTip("Name of the new model; a name that exists gets a new version, nothing is overwritten")
        self.time.setObjectName("time")
        self.time.setToolTip("How long to train; Stop ends earlier and keeps the best so far")
        for text, minutes in _TIMES:
            self.time.addItem(text, minutes)
        self.model.box.setToolTip("The model to start from")
        return Rows({"True": truth, "Start": self.model, "Name": self.name, "Time": self.time})

    def _make_after(self) -> QWidget:
        after = QWidget()
        row = QHBoxLayout(after)
        tighten(row)
        self.use = button(
            "Use it and segment again", "Segment the image with the new model; painted pixels stay", "use"
        )
        self.keep = button("Keep old", "Go on with the old model; the new one stays in the library", "keep")
        row.addWidget(self.use, 2)
        row.addWidget(self.keep, 1)
        return after

    def _connect(self) -> None:
        self.pairs.changed.connect(self._show_state)
        self.model.changed.connect(self._show_state)
        self.name.textChanged.connect(self._show_state)
        self.time.currentIndexChanged.connect(self._show_state)
        self._truths.buttonClicked.connect(self._show_state)
        self.options.changed.connect(self._show_state)
        self.empty.follow(self.panel, self._show_anew)
        self.panel.clicked.connect(self._start)
        job = self.panel.job
        job.progressed.connect(self._on_progress)
        job.finished.connect(self._on_finished)
        job.cancelled.connect(lambda: self.panel.tell("Stopped before anything was learnt; no model was made."))
        job.failed.connect(self._on_failed)
        self.use.clicked.connect(self._on_use)
        self.keep.clicked.connect(self._on_keep)
        self.viewer.events.theme.connect(self._recolor)

    def _recolor(self, event: object = None) -> None:
        self.curves.set_colors(*theme_colors(self.viewer))

    # --- before a run

    def _show_state(self, *_: object) -> None:
        rows = self.pairs.rows
        for part in self._learn:
            part.setVisible(bool(rows))
        self.empty.setVisible(not any(layer._type_string == "image" for layer in self.viewer.layers))
        self._pairs = tuple(pair for row in rows if (pair := row.value()) is not None)
        self._suggest()
        self.after.setVisible(self.result is not None and not self.panel.job.running)
        if self.result is not None:
            return
        problem = self._find_problem()
        blocked = bool(problem) or not rows
        text = problem if blocked else self._describe_start()
        if (blocked, text) == self._state:
            return  # what was told last, such as how a run ended, stays until something changes
        self._state = (blocked, text)
        (self.panel.set_blocked if blocked else self.panel.set_ready)(text)

    def _show_anew(self, *_: object) -> None:
        self._state = None
        self._show_state()

    def _describe_start(self) -> str:
        slices = sum(len(pair.truth.slices) for pair in self._pairs)
        card = self.model.value()
        start = f"{card.name} v{card.version}" if card else ""
        return f"Ready to learn from {count(slices, 'slice')}, starting from {start}."

    def _find_problem(self) -> str:
        if not self.pairs.rows:
            return "" if self.empty.isVisibleTo(self) else "Segment an image first, or add a labels layer and paint."
        if not self._pairs:
            return "Paint over a mistake in a labels layer, or accept a slice that is right."
        if self.model.value() is None:
            return "No model fits this image. Add one in the Models dock."
        try:
            ModelCard(name=self.name.text().strip(), classes=(ClassInfo.numbered(1),))
        except ValueError:
            return "Give the new model a name of small letters, digits, “.”, “_” and “-”."
        return ""

    def _suggest(self) -> None:
        """Start model and name that suit the first ticked pair, as long as the user has not chosen others."""
        image = self._pairs[0].image if self._pairs else None
        if image is not None and image is not self._image:
            self._image = image
            try:
                self.model.set_channels(count_channels(image_from_layer(image)))
            except MedsegError as error:
                self.panel.refuse(describe_failure(error))
            made_by = card_of(self._pairs[0].labels)
            if made_by is not None:
                self.model.set_value(made_by)
        card = self.model.value()
        if card is not None and self.name.text() == self._suggested:
            self._suggested = card.name if card.name.startswith("my-") else f"my-{card.name}"
            self.name.setText(self._suggested)

    # --- a run

    def _start(self) -> None:
        card = self.model.value()
        pairs = self.pairs.value()
        if self.panel.job.running:
            return
        problem = self._find_problem()
        if problem or card is None:
            self.panel.tell(problem)
            return
        name = self.name.text().strip()
        try:
            snapshots, unlabelled = take_snapshots(pairs, self.strokes.isChecked())
            options = self.options.value(max_minutes=self.time.currentData(), unlabelled=unlabelled)
        except Exception as error:
            self.panel.refuse(describe_failure(error))
            return
        self._learnt = [] if self.strokes.isChecked() else [(pair.labels, pair.truth.slices) for pair in pairs]
        self.result = None
        self.after.hide()
        self.curves.clear()
        self.curves.show()
        work = partial(_train, snapshots, card, name, options)
        self.panel.start(work, f"Fine-tune {card.name}", "Preparing the labelled slices…")

    def _on_progress(self, progress: Progress) -> None:
        self.curves.add(progress.metrics.get("step", 0), progress.metrics)

    def _on_finished(self, card: ModelCard) -> None:
        self.result = card
        announce_models()
        self.after.show()
        self.curves.settle()
        self.panel.tell(describe_result(card))

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
        for layer, slices in self._learnt:
            # Whole slices were taken as right, so the new result must not undo what they show.
            for z in slices:
                corrections_of(layer).accept(z)
        self.pairs.refresh()
        name = f"{card.name} v{card.version}"
        kept = " The slices it learnt from stay as they are." if self._learnt else ""
        self._learnt = []
        if image not in self.viewer.layers:
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
            self.panel.tell(f"{card.name} v{card.version} stays in the library; remove it in the Models dock.")

    def _forget_result(self) -> None:
        self.result = None
        self.after.hide()
        self._show_state()


def _train(snapshots: list[Snapshot], card: ModelCard, name: str, options: TrainOptions, report: Reporter) -> ModelCard:
    run = save_run(snapshots, card, name, options, report)
    from napari_medseg.training import train

    return train(run, report=report)
