"""Which part of a slide: all of its tissue, what is in view, or what lies inside drawn shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from qtpy.QtWidgets import QButtonGroup, QComboBox, QGridLayout, QRadioButton, QWidget

from napari_medseg._layers import outlines_from_layer
from napari_medseg.core import InputError

from .look import tighten, unwrap
from .placing import Box, find_view
from .signals import Signal

if TYPE_CHECKING:
    import napari.viewer

Polygons = tuple[npt.NDArray[np.float64], ...]

_LAYER_EVENTS = ("inserted", "removed", "reordered", "renamed")
_NONE = "No Shapes layer yet: add one with napari's button above the layer list, and draw in it"


class SlideScope(QWidget):
    """All tissue, what is in view, or what lies inside the shapes of a layer."""

    changed = Signal()

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = unwrap(viewer)
        self.all = QRadioButton("All tissue")
        self.view = QRadioButton("What I see")
        self.inside = QRadioButton("Inside")
        self.all.setObjectName("all_tissue")
        self.view.setObjectName("in_view")
        self.inside.setObjectName("inside_shapes")
        self.view.setToolTip("What of the slide is in view when the run starts; the result is added to what is there")
        self.shapes = QComboBox()
        self.shapes.setObjectName("shapes")
        self.shapes.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.shapes.setMinimumContentsLength(10)
        self.group = QButtonGroup(self)
        for choice in (self.all, self.view, self.inside):
            self.group.addButton(choice)
        layout = QGridLayout(self)
        tighten(layout)
        layout.setVerticalSpacing(3)
        layout.setHorizontalSpacing(10)
        layout.setColumnStretch(1, 1)
        layout.addWidget(self.all, 0, 0)
        layout.addWidget(self.view, 0, 1)
        layout.addWidget(self.inside, 1, 0)
        layout.addWidget(self.shapes, 1, 1)
        self.all.setChecked(True)
        self.set_skipping(True)
        for name in _LAYER_EVENTS:
            getattr(self._viewer.layers.events, name).connect(self._refresh)
        self.group.buttonClicked.connect(lambda *_: self.changed.emit())
        self.shapes.activated.connect(self._on_shapes)
        self._refresh()

    def close_down(self) -> None:
        """Stop listening to the viewer."""
        for name in _LAYER_EVENTS:
            getattr(self._viewer.layers.events, name).disconnect(self._refresh)
        self.shapes.clear()

    def set_skipping(self, skips: bool) -> None:
        """Say what all means: the tissue, or the background too."""
        self.all.setText("All tissue" if skips else "All of it")
        tip = "All tissue of the slide" if skips else "The whole slide, glass and all: it takes longer"
        self.all.setToolTip(f"{tip}; what is in view comes first")

    def describe(self) -> str:
        """What the choice means, in words."""
        if self.view.isChecked():
            return "what is in view"
        if self.inside.isChecked():
            return f"what lies inside “{self.shapes.currentText()}”"
        return self.all.text()[0].lower() + self.all.text()[1:]

    def value(self, image_layer: Any) -> Polygons | None:
        """Polygons of points (Y, X) in pixels of full resolution whose corners are whole numbers; None for all.

        Raises
        ------
        InputError
            Nothing of the slide is in view, or no shape encloses anything of it.
        """
        if self.view.isChecked():
            box = find_view(self._viewer, image_layer)
            if box is None:
                raise InputError("Nothing of the slide is in view.", "Move it into view, or choose another scope.")
            return (corners_of(box),)
        if self.inside.isChecked():
            return polygons_in(self.shapes.currentData(), image_layer)
        return None

    def _refresh(self, event: object = None) -> None:
        chosen = self.shapes.currentData()
        layers = [layer for layer in reversed(self._viewer.layers) if layer._type_string == "shapes"]
        self.shapes.clear()
        for layer in layers:
            self.shapes.addItem(layer.name, layer)
            if layer is chosen:
                self.shapes.setCurrentIndex(self.shapes.count() - 1)
        if not layers:
            self.shapes.addItem("no Shapes layer yet", None)
        tip = "Inside the polygons, rectangles and ellipses of this layer" if layers else _NONE
        for part in (self.inside, self.shapes):
            part.setEnabled(bool(layers))
            part.setToolTip(tip)
        if not layers and self.inside.isChecked():
            self.all.setChecked(True)
            self.changed.emit()

    def _on_shapes(self, *_: object) -> None:
        self.inside.setChecked(True)
        self.changed.emit()


def corners_of(box: Box) -> npt.NDArray[np.float64]:
    """The four corners of a box, (4, 2)."""
    rows, columns = box
    (top, bottom), (left, right) = (rows.start, rows.stop), (columns.start, columns.stop)
    return np.array([(top, left), (top, right), (bottom, right), (bottom, left)], float)


def polygons_in(shapes_layer: Any, image_layer: Any) -> Polygons:
    """Outer rings of a layer's polygons, rectangles and ellipses on an image, wherever both layers lie.

    Raises
    ------
    InputError
        There are none.
    """
    if shapes_layer is None:
        raise InputError("The Shapes layer is gone.", "Choose another scope.")
    rings = [polygon[0] for region in outlines_from_layer(shapes_layer).regions for polygon in region.polygons]
    if not rings:
        raise InputError(
            f"“{shapes_layer.name}” holds no polygon, rectangle or ellipse.", "Draw one, or choose another scope."
        )
    return tuple(_onto(np.asarray(ring), shapes_layer, image_layer) for ring in rings)


def _onto(ring: npt.NDArray[np.float64], shapes_layer: Any, image_layer: Any) -> npt.NDArray[np.float64]:
    # napari puts the middle of a pixel at its whole number, outlines put its corner there.
    worlds = (shapes_layer.data_to_world(point - 0.5) for point in ring)
    return np.array([np.asarray(image_layer.world_to_data(world))[-2:] + 0.5 for world in worlds])
