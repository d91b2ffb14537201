"""Which networks and models to compare: a list to add to and take from."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import (
    QAbstractItemView,
    QLabel,
    QListWidget,
    QVBoxLayout,
    QWidget,
)

from napari_medseg.core import ModelCard
from napari_medseg.models.start_cards import quick_starts, start_of
from napari_medseg.training.candidates import CompareOptions

from .look import button, tighten
from .model_picker import library_events, read_cards
from .signals import Signal
from .start_entry import StartEntry, example_networks, why_no_start

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
        self.field = StartEntry("Add", "Compare this one too", "add_start", self._find_choices, self._add)
        self.entry, self.add, self.problem = self.field.box, self.field.button, self.field.problem
        self.remove = button("Remove", "Take the selected ones off the list", "remove_start")
        self.field.row.addWidget(self.remove)
        layout = QVBoxLayout(self)
        tighten(layout)
        layout.addWidget(heading)
        layout.addWidget(self.list)
        layout.addWidget(self.field)
        self._connect()
        self.set_value(info.get_default())

    def _connect(self) -> None:
        self.remove.clicked.connect(self._on_remove)
        self.list.itemSelectionChanged.connect(self._show_buttons)
        library_events.changed.connect(self.field.refresh)

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

    def _find_choices(self) -> list[str]:
        cards = read_cards()
        quick = (start_of(card) for card in quick_starts(cards, None))
        return [*(card.reference for card in cards), *example_networks(), *quick]

    def _add(self, start: str) -> str:
        """Add to the list; why it cannot be added, or ``""``."""
        if start in self.value():
            return f"{start} is on the list already."
        names = {name for card in read_cards() for name in (card.name, card.reference)}
        if not Path(start).expanduser().is_dir() and (problem := why_no_start(start, names)):
            return problem
        self.list.addItem(start)
        self._show_list()
        return ""

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
