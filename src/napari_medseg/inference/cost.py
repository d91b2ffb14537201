"""What a model costs on this computer: ``python -m napari_medseg.inference.cost MODEL HEIGHT WIDTH DEVICE``."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from napari_medseg.core import ComputeError, Progress, Reporter, silent

TURNS = 3
BEAT = 0.2
"""Seconds between two questions whether to stop."""


@dataclass(frozen=True)
class Cost:
    """What one image takes.

    Attributes
    ----------
    milliseconds
        From its pixels to its labels, the least of three.
    mebibytes
        Peak memory of a process that does just this; on a graphics card, of the card. None on Windows, which keeps no
        count of it.
    parameters
        Numbers that were learnt.
    device
        Where it was computed, in words.
    """

    milliseconds: float
    mebibytes: float | None
    parameters: int
    device: str = ""


def measure_cost(model: str | Path, shape: tuple[int, int], device: str = "auto", report: Reporter = silent) -> Cost:
    """Segment an image of noise, (Y, X) pixels, in a process of its own.

    Raises
    ------
    ComputeError
        It ended without an answer.
    Cancelled
        What ``report``, asked every 0.2 s, raised: the process is ended.
    """
    command = [sys.executable, "-P", "-m", __name__, str(model), *map(str, shape), device]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while True:
            try:
                said, complaints = process.communicate(timeout=BEAT)
                break
            except subprocess.TimeoutExpired:
                try:
                    report(Progress("Measuring"))
                except BaseException:
                    process.kill()
                    raise
    lines = said.splitlines()
    if process.returncode or not lines:
        error = ComputeError(f"What {model} costs cannot be measured.", "Segment an image with it to see why.")
        error.add_note(complaints[-4000:])
        raise error
    return Cost(**json.loads(lines[-1]))


def _measure(reference: str, shape: tuple[int, int], device: str) -> Cost:
    import numpy as np
    import torch

    from napari_medseg.core import Geometry, Image
    from napari_medseg.models import load_model

    from .device import device_title, pick_device
    from .segment import segment

    model = load_model(reference)
    channels = model.card.channels
    pixels = np.random.default_rng(0).integers(0, 255, (*shape, channels) if channels > 1 else shape, dtype=np.uint8)
    image = Image(pixels, "YXC" if channels > 1 else "YX", Geometry.unknown(2))
    times = []
    for _ in range(1 + TURNS):  # the first chooses kernels
        begin = time.perf_counter()
        segment(image, model, device=device)
        times.append(time.perf_counter() - begin)
    where = pick_device(device)
    peak = torch.cuda.max_memory_allocated() / 2**20 if where.type == "cuda" else _peak()
    parameters = sum(p.numel() for p in model.network.parameters())
    return Cost(1000 * min(times[1:]), peak, parameters, device_title(where))


def _peak() -> float | None:
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    name, height, width, where = sys.argv[1:]
    print(json.dumps(asdict(_measure(name, (int(height), int(width)), where))))
