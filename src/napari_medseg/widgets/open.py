"""The Open dock: look first at what a folder or files hold, put the spacing right, then open."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QWidget

from napari_medseg._layers import LayerDataTuple, image_from_layer, leads, lies_straight
from napari_medseg.core import Image, MedsegError

from .empty_state import open_dock
from .findings_note import FindingsNote
from .job import Failure, Job
from .look import Dock, Rows, button, count, note, tighten
from .opening import IMAGE, MASKS, OUTLINES, Found, Source, Wish, look, read_layers
from .run_panel import RunPanel
from .series_chooser import SeriesChooser
from .slices import find_axis
from .spacing_form import SpacingForm
from .window_bar import WindowBar

if TYPE_CHECKING:
    import napari.viewer

_WAITING = "Choose a folder that holds a series, or files, or drop them here."


class OpenWidget(Dock):
    """Opens series and images as layers after a look at their order, completeness and spacing."""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self.setAcceptDrops(True)
        self._source: Source | None = None
        self._found: Found | None = None
        self._look = Job(self)
        self.folder = button("Folder…", "Choose the folder that holds the slices", "folder")
        self.files = button("Files…", "Choose one file, or the files of one series", "files")
        self.name = note(name="name")
        self.series = SeriesChooser()
        self.summary = note(name="summary")
        self.kind = QComboBox()
        self.kind.setObjectName("kind")
        self.spacing = SpacingForm()
        self.place = QComboBox()
        self.place.setObjectName("place")
        self.place.addItems(["As acquired, to look at and paint", "In the patient, to compare in 3D"])
        self.place.setToolTip(
            "The slices lie obliquely or upright in the patient. As acquired, each is seen whole. In the patient, they "
            "lie right beside other series in 3D, but the slider may cut across them. Saved masks are right either way."
        )
        self.findings = FindingsNote()
        self.windows = WindowBar()
        self.panel = RunPanel("Open", tip="Add it to the viewer as a layer")
        self.segment = button("Segment…", "Segment an image with a model", "segment")
        choose = QWidget()
        row = QHBoxLayout(choose)
        tighten(row)
        row.addWidget(self.folder, 1)
        row.addWidget(self.files, 1)
        self._form = Rows(
            {
                "Source": self.name,
                "Series": self.series,
                "Holds": self.summary,
                "As": self.kind,
                "Spacing": self.spacing,
                "Place": self.place,
            }
        )
        for part in (choose, self._form, self.findings, self.panel, self.windows, self.segment):
            self.column.addWidget(part)
        self.column.addStretch(1)
        self.segment.hide()
        self._connect()
        self._show_found(None)
        self.panel.set_blocked(_WAITING)

    def look_at(self, source: Source) -> None:
        """Show what a folder, a file or several files hold; nothing is opened yet."""
        self._source = source
        self.series.set_groups(None, ())
        self._show_found(None)
        self.segment.hide()
        self.windows.set_layer(None)
        self._inspect(None)

    def close_down(self) -> None:
        self._look.abandon()
        self.series.job.abandon()
        self.windows.set_layer(None)
        self.panel.job.abandon()

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:  # noqa: N802
        if event is not None and (mime := event.mimeData()) is not None and mime.hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:  # noqa: N802
        if event is None or (mime := event.mimeData()) is None:
            return
        paths = [Path(url.toLocalFile()) for url in mime.urls() if url.isLocalFile()]
        if paths:
            event.acceptProposedAction()
            self.look_at(paths[0] if len(paths) == 1 else paths)

    def _connect(self) -> None:
        self.folder.clicked.connect(self._choose_folder)
        self.files.clicked.connect(self._choose_files)
        self.series.chosen.connect(self._inspect)
        self.kind.currentIndexChanged.connect(self._show_ready)
        self.spacing.changed.connect(self._show_ready)
        self._look.finished.connect(self._show_found)
        self._look.failed.connect(self._on_look_failed)
        self.panel.clicked.connect(self._start)
        self.panel.job.finished.connect(self._add)
        self.panel.job.cancelled.connect(lambda: self.panel.tell("Stopped; nothing was opened."))
        self.segment.clicked.connect(lambda: open_dock(self.viewer, "Segment"))

    def _choose_folder(self) -> None:
        if chosen := QFileDialog.getExistingDirectory(self, "Folder of a series", self._start_folder()):
            self.look_at(Path(chosen))

    def _choose_files(self) -> None:
        from napari_medseg.io import FORMATS
        from napari_medseg.io.outlines.registry import outline_formats

        images, outlines = (
            " ".join(dict.fromkeys(f"*{s}" for form in forms for s in form.suffixes))
            for forms in (FORMATS, outline_formats())
        )
        filters = f"Images and masks ({images});;Outlines ({outlines});;All files (*)"
        chosen, _ = QFileDialog.getOpenFileNames(self, "Images", self._start_folder(), filters)
        if chosen:
            paths = [Path(p) for p in chosen]
            self.look_at(paths[0] if len(paths) == 1 else paths)

    def _start_folder(self) -> str:
        source = self._source[0] if isinstance(self._source, list) else self._source
        return str(source.parent) if source is not None else ""

    # --- the look

    def _inspect(self, series: str | None) -> None:
        if self._source is None:
            return
        if not self._look.start(partial(look, self._source, series), "Look at files"):
            self._look.stop()  # its end asks again, for the newer source
            return
        self.panel.set_blocked("Looking…")

    def _on_look_failed(self, failure: Failure) -> None:
        self._show_found(None)
        self.panel.set_blocked("")
        self.panel.refuse(failure)

    def _show_found(self, found: Found | None) -> None:
        if found is not None and found.source != self._source:
            self._inspect(None)  # another source was chosen meanwhile
            return
        self._found = found
        self._form.setVisible(found is not None or self.series.count() > 1)
        self.findings.set_value(())
        if found is None:
            return
        self.name.setText(found.name)
        self.name.setToolTip(str(self._source))
        self.summary.setText(found.describe())
        series = found.series
        if series is not None and series.groups and not self.series.count():
            self.series.set_groups(found.source, series.groups)
        # What all of several series hold together is no use to anybody.
        decided = not self._must_choose()
        self.findings.set_value(f for f in found.findings if f.code != "SEVERAL_SERIES")
        for part in (self.summary, self.kind):
            self._form.show_row(part, decided)
        stack = decided and series is not None and series.kind != "images"
        self._form.show_row(self.series, self.series.count() > 1)
        self._form.show_row(self.spacing, stack)
        self._form.show_row(self.place, stack and series is not None and not lies_straight(series.geometry))
        if series is not None:
            self.spacing.usual = "um" if series.levels else "mm"
            self.spacing.set_value(series.geometry)
        self._show_kinds(found.kind)
        self._show_ready()

    def _show_kinds(self, kind: str) -> None:
        """Offer what the files can be opened as."""
        offered = {OUTLINES: "Outlines become shapes", MASKS: "Masks become a labels layer: their values are classes"}
        kinds = [OUTLINES, MASKS] if kind == OUTLINES else [IMAGE, MASKS]
        self.kind.blockSignals(True)
        self.kind.clear()
        self.kind.addItems(kinds)
        self.kind.setCurrentText(kind)
        self.kind.setToolTip("; ".join(text for key, text in offered.items() if key in kinds))
        self.kind.blockSignals(False)

    def _must_choose(self) -> bool:
        found = self._found.series if self._found is not None else None
        return found is not None and bool(found.groups) and self.series.value() is None

    def _show_ready(self, *_: object) -> None:
        found = self._found
        if found is None:
            return
        is_set = found.series is not None and found.series.kind == "images"
        as_masks = self.kind.currentText() == MASKS
        if self._must_choose():
            self.panel.set_blocked("Choose one of the series above.")
        elif is_set and as_masks:
            self.panel.set_blocked("These masks are no series: open them one by one.")
        elif found.kind == OUTLINES and as_masks and self._image_beside() is None:
            self.panel.set_blocked("Open the image first: outlines are filled into its size.")
        elif found.series is not None and not is_set and not self.spacing.value().known:
            self.panel.set_ready("Ready to open; correct the spacing if you know it.")
        else:
            self.panel.set_ready("Ready to open.")

    def _image_beside(self) -> Image | None:
        """The image that outlines and masks without a place of their own are laid on: the newest that fits."""
        found = self._found
        for layer in reversed(self.viewer.layers):
            if layer._type_string != "image" or found is None:
                continue
            try:
                image = image_from_layer(layer)
            except MedsegError:
                continue
            shape = found.series.shape if found.series is not None else None
            if shape is None or (image.shape[-2:] == shape and len(image) == found.series.count):  # type: ignore[union-attr]
                return image
        return None

    # --- opening

    def _start(self) -> None:
        found = self._found
        if self._source is None or found is None or self._look.running:
            return
        wanted = self.spacing.value()
        fixed = found.series is None or found.series.kind == "images" or wanted == found.series.geometry
        kind = self.kind.currentText()
        wish = Wish(
            self._source, kind,
            geometry=None if fixed else wanted,
            series=self.series.value(),
            title=self.series.title(),
            in_patient=not self.place.isHidden() and self.place.currentIndex() == 1,
            image=self._image_beside() if kind != IMAGE else None,
        )  # fmt: skip
        self.panel.start(partial(read_layers, wish), f"Open {found.name}", "Opening…")

    def _add(self, layers: Sequence[LayerDataTuple]) -> None:
        first = not len(self.viewer.layers)
        added = [getattr(self.viewer, f"add_{kind}")(data, **kwargs) for data, kwargs, kind in layers]
        if not first and not self._in_view(added[0]):
            self.viewer.reset_view()
        images = leads(layer for layer in added if layer._type_string == "image")
        one = len(added) == 1 or len(images) == 1
        if one and images:
            self._show_slices(images[0])
            self.viewer.layers.selection.active = images[0]
        names = f"“{added[0].name}”" if one else count(len(images) or len(added), "image" if images else "layer")
        channels = f", each of its {len(added)} channels as a layer" if one and len(added) > 1 else ""
        self.panel.tell(f"{names} opened{channels}.{self._show_whole(added[0])}")
        self.segment.setVisible(bool(images))
        self.windows.set_layer(images[0] if images else None)

    def _show_whole(self, layer: Any) -> str:
        """Switch to 3D for slices that the slider would cut across; says so."""
        if len(layer.scale) < 3 or layer.data.shape[0] < 2 or find_axis(self.viewer, layer) is not None:
            return ""
        self.viewer.dims.ndisplay = 3
        self.viewer.reset_view()
        return " It is shown in 3D, where its slices lie right; in 2D the slider cuts across them."

    def _in_view(self, layer: Any) -> bool:
        """Whether the middle of a layer lies within the others: series of one patient may lie far apart."""
        others = [other.extent.world for other in self.viewer.layers if other is not layer]
        low, high = layer.extent.world
        middle = (low + high) / 2
        n = len(middle)
        return any((least[-n:] <= middle).all() and (middle <= most[-n:]).all() for least, most in others)

    def _show_slices(self, layer: Any) -> None:
        """Move sliders that stand off a new image to its middle."""
        low, high = layer.extent.world
        first = self.viewer.dims.ndim - len(low)
        for axis in range(len(low) - 2):
            if not low[axis] <= self.viewer.dims.point[first + axis] <= high[axis]:
                self.viewer.dims.set_point(first + axis, (low[axis] + high[axis]) / 2)
