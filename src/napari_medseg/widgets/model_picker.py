"""Choosing a model; follows the library, and says why a model does not fit the image."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QSignalBlocker, Qt
from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QVBoxLayout, QWidget

from napari_medseg.core import Image, MedsegError, ModelCard, lengths_in_words
from napari_medseg.models.start_cards import fresh_start, is_fresh, quick_starts, start_of

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


def describe_card(card: ModelCard) -> str:
    """Modality, classes and pixel size in one line."""
    if is_fresh(card):
        return card.description
    names = "; ".join(c.name for c in card.classes)
    parts = [card.modality, count(len(card.classes), "class") + (f" ({names})" if len(names) <= 40 else "")]
    if card.pixel_size is not None:
        parts.append(f"trained at {lengths_in_words(card.pixel_size)}")
    elif card.range_in_words:
        parts.append(f"learnt from {card.range_in_words}")
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
        self._others: set[str] = set()
        self._swapped: set[str] = set()
        self._image: Image | None = None
        self._chosen = False
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
        self.box.activated.connect(self._on_activated)
        self.box.currentIndexChanged.connect(self._on_index)
        library_events.changed.connect(self.refresh)
        self.refresh()

    def value(self) -> ModelCard | None:
        """The chosen card if it fits the image, else None."""
        card = self.box.currentData()
        return None if card is None or self._reasons.get(start_of(card)) else card

    def set_value(self, reference: ModelCard | str) -> None:
        """Choose a model by card, ``name@version`` or name (its newest version)."""
        self._chosen = True
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

    def set_image(self, image: Image | None) -> None:
        """Tell the picker what is to be segmented or learnt from; None when there is nothing."""
        from .result_layer import channels_of

        self._image = image
        self.set_channels(None if image is None else channels_of(image), 1 if image is None else image.alike)

    def set_channels(self, channels: int | None, alike: int = 1) -> None:
        """Tell the picker what the image is like, as `Image` has it; None when there is no image."""
        self._channels, self._alike = channels, alike
        self.refresh(other_image=True)

    @property
    def reason(self) -> str:
        """Why nothing can be chosen, or ``""``."""
        if self.value() is not None:
            return ""
        card = self.box.currentData()
        return self._reasons.get(start_of(card), "") if card is not None else "The model library is empty."

    @property
    def advice(self) -> str:
        """What to do where nothing can be chosen."""
        card = self.box.currentData()
        if card is not None and start_of(card) in self._swapped:
            return (
                "The model has another order of channels. Join layers in that order, the first lowest; where one file "
                "holds them, save it so."
            )
        return "No model fits this image. Choose another image, or add a model in the Models dock."

    def refresh(self, *, other_image: bool = False) -> None:
        """Read the library again; the choice stays if it is still there and fits."""
        from napari_medseg.inference.suits import why_not, why_swapped

        before = self.box.currentData()
        self._cards = tuple(sorted(read_cards(), key=lambda card: (card.name, -card.version)))
        if self._starts:
            self._cards += quick_starts(self._cards, self._channels)
        self._cards += tuple(fresh_start(start, self._channels) for start in self._offered)
        known, meaning = self._channels, self._image.meaning if self._image is not None else ""
        other = {start_of(card): why_not(known, card, self._alike, meaning) if known else "" for card in self._cards}
        # What is trained further gets the channels of the image, if it is a network.
        fitted = {start_of(card) for card in self._cards if self._starts and card.architecture != "quick"}
        names = self._image.channel_names if self._image is not None else ()
        swapped = {start_of(card): why_swapped(names, card) for card in self._cards}
        self._swapped = {start for start, reason in swapped.items() if reason}
        self._reasons = {s: swapped[s] or ("" if s in fitted else reason) for s, reason in other.items()}
        self._others = {start for start, reason in other.items() if reason}
        self.box.blockSignals(True)
        self.box.clear()
        items = self.box.model()
        for i, card in enumerate(self._cards):
            reason = self._reasons[start_of(card)]
            title = card.title if is_fresh(card) else f"{card.name}  v{card.version}"
            about = reason or (f"takes {card.takes}" if start_of(card) in self._others else "")
            self.box.addItem(f"{title} – {about}" if about else title, card)
            self.box.setItemData(i, reason or card.description, Qt.ItemDataRole.ToolTipRole)
            if reason and isinstance(items, QStandardItemModel):
                item = items.item(i)
                if item is not None:
                    item.setEnabled(False)
        if not self._cards:
            self.box.addItem("no model yet", None)
        if self._starts:
            self.box.addItem(NEW, None)
        self.box.setCurrentIndex(self._best(before, other_image))
        self.box.setEnabled(bool(self._cards) or self._starts)
        self.box.blockSignals(False)
        if self.box.currentData() != before or before is None or self._reasons.get(start_of(before)):
            self._on_chosen()
        else:
            self._summarise()

    def _best(self, before: ModelCard | None, other_image: bool = False) -> int:
        fitting = [i for i, card in enumerate(self._cards) if not self._reasons[start_of(card)]]
        alike = [i for i in fitting if start_of(self._cards[i]) not in self._others]
        # What nobody has chosen gives way to what suits another image better.
        for i in (alike if self._chosen else []) if other_image else fitting:
            if before is not None and start_of(self._cards[i]) == start_of(before):
                return i
        # One that only asks for another order says so, rather than that one for something else is offered.
        asking = [i for i, card in enumerate(self._cards) if start_of(card) in self._swapped]
        return min(asking + alike or fitting or [0], key=self._strangeness)

    def _strangeness(self, i: int) -> int:
        from napari_medseg.inference.suits import strangeness

        return strangeness(self._image, self._cards[i]) if self._image is not None else 0

    def _summarise(self) -> None:
        from napari_medseg.inference.suits import why_other_channels, why_strange

        card: Any = self.box.currentData()
        self._last = card
        text = self.reason if card is not None else ""
        if card is not None and not text:
            strange: list[str] = []
            if self._image is not None and not is_fresh(card):
                strange = [why_strange(self._image, card), why_other_channels(self._image.channel_names, card)]
            text = " · ".join(filter(None, (describe_card(card), *strange)))
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

    def _on_activated(self, *_: object) -> None:
        self._chosen = True

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
