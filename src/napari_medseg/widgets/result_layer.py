"""The labels layer a result goes into: found again or made, with its record of what the user changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

import numpy as np
from qtpy.QtCore import QTimer

from napari_medseg._layers import (
    METADATA,
    about_layer,
    card_of,
    classes_of,
    image_from_layer,
    is_preview,
    labels_layer_kwargs,
    leads,
)
from napari_medseg.core import ClassInfo, Image, ModelCard, Options
from napari_medseg.editing.corrections import corrections_of
from napari_medseg.inference.suits import count_channels

from .placing import find_start, image_shape

if TYPE_CHECKING:
    import napari.viewer

# Which image layer a labels layer was made from; names may change, the layer does not.
_images: WeakKeyDictionary[Any, ref[Any]] = WeakKeyDictionary()


def image_of(viewer: napari.viewer.Viewer, labels_layer: Any) -> Any:
    """The image layer a labels layer belongs to, or None when it cannot be told.

    By what made it, else by the name in its metadata, else the one image layer it lies on.
    """
    link = _images.get(labels_layer)
    if link is not None and (linked := link()) in viewer.layers:
        return linked
    images = [layer for layer in images_in(viewer) if fits(layer, labels_layer)]
    info = about_layer(labels_layer)
    for layer in images:
        if layer.name == info.get("image"):
            return layer
    return images[-1] if len(images) == 1 else None


def is_image(layer: Any) -> bool:
    """Whether a layer is an image to segment or learn from, and not one that only shows what a model says."""
    return layer._type_string == "image" and not is_preview(layer)


def images_in(viewer: napari.viewer.Viewer) -> list[Any]:
    """The layers of the images in a viewer, in their order; of the channels of an image the first."""
    return leads(layer for layer in viewer.layers if is_image(layer))


def link_image(labels_layer: Any, image_layer: Any) -> None:
    """Remember which image a labels layer was made for."""
    _images[labels_layer] = ref(image_layer)


def find_result(viewer: napari.viewer.Viewer, image_layer: Any, card: ModelCard | None = None) -> Any:
    """The newest labels layer that a model made from this image, or None; with ``card``, one that its result fits."""
    for layer in reversed(viewer.layers):
        if layer._type_string != "labels" or card_of(layer) is None or image_of(viewer, layer) is not image_layer:
            continue
        if "start" in about_layer(layer):
            continue  # a part of a slide's result
        if card is None or (_takes(layer, card) and _covers(layer, image_layer)):
            return layer
    return None


def find_answered(viewer: napari.viewer.Viewer, image_layer: Any) -> Any:
    """The newest labels layer of an image of whose slices a model said how likely they hold anything, or None.

    Masks that were opened again are among them.
    """
    of_image = (
        x
        for x in reversed(viewer.layers)
        if x._type_string == "labels" and x.metadata.get(METADATA, {}).get("presence")
    )
    return next((x for x in of_image if image_of(viewer, x) is image_layer), None)


def result_layer(viewer: napari.viewer.Viewer, image_layer: Any, card: ModelCard, options: Options) -> Any:
    """The labels layer for a run: the one of an earlier run if its shape, type and classes fit, else a new one."""
    kwargs = labels_layer_kwargs(image_layer, card, options)
    found = find_result(viewer, image_layer, card)
    if found is not None:
        was = about_layer(found)
        # Classes that were added in the layer stay, and so does what of it is true.
        kept = {key: was[key] for key in ("classes", "truth") if key in was}
        if "presence" in was and (was.get("card") or {}).get("sha256") == card.sha256:
            kept["presence"] = was["presence"]
        info = {**kwargs["metadata"][METADATA], **kept, "missing": sorted(missing_slices(found))}
        found.metadata = {**found.metadata, METADATA: info}
        return found
    image = image_from_layer(image_layer)
    kwargs["metadata"][METADATA]["missing"] = list(range(len(image)))
    layer = viewer.add_labels(np.zeros(image.shape, result_dtype(card)), **kwargs)
    link_image(layer, image_layer)
    follow_edits(layer)
    return layer


def result_dtype(card: ModelCard) -> np.dtype[Any]:
    """The smallest type that holds the card's class values."""
    return np.min_scalar_type(max(c.value for c in card.classes))


def channels_of(image: Image) -> int:
    """Channels that hold something of their own; of a slide those it has, as nothing of it is read at a click."""
    return image.channels if image.levels else count_channels(image)


def shown_slice(viewer: napari.viewer.Viewer, layer: Any) -> int:
    """Index in the layer's data of the slice the viewer's slider stands at; 0 for a single image."""
    if layer is None or len(layer.scale) < 3:
        return 0
    shape = layer.data[0].shape if getattr(layer, "multiscale", False) else layer.data.shape
    position = layer.world_to_data(viewer.dims.point)[-len(layer.scale)]
    return int(np.clip(round(float(position)), 0, shape[0] - 1))


def _made_with(layer: Any) -> tuple[ClassInfo, ...]:
    card = card_of(layer)
    return card.classes if card else ()


def _takes(layer: Any, card: ModelCard) -> bool:
    """Whether a model's result may be written into a layer: its classes are those of the model that made the layer, or
    some that the user added to them."""
    known, own, new = ({(c.value, c.name) for c in of} for of in (classes_of(layer), _made_with(layer), card.classes))
    same = own <= new <= known
    return same and isinstance(layer.data, np.ndarray) and layer.data.dtype == result_dtype(card)


def _covers(layer: Any, image_layer: Any) -> bool:
    return tuple(layer.data.shape) == image_shape(image_layer)


def fits(image_layer: Any, labels_layer: Any) -> bool:
    """Whether a labels layer lies on an image layer, on all of it or as a work area on a part."""
    return find_start(image_layer, labels_layer) is not None


def note_slices(layer: Any, missing: set[int], presence: Mapping[int, float] | None = None) -> None:
    """Keep in the layer's metadata which slices hold no result: zero there does not mean background.

    With ``presence``, also the probability that these slices hold anything, beside what is known of others.
    """
    info = about_layer(layer)
    if set(info.get("missing", ())) != missing or presence:
        said = {"presence": {**info.get("presence", {}), **presence}} if presence else {}
        layer.metadata = {**layer.metadata, METADATA: {**info, "missing": sorted(missing), **said}}


def follow_edits(layer: Any) -> None:
    """Count a slice that the user painted in as one that holds a result."""
    link = ref(layer)

    def settle() -> None:
        living = link()
        if living is not None:
            note_slices(living, missing_slices(living))

    def settle_soon() -> None:
        # napari tells of pixels set by a script before it sets them.
        QTimer.singleShot(0, settle)

    corrections_of(layer).changed.connect(settle_soon)


def missing_slices(layer: Any) -> set[int]:
    """Slices of a result layer that no run has filled and no user has painted in."""
    missing = set(about_layer(layer).get("missing", ()))
    if not missing:
        return missing
    corrections = corrections_of(layer)
    return missing - set(corrections.edited_slices()) - corrections.accepted


def is_blank(layer: Any) -> bool:
    """Whether a result layer holds nothing: no run has filled a slice, no user has painted in one."""
    slices = layer.data.shape[0] if layer.data.ndim == 3 else 1
    return len(missing_slices(layer)) == slices
