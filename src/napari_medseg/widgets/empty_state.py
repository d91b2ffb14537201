"""What a dock offers when there is nothing to work on yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from .look import button, note, tighten, unwrap

if TYPE_CHECKING:
    import napari.viewer

PLUGIN = "napari-medseg"


def open_dock(viewer: napari.viewer.Viewer, name: str) -> Any:
    """Show a dock of this plugin and return its widget; None in a viewer without a window."""
    window = getattr(viewer, "window", None)
    if window is None:
        return None
    # As a tab: two of our docks above each other are too low to work in.
    dock, widget = window.add_plugin_dock_widget(PLUGIN, name, tabify=True)
    dock.show()
    dock.raise_()
    return widget


class EmptyState(QWidget):
    """A sentence and the two ways to get an image: the sample, or one's own files."""

    def __init__(self, viewer: napari.viewer.Viewer, text: str) -> None:
        super().__init__()
        self._viewer = viewer = unwrap(viewer)
        self.sample = button("Open sample", "Open the femur CT phantom", "sample")
        self.files = button("Open images…", "Open a folder or files of your own", "open")
        layout = QVBoxLayout(self)
        tighten(layout)
        layout.addWidget(note(text))
        row = QHBoxLayout()
        row.addWidget(self.sample, 1)
        row.addWidget(self.files, 1)
        layout.addLayout(row)
        self.sample.clicked.connect(self._open_sample)
        self.files.clicked.connect(self._open_files)

    def _open_sample(self) -> None:
        self._viewer.open_sample(PLUGIN, "femur-ct")

    def _open_files(self) -> None:
        open_dock(self._viewer, "Open")
