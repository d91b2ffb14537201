"""Where napari keeps its slice sliders: nothing of that is public in napari 0.9, so all of it is here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QPoint
from qtpy.QtWidgets import QScrollBar, QStyle, QStyleOptionSlider, QVBoxLayout, QWidget

if TYPE_CHECKING:
    import napari.viewer


@dataclass(frozen=True)
class Travel:
    """How far the middle of a slider's handle goes, in a widget's pixels: at the first step and at the last."""

    first: float
    last: float
    steps: int

    @property
    def pitch(self) -> float:
        """Pixels from one step to the next."""
        return (self.last - self.first) / max(1, self.steps - 1)

    def x_of(self, step: Any) -> Any:
        """Where the middle of the handle stands at a step, or at an array of them."""
        return self.first + self.pitch * step

    def step_at(self, x: float) -> float:
        """The step, not rounded, with the handle's middle at ``x``."""
        return (x - self.first) / self.pitch if self.pitch else 0.0


def sliders_widget(viewer: napari.viewer.Viewer) -> QWidget | None:
    """The widget below the canvas that holds the sliders; None when this napari has no such place."""
    window = getattr(viewer, "window", None)
    found = getattr(getattr(window, "_qt_viewer", None), "dims", None)
    return found if isinstance(found, QWidget) and isinstance(found.layout(), QVBoxLayout) else None


def find_slider(viewer: napari.viewer.Viewer, axis: int) -> QScrollBar | None:
    """The slider of one of the viewer's axes, or None."""
    rows = getattr(sliders_widget(viewer), "slider_widgets", ())
    found = getattr(rows[axis], "slider", None) if axis < len(rows) else None
    return found if isinstance(found, QScrollBar) else None


def put_below(viewer: napari.viewer.Viewer, axis: int, widget: QWidget) -> bool:
    """Put a widget directly below the slider of an axis; False when this napari has no such place."""
    home, slider = sliders_widget(viewer), find_slider(viewer, axis)
    layout = home.layout() if home is not None else None
    row = slider.parentWidget() if slider is not None else None
    if not isinstance(layout, QVBoxLayout) or row is None or layout.indexOf(row) < 0:
        return False
    if layout.indexOf(widget) != layout.indexOf(row) + 1:
        layout.removeWidget(widget)
        layout.insertWidget(layout.indexOf(row) + 1, widget)
    return True


def handle_travel(slider: QScrollBar, steps: int, widget: QWidget) -> Travel:
    """How far a slider's handle goes, in the pixels of another widget of the same window."""
    option = QStyleOptionSlider()
    slider.initStyleOption(option)
    style, control = slider.style(), QStyle.ComplexControl.CC_ScrollBar
    if style is None:
        return Travel(0.0, widget.width(), steps)
    groove = style.subControlRect(control, option, QStyle.SubControl.SC_ScrollBarGroove, slider)
    handle = style.subControlRect(control, option, QStyle.SubControl.SC_ScrollBarSlider, slider)
    window = slider.window()
    start = slider.mapTo(window, QPoint(0, 0)).x() - widget.mapTo(window, QPoint(0, 0)).x() + groove.x()
    return Travel(start + handle.width() / 2, start + groove.width() - handle.width() / 2, steps)
