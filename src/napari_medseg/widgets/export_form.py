"""What a model is exported as, and what goes along; appears below the buttons of the Models dock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QComboBox, QLineEdit, QVBoxLayout, QWidget

from napari_medseg.core import ModelCard

from .look import Rows, beside, button, count, note, tighten
from .signals import Signal

Kind = Literal["zip", "folder", "onnx", "bioimageio"]

_KINDS: tuple[tuple[str, Kind, str, str], ...] = (
    ("Zip file", "zip", ".zip", "For other people: the model's folder in one file."),
    ("Folder", "folder", "", "Opens anywhere with segmentation_models_pytorch."),
    ("ONNX file", "onnx", ".onnx", "For other programs; compared with the network before it is kept."),
    ("bioimage.io package", "bioimageio", ".zip", "For bioimage.io and the programs that run its models."),
)


@dataclass(frozen=True)
class ExportOrder:
    """What to write, without where.

    Attributes
    ----------
    suffix
        Of the file; empty for a folder.
    authors
        Of a bioimage.io package.
    licence
        In place of the card's; empty leaves that.
    """

    kind: Kind = "zip"
    suffix: str = ".zip"
    with_memory: bool = False
    authors: tuple[str, ...] = ()
    licence: str = ""


class ExportForm(QWidget):
    """Asks only what the chosen format has room for."""

    chosen = Signal(object)
    """An `ExportOrder`."""
    closed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._card: ModelCard | None = None
        self._remembered = 0
        self.kind = QComboBox()
        self.kind.setObjectName("export_format")
        for title, kind, _, about in _KINDS:
            self.kind.addItem(title, kind)
            self.kind.setItemData(self.kind.count() - 1, about, Qt.ItemDataRole.ToolTipRole)
        self.about = note(name="export_about")
        self.authors = QLineEdit()
        self.authors.setObjectName("authors")
        self.authors.setPlaceholderText("A. Name; B. Name")
        self.authors.setToolTip("Who made the model; several are divided by semicolons")
        self.licence = QLineEdit()
        self.licence.setObjectName("licence_given")
        self.with_memory = QCheckBox()
        self.with_memory.setObjectName("with_memory")
        self.with_memory.setToolTip("They are pictures of your images: give them only to people who may see those")
        self.save = button("Save as…", "Choose where it goes and write it", "export_save")
        self.close_button = button("Close", "Export nothing", "export_close")
        self._rows = Rows({"Format": self.kind, "Authors": self.authors, "Licence": self.licence})
        column = QVBoxLayout(self)
        tighten(column)
        for part in (self._rows, self.about, self.with_memory, beside(self.save, self.close_button)):
            column.addWidget(part)
        self.kind.currentIndexChanged.connect(self._on_kind)
        self.save.clicked.connect(lambda: self.chosen.emit(self.value()))
        self.close_button.clicked.connect(self.closed.emit)
        self.hide()

    def value(self) -> ExportOrder:
        """What is asked for."""
        _title, kind, suffix, _about = _KINDS[self.kind.currentIndex()]
        names = tuple(name.strip() for name in self.authors.text().split(";") if name.strip())
        return ExportOrder(
            kind, suffix, kind != "onnx" and bool(self._remembered) and self.with_memory.isChecked(),
            names if kind == "bioimageio" else (), self.licence.text().strip() if self._asks_licence() else "",
        )  # fmt: skip

    def set_value(self, kind: Kind) -> None:
        """Choose a format."""
        self.kind.setCurrentIndex(self.kind.findData(kind))

    def open_for(self, card: ModelCard, remembered: int) -> None:
        """Ask about this model, which remembers so many slices; they stay here unless they are asked for each time."""
        if self._card is not None and self._card.reference != card.reference:
            self.licence.clear()
        self._card, self._remembered = card, remembered
        self.licence.setPlaceholderText(card.licence or "CC-BY-4.0")
        kept = f"; if empty, it keeps {card.licence}, as what it was trained from" if card.licence else ""
        self.licence.setToolTip(f"What others may do with it: an SPDX identifier, or the licence's own words{kept}")
        self.with_memory.setText(f"With {count(remembered, 'slice')} it learnt from")
        self.with_memory.setChecked(False)
        self._on_kind()
        self.show()

    def _asks_licence(self) -> bool:
        return self._card is not None and self._card.takes_licence

    def _on_kind(self, *_: object) -> None:
        _title, kind, _suffix, about = _KINDS[self.kind.currentIndex()]
        self.about.setText(about)
        self._rows.show_row(self.authors, kind == "bioimageio")
        self._rows.show_row(self.licence, self._asks_licence())
        self.with_memory.setVisible(kind != "onnx" and bool(self._remembered))
