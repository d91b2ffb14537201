"""Masks that say nothing of where they lie, onto the image that they were opened beside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_medseg._layers import METADATA, about_layer, image_from_layer
from napari_medseg.core import Geometry, MedsegError

from .placing import image_shape, place_part

if TYPE_CHECKING:
    import napari.viewer


def lay_on_image(viewer: napari.viewer.Viewer, labels: Any) -> bool:
    """Lay masks from a file without a place on the newest image of their shape; whether there was one.

    Only masks that the project's reader opened: of others nobody knows whether the file tells their place.
    """
    about = about_layer(labels) if labels._type_string == "labels" else {}
    geometry = Geometry.model_validate(about["geometry"]) if about.get("geometry") else None
    if geometry is None or "image" in about or geometry.known or geometry.origin or geometry.direction:
        return False
    for image in reversed(viewer.layers):
        if image._type_string != "image" or image_shape(image) != tuple(labels.data.shape):
            continue
        try:
            theirs = image_from_layer(image).geometry
        except MedsegError:
            continue
        for name, value in place_part(image, (0,) * len(labels.data.shape)).items():
            setattr(labels, name, value)
        labels.metadata = {**labels.metadata, METADATA: {**about, "geometry": theirs.model_dump(mode="json")}}
        return True
    return False
