"""Where a slide's tissue is: found, shown, edited by the user, taken by the next run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QWidget

from napari_medseg._layers import METADATA, about_layer
from napari_medseg.core import Image, Progress, Reporter

from .job import Failure, Job
from .look import button, tighten, unwrap
from .placing import image_shape, place_part
from .signals import Signal

if TYPE_CHECKING:
    import napari.viewer

    from napari_medseg.inference.slides.tissue import Tissue

_TISSUE = "tissue"
_COLOR = "#009e73"


class TissueRow(QWidget):
    """Whether background is skipped, and a button that shows what counts as tissue as a layer that can be painted.

    ``told`` carries a sentence for the status line, ``failed`` a `Failure`.
    """

    changed = Signal()
    told = Signal(object)
    failed = Signal(object)

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = unwrap(viewer)
        self._asked: Any = None
        self.job = Job(self)
        self.skip = QCheckBox("Skip background")
        self.skip.setObjectName("skip_background")
        self.skip.setToolTip("Only tissue goes through the network; glass, found by its colour, counts as background")
        self.skip.setChecked(True)
        self.show_button = button(
            "Show", "Show what counts as tissue, as a labels layer: what you paint there is taken", "show_tissue"
        )
        self.setProperty("one_line", True)
        row = QHBoxLayout(self)
        tighten(row)
        row.addWidget(self.skip, 1)
        row.addWidget(self.show_button)
        self.skip.toggled.connect(self._on_skip)
        self.show_button.clicked.connect(self._on_show)
        self.job.finished.connect(self._on_found)
        self.job.failed.connect(self._on_failed)
        self._image_layer: Any = None
        self._image: Image | None = None

    def set_image(self, image_layer: Any, image: Image | None) -> None:
        """The slide that `painted` and the button are about."""
        self._image_layer, self._image = image_layer, image

    def close_down(self) -> None:
        """Stop looking."""
        self.job.abandon()
        self._image_layer = self._image = None

    def painted(self) -> Tissue | None:
        """The shown mask as it is painted now, or None where the run is to look by itself."""
        layer = find_tissue_layer(self._viewer, self._image_layer)
        if layer is None or not self.skip.isChecked():
            return None
        from napari_medseg.inference.slides.tissue import Tissue

        height, width = image_shape(self._image_layer)
        return Tissue.of_mask(np.array(layer.data), (height, width))

    def _on_skip(self, *_: object) -> None:
        self.show_button.setEnabled(self.skip.isChecked())
        self.changed.emit()

    def _on_show(self) -> None:
        layer, image = find_tissue_layer(self._viewer, self._image_layer), self._image
        if layer is not None:
            layer.visible = True
            self._viewer.layers.selection.active = layer
        elif image is not None and self.job.start(lambda report: _look(image, report), "Look for tissue"):
            self._asked = ref(self._image_layer)
            self.show_button.setEnabled(False)
            self.told.emit("Looking for tissue…")

    def _on_found(self, tissue: Tissue) -> None:
        self.show_button.setEnabled(self.skip.isChecked())
        image_layer = self._asked()
        if image_layer is None or image_layer not in self._viewer.layers:
            return
        show_tissue(self._viewer, image_layer, tissue)
        self.told.emit(
            f"{describe_share(tissue.share)} of the slide is tissue. Paint or erase in the layer to correct it: "
            "the next run takes it as it is then."
        )

    def _on_failed(self, failure: Failure) -> None:
        self.show_button.setEnabled(self.skip.isChecked())
        self.failed.emit(failure)


def describe_share(share: float) -> str:
    """``41 %``; what is not nothing and not all never reads as that."""
    if share in (0, 1):
        return f"{share:.0%}".replace("%", " %")
    return f"{min(99.9, max(0.1, 100 * share)):.{0 if 0.01 <= share < 0.99 else 1}f} %"


def show_tissue(viewer: napari.viewer.Viewer, image_layer: Any, tissue: Tissue) -> Any:
    """Add a small labels layer with a mask over the slide."""
    # The middle of the mask's first pixel is that of the pixels it stands for.
    start = tuple((scale - 1) / 2 for scale in tissue.scale)
    place = place_part(image_layer, start)  # type: ignore[arg-type]
    layer = viewer.add_labels(
        tissue.mask.astype(np.uint8),
        name=f"{image_layer.name} tissue",
        metadata={METADATA: {"preview": True, _TISSUE: image_layer.name}},
        colormap={None: _COLOR, 0: "transparent", 1: _COLOR},
        features={"index": [0, 1], "class": ["background: skipped", "tissue"]},
        opacity=0.35,
        **{**place, "scale": np.array(image_layer.scale) * tissue.scale},
    )
    layer.brush_size = max(3, round(max(tissue.mask.shape) / 60))
    return layer


def find_tissue_layer(viewer: napari.viewer.Viewer, image_layer: Any) -> Any:
    """The layer with a slide's tissue, or None."""
    if image_layer is None:
        return None
    for layer in reversed(viewer.layers):
        about = about_layer(layer)
        if layer._type_string == "labels" and about.get(_TISSUE) == image_layer.name:
            return layer
    return None


def _look(image: Image, report: Reporter) -> Tissue:
    from napari_medseg.inference.slides.tissue import find_tissue

    report(Progress("Looking for tissue"))
    return find_tissue(image)
