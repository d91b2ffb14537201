"""Features are left out while a network learns, and at no other time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from napari_medseg.core import ClassInfo
from napari_medseg.models import build_network, start_card
from napari_medseg.training import TrainOptions
from napari_medseg.training.dropout import leaving_out
from napari_medseg.training.engine import Engine
from napari_medseg.training.samples import Samples
from napari_medseg.training.schedule import Pace
from napari_medseg.training.step import Job, Stepper
from napari_medseg.training.truth import LabelledSlice

ONE = ClassInfo.numbered(1)


def new_network(start: str = "unet:resnet18") -> nn.Module:
    return build_network(start_card(start, name="new", classes=[ONE]))


@contextmanager
def watching(network: nn.Module) -> Iterator[list[Tensor]]:
    """What reaches the head, pass by pass."""
    seen: list[Tensor] = []
    head = network.segmentation_head[0]
    assert isinstance(head, nn.Module)
    hook = head.register_forward_pre_hook(lambda _, features: seen.append(features[0].detach()))
    yield seen
    hook.remove()


def make_stepper(network: nn.Module, dropout: float) -> Stepper:
    target = np.zeros((64, 64), np.int16)
    target[8:20, 8:20] = 1
    noise = np.random.default_rng(0).normal(0, 0.3, target.shape)
    one = LabelledSlice("a", (target + noise)[None].astype(np.float16), target)
    engine = Engine(torch.device("cpu"), "fp32", 2, 32)
    options = TrainOptions(augmentation="none", dropout=dropout)
    return Stepper(Job(network, False, Samples([one], (64, 64), 0), [], [ONE], engine, options, 2, False))


def share_of_empty(features: Tensor) -> float:
    return float((features.abs().amax((2, 3)) == 0).float().mean())


@pytest.mark.parametrize("start", ["unet:resnet18", "unetplusplus:resnet18", "fpn:resnet18", "fcn8s:resnet18"])
def test_a_step_leaves_features_out_and_nothing_else_does(start: str) -> None:
    network = new_network(start)
    names = list(network.state_dict())
    learn = make_stepper(network, 0.5)
    with watching(network) as seen:
        learn(Pace(0.5)), learn(Pace(0.5))
        assert all(0.2 < share_of_empty(features) < 0.8 for features in seen)
        assert not torch.equal(*((features.abs().amax((2, 3)) == 0) for features in seen)), "others in each step"
        seen.clear()
        network.eval()
        images = torch.rand(2, 1, 64, 64)
        with torch.no_grad():
            assert torch.equal(network(images), network(images))
        usual = share_of_empty(seen[0])
    assert usual < 0.2
    assert list(network.state_dict()) == names


def test_by_default_nothing_is_left_out_and_no_random_number_drawn() -> None:
    network = new_network()
    learn = make_stepper(network, TrainOptions().dropout)
    before = torch.get_rng_state()
    with watching(network) as seen:
        learn(Pace(0.5))
    assert share_of_empty(seen[0]) < 0.2
    assert torch.equal(torch.get_rng_state(), before)


def test_features_keep_their_mean_and_no_hook_stays_behind() -> None:
    network = nn.Module()
    network.segmentation_head = nn.Identity()
    features = torch.ones(64, 64, 2, 2)
    with leaving_out(network, 0.3):
        passed = network.segmentation_head(features)
    assert passed.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert passed.mean() == pytest.approx(1, abs=0.05)
    with pytest.raises(RuntimeError), leaving_out(network, 0.3):
        raise RuntimeError("out of memory")
    assert network.segmentation_head(features) is features


def test_a_network_that_outlines_nothing_learns_as_before() -> None:
    network = new_network("classifier:resnet18")
    learn = make_stepper(network, 0.5)
    learn._job.engine = replace(learn._job.engine, outlines=False)
    assert learn(Pace(0.5))["loss"] > 0
