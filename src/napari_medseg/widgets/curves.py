"""Loss and held-out Dice while training, the old model dashed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_medseg.core import PALETTE

from .look import tighten

_NEW, _OLD, _LOSS = PALETTE[1], PALETTE[0], PALETTE[6]


class Curves(QWidget):
    """Two small plots that grow with `add`; axes in the theme's text colour.

    Parameters
    ----------
    unit
        What the horizontal axis counts.
    """

    def __init__(self, unit: str = "") -> None:
        super().__init__()
        self.loss, self.dice = make_plot("loss"), make_plot("held-out Dice")
        self.dice.setYRange(0, 1, padding=0.04)
        self._lines = {
            "loss": self.loss.plot(pen=pg.mkPen(_LOSS, width=2)),
            "dice": self.dice.plot(pen=pg.mkPen(_NEW, width=2), symbol="o", symbolSize=4, symbolBrush=_NEW),
            "old_dice": self.dice.plot(pen=pg.mkPen(_OLD, width=2, style=Qt.PenStyle.DashLine)),
        }
        self._points: dict[str, list[tuple[float, float]]] = {}
        layout = QHBoxLayout(self)
        tighten(layout)
        for plot in (self.loss, self.dice):
            layout.addWidget(plot, 1)
        self.setFixedHeight(130)
        self.setToolTip("Blue: the model in training. Orange, dashed: the model it started from.")
        self.clear()

    def clear(self, figure: str = "Dice") -> None:
        """Start with empty plots; ``figure`` is what is measured on held-out slices."""
        name_plot(self.dice, f"held-out {figure}")
        self._points = {name: [] for name in self._lines}
        for line in self._lines.values():
            line.setData([], [])
        self.dice.show()

    def settle(self) -> None:
        """The run is over: a plot that nothing was measured for makes room."""
        self.dice.setVisible(bool(self._points["dice"] or self._points["old_dice"]))

    def add(self, x: float, metrics: Mapping[str, float]) -> None:
        """Add the figures of one moment; names that are not drawn are passed over."""
        x = max([x, *(points[-1][0] for points in self._points.values() if points)])
        for name, value in metrics.items():
            points = self._points.get(name)
            if points is None or math.isnan(value):
                continue
            if name == "dice" and points and points[-1][1] == value:
                continue  # reported again between two validations
            points.append((x, float(value)))
            if name == "old_dice":
                # One figure for the whole run: a level line from the start to now.
                points[:] = [(0.0, float(value)), (max(x, 1e-6), float(value))]
            self._lines[name].setData([p[0] for p in points], [p[1] for p in points])
        self._stretch_old(x)
        show_from_tenth(self.dice, [y for name in ("dice", "old_dice") for _, y in self._points[name]])

    def latest(self, name: str) -> float | None:
        """The last value drawn under this name."""
        points = self._points.get(name)
        return points[-1][1] if points else None

    def set_colors(self, text: str, background: str) -> None:
        """Use the theme's colours."""
        for plot in (self.loss, self.dice):
            color_plot(plot, text, background)

    def close_down(self) -> None:
        """Let go of the plots' scenes, which otherwise live on."""
        for plot in (self.loss, self.dice):
            plot.close()

    def _stretch_old(self, x: float) -> None:
        points = self._points["old_dice"]
        if points:
            points[-1] = (max(x, 1e-6), points[-1][1])
            self._lines["old_dice"].setData([p[0] for p in points], [p[1] for p in points])


def make_plot(title: str) -> Any:
    """A plot to look at only."""
    plot = pg.PlotWidget()
    plot.name, plot.color = title, "grey"
    plot.setMenuEnabled(False)
    plot.setMouseEnabled(False, False)
    plot.hideButtons()
    for side in ("left", "bottom"):
        plot.getAxis(side).setStyle(maxTickLevel=0, tickLength=-4)
    plot.getAxis("left").setWidth(None)  # as wide as its figures: those that do not fit are not drawn
    plot.getAxis("bottom").setHeight(20)
    return plot


def color_plot(plot: Any, text: str, background: str) -> None:
    """Give a plot of `make_plot` the theme's colours."""
    plot.setBackground(background)
    for side in ("left", "bottom"):
        axis = plot.getAxis(side)
        axis.setPen(pg.mkPen(text, width=1))
        axis.setTextPen(text)
    plot.color = text
    name_plot(plot, plot.name)


def name_plot(plot: Any, title: str) -> None:
    """Give a plot of `make_plot` another title."""
    plot.name = title
    plot.setTitle(title, color=plot.color, size="9pt")


def show_from_tenth(plot: Any, shown: Sequence[float]) -> None:
    """Show Dice down to the tenth below the lowest: the difference between 0.95 and 0.98 is what people wait for."""
    if shown:
        plot.setYRange(max(0.0, math.floor(10 * min(shown) - 0.5) / 10), 1, padding=0.04)
