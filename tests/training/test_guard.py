"""Old against new: on today's held-out labels, and on what the start remembers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from napari_medseg.training import measuring, work
from napari_medseg.training.engine import Engine
from napari_medseg.training.guard import HeldOut, score
from napari_medseg.training.schedule import Budget
from napari_medseg.training.truth import LabelledSlice
from napari_medseg.training.verdict import FORGOTTEN, TOLERANCE, Verdict
from napari_medseg.training.watch import Watch

from .conftest import Listener


def test_todays_and_remembered_slices_are_scored_apart() -> None:
    """One network that finds class 1 everywhere: right today, half right in what is remembered."""
    logits = torch.nn.Conv2d(1, 2, 1)
    with torch.no_grad():
        logits.weight.zero_()
        logits.bias.copy_(torch.tensor([0.0, 1.0]))
    engine = Engine(torch.device("cpu"), "fp32", 2, 1)
    target = np.ones((8, 8), np.int16)
    today = LabelledSlice("today", np.zeros((1, 8, 8), np.float16), target)
    half = np.where(np.arange(8) < 4, target, 0).astype(np.int16)
    remembered = replace(today, target=half, remembered=True)
    found = score(logits, [today, remembered], engine)
    assert found.mean() == 1
    assert found.kept() == pytest.approx(2 / 3)
    assert found.balance() == pytest.approx((1 + 2 / 3) / 2)
    assert score(logits, [today], engine).remembered == ()
    alone = score(logits, [remembered], engine)
    assert math.isnan(alone.mean())
    assert alone.shown() == alone.balance() == alone.kept()


def test_an_old_class_found_too_much_shows_though_a_class_is_new() -> None:
    """The remembered slice was painted without the new class 2, which counts as background wherever it is found."""
    target = np.zeros((8, 8), np.int16)
    target[:4] = 1
    one = LabelledSlice("a", np.zeros((1, 8, 8), np.float16), target, remembered=True, unpainted=(2,))

    def kept(bottom: int) -> float:
        found = torch.from_numpy(np.where(target == 1, 1, bottom)).long()
        engine = SimpleNamespace(outputs=3, outlines=True, predict=lambda *_: found.clone())
        return score(nn.Identity(), [one], engine).kept()  # type: ignore[arg-type]

    assert kept(0) == kept(2) == 1
    assert kept(1) == pytest.approx(2 / 3)


@pytest.mark.parametrize(("today", "why"), [((), "nothing was held out"), ((0,), "no class is painted"), ((1,), "")])
def test_why_nothing_of_today_is_measured_is_known_though_what_is_remembered_measures(
    today: tuple[int, ...], why: str
) -> None:
    pixels = np.zeros((1, 4, 4), np.float16)
    past = LabelledSlice("b", pixels, np.ones((4, 4), np.int16), remembered=True)
    slices = [*(LabelledSlice("a", pixels, np.full((4, 4), k, np.int16)) for k in today), past]
    measured, said = measuring.showing(slices)
    assert len(measured) == len(slices)
    assert said.startswith(why)
    assert bool(said) == bool(why)


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("dice", [0.0, 0.02, 0.6])
def test_a_start_that_knows_no_such_images_learns_as_a_new_network(
    dice: float, fresh: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model of CT that is held to its statistics and to small steps finds nothing in MR."""
    monkeypatch.setattr(work, "score", lambda *_: HeldOut((0.9, dice)))
    network = nn.Identity()
    start = SimpleNamespace(parent=object(), known=(0, 1), network=network)
    engine = SimpleNamespace(figure="Dice", place=lambda one: one)
    job = SimpleNamespace(network=network, held_out=(object(),), engine=engine, pretrained=not fresh)
    watch = Watch(Listener(), Budget(None, 1))
    work.measure_start(start, job, watch)  # type: ignore[arg-type]
    assert f"{dice:.3f}" in watch.notes[-1]
    # A new network stays one, whatever the model reaches that it is compared with.
    assert job.pretrained == (not fresh and dice >= 0.1)
    assert ("as a new network" in watch.notes[-1]) == (not fresh and dice < 0.1)


def test_a_little_worse_is_chance_and_more_is_not() -> None:
    """T6."""
    assert Verdict(0.9, 0.9 - 0.9 * TOLERANCE).promoted
    worse = Verdict(0.9, 0.9 - 1.1 * TOLERANCE)
    assert not worse.promoted
    assert worse.reason == "Worse than its start"


def test_labels_that_are_all_wrong_show_in_what_was_known() -> None:
    """T6: sides that were mixed up are so in the held-out slices, too; there the new model seems better."""
    mixed_up = Verdict(0.1, 0.95, knew=0.96, knows=0.3)
    assert not mixed_up.promoted
    assert "wrong label" in mixed_up.reason
    assert "0.300, before 0.960" in str(mixed_up)
    assert Verdict(0.1, 0.95, knew=0.96, knows=0.96 - 0.9 * FORGOTTEN).promoted


def test_labels_the_start_contradicts_are_never_taken_without_a_word() -> None:
    """T6: the start knows these classes, and finds none of them where they are painted today."""
    swapped = Verdict(0.0, 0.66, knew=0.93, knows=0.93)
    assert swapped.promoted
    assert "though it knows such classes" in str(swapped)
    assert not Verdict(0.0, 0.3, knew=0.93, knows=0.93).promoted
    assert Verdict(0.2, 0.3, knew=0.93, knows=0.93).promoted, "the start is bad there, and does not contradict"
    assert "though" not in str(Verdict(0.5, 0.66, knew=0.93, knows=0.93))
    useless = Verdict(0.01, 0.01, knew=0.93, knows=0.93)
    assert not useless.promoted
    assert useless.reason.startswith("Hardly anything")
    assert Verdict(math.nan, 0.0).promoted, "there is no start that could be better"


def test_what_cannot_be_measured_does_not_stand_in_the_way() -> None:
    nothing = Verdict(math.nan, math.nan)
    assert nothing.promoted
    assert str(nothing) == "The new model was not measured: nothing was held out."


def test_balance_leaves_out_what_is_not_there() -> None:
    assert math.isnan(HeldOut((1.0, math.nan)).balance())
    assert HeldOut((1.0, 0.8)).balance() == 0.8


@pytest.mark.parametrize(("today", "past"), [(1, 12), (12, 1), (9, 9)])
def test_where_there_is_time_for_few_slices_some_of_today_and_some_remembered_are_measured(
    today: int, past: int, monkeypatch: pytest.MonkeyPatch, listener: Listener
) -> None:
    """T6: a model spoilt by today's labels would pass unseen if only remembered slices were measured."""
    pixels, target = np.zeros((1, 8, 8), np.float16), np.zeros((8, 8), np.int16)
    slices = [LabelledSlice(f"{i}", pixels, target, remembered=i >= today) for i in range(today + past)]
    job = SimpleNamespace(engine=SimpleNamespace(outputs=2, predict=lambda *given: None), network=nn.Identity())
    ticks = count()
    monkeypatch.setattr(measuring.time, "monotonic", lambda: float(next(ticks)))  # every look costs a second
    budget = Budget(60, None)
    measured = measuring.limit(slices, job, budget, Watch(listener, budget))
    assert sum(not one.remembered for one in measured) == min(today, 3)
    assert sum(one.remembered for one in measured) == min(past, 3)
    assert "are measured, so that measuring leaves time" in listener.said


@pytest.mark.parametrize(("full", "kept"), [((40,), 1), (range(8), 4), (range(30), 5), ((), 0), (range(41), 7)])
def test_of_many_held_out_slices_those_that_show_a_class_are_measured(
    full: Sequence[int], kept: int, monkeypatch: pytest.MonkeyPatch, listener: Listener
) -> None:
    pixels, empty, filled = np.zeros((1, 8, 8), np.float16), np.zeros((8, 8), np.int16), np.ones((8, 8), np.int16)
    slices = [LabelledSlice(f"{i}", pixels, filled if i in full else empty) for i in range(41)]
    job = SimpleNamespace(engine=SimpleNamespace(outputs=2, predict=lambda *given: None), network=nn.Identity())
    ticks = count()
    monkeypatch.setattr(measuring.time, "monotonic", lambda: float(next(ticks)))
    budget = Budget(240, None)
    chosen = measuring.limit(slices, job, budget, Watch(listener, budget))
    assert sum(one.present == {1} for one in chosen) == kept
    assert len({one.name for one in chosen}) == 7
    assert bool(measuring.showing(chosen)[0]) is bool(full)
