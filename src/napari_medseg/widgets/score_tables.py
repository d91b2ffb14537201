"""Tables of figures in a dock: made, filled, and as text for a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

if TYPE_CHECKING:
    from napari_medseg.evaluation.report import Report, Row

_WORST = 12


def report_csv(report: Report) -> str:
    """One line per slice and class with every metric; empty cells are figures that do not exist.

    Of a model that gives no masks, one line per slice with its answer.
    """
    metrics = list(dict.fromkeys(s.metric for s in report.summary))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if not report.rows and report.detection is not None:
        writer.writerow(["slice", "truth", "predicted", "probability"])
        for one in report.detection.answers:
            writer.writerow([one.slice, int(one.truth), int(one.predicted), one.probability])
        return text.getvalue()
    writer.writerow(["slice", "value", "class", "true_positive", "false_positive", "false_negative", *metrics])
    for r in report.rows:
        counts = (r.true_positive, r.false_positive, r.false_negative)
        writer.writerow([r.slice, r.value, r.class_name, *counts, *(r.values.get(m) for m in metrics)])
    return text.getvalue()


def worst_rows(report: Report) -> list[Row]:
    """Slices and classes of the lowest Dice, lowest first."""
    scored = [row for row in report.rows if row.values.get("dice") is not None]
    return sorted(scored, key=lambda row: row.values["dice"] or 0.0)[:_WORST]


def figure_words(figure: float | None, metric: str = "") -> str:
    """A figure as the tables show it."""
    return "–" if figure is None else f"{figure:.1f}" if metric == "hd95" else f"{figure:.3f}"


def make_table(name: str, titles: tuple[str, ...]) -> QTableWidget:
    """An empty table that is only read."""
    table = QTableWidget(0, len(titles))
    table.setObjectName(name)
    table.setTextElideMode(Qt.TextElideMode.ElideMiddle)  # classes often differ in their last word
    table.setIconSize(QSize(10, 10))
    table.setHorizontalHeaderLabels(list(titles))
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    table.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
    rows = table.verticalHeader()
    if rows is not None:
        rows.hide()
        rows.setDefaultSectionSize(24)
    return table


def fill_table(table: QTableWidget, rows: list[list[str]], titles: Sequence[str] = (), *, wide: int) -> None:
    """Show rows of text; figures stand right, the column ``wide`` takes what room is left, -1: all the same."""
    if titles:
        table.setColumnCount(len(titles))
        table.setHorizontalHeaderLabels(titles)
    table.setRowCount(len(rows))
    for y, row in enumerate(rows):
        for x, text in enumerate(row):
            item = QTableWidgetItem(text)
            item.setToolTip(text)
            if x > wide and len(row) > 1:
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            table.setItem(y, x, item)
    header = table.horizontalHeader()
    if header is not None:
        if wide < 0:
            header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        else:
            header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            header.setSectionResizeMode(wide, QHeaderView.ResizeMode.Stretch)
        table.setFixedHeight(header.sizeHint().height() + 24 * min(len(rows), 8) + 6)
