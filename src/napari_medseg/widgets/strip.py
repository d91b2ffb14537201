"""The strip below the slice slider: what is known of every slice, a click goes there."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any
from weakref import ref

from qtpy.QtCore import QEvent, QObject, QPoint, QPointF, QRect, QRectF, QSize, Qt, QTimer
from qtpy.QtGui import QColor, QHelpEvent, QMouseEvent, QPainter, QPaintEvent
from qtpy.QtWidgets import QScrollBar, QSizePolicy, QToolTip, QWidget

from napari_medseg._layers import about_layer

from .keys import bound_keys
from .look import unwrap
from .result_layer import image_of
from .signals import is_alive
from .slice_states import SliceStates, read_states
from .slices import LabelsInView, SliceAxis, go_to_slice
from .sliders import Travel, find_slider, handle_travel, put_below
from .strip_curve import CURVE, draw_curve
from .strip_paint import BAR, Bar, Colors, draw_bar, draw_legend, draw_seen, signs_of

if TYPE_CHECKING:
    import napari.viewer

_TOP, _BETWEEN = 1, 2
_NEAR = 4
"""Pixels within which a click takes a slice that says something rather than its plain neighbours."""


class Strip(QWidget):
    """A thin bar, as long as the slider's handle goes, with a sign for each slice of the labels layer in question.

    Hidden where there is no stack of labels, or where the slider does not run through its slices. Stands below the
    slider; in a napari that has no such place, in a dock at the bottom.

    Parameters
    ----------
    viewer
        A viewer with a window.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.setObjectName("slices")
        self.setAccessibleName("What is known of each slice")
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.hide()
        # Weakly: the session that keeps the strip must not keep a viewer that was closed.
        self._link = ref(unwrap(viewer))
        self._states = SliceStates()
        self._axis: SliceAxis | None = None
        self._slider: QScrollBar | None = None
        self._dock: Any = None
        self._closed = False
        self._colors = self._read_colors()
        self._view = LabelsInView(self._viewer, self)
        # Strokes and results come in bursts: one look for all of them, soon after the first.
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(40)
        self._soon.timeout.connect(self.refresh)
        self._view.changed.connect(self._ask)
        self._view.moved.connect(self.update)
        self._viewer.events.theme.connect(self._recolor)
        self.refresh()

    @property
    def _viewer(self) -> Any:
        return self._link()

    def states(self) -> SliceStates:
        """What the strip shows."""
        return self._states

    def refresh(self) -> None:
        """Look at the layer again."""
        if self._closed:
            return
        self._axis = self._view.axis
        if self._axis is not None:
            self._states = read_states(self._view.layer)
            self.updateGeometry()
            self._take_place(self._axis)
        (self._dock or self).setVisible(self._axis is not None)
        self.update()

    def close_down(self) -> None:
        """Stop listening, and leave the window."""
        if self._closed:
            return
        self._closed = True
        viewer = self._viewer
        if viewer is not None:
            viewer.events.theme.disconnect(self._recolor)
        self._view.close_down()
        if not is_alive(self):
            return  # gone with the window, and all that belongs to it
        self._soon.stop()
        self._follow(None)
        self.hide()
        if self._dock is not None and viewer is not None and is_alive(self._dock):
            viewer.window.remove_dock_widget(self._dock)
        self.setParent(None)
        self.deleteLater()

    # --- where it stands

    def _take_place(self, axis: SliceAxis) -> None:
        if self._dock is None and put_below(self._viewer, axis.axis, self):
            self._follow(find_slider(self._viewer, axis.axis))
        elif self._dock is None:
            self._dock = self._viewer.window.add_dock_widget(self, name="Slices", area="bottom")

    def _follow(self, slider: QScrollBar | None) -> None:
        """Draw again whenever the slider changes its place or length."""
        if slider is not self._slider:
            if self._slider is not None:
                self._slider.removeEventFilter(self)
                self._slider.destroyed.disconnect(self._forget)
            self._slider = slider
            if slider is not None:
                slider.installEventFilter(self)
                slider.destroyed.connect(self._forget)

    def _forget(self) -> None:
        self._slider = None
        self._ask()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        if event is not None and event.type() in (QEvent.Type.Resize, QEvent.Type.Move):
            self.update()
        return False

    def _ask(self) -> None:
        if not self._closed and not self._soon.isActive():
            self._soon.start()

    # --- how it looks

    @property
    def _lane(self) -> int:
        """Height of the place for the curve above the bar."""
        return CURVE + _BETWEEN if self._states.presence else 0

    def sizeHint(self) -> QSize:  # noqa: N802
        return QSize(200, _TOP + self._lane + BAR + _BETWEEN + self.fontMetrics().height())

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        return QSize(60, self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        if self._axis is None:
            return
        bar, travel = self._bar(self._axis), self._travel(self._axis)
        painter = QPainter(self)
        painter.translate(0, _TOP)
        if self._states.presence:
            draw_curve(painter, bar, self._states.presence, self._states.threshold, self._colors)
        painter.translate(0, self._lane)
        draw_bar(painter, bar, self._states, self._axis.slices, self._colors)
        # By where the slider stands, so that the frame and the handle never part.
        step = self._viewer.dims.current_step[self._axis.axis]
        if self._view.seen is not None:
            draw_seen(painter, bar, self._axis.slope * step + self._axis.offset, self._colors)
        painter.translate(0, BAR + _BETWEEN)
        left = max(4.0, travel.first - max(bar.pitch, 26.0) / 2)
        rect = QRectF(left, 0, self.width() - left - 4, self.height() - _TOP - self._lane - BAR - _BETWEEN)
        draw_legend(painter, rect, tuple(signs_of(self._states)), self._hints(), self._colors)
        painter.end()

    def _hints(self) -> list[str]:
        keys = bound_keys(self._viewer)
        return [f"{key}: {words}" for key, words in keys.items() if len(key) == 1 and key.isalpha()]

    def _recolor(self, event: object = None) -> None:
        self._colors = self._read_colors()
        self.update()

    def _read_colors(self) -> Colors:
        from napari.utils.theme import get_theme

        theme = get_theme(self._viewer.theme)
        parts = (theme.text, theme.background, theme.secondary)
        return Colors(*(QColor(c.as_hex(format="long")) for c in parts))

    def _travel(self, axis: SliceAxis) -> Travel:
        if self._slider is not None:
            return handle_travel(self._slider, axis.steps, self)
        half = (self.width() - 12) / axis.steps / 2
        return Travel(6 + half, self.width() - 6 - half, axis.steps)

    def _bar(self, axis: SliceAxis) -> Bar:
        travel = self._travel(axis)
        return Bar(
            lambda z: travel.x_of(axis.step_of(z)),
            travel.pitch / abs(axis.slope),
            self.width(),
            self.devicePixelRatioF(),
        )

    # --- what a pointer does

    def slice_at(self, x: float, *, snap: bool = False) -> int | None:
        """The slice at a place of the strip; with ``snap`` rather one that says something, if it is as near."""
        if self._axis is None:
            return None
        bar = self._bar(self._axis)
        z = self._axis.slice_at(self._travel(self._axis).step_at(x))
        telling = self._states.done.union(self._states.suggested) if snap and bar.pitch < _NEAR else frozenset()
        return min(
            (near for near in telling if abs(float(bar.x_of(near)) - x) <= _NEAR),
            key=lambda near: abs(float(bar.x_of(near)) - x),
            default=z,
        )

    def describe(self, z: int) -> str:
        """``slice 41 · 1-82.png · corrected``."""
        if self._axis is None:
            return ""
        name = self._file_of(z)
        parts = (f"slice {self._axis.number_of(z)}", name, self._states.describe(z))
        return " · ".join(part for part in parts if part)

    def _file_of(self, z: int) -> str:
        for layer in (self._view.layer, image_of(self._viewer, self._view.layer)):
            names = about_layer(layer).get("names", ()) if layer is not None else ()
            if self._axis is not None and len(names) == self._axis.slices:
                return str(names[z])
        return ""

    def event(self, event: QEvent | None) -> bool:
        if isinstance(event, QHelpEvent):
            self._show_tip(event.pos(), event.globalPos())
            return True
        if event is not None and event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.close_down()  # its dock was closed
        return bool(super().event(event))

    def _show_tip(self, place: QPoint, on_screen: QPoint) -> None:
        z = self.slice_at(place.x(), snap=True)
        if z is None:
            return
        keys = " · ".join(f"{key}: {words}" for key, words in bound_keys(self._viewer).items())
        text = f"<b>{html.escape(self.describe(z))}</b><br>Click or drag to go there"
        QToolTip.showText(on_screen, f"{text}<br>{html.escape(keys)}" if keys else text, self, QRect())

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        if event is not None and event.button() == Qt.MouseButton.LeftButton:
            self._go_to(event.position(), snap=True)

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        if event is not None and event.buttons() & Qt.MouseButton.LeftButton:
            self._go_to(event.position(), snap=False)

    def _go_to(self, place: QPointF, *, snap: bool) -> None:
        z = self.slice_at(place.x(), snap=snap)
        if z is not None:
            go_to_slice(self._viewer, self._view.layer, z)
