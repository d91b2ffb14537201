"""Choosing a model; follows the library, and says why a model does not fit the image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, Qt
from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QVBoxLayout, QWidget

from napari_medseg.core import ModelCard

from .look import button, count, note, tighten
from .signals import Signal


class _Library(QObject):
    """Says to every picker of the process that a model was added, changed or removed."""

    changed = Signal()


library_events = _Library()


def announce_models() -> None:
    """Tell every open picker to read the library again."""
    library_events.changed.emit()


def read_cards() -> tuple[ModelCard, ...]:
    """Cards of all models and versions in the library, newest version of each first."""
    from napari_medseg.models.library import list_models

    return list_models(all_versions=True)


def why_not(channels: int, card: ModelCard) -> str:
    """Why a model cannot take an image of this many channels, or ``""``."""
    from napari_medseg.inference.normalise import why_not as reason

    return reason(channels, card) or ""


def describe_card(card: ModelCard) -> str:
    """Modality, classes and pixel size in one line."""
    names = "; ".join(c.name for c in card.classes)
    parts = [card.modality, count(len(card.classes), "class") + (f" ({names})" if len(names) <= 40 else "")]
    if card.pixel_size is not None:
        parts.append(f"trained at {card.pixel_size:.3g} mm")
    return " · ".join(part for part in parts if part)


class _Box(QComboBox):
    """Reads the library again when opened: a script may have trained a model meanwhile."""

    opened = Signal()

    def showPopup(self) -> None:  # noqa: N802
        self.opened.emit()
        super().showPopup()


class ModelPicker(QWidget):
    """A list of the library's models. Models that do not fit the image stay in the list, disabled, with the reason.

    Parameters
    ----------
    more
        What the button beside the list does, to see and add models; without it there is no button.
    """

    changed = Signal(object)

    def __init__(self, more: Callable[[], None] | None = None) -> None:
        super().__init__()
        self._channels: int | None = None
        self._cards: tuple[ModelCard, ...] = ()
        self._reasons: dict[str, str] = {}
        self.box = _Box()
        self.box.setObjectName("model")
        self.box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.box.setMinimumContentsLength(12)
        self.summary = note()
        layout = QVBoxLayout(self)
        tighten(layout)
        layout.setSpacing(2)
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.box, 1)
        layout.addLayout(row)
        layout.addWidget(self.summary)
        if more is not None:
            self.more = button("…", "See, add and remove models", "models")
            self.more.clicked.connect(more)
            row.addWidget(self.more)
        self.box.opened.connect(self.refresh)
        self.box.currentIndexChanged.connect(self._on_chosen)
        library_events.changed.connect(self.refresh)
        self.refresh()

    def value(self) -> ModelCard | None:
        """The chosen card if it fits the image, else None."""
        card = self.box.currentData()
        return None if card is None or self._reasons.get(card.reference) else card

    def set_value(self, reference: ModelCard | str) -> None:
        """Choose a model by card, ``name@version`` or name (its newest version)."""
        wanted = reference.reference if isinstance(reference, ModelCard) else reference
        for i, card in enumerate(self._cards):
            if wanted in (card.reference, card.name):
                self.box.setCurrentIndex(i)
                return

    def set_channels(self, channels: int | None) -> None:
        """Tell the picker what the image is like; None when there is no image."""
        if channels != self._channels:
            self._channels = channels
            self.refresh()

    @property
    def reason(self) -> str:
        """Why nothing can be chosen, or ``""``."""
        if self.value() is not None:
            return ""
        card = self.box.currentData()
        return self._reasons.get(card.reference, "") if card is not None else "The model library is empty."

    def refresh(self) -> None:
        """Read the library again; the choice stays if it is still there and fits."""
        before = self.box.currentData()
        self._cards = tuple(sorted(read_cards(), key=lambda card: (card.name, -card.version)))
        self._reasons = {}
        for card in self._cards:
            self._reasons[card.reference] = why_not(self._channels, card) if self._channels else ""
        self.box.blockSignals(True)
        self.box.clear()
        items = self.box.model()
        for i, card in enumerate(self._cards):
            reason = self._reasons[card.reference]
            title = f"{card.name}  v{card.version}"
            self.box.addItem(f"{title} – {reason}" if reason else title, card)
            self.box.setItemData(i, reason or card.description, Qt.ItemDataRole.ToolTipRole)
            if reason and isinstance(items, QStandardItemModel):
                item = items.item(i)
                if item is not None:
                    item.setEnabled(False)
        self.box.setCurrentIndex(self._best(before))
        self.box.setEnabled(bool(self._cards))
        if not self._cards:
            self.box.addItem("no model yet", None)
            self.box.setCurrentIndex(0)
        self.box.blockSignals(False)
        if self.box.currentData() != before or before is None or self._reasons.get(before.reference):
            self._on_chosen()
        else:
            self._summarise()

    def _best(self, before: ModelCard | None) -> int:
        fitting = [i for i, card in enumerate(self._cards) if not self._reasons[card.reference]]
        for i in fitting:
            if before is not None and self._cards[i].reference == before.reference:
                return i
        return fitting[0] if fitting else 0 if self._cards else -1

    def _summarise(self) -> None:
        card: Any = self.box.currentData()
        text = "" if card is None else self.reason or describe_card(card)
        self.summary.setText(text)
        self.summary.setVisible(bool(text))

    def _on_chosen(self, *_: object) -> None:
        self._summarise()
        self.changed.emit(self.value())
