"""The slice head: a second output of a network, which says whether a slice holds anything at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

SLICE_HEAD = {"classes": 1, "pooling": "max", "dropout": 0.3, "activation": None}
"""``aux_params`` of segmentation_models_pytorch. The largest response in the slice counts; a mean over the slice did as
well on made-up slices with a spot of 6 to 12 pixels."""


UNSET = 0.5
"""`ModelCard.presence` of a head that nothing was measured of."""


def split_output(output: Any) -> tuple[Tensor, Tensor | None]:
    """What a network gave, as logits of the classes (N, K, Y, X) and of the slices (N,).

    The latter are None without a slice head. Whoever calls a network takes its output apart here.
    """
    if not isinstance(output, tuple | list):
        return output, None
    mask, said = output[0], output[1] if len(output) > 1 else None
    return mask, said.flatten() if said is not None and said.numel() == len(mask) else None
