"""What a dock offers when there is nothing to work on yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari.plugins import menu_item_template
from npe2 import PluginManager
from qtpy.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from napari_medseg._layers import image_layers
from napari_medseg.core import Image, Reporter

from .job import Job
from .look import button, note, tighten, unwrap

if TYPE_CHECKING:
    import napari.viewer

    from .run_panel import RunPanel

PLUGIN = "napari-medseg"


def open_dock(viewer: napari.viewer.Viewer, name: str) -> Any:
    """Show a dock of this plugin and return its widget; None in a viewer without a window."""
    window = getattr(viewer, "window", None)
    if window is None:
        return None
    manager = PluginManager.instance()
    [make] = [w.get_callable() for w in manager.iter_widgets() if w.plugin_name == PLUGIN and w.display_name == name]
    widget: Any = next((w for w in window.dock_widgets.values() if type(w) is make), None)
    if widget is None:
        widget = make(viewer)
        # By the name that napari's menu gives it, so that the menu does not open another.
        window.add_dock_widget(widget, name=menu_item_template.format(manager.get_manifest(PLUGIN).display_name, name))
    dock = widget.parent()
    dock.show()
    dock.raise_()
    return widget


class EmptyState(QWidget):
    """A sentence and the two ways to get an image: the sample, or one's own files.

    The sample is drawn in the background; `follow` lets a dock's status line tell of it.
    """

    def __init__(self, viewer: napari.viewer.Viewer, text: str) -> None:
        super().__init__()
        self._viewer = viewer = unwrap(viewer)
        self.job = Job(self)
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
        self.job.finished.connect(self._add)
        for ended in (self.job.finished, self.job.cancelled, self.job.failed):
            ended.connect(lambda: self.sample.setEnabled(True))

    def follow(self, panel: RunPanel, show_state: Callable[..., None]) -> None:
        """Tell of the sample in a dock's status line; afterwards ``show_state`` says what is next."""
        self.job.started.connect(lambda: panel.tell("Drawing the sample…"))
        self.job.progressed.connect(lambda p: panel.tell(f"Drawing the sample: slice {p.done} of {p.total}…"))
        for ended in (self.job.finished, self.job.cancelled, self.job.failed):
            ended.connect(show_state)
        self.job.failed.connect(panel.refuse)

    def _open_sample(self) -> None:
        # Drawing takes seconds, so not by viewer.open_sample, which does it in the main thread.
        if self.job.start(_draw_sample, "Draw the sample"):
            self.sample.setEnabled(False)

    def _add(self, image: Image) -> None:
        from napari_medseg.phantoms.sample import NAME

        for data, kwargs, _ in image_layers(image, name=NAME):
            self._viewer.add_image(data, **kwargs)

    def _open_files(self) -> None:
        open_dock(self._viewer, "Open")


def _draw_sample(report: Reporter) -> Image:
    from napari_medseg.phantoms import built_in_sample

    return built_in_sample(report)[0]
