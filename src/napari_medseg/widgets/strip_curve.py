"""The curve above the strip of slices: how likely each slice is to hold anything, and from where on it counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPen, QPolygonF

from .strip_paint import Bar, Colors

CURVE = 22
"""Height of the curve."""


def draw_curve(painter: QPainter, bar: Bar, presence: Mapping[int, float], threshold: float, colors: Colors) -> None:
    """Draw probabilities of slices, 0 to 1 from bottom to top, into the top of a widget, and the threshold dashed."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    fill = QColor(colors.rail)
    level = _height(threshold)
    for x, y in _pieces(bar, presence):
        # The ends reach to the sides of their slices, so that a slice alone is seen.
        half = max(bar.pitch, 2.0) / 2
        points = [QPointF(float(a), float(b)) for a, b in zip(x, y, strict=True)]
        points = [QPointF(points[0].x() - half, points[0].y()), *points, QPointF(points[-1].x() + half, points[-1].y())]
        feet = [QPointF(points[-1].x(), CURVE), QPointF(points[0].x(), CURVE)]
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(fill)
        painter.drawPolygon(QPolygonF([*points, *feet]))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        # What is above the threshold stands out.
        for area, color in (
            (QRectF(0, 0, bar.width, level), colors.text),
            (QRectF(0, level, bar.width, CURVE), colors.dim),
        ):
            painter.save()
            painter.setClipRect(area)
            painter.setPen(QPen(color, 2.0 if color is colors.text else 1.0))
            painter.drawPolyline(QPolygonF(points))
            painter.restore()
    painter.setPen(QPen(colors.dim, 1, Qt.PenStyle.DashLine))
    painter.drawLine(QPointF(float(bar.x_of(min(presence))), level), QPointF(float(bar.x_of(max(presence))), level))
    painter.restore()


def _height(chance: float) -> float:
    return 1 + (1 - chance) * (CURVE - 2)


def _pieces(
    bar: Bar, presence: Mapping[int, float]
) -> Iterator[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """Places and heights of neighbouring slices; of many slices on one pixel the likeliest."""
    z = np.array(sorted(presence))
    heights = 1 + (1 - np.array([presence[int(i)] for i in z])) * (CURVE - 2)
    for part in np.split(np.arange(len(z)), np.flatnonzero(np.diff(z) > 1) + 1):
        x, y = np.asarray(bar.x_of(z[part].astype(float)), float), heights[part]
        if bar.pitch < 1:
            pixels, where = np.unique(np.round(x), return_inverse=True)
            highest = np.full(len(pixels), float(CURVE))
            np.minimum.at(highest, where, y)
            x, y = pixels, highest
        yield x, y
