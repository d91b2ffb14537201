"""The panels of an evaluation: that of the chosen slice in the dock, all of them into a folder."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from napari_medseg._layers import image_from_layer
from napari_medseg.core import Image, Labels, MedsegError, Progress, Reporter

from .job import Job
from .layer_picker import LayerPicker
from .look import button, count, tighten, unwrap
from .panel_view import PanelView, draw_small
from .signals import Signal

if TYPE_CHECKING:
    import napari.viewer

    from napari_medseg.evaluation.panels import NamedPanel


class SlicePanels(QWidget):
    """Draws masks that were compared, on the image that is chosen.

    Attributes
    ----------
    image, save
        The list of image layers and the button that writes all panels, for whoever lays them out.
    """

    told = Signal(str)
    failed = Signal(object)

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = unwrap(viewer)
        self._masks: tuple[Labels, Labels] | None = None
        self._shown: tuple[tuple[int, int] | None, str] = (None, "")
        self._job = Job(self)
        self.image = LayerPicker(viewer, "image")
        self.image.box.setToolTip("What panels are drawn on; figures do not need it")
        self.view = PanelView()
        self.save = button("Save panels…", "Draw every slice as image, truth and prediction (PNG)", "save_panels")
        layout = QVBoxLayout(self)
        tighten(layout)
        layout.addWidget(self.view)
        self.image.changed.connect(self._refresh)
        self.save.clicked.connect(self._on_save)
        self._job.finished.connect(self._on_drawn)
        self._job.failed.connect(self.failed)
        for ended in (self._job.finished, self._job.failed, self._job.cancelled):
            ended.connect(self._refresh)

    def close_down(self) -> None:
        self._job.abandon()
        self.view.close_down()
        self.image.close_down()

    @property
    def drawing(self) -> bool:
        """Whether panels are being written."""
        return self._job.running

    def choose_image(self, truth: Any) -> None:
        """Choose an image layer of the size of the truth's; what is chosen stays if it has it."""
        layers = [self.image.value(), *(x for x in reversed(self._viewer.layers) if x._type_string == "image")]
        fitting = (x for x in layers if x is not None and tuple(x.data.shape[: truth.ndim]) == tuple(truth.data.shape))
        self.image.set_value(next(fitting, self.image.value()))

    def set_masks(self, prediction: Labels, truth: Labels) -> None:
        """What panels are made of from now on."""
        self._masks = prediction, truth
        self.show_slice(None, "")

    def show_slice(self, place: tuple[int, int] | None, name: str) -> None:
        """Show the slice that lies there in the prediction and in the truth; None shows none."""
        self._shown = place, name
        self._refresh()

    def write(self, folder: Path) -> None:
        """Draw all slices that were compared into an empty folder."""
        image = self._image()
        if image is not None and self._masks is not None:
            self.told.emit(f"Drawing panels into {folder}…")
            self._job.start(partial(_draw, folder, image, self._masks), "Draw panels")
            self._refresh()

    def _image(self) -> Image | None:
        layer = self.image.value()
        try:
            return None if layer is None or layer.multiscale else image_from_layer(layer)
        except MedsegError:
            return None

    def _refresh(self, *_: object) -> None:
        image, (place, name) = self._image(), self._shown
        self.save.setEnabled(image is not None and not self.drawing)
        if image is None or place is None or self._masks is None:
            self.view.show_panel(None)
            return
        prediction, truth = self._masks
        try:
            panel = draw_small(image, (prediction, place[0]), (truth, place[1]))
        except MedsegError as error:
            self.view.show_panel(None, str(error))
        else:
            self.view.show_panel(panel, f"{name}: image, truth, prediction")

    def _on_save(self) -> None:
        if chosen := QFileDialog.getExistingDirectory(self, "New or empty folder for the panels"):
            self.write(Path(chosen))

    def _on_drawn(self, drawn: tuple[int, Path]) -> None:
        self.told.emit(f"{count(drawn[0], 'panel')} saved in {drawn[1]}.")


def _draw(folder: Path, image: Image, masks: tuple[Labels, Labels], report: Reporter) -> tuple[int, Path]:
    from napari_medseg.evaluation.panels import check_folder, draw_pairs, write_panels

    check_folder(folder)

    def drawn() -> Iterator[NamedPanel]:
        for panel in draw_pairs([image], [masks]):
            report(Progress("Drawing"))
            yield panel

    return write_panels(folder, drawn()), folder
