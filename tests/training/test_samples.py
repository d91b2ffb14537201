"""What a batch shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_medseg.training.losses import IGNORE
from napari_medseg.training.samples import Samples, sample_size
from napari_medseg.training.truth import LabelledSlice


def labelled(target: np.ndarray) -> LabelledSlice:
    return LabelledSlice("a", target[None].astype(np.float16), target.astype(np.int16))


def test_crops_see_rare_classes_as_often_as_common_ones() -> None:
    target = np.zeros((256, 256))
    target[20:120, 20:120] = 1
    target[200, 200] = 2
    _, drawn, _ = Samples([labelled(target)], (32, 32), seed=0).draw(200)
    shown = [(drawn == k).any(dim=(1, 2)).float().mean().item() for k in (1, 2)]
    assert min(shown) > 0.25


def test_a_favoured_class_is_drawn_more_often() -> None:
    target = np.zeros((256, 256))
    target[20:40, 20:40] = 1
    target[200, 200] = 2
    samples = Samples([labelled(target)], (32, 32), seed=0)
    before = (samples.draw(200)[1] == 2).any(dim=(1, 2)).sum()
    samples.favour(2)
    assert (samples.draw(200)[1] == 2).any(dim=(1, 2)).sum() > before


def test_strokes_are_what_crops_look_at() -> None:
    target = np.full((512, 700), IGNORE)
    target[400, 600:620] = 1
    target[30, 30:40] = 0
    _, drawn, _ = Samples([labelled(target)], (64, 64), seed=0).draw(50)
    assert (drawn != IGNORE).any(dim=2).any(dim=1).all()


def test_whole_slices_come_in_turn_and_are_padded_without_counting() -> None:
    slices = [labelled(np.full((40, 50), k)) for k in range(4)]
    samples = Samples(slices, (64, 64), seed=0)
    images, drawn, _ = samples.draw(40)
    assert images.shape == (40, 1, 64, 64)
    assert (drawn[:, 40:] == IGNORE).all()
    assert set(drawn.amax(dim=(1, 2)).tolist()) == {0, 1, 2, 3}


def test_image_and_labels_of_a_sample_belong_together() -> None:
    target = np.random.default_rng(0).integers(0, 3, (200, 300))
    images, drawn, _ = Samples([labelled(target)], (96, 64), seed=0).draw(8)
    assert (images[:, 0] == drawn).all()


def test_same_seed_same_samples() -> None:
    slices = [labelled(np.random.default_rng(i).integers(0, 3, (80, 80))) for i in range(3)]
    first, second = (Samples(slices, (32, 32), seed=7).draw(10) for _ in range(2))
    assert (first[0] == second[0]).all()


def test_small_slices_are_given_whole_and_large_ones_in_crops() -> None:
    small, large = labelled(np.zeros((100, 400))), labelled(np.zeros((1000, 300)))
    assert sample_size([small], 0, (128, 256), 32) == (128, 448)
    assert sample_size([small, large], 0, (128, 256), 32) == (256, 256)
    assert sample_size([small], 64, (128, 256), 32) == (64, 64)


@pytest.mark.parametrize(("object_size", "side"), [(20, 128), (60, 160), (300, 256)])
def test_crops_are_two_or_three_objects_wide(object_size: int, side: int) -> None:
    target = np.zeros((1000, 1000))
    target[100 : 100 + object_size, 100:110] = 1
    target[700:710, 600 : 600 + object_size] = 2
    target[5, 5] = 1  # a speck
    assert sample_size([labelled(target)], 0, (128, 256), 32) == (side, side)


def test_strokes_say_nothing_about_the_size_of_objects() -> None:
    target = np.full((1000, 1000), IGNORE)
    target[100:110, 100:110] = 1
    assert sample_size([labelled(target)], 0, (128, 256), 32) == (256, 256)


def test_a_share_of_the_samples_is_replayed() -> None:
    """What was learnt earlier comes in the share that is asked for, whatever its number of slices."""
    today, before = labelled(np.full((40, 40), 1)), [labelled(np.full((40, 40), 2))] * 9
    drawn = Samples([today], (64, 64), 0, before, 0.3).draw(400)[1].amax(dim=(1, 2))
    assert (drawn == 2).float().mean().item() == pytest.approx(0.3, abs=0.06)
    assert (Samples([today], (64, 64), 0, before, 0.0).draw(50)[1].amax(dim=(1, 2)) == 1).all()


@pytest.mark.parametrize("side", [40, 100], ids=["whole", "crops"])
def test_what_was_painted_last_comes_twice_as_often_at_first(side: int) -> None:
    slices = [replace(labelled(np.full((side, side), k + 1)), newest=k == 0) for k in range(4)]
    samples = Samples([replace(one, target=np.where(one.target, 1, 0).astype(np.int16)) for one in slices], (64, 64), 0)
    shares = [
        (samples.draw(600, early=early)[0].amax(dim=(1, 2, 3)) == 1).float().mean().item() for early in (True, False)
    ]
    assert shares == [pytest.approx(2 / 5, abs=0.07), pytest.approx(1 / 4, abs=0.07)]


def test_going_on_draws_what_would_have_come_next() -> None:
    slices = [labelled(np.random.default_rng(i).integers(0, 3, (80, 80))) for i in range(4)]
    first, second = (Samples(slices[:2], (32, 32), 5, slices[2:], 0.5) for _ in range(2))
    first.draw(7)
    second.restore(first.state())
    assert (first.draw(9)[0] == second.draw(9)[0]).all()
