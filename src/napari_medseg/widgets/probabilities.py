"""Each class's probability as an image layer beside the labels of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from napari.utils.colormaps import Colormap
from qtpy.QtWidgets import QCheckBox

from napari_medseg._layers import METADATA
from napari_medseg.core import Image, ModelCard, Progress
from napari_medseg.inference.segment import ProbabilityStack

from .placing import place_part
from .result_layer import find_result, shown_slice

if TYPE_CHECKING:
    import napari.viewer


class Probabilities(QCheckBox):
    """Whether a run gives probabilities too, and the layers that show them.

    The layers look straight into the memory that the run fills; a later run over other slices of the same image, with a
    model of the same classes, fills the same ones.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__("Also show each class's probability")
        self.setObjectName("probabilities")
        self.setToolTip("One image layer for each class, from 0 to 1; two bytes for each pixel and class")
        self._viewer = viewer
        self._known: WeakKeyDictionary[Any, _Shown] = WeakKeyDictionary()
        self._now: _Shown | None = None

    def begin(self, image_layer: Any, image: Image, card: ModelCard) -> dict[str, Any]:
        """What `segment` is to be given besides, once there are layers for a run; nothing when nobody wants them.

        Raises
        ------
        InputError
            The image is a slide, or there is no room in memory.
        """
        self._now = None
        if not self.isChecked():
            return {}
        found = self._known.get(image_layer)
        if found is None or not found.takes(self._viewer, image, card):
            if found is not None:
                found.remove(self._viewer)
            found = self._known[image_layer] = _Shown(self._viewer, image_layer, image, card)
        self._now = found
        return {"probabilities": found.stack}

    def put(self, progress: Progress) -> None:
        """Show what a report's slice has got, where that slice is in view."""
        if self._now is not None and progress.result is not None:
            z = progress.region[0] if progress.region else 0
            self._now.written |= isinstance(z, int)
            if z == shown_slice(self._viewer, self._now.layers[0]):
                self._now.refresh(self._viewer)

    def finish(self) -> None:
        """Show what the last slices brought; layers that hold nothing go."""
        now, self._now = self._now, None
        if now is None:
            return
        if now.written:
            now.refresh(self._viewer)
        else:
            now.remove(self._viewer)


class _Shown:
    """The layers of one image, and the memory they show."""

    def __init__(self, viewer: napari.viewer.Viewer, image_layer: Any, image: Image, card: ModelCard) -> None:
        self.stack = ProbabilityStack(image, card)
        self.classes = [(c.value, c.name) for c in card.classes]
        self.written = False
        self.layers = []
        active, labels = viewer.layers.selection.active, find_result(viewer, image_layer)
        where = place_part(image_layer, (0,) * len(image.shape))
        for i, (data, info) in enumerate(zip(self.stack.data, card.classes, strict=True)):
            layer = viewer.add_image(
                data,
                name=f"{image_layer.name} · P({info.name})",
                colormap=Colormap(["#000000", info.color], name=info.color),
                blending="additive",
                contrast_limits=(0, 1),
                visible=i == 0,
                # A result to look at: nobody's to segment or learn from.
                metadata={METADATA: {"preview": True}},
                **where,
            )
            self.layers.append(layer)
            if labels in viewer.layers:  # which the user goes on seeing and painting
                viewer.layers.move(viewer.layers.index(layer), viewer.layers.index(labels))
        viewer.layers.selection.active = active

    def takes(self, viewer: napari.viewer.Viewer, image: Image, card: ModelCard) -> bool:
        """Whether a run may write into these layers, none of which has been removed."""
        same = self.classes == [(c.value, c.name) for c in card.classes]
        return same and self.stack.data.shape[1:] == image.shape and all(one in viewer.layers for one in self.layers)

    def remove(self, viewer: napari.viewer.Viewer) -> None:
        for layer in self.layers:
            if layer in viewer.layers:
                viewer.layers.remove(layer)

    def refresh(self, viewer: napari.viewer.Viewer) -> None:
        for layer in self.layers:
            if layer.visible and layer in viewer.layers:
                layer.refresh(extent=False, highlight=False)
