"""What a start model is sure of in today's images is rehearsed, and never against the user."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_medseg.training import Pair, TrainingRun, TrainOptions
from napari_medseg.training.engine import Engine
from napari_medseg.training.losses import IGNORE
from napari_medseg.training.rehearsal import Belief, combine, nearly_right
from napari_medseg.training.samples import Samples
from napari_medseg.training.truth import LabelledSlice
from napari_medseg.training.work import carry_out

from .conftest import Folders, Listener

WriteSeries = Callable[..., Folders]

UNLABELLED = 255
STEP: dict[str, Any] = {"device": "cpu", "batch": 2, "max_steps": 1, "augmentation": "none", "rival": False}


def blank(value: int = IGNORE) -> np.ndarray[Any, np.dtype[np.int16]]:
    return np.full((64, 64), value, np.int16)


def test_what_the_user_says_comes_first_and_what_is_not_sure_does_not_count() -> None:
    found = blank(0)
    found[10:20, 10:20] = 1
    sure = found.copy()
    sure[10:20, 10] = IGNORE
    target = blank()
    target[15, 12:14] = 1
    target[40, 40:50] = 0
    kept = combine(target, Belief(found, sure))
    assert (kept[target != IGNORE] == target[target != IGNORE]).all()
    assert (kept[10:20, 10] == IGNORE).all()
    assert (kept[10:20, 11:20] == 1).all()
    assert kept[60, 60] == 0


def test_a_thing_that_is_none_is_not_rehearsed_while_others_are() -> None:
    found = blank(0)
    found[10:20, 10:20] = found[10:20, 40:50] = 1
    target = blank()
    target[12, 12:15] = 0  # "no bone here"
    kept = combine(target, Belief(found, found))
    others = kept[10:20, 10:20] != 0
    assert (kept[10:20, 10:20][others] == IGNORE).all()
    assert others.sum() == 97
    assert (kept[10:20, 40:50] == 1).all()


def test_the_surroundings_of_what_was_missed_are_not_rehearsed_as_background() -> None:
    found = blank(0)
    target = blank()
    target[30, 30] = 1
    kept = combine(target, Belief(found, found))
    assert kept[30, 30] == 1
    assert (kept[28:33, 28:33] != 0).all()
    assert kept[0, 0] == 0


def test_corrections_beside_a_thing_speak_for_the_start_and_far_ones_against_it() -> None:
    found = blank(0)
    found[20:30, 20:30] = 1
    beside, far = blank(), blank()
    beside[31, 20:30] = 1
    far[60, 20:30] = 1
    belief = Belief(found, found)
    slices = [LabelledSlice("a", np.zeros((1, 64, 64), np.float16), target) for target in (beside, far)]
    assert nearly_right(slices[:1], [belief], (0, 1)) == {1: 1.0}
    assert nearly_right(slices[1:], [belief], (0, 1)) == {1: 0.0}


@pytest.fixture
def rehearsed(monkeypatch: pytest.MonkeyPatch) -> list[LabelledSlice]:
    """What runs rehearse from now on."""
    kept: list[LabelledSlice] = []
    before = Samples.rehearse

    def note(self: Samples, slices: Sequence[LabelledSlice], share: float) -> None:
        kept.extend(slices)
        before(self, slices, share)

    monkeypatch.setattr(Samples, "rehearse", note)
    return kept


def bright(self: Engine, network: object, pixels: np.ndarray[Any, Any], known: Sequence[int]) -> torch.Tensor:
    """A start that knows: discs (class 1) lie left, squares (2) right; both are bright."""
    values = torch.from_numpy(pixels[0].astype(np.float32))
    thing = values > (values.max() + values.min()) / 2
    left = torch.arange(values.shape[1]) < 32
    classes = torch.where(thing & left, 1, torch.where(thing, 2, 0))
    return torch.nn.functional.one_hot(classes, 3).movedim(-1, 0)[list(known)].float()


def strokes(mask: np.ndarray[Any, Any], i: int) -> np.ndarray[Any, Any]:
    """Some rows of the mask."""
    painted = np.full_like(mask, UNLABELLED)
    painted[28:32] = mask[28:32]
    painted[2:4, 5:60] = 0
    return painted


def learn(folders: Folders, listener: Listener, **options: Any) -> None:
    chosen = TrainOptions(**{**STEP, "unlabelled": UNLABELLED, **options})
    pair = Pair(image=folders[0], labels=folders[1])
    carry_out(TrainingRun(pairs=(pair,), start="first", name="n", options=chosen), listener)


def test_a_start_that_knows_such_images_is_rehearsed_with_the_strokes(
    library: Path, write_series: WriteSeries, listener: Listener, rehearsed: list[LabelledSlice],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """T6: strokes teach what they show; the rest of the slices stays as the start has it."""
    monkeypatch.setattr(Engine, "probabilities", bright)
    images, masks = write_series(12, strokes)
    for i in range(3, 12):
        (masks / f"{i}.png").unlink()
    learn((images, masks), listener)
    painted = [one for one in rehearsed if "slice" not in one.name]
    others = [one for one in rehearsed if "slice" in one.name]
    assert painted
    assert others
    assert {1, 2} < painted[0].present | {IGNORE}
    assert "is sure of in today's images is rehearsed" in listener.said


def test_a_start_that_knows_nothing_of_such_images_is_not_rehearsed(
    library: Path, write_series: WriteSeries, listener: Listener, rehearsed: list[LabelledSlice],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def nothing(self: Engine, network: object, pixels: np.ndarray[Any, Any], known: Sequence[int]) -> torch.Tensor:
        chances = torch.zeros(len(known), *pixels.shape[-2:])
        chances[0] = 1
        return chances

    monkeypatch.setattr(Engine, "probabilities", nothing)
    learn(write_series(5, strokes), listener)
    assert rehearsed == []


def test_without_replay_nothing_is_rehearsed(
    library: Path, write_series: WriteSeries, listener: Listener, rehearsed: list[LabelledSlice],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(Engine, "probabilities", bright)
    learn(write_series(5, strokes), listener, replay=0)
    assert rehearsed == []
