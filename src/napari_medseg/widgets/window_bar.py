"""One-click contrast: the windows of an image's file and the usual ones of a CT."""

from __future__ import annotations

from functools import partial
from typing import Any

from qtpy.QtWidgets import QGridLayout, QPushButton, QWidget

from napari_medseg._layers import set_window, windows_for
from napari_medseg.core import Window

from .look import button, tighten

_MOST = 6
_COLUMNS = 3  # as many names as can be read in the narrowest dock
_LONGEST = 12  # letters of a file's own name; the tip has all of it


class WindowBar(QWidget):
    """A few small buttons that set the contrast of one image layer; hidden where none would make sense."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("windows")
        self._layer: Any = None
        self._shown: tuple[Window, ...] = ()
        self.buttons: list[QPushButton] = []
        self._grid = QGridLayout(self)
        tighten(self._grid)
        self._grid.setSpacing(3)
        # napari's own style gives buttons more room than three of them have in a dock.
        self.setStyleSheet("QPushButton { padding: 2px 1px; min-width: 10px; }")
        self.hide()

    def set_layer(self, layer: Any) -> None:
        """Act on this image layer; None hides the buttons."""
        self._layer = layer
        windows = windows_for(layer)[:_MOST] if layer is not None else ()
        if windows != self._shown:
            self._show(windows)
        self.setVisible(bool(windows))

    def _show(self, windows: tuple[Window, ...]) -> None:
        self._shown = windows
        for old in self.buttons:
            self._grid.removeWidget(old)
            old.hide()
            old.deleteLater()
        self.buttons = []
        for place, window in enumerate(windows):
            name = window.name if len(window.name) <= _LONGEST else f"{window.name[: _LONGEST - 1]}…"
            made = button(name, f"{window.name}: show values from {window.low:g} to {window.high:g}")
            made.clicked.connect(partial(self._set, window))
            self._grid.addWidget(made, *divmod(place, _COLUMNS))
            self.buttons.append(made)
        for column in range(_COLUMNS):
            self._grid.setColumnStretch(column, int(column < len(windows)))

    def _set(self, window: Window, *_: object) -> None:
        if self._layer is not None:
            set_window(self._layer, window)
