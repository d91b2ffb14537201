"""Which image and labels layers to learn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox, QComboBox, QGridLayout, QVBoxLayout, QWidget

from napari_medseg.editing.corrections import corrections_of

from .look import note, tighten, unwrap
from .result_layer import fits, image_of
from .signals import Signal
from .truth import Truth, find_truth

if TYPE_CHECKING:
    import napari.viewer

_LAYER_EVENTS = ("inserted", "removed", "reordered", "renamed")


@dataclass(frozen=True)
class ChosenPair:
    """A ticked row: an image layer, a labels layer and what of it is true."""

    image: Any
    labels: Any
    truth: Truth


class _Row(QWidget):
    """A labels layer with its image and how much of it is true."""

    changed = Signal()

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer
        self.truth = Truth((), (), True)
        self._touched = False
        self.check = QCheckBox()
        self.check.setObjectName("labels")
        self.check.setToolTip("Learn from this labels layer")
        self.image = QComboBox()
        self.image.setObjectName("image")
        self.image.setToolTip("The image these labels belong to")
        self.image.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.image.setMinimumContentsLength(8)
        self.summary = note()
        grid = QGridLayout(self)
        tighten(grid)
        grid.setVerticalSpacing(1)
        grid.setColumnStretch(1, 1)
        grid.addWidget(self.check, 0, 0)
        grid.addWidget(self.image, 0, 1)
        self.summary.setContentsMargins(21, 0, 0, 0)
        grid.addWidget(self.summary, 1, 0, 1, 2)
        self.check.clicked.connect(self._on_clicked)
        self.image.currentIndexChanged.connect(self._on_image)

    def update_from(self, viewer: napari.viewer.Viewer) -> None:
        self.truth = find_truth(self.layer)
        self.check.setText(f"{self.layer.name}  ←")
        chosen = self.image.currentData() or image_of(viewer, self.layer)
        candidates = [i for i in viewer.layers if i._type_string == "image" and fits(i, self.layer)]
        self.image.blockSignals(True)
        self.image.clear()
        for i, layer in enumerate(candidates):
            self.image.addItem(layer.name, layer)
            if layer is chosen:
                self.image.setCurrentIndex(i)
        self.image.blockSignals(False)
        useful = bool(candidates) and bool(self.truth.slices)
        self.image.setVisible(bool(candidates))
        self.check.setEnabled(useful)
        if not useful or not self._touched:
            self.check.setChecked(useful)
        self.summary.setText(self.truth.describe() if candidates else "no image of this size is open")

    def value(self) -> ChosenPair | None:
        image = self.image.currentData()
        if not self.check.isChecked() or image is None or not self.truth.slices:
            return None
        return ChosenPair(image, self.layer, self.truth)

    def _on_clicked(self) -> None:
        self._touched = True
        self.changed.emit()

    def _on_image(self, *_: object) -> None:
        self.changed.emit()


class PairsList(QWidget):
    """One row for each labels layer of the viewer; rows with something to learn from are ticked."""

    changed = Signal()

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer = unwrap(viewer)
        self._rows: dict[Any, _Row] = {}
        self._layout = QVBoxLayout(self)
        tighten(self._layout)
        # Strokes come in bursts; the rows are counted once after them.
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(120)
        self._soon.timeout.connect(self.refresh)
        for name in _LAYER_EVENTS:
            getattr(viewer.layers.events, name).connect(self._ask)
        self.refresh()

    @property
    def rows(self) -> tuple[_Row, ...]:
        return tuple(self._rows.values())

    def value(self) -> tuple[ChosenPair, ...]:
        """The ticked pairs, with their truth as of now."""
        self.refresh()
        return tuple(pair for row in self.rows if (pair := row.value()) is not None)

    def refresh(self) -> None:
        """Follow the viewer's layers and count again."""
        layers = [layer for layer in self._viewer.layers if layer._type_string == "labels" and _trainable(layer)]
        for layer in [known for known in self._rows if known not in layers]:
            self._drop(layer)
        for layer in layers:
            if layer not in self._rows:
                row = self._rows[layer] = _Row(layer)
                row.changed.connect(self.changed)
                corrections_of(layer).changed.connect(self._ask)
                self._layout.addWidget(row)
            self._rows[layer].update_from(self._viewer)
        self.changed.emit()

    def close_down(self) -> None:
        """Stop listening to the viewer and its layers."""
        self._soon.stop()
        for name in _LAYER_EVENTS:
            getattr(self._viewer.layers.events, name).disconnect(self._ask)
        for layer in list(self._rows):
            self._drop(layer)

    def _ask(self, *_: object) -> None:
        self._soon.start()

    def _drop(self, layer: Any) -> None:
        row = self._rows.pop(layer)
        corrections_of(layer).changed.disconnect(self._ask)
        self._layout.removeWidget(row)
        row.setParent(None)
        row.deleteLater()


def _trainable(layer: Any) -> bool:
    return not layer.multiscale and layer.data.ndim in (2, 3)
