"""How a fine-tuning ended: one sentence, and what to do about it."""

from __future__ import annotations

import math

from qtpy.QtWidgets import QGridLayout, QWidget

from napari_medseg.core import ModelCard, Score
from napari_medseg.training.verdict import Verdict

from .look import button, tighten
from .versions import ASIDE


def describe_result(card: ModelCard) -> str:
    """Whether the new model is better, in one sentence with both figures, and one more if Quick would do as well."""
    quick = next((score for score in card.scores if score.metric == "dice of Quick"), None)
    return _compare(card) + (f" Quick reaches {quick.value:.2f} there, in seconds." if quick is not None else "")


def _compare(card: ModelCard) -> str:
    name = f"{card.name} v{card.version}"
    scores = {score.metric: score for score in card.scores}
    new, old = scores.get("dice"), scores.get("dice of its start")
    knew, knows = scores.get("dice of its start, remembered"), scores.get("dice, remembered")
    verdict = Verdict(_value(old), _value(new), knew=_value(knew), knows=_value(knows))
    if is_aside(card) and not verdict.is_worse:
        return f"{verdict.reason}. The new model was kept aside as {name}."
    if new is None:
        return f"{name} is ready. No slice was held out to measure it: look at its result before you trust it."
    if old is None:
        return f"{name} is ready: Dice {new.value:.2f} on {new.on}."
    # A third digit where two would show no difference.
    digits = 3 if f"{old.value:.2f}" == f"{new.value:.2f}" and old.value != new.value else 2
    figures = f"{new.on} ({old.value:.{digits}f} → {new.value:.{digits}f})"
    if is_aside(card):
        return f"The new model is worse on {figures}: it was kept aside as {name}. Keep the old one and correct more."
    said = "better" if new.value > old.value else "as good as the old model"
    return f"{name} is {said} on {figures}.{verdict.doubt}"


def _value(score: Score | None) -> float:
    return math.nan if score is None else score.value


def is_aside(card: ModelCard) -> bool:
    """Whether a model was worse than its start and kept aside."""
    return card.name.endswith(ASIDE)


class Outcome(QWidget):
    """The buttons below the verdict."""

    def __init__(self) -> None:
        super().__init__()
        self.use = button(
            "Use it and segment again", "Segment the image with the new model; painted pixels stay", "use"
        )
        self.keep = button("Keep old", "Go on with the old model; the new one stays in the library", "keep")
        self.retrain = button(
            "Retrain from the start on everything",
            "Train anew from the model it all began with, on what was painted now and ever before",
            "retrain",
        )
        grid = QGridLayout(self)
        tighten(grid)
        grid.setColumnStretch(0, 2)
        grid.setColumnStretch(1, 1)
        grid.addWidget(self.use, 0, 0)
        grid.addWidget(self.keep, 0, 1)
        grid.addWidget(self.retrain, 1, 0, 1, 2)

    def show_for(self, card: ModelCard, *, can_retrain: bool) -> None:
        """Offer what suits the outcome."""
        self.use.setText("Use it anyway" if is_aside(card) else "Use it and segment again")
        self.retrain.setVisible(can_retrain)
        self.show()
