"""The strip of slices: what it draws, where it stands, what a click on it does."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any
from weakref import ref

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QColor, QMouseEvent
from qtpy.QtWidgets import QStyle, QStyleOptionSlider, QToolTip

from napari_medseg.core.card import PALETTE
from napari_medseg.editing.corrections import corrections_of
from napari_medseg.widgets import sliders
from napari_medseg.widgets.keys import Keys
from napari_medseg.widgets.slice_states import SliceStates
from napari_medseg.widgets.strip import Strip
from napari_medseg.widgets.strip_paint import BAR

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

ORANGE, BLUE, GREEN = (QColor(c).rgb() for c in PALETTE[:3])
NAMES = [f"case 7-{z}.png" for z in range(30)]
INFO = {"napari_medseg": {"missing": list(range(20, 30)), "card": {"name": "x"}, "names": NAMES}}


@pytest.fixture
def strip(qtbot: Any, viewer: ViewerModel, monkeypatch: pytest.MonkeyPatch) -> Iterator[Strip]:
    """A strip of a viewer without a window, 612 pixels wide, its slices on 600 of them."""
    monkeypatch.setattr(Strip, "_take_place", lambda *_: None)
    made = Strip(viewer)
    made.resize(612, 30)
    yield made
    made.close_down()


def add_labels(viewer: ViewerModel, slices: int = 30, **kwargs: Any) -> Any:
    return viewer.add_labels(np.zeros((slices, 16, 16), np.uint8), **{"metadata": INFO, **kwargs})


def settle(qtbot: Any, strip: Strip) -> None:
    qtbot.waitUntil(lambda: not strip._soon.isActive(), timeout=20_000)


def place_of(strip: Strip, z: int) -> QPoint:
    assert strip._axis is not None
    return QPoint(round(float(strip._bar(strip._axis).x_of(z))), BAR // 2)


def drag(strip: Strip, place: QPoint) -> None:
    at, left = QPointF(place), Qt.MouseButton.LeftButton
    strip.mouseMoveEvent(QMouseEvent(QEvent.Type.MouseMove, at, at, left, left, Qt.KeyboardModifier.NoModifier))


def test_click_goes_to_that_slice_and_dragging_follows(qtbot: Any, viewer: ViewerModel, strip: Strip) -> None:
    """G5: also where the stack is a part of the slider's way, scaled and moved."""
    viewer.add_image(np.zeros((40, 16, 16)), scale=(2, 1, 1))
    layer = add_labels(viewer, scale=(2, 1, 1), translate=(8, 0, 0))
    settle(qtbot, strip)
    for z in (0, 17, 29):
        qtbot.mouseClick(strip, Qt.MouseButton.LeftButton, pos=place_of(strip, z))
        assert viewer.dims.current_step[0] == z + 4
        assert float(layer.world_to_data(viewer.dims.point)[0]) == pytest.approx(z)
    for z in (6, 9):
        drag(strip, place_of(strip, z))
        assert viewer.dims.current_step[0] == z + 4
    qtbot.mouseClick(strip, Qt.MouseButton.RightButton, pos=place_of(strip, 2))
    assert viewer.dims.current_step[0] == 13
    assert strip.describe(17) == "slice 21 · case 7-17.png · not looked at yet"


def test_click_among_thousands_takes_the_slice_that_says_something(
    qtbot: Any, viewer: ViewerModel, strip: Strip
) -> None:
    layer = add_labels(viewer, 5000)
    corrections_of(layer).set_suggested([2500])
    settle(qtbot, strip)
    x = place_of(strip, 2500).x()
    assert strip.slice_at(x + 2, snap=True) == 2500
    assert strip.slice_at(x + 2) != 2500
    assert strip.slice_at(x + 20, snap=True) != 2500


def test_tip_names_slice_file_and_state_and_the_keys(
    qtbot: Any, viewer: ViewerModel, strip: Strip, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(QToolTip, "showText", lambda place, text, *_: told.append(text))
    strip._show_tip(QPoint(5, 5), QPoint(0, 0))
    assert not told
    corrections_of(add_labels(viewer)).accept(12)
    settle(qtbot, strip)
    keys = Keys(viewer)
    strip._show_tip(place_of(strip, 12), QPoint(0, 0))
    keys.close_down()
    assert "slice 12 · case 7-12.png · accepted" in told[0]
    assert "A: accept" in told[0]
    assert "N: next suggested" in told[0]


def test_names_of_files_come_from_the_image_where_the_labels_have_none(
    qtbot: Any, viewer: ViewerModel, strip: Strip
) -> None:
    viewer.add_image(np.zeros((30, 16, 16)), metadata=INFO)
    add_labels(viewer, metadata={})
    settle(qtbot, strip)
    assert strip.describe(4) == "slice 4 · case 7-4.png · not looked at yet"


def test_hidden_wherever_the_slider_does_not_run_through_the_slices(
    qtbot: Any, viewer: ViewerModel, strip: Strip
) -> None:
    """G5, G9."""

    def hidden() -> bool:
        settle(qtbot, strip)
        return bool(strip.isHidden())

    assert hidden()
    viewer.add_image(np.zeros((30, 16, 16)))
    assert hidden()
    layer = add_labels(viewer)
    assert not hidden()
    viewer.dims.ndisplay = 3
    assert hidden()
    viewer.dims.ndisplay = 2
    assert not hidden()
    viewer.dims.order = (1, 0, 2)
    assert hidden()
    viewer.dims.order = (0, 2, 1)
    assert not hidden()
    viewer.layers.remove(layer)
    assert hidden()
    viewer.add_labels(np.zeros((16, 16), np.uint8))
    assert hidden()


def test_burst_of_strokes_is_one_look(
    qtbot: Any, viewer: ViewerModel, strip: Strip, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = add_labels(viewer)
    settle(qtbot, strip)
    looks: list[int] = []
    monkeypatch.setattr("napari_medseg.widgets.strip.read_states", lambda _: (looks.append(1), SliceStates())[1])
    for z in range(10):
        corrections_of(layer).accept(z)
    assert not looks
    settle(qtbot, strip)
    assert len(looks) == 1


def test_closed_strip_hears_nothing_more(qtbot: Any, viewer: ViewerModel, strip: Strip) -> None:
    """G11."""
    layer = add_labels(viewer)
    settle(qtbot, strip)
    strip.close_down()
    corrections_of(layer).accept(1)
    viewer.theme = "light"
    viewer.dims.set_current_step(0, 3)
    viewer.layers.clear()
    assert not strip._soon.isActive()


def test_strip_and_keys_do_not_keep_a_closed_viewer(qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """G11."""
    monkeypatch.setattr(Strip, "_take_place", lambda *_: None)
    viewer = ViewerModel()
    link, strip, keys = ref(viewer), Strip(viewer), Keys(viewer)
    del viewer
    gc.collect()
    assert link() is None
    strip.close_down()
    keys.close_down()


# --- in the window


def handle_middle(viewer: Any, strip: Strip, axis: int = 0) -> float:
    """Where the middle of the slider's handle is now, in pixels of the strip."""
    slider = viewer.window._qt_viewer.dims.slider_widgets[axis].slider
    option = QStyleOptionSlider()
    slider.initStyleOption(option)
    control, part = QStyle.ComplexControl.CC_ScrollBar, QStyle.SubControl.SC_ScrollBarSlider
    handle = slider.style().subControlRect(control, option, part, slider)
    left = slider.mapTo(strip.window(), QPoint(0, 0)).x() - strip.mapTo(strip.window(), QPoint(0, 0)).x()
    return float(left + handle.x() + handle.width() / 2)


def frame_middle(strip: Strip) -> float:
    """Where the middle of the frame is, in a picture of the strip: nothing else reaches so low between two states."""
    image = strip.grab().toImage()
    scale = image.devicePixelRatio()
    back = strip._colors.background.lightness()
    row = [abs(image.pixelColor(x, round(10 * scale)).lightness() - back) for x in range(image.width())]
    lit = [x for x, light in enumerate(row) if light > 40]
    return (min(lit) + max(lit) + 1) / 2 / scale


def test_strip_stands_below_the_slider_its_frame_under_the_handle_and_shows_each_colour(
    qtbot: Any, make_napari_viewer: Callable[..., Any]
) -> None:
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(800, 500)
    strip = Strip(viewer)
    home = viewer.window._qt_viewer.dims
    for slices in (2, 7, 93, 5000, 30):
        viewer.layers.clear()
        layer = add_labels(viewer, slices)
        qtbot.waitUntil(
            lambda: strip.isVisible() and strip.width() == home.width() and not strip._soon.isActive(), timeout=20_000
        )
        qtbot.waitUntil(lambda: 0 <= strip.y() - home.slider_widgets[0].geometry().bottom() < 8, timeout=20_000)
        for z in (0, slices // 2, slices - 1):
            viewer.dims.set_current_step(0, z)
            assert abs(frame_middle(strip) - handle_middle(viewer, strip)) <= 1.0
    layer.data_setitem((np.array([3]), np.array([2]), np.array([2])), 1)
    corrections_of(layer).accept(10)
    corrections_of(layer).set_suggested([15])
    settle(qtbot, strip)
    for theme in ("dark", "light"):
        viewer.theme = theme
        for z, color in ((3, ORANGE), (10, GREEN), (15, BLUE)):
            viewer.dims.set_current_step(0, z)
            x = handle_middle(viewer, strip)
            viewer.dims.set_current_step(0, 0)
            image = strip.grab().toImage()
            scale = image.devicePixelRatio()
            columns = [
                {image.pixel(round((x + away) * scale), y) for y in range(round(BAR * scale))} for away in (-5, 0, 60)
            ]
            assert color in columns[0] | columns[1]
            assert color not in columns[2]
        assert image.pixelColor(1, 1) == strip._colors.background
    keys = Keys(viewer)
    canvas = viewer.window._qt_viewer.canvas.native
    qtbot.keyClick(canvas, "n")
    assert viewer.dims.current_step[0] == 15
    # napari writes its coordinates over the first try, from a thread.
    qtbot.waitUntil(lambda: viewer.status == "Slice 15: suggestion 1 of 1, most doubtful first", timeout=20_000)
    qtbot.keyClick(canvas, "a")
    assert corrections_of(layer).accepted == {10, 15}
    settle(qtbot, strip)
    assert strip.states().accepted == {10, 15}
    keys.close_down()
    viewer.add_image(np.zeros((2, 3, 30, 16, 16)))
    viewer.layers.selection.active = layer
    qtbot.waitUntil(
        lambda: home.layout().indexOf(strip) == home.layout().indexOf(home.slider_widgets[2]) + 1, timeout=20_000
    )
    qtbot.waitUntil(lambda: 0 <= strip.y() - home.slider_widgets[2].geometry().bottom() < 8, timeout=20_000)
    strip.close_down()
    assert home.layout().indexOf(strip) < 0


def test_in_a_napari_without_that_place_it_is_a_dock_at_the_bottom(
    qtbot: Any, make_napari_viewer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sliders, "sliders_widget", lambda viewer: None)
    viewer = make_napari_viewer()
    strip = Strip(viewer)
    assert "Slices" not in viewer.window.dock_widgets
    add_labels(viewer)
    settle(qtbot, strip)
    assert "Slices" in viewer.window.dock_widgets
    assert not strip._dock.isHidden()
    strip.resize(600, 30)
    qtbot.mouseClick(strip, Qt.MouseButton.LeftButton, pos=place_of(strip, 20))
    assert viewer.dims.current_step[0] == 20
    viewer.layers.clear()
    settle(qtbot, strip)
    assert strip._dock.isHidden()
    strip.close_down()
    assert "Slices" not in viewer.window.dock_widgets


def test_window_that_closes_takes_the_strip_along(qtbot: Any, make_napari_viewer: Callable[..., Any]) -> None:
    """G3, G11: whichever goes first."""
    viewer = make_napari_viewer()
    strip, keys = Strip(viewer), Keys(viewer)
    add_labels(viewer)
    viewer.close()
    strip.close_down()
    keys.close_down()
