"""Which part of the chosen image: slices of a stack as its slider counts them, or a part of a slide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_medseg.core import Image

from .look import tighten, unwrap
from .result_layer import shown_slice
from .scope_form import ScopeForm
from .signals import Signal
from .slices import find_axis
from .slide_scope import SlideScope

if TYPE_CHECKING:
    import napari.viewer

_DIMS = ("range", "order", "ndim", "ndisplay")


class ScopeRow(QWidget):
    """The form for stacks or the one for slides, whichever the image needs; of a single image neither.

    Attributes
    ----------
    slices, slide
        The two forms.
    """

    changed = Signal()

    def __init__(self, viewer: napari.viewer.Viewer, slide: SlideScope) -> None:
        super().__init__()
        self._viewer = unwrap(viewer)
        self._layer: Any = None
        self._image: Image | None = None
        self.slices, self.slide = ScopeForm(), slide
        layout = QVBoxLayout(self)
        tighten(layout)
        layout.addWidget(self.slices)
        layout.addWidget(self.slide)
        self.slices.changed.connect(self.changed)
        self._viewer.dims.events.current_step.connect(self._on_step)
        for name in _DIMS:
            getattr(self._viewer.dims.events, name).connect(self._on_dims)

    def close_down(self) -> None:
        """Stop listening to the viewer."""
        self._viewer.dims.events.current_step.disconnect(self._on_step)
        for name in _DIMS:
            getattr(self._viewer.dims.events, name).disconnect(self._on_dims)
        self.slide.close_down()
        self._layer = self._image = None

    @property
    def useful(self) -> bool:
        """Whether there is anything to choose."""
        return self._image is not None and (len(self._image) > 1 or bool(self._image.levels))

    def set_image(self, layer: Any, image: Image | None) -> None:
        """Fit the forms to an image."""
        self._layer, self._image = layer, image
        self.slices.setVisible(image is not None and len(image) > 1)
        self.slide.setVisible(image is not None and bool(image.levels))
        self._count()

    def describe(self) -> str:
        """What the choice means, in words."""
        if self._image is not None and self._image.levels:
            return self.slide.describe()
        return self.slices.describe(shown_slice(self._viewer, self._layer))

    def chosen_slices(self) -> str:
        """As `SegmentOptions.slices` takes it."""
        return self.slices.value(shown_slice(self._viewer, self._layer))

    def _count(self) -> None:
        """Let the slices count as the slider does."""
        axis = find_axis(self._viewer, self._layer) if self._image is not None else None
        slices = len(self._image) if self._image is not None else 1
        if axis is None:
            self.slices.set_count(slices)
        else:
            start, last = axis.number_of(0), axis.number_of(slices - 1)
            self.slices.set_count(slices, start, 1 if last >= start else -1)

    def _on_dims(self, event: object = None) -> None:
        self._count()
        self.changed.emit()

    def _on_step(self, event: object = None) -> None:
        if self.slices.this.isChecked():
            self.changed.emit()
