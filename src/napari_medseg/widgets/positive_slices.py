"""Slices of a result that hold something, as the model says: a click goes there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QLabel

from .look import theme_colors
from .slice_states import SliceStates, read_states
from .slices import find_axis, go_to_slice

if TYPE_CHECKING:
    import napari.viewer

MOST = 40
"""Runs of slices that are named; more are counted."""


class PositiveSlices(QLabel):
    """Names runs of slices, ``12-20, 31``, each a link to the likeliest of them; hidden without anything to name."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.setObjectName("positive_slices")
        self.setWordWrap(True)
        self._viewer = viewer
        self._layer: Any = None
        self.linkActivated.connect(self._go_to)
        self.hide()

    def set_layer(self, layer: Any) -> None:
        """Show what is known of the slices of a labels layer, or of none."""
        self._layer = layer
        states = read_states(layer) if layer is not None and layer.ndim == 3 else SliceStates()
        if states.presence:
            self._name(states)
        self.setVisible(bool(states.presence))

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802
        super().changeEvent(event)
        # Links have a colour of their own, which the theme does not reach.
        if event is not None and event.type() == QEvent.Type.StyleChange and not self.isHidden():
            self.set_layer(self._layer if self._layer in self._viewer.layers else None)

    def _name(self, states: SliceStates) -> None:
        axis = find_axis(self._viewer, self._layer)
        number = axis.number_of if axis is not None else int
        color = theme_colors(self._viewer)[0]
        links = [
            f'<a style="color: {color}" href="{max(run, key=states.presence.__getitem__)}">'
            f"{_words(number(run[0]), number(run[-1]))}</a>"
            for run in find_runs(states.positive)
        ]
        more = f" and {len(links) - MOST} more" if len(links) > MOST else ""
        found = f"{len(states.positive)} of {len(states.presence)} slices hold something, as the model says"
        self.setText(f"{found}: {', '.join(links[:MOST])}{more}" if links else f"{found}.")

    def _go_to(self, link: str) -> None:
        if self._layer in self._viewer.layers:
            go_to_slice(self._viewer, self._layer, int(link))


def find_runs(slices: Sequence[int]) -> list[list[int]]:
    """Neighbouring slices together."""
    runs: list[list[int]] = []
    for z in slices:
        if runs and z == runs[-1][-1] + 1:
            runs[-1].append(z)
        else:
            runs.append([z])
    return runs


def _words(first: int, last: int) -> str:
    return str(first) if first == last else f"{min(first, last)}–{max(first, last)}"
