"""The button that says: this slice is right as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QPushButton

from .keys import bound_keys, tell, toggle_accepted
from .look import unwrap
from .slices import LabelsInView, name_slice

if TYPE_CHECKING:
    import napari.viewer

_TIP = "A slice that needed no correction teaches too, and is not written over any more"


class AcceptButton(QPushButton):
    """Accepts the shown slice of the active labels layer (or the newest one); a second click takes it back."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.setObjectName("accept")
        self.setMinimumHeight(26)
        self._viewer = unwrap(viewer)
        self._view = LabelsInView(self._viewer, self)
        self._view.changed.connect(self.refresh)
        self._view.moved.connect(self.refresh)
        self.clicked.connect(self._on_clicked)
        self.refresh()

    def layer(self) -> Any:
        """The labels layer the button acts on, or None."""
        return self._view.layer

    def refresh(self, event: object = None) -> None:
        """Name the slice that a click would accept, and the key that does the same."""
        layer, z, corrections = self._view.layer, self._view.seen, self._view.corrections
        self.setEnabled(z is not None)
        key = next((key for key, words in bound_keys(self._viewer).items() if words == "accept"), "")
        self.setToolTip(f"{_TIP}\nKey: {key}" if key else _TIP)
        if z is None or corrections is None:
            self.setText("Accept: no single slice is shown" if layer is not None else "Accept the shown slice")
            return
        what = name_slice(self._viewer, layer, z)
        accepted = z in corrections.accepted
        self.setText(f"Accepted: {what} is right (take back)" if accepted else f"Accept {what}: it is right")

    def close_down(self) -> None:
        """Stop listening to the viewer."""
        self._view.close_down()

    def _on_clicked(self) -> None:
        tell(self._viewer, toggle_accepted(self._viewer))
