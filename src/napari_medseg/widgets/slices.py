"""Which labels layer is meant, which of its slices is seen, and where its slices lie on the viewer's slider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
from qtpy.QtCore import QObject

from napari_medseg._layers import is_preview
from napari_medseg.editing.corrections import Corrections, corrections_of

from .look import unwrap
from .signals import Signal, is_alive

if TYPE_CHECKING:
    import napari.viewer

_LAYERS = ("inserted", "removed", "reordered")
_DIMS = ("range", "order", "ndim", "ndisplay")
_LAYER = ("data", "metadata", "scale", "translate", "rotate", "shear", "affine")


@dataclass(frozen=True)
class SliceAxis:
    """How a slider of the viewer runs through the slices of a stack: slice = slope * step + offset.

    Attributes
    ----------
    axis
        Axis of the viewer whose slider it is.
    slices, steps
        Number of slices of the stack and of steps of the slider; other layers may be longer, shorter or finer.
    """

    axis: int
    slices: int
    steps: int
    slope: float
    offset: float

    def step_of(self, z: float) -> float:
        """Where on the slider slice ``z`` lies, in steps."""
        return (z - self.offset) / self.slope

    def slice_at(self, step: float) -> int:
        """The slice that is shown at a step; of steps beyond the stack its first or last slice."""
        return min(max(round(self.slope * step + self.offset), 0), self.slices - 1)

    def number_of(self, z: int) -> int:
        """What to call slice ``z``: the number the slider shows for it, where one step is one slice."""
        return round(self.step_of(z)) if abs(abs(self.slope) - 1) < 1e-3 else z

    def nearest_step(self, z: int) -> int:
        """The step of the slider that shows slice ``z``, or comes nearest to it."""
        exact = self.step_of(z)
        near = range(max(0, int(exact) - 1), min(self.steps, int(exact) + 3))
        return min(
            near or (0 if exact < 0 else self.steps - 1,),
            key=lambda step: (round(self.slope * step + self.offset) != z, abs(step - exact)),
        )


def is_editable(layer: Any) -> bool:
    """Whether corrections can be kept for a layer: labels of one image or one stack, in one level."""
    return (
        layer._type_string == "labels" and not layer.multiscale and layer.data.ndim in (2, 3) and not is_preview(layer)
    )


def labels_in_question(viewer: napari.viewer.Viewer) -> Any:
    """The labels layer that buttons and keys act on: the active one, else the newest; None where there is none."""
    active = viewer.layers.selection.active
    if active is not None and is_editable(active):
        return active
    return next((layer for layer in reversed(viewer.layers) if is_editable(layer)), None)


def find_axis(viewer: napari.viewer.Viewer, layer: Any) -> SliceAxis | None:
    """Where a stack's slices lie on the viewer's slider.

    None for a single image, where the slices are not what is shown (from the side, in 3D), and where the stack is
    turned so that the slider cuts across its slices.
    """
    dims = viewer.dims
    if layer is None or len(layer.scale) != 3:
        return None
    data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
    axis, slices = dims.ndim - 3, int(data.shape[0])
    if slices < 2 or axis < 0 or axis in dims.displayed or dims.nsteps[axis] < 2:
        return None
    point = np.array(dims.point, float)
    point[axis] = dims.range[axis].start
    first = layer.world_to_data(point)[-3]
    for other, (start, stop, _) in enumerate(dims.range):
        moved = point.copy()
        moved[other] += stop - start
        if other != axis and abs(layer.world_to_data(moved)[-3] - first) > 1e-3:
            return None
    point[axis] += dims.range[axis].step
    slope = float(layer.world_to_data(point)[-3] - first)
    return SliceAxis(axis, slices, int(dims.nsteps[axis]), slope, float(first)) if slope else None


def seen_slice(viewer: napari.viewer.Viewer, layer: Any) -> int | None:
    """The slice of a labels layer that the user sees; 0 of a single image, None where no one slice is seen."""
    if layer is None:
        return None
    if layer.data.ndim == 2 or (layer.data.shape[0] == 1 and viewer.dims.ndisplay == 2):
        return 0
    if find_axis(viewer, layer) is None:
        return None
    z = round(float(layer.world_to_data(viewer.dims.point)[-3]))
    return z if 0 <= z < layer.data.shape[0] else None


def name_slice(viewer: napari.viewer.Viewer, layer: Any, z: int) -> str:
    """What to call a slice: ``slice 41``, or ``the image``."""
    if layer.data.ndim == 2:
        return "the image"
    found = find_axis(viewer, layer)
    return f"slice {z if found is None else found.number_of(z)}"


def go_to_slice(viewer: napari.viewer.Viewer, layer: Any, z: int) -> bool:
    """Move the viewer's slider to a slice; False where no slider runs through the slices."""
    found = find_axis(viewer, layer)
    if found is not None:
        viewer.dims.set_current_step(found.axis, found.nearest_step(z))
    return found is not None


class LabelsInView(QObject):
    """Follows the labels layer in question, what is known of its slices, and which of them is seen.

    Attributes
    ----------
    layer, corrections
        The layer and what the user said about it, or None.
    axis
        Where its slices lie on a slider, or None.

    ``changed`` is emitted when another layer is meant or something about it is different; ``moved`` when only another
    slice is seen.
    """

    changed = Signal()
    moved = Signal()

    def __init__(self, viewer: napari.viewer.Viewer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        # Weakly: who keeps this must not keep a viewer that was closed.
        self._link = ref(unwrap(viewer))
        self.layer: Any = None
        self.corrections: Corrections | None = None
        self.axis: SliceAxis | None = None
        self._connect("connect")
        self._find()

    @property
    def seen(self) -> int | None:
        """The slice the user sees."""
        viewer = self._link()
        return None if viewer is None else seen_slice(viewer, self.layer)

    def close_down(self) -> None:
        """Stop listening to the viewer and the layer."""
        self._watch(None)
        self._connect("disconnect")

    def _connect(self, act: str) -> None:
        viewer = self._link()
        if viewer is None:
            return
        for events, names in ((viewer.layers.events, _LAYERS), (viewer.dims.events, _DIMS)):
            for name in names:
                getattr(getattr(events, name), act)(self._find)
        getattr(viewer.layers.selection.events.active, act)(self._find)
        getattr(viewer.dims.events.point, act)(self._on_moved)

    def _find(self, event: object = None) -> None:
        viewer = self._link()
        layer = None if viewer is None else labels_in_question(viewer)
        if layer is not self.layer:
            self._watch(layer)
        self._on_changed()

    def _watch(self, layer: Any) -> None:
        for act in ("disconnect", "connect"):
            if self.layer is not None and self.corrections is not None:
                for name in _LAYER:
                    getattr(getattr(self.layer.events, name), act)(self._on_changed)
                getattr(self.corrections.changed, act)(self._on_changed)
            if act == "disconnect":
                self.layer = layer
                self.corrections = None if layer is None else corrections_of(layer)

    def _on_changed(self, event: object = None) -> None:
        viewer = self._link()
        self.axis = None if viewer is None else find_axis(viewer, self.layer)
        if is_alive(self):
            self.changed.emit()

    def _on_moved(self, event: object = None) -> None:
        if is_alive(self):
            self.moved.emit()
