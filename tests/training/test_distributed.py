"""Two processes on the CPU that train one model together: the same weights in both, one model, one report."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from napari_medseg.core import ComputeError, InputError
from napari_medseg.models import list_models
from napari_medseg.training import TrainOptions, distributed, launch, train, work
from napari_medseg.training.launch import settle_devices

from .conftest import Folders, Listener

pytestmark = pytest.mark.long

TWO: dict[str, Any] = {
    "model": "unet:tu-resnet10t", "name": "n", "device": "cpu", "devices": 2, "batch": 1, "precision": "fp32",
}  # fmt: skip


@pytest.fixture
def helpers(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[str]]:
    """The processes that are started."""
    pytest.importorskip("lightning_fabric")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    started: list[subprocess.Popen[str]] = []
    start = subprocess.Popen

    def remember(*arguments: Any, **more: Any) -> subprocess.Popen[str]:
        started.append(start(*arguments, **more))
        return started[-1]

    monkeypatch.setattr(launch.subprocess, "Popen", remember)
    return started


def test_two_processes_arrive_at_the_same_weights_and_keep_one_model(
    helpers: list[subprocess.Popen[str]],
    write_series: Callable[..., Folders],
    monkeypatch: pytest.MonkeyPatch,
    listener: Listener,
    tmp_path: Path,
) -> None:
    """`Fellows.check_equal`, which this counts, compares the weights of both at the end; only one writes the log."""
    pytest.importorskip("tensorboard")
    compared, environment = [], dict(os.environ)
    check = distributed.Fellows.check_equal

    def counting(self: distributed.Fellows, network: Any) -> None:
        check(self, network)
        compared.append((self.rank, self.size))

    monkeypatch.setattr(distributed.Fellows, "check_equal", counting)
    card = train([write_series(4)], max_steps=4, report=listener, log_dir=tmp_path / "logs", **TWO)
    assert len([*(tmp_path / "logs").rglob("events*")]) == 1
    assert compared == [(0, 2)]
    assert [process.returncode for process in helpers] == [0], "the other process ended by itself"
    assert [c.reference for c in list_models(all_versions=True) if c.name == "n"] == [card.reference] == ["n@1"]
    assert listener.heard[-1].metrics["step"] == 4
    assert "2 x CPU" in listener.said
    assert dict(os.environ) == environment


def test_a_start_that_knows_no_such_images_is_one_in_every_process(
    helpers: list[subprocess.Popen[str]],
    write_series: Callable[..., Folders],
    monkeypatch: pytest.MonkeyPatch,
    listener: Listener,
) -> None:
    """Only the first one measures; with other steps in the second, their weights would part."""
    images, masks = write_series(4)
    train([(images, masks)], max_steps=1, **TWO | {"devices": 1})
    # Only this process may think so: the other one has to be told.
    monkeypatch.setattr(work, "STRANGE", 2.0)
    card = train([(images, masks)], max_steps=4, report=listener, **TWO | {"model": "n"})
    assert "as a new network does" in listener.said
    assert card.reference in [c.reference for c in list_models(all_versions=True)]
    assert [process.returncode for process in helpers] == [0]


def test_stopping_reaches_the_other_process(
    helpers: list[subprocess.Popen[str]], write_series: Callable[..., Folders]
) -> None:
    """T4."""
    listener = Listener(stop=lambda p: p.metrics.get("step", 0) >= 2)
    card = train([write_series(4)], max_minutes=100, report=listener, **TWO)
    assert "Stopped early" in card.description
    assert [process.returncode for process in helpers] == [0]


def test_a_process_that_cannot_start_is_told_in_one_sentence(
    helpers: list[subprocess.Popen[str]], write_series: Callable[..., Folders], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch.sys, "executable", "/bin/false")
    with pytest.raises(ComputeError, match="cannot start"):
        train([write_series(2)], max_steps=2, **TWO)
    assert [process.returncode for process in helpers] == [1]


@pytest.mark.parametrize(
    ("settings", "text"),
    [({"device": "cuda:1", "devices": 2}, "single device"), ({"device": "cpu", "nodes": 2}, "each of them")],
)
def test_devices_that_do_not_go_together_are_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        settle_devices(TrainOptions(**settings))


def test_without_fabric_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(launch.sys.modules, "lightning_fabric", None)
    with pytest.raises(InputError) as error:
        settle_devices(TrainOptions(device="cpu", devices=2))
    assert "napari-medseg[multi-gpu]" in error.value.hint


def test_torchrun_says_how_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "6", "LOCAL_WORLD_SIZE": "3"}.items():
        monkeypatch.setenv(name, value)
    options = settle_devices(TrainOptions(device="cpu"))
    assert (options.devices, options.nodes) == (3, 2)
