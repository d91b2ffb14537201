"""The button that says: this slice is right as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QPushButton

from napari_medseg.editing.corrections import corrections_of

from .look import unwrap
from .result_layer import shown_slice

if TYPE_CHECKING:
    import napari.viewer


class AcceptButton(QPushButton):
    """Accepts the shown slice of the active labels layer (or the newest one); a second click takes it back."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.setObjectName("accept")
        self.setMinimumHeight(26)
        self.setToolTip("A slice that needed no correction teaches too, and is not written over any more")
        self._viewer = viewer = unwrap(viewer)
        viewer.dims.events.current_step.connect(self.refresh)
        viewer.layers.selection.events.active.connect(self.refresh)
        self.clicked.connect(self._on_clicked)
        self.refresh()

    def layer(self) -> Any:
        """The labels layer the button acts on, or None."""
        active = self._viewer.layers.selection.active
        if active is not None and active._type_string == "labels":
            return active
        return next((layer for layer in reversed(self._viewer.layers) if layer._type_string == "labels"), None)

    def refresh(self, event: object = None) -> None:
        """Name the slice that a click would accept."""
        layer = self.layer()
        self.setEnabled(layer is not None)
        z = shown_slice(self._viewer, layer)
        accepted = layer is not None and z in corrections_of(layer).accepted
        what = f"slice {z}" if layer is None or layer.data.ndim == 3 else "the image"
        self.setText(f"Accepted: {what} is right (take back)" if accepted else f"Accept {what}: it is right")

    def close_down(self) -> None:
        """Stop listening to the viewer."""
        self._viewer.dims.events.current_step.disconnect(self.refresh)
        self._viewer.layers.selection.events.active.disconnect(self.refresh)

    def _on_clicked(self) -> None:
        layer = self.layer()
        if layer is not None:
            z = shown_slice(self._viewer, layer)
            corrections = corrections_of(layer)
            corrections.accept(z, z not in corrections.accepted)
            self.refresh()
