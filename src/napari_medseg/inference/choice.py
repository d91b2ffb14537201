"""Number format and batch for a network on a device: measured, unless they are asked for by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from napari_medseg.core import Cancelled
from napari_medseg.models.build import QUICK

from .device import AGREEMENT, WORTH, Precision, device_title, pick_batch, pick_precision, thread_count, timed
from .openvino import WORTH_SECONDS, compile_network, is_installed
from .passes import Passes

CPU_BATCH_SECONDS = 0.4
"""A batch on the CPU ends within this time, so that a click on Cancel is answered within a second."""


def choose_precision(passes: Passes, patch: torch.Tensor, device: torch.device, wanted: str, count: int) -> Precision:
    """Number format for a run.

    Parameters
    ----------
    passes
        The network, on ``device`` already.
    patch
        Something typical (1, C, h, w), as it will come.
    device
        Where it is computed.
    wanted
        ``"auto"``, or the name of one.
    count
        How many patches are to come: what takes longer to make ready must pay.
    """
    if passes.card.architecture == QUICK:
        return Precision("fp32", seconds=CPU_BATCH_SECONDS)  # nothing to choose: no pass is spent on it
    if wanted == "openvino":
        passes.compiled = compile_network(passes.network, passes.card.in_channels, thread_count())
    if wanted != "auto":
        return Precision(wanted)
    precision = pick_precision(device, lambda name: passes(patch, device, name), _key(passes, patch, device))
    if precision.name == "fp32" and device.type == "cpu":
        return _try_openvino(passes, patch, precision, count)
    return precision


def choose_batch(passes: Passes, patch: torch.Tensor, device: torch.device, precision: Precision, count: int) -> int:
    """Patches to compute together in a run of ``count``; parameters as of `choose_precision`.

    On the CPU as many as fit its caches and end soon: larger ones took as long for each patch or longer, with every
    network and size tried. On a graphics card measured where there is enough to do, else about 4 million pixels.
    """
    area = patch.shape[-2] * patch.shape[-1]
    if device.type == "cpu":
        batch = max(1, min(32, 2**18 // area))
        if batch > 1:
            seconds = precision.seconds or timed(lambda: passes(patch, device, precision.name), device)[1]
            batch = max(1, min(batch, int(CPU_BATCH_SECONDS / max(seconds, 1e-6))))
        return batch
    usual = max(1, min(256, 2**22 // area))
    sizes = [n for n in (usual // 4, usual // 2, usual, 2 * usual, 4 * usual) if n]

    def run(size: int) -> torch.Tensor:
        return passes(patch.expand(size, -1, -1, -1), device, precision.name)

    key = _key(passes, patch, device)
    return pick_batch(device, run, sizes if count > 16 * usual else [usual], (*key, precision.name) if key else ())


def _key(passes: Passes, patch: torch.Tensor, device: torch.device) -> tuple[str, ...]:
    return (*passes.key, device_title(device), str(tuple(patch.shape))) if passes.key else ()


_tried: dict[tuple[str, ...], tuple[Precision, Callable[[torch.Tensor], Any]] | None] = {}
"""What came of trying OpenVINO with the last network, since converting one takes seconds."""


def _try_openvino(passes: Passes, patch: torch.Tensor, torchs: Precision, count: int) -> Precision:
    """OpenVINO where it is installed, the work is long enough, and it is faster and gives the same labels."""
    key = _key(passes, patch, patch.device)
    if key not in _tried:
        if torchs.seconds * count < WORTH_SECONDS or not is_installed():
            return torchs
        found = _measure_openvino(passes, patch, torchs)
        _tried.clear()
        _tried.update({key: found} if key else {})
    else:
        found = _tried[key]
    if found is None:
        return torchs
    precision, passes.compiled = found
    return precision


def _measure_openvino(
    passes: Passes, patch: torch.Tensor, torchs: Precision
) -> tuple[Precision, Callable[[torch.Tensor], Any]] | None:
    device = patch.device
    labels: dict[str, torch.Tensor] = {}
    least: dict[str, float] = {}
    try:
        passes.compiled = compile_network(passes.network, passes.card.in_channels, thread_count())
        # In turn: what else the computer does would otherwise decide.
        for name in ("openvino", "fp32") * 2:
            logits, seconds = timed(partial(passes, patch, device, name), device)
            labels[name], least[name] = logits.argmax(1), min(least.get(name, seconds), seconds)
    except Cancelled:
        raise
    except Exception as error:  # any reason will do: torch computes the same
        passes.notes.append(f"OpenVINO cannot run this network ({type(error).__name__}); torch does.")
        return None
    if (labels["openvino"] == labels["fp32"]).float().mean().item() < AGREEMENT:
        return None
    speedup = min(torchs.seconds, least["fp32"]) / least["openvino"]
    return (Precision("openvino", speedup, least["openvino"]), passes.compiled) if speedup > WORTH else None
