"""Which weights are kept: scores are scripted, so that only the choice is tested."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from napari_medseg.core import ClassInfo, Image, ModelCard, Progress
from napari_medseg.core.geometry import Geometry
from napari_medseg.training import LOSSES, TrainOptions, loop, step
from napari_medseg.training.engine import Engine
from napari_medseg.training.guard import HeldOut
from napari_medseg.training.loop import Best, fit
from napari_medseg.training.preview import Asked, Previews
from napari_medseg.training.samples import Samples
from napari_medseg.training.schedule import Budget
from napari_medseg.training.step import Job
from napari_medseg.training.truth import LabelledSlice
from napari_medseg.training.verdict import Verdict
from napari_medseg.training.watch import Watch

from .conftest import Listener

STEPS = 16
"""Every second step is then validated."""

Weights = list[dict[str, Tensor]]


class Script:
    """Scores given one after the other, the last for ever, and the weights they were given for."""

    def __init__(self, dice: Sequence[float]) -> None:
        self.weights: Weights = []
        self._dice = dice

    def __call__(self, network: nn.Module, *_: Any, **__: Any) -> HeldOut:
        self.weights.append({name: value.clone() for name, value in network.state_dict().items()})
        return HeldOut((1.0, self._dice[min(len(self.weights), len(self._dice)) - 1]))


@pytest.fixture
def fit_scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Best, Script, Job]]:
    """Train a network of one layer whose validations have these scores."""

    def run(
        *dice: float,
        held_out: int = 50,
        remembered: int = 0,
        side: int = 32,
        report: Callable[[Progress], None] = lambda progress: None,
        passes: Callable[[HeldOut], bool] = lambda scores: True,
        previews: Previews | None = None,
        **settings: Any,
    ) -> tuple[Best, Script, Job]:
        script = Script(dice)
        torch.manual_seed(0)
        monkeypatch.setattr(loop, "score", script)
        target = np.zeros((side, side), np.int16)
        target[8:20, 8:20] = 1
        one = LabelledSlice("a", target[None].astype(np.float16), target)
        measured = [one] * held_out + [replace(one, remembered=True)] * remembered
        job = Job(
            nn.Conv2d(1, 2, 1), False, Samples([one], (side, side), 0), measured, [ClassInfo.numbered(1)],
            Engine(torch.device("cpu"), "fp32", 2, 32), TrainOptions(max_steps=STEPS, augmentation="none", **settings),
            1, False,
        )  # fmt: skip
        budget = Budget(None, STEPS)
        return fit(job, budget, Watch(report, budget, clock=iter(range(10**6)).__next__), passes, previews), script, job

    return run


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def test_the_best_is_kept_and_not_the_last(fit_scripted: Callable[..., Any]) -> None:
    best, script, job = fit_scripted(0.5, 0.9, 0.6)
    assert (best.step, best.scores.mean()) == (4, 0.9)
    assert len(script.weights) == 8, "the last weights were scored too"
    assert same(job.network.state_dict(), script.weights[1])
    assert not same(job.network.state_dict(), script.weights[-1])


@pytest.mark.parametrize(
    ("side", "settings", "halved", "validations"),
    [
        (384, {}, 7, 5),  # 40 % of the steps, and nothing is measured before half of them
        (384, {"coarse_start": False}, 0, 8),
        (320, {}, 0, 8),
    ],
)
def test_large_samples_are_seen_at_half_resolution_at_first_unless_told_not_to(
    fit_scripted: Callable[..., Any],
    side: int,
    settings: dict[str, Any],
    halved: int,
    validations: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sides: list[int] = []
    measure = step.measure_loss

    def watch(engine: Engine, network: nn.Module, name: str, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        sides.append(batch[0].shape[-1])
        return measure(engine, network, name, batch)

    monkeypatch.setattr(step, "measure_loss", watch)
    _, script, _ = fit_scripted(0.5, side=side, **settings)
    assert sides == [side // 2] * halved + [side] * (STEPS - halved)
    assert len(script.weights) == validations


def test_classes_that_are_not_found_are_told_in_one_sentence(
    fit_scripted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, listener: Listener
) -> None:
    _, _, job = fit_scripted(0.5)
    favoured: list[int] = []
    monkeypatch.setattr(job.samples, "favour", favoured.append)
    job = replace(job, classes=[ClassInfo.numbered(1), ClassInfo.numbered(2)])
    monkeypatch.setattr(loop, "score", lambda *_, **__: HeldOut((1.0, 0.0, 0.0)))
    budget = Budget(None, 2)
    validation = loop.Validation(job, budget, lambda scores: True)
    average, best = SimpleNamespace(network=job.network, state={}), Best({}, None, 0)
    for step_number in (1, 2):
        best = validation.run(average, best, step_number, Watch(listener, budget))  # type: ignore[arg-type]
    assert favoured == [1, 2]
    assert listener.said.count("found yet") == 1
    assert "Nothing of 'class 1' and 'class 2' is found yet: they are shown more often." in listener.said


def test_stopping_keeps_the_best_and_not_the_last(fit_scripted: Callable[..., Any]) -> None:
    """T4."""
    listener = Listener(stop=lambda p: p.metrics.get("step", 0) >= 9)
    best, script, job = fit_scripted(0.5, 0.9, 0.6, report=listener)
    assert best.step == 4
    assert len(script.weights) == 4
    assert same(job.network.state_dict(), script.weights[1])


def test_a_loss_that_is_no_number_keeps_the_best_and_not_the_last(
    fit_scripted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, listener: Listener
) -> None:
    """T5."""
    calls, right = iter(range(STEPS)), LOSSES["dice-ce"]
    broken = lambda logits, target: right(logits, target) * (math.nan if next(calls) >= 7 else 1)  # noqa: E731
    monkeypatch.setitem(LOSSES, "dice-ce", broken)
    best, script, job = fit_scripted(0.5, 0.9, 0.6, report=listener)
    assert "no number at step 8" in listener.said
    assert best.step == 4
    assert same(job.network.state_dict(), script.weights[1])
    assert all(torch.isfinite(value).all() for value in script.weights[-1].values())


@pytest.mark.parametrize(
    ("held_out", "dice", "kept"),
    [
        (1, (0.9, 0.885, 0.8), 4),  # one slice: 0.02 is chance, and of equals the later is kept
        (1, (0.9, 0.875, 0.8), 2),
        (1, (0.9, 0.885, 0.87, 0.8), 4),  # measured from the record: small losses do not add up
        (4, (0.9, 0.896, 0.8), 4),
        (4, (0.9, 0.894, 0.8), 2),
        (50, (0.9, 0.898, 0.8), 4),  # many slices: 0.003 and never less
        (50, (0.9, 0.896, 0.8), 2),
    ],
)
def test_of_equals_the_later_is_kept(
    fit_scripted: Callable[..., Any], held_out: int, dice: tuple[float, ...], kept: int
) -> None:
    best, _, _ = fit_scripted(*dice, held_out=held_out)
    assert (best.step, best.record) == (kept, 0.9)


def test_weights_that_may_be_promoted_never_give_way_to_weights_that_may_not(fit_scripted: Callable[..., Any]) -> None:
    """T6."""
    promoted = lambda scores: Verdict(0.91, scores.mean()).promoted  # noqa: E731
    assert fit_scripted(0.9, 0.885, 0.5, held_out=1)[0].step == 4
    best, _, _ = fit_scripted(0.9, 0.885, 0.5, held_out=1, passes=promoted)
    assert best.step == 2
    assert promoted(best.scores)


def test_where_all_are_worse_than_the_start_the_best_of_them_is_kept_and_not_promoted(
    fit_scripted: Callable[..., Any],
) -> None:
    """T6."""
    promoted = lambda scores: Verdict(0.95, scores.mean()).promoted  # noqa: E731
    best, script, job = fit_scripted(0.6, 0.8, 0.7, passes=promoted)
    assert (best.step, promoted(best.scores)) == (4, False)
    assert same(job.network.state_dict(), script.weights[1])


def test_remembered_slices_do_not_speak_for_stopping_early(fit_scripted: Callable[..., Any]) -> None:
    """With one slice of today, a difference of 0.015 is chance, however many slices the start remembers."""
    assert fit_scripted(0.9, 0.885, held_out=1, remembered=30)[0].step > fit_scripted(0.9, 0.5, held_out=1)[0].step


def test_nothing_held_out_keeps_the_last(fit_scripted: Callable[..., Any]) -> None:
    best, script, _ = fit_scripted(0.5, held_out=0)
    assert (best.step, best.scores, script.weights) == (STEPS, None, [])


def test_patience_ends_a_run_that_gets_no_better(
    fit_scripted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With patience, every step of these 16 is validated."""
    listener = Listener()
    best, script, job = fit_scripted(0.5, 0.9, 0.6, 0.7, 0.8, report=listener, patience=3)
    assert "not risen for 3 validations: stopped at step 5" in listener.said
    assert (best.step, best.record, len(script.weights)) == (2, 0.9, 5)
    assert same(job.network.state_dict(), script.weights[1])
    listener = Listener()
    assert len(fit_scripted(0.5, report=listener)[1].weights) == 8
    assert "stopped" not in listener.said


def test_a_plateau_of_the_held_out_dice_makes_smaller_steps(fit_scripted: Callable[..., Any]) -> None:
    def rates(**settings: Any) -> list[float]:
        listener = Listener()
        fit_scripted(0.5, report=listener, **settings)
        return [p.metrics["learning_rate"] for p in listener.heard if "learning_rate" in p.metrics]

    largest = max(rates(scheduler="constant"))
    assert rates(scheduler="constant")[-1] == largest
    assert rates(scheduler="plateau")[-1] < 0.2 * largest


def test_looking_on_changes_nothing(fit_scripted: Callable[..., Any]) -> None:
    """With steps alone the same seed gives the same weights, whether or not the slice in view is shown meanwhile."""
    image = Image(np.arange(32 * 32, dtype=np.uint8).reshape(32, 32), "YX", Geometry.unknown(2))
    looks = iter(range(0, 10**6, 10))
    previews = Previews(
        lambda: Asked((0,), image, 0), ModelCard(name="a", classes=(ClassInfo.numbered(1),)), looks.__next__
    )
    listener = Listener()
    shown = fit_scripted(0.5, report=listener, previews=previews)[2].network.state_dict()
    assert any(p.result is not None for p in listener.heard)
    assert same(shown, fit_scripted(0.5)[2].network.state_dict())
