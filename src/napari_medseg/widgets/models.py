"""The Models dock: what models there are, what each is for, and models from and for elsewhere."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QAbstractItemView, QFileDialog, QListWidget, QListWidgetItem

from napari_medseg.core import MedsegError, ModelCard, Progress, Reporter

from .card_view import CardView
from .compare_versions import CompareVersions
from .export_form import ExportForm, ExportOrder
from .import_form import ImportForm
from .job import describe_failure
from .look import Dock, note
from .model_acts import ModelActs
from .model_picker import announce_models, library_events, read_cards
from .run_panel import RunPanel
from .thumbnail import SIDE, model_icon
from .verdict import is_aside

if TYPE_CHECKING:
    import napari.viewer

_ROW = SIDE + 4


class ModelsWidget(Dock):
    """Lists the models that came with the plugin and the user's own; imports, exports and removes them."""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self.models = QListWidget()
        self.models.setObjectName("models")
        self.models.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.models.setIconSize(QSize(SIDE, SIDE))
        self.card = CardView()
        self.compare = CompareVersions(self.viewer)
        self.problems = note(name="problems")
        self.acts = ModelActs()
        self.export = ExportForm()
        self.add = ImportForm()
        self.panel = RunPanel("Import", tip="Check the model and add it to the library; nothing in it is ever run")
        for part in (self.models, self.problems, self.card, self.acts, self.export, self.compare, self.add, self.panel):
            self.column.addWidget(part)
        self.column.addStretch(1)
        self._connect()
        self._on_source()
        self.refresh()

    def close_down(self) -> None:
        self.panel.job.abandon()
        self.compare.clear()
        library_events.changed.disconnect(self.refresh)

    def value(self) -> ModelCard | None:
        """The selected model."""
        item = self.models.currentItem()
        card: ModelCard | None = item.data(Qt.ItemDataRole.UserRole) if item is not None else None
        return card

    def set_value(self, reference: str) -> None:
        """Select ``name@version``."""
        for row in range(self.models.count()):
            item = self.models.item(row)
            if item is not None and item.data(Qt.ItemDataRole.UserRole).reference == reference:
                self.models.setCurrentRow(row)

    def refresh(self) -> None:
        """Read the library again; the selection stays if the model does."""
        from napari_medseg.models.library import check_library

        chosen = self.value()
        self._cards = cards = sorted(read_cards(), key=lambda card: (not _is_shipped(card), card.name, -card.version))
        self.models.blockSignals(True)
        self.models.clear()
        for card in cards:
            kind = "  ·  built in" if _is_shipped(card) else "  ·  kept aside" if is_aside(card) else ""
            item = QListWidgetItem(f"{card.name}  v{card.version}{kind}")
            item.setData(Qt.ItemDataRole.UserRole, card)
            item.setToolTip(card.title or card.name)
            item.setIcon(model_icon(card))
            item.setSizeHint(QSize(0, _ROW))
            self.models.addItem(item)
        self.models.setFixedHeight(_ROW * min(max(len(cards), 2), 6) + 6)
        self.models.setCurrentRow(0 if cards else -1)
        self.models.blockSignals(False)
        if chosen is not None:
            self.set_value(chosen.reference)
        broken = [finding.message for finding in check_library()]
        self.problems.setText("\n".join(f"⚠ {message}" for message in broken[:3]))
        self.problems.setVisible(bool(broken))
        self._on_selected()

    def _connect(self) -> None:
        self.models.currentRowChanged.connect(self._on_selected)
        self.acts.exporting.connect(self._on_export)
        self.export.chosen.connect(self._on_export_chosen)
        self.export.closed.connect(self._close_export)
        self.compare.asked.connect(self._on_compare)
        self.acts.removing.connect(self._on_remove)
        self.acts.renaming.connect(self._on_rename)
        self.add.changed.connect(self._on_source)
        self.panel.clicked.connect(self._on_import)
        self.panel.told.connect(lambda: self.bring_into_view(self.panel))
        self.panel.job.finished.connect(self._on_finished)
        self.panel.job.cancelled.connect(lambda: self.panel.tell("Stopped."))
        library_events.changed.connect(self.refresh)

    def _on_selected(self, *_: object) -> None:
        card = self.value()
        shipped = card is not None and _is_shipped(card)
        self.card.show_card(card)
        versions = [c for c in self._cards if card is not None and c.name == card.name and not _is_shipped(c)]
        self.acts.show_for(card, len(versions), shipped=shipped)
        self.compare.show_for(card, self._cards)
        self._close_export()

    def _on_remove(self, card: ModelCard) -> None:
        from napari_medseg.models import remove_model

        try:
            remove_model(card.reference)
        except MedsegError as error:
            self.panel.refuse(describe_failure(error))
            return
        announce_models()
        self.panel.tell(f"{card.name} v{card.version} removed.")

    def _on_rename(self, card: ModelCard, name: str) -> None:
        from napari_medseg.models import rename_model

        try:
            rename_model(card.name, name)
        except MedsegError as error:
            self.panel.refuse(describe_failure(error))
            return
        announce_models()
        self.set_value(f"{name}@{card.version}")
        self.panel.tell(f"{card.name} is now called {name}.")

    def _on_compare(self) -> None:
        try:
            contest = self.compare.prepare()
        except MedsegError as error:
            self.panel.refuse(describe_failure(error))
            return
        self.panel.start(contest.run, "Compare models", "Segmenting the slice in view…")

    def _on_source(self, *_: object) -> None:
        if problem := self.add.problem:
            self.panel.set_blocked(problem)
        else:
            self.panel.set_ready("Ready to check and add it.")

    def _on_import(self) -> None:
        source, name, network, part = self.add.value()
        work = partial(_import, source, name, network, part)
        self.panel.start(work, f"Import {Path(source).name}", "Checking the model…")

    def _on_export(self) -> None:
        card = self.value()
        if card is not None:
            self.acts.hide()
            self.export.open_for(card, _count_memory(card))
            self.bring_into_view(self.export)

    def _close_export(self) -> None:
        self.export.hide()
        self.acts.show()

    def _on_export_chosen(self, order: ExportOrder) -> None:
        card = self.value()
        if card is None:
            return
        start, kind = f"{card.name}-v{card.version}{order.suffix}", f"*{order.suffix}" if order.suffix else "Folder (*)"
        # Nothing is ever replaced, so there is nothing to ask; the dock says when something is there.
        option = QFileDialog.Option.DontConfirmOverwrite
        chosen, _ = QFileDialog.getSaveFileName(self, "Export model", start, kind, options=option)
        if chosen:
            self.export_to(Path(chosen), order)

    def export_to(self, out: Path, order: ExportOrder) -> None:
        """Export the selected model; a file gets the suffix of its format where it lacks that."""
        card = self.value()
        if card is None:
            return
        if order.suffix and out.suffix.lower() != order.suffix:
            out = out.with_name(out.name + order.suffix)
        self._close_export()
        self.panel.start(partial(_export, card.reference, out, order), f"Export {card.name}", "Writing the model…")

    def _on_finished(self, result: Any) -> None:
        if isinstance(result, tuple):
            self.panel.tell(self.compare.show_result(*result))
            return
        if isinstance(result, Path):
            self.panel.tell(f"Exported to {result}.")
            return
        announce_models()
        self.set_value(result.reference)
        self.add.clear()
        self.panel.tell(f"{result.name} v{result.version} is in the library.")


def _is_shipped(card: ModelCard) -> bool:
    from napari_medseg.models.library import find_model, is_own

    try:
        return not is_own(find_model(card.reference))
    except MedsegError:
        return False


def _import(source: str, name: str, network: str, part: str, report: Reporter) -> ModelCard:
    from napari_medseg.models import import_model

    report(Progress("Checking the model"))
    return import_model(source, name, network=network, part=part)


def _count_memory(card: ModelCard) -> int:
    from napari_medseg.models.library import find_model
    from napari_medseg.training.memory import count_memory

    try:
        return count_memory(find_model(card.reference))
    except MedsegError:
        return 0


def _export(reference: str, out: Path, order: ExportOrder, report: Reporter) -> Path:
    from napari_medseg.models import export_model

    report(Progress("Writing the model"))
    about: dict[str, Any] = {"with_memory": order.with_memory, "authors": order.authors, "licence": order.licence}
    return export_model(reference, out, order.kind, **about)
