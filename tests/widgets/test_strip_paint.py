"""What is drawn for each slice, whatever their number, and the words beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QRectF
from qtpy.QtGui import QColor, QImage, QPainter

from napari_medseg.core.card import PALETTE
from napari_medseg.widgets.slice_states import SliceStates
from napari_medseg.widgets.strip_paint import BAR, Bar, Colors, draw_bar, draw_legend, draw_seen, join_runs, signs_of

ORANGE, BLUE, GREEN = (QColor(c).rgb() for c in PALETTE[:3])
COLORS = Colors(QColor("white"), QColor("black"), QColor("grey"))


def paint_bar(states: SliceStates, slices: int, width: int = 300, seen: int | None = None, scale: float = 1) -> QImage:
    """A bar over the whole width, on black."""
    image = QImage(round(width * scale), round(BAR * scale), QImage.Format.Format_RGB32)
    image.setDevicePixelRatio(scale)
    image.fill(COLORS.background)
    pitch = width / slices
    bar = Bar(lambda z: (z + 0.5) * pitch, pitch, width, scale)
    painter = QPainter(image)
    draw_bar(painter, bar, states, slices, COLORS)
    if seen is not None:
        draw_seen(painter, bar, seen, COLORS)
    painter.end()
    return image


def colors_at(image: QImage, x: float) -> set[int]:
    scale = image.devicePixelRatio()
    return {image.pixel(int(x * scale), y) for y in range(image.height())}


@pytest.mark.parametrize("scale", [1, 1.25, 1.5, 2])
def test_each_state_has_its_own_sign_at_its_own_slice(scale: float) -> None:
    every = SliceStates(
        corrected=frozenset({1, 3}),
        accepted=frozenset({3, 5}),
        held_out=frozenset({7}),
        suggested=(9,),
        missing=frozenset(range(10, 15)),
        filled=True,
    )
    every = SliceStates(**{**vars(every), "corrected": frozenset({1, 3, 7})})
    image = paint_bar(every, 15, scale=scale)
    middle = [20 * z + 10 for z in range(15)]
    assert colors_at(image, middle[1]) == {ORANGE}
    assert colors_at(image, middle[3] - 8) == {GREEN}, "accepted is what counts of a slice that is both"
    assert colors_at(image, middle[5] - 8) == {GREEN}
    assert len(colors_at(image, middle[5])) > 1, "with a tick"
    assert ORANGE in colors_at(image, middle[7])
    assert QColor("black").rgb() in colors_at(image, middle[7]), "hollow: only measures"
    assert BLUE in colors_at(image, middle[9])
    rail = QColor("grey").rgb()
    thick, thin = (sum(image.pixel(int(middle[z] * scale), y) == rail for y in range(image.height())) for z in (0, 12))
    assert thick == round(4 * scale)
    assert thin == max(1, round(scale)), "no result there"


def test_one_slice_of_thousands_is_still_seen() -> None:
    """S8."""
    image = paint_bar(SliceStates(corrected=frozenset({1234}), filled=True), 5000)
    found = [x for x in range(300) if ORANGE in colors_at(image, x)]
    assert 2 <= len(found) <= 4
    assert min(found) <= 1234.5 / 5000 * 300 <= max(found) + 1


def test_thousands_of_slices_are_no_more_strokes_of_the_pen_than_there_are_pixels() -> None:
    """S8: the work follows the pixels, not the slices."""
    bar = Bar(lambda z: z * 0.2, 0.2, 1000)
    assert len(bar.runs(range(0, 5000, 2))) == 1
    assert len(bar.runs(range(0, 5000, 40))) == 125
    assert max(len(bar.runs(np.flatnonzero(np.random.default_rng(s).random(5000) < 0.05))) for s in range(9)) <= 500
    assert bar.runs([]) == []


def test_runs_are_joined_cut_at_the_edges_and_never_lost() -> None:
    starts, ends = np.array([-5.0, 3.0, 5.0, 9.2, 30.0]), np.array([1.0, 5.0, 6.0, 9.3, 40.0])
    assert join_runs(starts, ends, 20) == [(0, 1), (3, 6), (9, 10)]


def test_frame_lets_the_state_of_the_shown_slice_be_seen() -> None:
    for slices in (5, 30, 5000):
        image = paint_bar(SliceStates(corrected=frozenset({2})), slices, seen=2)
        x = 2.5 / slices * 300
        assert ORANGE in colors_at(image, x)
        assert QColor("white").rgb() in {image.pixel(max(0, int(x)), y) for y in range(BAR)}


@pytest.mark.parametrize("width", [30, 90, 150, 300, 600, 1200])
def test_words_of_the_legend_are_whole_or_not_there(qapp: Any, width: int) -> None:
    every = SliceStates(*(frozenset({z}) for z in range(3)), suggested=(4,), missing=frozenset({5}))
    image = QImage(width + 60, 20, QImage.Format.Format_RGB32)
    image.fill(COLORS.background)
    painter = QPainter(image)
    rect = QRectF(0, 0, width, 20)
    draw_legend(painter, rect, tuple(signs_of(every)), ["A: accept", "N: next suggested"], COLORS)
    painter.end()
    beyond = {image.pixel(x, y) for x in range(width + 1, width + 60) for y in range(20)}
    assert beyond == {QColor("black").rgb()}


def test_signs_are_named_as_far_as_they_are_there() -> None:
    assert list(signs_of(SliceStates())) == []
    assert dict(signs_of(SliceStates(corrected=frozenset({1})))) == {"corrected": "painted"}
    both = SliceStates(corrected=frozenset({1}), accepted=frozenset({1}), by_hand=False)
    assert list(dict(signs_of(both))) == ["accepted"]
