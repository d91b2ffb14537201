"""How a fine-tuning ended, in one sentence."""

from __future__ import annotations

from napari_medseg.core import ModelCard


def describe_result(card: ModelCard) -> str:
    """Whether the new model is better, in one sentence with both figures."""
    name = f"{card.name} v{card.version}"
    scores = {score.metric: score for score in card.scores}
    new, old = scores.get("dice"), scores.get("dice of its start")
    if new is None:
        return f"{name} is ready. No slice was held out to measure it: look at its result before you trust it."
    where = "1 held-out slice" if new.on.startswith("1 ") else new.on
    if old is None:
        return f"{name} is ready: Dice {new.value:.2f} on {where}."
    # A third digit where two would show no difference.
    digits = 3 if f"{old.value:.2f}" == f"{new.value:.2f}" and old.value != new.value else 2
    figures = f"{where} ({old.value:.{digits}f} → {new.value:.{digits}f})"
    if card.name.endswith("-rejected"):
        return f"The new model is worse on {figures}; it was kept aside as {name}."
    if new.value > old.value:
        return f"{name} is better on {figures}."
    return f"{name} is as good as the old model on {figures}."
