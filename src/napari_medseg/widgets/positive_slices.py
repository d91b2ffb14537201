"""Slices of a result that hold something: a click goes there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QLabel

from napari_medseg._layers import positive_in
from napari_medseg.editing.corrections import Corrections, corrections_of
from napari_medseg.io.findings import find_runs

from .look import theme_colors
from .slice_states import SliceStates, read_states
from .slices import find_axis, go_to_slice

if TYPE_CHECKING:
    import napari.viewer

MOST = 40
"""Runs of slices that are named; more are counted."""

SOON = 250
"""Milliseconds after a change, so that the strokes of a moment are looked at once."""


class PositiveSlices(QLabel):
    """Names runs of slices, ``12-20, 31``, each a link to the likeliest of them; hidden where no model said anything of
    slices."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.setObjectName("positive_slices")
        self.setWordWrap(True)
        self._viewer = viewer
        self._layer: Any = None
        self._followed: Corrections | None = None
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(SOON)
        self._soon.timeout.connect(self.refresh)
        self.linkActivated.connect(self._go_to)
        self.hide()

    def set_layer(self, layer: Any) -> None:
        """Show which slices of a labels layer hold something, also after painting in it; of no layer nothing."""
        if self._followed is not None:
            self._followed.changed.disconnect(self._ask)
        self._layer = layer
        self._followed = None if layer is None else corrections_of(layer)
        if self._followed is not None:
            self._followed.changed.connect(self._ask)
        self.refresh()

    def _ask(self) -> None:
        self._soon.start()

    def refresh(self) -> None:
        """Look at the layer again."""
        self._soon.stop()
        layer = self._layer if self._layer in self._viewer.layers else None
        states = read_states(layer) if layer is not None and layer.ndim == 3 else SliceStates()
        if states.presence:
            self._name(states)
        self.setVisible(bool(states.presence))

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802
        super().changeEvent(event)
        # Links have a colour of their own, which the theme does not reach.
        if event is not None and event.type() == QEvent.Type.StyleChange and not self.isHidden():
            self.refresh()

    def _name(self, states: SliceStates) -> None:
        axis = find_axis(self._viewer, self._layer)
        number = axis.number_of if axis is not None else int
        color = theme_colors(self._viewer)[0]
        positive = positive_in(self._layer)
        links = [
            f'<a style="color: {color}" href="{max(run, key=lambda z: states.presence.get(z, 0.0))}">'
            f"{_words(number(run[0]), number(run[-1]))}</a>"
            for run in find_runs(positive)
        ]
        more = f" and {len(links) - MOST} more" if len(links) > MOST else ""
        of = len(self._layer.data) - len(states.missing)
        named = f": {', '.join(links[:MOST])}{more}" if links else ""
        self.setText(f"Positive slices ({len(positive)} of {of}){named}")
        self.setToolTip(f"Slices of “{self._layer.name}” that hold something; a click shows the likeliest of its run")

    def _go_to(self, link: str) -> None:
        if self._layer in self._viewer.layers:
            go_to_slice(self._viewer, self._layer, int(link))


def _words(first: int, last: int) -> str:
    return str(first) if first == last else f"{min(first, last)}–{max(first, last)}"
