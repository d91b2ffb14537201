"""Leave features out at random while a network learns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn import functional


@contextmanager
def leaving_out(network: nn.Module, share: float) -> Iterator[None]:
    """While open, a share of the features that reach the head of the masks is zero, others in each sample and pass.

    The network itself stays as it is, so that weights, exports and inference know nothing of it. One that outlines
    nothing has no such head, and nothing is left out.

    Parameters
    ----------
    share
        Of the features, whole channels at a time; 0 leaves out none.

    Source: Tompson et al., "Efficient object localization using convolutional networks" (2015).
    """
    head = getattr(network, "segmentation_head", None)
    if not share or head is None:
        yield
        return

    def drop(_: nn.Module, features: tuple[Tensor, ...]) -> Tensor:
        return functional.dropout2d(features[0], share)

    hook = head.register_forward_pre_hook(drop)
    try:
        yield
    finally:
        hook.remove()
