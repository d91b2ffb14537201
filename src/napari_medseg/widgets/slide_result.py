"""The read-only layer that shows a slide's result: a pyramid on disk, with what is not computed in grey."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QTimer

from napari_medseg._layers import METADATA, about_layer, class_colormap, class_features, labels_layer_kwargs
from napari_medseg.core import ModelCard, Options

from .placing import image_shape
from .result_layer import image_of, link_image

if TYPE_CHECKING:
    import napari.viewer

    from napari_medseg.io.zarr.labels import LabelPyramid

REFRESH_EVERY = 300
"""Milliseconds between two looks at a result that fills."""

_RESULT = "result"


def is_slide_result(layer: Any) -> bool:
    """Whether a layer shows a result that is a pyramid on disk."""
    return layer._type_string == "labels" and bool(layer.multiscale) and result_path(layer) is not None


def result_path(layer: Any) -> Path | None:
    """Folder of the result that a layer shows, or that a work area was lifted from; None of other layers."""
    about = about_layer(layer)
    path = about.get(_RESULT)
    if path is None and layer.multiscale and "image" not in about:
        source = str(about.get("source") or "")  # opened as a file
        path = source if source.endswith(".zarr") else None
    return Path(path) if path else None


def find_slide_result(viewer: napari.viewer.Viewer, image_layer: Any, path: Path | None = None) -> Any:
    """The newest layer with a result of this slide, or None; with ``path``, the one that shows this result."""
    for layer in reversed(viewer.layers):
        if not is_slide_result(layer) or image_of(viewer, layer) is not image_layer:
            continue
        if path is None or result_path(layer) == path:
            return layer
    return None


def show_result(
    viewer: napari.viewer.Viewer, image_layer: Any, pyramid: LabelPyramid, card: ModelCard, options: Options | None
) -> Any:
    """The layer over the slide that shows a result: the one there is, or a new one."""
    classes = pyramid.classes or card.classes
    kwargs = labels_layer_kwargs(image_layer, card, options, not_computed=pyramid.not_computed)
    info = {
        **kwargs["metadata"][METADATA],
        _RESULT: str(pyramid.path),
        "classes": [c.model_dump() for c in classes],
        "missing": [],
    }
    found = find_slide_result(viewer, image_layer, pyramid.path)
    if found is not None and tuple(found.data[0].shape) == pyramid.shape and found.data[0].dtype == pyramid.dtype:
        found.metadata = {**found.metadata, METADATA: info}
        refresh(found)
        return found
    kwargs |= {
        "metadata": {METADATA: info},
        "colormap": class_colormap(classes, pyramid.not_computed),
        "features": class_features(classes, pyramid.not_computed),
    }
    active = viewer.layers.selection.active
    layer = viewer.add_labels(levels_to_show(pyramid), multiscale=True, cache=False, opacity=0.6, **kwargs)
    link_image(layer, image_layer)
    if found is not None:  # after the new one: napari crashes the other way round
        viewer.layers.remove(found)
    if active is not None and active in viewer.layers:
        viewer.layers.selection.active = active
    return layer


def levels_to_show(pyramid: LabelPyramid) -> list[Any]:
    """The levels as napari takes them: at least two."""
    levels = list(pyramid.levels)
    return levels if len(levels) > 1 else [levels[0], _Halved(levels[0])]


def refresh(layer: Any) -> None:
    """Draw what is in view anew, and the thumbnail from the coarsest level."""
    # napari draws whole slides from their coarsest level, as it first read it; hidden layers it draws when shown.
    forget = getattr(getattr(layer, "_level_materializer", None), "cache_clear", None)
    if forget is not None:
        forget()
    if layer.visible:
        layer.refresh(extent=False, highlight=False)


def covers(image_layer: Any, pyramid: LabelPyramid) -> bool:
    """Whether a result has the size of a slide."""
    return image_shape(image_layer)[-2:] == pyramid.shape


class Refresher:
    """Draws a layer anew soon after it is asked to, at most a few times a second."""

    def __init__(self, layer: Any) -> None:
        self._link = ref(layer)
        self._soon = QTimer()
        self._soon.setSingleShot(True)
        self._soon.setInterval(REFRESH_EVERY)
        self._soon.timeout.connect(self.draw)

    def ask(self) -> None:
        """Something was written."""
        if not self._soon.isActive():
            self._soon.start()

    def stop(self) -> None:
        """Do not draw what waits."""
        self._soon.stop()

    def draw(self) -> None:
        """Draw now."""
        layer = self._link()
        if layer is not None:
            refresh(layer)


class _Halved:
    """Every second pixel of an array, read when asked for: napari shows no pyramid of one level."""

    def __init__(self, array: Any) -> None:
        self._array = array
        self.dtype = array.dtype
        self.shape = tuple(-(-n // 2) for n in array.shape)
        self.ndim = len(self.shape)
        self.size = int(np.prod(self.shape))

    def __getitem__(self, index: Any) -> npt.NDArray[Any]:
        parts = index if isinstance(index, tuple) else (index,)
        parts = (*parts, *(slice(None),) * (self.ndim - len(parts)))
        return np.asarray(self._array[tuple(_twice(p, n) for p, n in zip(parts, self.shape, strict=True))])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        whole = self[:]
        return whole if dtype is None else whole.astype(dtype)


def _twice(index: Any, side: int) -> Any:
    if not isinstance(index, slice):
        return 2 * int(index)
    start, stop, step = index.indices(side)
    return slice(2 * start, max(2 * stop - 1, 0), 2 * step)
