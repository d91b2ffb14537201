"""OpenVINO's float32 kernels: faster than torch's on CPUs that have no half-size number format."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from threading import Lock
from typing import Any

import torch

WORTH_SECONDS = 60.0
"""Converting a network takes seconds: work that torch does in less than this goes without."""


def is_installed() -> bool:
    """Whether the optional package is there."""
    return find_spec("openvino") is not None


def compile_network(network: torch.nn.Module, channels: int, threads: int) -> Callable[[torch.Tensor], Any]:
    """Make a function that computes what ``network`` does, on the CPU; it gives a tuple of the network's outputs.

    Parameters
    ----------
    network
        On the CPU, in evaluation mode; it is not changed.
    channels
        Of its input (N, C, Y, X), float32; every N, Y and X that the network takes is taken.
    threads
        To compute with.

    Raises
    ------
    RuntimeError
        The network has an operation that OpenVINO lacks.
    """
    import openvino

    model = openvino.convert_model(network, example_input=torch.zeros(1, channels, 64, 64))
    # Without the hint it would compute in bf16 where it can, and the labels would differ.
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    compiled = openvino.Core().compile_model(model, "CPU", settings)

    one_at_a_time = Lock()

    def forward(batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
        with one_at_a_time:  # its results lie in memory that the next call writes to
            found = compiled(batch.contiguous().numpy())
            return tuple(torch.from_numpy(found[i].copy()) for i in range(len(found)))

    return forward
