"""What can be done with the selected model: export it, rename it, remove it; questions are asked in place."""

from __future__ import annotations

from qtpy.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from napari_medseg.core import ModelCard

from .look import beside, button, count, note, tighten
from .signals import Signal

_RENAME = "Give this model another name, all its versions"
_REMOVE = "Delete this version of this model"


class ModelActs(QWidget):
    """A row of buttons, and the question that takes its place where one has to be asked."""

    exporting = Signal()
    removing = Signal(object)
    """A card: this version is to go."""
    renaming = Signal(object, str)
    """A card and the new name of all its versions."""

    def __init__(self) -> None:
        super().__init__()
        self._card: ModelCard | None = None
        self._versions = 0
        self.export = button("Export…", "Save this model for other people and programs", "export")
        self.rename = button("Rename…", _RENAME, "rename")
        self.remove = button("Remove…", _REMOVE, "remove")
        self.question = note(name="question")
        self.new_name = QLineEdit()
        self.new_name.setObjectName("new_name")
        self.new_name.setToolTip("Small letters, digits, '.', '_' and '-'")
        self.confirm = button("Remove", "Delete it; this cannot be undone", "confirm_remove")
        self.confirm_name = button("Rename", "Models that were trained from it know it by its new name", "confirm_name")
        self.keep = button("Keep", "Change nothing", "keep")
        self._act_row = beside(self.export, self.rename, self.remove)
        self._question_row = beside(self.confirm, self.confirm_name, self.keep)
        column = QVBoxLayout(self)
        tighten(column)
        for part in (self._act_row, self.question, self.new_name, self._question_row):
            column.addWidget(part)
        self.export.clicked.connect(self.exporting.emit)
        self.rename.clicked.connect(lambda: self._ask("rename"))
        self.remove.clicked.connect(lambda: self._ask("remove"))
        self.keep.clicked.connect(lambda: self._ask(""))
        self.confirm.clicked.connect(lambda: self.removing.emit(self._card))
        self.confirm_name.clicked.connect(self._on_name)
        self.new_name.returnPressed.connect(self._on_name)
        self.new_name.textChanged.connect(self._on_typed)
        self._ask("")

    def show_for(self, card: ModelCard | None, versions: int, *, shipped: bool) -> None:
        """Take back any question and offer what can be done with this model, of which the user has ``versions``."""
        self._card, self._versions = card, versions
        own = card is not None and not shipped
        self.export.setEnabled(card is not None)
        self.rename.setEnabled(own)
        self.remove.setEnabled(own)
        self.rename.setToolTip("Built-in models cannot be renamed" if shipped else _RENAME)
        self.remove.setToolTip("Built-in models cannot be removed" if shipped else _REMOVE)
        self._ask("")

    def _ask(self, what: str) -> None:
        """Ask before a model is removed or renamed; without ``what``, take the question back."""
        card = self._card
        if card is not None and what == "remove":
            self.question.setText(f"Remove {card.name} v{card.version}? Its files are deleted.")
        elif card is not None and what == "rename":
            self.question.setText(f"New name of {card.name} ({count(self._versions, 'version')}):")
            self.new_name.setText(card.name)
            self.new_name.selectAll()
        self._act_row.setVisible(not what)
        self.question.setVisible(bool(what))
        self._question_row.setVisible(bool(what))
        self.confirm.setVisible(what == "remove")
        for part in (self.new_name, self.confirm_name):
            part.setVisible(what == "rename")
        if what == "rename":
            self.new_name.setFocus()

    def _on_typed(self, text: str) -> None:
        self.confirm_name.setEnabled(self._card is not None and text.strip() not in ("", self._card.name))

    def _on_name(self) -> None:
        if self.confirm_name.isEnabled():
            self.renaming.emit(self._card, self.new_name.text().strip())
