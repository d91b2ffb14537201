"""Layers > Data: selected image layers as the channels of one image."""

from __future__ import annotations

from typing import Any

import napari.viewer
from napari.utils.notifications import show_error

from napari_medseg._layers import image_from_layer, join_layers
from napari_medseg.core import InputError


def join_selected(viewer: napari.viewer.Viewer) -> Any:
    """Add a layer that stands for all selected image layers; what keeps them apart is told as a notification.

    Returns
    -------
    Layer or None
        The new layer; None where they are no channels of one image.
    """
