"""Which device, how many threads, which number format: what is fastest here, measured."""

from __future__ import annotations

import ctypes
import os
import platform
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import torch

from napari_medseg.core import InputError

AGREEMENT = 0.999  # of the probe's pixels must keep their class in the faster format

WORTH = 1.1
"""A faster number format or a larger batch must be so many times faster to be taken: less may be chance."""

QUICK_SECONDS = 0.2  # a run that takes longer is not repeated for a steadier figure

# Of glibc's mallopt, see its manual page.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Precision:
    """A number format and what was measured when it was chosen.

    Attributes
    ----------
    name
        ``"fp32"``, ``"bf16"`` or ``"fp16"``.
    speedup
        Time of fp32 divided by its time; 1 for fp32, 0 when it was not measured.
    seconds
        Time of one probe; 0 when it was not measured.
    """

    name: str
    speedup: float = 0.0
    seconds: float = 0.0


def cpu_count(root: Path = Path("/")) -> int:
    """CPUs this process may use: its affinity, cut by the cgroup's quota (containers, batch systems), at least 1.

    Parameters
    ----------
    root
        Where ``proc`` and ``sys`` are looked for.
    """
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows
        count = os.cpu_count() or 1
    for quota in _quotas(root):
        count = min(count, max(1, int(quota)))
    return count


def thread_count() -> int:
    """Threads for torch: as many as CPUs, or fewer where OMP_NUM_THREADS says so."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return min(cpu_count(), max(1, int(wanted))) if wanted.isdecimal() else cpu_count()


def hold_memory() -> None:
    """Have glibc keep freed memory for the next batch, up to half a gigabyte, in place of giving it back each time.

    A pass through a network frees and asks for hundreds of megabytes; getting them from the system anew, zeroed page
    by page, took about a tenth of the time on the CPU. Elsewhere than on Linux nothing changes.
    """
    if (libc := _glibc()) is not None:
        libc.mallopt(_M_MMAP_THRESHOLD, 32 * 2**20)
        libc.mallopt(_M_TRIM_THRESHOLD, 512 * 2**20)


def release_memory() -> None:
    """Give back what `hold_memory` has kept."""
    if (libc := _glibc()) is not None:
        libc.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    if platform.libc_ver()[0] != "glibc":
        return None
    return ctypes.CDLL(None)


def _quotas(root: Path) -> list[float]:
    """CPU quotas of this process's cgroup and its parents, version 2 and 1."""
    base = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    own = next((line.removeprefix("0::").strip("/") for line in lines if line.startswith("0::")), "")
    folders = [base.joinpath(*Path(own).parts[:i]) for i in range(len(Path(own).parts) + 1)]
    quotas = [_quota([folder / "cpu.max"]) for folder in folders]
    quotas.append(_quota([base / "cpu/cpu.cfs_quota_us", base / "cpu/cpu.cfs_period_us"]))
    return [q for q in quotas if q is not None]


def _quota(files: list[Path]) -> float | None:
    try:
        quota, period = (int(word) for file in files for word in file.read_text().split())
    except (OSError, ValueError):  # no such file, or "max"
        return None
    return quota / period if quota > 0 and period > 0 else None


def pick_device(name: str) -> torch.device:
    """The device that ``name`` means, tried with one number before it is given out.

    Parameters
    ----------
    name
        ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``. ``auto`` falls back to the CPU.

    Raises
    ------
    InputError
        A device was asked for by name and does not work; the message has the driver's own reason.
    """
    if name == "auto":
        for candidate in ("cuda", "mps"):
            if not _why_unusable(candidate):
                return torch.device(candidate)
        return torch.device("cpu")
    if reason := _why_unusable(name):
        raise InputError(f"The device {name} cannot be used: {reason}.", "Choose auto or cpu.")
    return torch.device(name)


def _why_unusable(name: str) -> str:
    if name == "cpu":
        return ""
    with warnings.catch_warnings(record=True) as caught:  # torch tells driver trouble as a warning
        warnings.simplefilter("always")
        available = torch.cuda.is_available() if name.startswith("cuda") else torch.backends.mps.is_available()
    if not available:
        own = _first_sentence(str(caught[0].message)) if caught else ""
        return own or "torch finds no such device on this computer"
    index = torch.device(name).index
    if index is not None and index >= torch.cuda.device_count():
        return f"this computer has {torch.cuda.device_count()} (counted from 0)"
    try:
        torch.ones(1, device=name).add(1).item()
    except (RuntimeError, AssertionError) as error:  # busy, out of memory, driver mismatch, no kernels for it
        return _first_sentence(str(error)) or type(error).__name__
    return ""


def _first_sentence(text: str) -> str:
    return text.strip().partition("\n")[0].partition(". ")[0].rstrip(".")


def device_title(device: torch.device) -> str:
    """``CPU``, ``MPS`` or ``CUDA (name of the card)``."""
    return f"CUDA ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type.upper()


def fast_precision(device: torch.device) -> str:
    """The half-size number format this device computes in hardware; empty when there is none."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device)[0] >= 8 else "fp16"
    if device.type == "cpu" and _cpu_flags() & {"avx512_bf16", "amx_bf16", "bf16"}:
        return "bf16"
    return ""


def _cpu_flags() -> set[str]:
    flags = set()
    for flag, name in (("avx512_bf16", "_is_avx512_bf16_supported"), ("amx_bf16", "_is_amx_tile_supported")):
        if getattr(torch.cpu, name, bool)():
            flags.add(flag)
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("flags", "Features")):
                return flags | set(line.partition(":")[2].split())
    except OSError:
        pass
    return flags


_measured: dict[tuple[str, ...], Precision] = {}


def pick_precision(
    device: torch.device, forward: Callable[[str], torch.Tensor], key: tuple[str, ...] = ()
) -> Precision:
    """Measure whether the device's fast number format is faster here and gives the same labels.

    Parameters
    ----------
    device
        Where ``forward`` computes.
    forward
        Takes a precision, returns the logits (N, K, Y, X) of a probe.
    key
        Names model and probe; a choice made once for it is kept while the process lives. Empty measures anew.
    """
    if key in _measured:
        return _measured[key]
    exact, seconds = timed(lambda: forward("fp32"), device)
    choice = Precision("fp32", 1.0, seconds)
    if fast := fast_precision(device):
        rough, fast_seconds = timed(lambda: forward(fast), device)
        agree = (exact.argmax(1) == rough.argmax(1)).float().mean().item()
        if torch.isfinite(rough).all() and agree >= AGREEMENT and WORTH * fast_seconds < seconds:
            choice = Precision(fast, seconds / fast_seconds, fast_seconds)
    if key:
        _measured[key] = choice
    return choice


_batches: dict[tuple[str, ...], int] = {}


def pick_batch(
    device: torch.device, run: Callable[[int], torch.Tensor], sizes: Sequence[int], key: tuple[str, ...] = ()
) -> int:
    """The batch after which larger ones gain nothing, measured.

    Parameters
    ----------
    device
        Where ``run`` computes.
    run
        Does a batch of so many patches.
    sizes
        To try, small to large; a single one is taken unmeasured.
    key
        Names model and probe; a choice measured once for it is kept while the process lives. Empty measures anew.
    """
    if key in _batches:
        return _batches[key]
    if len(sizes) == 1:
        return sizes[0]
    best, least = sizes[0], float("inf")
    for size in sizes:
        try:
            seconds = timed(partial(run, size), device)[1] / size
        except (RuntimeError, MemoryError):
            if size == sizes[0]:
                raise
            break  # too large for the memory: the one before was not
        if WORTH * seconds > least:
            break
        best, least = size, seconds
    if key:
        _batches[key] = best
    return best


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch, of a driver or of the system says that memory was not enough."""
    text = str(error).lower()
    said = ("out of memory", "not enough memory", "allocate memory")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(words in text for words in said)


def timed(work: Callable[[], torch.Tensor], device: torch.device) -> tuple[torch.Tensor, float]:
    """Result and seconds of ``work``, after one run that also chooses kernels; the better of two where it is quick."""
    result = work()
    best = float("inf")
    for _ in range(2):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        start = time.perf_counter()
        result = work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - start)
        if best > QUICK_SECONDS:
            break
    return result, best
