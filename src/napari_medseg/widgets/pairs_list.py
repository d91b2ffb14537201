"""Which image and labels layers to learn from, and what of each is true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QCheckBox, QComboBox, QGridLayout, QSizePolicy, QVBoxLayout, QWidget

from napari_medseg._layers import is_preview
from napari_medseg.editing.corrections import corrections_of

from .look import note, tighten, unwrap
from .placing import Start, find_start, image_shape
from .result_layer import image_of, images_in
from .signals import Signal
from .truth import Truth, choose_strokes, find_truth, forget_counts, has_strokes, was_painted

if TYPE_CHECKING:
    import napari.viewer

_LAYER_EVENTS = ("inserted", "removed", "reordered", "renamed")


@dataclass(frozen=True)
class ChosenPair:
    """A ticked row: an image layer, a labels layer, what of it is true, and where on the image it begins."""

    image: Any
    labels: Any
    truth: Truth
    start: Start = ()


class Row(QWidget):
    """A labels layer with its image, and how much of it is true."""

    changed = Signal()

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer
        self.truth = Truth((), (), True)
        self._touched = False
        self.check = QCheckBox()
        self.check.setObjectName("labels")
        self.check.setToolTip("Learn from this labels layer")
        # A long name is cut off rather than the dock made wide.
        self.check.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.image = QComboBox()
        self.image.setObjectName("image")
        self.image.setToolTip("The image these labels belong to")
        self.kind = QComboBox()
        self.kind.setObjectName("truth")
        for text, tip in (
            ("Whole slices", "Every pixel of these slices is right; what has no label is background"),
            ("Strokes only", "Only painted pixels are right, all others are unknown: "
             "paint some of what is not wanted too, with a class called background"),
        ):  # fmt: skip
            self.kind.addItem(text)
            self.kind.setItemData(self.kind.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        for box, letters in ((self.image, 4), (self.kind, 9)):
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(letters)
        self.summary = note()
        layout = QVBoxLayout(self)
        tighten(layout)
        layout.setSpacing(2)
        layout.addWidget(self.check)
        below = QGridLayout()
        below.setContentsMargins(21, 0, 0, 0)
        below.setSpacing(4)
        below.setColumnStretch(0, 1)
        below.addWidget(self.image, 0, 0)
        below.addWidget(self.kind, 0, 1)
        below.addWidget(self.summary, 1, 0, 1, 2)
        layout.addLayout(below)
        self.check.clicked.connect(self._on_clicked)
        self.image.currentIndexChanged.connect(self._on_image)
        self.kind.activated.connect(self._on_kind)

    def update_from(self, viewer: napari.viewer.Viewer) -> None:
        self.check.setText(self.layer.name)
        chosen = self.image.currentData() or image_of(viewer, self.layer)
        candidates = [i for i in images_in(viewer) if find_start(i, self.layer) is not None]
        self.image.blockSignals(True)
        self.image.clear()
        for i, layer in enumerate(candidates):
            self.image.addItem(layer.name, layer)
            if layer is chosen:
                self.image.setCurrentIndex(i)
        self.image.blockSignals(False)
        self.recount()
        useful = bool(candidates) and bool(self.truth.slices)
        self.image.setVisible(useful or len(candidates) > 1)
        self.kind.setVisible(useful)
        self.check.setEnabled(useful)
        if not useful or not self._touched:
            # What was loaded may be the truth to measure against: only what was painted here is taken without asking.
            self.check.setChecked(useful and was_painted(self.layer))
        self.summary.setText(self.truth.describe() if candidates else "no open image lies under it")

    def recount(self) -> None:
        image = self.image.currentData()
        area = image is not None and image_shape(image)[-2:] != tuple(self.layer.data.shape[-2:])
        self.truth = find_truth(self.layer, area=area)
        self.kind.setCurrentIndex(int(has_strokes(self.layer)))
        self.kind.setToolTip(str(self.kind.currentData(Qt.ItemDataRole.ToolTipRole)))

    def value(self) -> ChosenPair | None:
        image = self.image.currentData()
        if not self.check.isChecked() or image is None or not self.truth.slices:
            return None
        return ChosenPair(image, self.layer, self.truth, find_start(image, self.layer) or ())

    def _on_clicked(self) -> None:
        self._touched = True
        self.changed.emit()

    def _on_image(self, *_: object) -> None:
        self.changed.emit()

    def _on_kind(self, index: int) -> None:
        choose_strokes(self.layer, bool(index))
        self.recount()
        self.summary.setText(self.truth.describe())
        self.changed.emit()


class PairsList(QWidget):
    """One row for each labels layer of the viewer; those the user painted in are ticked."""

    changed = Signal()

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer = unwrap(viewer)
        self._rows: dict[Any, Row] = {}
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
    def rows(self) -> tuple[Row, ...]:
        return tuple(self._rows.values())

    def value(self) -> tuple[ChosenPair, ...]:
        """The ticked pairs, with their truth as of now, also where a script wrote into a layer."""
        for row in self.rows:
            forget_counts(row.layer)
        self.refresh()
        return tuple(pair for row in self.rows if (pair := row.value()) is not None)

    def refresh(self) -> None:
        """Follow the viewer's layers and count again."""
        layers = [layer for layer in self._viewer.layers if layer._type_string == "labels" and _trainable(layer)]
        for layer in [known for known in self._rows if known not in layers]:
            self._drop(layer)
        for layer in layers:
            if layer not in self._rows:
                row = self._rows[layer] = Row(layer)
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
    return not layer.multiscale and layer.data.ndim in (2, 3) and not is_preview(layer)
