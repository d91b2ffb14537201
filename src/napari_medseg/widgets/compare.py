"""The Compare dock: several networks and ways to train on the same images in one budget of time, the best is kept."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QFileDialog

from napari_medseg.core import PALETTE, MedsegError, ModelCard, Progress, check_name
from napari_medseg.training.standings import FILE, Comparison

from .contest import Shelf, describe_end, describe_plan, keep_model, train_candidates
from .contest_curves import ContestCurves
from .contest_form import ContestForm
from .empty_state import EmptyState
from .findings_note import FindingsNote
from .fold import Fold
from .job import Failure, describe_failure
from .learnt import hash_slices, remember_learnt
from .look import Dock, note, theme_colors
from .model_picker import announce_models, choose_model
from .pairs_list import ChosenPair
from .run_panel import RunPanel
from .snapshot import take_snapshots
from .standings_table import StandingsTable
from .winner import Winner

if TYPE_CHECKING:
    import napari.viewer


class CompareWidget(Dock):
    """Trains candidates on what the user corrected, accepted, painted or chose in files, and keeps the best."""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self._learning: list[tuple[ChosenPair, list[str]]] = []
        self._colors: dict[str, str] = {}
        self._shelf: Shelf | None = None
        self.result: Comparison | None = None
        # However often they change: drawing is slow where there is no graphics card.
        self._latest: Comparison | None = None
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(200)
        self._soon.timeout.connect(self._show_latest)
        self.empty = EmptyState(self.viewer, "Open an image, segment it, then paint over its mistakes.")
        self.form = ContestForm(self.viewer)
        self.pairs, self.files = self.form.pairs, self.form.files
        self.panel = RunPanel(
            "Compare",
            cancel="Stop",
            tip="Train every candidate on the same slices, with the same ones held out",
            cancel_tip="Stop and keep what there is",
            counted=False,
        )
        self.findings = FindingsNote(most=3)
        self.curves = ContestCurves()
        self.table = StandingsTable()
        self.failures = note(name="problem")
        self.winner = Winner()
        # Folded away while it runs: curves and table then need no scrolling.
        self.what = Fold("What is compared", self.form, "The images and masks, and the ways to train on them")
        self.what.set_open(True)
        results = (self.curves, self.table, self.failures, self.winner)
        for part in (self.what, self.empty, self.panel, self.findings, *results):
            self.column.addWidget(part)
        self._clear()
        self._connect()
        self._recolor()
        self._show_state()

    def close_down(self) -> None:
        self.panel.job.abandon()
        self._soon.stop()
        self.empty.job.abandon()
        self.form.close_down()
        self.curves.close_down()
        self.viewer.events.theme.disconnect(self._recolor)

    def _connect(self) -> None:
        self.form.changed.connect(self._show_state)
        self.form.told.connect(lambda text, bad: self.panel.tell(text, bad=bad))
        self.form.recipe.saving.connect(lambda path: self.form.save_recipe(path, self.table.value()))
        self.empty.follow(self.panel, self._show_anew)
        self.panel.clicked.connect(self._on_run)
        job = self.panel.job
        job.progressed.connect(self._on_progress)
        job.finished.connect(self._on_finished)
        job.cancelled.connect(self._on_cancelled)
        job.failed.connect(self._on_failed)
        self.table.chosen.connect(self._on_chosen)
        self.winner.keep.clicked.connect(self._on_keep)
        self.winner.save.clicked.connect(self._on_save)
        self.viewer.events.theme.connect(self._recolor)

    def _recolor(self, event: object = None) -> None:
        text, background = theme_colors(self.viewer)
        one, other = QColor(text), QColor(background)
        grey = QColor(*((a + b) // 2 for a, b in zip(one.getRgb()[:3], other.getRgb()[:3], strict=True)))
        self.curves.set_colors(text, background, grey.name())
        self.table.set_grey(grey)
        self._show_latest()

    # --- before a run

    def _show_state(self, *_: object) -> None:
        self.empty.setVisible(not any(layer._type_string == "image" for layer in self.viewer.layers))
        chosen = [pair for row in self.pairs.rows if (pair := row.value()) is not None]
        self.findings.set_layers(layer for pair in chosen for layer in (pair.image, pair.labels))
        nothing = not self.pairs.rows and self.files.idle and self.empty.isVisibleTo(self)
        masks = self.form.masks
        masks.setVisible(self.files.value().any or masks.value() != ((), False))
        problem = "" if nothing else self.form.problem
        slices = self.files.describe(sum(len(pair.truth.slices) for pair in chosen))
        blocked, text = nothing or bool(problem), problem
        if not blocked:
            try:
                text = describe_plan(self.form.value(), slices)
            except MedsegError as error:
                blocked, text = True, str(error)
        self.panel.show_state(text, blocked=blocked)

    def _show_anew(self, *_: object) -> None:
        self.panel.forget_state()
        self._show_state()

    # --- a run

    def _on_run(self) -> None:
        if self.panel.job.running:
            return
        pairs = self.pairs.value()
        if self.form.problem:
            self.panel.tell(self.form.problem)
            return
        try:
            snapshots = take_snapshots(pairs)
            options, order = self.form.value(), self.form.order(tuple(snapshots))
        except Exception as error:
            self.panel.refuse(describe_failure(error))
            return
        self._learning = [(pair, hash_slices(pair.labels, pair.truth.slices)) for pair in pairs]
        self._clear()
        self._shelf = Shelf()
        self.what.set_open(False)
        work = partial(train_candidates, order, options, self._shelf)
        self.panel.start(work, "Compare networks", "Preparing the labelled slices…")

    def _clear(self) -> None:
        self.result, self._latest, self._colors, self._shelf = None, None, {}, None
        for part in (self.curves, self.table, self.failures, self.winner):
            part.hide()

    def _on_progress(self, progress: Progress) -> None:
        if progress.so_far is not None:
            self._latest = progress.so_far
            if not self._soon.isActive():
                self._soon.start()

    def _show_latest(self) -> None:
        self._soon.stop()
        if self._latest is not None:
            self._show(self._latest if self.panel.job.running else self._latest.ended)

    def _show(self, standings: Comparison) -> None:
        for i, row in enumerate(standings.rows, len(self._colors)):
            self._colors.setdefault(row.candidate, PALETTE[i % len(PALETTE)])
        self.curves.show_standings(standings, self._colors)
        self.table.show_standings(standings, self._colors)
        self.table.show()
        self.failures.setText("\n".join(standings.failures))
        self.failures.setVisible(bool(standings.failures))

    def _on_finished(self, result: Comparison | ModelCard) -> None:
        if isinstance(result, ModelCard):
            self._on_kept(result)
            return
        self.result = self._latest = result
        self._show_latest()
        self.winner.suggest(result.rows[0])
        self.winner.show()
        self._on_chosen()
        self.panel.tell(describe_end(result))

    def _on_cancelled(self) -> None:
        self._latest = None
        self.curves.hide()
        self.table.hide()
        self.panel.tell("Stopped before a training was done; there is nothing to keep.")

    def _on_failed(self, failure: Failure) -> None:
        self._show_latest()
        self.winner.setEnabled(True)

    # --- afterwards

    def _on_chosen(self) -> None:
        if self.result is not None:
            self.winner.show_for(self.table.value(), self.result)

    def _on_keep(self) -> None:
        row, name = self.table.value(), self.winner.name.text().strip()
        if row is None or self.panel.job.running:
            return
        try:
            check_name(name)
        except MedsegError as error:
            self.panel.tell(str(error), bad=True)
            return
        self.winner.setEnabled(False)
        self.panel.start(partial(keep_model, row, name), f"Keep {name}", "Copying the model…")

    def _on_kept(self, card: ModelCard) -> None:
        self.winner.setEnabled(True)
        for pair, hashes in self._learning:
            remember_learnt(pair.labels, pair.truth.slices, hashes)
        announce_models()
        choose_model(self.viewer, card)
        self.panel.tell(f"{card.name} v{card.version} is in the library, and chosen to segment with and to start from.")

    def _on_save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save report", FILE, "JSON, with the table as CSV (*.json)")
        if path:
            self.save_report(Path(path).with_suffix(".json"))

    def save_report(self, path: Path) -> None:
        """Write the last comparison as JSON, and its table as CSV beside it."""
        if self.result is None:
            return
        try:
            self.result.save(path)
        except MedsegError as error:
            self.panel.tell(str(error), bad=True)
        else:
            self.panel.tell(f"Report saved in {path} and {path.with_suffix('.csv').name}.")
