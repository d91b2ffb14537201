"""A labels layer as plain values for the journal, and made anew from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_medseg._layers import METADATA, about_layer, class_colormap, class_features, classes_of
from napari_medseg.editing.corrections import corrections_of
from napari_medseg.editing.fingerprint import fingerprint
from napari_medseg.editing.unsaved import Unsaved

from .result_layer import follow_edits, image_of, link_image
from .slices import is_editable

if TYPE_CHECKING:
    import napari.viewer

_PLACE = ("scale", "translate", "rotate", "shear")


def describe_layer(layer: Any) -> dict[str, Any]:
    """What is needed to make a labels layer anew, but its pixels: name, place, classes, colours, where it came from."""
    colors = getattr(layer.colormap, "color_dict", None)  # of colours set by value; napari's own need no keeping
    return {
        "name": layer.name,
        **{key: np.asarray(getattr(layer, key)).tolist() for key in _PLACE},
        "affine": np.asarray(layer.affine.affine_matrix).tolist(),
        "units": [str(unit) for unit in layer.units],
        "colors": {str(k): np.asarray(c).tolist() for k, c in colors.items()} if colors else None,
        "info": dict(about_layer(layer)),
    }


def recognise(layer: Any) -> Callable[[], str]:
    """A function that works out by what a layer is recognised when it is opened again; it may run in any thread.

    An image is known by its files or its pixels. A labels layer without an image is known by its file or its size:
    its pixels change.
    """
    info = about_layer(layer)
    source = info.get("source") or getattr(layer.source, "path", None)
    path = Path(source) if source else None
    names = tuple(info.get("names") or ())
    levels = list(layer.data) if layer.multiscale else [layer.data]
    if layer._type_string == "labels":
        levels = [np.broadcast_to(np.zeros((), level.dtype), level.shape) for level in levels]

    def work_out() -> str:
        return fingerprint(levels, path, names)

    return work_out


def put_back(viewer: napari.viewer.Viewer, opened: Any, unsaved: Unsaved) -> Any:
    """Put unsaved painting on top of its layer, or into a new one like it; that layer.

    Parameters
    ----------
    opened
        The image that was opened again, or the labels layer where the painting belonged to no image.
    """
    layer = _find(viewer, opened, unsaved)
    new = layer is None
    if layer is None:
        layer = viewer.add_labels(np.zeros(unsaved.shape, unsaved.about["dtype"]), **_kwargs(opened, unsaved))
        if opened._type_string == "image":
            link_image(layer, opened)
        if "missing" in unsaved.about["info"]:
            follow_edits(layer)
    unsaved.put_back(corrections_of(layer), whole=new)
    layer.refresh()  # the thumbnail too
    return layer


def _find(viewer: napari.viewer.Viewer, opened: Any, unsaved: Unsaved) -> Any:
    dtype = np.dtype(unsaved.about["dtype"])
    for layer in reversed(viewer.layers):
        if not is_editable(layer) or layer.name != unsaved.about["name"]:
            continue
        ours = layer is opened or image_of(viewer, layer) is opened
        if ours and tuple(layer.data.shape) == unsaved.shape and np.can_cast(dtype, layer.data.dtype):
            return layer
    return None


def _kwargs(opened: Any, unsaved: Unsaved) -> dict[str, Any]:
    """Arguments of the layer as it was; only what was kept of it holds a result."""
    about = unsaved.about
    info = dict(about["info"])
    if "missing" in info:
        slices = unsaved.shape[0] if len(unsaved.shape) == 3 else 1
        info["missing"] = sorted(set(range(slices)) - set(unsaved.slices))
    if opened._type_string == "image" and "image" in info:
        info["image"] = opened.name
    kwargs: dict[str, Any] = {key: np.array(about[key]) for key in (*_PLACE, "affine")}
    kwargs |= {"name": about["name"], "units": tuple(about["units"]), "metadata": {METADATA: info} if info else {}}
    layer_like = type("Layer", (), {"metadata": {METADATA: info}})
    if classes := classes_of(layer_like):
        empty = info.get("not_computed")
        return {**kwargs, "colormap": class_colormap(classes, empty), "features": class_features(classes, empty)}
    if about["colors"]:
        kwargs["colormap"] = {None if k == "None" else int(k): color for k, color in about["colors"].items()}
    return kwargs
