"""The demo's result in the real window."""

from __future__ import annotations

from pathlib import Path

import napari
from napari.layers import Layer
from qtpy.QtWidgets import QApplication

from napari_medseg._layers import image_layers, labels_layer_data
from napari_medseg.core import Image, Labels

from .empty_state import open_dock

_SIZE = (1500, 950)


def show_demo(image: Image, labels: Labels, picture: Path, *, interactive: bool) -> None:
    """Open napari with an image, its labels and the Segment dock, and save a screenshot of the window.

    Parameters
    ----------
    image, labels
        What to show.
    picture
        Where the screenshot goes, a PNG.
    interactive
        Whether the window then stays with the user; the function returns when it is closed.
    """
    viewer = napari.Viewer(title="MedSeg demo", show=interactive)
    try:
        for data in (*image_layers(image, name="femur ct"), labels_layer_data(labels)):
            viewer.add_layer(Layer.create(*data))
        viewer.layers[-1].name = "femur ct labels"
        open_dock(viewer, "Segment")
        viewer.window.resize(*_SIZE)
        if image.is_stack:
            viewer.dims.set_current_step(0, len(image) // 2)
        viewer.show()
        viewer.reset_view()
        for _ in range(5):
            QApplication.processEvents()
        viewer.screenshot(str(picture), canvas_only=False, flash=False)
        if interactive:
            napari.run()
    finally:
        if not interactive:
            viewer.close()
