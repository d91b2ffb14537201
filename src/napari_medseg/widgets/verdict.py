"""How a fine-tuning ended: one sentence, and what to do about it."""

from __future__ import annotations

import math

from qtpy.QtWidgets import QGridLayout, QWidget

from napari_medseg.core import ModelCard
from napari_medseg.training.verdict import TrainingResult

from .look import button, tighten
from .versions import ASIDE

ALIKE = 0.005
"""Up to this difference neither of two models is better: that much comes from chance."""


def describe_result(result: TrainingResult) -> str:
    """Whether the new model is better, in one sentence with both figures, and one more if Quick would do as well."""
    rival = result.verdict.rival
    return _compare(result) + ("" if math.isnan(rival) else f" Quick reaches {rival:.2f} there, in seconds.")


def _compare(result: TrainingResult) -> str:
    card, verdict = result.card, result.verdict
    name = f"{card.name} v{card.version}"
    old, new = verdict.old, verdict.new
    if verdict.reason and not verdict.is_worse:
        return f"{verdict.reason}. The new model was kept aside as {name}."
    if math.isnan(new):
        return f"{name} is ready. No slice was held out to measure it: look at its result before you trust it."
    if math.isnan(old):
        return f"{name} is ready: {verdict.figure} {new:.2f} on {verdict.on}."
    # A third digit where two would show no difference.
    digits = 3 if f"{old:.2f}" == f"{new:.2f}" and f"{old:.3f}" != f"{new:.3f}" else 2
    figures = f"{verdict.on} ({old:.{digits}f} → {new:.{digits}f})"
    if verdict.is_worse:
        return f"The new model is worse on {figures}: it was kept aside as {name}. Keep the old one and correct more."
    # Sums of binary fractions: 0.935 - 0.93 is a little more than 0.005.
    said = "better" if round(new - old, 6) > ALIKE else "as good as the old model"
    return f"{name} is {said} on {figures}.{verdict.doubt}"


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
