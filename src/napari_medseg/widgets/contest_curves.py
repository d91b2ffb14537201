"""Held-out Dice of every candidate of a comparison over the minutes of its training."""

from __future__ import annotations

from collections.abc import Mapping

import pyqtgraph as pg
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_medseg.training.standings import Comparison

from .curves import color_plot, make_plot, name_plot, show_from_tenth
from .look import tighten


class ContestCurves(QWidget):
    """One line for each seed of a candidate's latest round, in its colour; grey and thin where it is out."""

    def __init__(self) -> None:
        super().__init__()
        self.plot = make_plot("held-out Dice over minutes")
        self._grey = "grey"
        layout = QVBoxLayout(self)
        tighten(layout)
        layout.addWidget(self.plot)
        self.setFixedHeight(150)
        self.setToolTip("Colours as in the table below; grey: out. Each training starts anew, at minute 0.")

    def set_colors(self, text: str, background: str, grey: str) -> None:
        """Use the theme's colours."""
        self._grey = grey
        color_plot(self.plot, text, background)

    def show_standings(self, comparison: Comparison, colors: Mapping[str, str]) -> None:
        """Draw all curves; those of the best lie on top."""
        self.plot.clear()
        name_plot(self.plot, f"{comparison.columns[0]} over minutes")
        for row in reversed(comparison.rows):
            out = row.state in ("out", "failed")
            color = self._grey if out else colors[row.candidate]
            for curve in row.curves:
                pen = pg.mkPen(color, width=1 if out else 2)
                self.plot.plot(
                    [*curve.minutes], [*curve.dice], pen=pen, symbol=None if out else "o", symbolSize=4,
                    symbolBrush=color, symbolPen=None,
                )  # fmt: skip
        shown = [dice for row in comparison.rows for curve in row.curves for dice in curve.dice]
        show_from_tenth(self.plot, shown)
        self.setVisible(bool(shown))

    def close_down(self) -> None:
        """Let go of the plot's scene, which otherwise lives on."""
        self.plot.close()
