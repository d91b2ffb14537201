"""What was learnt from already, and when correcting has become needless."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_medseg.core import ModelCard
from napari_medseg.editing.corrections import corrections_of
from napari_medseg.inference.options import SegmentOptions
from napari_medseg.widgets.learnt import Effort, corrective_dice, hash_slices, newest_slices, remember_learnt
from napari_medseg.widgets.result_layer import result_layer
from napari_medseg.widgets.truth import choose_strokes, find_truth


@pytest.fixture
def result(viewer: ViewerModel, cards: list[ModelCard], make_stack: Callable[..., Any]) -> Any:
    """A result of 8 slices, the left half of each a class."""
    labels = result_layer(viewer, make_stack(slices=8, side=20), cards[0], SegmentOptions())
    for z in range(8):
        corrections_of(labels).write(z, np.repeat([[1, 0]], 20, 0).repeat(10, 1).astype(np.uint8))
    return labels


def paint_rows(layer: Any, z: int, rows: int, value: int) -> None:
    y, x = np.mgrid[:rows, :10]
    layer.data_setitem((np.full(y.size, z), y.ravel(), x.ravel()), value)


def test_newest_are_the_slices_painted_since_a_finished_training(result: Any) -> None:
    for z in (1, 2, 3):
        paint_rows(result, z, 2, 0)
    assert newest_slices(result, (1, 2, 3)) == (), "nothing is known before the first training"
    remember_learnt(result, (1, 2, 3), hash_slices(result, (1, 2, 3)))
    paint_rows(result, 2, 4, 0)
    paint_rows(result, 5, 1, 0)
    assert newest_slices(result, (1, 2, 3, 5)) == (2, 5)


@pytest.mark.parametrize(
    ("before", "after", "dice"),
    [([1, 1, 0, 0], [1, 1, 0, 0], 1.0), ([1, 1, 0, 0], [0, 0, 1, 1], 0.0), ([0, 0], [0, 0], 1.0),
     ([1, 1, 2, 2], [1, 1, 2, 0], (1 + 2 / 3) / 2)],
)  # fmt: skip
def test_corrective_dice_is_the_mean_over_classes(before: list[int], after: list[int], dice: float) -> None:
    assert corrective_dice(np.array([before]), np.array([after])) == pytest.approx(dice)


def test_effort_tells_when_to_stop_correcting(result: Any) -> None:
    effort = Effort()
    for z in (6, 0):
        paint_rows(result, z, 10, 0)
    assert effort.describe(result, find_truth(result)) == "", "two slices are too few to tell"
    paint_rows(result, 4, 10, 0)
    # Half of 200 labelled pixels erased: 2 * 100 / (200 + 100).
    assert effort.describe(result, find_truth(result)) == (
        "The last 3 slices needed correction (Dice 0.67 before against after): fine-tuning pays."
    )
    for z in (1, 2):
        corrections_of(result).accept(z)
    assert effort.describe(result, find_truth(result)) == (
        "Of the last 5 slices, 3 needed correction (Dice 0.80 before against after): fine-tuning pays."
    )
    for z in (1, 2, 3, 5, 7):
        corrections_of(result).accept(z)
        text = effort.describe(result, find_truth(result))
    assert text == "The last 5 slices needed little correction (Dice 1.00): fine-tuning more will hardly help."


def test_effort_is_of_the_latest_result_only(result: Any) -> None:
    effort = Effort()
    for z in (0, 1, 2):
        paint_rows(result, z, 10, 0)
    remember_learnt(result, (0, 1, 2), hash_slices(result, (0, 1, 2)))
    assert effort.measure(result, find_truth(result)) == []
    corrections_of(result).accept(5)
    assert effort.measure(result, find_truth(result)) == [1.0]


def test_strokes_and_layers_by_hand_have_no_effort(result: Any, viewer: ViewerModel) -> None:
    for z in (0, 1, 2):
        paint_rows(result, z, 10, 0)
    choose_strokes(result, True)
    assert Effort().measure(result, find_truth(result)) == []
    by_hand = viewer.add_labels(np.ones((8, 20, 20), np.uint8))
    assert Effort().measure(by_hand, find_truth(by_hand)) == []
