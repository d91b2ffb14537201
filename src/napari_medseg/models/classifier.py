"""A network that outlines nothing: it only says whether a slice holds anything."""

from __future__ import annotations

from typing import Any

import segmentation_models_pytorch as smp
import torch
from segmentation_models_pytorch.base import SegmentationModel
from segmentation_models_pytorch.base.hub_mixin import supports_config_loading
from torch import Tensor, nn

WIDTHS = (256, 256, 256)
DROPOUT = 0.3


class Classifier(SegmentationModel):  # type: ignore[misc]
    """An encoder of segmentation_models_pytorch, its mean over the slice, three dense layers and one answer.

    Its outputs are those of a network with a slice head, so that it can be used in its place: logits of a mask that is
    background everywhere, and the logit of the slice.

    Parameters
    ----------
    encoder_name, encoder_weights, in_channels, classes, **more
        As of the library's own architectures; ``more`` is for the encoder, but for ``aux_params``.
    """

    @supports_config_loading  # type: ignore[untyped-decorator]
    def __init__(
        self,
        encoder_name: str = "resnet18",
        encoder_weights: str | None = None,
        in_channels: int = 3,
        classes: int = 2,
        **more: Any,
    ) -> None:
        super().__init__()
        more.pop("aux_params", None)
        self.encoder = smp.encoders.get_encoder(encoder_name, in_channels=in_channels, weights=encoder_weights, **more)
        layers: list[nn.Module] = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        width = self.encoder.out_channels[-1]
        for wide in WIDTHS:
            layers += [nn.Linear(width, wide), nn.ReLU(inplace=True)]
            width = wide
        self.classification_head = nn.Sequential(*layers, nn.Dropout(DROPOUT), nn.Linear(width, 1))
        self.outputs = classes
        self.name = f"classifier-{encoder_name}"

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        said = self.classification_head(self.encoder(x)[-1])
        # Made from the input, so that exports keep sizes free.
        plane = torch.zeros_like(x[:, :1])
        return torch.cat([plane + 1, *[plane] * (self.outputs - 1)], 1), said
