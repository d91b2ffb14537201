"""Slides in a real window: what is in view comes first, and a painted pixel is the slide's own pixel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from napari.utils.interactions import mouse_press_callbacks, mouse_release_callbacks
from slide_stage import Threshold, add_slide, make_result, stained

from napari_medseg.core import ModelCard
from napari_medseg.inference.options import SegmentOptions
from napari_medseg.widgets import slide_part
from napari_medseg.widgets.placing import find_view
from napari_medseg.widgets.slide_result import find_slide_result, show_result
from napari_medseg.widgets.visible import Visible
from napari_medseg.widgets.work_area import find_work_area

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

CROSS = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))


def world_at(viewer: Any, x: float, y: float) -> Any:
    """Where a place of the canvas, as parts of its width and height, lies in the world."""
    canvas = viewer.window._qt_viewer.canvas
    height, width = canvas.size
    return np.array(canvas._map_canvas2world((x * width, y * height), canvas.view)[-2:])


def stroke(layer: Any, world: Any) -> None:
    """One click of the brush."""
    event = SimpleNamespace(
        type="mouse_press", position=tuple(world), is_dragging=False, button=1, modifiers=(), view_direction=None,
        dims_displayed=[0, 1], dims_point=[0, 0], handled=False, pos=(0, 0), inverted_transform=None,
    )  # fmt: skip
    mouse_press_callbacks(layer, event)
    event.type = "mouse_release"
    mouse_release_callbacks(layer, event)


@pytest.mark.parametrize("turned", [0, 30])
def test_cross_painted_where_one_sees_a_pixel_comes_back_on_that_pixel_of_the_slide(
    qtbot: Any, make_napari_viewer: Callable[..., Any], cards: list[ModelCard], tmp_path: Path, turned: float
) -> None:
    viewer = make_napari_viewer(show=True)
    slide = add_slide(viewer, rotate=turned)
    pyramid = make_result(tmp_path / "r.ome.zarr", classes=cards[1].classes)
    pyramid.put(slice(0, 1300), slice(0, 1700), np.zeros((1300, 1700), np.uint8))
    result = show_result(viewer, slide, pyramid, cards[1], SegmentOptions())
    _, dock = viewer.window.add_plugin_dock_widget("napari-medseg", "Segment")
    wanted = np.zeros((1300, 1700), np.uint8)
    for zoom, middle in ((1.3, (600, 700)), (9.7, (300.2, 512.9)), (40.0, (803.51, 640.49))):
        viewer.scene.camera.center = (0, *slide.data_to_world(middle))
        viewer.scene.camera.zoom = zoom
        qtbot.wait(1)
        viewer.layers.selection.active = result
        with qtbot.waitSignal(dock.slide.correct.job.finished):
            dock.slide.correct.correct.click()
        area = find_work_area(viewer)
        area.brush_size = 1
        for place in ((0.5, 0.5), (0.31, 0.67)):
            center = np.array(slide.world_to_data(world_at(viewer, *place)))
            for step in CROSS:
                # A pixel is painted wherever in it the brush comes down.
                stroke(area, slide.data_to_world(center + step))
                wanted[tuple(np.round(center).astype(int) + step)] = 1
        with qtbot.waitSignal(dock.slide.correct.job.finished):
            dock.slide.correct.put_back.click()
        np.testing.assert_array_equal(np.argwhere(pyramid.levels[0][:]), np.argwhere(wanted), str(zoom))


def test_what_is_in_view_is_computed_first_and_follows_the_view(
    qtbot: Any, make_napari_viewer: Callable[..., Any], cards: list[ModelCard], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Threshold(at=0)
    monkeypatch.setattr(slide_part, "segment_slide", engine)
    viewer = make_napari_viewer(show=True)
    slide = add_slide(viewer)
    _, dock = viewer.window.add_plugin_dock_widget("napari-medseg", "Segment")
    dock.panel.run.click()
    qtbot.waitUntil(lambda: bool(engine.orders))
    viewer.scene.camera.center = (0, *slide.data_to_world((1280, 1690)))
    viewer.scene.camera.zoom = 60
    # Asked for each time: a window that was just opened may still change its size.
    qtbot.waitUntil(lambda: engine.orders[0].focus() == find_view(viewer, slide), timeout=30_000)
    seen = find_view(viewer, slide)
    assert seen[0].start > 1024
    assert seen[1].start > 1536
    engine.free.set()
    qtbot.waitUntil(lambda: not dock.panel.job.running)
    assert engine.did[0] == (2, 3)
    assert engine.orders[0].focus() is None, "it no longer follows"
    layer = find_slide_result(viewer, slide)
    np.testing.assert_array_equal(layer.data[0], (stained()[..., 0] < 150))


def test_nothing_is_in_view_in_3d_or_beside_the_slide(qtbot: Any, make_napari_viewer: Callable[..., Any]) -> None:
    """G5."""
    viewer = make_napari_viewer(show=True)
    slide = add_slide(viewer)
    visible = Visible(viewer, slide)
    assert visible() is not None
    viewer.scene.camera.center = (0, 1e6, 1e6)
    qtbot.waitUntil(lambda: visible() is None)
    visible.close_down()
