"""One-click contrast: the windows of an image's file and the usual ones of a CT."""

from __future__ import annotations

from functools import partial
from typing import Any

from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_medseg._layers import set_window, windows_for
from napari_medseg.core import Window

from .look import button, tighten

_MOST = 6


class WindowBar(QWidget):
    """A row of small buttons that set the contrast of one image layer; hidden where none would make sense."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("windows")
        self._layer: Any = None
        self._shown: tuple[Window, ...] = ()
        self.buttons: list[QPushButton] = []
        self._row = QHBoxLayout(self)
        tighten(self._row)
        self._row.setSpacing(3)
        # napari's own style gives buttons more room than five of them have in a dock.
        self.setStyleSheet("QPushButton { padding: 2px 1px; min-width: 10px; }")
        self.hide()

    def set_layer(self, layer: Any) -> None:
        """Act on this image layer; None hides the row."""
        self._layer = layer
        windows = windows_for(layer)[:_MOST] if layer is not None else ()
        if windows != self._shown:
            self._show(windows)
        self.setVisible(bool(windows))

    def _show(self, windows: tuple[Window, ...]) -> None:
        self._shown = windows
        for old in self.buttons:
            self._row.removeWidget(old)
            old.deleteLater()
        self.buttons = []
        for window in windows:
            made = button(window.name, f"Show values from {window.low:g} to {window.high:g}")
            made.clicked.connect(partial(self._set, window))
            self._row.addWidget(made, len(window.name) + 2)
            self.buttons.append(made)

    def _set(self, window: Window, *_: object) -> None:
        if self._layer is not None:
            set_window(self._layer, window)
