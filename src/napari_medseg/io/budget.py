"""How much memory one slice may take, checked before anything is allocated."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_medseg.core import InputError

SLICE_LIMIT = 4 * 2**30
"""Bytes one decoded slice may take at most, however much memory there is; half the free memory where that is less."""

STACK_FACTOR = 8
"""What is taken into memory as a whole stack may take this many times the budget of one slice."""

DEFLATE_LIMIT = 1032
"""Deflate packs at most 1032 bytes into one (zlib technical notes), so a file that claims more cannot hold it."""


def half_free() -> int:
    """Half of the free memory of this machine, in bytes; where that is not known, what a whole stack may take."""
    try:
        free = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable"))
        return int(free.split()[1]) * 1024 // 2
    except (OSError, StopIteration, ValueError):
        return STACK_FACTOR * SLICE_LIMIT


def memory_budget() -> int:
    """Bytes one decoded slice may take on this machine now."""
    return min(SLICE_LIMIT, half_free())


def stack_budget() -> int:
    """Bytes a whole stack may take on this machine now."""
    return STACK_FACTOR * memory_budget()


def check_budget(path: Path, shape: tuple[int, ...], dtype: np.dtype[np.generic] | type) -> None:
    """Refuse a slice that does not fit in memory, before allocating it.

    Raises
    ------
    InputError
        With the size that was claimed and the size that is allowed.
    """
    need = int(np.prod([int(n) for n in shape], dtype=object)) * np.dtype(dtype).itemsize
    budget = memory_budget()
    if need > budget:
        height, width = shape[:2]
        raise InputError(
            f"{path.name} claims {width} x {height} pixels, which take {in_gib(need)} as one slice;"
            f" {in_gib(budget)} are allowed here.",
            "Crop or scale it down, or save it as a tiled pyramid.",
        )


def in_gib(size: int) -> str:
    """Bytes as a figure a person reads: ``3.7 GiB``."""
    return f"{size / 2**30:,.1f} GiB"
