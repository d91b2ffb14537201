"""Cards of models that are not there yet: what a training can start from beside the library."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.util import find_spec

from napari_medseg.core import ClassInfo, ModelCard


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
    from .starts import is_start

    return not card.sha256 and is_start(card.parent)


def fresh_start(start: str, channels: int | None) -> ModelCard:
    """``architecture:encoder`` as a card of a model that is not there yet.

    Raises
    ------
    ModelError
        There is no such architecture or encoder.
    """
    from .starts import start_card

    name = re.sub(r"[^a-z0-9._-]+", "-", start.lower())
    card = start_card(start, name=name, classes=(ClassInfo.numbered(1),), channels=channels or 1)
    how = "with an encoder that knows photos" if card.trained_on else "from random weights"
    return card.model_copy(update={"title": start, "parent": start, "description": f"A new network, {how}"})
