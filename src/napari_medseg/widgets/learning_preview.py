"""The slice in view as the model in training sees it, drawn as outlines over the image."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QTimer

from napari_medseg._layers import METADATA, class_colormap, class_features, image_from_layer
from napari_medseg.core import ClassInfo, Image, MedsegError, Progress
from napari_medseg.training.preview import Asked

from .look import unwrap
from .placing import find_seen, image_shape, place_part
from .result_layer import shown_slice

if TYPE_CHECKING:
    import napari.viewer

_WHOLE = 2048
"""Slices up to this many pixels wide and high are shown whole, larger ones as far as they are in view."""

_PART = 1024


class LearningPreview:
    """Says which slice is in view and shows what comes back, in a layer of its own that goes with the run.

    Nothing else is touched: not the user's layers, not which layer is active. `ask` may be called from any thread: it
    reads one reference, written in the main thread, to an `Image` that holds pixels and no layer.

    Parameters
    ----------
    viewer
        Whose slider is followed from `start` to `stop`.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self._viewer = unwrap(viewer)
        self._image_layer: Any = None
        self._image: Image | None = None
        self._classes: tuple[ClassInfo, ...] = ()
        self._title = ""
        self._wanted: tuple[tuple[int, ...], Image, int] | None = None
        self.layer: Any = None
        # Zooming and scrolling come in bursts, and a slide's part is cut out anew each time.
        self._soon = QTimer()
        self._soon.setSingleShot(True)
        self._soon.setInterval(100)
        self._soon.timeout.connect(self._look)

    def start(self, image_layer: Any, classes: Sequence[ClassInfo], title: str) -> None:
        """Follow the viewer over this image until `stop`; shows nothing before the first slice arrives."""
        self.stop()
        try:
            self._image = image_from_layer(image_layer)
        except MedsegError:
            return
        self._image_layer, self._classes, self._title = image_layer, tuple(classes), title
        self._viewer.dims.events.current_step.connect(self._ask_soon)
        self._viewer.scene.camera.events.connect(self._ask_soon)
        self._look()

    def stop(self) -> None:
        """Take the layer away and stop following."""
        self._soon.stop()
        self._wanted = None
        if self._image_layer is not None:
            self._viewer.dims.events.current_step.disconnect(self._ask_soon)
            self._viewer.scene.camera.events.disconnect(self._ask_soon)
        self._image_layer = self._image = None
        layer, self.layer = self.layer, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)
        if layer is not None:
            gc.unfreeze()

    def ask(self) -> Asked | None:
        """The slice in view, for the training thread; None when there is none."""
        wanted = self._wanted
        if wanted is None:
            return None
        return Asked(*wanted)

    def show(self, progress: Progress) -> None:
        """Draw the slice that a report carries, if it does and its image is still there."""
        if progress.region is None or progress.result is None or self._image_layer is None:
            return
        if self._image_layer not in self._viewer.layers:
            self.stop()
            return
        start = tuple(int(s) for s in progress.region if not isinstance(s, slice))
        shape = image_shape(self._image_layer)
        if len(start) != len(shape):
            return
        labels = np.asarray(progress.result)
        data = labels[np.newaxis] if len(shape) == 3 else labels
        data = data.astype(np.min_scalar_type(max(1, int(data.max(initial=0)))))
        self._draw(data, start)

    def _draw(self, data: Any, start: tuple[int, ...]) -> None:
        place = place_part(self._image_layer, start)
        if self.layer is not None and self.layer in self._viewer.layers and self.layer.data.dtype == data.dtype:
            if tuple(self.layer.translate) != tuple(place["translate"]):
                self.layer.translate = place["translate"]
            self.layer.data = data
            return
        active = self._viewer.layers.selection.active
        selected = set(self._viewer.layers.selection)
        # napari collects garbage when a layer goes; among all that torch has loaded that holds the window up.
        gc.freeze()
        old, self.layer = self.layer, self._viewer.add_labels(
            data,
            name=f"preview of {self._title}",
            metadata={METADATA: {"preview": True}},
            colormap=class_colormap(self._classes),
            features=class_features(self._classes),
            opacity=1.0,
            **place,
        )  # fmt: skip
        self.layer.contour = 2
        self.layer.editable = False
        if old is not None and old in self._viewer.layers:
            self._viewer.layers.remove(old)
        # The user goes on painting in the layer that was active.
        if active is not None:
            self._viewer.layers.selection.active = active
        else:
            self._viewer.layers.selection.clear()
            self._viewer.layers.selection.update(selected - {old})

    def _ask_soon(self, event: object = None) -> None:
        self._soon.start()

    def _look(self) -> None:
        """Note which slice is in view."""
        layer, image = self._image_layer, self._image
        if layer is None or image is None:
            return
        if layer not in self._viewer.layers:
            self.stop()
            return
        z = shown_slice(self._viewer, layer)
        if max(image.shape[-2:]) <= _WHOLE:
            self._wanted = ((z, 0, 0) if image.is_stack else (0, 0), image, z)
            return
        (top, left), (height, width) = find_seen(self._viewer, layer, _PART)
        before = self._wanted
        key = (z, top, left) if image.is_stack else (top, left)
        if before is None or before[0] != key or before[1].shape[-2:] != (height, width):
            part = (slice(top, top + height), slice(left, left + width))
            if image.levels:
                data: Any = _Part(image.data, part)
            else:
                data = image.data[(slice(None), *part) if image.is_stack else part]
            self._wanted = (key, _with_data(image, data), z)


def _with_data(image: Image, data: Any) -> Image:
    """The image with other pixels of the same kind."""
    return Image(data, image.axes, image.geometry, image.names, image.meaning, missing=image.missing)


class _Part:
    """A part of a slide that is read where it is looked at: in the training's thread."""

    def __init__(self, level: Any, part: tuple[slice, slice]) -> None:
        self._level, self._part = level, part
        self.shape = (*(s.stop - s.start for s in part), *level.shape[2:])
        self.ndim, self.dtype = level.ndim, level.dtype

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        pixels = np.asarray(self._level[self._part])
        return pixels if dtype is None else pixels.astype(dtype)
