"""What the optimisers are given, and how large their steps are."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from napari_medseg.training import TrainOptions
from napari_medseg.training.optimisers import OPTIMISERS, PARTS, make_optimiser
from napari_medseg.training.schedule import PLATEAU, REDUCTION, SCHEDULERS, SMALLEST, Plateau, rate


class Net(nn.Module):
    """An encoder of ten layers and a decoder of one."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(*[nn.Conv2d(1, 1, 1, bias=False) for _ in range(10)])
        self.decoder = nn.Conv2d(1, 1, 1)


def rates(pretrained: bool = False, **settings: object) -> list[float]:
    """Largest rate of each parameter, in the order of the network."""
    network = Net()
    optimiser = make_optimiser(network, TrainOptions(**settings), pretrained=pretrained)
    of = {id(p): group["largest"] for group in optimiser.param_groups for p in group["params"]}
    return [of[id(p)] for p in network.parameters()]


@pytest.mark.parametrize("name", OPTIMISERS)
def test_every_optimiser_learns(name: str) -> None:
    torch.manual_seed(0)
    network = Net()
    optimiser = make_optimiser(network, TrainOptions(optimizer=name, learning_rate=0.01), pretrained=False)
    losses = []
    for _ in range(200):
        loss = (network.decoder(network.encoder(torch.ones(1, 1, 1, 1))) - 1).square().sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert min(losses) < 0.5 * losses[0]


def test_a_trained_encoder_takes_smaller_steps() -> None:
    assert {*rates()} == {1e-3}, "of random weights, all alike"
    assert rates(pretrained=True) == pytest.approx([3e-4] * 10 + [3e-3] * 2)
    assert rates(pretrained=True, encoder_rate=0.5, learning_rate=1e-2) == pytest.approx([5e-3] * 10 + [1e-2] * 2)
    assert rates(optimizer="sgd")[-1] == 1e-2


def test_an_encoder_at_rate_0_stays_as_it_is() -> None:
    network = Net()
    before = network.encoder[3].weight.clone()
    optimiser = make_optimiser(network, TrainOptions(encoder_rate=0, weight_decay=0.1), pretrained=True)
    network.decoder(network.encoder(torch.ones(1, 1, 1, 1))).sum().backward()
    optimiser.step()
    assert torch.equal(network.encoder[3].weight, before)


def test_layer_decay_holds_back_what_is_near_the_image() -> None:
    found = rates(layer_decay=0.5, learning_rate=1e-2)
    assert found == pytest.approx([1e-2 * 0.5 ** (PARTS - 1 - i // 2) for i in range(10)] + [1e-2] * 2)


def test_vectors_are_not_decayed() -> None:
    optimiser = make_optimiser(Net(), TrainOptions(weight_decay=0.01), pretrained=False)
    for group in optimiser.param_groups:
        assert {p.ndim > 1 for p in group["params"]} == {group["weight_decay"] == 0.01}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_steps_grow_first_and_never_after(name: str) -> None:
    sizes = [rate(i / 100, 0.1, name) for i in range(101)]
    assert sizes[0] == 0.02
    assert max(sizes) == sizes[10] == 1
    assert sizes[10:] == sorted(sizes[10:], reverse=True)
    assert sizes[-1] == pytest.approx(SMALLEST if name in ("cosine", "exponential") else 1)


def test_a_plateau_makes_smaller_steps() -> None:
    plateau = Plateau()
    for dice in (0.5, 0.6, *[0.6] * PLATEAU):
        plateau.hear(dice)
    assert (plateau.factor, plateau.waited) == (REDUCTION, PLATEAU)
    plateau.hear(0.7)
    assert (plateau.factor, plateau.waited) == (REDUCTION, 0)
    for _ in range(100):
        plateau.hear(0)
    assert plateau.factor == SMALLEST


def test_the_tables_load_no_torch() -> None:
    code = "import sys, napari_medseg.training.options; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
