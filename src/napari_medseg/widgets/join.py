"""Layers > Data: the selected image layers as the channels of one image."""

from __future__ import annotations

import napari.viewer
from napari.layers import Layer
from napari.utils.notifications import show_error

from napari_medseg._layers import is_preview, join_layers, leads
from napari_medseg.core import InputError

from .look import unwrap


def join_selected(viewer: napari.viewer.Viewer) -> None:
    """Add a layer that stands for the selected image layers, from the lowest in the list to the highest.

    What keeps them from being channels of one image is told as a notification.
    """
    viewer = unwrap(viewer)
    chosen = [x for x in viewer.layers if x in viewer.layers.selection and x._type_string == "image"]
    chosen = leads(x for x in chosen if not is_preview(x))
    try:
        if len(chosen) < 2:
            hint = "Select them in the list of layers, with Ctrl or Shift."
            raise InputError("Fewer than two images are selected.", hint)
        joined = Layer.create(*join_layers(chosen))
    except InputError as error:
        show_error(str(error))
    else:
        viewer.add_layer(joined)
