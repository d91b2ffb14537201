"""Several processes that train one model together.

Every process draws its own samples; gradients are averaged, so that all hold the same weights. The first one decides,
measures, reports and writes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import torch
from torch import nn

from napari_medseg.core import Cancelled, ComputeError

T = TypeVar("T")


class Team:
    """The processes that train together; this class is one process by itself.

    Attributes
    ----------
    rank
        Which of them this is; 0 decides, measures, reports and writes.
    size
        How many they are.
    local
        Which of those on this computer this is.
    """

    rank = 0
    size = 1
    local = 0

    def share(self, make: Callable[[], T]) -> T:
        """What ``make`` returns in the first process; the others wait for it.

        Raises
        ------
        Cancelled
            In the others, if ``make`` failed in the first.
        """
        return make()

    def equalise(self, network: nn.Module) -> None:
        """Give every process the first one's weights."""

    def average(self, network: nn.Module, value: float) -> float:
        """Replace gradients and statistics by the mean over all processes, and return that of ``value``."""
        return value

    def check_equal(self, network: nn.Module) -> None:
        """Make sure that every process has arrived at the same weights.

        Raises
        ------
        ComputeError
            In every process, if one has not.
        """


class Connection(Protocol):
    """What is used of Fabric."""

    global_rank: int
    local_rank: int
    world_size: int
    device: torch.device

    def broadcast(self, obj: Any, src: int = 0) -> Any: ...

    def all_reduce(self, data: torch.Tensor, reduce_op: str = "mean") -> torch.Tensor: ...


class Fellows(Team):
    """A process among others, connected by Fabric."""

    def __init__(self, fabric: Connection) -> None:
        self._fabric = fabric
        self.rank, self.size, self.local = fabric.global_rank, fabric.world_size, fabric.local_rank

    def share(self, make: Callable[[], T]) -> T:
        answer: tuple[T] | None = None
        try:
            if self.rank == 0:
                answer = (make(),)
        finally:
            answer = self._fabric.broadcast(answer)
        if answer is None:
            raise Cancelled("the first process has stopped")
        return answer[0]

    @torch.no_grad()
    def equalise(self, network: nn.Module) -> None:
        for value in network.state_dict().values():
            value.copy_(self._fabric.broadcast(value.contiguous()))

    @torch.no_grad()
    def average(self, network: nn.Module, value: float) -> float:
        shares = [torch.tensor([value], device=self._fabric.device)]
        parameters = [p for p in network.parameters() if p.requires_grad]
        statistics = [b for b in network.buffers() if b.is_floating_point()]
        for parameter in parameters:
            if parameter.grad is None:  # a loss that is no number has none
                parameter.grad = torch.zeros_like(parameter)
            shares.append(parameter.grad)
        shares += statistics
        mean = self._fabric.all_reduce(torch.cat([share.reshape(-1) for share in shares]), reduce_op="mean")
        parts = mean.split([share.numel() for share in shares])  # type: ignore[no-untyped-call]
        for share, part in zip(shares, parts, strict=True):
            share.copy_(part.view(share.shape))
        return float(shares[0])

    def check_equal(self, network: nn.Module) -> None:
        digest = hashlib.blake2b(digest_size=2)
        for value in network.state_dict().values():
            digest.update(value.cpu().contiguous().numpy().tobytes())
        own = float(int.from_bytes(digest.digest(), "big"))
        spread = (self._gather(own) - own) ** 2
        if self._gather(spread):
            raise ComputeError("The devices have arrived at different weights.", "Train on one device.")

    def _gather(self, value: float) -> float:
        """The mean over all processes."""
        mean = self._fabric.all_reduce(torch.tensor([value], device=self._fabric.device), reduce_op="mean")
        return float(mean)
