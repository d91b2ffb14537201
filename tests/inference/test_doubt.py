"""The network's doubt, measured on its logits."""

from __future__ import annotations

import math

import pytest
import torch

from napari_medseg.inference.doubt import FIGURES, find_squares, measure_doubt
from napari_medseg.inference.mosaic import best_class


def logits_of(sure: float, classes: int = 2, size: int = 128) -> torch.Tensor:
    """A square of class 1 in the middle, told from the background by ``sure``."""
    logits = torch.zeros(1, classes, size, size)
    logits[:, 0] = sure
    part = slice(size // 4, 3 * size // 4)
    logits[:, 0, part, part], logits[:, 1, part, part] = 0, sure
    return logits


def doubt(logits: torch.Tensor) -> dict[str, float]:
    return dict(zip(FIGURES, measure_doubt(logits, best_class(logits))[0].tolist(), strict=True))


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_sure_network_has_no_doubt_and_a_guessing_one_all(classes: int) -> None:
    sure, guessing = doubt(logits_of(50, classes)), doubt(logits_of(1e-6, classes))
    assert sure["border"] == pytest.approx(0, abs=1e-6)
    assert sure["patch"] == pytest.approx(0, abs=1e-6)
    assert guessing["border"] == pytest.approx(1, abs=1e-4)
    assert guessing["patch"] == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("classes", [2, 3])
def test_entropy_is_that_of_the_probabilities(classes: int) -> None:
    logits = torch.randn(1, classes, 64, 64, generator=torch.Generator().manual_seed(0))
    shares = logits.double().softmax(1)
    expected = -(shares * shares.log()).sum(1).mean() / math.log(classes)
    assert doubt(logits)["patch"] == pytest.approx(float(expected), rel=1e-4)


def test_doubt_at_the_border_counts_and_not_inside() -> None:
    logits = logits_of(50)
    logits[:, :, 30:34, 20:110] = 0
    at_border = doubt(logits)["border"]
    logits = logits_of(50)
    logits[:, 0, 60:68, 60:68] = 49.9
    logits[:, 1, 60:68, 60:68] = 50
    inside = doubt(logits)
    assert at_border > 0.1
    assert inside["border"] < 0.01
    assert inside["patch"] > 0.005


def test_worst_patch_is_found_where_nothing_was_predicted() -> None:
    """Nothing found has no border; what was nearly found still shows."""
    logits = logits_of(0)
    logits[:, 0] = 50
    nothing = doubt(logits)
    assert math.isnan(nothing["border"])
    assert nothing["patch"] == pytest.approx(0, abs=1e-6)
    logits[:, 0, 10:60, 10:60] = 0.01
    assert doubt(logits)["patch"] > 0.5


def test_large_slices_give_the_same_figures_from_every_second_pixel() -> None:
    small, large = doubt(logits_of(1, size=380)), doubt(logits_of(1, size=400))
    assert large["patch"] == pytest.approx(small["patch"], rel=0.02)
    assert large["border"] == pytest.approx(small["border"], rel=0.02)


@pytest.mark.parametrize("shape", [(1, 1), (1, 90), (63, 5), (64, 65)])
def test_any_size_works(shape: tuple[int, int]) -> None:
    """V6, V7, V8."""
    logits = torch.zeros(2, 3, *shape)
    assert measure_doubt(logits, best_class(logits))[:, FIGURES.index("patch")].tolist() == pytest.approx([1, 1])


def test_each_slice_of_a_batch_has_its_own_figures() -> None:
    one, two = logits_of(0.5), logits_of(5.0)
    both = torch.cat([one, two])
    rows = [dict(zip(FIGURES, row, strict=True)) for row in measure_doubt(both, best_class(both)).tolist()]
    assert rows == [pytest.approx(doubt(one)), pytest.approx(doubt(two))]


@pytest.mark.parametrize("size", [320, 640])
def test_squares_of_most_doubt_in_a_large_image(size: int) -> None:
    logits = torch.zeros(1, 2, size, size)
    logits[:, 0] = 50
    logits[:, 1, 96:160, 192:256] = 50
    logits[:, 1, 224:250, 32:64] = 50
    squares = find_squares(logits, 3)
    assert squares[0] == (slice(96, 160), slice(192, 256))
    rows, columns = squares[1]
    assert rows.start <= 224 < rows.stop
    assert columns.start <= 32 < columns.stop
    assert len(squares) == 3


def test_small_image_is_one_look() -> None:
    assert find_squares(logits_of(0.5), 3) == ()
