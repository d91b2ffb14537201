"""Two versions of a model on the slice in view: both results as outlines, and by how much they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QComboBox, QVBoxLayout, QWidget

from napari_medseg._layers import METADATA, class_colormap, class_features, image_from_layer, lead_of
from napari_medseg.core import ClassInfo, Image, InputError, ModelCard, Reporter
from napari_medseg.core.card import PALETTE

from .look import button, count, tighten
from .placing import place_part
from .result_layer import find_result, is_image, shown_slice
from .signals import Signal
from .truth import copy_truth, find_truth

if TYPE_CHECKING:
    import napari.viewer

    from napari_medseg.inference.versus import Versus

_COLORS = {"light blue": PALETTE[1], "orange": PALETTE[0], "purple": PALETTE[11]}
"""Of the palette, what is seen on black and on white."""


@dataclass(frozen=True)
class Contest:
    """What a click on Compare asks for, copied from the window.

    Attributes
    ----------
    truth, unlabelled
        What is right in the slice, and the value in it that does not count; None where nothing is known.
    """

    cards: tuple[ModelCard, ModelCard]
    image_layer: Any
    image: Image
    z: int
    truth: Any = None
    unlabelled: int | None = None

    def run(self, report: Reporter) -> tuple[Contest, Versus]:
        from napari_medseg.inference.versus import compare_on_slice

        one, two = (card.reference for card in self.cards)
        found = compare_on_slice(self.image, (one, two), self.z, self.truth, unlabelled=self.unlabelled, report=report)
        return self, found


class CompareVersions(QWidget):
    """Chooses what the selected model is compared with; shows the outlines."""

    asked = Signal()

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._card: ModelCard | None = None
        self._layers: list[Any] = []
        self.other = QComboBox()
        self.other.setObjectName("other")
        self.other.setToolTip("Another version of this model, or the model it was trained from")
        self.run = button("Compare on this slice", "Outline what both make of the slice in view", "compare")
        column = QVBoxLayout(self)
        tighten(column)
        column.addWidget(self.other)
        column.addWidget(self.run)
        self.run.clicked.connect(self.asked.emit)

    def show_for(self, card: ModelCard | None, cards: Sequence[ModelCard]) -> None:
        """Offer the versions and ancestors of a model, the one it was trained from first."""
        self._card = card
        self.other.clear()
        for rival in find_rivals(card, cards) if card is not None else ():
            self.other.addItem(f"with {rival.name} v{rival.version}", rival)
        self.setVisible(self.other.count() > 0)

    def prepare(self) -> Contest:
        """Copy what is in view.

        Raises
        ------
        InputError
            There is no image, or it is a slide.
        """
        layer = self._find_image()
        image = image_from_layer(layer)
        if image.levels:
            raise InputError(f"{layer.name} is a slide.", "Lift a part of it with Correct here and compare on that.")
        z = shown_slice(self._viewer, layer)
        truth, unlabelled = self._find_truth(layer, z)
        assert self._card is not None
        return Contest((self._card, self.other.currentData()), layer, image, z, truth, unlabelled)

    def show_result(self, contest: Contest, found: Versus) -> str:
        """Draw both results; a sentence that tells how they differ."""
        self.clear()
        color = _color_beside(contest.cards[0].classes)
        if contest.image_layer in self._viewer.layers:
            active = self._viewer.layers.selection.active
            for card, plane, only in zip(contest.cards, found.labels, (None, _COLORS[color]), strict=True):
                self._draw(contest, card, plane, only)
            self._viewer.layers.selection.active = active  # the user goes on painting there
        one, two = (f"{card.name} v{card.version}" for card in contest.cards)
        share = found.differing / found.labels[0].size
        said = f"{count(found.differing, 'pixel')} ({share:.1%}) differ between {one} and {two} ({color})."
        if None not in found.dice:
            said += f" Dice on what is right here: {found.dice[0]:.3f} against {found.dice[1]:.3f}."
        return said

    def clear(self) -> None:
        """Take the outlines away."""
        layers, self._layers = self._layers, []
        for layer in layers:
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)

    def _draw(self, contest: Contest, card: ModelCard, plane: Any, color: str | None) -> None:
        """Outline the classes in their own colours, or all in one."""
        classes: tuple[ClassInfo, ...] = card.classes
        if color is not None:
            classes = tuple(c.model_copy(update={"color": color}) for c in classes)
        stack = contest.image.is_stack
        start = (contest.z, 0, 0) if stack else (0, 0)
        layer = self._viewer.add_labels(
            np.asarray(plane)[np.newaxis] if stack else np.asarray(plane),
            name=f"{card.name} v{card.version} on slice {contest.z}" if stack else f"{card.name} v{card.version}",
            metadata={METADATA: {"preview": True}},
            colormap=class_colormap(classes),
            features=class_features(classes),
            opacity=1.0,
            **place_part(contest.image_layer, start),
        )
        layer.contour = 2 if color is None else 1
        layer.editable = False
        self._layers.append(layer)

    def _find_image(self) -> Any:
        images = [layer for layer in self._viewer.layers if is_image(layer)]
        shown = [layer for layer in images if layer.visible]
        active = self._viewer.layers.selection.active
        if active in images:
            return lead_of(active, self._viewer.layers)
        if not shown:
            raise InputError("There is no image to compare on.", "Open an image first.")
        return lead_of(shown[-1], self._viewer.layers)

    def _find_truth(self, image_layer: Any, z: int) -> tuple[Any, int | None]:
        """What the user painted or accepted in this slice, and the value in it that does not count."""
        labels = find_result(self._viewer, image_layer)
        if labels is None or labels.data.shape != tuple(image_from_layer(image_layer).shape):
            return None, None
        truth = find_truth(labels)
        here = replace(
            truth,
            corrected=tuple(n for n in truth.corrected if n == z),
            accepted=tuple(n for n in truth.accepted if n == z),
        )
        if not here.slices:
            return None, None
        planes, unlabelled = copy_truth(labels, here)
        return planes[0], unlabelled


def _color_beside(classes: Sequence[ClassInfo]) -> str:
    """The name of the colour in which the second model's outlines differ most from those of the first."""

    def distance(name: str, one: ClassInfo) -> int:
        pair = (bytes.fromhex(color[1:]) for color in (_COLORS[name], one.color))
        return sum((a - b) ** 2 for a, b in zip(*pair, strict=True))

    return max(_COLORS, key=lambda name: min((distance(name, one) for one in classes), default=0))


def find_rivals(card: ModelCard, cards: Sequence[ModelCard]) -> list[ModelCard]:
    """What a model may be compared with: its ancestors, nearest first, then its other versions, newest first."""
    from napari_medseg.models.library import lineage

    known = {c.reference: c for c in cards}
    line = [c for c in reversed(lineage(card)[:-1]) if c.reference in known]
    others = sorted((c for c in cards if c.name == card.name), key=lambda c: -c.version)
    found = {c.reference: c for c in (*line, *others) if c.reference != card.reference}
    return [*found.values()]
