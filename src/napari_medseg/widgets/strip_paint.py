"""Drawing of the strip of slices: any number of slices on the pixels there are, and the words for its signs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QBrush, QColor, QFontMetrics, QPainter, QPen, QPolygonF

from napari_medseg.core.card import PALETTE

from .slice_states import SliceStates

BAR = 12
"""Height of the bar."""

Sign = Literal["corrected", "accepted", "held out", "suggested", "missing", "presence"]
Run = tuple[int, int]

_ORANGE, _BLUE, _GREEN = (QColor(c) for c in PALETTE[:3])
_WIDE = 9
"""From this width of a slice on, it is drawn in detail."""
_LEAST = 3.0
"""A slice that says something is never narrower than this."""


@dataclass(frozen=True)
class Colors:
    """Colours of napari's theme."""

    text: QColor
    background: QColor
    rail: QColor

    @property
    def dim(self) -> QColor:
        """Text that may be overlooked, but can be read."""
        dim = QColor(self.text)
        dim.setAlphaF(0.7)
        return dim


@dataclass(frozen=True)
class Bar:
    """Where slices are drawn.

    Attributes
    ----------
    x_of
        Middle of a slice, or of an array of slices, in pixels.
    pitch
        Width of a slice.
    width
        Pixels there are.
    scale
        Pixels of the screen for each pixel here.
    """

    x_of: Callable[[Any], Any]
    pitch: float
    width: float
    scale: float = 1.0

    def runs(self, slices: Iterable[int], *, apart: bool = True) -> list[Run]:
        """Pixels of the screen that slices cover, as starts and ends: never more runs than every other pixel.

        With ``apart`` wide neighbours have a gap between them, and narrow slices are as wide as can be seen.
        """
        z = np.fromiter(slices, float)
        if not z.size:
            return []
        gap = 1.0 if apart and self.pitch >= 5 else 0.0
        half = max(self.pitch - gap, _LEAST if apart else 0.0) / 2
        middle = np.asarray(self.x_of(z), float) - gap / 2
        return join_runs((middle - half) * self.scale, (middle + half) * self.scale, round(self.width * self.scale))


def join_runs(starts: npt.NDArray[Any], ends: npt.NDArray[Any], width: int) -> list[Run]:
    """Runs of pixels in 0…width that at least one interval covers, each interval at least one pixel wide."""
    first = np.clip(np.round(starts).astype(int), 0, width)
    last = np.clip(np.maximum(np.round(ends).astype(int), first + 1), 0, width)
    steps = np.zeros(width + 1, int)
    np.add.at(steps, first, 1)
    np.add.at(steps, last, -1)
    covered = np.concatenate([[False], np.cumsum(steps[:-1]) > 0, [False]])
    edges = np.flatnonzero(covered[1:] != covered[:-1])
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def draw_bar(painter: QPainter, bar: Bar, states: SliceStates, slices: int, colors: Colors) -> None:
    """Draw the states of all slices into the top of a widget."""
    painter.save()
    painter.scale(1 / bar.scale, 1 / bar.scale)
    height, scale = round(BAR * bar.scale), bar.scale
    ends = sorted(float(bar.x_of(z)) * scale for z in (-0.5, slices - 0.5))
    thin = QRectF(ends[0], round(height / 2 - scale / 2), ends[1] - ends[0], max(1, round(scale)))
    painter.fillRect(thin, colors.rail)
    filled = set(range(slices)) - states.missing if states.filled else ()
    for start, end in bar.runs(filled, apart=False):
        painter.fillRect(start, round(height / 2 - 2 * scale), end - start, round(4 * scale), colors.rail)
    for found, color in (
        (states.corrected - states.accepted, _ORANGE),
        (states.accepted, _GREEN),
        (states.held_out - states.done, colors.rail),
    ):
        for start, end in bar.runs(found - states.held_out):
            painter.fillRect(start, 0, end - start, height, color)
        for start, end in bar.runs(found & states.held_out):
            _draw_hollow(painter, QRectF(start, 0, end - start, height), color, colors, scale)
    painter.restore()
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    if bar.pitch >= _WIDE:
        for z in states.accepted:
            draw_tick(painter, QPointF(float(bar.x_of(z)) - 0.5, BAR / 2), colors, hollow=z in states.held_out)
    for z in reversed(states.suggested):
        draw_pointer(painter, float(bar.x_of(z)), colors)
    painter.restore()


def draw_seen(painter: QPainter, bar: Bar, z: float, colors: Colors) -> None:
    """Draw the frame round the slice that is shown."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    width = max(bar.pitch, 7.0)
    frame = QRectF(float(bar.x_of(z)) - width / 2, 0.0, width, BAR).adjusted(0, 0.75, 0, -0.75)
    for color, pen in ((colors.background, 3.5), (colors.text, 1.5)):
        painter.setPen(QPen(color, pen))
        painter.drawRoundedRect(frame, 1.5, 1.5)
    painter.restore()


def draw_tick(painter: QPainter, middle: QPointF, colors: Colors, *, hollow: bool = False) -> None:
    """Draw the tick of an accepted slice."""
    painter.setPen(QPen(colors.text if hollow else QColor("white"), 1.6))
    x, y = middle.x(), middle.y()
    painter.drawPolyline(QPolygonF([QPointF(x - 3, y), QPointF(x - 1, y + 2.5), QPointF(x + 3, y - 2.5)]))


def draw_pointer(painter: QPainter, x: float, colors: Colors) -> None:
    """Draw the arrow of a slice worth a look."""
    painter.setPen(QPen(colors.background, 1))
    painter.setBrush(QBrush(_BLUE))
    painter.drawPolygon(QPolygonF([QPointF(x - 5, 0), QPointF(x + 5, 0), QPointF(x, BAR - 2)]))


def signs_of(states: SliceStates) -> Iterator[tuple[Sign, str]]:
    """The signs that are on the bar, and their words."""
    if states.corrected - states.accepted:
        yield "corrected", states.painted
    if states.accepted:
        yield "accepted", "accepted"
    if states.held_out:
        yield "held out", "held out: only measures"
    if states.suggested:
        yield "suggested", "look here next"
    if states.missing:
        yield "missing", "no result yet"
    if states.presence:
        yield "presence", "how likely it holds something"


def draw_legend(
    painter: QPainter, rect: QRectF, signs: Sequence[tuple[Sign, str]], hints: Sequence[str], colors: Colors
) -> None:
    """Draw the words for the signs from the left and hints from the right; what does not fit is left out whole."""
    metrics = QFontMetrics(painter.font())
    middle = rect.center().y()
    x = rect.left()
    for sign, word in signs:
        width = metrics.horizontalAdvance(word)
        if x + 16 + width > rect.right():
            break
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.translate(x, middle - BAR / 2)
        _draw_sign(painter, sign, colors)
        painter.restore()
        painter.setPen(colors.text)
        painter.drawText(QRectF(x + 16, rect.top(), width + 2, rect.height()), Qt.AlignmentFlag.AlignVCenter, word)
        x += 16 + width + 14
    painter.setPen(colors.dim)
    for number in range(len(hints), 0, -1):
        text = "   ".join(hints[:number])
        if x + metrics.horizontalAdvance(text) <= rect.right():
            painter.drawText(rect, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, text)
            break


def _draw_sign(painter: QPainter, sign: Sign, colors: Colors) -> None:
    box = QRectF(0, 1, 11, BAR - 2)
    if sign == "suggested":
        draw_pointer(painter, 5.5, colors)
    elif sign == "presence":
        painter.setPen(QPen(colors.text, 1.5))
        painter.drawPolyline(QPolygonF([QPointF(0, 9), QPointF(3, 9), QPointF(5, 3), QPointF(8, 3), QPointF(11, 9)]))
    elif sign == "missing":
        painter.fillRect(QRectF(0, BAR / 2 - 0.5, 12, 1), colors.rail)
    elif sign == "held out":
        _draw_hollow(painter, box, _ORANGE, colors, 1.0)
    else:
        painter.fillRect(box, _GREEN if sign == "accepted" else _ORANGE)
        if sign == "accepted":
            draw_tick(painter, box.center(), colors)


def _draw_hollow(painter: QPainter, box: QRectF, color: QColor, colors: Colors, scale: float) -> None:
    """A frame with thin stripes; where there is no room for stripes, a line with a hole in its middle."""
    painter.fillRect(box, color)
    wide = box.width() >= 7 * scale
    inset = 1.5 * scale
    inner = box.adjusted(inset, inset, -inset, -inset) if wide else box.adjusted(0, 4 * scale, 0, -4 * scale)
    painter.fillRect(inner, colors.background)
    if wide:
        painter.save()
        painter.setClipRect(inner)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(color, scale))
        step, x = 3.5 * scale, inner.left()
        while x < inner.right() + inner.height():
            painter.drawLine(QPointF(x, inner.top()), QPointF(x - inner.height(), inner.bottom()))
            x += step
        painter.restore()
