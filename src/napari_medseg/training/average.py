"""The mean of a network over its last steps: steadier than any one of them, and what is measured and kept."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Average:
    """Moving average of a network's weights: steadier than the weights of any one step.

    It remembers about ``memory`` steps, at the start about as many as there have been.
    """

    def __init__(self, network: nn.Module, memory: int = 100) -> None:
        self.network = copy.deepcopy(network).eval()
        self._own = [*self.network.state_dict().values()]
        self._most = 1 - 1 / memory

    def load(self, state: Mapping[str, Tensor]) -> None:
        self.network.load_state_dict(state)

    @property
    def state(self) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in self.network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        weight = 1 - min(self._most, (step + 1) / (step + 10))
        values = [*network.state_dict().values()]
        if values[0].device != self._own[0].device:  # memory did not suffice there
            self.network.to(values[0].device)
            self._own = [*self.network.state_dict().values()]
        for own, new in zip(self._own, values, strict=True):
            if own.is_floating_point():
                own.lerp_(new, weight)
            else:
                own.copy_(new)
