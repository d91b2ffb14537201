"""A folder to type or to choose."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QWidget

from .look import button, tighten
from .signals import Signal


class FolderField(QWidget):
    """A line for the path, and a button that opens the dialog; empty for none."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.path = QLineEdit()
        self.path.setPlaceholderText("none")
        self.browse = button("…", "Choose a folder")
        self.browse.setFixedWidth(32)
        row = QHBoxLayout(self)
        tighten(row)
        row.addWidget(self.path, 1)
        row.addWidget(self.browse)
        self.path.textChanged.connect(self.changed)
        self.browse.clicked.connect(self._choose)

    def value(self) -> Path | None:
        text = self.path.text().strip()
        return Path(text) if text else None

    def set_value(self, path: Path | None) -> None:
        self.path.setText("" if path is None else str(path))

    def _choose(self) -> None:
        if chosen := QFileDialog.getExistingDirectory(self, "Folder", self.path.text()):
            self.set_value(Path(chosen))
