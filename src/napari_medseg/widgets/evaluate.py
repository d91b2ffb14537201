"""The Evaluate dock: labels against a truth, figures per class, and the slices worth looking at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QCheckBox, QFileDialog, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_medseg._layers import classes_of, labels_from_layer
from napari_medseg.core import ClassInfo, Labels, MedsegError, Progress, Reporter

from .detection_view import DetectionView
from .findings_note import FindingsNote
from .job import describe_failure
from .layer_picker import LayerPicker
from .look import Dock, Rows, button, count, note, tighten
from .run_panel import RunPanel
from .score_tables import figure_words, fill_table, make_table, report_csv, worst_rows
from .slice_panels import SlicePanels

if TYPE_CHECKING:
    import napari.viewer

    from napari_medseg.evaluation.report import Report

_COLUMNS = ("dice", "iou", "precision", "recall", "hd95")
_SHORT = {"dice": "Dice", "precision": "Prec."}


@dataclass(frozen=True)
class Compared:
    """What an evaluation found, and the masks it compared.

    Attributes
    ----------
    places
        Index of each slice in the prediction and in the truth, by its name.
    """

    report: Report
    prediction: Labels
    truth: Labels
    places: dict[str, tuple[int, int]]


class EvaluateWidget(Dock):
    """Compares two labels layers; a click on one of the worst slices shows it."""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self.report: Report | None = None
        self._layer: Any = None
        self._compared: Compared | None = None
        self.prediction = LayerPicker(napari_viewer, "labels")
        self.truth = LayerPicker(napari_viewer, "labels")
        self.truth.box.setObjectName("truth")
        self.panels = SlicePanels(napari_viewer)
        self.merge = QCheckBox("All classes as one")
        self.merge.setObjectName("merge")
        self.merge.setToolTip("Score everything that is not background together, whatever its class")
        self.panel = RunPanel("Evaluate", tip="Compare the two labels layers slice by slice")
        self.findings = FindingsNote(most=3)
        self.scores = make_table("scores", ())
        self.worst = make_table("worst", ("Slice", "Class", "Dice"))
        self.worst.setToolTip("Click a slice to see it")
        self.detection = DetectionView()
        self.notes = note(name="notes")
        self.save = button("Save report…", "Save all figures, per slice and class, as JSON or CSV", "save_report")
        self._results = self._make_results()
        self.prediction.box.setToolTip("The labels layer to score")
        self.truth.box.setToolTip("The labels layer that is right")
        rows = Rows({"Prediction": self.prediction, "Truth": self.truth, "Image": self.panels.image, "": self.merge})
        for part in (rows, self.panel, self.findings, self._results):
            self.column.addWidget(part)
        self.column.addStretch(1)
        self._results.hide()
        self._connect()
        self._choose_truth()
        self._show_state()

    def close_down(self) -> None:
        self.panel.job.abandon()
        self.panels.close_down()
        self.viewer.layers.events.inserted.disconnect(self._choose_truth)
        self.prediction.close_down()
        self.truth.close_down()

    def _make_results(self) -> QWidget:
        results = QWidget()
        layout = QVBoxLayout(results)
        tighten(layout)
        self.worst_heading = QLabel("Worst slices")
        self.worst_heading.setProperty("heading", True)
        for part in (self.scores, self.detection, self.worst_heading, self.worst, self.panels, self.notes):
            layout.addWidget(part)
        row = QHBoxLayout()
        for saves in (self.panels.save, self.save):
            row.addWidget(saves)
        layout.addLayout(row)
        return results

    def _connect(self) -> None:
        self.prediction.changed.connect(self._show_state)
        self.truth.changed.connect(self._show_state)
        self.viewer.layers.events.inserted.connect(self._choose_truth)
        self.panel.clicked.connect(self._start)
        self.panel.job.finished.connect(self._show_report)
        self.panel.job.cancelled.connect(lambda: self.panel.tell("Stopped; nothing was compared."))
        self.worst.cellClicked.connect(self._jump)
        self.worst.currentCellChanged.connect(self._jump)
        self.save.clicked.connect(self._on_save)
        self.panels.told.connect(self.panel.tell)
        self.panels.failed.connect(self.panel.refuse)

    def _choose_truth(self, event: object = None) -> None:
        """Two pickers that show the same layer say nothing: take another one, best one called truth."""
        prediction = self.prediction.value()
        if prediction is None or self.truth.value() is not prediction:
            return
        others = [x for x in self.viewer.layers if x._type_string == "labels" and x is not prediction]
        if not others:
            return
        named = [x for x in others if "truth" in x.name.lower() or "mask" in x.name.lower()]
        if not named and "truth" in prediction.name.lower():
            self.prediction.set_value(others[-1])
        else:
            self.truth.set_value((named or others)[-1])

    def _show_state(self, *_: object) -> None:
        prediction, truth = self.prediction.value(), self.truth.value()
        self.findings.set_layers((prediction, truth))
        if prediction is None or truth is None:
            self.panel.set_blocked("Open or make two labels layers: a prediction and a truth.")
        elif prediction.multiscale or truth.multiscale:
            self.panel.set_blocked("The result of a whole slide is too large to compare: compare parts of it.")
        elif prediction is truth:
            alone = self.prediction.box.count() < 2
            more = "Open or make a second labels layer to compare with." if alone else "Choose two different layers."
            self.panel.set_blocked(more)
        else:
            self.panel.set_ready(f"Ready to compare “{prediction.name}” with “{truth.name}”.")

    def _start(self) -> None:
        layers = self.prediction.value(), self.truth.value()
        try:
            # Copies: the user may go on painting meanwhile.
            prediction, truth = (_snapshot(layer) for layer in layers)
        except MedsegError as error:
            self.panel.refuse(describe_failure(error))
            return
        self._layer, self._compared = layers[0], None
        self.panels.choose_image(layers[1])
        self._results.hide()
        work = partial(_evaluate, prediction, truth, self.merge.isChecked())
        self.panel.start(work, f"Evaluate {layers[0].name}", "Comparing…")

    def _show_report(self, result: Compared) -> None:
        from napari_medseg.evaluation.metrics import METRICS

        self._compared, self.report = result, (report := result.report)
        titles = [f"{_SHORT.get(m, METRICS[m].title)}{f' {report.unit}' * METRICS[m].physical}" for m in _COLUMNS]
        figures = {(s.value, s.metric): s.mean for s in report.summary}
        classes = dict.fromkeys((s.value, s.class_name) for s in report.summary)
        # The name has a row of its own above its figures: beside five of them there is no room to read it.
        rows = [
            row
            for value, name in classes
            for row in ([name], [figure_words(figures[value, metric], metric) for metric in _COLUMNS])
        ]
        fill_table(self.scores, rows, titles, wide=-1)
        self.scores.clearSpans()
        for y in range(0, len(rows), 2):
            self.scores.setSpan(y, 0, 1, len(_COLUMNS))
        worst = worst_rows(report)
        self._show_colors()
        self.worst.blockSignals(True)
        fill_table(self.worst, [[r.slice, r.class_name, figure_words(r.values["dice"], "dice")] for r in worst], wide=0)
        self.worst.setCurrentCell(-1, -1)
        self.worst.blockSignals(False)
        self.detection.show_detection(report.detection)
        for part in (self.scores, self.worst_heading, self.worst):
            part.setVisible(bool(rows))  # of a model that gives no masks there are no figures of masks
        self.panels.set_masks(result.prediction, result.truth)
        notes = report.notes()
        self.notes.setText("\n".join(notes))
        self.notes.setVisible(bool(notes))
        self._results.show()
        slices = len(report.detection.answers if report.detection else {row.slice for row in report.rows})
        compared = f"{count(slices, 'slice')} compared"
        self.panel.tell(f"{compared}; means over slices. Click a slice below to see it." if rows else f"{compared}.")

    def _show_colors(self) -> None:
        """A swatch in front of each class, as the layers show it."""
        colors = {c.name: c.color for layer in (self.truth.value(), self.prediction.value()) for c in _classes(layer)}
        for row in range(0, self.scores.rowCount(), 2):
            item = self.scores.item(row, 0)
            if item is not None and item.text() in colors:
                swatch = QPixmap(10, 10)
                swatch.fill(QColor(colors[item.text()]))
                item.setIcon(QIcon(swatch))

    def _jump(self, row: int, *_: int) -> None:
        item, compared = self.worst.item(row, 0), self._compared
        name = item.text() if item is not None else ""
        layer, place = self._layer, compared.places.get(name) if compared is not None else None
        self.panels.show_slice(place, name)
        if place is None or layer not in self.viewer.layers or layer.ndim < 3:
            return
        axis = self.viewer.dims.ndim - layer.ndim
        self.viewer.dims.set_point(axis, layer.data_to_world((place[0], *(0,) * (layer.ndim - 1)))[0])

    def _on_save(self) -> None:
        kinds = "JSON (*.json);;CSV (*.csv)"
        path, chosen = QFileDialog.getSaveFileName(self, "Save report", "report.json", kinds)
        if path:
            self.save_report(Path(path) if Path(path).suffix else Path(path + (".csv" if "csv" in chosen else ".json")))

    def save_report(self, path: Path) -> None:
        """Write the last report; the suffix ``.csv`` gives one line per slice and class, else JSON."""
        if self.report is None:
            return
        text = report_csv(self.report) if path.suffix.lower() == ".csv" else self.report.to_json()
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            self.panel.tell(f"The report cannot be written to {path}: {error.strerror}.", bad=True)
        else:
            self.panel.tell(f"Report saved in {path}.")


def _classes(layer: Any) -> tuple[ClassInfo, ...]:
    return classes_of(layer) if layer is not None else ()


def _snapshot(layer: Any) -> Labels:
    found = labels_from_layer(layer)
    return replace(found, data=np.array(found.data))


def _evaluate(prediction: Labels, truth: Labels, merge: bool, report: Reporter) -> Compared:
    from napari_medseg.evaluation import evaluate, match_slices
    from napari_medseg.evaluation.partners import laid_like

    report(Progress("Comparing"))
    prediction = laid_like(prediction, truth)
    result = evaluate(prediction, truth, merge=merge)
    report(Progress("Comparing"))
    places = {name: (p, t) for p, t, name in match_slices(prediction, truth)[0]}
    return Compared(result, prediction, truth, places)
