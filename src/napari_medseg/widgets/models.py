"""The Models dock: what models there are, what each is for, and models from and for elsewhere."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QFileDialog,
    QFormLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_medseg.core import MedsegError, ModelCard, Progress, Reporter

from .card_view import CardView
from .compare_versions import CompareVersions
from .job import describe_failure
from .look import Dock, button, count, note, tighten
from .model_acts import ModelActs, beside
from .model_picker import announce_models, library_events, read_cards
from .run_panel import RunPanel
from .thumbnail import SIDE, model_icon
from .verdict import is_aside

if TYPE_CHECKING:
    import napari.viewer

_ROW = SIDE + 4
_BARE = (".safetensors", ".pt", ".pth", ".ckpt")
_FILES = "Models (*.zip *.tar *.tar.gz *.tgz *.safetensors *.pt *.pth *.ckpt)"


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
        self.source = QLineEdit()
        self.source.setObjectName("source")
        self.source.setPlaceholderText("folder, zip file, weights or hf:owner/repository")
        self.source.setToolTip(
            "A model's folder (ours or segmentation_models_pytorch's), a zip of it, a bioimage.io package, or weights"
        )
        self.network = QLineEdit()
        self.network.setObjectName("network")
        self.network.setPlaceholderText("unet:resnet18")
        self.network.setToolTip("Bare weights do not say what network they belong to: architecture:encoder")
        self.panel = RunPanel("Import", tip="Check the model and add it to the library; nothing in it is ever run")
        self.with_memory = QCheckBox()
        self.with_memory.setObjectName("with_memory")
        self.with_memory.setToolTip("They are pictures of your images: give them only to people who may see those")
        for part in (self.models, self.problems, self.card, self.with_memory, self.acts, self.compare):
            self.column.addWidget(part)
        self.column.addWidget(self._make_import())
        self.column.addWidget(self.panel)
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

    def _make_import(self) -> QWidget:
        self._folder = button("Folder…", "Choose a model's folder", "choose_folder")
        self._file = button("File…", "Choose a zip file or weights", "choose_file")
        box = QWidget()
        layout = QVBoxLayout(box)
        tighten(layout)
        heading = QLabel("Add a model")
        heading.setProperty("heading", True)
        heading.setContentsMargins(0, 8, 0, 0)
        self._network_row = QWidget()
        form = QFormLayout(self._network_row)
        tighten(form)
        form.addRow("Network", self.network)
        for part in (heading, self.source, beside(self._folder, self._file), self._network_row):
            layout.addWidget(part)
        return box

    def _connect(self) -> None:
        self.models.currentRowChanged.connect(self._on_selected)
        self.acts.exporting.connect(self._on_export)
        self.compare.asked.connect(self._on_compare)
        self.acts.removing.connect(self._on_remove)
        self.acts.renaming.connect(self._on_rename)
        self.source.textChanged.connect(self._on_source)
        self.network.textChanged.connect(self._on_source)
        self._folder.clicked.connect(self._choose_folder)
        self._file.clicked.connect(self._choose_file)
        self.panel.clicked.connect(self._on_import)
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
        remembered = _count_memory(card)
        self.with_memory.setText(f"Export with {count(remembered, 'slice')} it learnt from")
        self.with_memory.setVisible(bool(remembered))
        self.with_memory.setChecked(False)

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
        source = self.source.text().strip()
        bare = source.lower().endswith(_BARE)
        self._network_row.setVisible(bare)
        if not source:
            self.panel.set_blocked("Choose a folder or file to add a model.")
        elif bare and not self.network.text().strip():
            self.panel.set_blocked("Say what network these weights belong to.")
        else:
            self.panel.set_ready("Ready to check and add it.")

    def _choose_folder(self) -> None:
        if chosen := QFileDialog.getExistingDirectory(self, "Folder of a model", self.source.text()):
            self.source.setText(chosen)

    def _choose_file(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Model", self.source.text(), _FILES)
        if chosen:
            self.source.setText(chosen)

    def _on_import(self) -> None:
        source = self.source.text().strip()
        work = partial(_import, source, self.network.text().strip() if source.lower().endswith(_BARE) else "")
        self.panel.start(work, f"Import {Path(source).name}", "Checking the model…")

    def _on_export(self) -> None:
        card = self.value()
        if card is None:
            return
        start = f"{card.name}-v{card.version}.zip"
        chosen, kind = QFileDialog.getSaveFileName(self, "Export model", start, "Zip file (*.zip);;Folder (*)")
        if chosen:
            zipped = kind.startswith("Zip") and not Path(chosen).suffix
            self.export_to(Path(chosen + ".zip" if zipped else chosen))

    def export_to(self, out: Path) -> None:
        """Export the selected model into a new folder, or a zip file where the name ends so."""
        card = self.value()
        if card is not None:
            work = partial(_export, card.reference, out, self.with_memory.isChecked())
            self.panel.start(work, f"Export {card.name}", "Writing the model…")

    def _on_finished(self, result: Any) -> None:
        if isinstance(result, tuple):
            self.panel.tell(self.compare.show_result(*result))
            return
        if isinstance(result, Path):
            self.panel.tell(f"Exported to {result}.")
            return
        announce_models()
        self.set_value(result.reference)
        self.source.clear()
        self.panel.tell(f"{result.name} v{result.version} is in the library.")


def _is_shipped(card: ModelCard) -> bool:
    from napari_medseg.models.library import STARTERS, find_model

    try:
        return find_model(card.reference).is_relative_to(STARTERS)
    except MedsegError:
        return False


def _import(source: str, network: str, report: Reporter) -> ModelCard:
    from napari_medseg.models import import_model

    report(Progress("Checking the model"))
    return import_model(source, network=network)


def _count_memory(card: ModelCard | None) -> int:
    from napari_medseg.models.library import find_model
    from napari_medseg.training.memory import count_memory

    try:
        return count_memory(find_model(card.reference)) if card is not None else 0
    except MedsegError:
        return 0


def _export(reference: str, out: Path, with_memory: bool, report: Reporter) -> Path:
    from napari_medseg.models import export_model

    report(Progress("Writing the model"))
    kind: Literal["zip", "folder"] = "zip" if out.suffix.lower() == ".zip" else "folder"
    return export_model(reference, out, kind, with_memory=with_memory)
