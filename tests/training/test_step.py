"""What a step does when memory or numbers do not suffice: smaller batches, the CPU, fp32; each said once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from napari_medseg.core import ClassInfo, ComputeError
from napari_medseg.training import TrainOptions, engine, step
from napari_medseg.training.average import Average
from napari_medseg.training.engine import Engine, load
from napari_medseg.training.presets import AUGMENTATIONS, Augmentation
from napari_medseg.training.samples import Samples
from napari_medseg.training.schedule import Pace
from napari_medseg.training.step import Job, Stepper
from napari_medseg.training.truth import LabelledSlice

HALF = Pace(0.5)


class Net(nn.Module):
    """One layer and its normalisation; ``output`` is done to its logits."""

    def __init__(self, output: Callable[[Tensor], Tensor] = lambda logits: logits) -> None:
        super().__init__()
        self.layer, self.normal = nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)
        self._output = output

    def forward(self, images: Tensor) -> Tensor:
        return self._output(self.normal(self.layer(images)))


def make_job(network: nn.Module, precision: str = "fp32", batch: int = 2) -> Job:
    target = np.zeros((32, 32), np.int16)
    target[8:20, 8:20] = 1
    one = LabelledSlice("a", target[None].astype(np.float16), target)
    return Job(
        network, False, Samples([one], (32, 32), 0), [], [ClassInfo.numbered(1)],
        Engine(torch.device("cpu"), precision, 2, 32), TrainOptions(augmentation="none"), batch, False,
    )  # fmt: skip


def overflowing(logits: Tensor) -> Tensor:
    """No number outside of fp32, as where activations exceed the largest float16."""
    return logits * math.nan if torch.is_autocast_enabled("cpu") else logits


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_numbers_that_overflow_are_computed_in_fp32_from_then_on(precision: str) -> None:
    """C4."""
    job = make_job(Net(overflowing), precision)
    learn = Stepper(job)
    losses = [learn(HALF)["loss"] for _ in range(3)]
    assert all(math.isfinite(loss) for loss in losses)
    assert job.engine.precision == "fp32"
    assert learn.notes == [f"The numbers overflow in {precision}: trains on in fp32."]
    assert all(torch.isfinite(value).all() for value in job.network.state_dict().values())


def test_gradients_that_overflow_in_fp16_whatever_their_scale_are_computed_in_fp32() -> None:
    """C4: a scaler halves its scale after each overflow; where even 1 is too much, the format is."""

    class Steep(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, logits: Tensor) -> Tensor:
            return logits.clone()

        @staticmethod
        def backward(context: Any, *gradient: Tensor) -> Tensor:
            return gradient[0] * (math.inf if job.engine.precision == "fp16" else 1)

    job = make_job(Net(Steep.apply), "fp16")
    before = job.network.layer.weight.clone()
    learn = Stepper(job)
    for _ in range(16):
        learn(HALF)
    assert torch.equal(job.network.layer.weight, before), "such a step is left out"
    assert learn.notes == []
    learn(HALF)
    assert job.engine.precision == "fp32"
    assert not torch.equal(job.network.layer.weight, before)


def test_the_statistics_of_a_new_network_settle_before_the_end() -> None:
    job = make_job(Net())
    learn = Stepper(job)
    mean = job.network.normal.running_mean
    learn(Pace(0.1))
    settled = mean.clone()
    assert settled.any()
    learn(Pace(0.5))
    assert not torch.equal(mean, settled)
    settled = mean.clone()
    weight = job.network.layer.weight.clone()
    learn(Pace(0.7))
    assert torch.equal(mean, settled)
    assert not torch.equal(job.network.layer.weight, weight), "the rest goes on learning"


def test_numbers_that_are_none_in_fp32_too_change_nothing() -> None:
    """T5."""
    job = make_job(Net(lambda logits: logits * math.nan), "bf16")
    before = {name: value.clone() for name, value in job.network.named_parameters()}
    assert math.isnan(Stepper(job)(HALF)["loss"])
    assert all(torch.equal(value, before[name]) for name, value in job.network.named_parameters())


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """A device from which the engine can go to the CPU, with memory for so many samples, until it has."""
    memory = {"samples": 0}

    def on_cpu(self: Engine) -> Engine | None:
        memory["samples"] = 100
        return replace(self, multiple=self.multiple)

    whole = step.augment

    def hungry(images: Tensor, *rest: Any, **more: Any) -> Any:
        if len(images) > memory["samples"]:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(images, *rest, **more)

    monkeypatch.setattr(step, "augment", hungry)
    monkeypatch.setattr(Engine, "on_cpu", on_cpu)
    return memory


def test_a_gpu_without_memory_for_one_sample_leaves_the_work_to_the_cpu(gpu: dict[str, int]) -> None:
    """C1, midway: the optimiser keeps what it has learnt about the gradients."""
    gpu["samples"] = 4
    job = make_job(Net(), batch=4)
    learn = Stepper(job)
    learn(HALF)
    gpu["samples"] = 0
    assert math.isfinite(learn(HALF)["loss"])
    assert [note.partition(":")[0] for note in learn.notes] == [
        "Memory is not enough for the batch", "Memory is not enough for the batch", "CPU cannot train this",
    ]  # fmt: skip
    state = learn.state()["optimiser"]["state"]
    assert {int(entry["step"]) for entry in state.values()} == {2}


def test_without_a_cpu_to_go_to_it_says_what_to_do(gpu: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """C1."""
    monkeypatch.setattr(Engine, "on_cpu", lambda self: None)
    with pytest.raises(ComputeError, match="single sample"):
        Stepper(make_job(Net()))(HALF)


def test_a_network_that_the_device_cannot_hold_is_trained_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """C1, at load."""
    said: list[str] = []
    small, cpu = Engine(torch.device("cpu"), "fp16", 2, 32), Engine(torch.device("cpu"), "fp32", 2, 32)
    place = Engine.place

    def placing(self: Engine, network: nn.Module) -> nn.Module:
        if self is small:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return place(self, network)

    monkeypatch.setattr(Engine, "place", placing)
    monkeypatch.setattr(Engine, "on_cpu", lambda self: cpu if self is small else None)
    assert load(small, Net(), said.append)[0] is cpu
    assert len(said) == 1


def test_held_out_slices_are_measured_in_smaller_windows_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """C1."""
    sides: list[int] = []

    class Large(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            sides.append(max(images.shape[-2:]))
            if sides[-1] > 300:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return torch.cat([0.5 - images, images - 0.5], 1)

    pixels = np.zeros((1, 600, 40), np.float16)
    pixels[0, 400:] = 1
    cpu = Engine(torch.device("cpu"), "fp32", 2, 32)
    assert torch.equal(cpu.predict(Large(), pixels, (0, 1)), torch.from_numpy(pixels[0] > 0.5).long())
    assert max(sides[2:]) <= engine.SMALLEST
    monkeypatch.setattr(engine, "SMALLEST", 512)
    with pytest.raises(torch.OutOfMemoryError):
        cpu.predict(Large(), pixels, (0, 1))


def test_an_average_goes_where_its_network_goes() -> None:
    network = Net()
    average = Average(network)
    with torch.no_grad():
        network.layer.weight.fill_(5)
    for i in range(200):
        average.update(network, i)
    torch.testing.assert_close(average.network.layer.weight, network.layer.weight, rtol=0.3, atol=0)


@pytest.mark.parametrize("pretrained", [False, True])
def test_images_are_varied_more_when_they_were_seen_often(pretrained: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two samples a step of the one slice there is; a network that has learnt before has seen enough."""
    seen = []

    def choose(name: str, times: float) -> Augmentation:
        seen.append(times)
        return AUGMENTATIONS["none"]

    monkeypatch.setattr(step, "choose_preset", choose)
    job = replace(make_job(Net()), pretrained=pretrained)
    learn = Stepper(job)
    learn(HALF), learn(HALF)
    again = Stepper(job)
    again.restore(learn.state())
    again(HALF)
    assert seen == ([math.inf] * 3 if pretrained else [0, 2, 4])


@pytest.mark.parametrize("pretrained", [False, True])
def test_only_new_networks_learn_that_air_is_background(pretrained: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fine-tuned on strokes round after round, a trained one became worse with every round."""
    presets = []

    def augment(images: Tensor, target: Tensor, preset: Augmentation, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        presets.append(preset)
        return images, target

    monkeypatch.setattr(step, "augment", augment)
    job = replace(make_job(Net()), pretrained=pretrained, options=TrainOptions())
    Stepper(job)(HALF)
    assert (presets[0].air > 0) is not pretrained
    assert presets[0].turn > 0
