"""FCN-8s, as one more architecture beside those of segmentation_models_pytorch.

Source: Long, Shelhamer and Darrell, "Fully convolutional networks for semantic segmentation", CVPR 2015.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import segmentation_models_pytorch as smp
from segmentation_models_pytorch.base import ClassificationHead, SegmentationHead, SegmentationModel
from segmentation_models_pytorch.base.hub_mixin import supports_config_loading
from torch import Tensor, nn
from torch.nn import functional

STRIDE = 8
"""Pixels of the image for each of what is predicted, which is then enlarged."""

DROPOUT = 0.5
"""As in the paper."""


class FCN8sDecoder(nn.Module):
    """Adds up what three levels of the encoder say, the coarser ones enlarged.

    The paper adds scores of classes. Here features are added, and one layer makes scores of the sum: as all of this is
    linear it can say the same, and classes can be added to a trained network.

    Parameters
    ----------
    channels
        Of the encoder's levels, fine to coarse; the last three are used.
    width
        Features of the two layers on the coarsest level, 4096 in the paper.
    scores
        Features that are added up.
    """

    def __init__(self, channels: Sequence[int], width: int, scores: int) -> None:
        super().__init__()
        fine, middle, coarse = channels[-3:]
        self.top = nn.Sequential(
            nn.Conv2d(coarse, width, 7, padding=3), nn.ReLU(inplace=True), nn.Dropout2d(DROPOUT),
            nn.Conv2d(width, width, 1), nn.ReLU(inplace=True), nn.Dropout2d(DROPOUT), nn.Conv2d(width, scores, 1),
        )  # fmt: skip
        self.middle, self.fine = nn.Conv2d(middle, scores, 1), nn.Conv2d(fine, scores, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        fine, middle, coarse = features[-3:]
        total = self.middle(middle) + _twice(self.top(coarse))
        summed: Tensor = self.fine(fine) + _twice(total)
        return summed


class FCN8s(SegmentationModel):  # type: ignore[misc]
    """FCN-8s with any encoder of segmentation_models_pytorch whose last level has a stride of 32.

    Parameters
    ----------
    encoder_name, encoder_weights, in_channels, classes, **more
        As of the library's own architectures; ``more`` is for the encoder, but for ``aux_params``.
    decoder_channels
        ``width`` and ``scores`` of `FCN8sDecoder`.
    """

    @supports_config_loading  # type: ignore[untyped-decorator]
    def __init__(
        self,
        encoder_name: str = "vgg16",
        encoder_weights: str | None = None,
        in_channels: int = 3,
        classes: int = 1,
        decoder_channels: Sequence[int] = (512, 32),
        **more: Any,
    ) -> None:
        super().__init__()
        second_output = more.pop("aux_params", None)
        self.encoder = smp.encoders.get_encoder(encoder_name, in_channels=in_channels, weights=encoder_weights, **more)
        self.decoder = FCN8sDecoder(self.encoder.out_channels, *decoder_channels)
        self.segmentation_head = SegmentationHead(decoder_channels[1], classes, kernel_size=1, upsampling=STRIDE)
        self.classification_head = second_output and ClassificationHead(self.encoder.out_channels[-1], **second_output)
        self.name = f"fcn8s-{encoder_name}"
        self.initialize()


def _twice(features: Tensor) -> Tensor:
    """Enlarged by bilinear interpolation, which is what the paper's layers begin with."""
    return functional.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
