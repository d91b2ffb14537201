"""Choosing a model; follows the library, and says why a model does not fit the image."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QSignalBlocker, Qt
from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QVBoxLayout, QWidget

from napari_medseg.core import ClassInfo, MedsegError, ModelCard, lengths_in_words

from .look import button, count, note, tighten
from .signals import Signal
from .start_entry import LibraryBox, StartEntry, example_networks, why_no_start

if TYPE_CHECKING:
    import napari.viewer


NEW = "New network…"


class _Library(QObject):
    """Says to every picker of the process that a model was added, changed or removed."""

    changed = Signal()


library_events = _Library()


def announce_models() -> None:
    """Tell every open picker to read the library again."""
    library_events.changed.emit()


def choose_model(viewer: napari.viewer.Viewer, card: ModelCard) -> None:
    """Choose a model in every dock of the window that has a picker and no work under way."""
    window = getattr(viewer, "window", None)
    for dock in (window.dock_widgets if window is not None else {}).values():
        picker = getattr(dock, "model", None)
        if isinstance(picker, ModelPicker) and not dock.panel.job.running:
            picker.set_value(card)


def read_cards() -> tuple[ModelCard, ...]:
    """Cards of all models and versions in the library, newest version of each first."""
    from napari_medseg.models.library import list_models

    return list_models(all_versions=True)


def quick_starts(cards: Sequence[ModelCard], channels: int | None) -> tuple[ModelCard, ...]:
    """Quick models that can be fitted, as cards of models that are not there yet: `start_of` tells them apart.

    One from filters alone, and one with the features of each network in ``cards`` in its newest version.
    """
    if find_spec("catboost") is None:
        return ()
    own = ModelCard(
        name="quick", title="Quick (in seconds)", architecture="quick", encoder="catboost", parent="quick",
        channels=channels or 1, classes=(ClassInfo.numbered(1),),
        description="Fits filters and decision trees to what is painted, without any model",
    )  # fmt: skip
    newest = {c.name: c for c in sorted(cards, key=lambda c: c.version) if c.architecture != "quick"}
    others = [
        card.model_copy(update={
            "name": "quick", "version": 1, "title": f"Quick with {card.name}", "architecture": "quick", "sha256": "",
            "parent": f"quick:{card.name}",
            "description": f"Fits decision trees to what is painted, on filters and what {card.name} sees",
        })
        for card in newest.values()
    ]  # fmt: skip
    return (own, *others)


def start_of(card: ModelCard) -> str:
    """What `TrainingRun.start` is for a chosen card."""
    return card.parent if is_fresh(card) else card.reference


def name_start(card: ModelCard) -> str:
    """A chosen card in a sentence: ``femur-ct v1``."""
    return card.title if is_fresh(card) else f"{card.name} v{card.version}"


def is_fresh(card: ModelCard) -> bool:
    """Whether a card is of a model that is not there yet, and its parent what it would start from."""
    from napari_medseg.models.starts import is_start

    return not card.sha256 and is_start(card.parent)


def fresh_start(start: str, channels: int | None) -> ModelCard:
    """``architecture:encoder`` as a card of a model that is not there yet.

    Raises
    ------
    ModelError
        There is no such architecture or encoder.
    """
    from napari_medseg.models import start_card

    name = re.sub(r"[^a-z0-9._-]+", "-", start.lower())
    card = start_card(start, name=name, classes=(ClassInfo.numbered(1),), channels=channels or 1)
    how = "with an encoder that knows photos" if card.trained_on else "from random weights"
    return card.model_copy(update={"title": start, "parent": start, "description": f"A new network, {how}"})


def describe_card(card: ModelCard) -> str:
    """Modality, classes and pixel size in one line."""
    if is_fresh(card):
        return card.description
    names = "; ".join(c.name for c in card.classes)
    parts = [card.modality, count(len(card.classes), "class") + (f" ({names})" if len(names) <= 40 else "")]
    if card.pixel_size is not None:
        parts.append(f"trained at {lengths_in_words(card.pixel_size)}")
    return " · ".join(part for part in parts if part)


class ModelPicker(QWidget):
    """A list of the library's models. Models that do not fit the image stay in the list, disabled, with the reason.

    Parameters
    ----------
    more
        What the button beside the list does, to see and add models; without it there is no button.
    starts
        Whether what can only be started from is in the list, too: Quick models yet to be fitted, and new networks, for
        which the last entry opens a field.
    """

    changed = Signal(object)

    def __init__(self, more: Callable[[], None] | None = None, *, starts: bool = False) -> None:
        super().__init__()
        self._starts = starts
        self._channels: int | None = None
        self._alike = 1
        self._offered: list[str] = []
        self._cards: tuple[ModelCard, ...] = ()
        self._reasons: dict[str, str] = {}
        self._last: ModelCard | None = None
        choices = example_networks if starts else list
        self.new = StartEntry("Use", "Start from this one", "use_start", choices, self._take)
        self.new.hide()
        self.box = LibraryBox()
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
        layout.addWidget(self.new)
        layout.addWidget(self.summary)
        if more is not None:
            self.more = button("…", "See, add and remove models", "models")
            self.more.clicked.connect(more)
            row.addWidget(self.more)
        self.box.opened.connect(self.refresh)
        self.box.currentIndexChanged.connect(self._on_index)
        library_events.changed.connect(self.refresh)
        self.refresh()

    def value(self) -> ModelCard | None:
        """The chosen card if it fits the image, else None."""
        card = self.box.currentData()
        return None if card is None or self._reasons.get(start_of(card)) else card

    def set_value(self, reference: ModelCard | str) -> None:
        """Choose a model by card, ``name@version`` or name (its newest version)."""
        wanted = start_of(reference) if isinstance(reference, ModelCard) else reference
        for i, card in enumerate(self._cards):
            if wanted == start_of(card) or (wanted == card.name and not is_fresh(card)):
                self.box.setCurrentIndex(i)
                return

    def offer(self, start: str) -> None:
        """Choose what a recipe starts from; a new network is in the list from now on.

        A start that is neither such nor in the library leaves the choice.

        Raises
        ------
        ModelError
            There is no such architecture or encoder.
        """
        from napari_medseg.models.starts import is_quick_start, is_start

        base = start.partition("+")[0]
        if is_start(base) and not is_quick_start(base) and start not in self._offered:
            fresh_start(start, self._channels)
            self._offered.append(start)
            self.refresh()
        self.set_value(start)

    def set_channels(self, channels: int | None, alike: int = 1) -> None:
        """Tell the picker what the image is like, as `Image` has it; None when there is no image."""
        if (channels, alike) != (self._channels, self._alike):
            self._channels, self._alike = channels, alike
            self.refresh()

    @property
    def reason(self) -> str:
        """Why nothing can be chosen, or ``""``."""
        if self.value() is not None:
            return ""
        card = self.box.currentData()
        return self._reasons.get(start_of(card), "") if card is not None else "The model library is empty."

    def refresh(self) -> None:
        """Read the library again; the choice stays if it is still there and fits."""
        from napari_medseg.inference.normalise import why_not

        before = self.box.currentData()
        self._cards = tuple(sorted(read_cards(), key=lambda card: (card.name, -card.version)))
        if self._starts:
            self._cards += quick_starts(self._cards, self._channels)
        self._cards += tuple(fresh_start(start, self._channels) for start in self._offered)
        self._reasons = {}
        for card in self._cards:
            self._reasons[start_of(card)] = why_not(self._channels, card, self._alike) if self._channels else ""
        self.box.blockSignals(True)
        self.box.clear()
        items = self.box.model()
        for i, card in enumerate(self._cards):
            reason = self._reasons[start_of(card)]
            title = card.title if is_fresh(card) else f"{card.name}  v{card.version}"
            self.box.addItem(f"{title} – {reason}" if reason else title, card)
            self.box.setItemData(i, reason or card.description, Qt.ItemDataRole.ToolTipRole)
            if reason and isinstance(items, QStandardItemModel):
                item = items.item(i)
                if item is not None:
                    item.setEnabled(False)
        if not self._cards:
            self.box.addItem("no model yet", None)
        if self._starts:
            self.box.addItem(NEW, None)
        self.box.setCurrentIndex(self._best(before))
        self.box.setEnabled(bool(self._cards) or self._starts)
        self.box.blockSignals(False)
        if self.box.currentData() != before or before is None or self._reasons.get(start_of(before)):
            self._on_chosen()
        else:
            self._summarise()

    def _best(self, before: ModelCard | None) -> int:
        fitting = [i for i, card in enumerate(self._cards) if not self._reasons[start_of(card)]]
        for i in fitting:
            if before is not None and start_of(self._cards[i]) == start_of(before):
                return i
        return fitting[0] if fitting else 0

    def _summarise(self) -> None:
        card: Any = self.box.currentData()
        self._last = card
        text = "" if card is None else self.reason or describe_card(card)
        self.summary.setText(text)
        self.summary.setVisible(bool(text))

    def _take(self, start: str) -> str:
        """Choose what was written into the field; why it cannot be chosen, or ``""``."""
        problem = why_no_start(start, {name for card in self._cards for name in (card.name, card.reference)})
        if not problem:
            try:
                self.offer(start)
            except MedsegError as error:
                problem = str(error)
        if not problem:
            self.new.hide()
            self._summarise()
        return problem

    def _on_index(self, *_: object) -> None:
        asked = self.box.currentText() == NEW
        self.new.setVisible(asked)
        if asked:
            with QSignalBlocker(self.box):  # what was chosen is so until another is written
                self.box.setCurrentIndex(self._best(self._last))
            self.summary.hide()
            self.new.box.setFocus()
        else:
            self._on_chosen()

    def _on_chosen(self) -> None:
        self._summarise()
        self.changed.emit(self.value())
