"""The bar on top of a dock: painting that can be restored, and what keeps painting from being safe."""

from __future__ import annotations

import time
from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_medseg.editing.unsaved import KEPT_DAYS

from .look import GAP, button, count, note
from .offers import Offer
from .session import Session


class UnsavedBar(QWidget):
    """Offers one unsaved painting after the other, the newest first; hidden while there is nothing to say."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.setObjectName("unsaved")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)  # a mark of its own, see `look`
        self._session = session
        self._undo: Callable[[], None] | None = None
        self._discarded = ""
        self.problem = note(name="problem")
        self.text = note(name="offer")
        self.restore = button("Restore", "Put the painting back; what was painted since then stays", "restore")
        self.later = button("Later", "Ask again when the image is opened the next time", "later")
        self.discard = button("Discard", "Do not offer it again; kept for 30 days", "discard")
        self.undo = button("Undo", "Take the discarding back", "undo_discard")
        self.keep = button("Keep", "Ask again in 30 days", "keep_old")
        self.remove = button("Delete", "Delete the painting for ever", "delete_old")
        self._buttons = (self.restore, self.later, self.discard, self.undo, self.keep, self.remove)
        row = QHBoxLayout()
        row.setSpacing(GAP)
        for part in self._buttons:
            row.addWidget(part, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 10, 8)
        layout.setSpacing(GAP)
        for line in (self.problem, self.text):
            layout.addWidget(line)
        layout.addLayout(row)
        self.restore.clicked.connect(self._on_restore)
        self.later.clicked.connect(self._on_later)
        self.discard.clicked.connect(self._on_discard)
        self.undo.clicked.connect(self._on_undo)
        self.keep.clicked.connect(session.offers.keep_old)
        self.remove.clicked.connect(session.offers.remove_old)
        session.changed.connect(self.refresh)
        session.offers.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Say what there is to say now."""
        offers = self._session.offers
        problem = self._session.problem or offers.problem
        text, shown = "", tuple[QPushButton, ...]()
        if offers.pending:
            more = len(offers.pending) - 1
            text = describe(offers.pending[0]) + (f" {count(more, 'more painting')} after this." if more else "")
            shown = (self.restore, self.later, self.discard)
        elif self._undo is not None:
            text, shown = self._discarded, (self.undo,)
        elif offers.old:
            size = sum(path.stat().st_size for path in offers.old if path.exists()) / 1e6
            text = (
                f"{count(len(offers.old), 'unsaved painting')} of images that were not opened for {KEPT_DAYS} days "
                f"({size:.1f} MB). Open the image to restore one."
            )
            shown = (self.keep, self.remove)
        self._show(problem, text, shown)

    def close_down(self) -> None:
        """Stop listening to the session."""
        self._session.changed.disconnect(self.refresh)
        self._session.offers.changed.disconnect(self.refresh)

    def _show(self, problem: str, text: str, shown: tuple[QPushButton, ...]) -> None:
        for line, words in ((self.problem, problem), (self.text, text)):
            line.setText(words)
            line.setVisible(bool(words))
        for part in self._buttons:
            part.setVisible(part in shown)
        self.setVisible(bool(problem or text))

    def _offer(self) -> Offer | None:
        return next(iter(self._session.offers.pending), None)

    def _on_restore(self) -> None:
        if (offer := self._offer()) is not None:
            self._session.offers.restore(offer)

    def _on_later(self) -> None:
        if (offer := self._offer()) is not None:
            self._session.offers.later(offer)

    def _on_discard(self) -> None:
        if (offer := self._offer()) is not None:
            self._discarded = f"The painting in “{offer.unsaved.about['name']}” was discarded."
            self._undo = self._session.offers.discard(offer)
            self.refresh()

    def _on_undo(self) -> None:
        undo, self._undo = self._undo, None
        if undo is not None:
            undo()


def describe(offer: Offer) -> str:
    """``Painting of 14:02 in “femur-ct labels” was not saved (6 slices).``"""
    unsaved = offer.unsaved
    then, now = time.localtime(unsaved.changed_at), time.localtime()
    when = time.strftime("%H:%M" if then[:3] == now[:3] else "%d %b %Y, %H:%M", then)
    what = count(len(unsaved.slices), "slice") if len(unsaved.shape) == 3 else "1 image"
    return f"Painting of {when} in “{unsaved.about['name']}” was not saved ({what})."
