"""Empty labels layers to paint in: strokes over an image, or a work area on the part of it that is in view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_medseg._layers import (
    METADATA,
    about_layer,
    class_colormap,
    class_features,
    classes_of,
    image_from_layer,
    part_of,
)
from napari_medseg.core import PALETTE, ClassInfo

from .placing import find_seen, image_shape, place_part
from .result_layer import link_image, shown_slice
from .truth import BACKGROUND

if TYPE_CHECKING:
    import napari.viewer

LARGE = 1024
"""Of images wider or higher than this, a part is easier to paint than the whole."""

MOST = 2048
"""Width and height of the largest work area, in pixels."""

GREY = "#9e9e9e"
"""Of painted background: no class of the palette has it."""


def is_large(image_layer: Any) -> bool:
    """Whether an image is better painted in work areas."""
    return max(image_shape(image_layer)[-2:]) > LARGE


def add_strokes(viewer: napari.viewer.Viewer, image_layer: Any, classes: Sequence[ClassInfo]) -> Any:
    """Add an empty layer for strokes over an image, with a class for the background, ready to paint in.

    Of an image too large to be painted as a whole it covers what is in view.
    """
    classes = with_background(classes)
    shape = image_shape(image_layer)
    start = (0,) * len(shape)
    if max(shape[-2:]) > MOST:
        start, shape = _seen(viewer, image_layer)
    return _add(viewer, image_layer, (start, shape), classes, "strokes")


def add_work_area(viewer: napari.viewer.Viewer, image_layer: Any, classes: Sequence[ClassInfo]) -> Any:
    """Add an empty layer over what is in view; once painted, all of it is true and 0 is background there."""
    return _add(viewer, image_layer, _seen(viewer, image_layer), tuple(classes), "slices")


def with_background(classes: Sequence[ClassInfo]) -> tuple[ClassInfo, ...]:
    """The classes and one called background, with the value after theirs."""
    if any(c.name == BACKGROUND for c in classes):
        return tuple(classes)
    value = max((c.value for c in classes), default=0) + 1
    return (*classes, ClassInfo(value=value, name=BACKGROUND, color=GREY))


def next_class(classes: Sequence[ClassInfo]) -> ClassInfo:
    """A further class: the value after the last, the first colour of the palette that none has."""
    made = ClassInfo.numbered(max((c.value for c in classes), default=0) + 1)
    free = [color for color in PALETTE if color not in {c.color for c in classes}]
    return made.model_copy(update={"color": free[0]}) if free else made


def set_classes(layer: Any, classes: Sequence[ClassInfo]) -> None:
    """Give a labels layer these classes: names shown while hovering, colours, and the names masks are saved with."""
    info = {**about_layer(layer), "classes": [c.model_dump() for c in classes]}
    layer.metadata = {**layer.metadata, METADATA: info}
    layer.colormap = class_colormap(classes, info.get("not_computed"))
    layer.features = class_features(classes, info.get("not_computed"))


def classes_to_paint(layer: Any) -> tuple[ClassInfo, ...]:
    """The classes a labels layer names; one numbered class for the label in use where it names none."""
    return classes_of(layer) or (ClassInfo.numbered(max(1, int(layer.selected_label))),)


def _seen(viewer: napari.viewer.Viewer, image_layer: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    start, shape = find_seen(viewer, image_layer, MOST)
    if len(image_shape(image_layer)) == 3:
        return (shown_slice(viewer, image_layer), *start), (1, *shape)
    return start, shape


def _add(
    viewer: napari.viewer.Viewer,
    image_layer: Any,
    place: tuple[tuple[int, ...], tuple[int, ...]],
    classes: Sequence[ClassInfo],
    truth: str,
) -> Any:
    start, shape = place
    info: dict[str, Any] = {"image": image_layer.name, "truth": truth}
    names = about_layer(image_layer).get("names")
    if names and len(image_shape(image_layer)) == 3:
        info["names"] = list(names[start[0] : start[0] + shape[0]])
    if "geometry" in about_layer(image_layer):
        geometry = part_of(image_from_layer(image_layer).geometry, start, shape)
        info["geometry"] = geometry.model_dump(mode="json")
    highest = max((c.value for c in classes), default=1)
    layer = viewer.add_labels(
        np.zeros(shape, np.uint8 if highest < 255 else np.uint16),
        name=f"{image_layer.name} {'strokes' if truth == 'strokes' else 'work area'}",
        metadata={METADATA: info},
        **place_part(image_layer, start),
    )
    set_classes(layer, classes)
    link_image(layer, image_layer)
    layer.selected_label = classes[0].value if classes else 1
    layer.brush_size = max(4, round(max(shape[-2:]) / 50))
    if viewer.dims.ndisplay == 2:
        layer.mode = "paint"
    return layer
