"""How far fine-tuning goes from what the start model knew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from napari_medseg.core import ClassInfo, Geometry, Image, Labels, ModelCard
from napari_medseg.training import TrainOptions
from napari_medseg.training import blend as blending
from napari_medseg.training.channels import GREY, Channels
from napari_medseg.training.guard import HeldOut
from napari_medseg.training.loop import Best
from napari_medseg.training.losses import IGNORE
from napari_medseg.training.truth import LabelledSlice, paint, prepare


@pytest.fixture
def mix(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Best, float]]:
    """Blend weight 0 with weight 1, whose Dice is 0.9; the mixture scores ``mixed``. Returns what is kept."""

    def blend(mixed: float, held_out: tuple[Any, ...] = (1,), least: float = 0) -> tuple[Best, float]:
        network = torch.nn.Linear(1, 1, bias=False)
        monkeypatch.setattr(blending, "score", lambda *_: HeldOut((0.0, mixed)))
        samples = SimpleNamespace(slices=[SimpleNamespace(body="she")] * 6)
        job: Any = SimpleNamespace(
            network=network, options=TrainOptions(), held_out=held_out, engine=None, samples=samples, channels=GREY
        )
        watch: Any = SimpleNamespace(metrics={})
        best = Best({"weight": torch.ones(1, 1)}, HeldOut((0.0, 0.9)) if held_out else None, 7, 0.9)
        kept = blending.blend(job, {"weight": torch.zeros(1, 1)}, best, watch, lambda s: s.mean() >= least)
        return kept, float(network.weight.item())

    return blend


def test_the_result_lies_between_start_and_trained(mix: Callable[..., tuple[Best, float]]) -> None:
    kept, weight = mix(0.88)
    assert weight == pytest.approx(0.6)
    assert kept.scores is not None
    assert kept.scores.mean() == 0.88


def test_a_start_that_knows_nothing_of_such_images_is_not_mixed_in(mix: Callable[..., tuple[Best, float]]) -> None:
    kept, weight = mix(0.5)
    assert weight == 1
    assert kept.scores is not None
    assert kept.scores.mean() == 0.9


def test_without_held_out_slices_the_start_is_mixed_in(mix: Callable[..., tuple[Best, float]]) -> None:
    kept, weight = mix(0.0, held_out=())
    assert weight == pytest.approx(0.6)
    assert kept.scores is None


def test_mixing_never_costs_the_promotion(mix: Callable[..., tuple[Best, float]]) -> None:
    """T6."""
    assert mix(0.85, least=0.88)[1] == 1
    assert mix(0.89, least=0.88)[1] < 1


def test_the_fewer_the_slices_the_more_of_the_start_stays() -> None:
    shares = [blending.choose_share(n) for n in (1, 3, 6, 16, 200)]
    assert shares == sorted(shares)
    assert shares[1] < 0.5 < shares[2]
    assert 0 < shares[0] < shares[-1] < 1


def test_all_slices_of_a_few_bodies_show_little_more_than_those_bodies() -> None:
    def views(bodies: int, each: int) -> float:
        pixels, target = np.zeros((1, 8, 8), np.float16), np.ones((8, 8), np.int16)
        slices = [LabelledSlice("", pixels, target, body=str(i)) for i in range(bodies) for _ in range(each)]
        return blending.count_views(slices, GREY)

    assert views(1, 20) == 20, "of one body, each shows another part of it"
    assert views(9, 20) == 9
    assert blending.choose_share(views(9, 20)) == pytest.approx(0.69, abs=0.005), "as docs/learning.md says"
    assert views(100, 1) == 100
    assert views(2, 20) == views(3, 2) == 6
    assert views(2, 1) == 2


def test_slices_know_whose_they_are() -> None:
    images = [Image(np.random.default_rng(i).random((3, 8, 8)), "ZYX", Geometry.unknown(3)) for i in range(2)]
    truth = Labels(np.ones((3, 8, 8), np.uint8), (ClassInfo.numbered(1, "thing"),), Geometry.unknown(3))
    card = ModelCard(name="x", classes=truth.classes)
    painted = [one for image in images for one in paint(image, truth, range(3))]
    bodies = [one.body for one in prepare(painted, card, {0: 0, 1: 1}, print)]
    assert bodies[:3] == bodies[:1] * 3 != bodies[3:] == bodies[3:4] * 3
    of_one = [replace(one, group="she") for one in painted]
    assert len({one.body for one in prepare(of_one, card, {0: 0, 1: 1}, print)}) == 1


def test_a_large_stained_image_counts_by_what_is_labelled_of_it() -> None:
    """Two of 1000 x 1000 pixels show hundreds of cells; strokes on them show few, and a CT slice is one of a body."""
    target = np.zeros((1000, 1000), np.int16)
    outlined = [LabelledSlice(name, np.zeros((3, 1000, 1000), np.float16), target) for name in "ab"]
    target = np.full((1000, 1000), IGNORE, np.int16)
    target[100:110, 100:400] = 1
    strokes = [LabelledSlice(name, np.zeros((3, 1000, 1000), np.float16), target) for name in "ab"]
    assert blending.choose_share(blending.count_views(outlined, Channels("stain"))) > 0.85
    assert blending.count_views(strokes, Channels("stain")) == 2
    assert blending.count_views(outlined, GREY) == 2
