"""A model's card in words: what it is for, what it needs, what it was made from."""

from __future__ import annotations

from html import escape

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_medseg.core import ModelCard

from .look import Rows, note, tighten

_TITLES = ("About", "Classes", "Input", "Network", "Empty slices", "Trained on", "Scores", "Made from", "Licence")


class CardView(QWidget):
    """What a card says, in words."""

    def __init__(self) -> None:
        super().__init__()
        self._words = {title: note(name=title.lower().replace(" ", "_")) for title in _TITLES}
        self._words["Classes"].setTextFormat(Qt.TextFormat.RichText)
        self._rows = Rows(self._words)
        layout = QVBoxLayout(self)
        tighten(layout)
        layout.addWidget(self._rows)

    def show_card(self, card: ModelCard | None) -> None:
        words = _words(card) if card is not None else {}
        for title, label in self._words.items():
            label.setText(words.get(title, ""))
            self._rows.show_row(label, bool(words.get(title)))


def _swatch(color: str, name: str, value: int) -> str:
    return f'<span style="color:{color}">■</span> {escape(name)} ({value})'


def _words(card: ModelCard) -> dict[str, str]:
    from napari_medseg.models.library import ancestry

    scores = card.scores_in_words
    beside = f"with {card.beside_in_words}" if card.neighbours else ""
    taken = (card.modality, card.takes, card.size_in_words, card.normalisation.in_words, beside)
    return {
        "About": card.description or card.title,
        "Classes": "<br>".join(_swatch(c.color, c.name, c.value) for c in card.classes),
        "Input": " · ".join(filter(None, taken)),
        "Network": f"{card.architecture} · {card.encoder}",
        "Empty slices": f"told below a probability of {card.presence:.2g}" if card.presence is not None else "",
        "Trained on": card.trained_on,
        "Scores": "\n".join(f"• {line}" if len(scores) > 1 else line for line in scores),
        "Made from": ancestry(card),
        "Licence": card.licence,
    }
