"""What a batch shows."""

from __future__ import annotations

import numpy as np

from napari_medseg.training.losses import IGNORE
from napari_medseg.training.samples import Samples, sample_size
from napari_medseg.training.truth import LabelledSlice


def labelled(target: np.ndarray) -> LabelledSlice:
    return LabelledSlice("a", target[None].astype(np.float16), target.astype(np.int16))


def test_crops_see_rare_classes_as_often_as_common_ones() -> None:
    target = np.zeros((256, 256))
    target[20:120, 20:120] = 1
    target[200, 200] = 2
    _, drawn = Samples([labelled(target)], (32, 32), seed=0).draw(200)
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
    _, drawn = Samples([labelled(target)], (64, 64), seed=0).draw(50)
    assert (drawn != IGNORE).any(dim=2).any(dim=1).all()


def test_whole_slices_come_in_turn_and_are_padded_without_counting() -> None:
    slices = [labelled(np.full((40, 50), k)) for k in range(4)]
    samples = Samples(slices, (64, 64), seed=0)
    images, drawn = samples.draw(40)
    assert images.shape == (40, 1, 64, 64)
    assert (drawn[:, 40:] == IGNORE).all()
    assert set(drawn.amax(dim=(1, 2)).tolist()) == {0, 1, 2, 3}


def test_image_and_labels_of_a_sample_belong_together() -> None:
    target = np.random.default_rng(0).integers(0, 3, (200, 300))
    images, drawn = Samples([labelled(target)], (96, 64), seed=0).draw(8)
    assert (images[:, 0] == drawn).all()


def test_same_seed_same_samples() -> None:
    slices = [labelled(np.random.default_rng(i).integers(0, 3, (80, 80))) for i in range(3)]
    first, second = (Samples(slices, (32, 32), seed=7).draw(10) for _ in range(2))
    assert (first[0] == second[0]).all()


def test_small_slices_are_given_whole_and_large_ones_in_crops() -> None:
    small, large = labelled(np.zeros((100, 400))), labelled(np.zeros((1000, 300)))
    assert sample_size([small], 0, 256, 32) == (128, 448)
    assert sample_size([small, large], 0, 256, 32) == (256, 256)
    assert sample_size([small], 64, 256, 32) == (64, 64)
