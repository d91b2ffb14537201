"""What of an image is in view, kept where any thread can read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer

from .look import unwrap
from .placing import Box, find_view

if TYPE_CHECKING:
    import napari.viewer

A_MOMENT = 60
"""Milliseconds: zooming and dragging come in bursts."""


class Visible:
    """Follows the view over one image; calling it gives rows and columns of full resolution, or None.

    It is worked out in the main thread whenever the view moved; a call only reads what was found last, so it may come
    from any thread.

    Parameters
    ----------
    viewer, image_layer
        Followed until `close_down`.
    """

    def __init__(self, viewer: napari.viewer.Viewer, image_layer: Any) -> None:
        self._viewer, self._layer = unwrap(viewer), image_layer
        self._box: Box | None = None
        self._soon = QTimer()
        self._soon.setSingleShot(True)
        self._soon.setInterval(A_MOMENT)
        self._soon.timeout.connect(self._look)
        self._connect("connect")
        self._look()

    def __call__(self) -> Box | None:
        return self._box

    def close_down(self) -> None:
        """Stop following."""
        if self._layer is not None:
            self._connect("disconnect")
            self._soon.stop()
            self._layer, self._box = None, None

    def _connect(self, act: str) -> None:
        getattr(self._viewer.scene.camera.events, act)(self._ask)
        getattr(self._viewer.dims.events.ndisplay, act)(self._ask)

    def _ask(self, event: object = None) -> None:
        self._soon.start()

    def _look(self) -> None:
        if self._layer is not None:
            self._box = find_view(self._viewer, self._layer) if self._layer in self._viewer.layers else None
