"""napari layers to `Image` and `Labels` and back, by attribute: imports no napari and keeps no layer."""

from .about import METADATA, LayerDataTuple, about_layer, findings_of, is_preview
from .channels import lead_of, leads
from .images import image_from_layer, image_layers
from .joining import join_layers
from .labels import (
    card_of,
    class_colormap,
    class_features,
    classes_of,
    labels_from_layer,
    labels_layer_data,
    labels_layer_kwargs,
    positive_in,
    threshold_of,
)
from .placing import lies_straight, part_of, place
from .shapes import outlines_from_layer, outlines_layer_data
from .windows import STANDARD_WINDOWS, set_window, windows_for

__all__ = [
    "METADATA",
    "STANDARD_WINDOWS",
    "LayerDataTuple",
    "about_layer",
    "card_of",
    "class_colormap",
    "class_features",
    "classes_of",
    "findings_of",
    "image_from_layer",
    "image_layers",
    "is_preview",
    "join_layers",
    "labels_from_layer",
    "labels_layer_data",
    "labels_layer_kwargs",
    "lead_of",
    "leads",
    "lies_straight",
    "outlines_from_layer",
    "outlines_layer_data",
    "part_of",
    "place",
    "positive_in",
    "set_window",
    "threshold_of",
    "windows_for",
]
