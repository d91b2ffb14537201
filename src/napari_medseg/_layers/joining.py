"""Image layers of one size and place as the channels of one image."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from napari_medseg.io import join_channels
from napari_medseg.io.channels import name_channels

from .about import METADATA, LayerDataTuple, describe
from .channels import CHANNEL, Channel, leads
from .images import image_from_layer

_LOOK = ("scale", "translate", "rotate", "shear", "affine", "units", "contrast_limits", "colormap")


def join_layers(layers: Sequence[Any]) -> LayerDataTuple:
    """A layer that stands for all of these, in their order: it shows the first channel where the first layer lies.

    No pixel is read or copied. A layer of one channel of an image brings all of that image.

    Raises
    ------
    InputError
        If a layer is no image, or they differ in size or place.
    """
    layers = leads(layers)
    images = [image_from_layer(layer) for layer in layers]
    names = [layer.name for layer in layers]
    # The second layer of a name is numbered, whichever it is.
    plain = [re.sub(r" \[\d+\]$", "", name) for name in names]
    told = name_channels(plain) if not any(image.channel_names for image in images) else ()
    joined = join_channels(images, called=[f"Layer '{name}'" for name in names], names=told)
    first, shown = layers[0], images[0].data
    if images[0].axes.endswith("C"):
        shown = shown[..., 0]
    look = {name: getattr(first, name) for name in _LOOK if name != "colormap" or not first.rgb}
    about = {**describe(joined), "meaning": joined.meaning}
    channel = Channel(0, joined.pyramid, shown)
    metadata = {METADATA: about, CHANNEL: channel}
    return shown, {**look, "name": " + ".join(x.name for x in layers), "rgb": False, "metadata": metadata}, "image"
