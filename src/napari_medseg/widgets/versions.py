"""Earlier versions of a model: which there are, and a menu to go back to one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from qtpy.QtWidgets import QMenu, QPushButton

from napari_medseg.core import MedsegError, ModelCard

from .model_picker import read_cards

LAST = 5
ASIDE = "-rejected"
"""End of the name of a model that was worse than its start."""


def last_versions(card: ModelCard, cards: Sequence[ModelCard]) -> list[ModelCard]:
    """The last five versions of a model, newest first, also those kept aside, then the model all of them began with."""
    from napari_medseg.models.library import lineage

    family = [c for c in cards if _family(c) == _family(card)]
    last = sorted(family, key=lambda c: (_made_at(c), c.version), reverse=True)[:LAST]
    root = lineage(card)[0]
    # A start that is no model yet, such as Quick, has nothing to go back to.
    return last if root in last or root not in cards else [*last, root]


def find_start(card: ModelCard) -> str:
    """What the first of a model's ancestors was trained from: ``architecture:encoder``, or itself if it came ready."""
    from napari_medseg.models.library import lineage
    from napari_medseg.models.starts import is_quick_start, is_start

    root = lineage(card)[0]
    return root.parent if is_start(root.parent) or is_quick_start(root.parent) else root.reference


def describe_version(card: ModelCard) -> str:
    """``my-femur v3 · Dice 0.93 · kept aside``."""
    dice = next((score.value for score in card.scores if score.metric == "dice"), None)
    parts = [f"{card.name.removesuffix(ASIDE)} v{card.version}"]
    parts += [f"Dice {dice:.2f}"] if dice is not None else []
    parts += ["kept aside"] if card.name.endswith(ASIDE) else []
    return " · ".join(parts)


class VersionsMenu(QMenu):
    """Pops up under a button with the last versions of the current model; choosing one deletes nothing.

    Parameters
    ----------
    current
        The model that is chosen now.
    choose
        Called with the card of the version to go back to.
    """

    def __init__(
        self, owner: QPushButton, current: Callable[[], ModelCard | None], choose: Callable[[ModelCard], None]
    ) -> None:
        super().__init__(owner)
        self._current, self._choose = current, choose
        self.setToolTipsVisible(True)
        self.aboutToShow.connect(self.fill)
        owner.setMenu(self)

    def fill(self) -> None:
        """Read the library again."""
        self.clear()
        current = self._current()
        cards = read_cards()
        for card in last_versions(current, cards) if current is not None else ():
            action = self.addAction(describe_version(card))
            assert action is not None
            action.setCheckable(True)
            action.setChecked(current is not None and card.reference == current.reference)
            action.setToolTip(card.description or card.title)
            action.triggered.connect(partial(self._on_chosen, card))

    def _on_chosen(self, card: ModelCard, *_: object) -> None:
        self._choose(card)


def _family(card: ModelCard) -> str:
    return card.name.removesuffix(ASIDE)


def _made_at(card: ModelCard) -> float:
    from napari_medseg.models.library import find_model
    from napari_medseg.models.weights import CARD

    try:
        return (Path(find_model(card.reference)) / CARD).stat().st_mtime
    except (MedsegError, OSError):
        return 0.0
