"""Choosing an image or a labels layer; follows the viewer's layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from qtpy.QtWidgets import QComboBox, QVBoxLayout, QWidget

from napari_medseg._layers import image_from_layer, is_preview, lead_of, leads
from napari_medseg.core import Image, MedsegError, lengths_in_words

from .look import count, note, tighten, unwrap
from .signals import Signal

if TYPE_CHECKING:
    import napari.viewer

_LAYER_EVENTS = ("inserted", "removed", "reordered", "renamed")


def describe_image(image: Image) -> str:
    """Slices, size, kind of values and pixel size in one line: ``93 slices · 512×512 · 8 bit · 0.8 mm``."""
    height, width = image.shape[-2:]
    kinds = ["RGB"] if image.meaning == "RGB" else [_words_for_dtype(image.data.dtype)]
    if image.meaning != "RGB" and image.channels > 1:
        kinds = [count(image.channels, "channel"), *kinds]
    parts = [count(len(image), "slice" if image.is_stack else "image"), f"{width}×{height}", *kinds]
    if image.geometry.known:
        scale = 1e-3 if image.geometry.unit == "um" else 1.0
        parts.append(lengths_in_words(*(scale * size for size in image.geometry.spacing[-2:])))
    return " · ".join(parts)


def _words_for_dtype(dtype: Any) -> str:
    return f"{8 * dtype.itemsize} bit" if dtype.kind in "iu" else "true/false" if dtype.kind == "b" else "decimal"


class LayerPicker(QWidget):
    """A list of the viewer's images or labels layers, newest first chosen; channels of an image are one.

    ``changed`` is emitted with the layer (or None) when another one is chosen, or when the chosen one changes in a way
    that matters: other data, scale or units.
    """

    changed = Signal(object)

    def __init__(self, viewer: napari.viewer.Viewer, kind: Literal["image", "labels"]) -> None:
        super().__init__()
        self._viewer = viewer = unwrap(viewer)
        self._kind = kind
        self._watched: Any = None
        self.box = QComboBox()
        self.box.setObjectName(kind)
        self.box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.box.setMinimumContentsLength(12)
        self.summary = note()
        layout = QVBoxLayout(self)
        tighten(layout)
        layout.setSpacing(2)
        layout.addWidget(self.box)
        layout.addWidget(self.summary)
        for name in _LAYER_EVENTS:
            getattr(viewer.layers.events, name).connect(self._refresh)
        self.box.currentIndexChanged.connect(self._on_chosen)
        self._refresh()

    def value(self) -> Any:
        """The chosen layer, or None."""
        return self.box.currentData()

    def set_value(self, layer: Any) -> None:
        """Choose a layer of the viewer, or the image that a layer shows a channel of."""
        if layer is not None and self._kind == "image":
            layer = lead_of(layer, self._viewer.layers)
        index = next((i for i in range(self.box.count()) if self.box.itemData(i) is layer), -1)
        if index >= 0:
            self.box.setCurrentIndex(index)

    def close_down(self) -> None:
        """Stop listening to the viewer."""
        for name in _LAYER_EVENTS:
            getattr(self._viewer.layers.events, name).disconnect(self._refresh)
        self._watch(None)
        self.box.blockSignals(True)
        self.box.clear()

    def _refresh(self, event: object = None) -> None:
        chosen = self.value()
        layers = [x for x in self._viewer.layers if x._type_string == self._kind and not is_preview(x)]
        layers = [*reversed(leads(layers) if self._kind == "image" else layers)]
        self.box.blockSignals(True)
        self.box.clear()
        for layer in layers:
            self.box.addItem(layer.name, layer)
        self.set_value(chosen)
        self.box.setEnabled(bool(layers))
        if not layers:
            self.box.addItem(f"no {self._kind if self._kind == 'labels' else 'image'} layer yet", None)
        self.box.blockSignals(False)
        if self.value() is not chosen or chosen is None:
            self._on_chosen()

    def _on_chosen(self, *_: object) -> None:
        self._watch(self.value())
        self._on_layer_changed()

    def _watch(self, layer: Any) -> None:
        for watched, act in ((self._watched, "disconnect"), (layer, "connect")):
            if watched is not None:
                for name in ("data", "scale", "units"):
                    getattr(getattr(watched.events, name), act)(self._on_layer_changed)
        self._watched = layer

    def _on_layer_changed(self, event: object = None) -> None:
        layer = self.value()
        text = ""
        if layer is not None and self._kind == "image":
            try:
                text = describe_image(image_from_layer(layer))
            except MedsegError as error:
                text = str(error)
        self.summary.setText(text)
        self.summary.setVisible(bool(text))
        self.changed.emit(layer)
