"""What a model says of slices, in the window: a curve above the strip, and links to the slices that hold something."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtGui import QColor, QImage, QPainter

from napari_medseg._layers import labels_from_layer, labels_layer_data, positive_in
from napari_medseg.core import Progress
from napari_medseg.widgets.positive_slices import PositiveSlices
from napari_medseg.widgets.result_layer import find_answered
from napari_medseg.widgets.result_writer import ResultWriter
from napari_medseg.widgets.slice_states import read_states
from napari_medseg.widgets.strip import Strip
from napari_medseg.widgets.strip_curve import CURVE, draw_curve
from napari_medseg.widgets.strip_paint import Bar, Colors

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

TEXT, GROUND = QColor("white"), QColor("black")
CHANCES = {z: 0.9 if 4 <= z <= 7 or z == 12 else 0.1 for z in range(20)} | {6: 0.97}


def add_labels(
    viewer: ViewerModel, presence: dict[int, float] | None = None, filled: tuple[int, ...] = (), **more: Any
) -> Any:
    """Labels of a model with a threshold of 0.3 that outlined something in some slices."""
    info: dict[str, Any] = {"missing": [], "card": {"name": "x", "presence": 0.3}, **more}
    if presence is not None:
        info["presence"] = presence
    data = np.zeros((20, 16, 16), np.uint8)
    data[list(filled), 4, 4] = 1
    return viewer.add_labels(data, metadata={"napari_medseg": info})


@pytest.fixture
def strip(qtbot: Any, viewer: ViewerModel, monkeypatch: pytest.MonkeyPatch) -> Iterator[Strip]:
    monkeypatch.setattr(Strip, "_take_place", lambda *_: None)
    made = Strip(viewer)
    yield made
    made.close_down()


@pytest.mark.parametrize("threshold", [0.3, 0.75])
def test_the_curve_stands_out_above_the_threshold_only(qtbot: Any, threshold: float) -> None:
    image = QImage(200, CURVE, QImage.Format.Format_RGB32)
    image.fill(GROUND)
    bar = Bar(lambda z: 10.0 * (z + 0.5), 10.0, 200)
    painter = QPainter(image)
    draw_curve(painter, bar, CHANCES | {16: 0.6}, threshold, Colors(TEXT, GROUND, QColor("#444444")))
    painter.end()

    def brightest(z: int) -> int:
        x = round(10.0 * (z + 0.5))
        return max(QColor(image.pixel(x, y)).lightness() for y in range(CURVE))

    assert all(brightest(z) > 200 for z in (5, 6, 12))
    assert all(brightest(z) < 200 for z in (1, 9))
    assert (brightest(16) > 200) is (threshold < 0.6)


def test_thousands_of_slices_show_the_likeliest_of_each_pixel(qtbot: Any) -> None:
    image = QImage(100, CURVE, QImage.Format.Format_RGB32)
    image.fill(GROUND)
    chances = dict.fromkeys(range(5000), 0.05) | dict.fromkeys(range(2490, 2510), 1.0)
    painter = QPainter(image)
    draw_curve(painter, Bar(lambda z: z / 50, 0.02, 100), chances, 0.5, Colors(TEXT, GROUND, QColor("#444444")))
    painter.end()
    high = [max(QColor(image.pixel(x, y)).lightness() for y in range(4)) > 100 for x in range(100)]
    assert any(high[48:52])
    assert not any(high[:45])


def test_the_strip_makes_room_for_the_curve_and_tells_probabilities(viewer: ViewerModel, strip: Strip) -> None:
    add_labels(viewer)
    strip.refresh()
    plain = strip.sizeHint().height()
    viewer.layers.clear()
    add_labels(viewer, CHANCES)
    strip.refresh()
    assert strip.sizeHint().height() > plain
    assert "97% that it holds something" in strip.describe(6)


def test_finished_slices_leave_their_probability_in_the_layer(viewer: ViewerModel) -> None:
    layer = add_labels(viewer)
    writer = ResultWriter(viewer, layer)  # type: ignore[arg-type]
    for z, chance in ((3, 0.2), (4, 0.8)):
        writer.put(Progress("", 1, 2, "", {"presence": chance}, (z,), np.zeros((16, 16), np.uint8)))
    writer.finish()
    assert labels_from_layer(layer).presence == {3: 0.2, 4: 0.8}
    assert read_states(layer).threshold == 0.3


@pytest.fixture
def links(qtbot: Any, viewer: ViewerModel) -> Iterator[PositiveSlices]:
    made = PositiveSlices(viewer)  # type: ignore[arg-type]
    qtbot.addWidget(made)
    yield made
    made.set_layer(None)


def links_in(text: str) -> list[tuple[str, str]]:
    """Where each link goes, and its words."""
    return re.findall(r'href="(\d+)">([^<]*)</a>', text)


def test_links_name_runs_of_slices_and_go_to_the_likeliest(viewer: ViewerModel, links: PositiveSlices) -> None:
    layer = add_labels(viewer, CHANCES, (4, 5, 6, 7, 12))
    links.set_layer(layer)
    assert links.text().startswith("Positive slices (5 of 20): ")
    assert links_in(links.text()) == [("6", "4–7"), ("12", "12")]
    links.linkActivated.emit("6")
    assert viewer.dims.current_step[0] == 6
    links.set_layer(add_labels(viewer))
    assert links.isHidden()
    links.set_layer(None)
    assert links.isHidden()


def test_the_mask_of_a_model_that_outlines_decides_and_not_the_probability(
    qtbot: Any, viewer: ViewerModel, links: PositiveSlices
) -> None:
    layer = add_labels(viewer, CHANCES, (1, 5))
    links.set_layer(layer)
    assert links_in(links.text()) == [("1", "1"), ("5", "5")]
    layer.data_setitem((np.array([2]), np.array([3]), np.array([3])), 1)
    qtbot.waitUntil(lambda: links_in(links.text()) == [("1", "1–2"), ("5", "5")])


def test_of_a_slice_classifier_the_threshold_decides(viewer: ViewerModel, links: PositiveSlices) -> None:
    links.set_layer(add_labels(viewer, CHANCES | {9: 0.3, 10: 0.29}, outlined=False))
    assert links_in(links.text()) == [("6", "4–7"), ("9", "9"), ("12", "12")]


def test_masks_opened_again_are_found_beside_their_image(viewer: ViewerModel) -> None:
    image = viewer.add_image(np.zeros((20, 16, 16)), name="scan")
    labels = labels_from_layer(add_labels(viewer, CHANCES, (5,)))
    viewer.layers.pop()
    assert find_answered(viewer, image) is None  # type: ignore[arg-type]
    data, kwargs, _ = labels_layer_data(labels)
    opened = viewer.add_labels(data, **kwargs)
    viewer.add_labels(np.zeros((20, 16, 16), np.uint8), name="by hand")
    assert find_answered(viewer, image) is opened  # type: ignore[arg-type]
    assert positive_in(opened) == (5,)
