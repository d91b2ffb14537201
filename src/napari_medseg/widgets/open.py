"""The Open dock: look first at what a folder or files hold, put the spacing right, then open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QWidget

from napari_medseg._layers import LayerDataTuple, image_layer_data, labels_layer_data
from napari_medseg.core import Geometry, Progress, Reporter

from .empty_state import open_dock
from .job import Failure, Job
from .look import Dock, Rows, button, count, note, tighten
from .run_panel import RunPanel
from .spacing_form import SpacingForm

if TYPE_CHECKING:
    import napari.viewer

    from napari_medseg.io.series import Series

Source = Path | list[Path]

_WAITING = "Choose a folder that holds a series, or files, or drop them here."


class OpenWidget(Dock):
    """Opens series and images as layers after a look at their order, completeness and spacing."""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self.setAcceptDrops(True)
        self._source: Source | None = None
        self._found: Series | None = None
        self._look = Job(self)
        self.folder = button("Folder…", "Choose the folder that holds the slices", "folder")
        self.files = button("Files…", "Choose one file, or the files of one series", "files")
        self.name = note(name="name")
        self.series = QComboBox()
        self.series.setObjectName("series")
        self.series.setToolTip("The folder holds several series: the one to open")
        self.summary = note(name="summary")
        self.kind = QComboBox()
        self.kind.setObjectName("kind")
        self.kind.addItems(["Image", "Masks"])
        self.kind.setToolTip("Masks become a labels layer: their values are classes")
        self.spacing = SpacingForm()
        self.findings = note(name="findings")
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
            }
        )
        for part in (choose, self._form, self.findings, self.panel, self.segment):
            self.column.addWidget(part)
        self.column.addStretch(1)
        self.segment.hide()
        self._connect()
        self._show_found(None)
        self.panel.set_blocked(_WAITING)

    def look_at(self, source: Source) -> None:
        """Show what a folder, a file or several files hold; nothing is opened yet."""
        self._source = source
        self._show_found(None)
        self.segment.hide()
        self._inspect(None)

    def close_down(self) -> None:
        self._look.abandon()
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
        self.series.activated.connect(lambda: self._inspect(self.series.currentData()))
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

        patterns = " ".join(f"*{s}" for form in FORMATS for s in form.suffixes)
        chosen, _ = QFileDialog.getOpenFileNames(
            self, "Images", self._start_folder(), f"Images ({patterns});;All files (*)"
        )
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
        if not self._look.start(partial(_inspect, self._source, series), "Look at files"):
            self._look.stop()  # its end asks again, for the newer source
            return
        self.panel.set_blocked("Looking…")

    def _on_look_failed(self, failure: Failure) -> None:
        self._show_found(None)
        self.panel.set_blocked("")
        self.panel.refuse(failure)

    def _show_found(self, result: tuple[Source, Series] | None) -> None:
        if result is not None and result[0] != self._source:
            self._inspect(None)  # another source was chosen meanwhile
            return
        found = self._found = result[1] if result is not None else None
        self._form.setVisible(found is not None)
        lines = [f.message for f in found.findings] if found is not None else []
        self.findings.setText("\n".join(f"⚠ {line}" for line in lines))
        self.findings.setVisible(bool(lines))
        if found is None:
            return
        self.name.setText(found.source.name)
        self.name.setToolTip(str(found.source))
        self.summary.setText(describe_series(found))
        if found.groups:
            self._show_groups(found)
        several = self.series.count() > 1 and (bool(found.groups) or self.series.currentData() is not None)
        self._form.show_row(self.series, several)
        self._form.show_row(self.spacing, found.kind != "images")
        self.spacing.set_value(found.geometry)
        self.kind.setCurrentIndex(int(_looks_like_masks(self._source, found)))
        self._show_ready()

    def _show_groups(self, found: Series) -> None:
        self.series.blockSignals(True)
        self.series.clear()
        self.series.addItem("choose…", None)
        for group in found.groups:
            self.series.addItem(f"{group.label} ({count(len(group.files), 'file')})", group.label)
        self.series.blockSignals(False)

    def _show_ready(self, *_: object) -> None:
        found = self._found
        if found is None:
            return
        if found.groups:
            self.panel.set_blocked("Choose one of the series in this folder.")
        elif found.kind == "images" and self.kind.currentIndex() == 1:
            self.panel.set_blocked("These masks are no series: open them one by one.")
        elif not self.spacing.value().known and found.kind != "images":
            self.panel.set_ready("Ready to open; correct the spacing if you know it.")
        else:
            self.panel.set_ready("Ready to open.")

    # --- opening

    def _start(self) -> None:
        if self._source is None or self._found is None or self._look.running:
            return
        wanted = self.spacing.value()
        geometry = None if self._found.kind == "images" or wanted == self._found.geometry else wanted
        series = self.series.currentData() if not self.series.isHidden() else None
        work = partial(_open, self._source, self.kind.currentIndex() == 1, geometry, series)
        self.panel.start(work, f"Open {self._found.source.name}", "Opening…")

    def _add(self, layers: Sequence[LayerDataTuple]) -> None:
        added: list[Any] = []
        for data, kwargs, kind in layers:
            layer = getattr(self.viewer, f"add_{kind}")(data, **kwargs)
            added += layer if isinstance(layer, list) else [layer]
        names = f"“{added[0].name}”" if len(added) == 1 else count(len(added), "layer")
        self.panel.tell(f"{names} opened.")
        self.segment.setVisible(any(kind == "image" for *_, kind in layers))


def describe_series(found: Series) -> str:
    """Number, first and last name, size, colours and depth: what to check before opening."""
    height, width = found.shape
    what = "image" if found.kind == "images" else "slice"
    lines = [count(found.count, what)]
    if len(found.files) > 1:
        lines[0] += f": {found.files[0].name} … {found.files[-1].name}"
    colors = "RGB" if found.color else "grey" if found.channels == 1 else f"{found.channels} channels"
    size = f"first {width}×{height}" if found.kind == "images" else f"{width}×{height}"
    depth = f"{8 * found.dtype.itemsize} bit" + (" decimal" if found.dtype.kind == "f" else "")
    return "\n".join([*lines, f"{size} · {colors} · {depth}"])


def _looks_like_masks(source: Source | None, found: Series) -> bool:
    from napari_medseg.io.sidecar import sidecar_path

    if isinstance(source, Path) and sidecar_path(source, folder=source.is_dir()).is_file():
        return True
    return not found.color and found.source.stem.lower() in ("mask", "masks", "label", "labels")


def _inspect(source: Source, series: str | None, report: Reporter) -> tuple[Source, Series]:
    from napari_medseg.io.series import find_series

    return source, find_series(source, series=series)


def _open(
    source: Source, masks: bool, geometry: Geometry | None, series: str | None, report: Reporter
) -> list[LayerDataTuple]:
    from napari_medseg import io

    report(Progress("Opening"))
    if masks:
        labels = io.read_labels(source)
        return [labels_layer_data(labels if geometry is None else replace(labels, geometry=geometry))]
    if io.inspect(source).kind == "images" and series is None:
        return [image_layer_data(image) for image in io.read_set(source)]
    if geometry is None:
        return [image_layer_data(io.read(source, series=series))]
    return [image_layer_data(io.read(source, spacing=geometry.spacing, unit=geometry.unit, series=series))]
