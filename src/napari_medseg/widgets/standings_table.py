"""The candidates of a comparison, the best first: what each has reached, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from napari_medseg.training.standings import COLUMNS, Comparison, Row

from .signals import Signal

_SHORT = {"round": "Rd.", "minutes": "min", "million weights": "Mill.", "ms an image": "ms"}
_TIPS = {
    "held-out Dice": "On slices that never train; ± half the distance between the best and the worst seed",
    "round": "The last round it was trained in",
    "minutes": "Of each of its trainings in that round",
    "million weights": "Parameters of the network, in millions",
    "ms an image": "Milliseconds for an image of 512 x 512 on this computer",
    "MiB": "Peak memory for an image of 512 x 512",
}
_STATES = {
    "waiting": "waiting",
    "training": "training…",
    "out": "out",
    "failed": "failed, see below",
    "not trained": "not trained",
}
_HEIGHT = 22
_MOST = 14


class StandingsTable(QTableWidget):
    """A row for the name of each candidate, one below for its figures if there are any; grey where it is not in."""

    chosen = Signal()

    def __init__(self) -> None:
        super().__init__(0, len(COLUMNS))
        self.setObjectName("standings")
        self._grey = QColor("grey")
        self._comparison: Comparison | None = None
        self.setIconSize(QSize(10, 10))
        self._name_columns(COLUMNS)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setShowGrid(False)
        for i, title in enumerate(COLUMNS):
            item = self.horizontalHeaderItem(i)
            if item is not None:
                item.setToolTip(_TIPS.get(title, title))
        rows, columns = self.verticalHeader(), self.horizontalHeader()
        if rows is not None:
            rows.hide()
            rows.setMinimumSectionSize(_HEIGHT)
            rows.setDefaultSectionSize(_HEIGHT)
        if columns is not None:
            columns.setMinimumSectionSize(20)
            columns.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            columns.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.itemSelectionChanged.connect(self.chosen)

    def value(self) -> Row | None:
        """The selected candidate, or the best; None before there is any."""
        if self._comparison is None:
            return None
        at = self.currentRow() // 2 if self.selectedItems() else 0
        return self._comparison.rows[at]

    def set_grey(self, color: QColor) -> None:
        """What those that are out are written in."""
        self._grey = color

    def show_standings(self, comparison: Comparison, colors: Mapping[str, str]) -> None:
        """Show the candidates; what is selected stays so wherever it goes."""
        before = self.value() if self.selectedItems() else None
        self._comparison = comparison
        self._name_columns(comparison.columns)
        self.blockSignals(True)
        self.clearSpans()
        self.setRowCount(2 * len(comparison.rows))
        for i, (row, name) in enumerate(zip(comparison.rows, comparison.names, strict=True)):
            self._show_row(2 * i, row, name, colors[row.candidate])
        self.clearSelection()
        if before is not None:
            names = [row.candidate for row in comparison.rows]
            self.selectRow(2 * names.index(before.candidate))
        self.blockSignals(False)
        header = self.horizontalHeader()
        if header is not None:
            shown = sum(not self.isRowHidden(y) for y in range(self.rowCount()))
            self.setFixedHeight(header.sizeHint().height() + _HEIGHT * min(shown, _MOST) + 6)

    def _name_columns(self, titles: Sequence[str]) -> None:
        self.setHorizontalHeaderLabels([_SHORT.get(title, title[0].upper() + title[1:]) for title in titles])

    def _show_row(self, y: int, row: Row, name: str, color: str) -> None:
        figures = row.figures
        told = _STATES.get(row.state, "")
        grey = row.state in ("out", "failed", "not trained")
        title = f"{name}  ·  {told}" if told else name
        swatch = QPixmap(10, 10)
        swatch.fill(self._grey if grey else QColor(color))
        # A figure that does not exist has a dash where others beside it do.
        cells = [title, *(figure or ("–" if row.round else "") for figure in figures)]
        for x, text in enumerate(cells):
            item = QTableWidgetItem(text)
            item.setToolTip(f"{row.candidate}: {row.reason}" if row.reason else row.candidate)
            if grey:
                item.setForeground(self._grey)
            if x == 0:
                item.setIcon(QIcon(swatch))
                self.setItem(y, 0, item)
            else:
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.setItem(y + 1, x - 1, item)
        self.setSpan(y, 0, 1, len(COLUMNS))
        self.setRowHidden(y + 1, not row.round)
