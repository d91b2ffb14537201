"""Whether a slice holds anything: what it is learnt from, the threshold, and what stays of it in later trainings."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional

from napari_medseg.core import ClassInfo, InputError, ModelCard
from napari_medseg.models import load_model
from napari_medseg.models.heads import split_output
from napari_medseg.training import TrainOptions, train
from napari_medseg.training.engine import Engine
from napari_medseg.training.losses import IGNORE, LOSSES, presence_loss
from napari_medseg.training.presence import (
    ENOUGH,
    FEWEST,
    Presence,
    check_telling,
    choose_threshold,
    measure_presence,
)
from napari_medseg.training.samples import Samples
from napari_medseg.training.schedule import Budget
from napari_medseg.training.split import hold_out
from napari_medseg.training.step import Job, measure_loss
from napari_medseg.training.truth import LabelledSlice
from napari_medseg.training.watch import Watch

from .conftest import Folders, Listener

WriteSeries = Callable[..., Folders]

SMALL: dict[str, Any] = {"device": "cpu", "batch": 4, "max_steps": 2, "rival": False}


def some_empty(mask: np.ndarray, i: int) -> np.ndarray:
    return mask if i % 2 else np.zeros_like(mask)


def labelled(filled: bool, **more: Any) -> LabelledSlice:
    target = np.zeros((32, 32), np.int16)
    target[8:12, 8:12] = filled
    return LabelledSlice("a", target[None].astype(np.float16), target, **more)


def test_only_whole_slices_with_everything_labelled_tell() -> None:
    assert [labelled(filled).holds for filled in (True, False)] == [1, 0]
    assert math.isnan(labelled(True, partial=True).holds)
    stroke = labelled(True)
    stroke.target[0, 0] = IGNORE
    assert math.isnan(stroke.holds)


def test_half_of_the_slices_drawn_hold_something() -> None:
    slices = [labelled(i == 0) for i in range(8)]
    for balanced, share in ((True, 0.5), (False, 0.39)):
        _, drawn, tells = Samples(slices, (32, 32), 0, balanced=balanced).draw(400)
        assert (drawn > 0).flatten(1).any(1).float().mean().item() == pytest.approx(share, abs=0.08)
        assert tells.all()


def test_balanced_draws_go_on_where_they_were() -> None:
    slices = [labelled(i < 3) for i in range(8)]
    first, second = (Samples(slices, (32, 32), seed, balanced=True) for seed in (1, 2))
    first.draw(5)
    second.restore(first.state())
    assert (first.draw(9)[1] == second.draw(9)[1]).all()


def test_crops_and_strokes_do_not_tell() -> None:
    stroke = labelled(True)
    stroke.target[0, 0] = IGNORE
    assert not Samples([labelled(True)], (16, 16), 0).draw(8)[2].any()
    assert not Samples([stroke], (32, 32), 0).draw(8)[2].any()


def test_empty_slices_measure_too_where_they_are_asked_for(paint_slices: Callable[..., Any]) -> None:
    filled, empty = (np.pad(np.full((4, 4), value), 6) for value in (1, 0))
    painted = paint_slices(*[filled, empty] * 6)
    for asked, sides in ((False, {True}), (True, {True, False})):
        training, measuring, _ = hold_out(painted, 0.2, empty=asked)
        assert {bool(one.values.any()) for one in measuring} == sides
        assert len(training) + len(measuring) == 12
    painted = paint_slices(*[filled] * 6, empty, empty)
    assert all(one.values.any() for one in hold_out(painted, 0.2, empty=True)[1]), "too few to spare one"


def test_the_loss_is_cross_entropy_over_slices_that_tell() -> None:
    logits = torch.tensor([-3.0, 0.5, 80.0, 2.0], requires_grad=True)
    truth = torch.tensor([0.0, 1.0, math.nan, 0.0])
    loss = presence_loss(logits, truth)
    told = torch.tensor([0, 1, 3])
    assert torch.allclose(loss, functional.binary_cross_entropy_with_logits(logits[told], truth[told]))
    loss.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad[2] == 0
    assert presence_loss(logits, torch.full((4,), math.nan)) == 0


def test_a_network_with_a_slice_head_learns_both_and_the_outlines_count_more() -> None:
    """Loss of the masks + 0.3 of the slices' cross-entropy; a classifier has the latter alone."""
    mask, said = torch.randn(2, 2, 8, 8), torch.tensor([0.4, -1.0])
    target, holds = torch.randint(0, 2, (2, 8, 8)), torch.tensor([1.0, 0.0])

    class Both(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return mask, said[:, None]

    engine = Engine(torch.device("cpu"), "fp32", 2, 32, outlines=True)
    batch = torch.zeros(2, 1, 8, 8), target, holds
    told = functional.binary_cross_entropy_with_logits(said, holds)
    assert torch.allclose(measure_loss(engine, Both(), "dice-ce", batch), LOSSES["dice-ce"](mask, target) + 0.3 * told)
    assert torch.allclose(measure_loss(replace(engine, outlines=False), Both(), "dice-ce", batch), told)


def test_the_threshold_finds_95_percent_where_there_are_enough() -> None:
    chances = [0.01 * i for i in range(1, 41)]
    threshold, why = choose_threshold(chances, [0.9, 0.0], 0.5)
    assert sum(p >= threshold for p in chances) == 38
    assert "38 of 40" in why
    assert "1 of 2 empty ones" in why
    assert choose_threshold([0.9] * ENOUGH, [], 0.5)[0] == 0.5, "never above a half"
    threshold, why = choose_threshold([0.1] * (FEWEST - 1), [], 0.3)
    assert threshold == 0.3
    assert "too few" in why


def test_one_unclear_slice_of_few_does_not_make_empty_ones_full() -> None:
    full, empty = [0.01, *[0.6] * (ENOUGH - 2)], [0.3, *[0.1] * 19, *[0.02] * 9]
    threshold, why = choose_threshold(full, empty, 0.5)
    assert sum(p >= threshold for p in empty) == 1
    assert "18 of 19" in why
    assert choose_threshold([0.2, *full[1:]], empty, 0.5)[0] == 0.2, "no higher than it takes to find all"


@pytest.mark.parametrize(
    ("full", "empty", "expected"),
    [
        ([0.3] * 15, [0.35] * 10, 0.3),
        ([0.45] * 5 + [0.3] * 10, [0.35] * 3 + [0.1] * 17, 0.3),
        ([0.1, 0.2] + [0.6] * 13, [0.3] * 20, 0.1),
    ],
)
def test_no_more_than_one_of_few_is_missed_however_many_empty_ones_are_not_told(
    full: list[float], empty: list[float], expected: float
) -> None:
    threshold, why = choose_threshold(full, empty, 0.16)
    assert threshold == expected
    assert "15 of 15" in why


def constant(logit: float, filled: bool, **more: Any) -> LabelledSlice:
    """A slice whose brightness is what a network that goes by the mean says of it."""
    return replace(labelled(filled, **more), pixels=np.full((1, 32, 32), logit, np.float16))


class Mean(torch.nn.Module):
    """Outlines what is brighter than ``ground``."""

    def __init__(self, ground: float = -9) -> None:
        super().__init__()
        self.ground = ground

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.cat([torch.full_like(images, self.ground), images], 1), images.mean((2, 3))


def measured(
    held_out: list[LabelledSlice], spare: list[LabelledSlice], ground: float = -9, *, outlines: bool = True
) -> tuple[Presence, str]:
    engine = Engine(torch.device("cpu"), "fp32", 2, 32, outlines=outlines)
    one = ClassInfo.numbered(1)
    samples = Samples([labelled(True)], (32, 32), 0)
    job = Job(Mean(ground), True, samples, held_out, [one], engine, TrainOptions(), 1, False, spare=spare)
    heard = Listener()
    found = measure_presence(ModelCard(name="a", classes=(one,), presence=0.16), job, Watch(heard, Budget(None, 1)))
    return found, heard.said


def test_slices_that_the_start_remembers_neither_set_nor_flatter_the_threshold() -> None:
    own = [*[constant(-2, True)] * 11, *[constant(-3, False)] * 6]
    known = [constant(4, True, remembered=True)] * 30
    found, said = measured([*known, *own[::2]], [*own[1::2], *known])
    assert found == measured(own, [])[0]
    assert found.changes["presence"] == pytest.approx(1 / (1 + math.exp(2)), abs=1e-3)
    assert "11 of 11 held-out slices" in said
    assert [score.on for score in found.scores][-1] == "17 held-out slices"


def test_figures_are_of_the_masks_where_the_model_outlines() -> None:
    slices = [*[constant(1, True)] * 9, *[constant(-2, True)] * 3, *[constant(-1, False)] * 4]
    for outlines, figures in ((True, [0.75, 1.0]), (False, [1.0, 0.0])):
        found, said = measured(slices, [], 0, outlines=outlines)
        assert [score.value for score in found.scores[:2]] == figures
        assert "12 of 12 held-out slices that hold something reach it, and 0 of 4 empty ones do not" in said


def test_where_only_remembered_slices_tell_it_is_said() -> None:
    stroke = constant(1, True, partial=True)
    found, said = measured([stroke], [constant(4, True, remembered=True)] * 12)
    assert "12 of 12 remembered slices" in said
    assert [score.on for score in found.scores] == ["12 remembered slices holding something"]


@pytest.mark.parametrize(
    ("slices", "why"),
    [
        ([labelled(True), labelled(True)], "hold something"),
        ([labelled(False)], "are empty"),
        ([labelled(True, partial=True), labelled(False, partial=True)], "in part only"),
    ],
)
def test_slices_that_cannot_teach_it_are_refused(slices: list[LabelledSlice], why: str) -> None:
    with pytest.raises(InputError, match=why):
        check_telling(slices)
    check_telling([*slices, labelled(True), labelled(False)])


def test_a_crop_is_no_whole_slice() -> None:
    with pytest.raises(ValidationError, match="needs whole slices"):
        TrainOptions(presence=True, crop=64)


def test_a_new_model_learns_it_and_fine_tuning_keeps_it(
    own_library: Any, write_series: WriteSeries, listener: Listener
) -> None:
    data = [write_series(8, some_empty)]
    card = train(data, model="unet:tu-resnet10t", name="says", presence=True, report=listener, **SMALL)
    assert card.presence == 0.5
    assert "too few" in listener.said
    assert {"sensitivity for slices", "specificity for slices"} <= {score.metric for score in card.scores}
    first = load_model("says").network
    tuned = train(data, model="says", **SMALL)
    assert tuned.presence == 0.5
    second = load_model(tuned.reference).network
    key = "classification_head.3.weight"
    assert not torch.equal(first.state_dict()[key], second.state_dict()[key]), "it goes on learning"


def test_a_head_is_added_to_a_model_without_one(own_library: Any, write_series: WriteSeries) -> None:
    data = [write_series(8, some_empty)]
    train(data, model="unet:tu-resnet10t", name="plain", **SMALL)
    card = train(data, model="plain", name="says", presence=True, **SMALL)
    assert card.presence is not None
    with torch.inference_mode():
        assert split_output(load_model(card.reference).network(torch.rand(1, 1, 64, 64)))[1] is not None


def test_what_it_cannot_be_learnt_from_is_one_sentence(own_library: Any, write_series: WriteSeries) -> None:
    with pytest.raises(InputError, match="all labelled slices hold something"):
        train([write_series()], model="unet:tu-resnet10t", name="says", presence=True, **SMALL)
    with pytest.raises(InputError, match="Quick cannot learn"):
        train([write_series(name="b")], model="quick", name="says", presence=True, device="cpu")
    assert replace(labelled(True), remembered=True).holds == 1
