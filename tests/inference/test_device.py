"""Which device, how many CPUs, which number format."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from napari_medseg.core import InputError
from napari_medseg.inference import device as module
from napari_medseg.inference.device import (
    cpu_count,
    fast_precision,
    hold_memory,
    pick_batch,
    pick_device,
    pick_precision,
    release_memory,
    thread_count,
)

CPU = torch.device("cpu")


def _files(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 16),
        ({"sys/fs/cgroup/cpu.max": "max 100000"}, 16),
        ({"sys/fs/cgroup/cpu.max": "250000 100000"}, 2),
        ({"sys/fs/cgroup/cpu.max": "50000 100000"}, 1),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "300000 100000"}, 3),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "nonsense"}, 16),
        ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "400000", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}, 4),
        ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}, 16),
    ],
)
def test_cpu_count_follows_the_cgroup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], expected: int
) -> None:
    """C6."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    assert cpu_count(_files(tmp_path, files)) == expected


def test_cpu_count_follows_the_affinity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """C6."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 5}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert cpu_count(tmp_path) == 2


def test_omp_num_threads_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    """C6."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert thread_count() == 1


def test_auto_is_the_cpu_where_nothing_else_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """C2."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert pick_device("auto") == CPU


def test_missing_device_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """C2."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="The device cuda cannot be used: torch finds no such device") as caught:
        pick_device("cuda")
    assert caught.value.hint


def test_driver_trouble_is_told_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """C2: torch says it as a warning."""

    def warn() -> bool:
        import warnings

        warnings.warn("The NVIDIA driver on your system is too old. Please update.\nMore.", stacklevel=1)
        return False

    monkeypatch.setattr(torch.cuda, "is_available", warn)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError, match="cannot be used: The NVIDIA driver on your system is too old\\."):
        pick_device("cuda:0")
    assert pick_device("auto") == CPU


def test_busy_device_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """C2: the driver is there, the first allocation fails."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)

    def busy(*args: object, **kwargs: object) -> torch.Tensor:
        raise RuntimeError("CUDA error: all CUDA-capable devices are busy or unavailable\nCompile with ...")

    monkeypatch.setattr(torch, "ones", busy)
    assert pick_device("auto") == CPU
    with pytest.raises(InputError, match="busy or unavailable"):
        pick_device("cuda")


def test_number_of_a_card_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """C2."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match="this computer has 1"):
        pick_device("cuda:3")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that `_forward` turns on by hand, and a CPU with bf16."""
    now = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(module, "fast_precision", lambda device: "bf16")
    return now


def _network(clock: list[float], seconds: dict[str, float], wrong: int = 0, value: float = 1.0):  # type: ignore[no-untyped-def]
    def forward(precision: str) -> torch.Tensor:
        clock[0] += seconds[precision]
        logits = torch.zeros(1, 2, 100, 100)
        logits[:, 1] = value if precision != "fp32" else 1.0
        if precision != "fp32":
            logits.flatten(2)[:, 1, :wrong] = -1
        return logits

    return forward


def test_faster_format_with_the_same_labels_is_taken(clock: list[float]) -> None:
    choice = pick_precision(CPU, _network(clock, {"fp32": 1.0, "bf16": 0.4}, wrong=10))
    assert choice.name == "bf16"
    assert choice.speedup == pytest.approx(2.5)


def test_faster_format_with_other_labels_is_not_taken(clock: list[float]) -> None:
    assert pick_precision(CPU, _network(clock, {"fp32": 1.0, "bf16": 0.4}, wrong=11)).name == "fp32"


def test_format_that_is_faster_by_chance_is_not_taken(clock: list[float]) -> None:
    assert pick_precision(CPU, _network(clock, {"fp32": 1.0, "bf16": 0.95})).name == "fp32"


def test_batches_grow_until_that_gains_nothing(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_batches", {})
    seconds = {1: 1.0, 2: 1.2, 4: 2.0, 8: 4.0, 16: 1.0}
    tried: list[int] = []

    def run(size: int) -> torch.Tensor:
        tried.append(size)
        clock[0] += seconds[size]
        return torch.zeros(1)

    assert pick_batch(CPU, run, [*seconds], ("sha",)) == 4
    assert max(tried) == 8
    tried.clear()
    assert pick_batch(CPU, run, [*seconds], ("sha",)) == 4
    assert pick_batch(CPU, run, [16]) == 16
    assert not tried


def test_batch_that_is_too_large_for_the_memory_is_not_taken(clock: list[float]) -> None:
    """C1."""

    def run(size: int) -> torch.Tensor:
        clock[0] += 1
        if size > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return torch.zeros(1)

    assert pick_batch(CPU, run, [1, 2, 4, 8]) == 2
    with pytest.raises(torch.OutOfMemoryError):
        pick_batch(CPU, run, [4, 8])


def test_slower_format_is_not_taken(clock: list[float]) -> None:
    assert pick_precision(CPU, _network(clock, {"fp32": 1.0, "bf16": 1.5})).name == "fp32"


def test_format_that_overflows_is_not_taken(clock: list[float]) -> None:
    """C4."""
    assert pick_precision(CPU, _network(clock, {"fp32": 1.0, "bf16": 0.4}, value=float("inf"))).name == "fp32"


def test_choice_is_measured_once_for_a_model(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_measured", {})
    network = _network(clock, {"fp32": 1.0, "bf16": 0.4})
    pick_precision(CPU, network, ("sha", "cpu"))
    measured = clock[0]
    assert pick_precision(CPU, network, ("sha", "cpu")).name == "bf16"
    assert clock[0] == measured


def test_cpu_without_bf16_stays_with_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_cpu_flags", lambda: {"avx2"})
    assert fast_precision(CPU) == ""


def test_memory_that_is_held_is_given_back() -> None:
    """Nothing in use is touched; where the system is another one nothing happens."""
    hold_memory()
    kept, freed = torch.ones(4_000_000), torch.ones(4_000_000)
    del freed
    release_memory()
    assert bool((kept == 1).all())
