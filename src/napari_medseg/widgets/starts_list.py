"""Which networks and models to compare: a list to add to and take from."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QVBoxLayout,
    QWidget,
)

from napari_medseg.core import ModelCard
from napari_medseg.models import is_start
from napari_medseg.training.candidates import CompareOptions

from .look import button, note, tighten
from .model_picker import LibraryBox, library_events, quick_starts, read_cards, start_of
from .signals import Signal

_MOST = 6


class StartsList(QWidget):
    """Library models and ``architecture:encoder``; each once, in the order they were added."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        info = CompareOptions.model_fields["starts"]
        heading = QLabel(info.title)
        heading.setProperty("heading", True)
        self.list = QListWidget()
        self.list.setObjectName("starts")
        self.list.setToolTip(info.description or "")
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.entry = LibraryBox()
        self.entry.setObjectName("start")
        self.entry.setEditable(True)
        self.entry.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.entry.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.entry.setMinimumContentsLength(10)
        self.entry.setToolTip(
            "A model of the library, or architecture:encoder; +imagenet behind it downloads trained encoder weights"
        )
        self.add = button("Add", "Compare this one too", "add_start")
        self.remove = button("Remove", "Take the selected ones off the list", "remove_start")
        self.problem = note(name="problem")
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.entry, 1)
        row.addWidget(self.add)
        row.addWidget(self.remove)
        layout = QVBoxLayout(self)
        tighten(layout)
        layout.addWidget(heading)
        layout.addWidget(self.list)
        layout.addLayout(row)
        layout.addWidget(self.problem)
        self.problem.hide()
        self._connect()
        self.refresh()
        self.set_value(info.get_default())

    def _connect(self) -> None:
        self.add.clicked.connect(self._on_add)
        self.remove.clicked.connect(self._on_remove)
        self.list.itemSelectionChanged.connect(self._show_buttons)
        self.entry.editTextChanged.connect(lambda _: self.problem.hide())
        self.entry.opened.connect(self.refresh)
        line = self.entry.lineEdit()
        if line is not None:
            line.returnPressed.connect(self._on_add)
        library_events.changed.connect(self.refresh)

    def value(self) -> tuple[str, ...]:
        """What to start from, as `CompareOptions.starts` has it."""
        items = (self.list.item(i) for i in range(self.list.count()))
        return tuple(item.text() for item in items if item is not None)

    def set_value(self, starts: tuple[str, ...]) -> None:
        """Show these."""
        self.list.clear()
        self.list.addItems([*dict.fromkeys(starts)])
        self._show_list()

    def find_card(self) -> ModelCard | None:
        """The first of the list that is a model of the library."""
        known = {name: card for card in reversed(read_cards()) for name in (card.name, card.reference)}
        return next((known[start] for start in self.value() if start in known), None)

    def refresh(self) -> None:
        """Read the library again; what was typed stays."""
        typed = self.entry.currentText()
        cards = read_cards()
        examples = CompareOptions.model_fields["starts"].examples or ()
        self.entry.blockSignals(True)
        self.entry.clear()
        quick = (start_of(card) for card in quick_starts(cards, None))
        self.entry.addItems([*(card.reference for card in cards), *map(str, examples), *quick])
        self.entry.setEditText(typed or self.entry.itemText(0))
        self.entry.blockSignals(False)

    def _on_add(self) -> None:
        start = self.entry.currentText().strip()
        problem = self._find_problem(start)
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))
        if start and not problem:
            self.list.addItem(start)
            self._show_list()

    def _find_problem(self, start: str) -> str:
        if start in self.value():
            return f"{start} is on the list already."
        names = {name for card in read_cards() for name in (card.name, card.reference)}
        if not start or is_start(start) or start in names or Path(start).expanduser().is_dir():
            return ""
        return f"“{start}” is no model of the library; write architecture:encoder, such as unet:resnet18."

    def _on_remove(self) -> None:
        for item in self.list.selectedItems():
            self.list.takeItem(self.list.row(item))
        self._show_list()

    def _show_list(self) -> None:
        row = max(self.list.sizeHintForRow(0), self.list.fontMetrics().height())
        self.list.setFixedHeight(row * min(max(self.list.count(), 2), _MOST) + 8)
        self._show_buttons()
        self.changed.emit()

    def _show_buttons(self) -> None:
        self.remove.setEnabled(bool(self.list.selectedItems()))
