"""The channels of one image as layers of their own, each of which knows the whole image.

napari draws grey and RGB only, so an image of other channels is several layers. Each keeps the arrays of the whole in
its metadata: they are the same arrays that all of them show, so nothing is in memory twice, and the image is whole as
long as one of its layers is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

CHANNEL = "napari_medseg_channel"
"""Key of ``layer.metadata`` under which a layer of one channel keeps its `Channel`."""


@dataclass(frozen=True)
class Channel:
    """One channel of an image, as its layer shows it.

    Attributes
    ----------
    index
        Which channel, from 0.
    pyramid
        Data and smaller levels of the whole image, channels last.
    shown
        The array of the layer at full resolution.
    """

    index: int
    pyramid: tuple[Any, ...]
    shown: Any


def channel_of(layer: Any) -> Channel | None:
    """What a layer shows of an image of several channels; None of an image of its own.

    A layer whose pixels were replaced shows no channel of the image any more: it is a grey image of its own.
    """
    channel = layer.metadata.get(CHANNEL)
    if not isinstance(channel, Channel):
        return None
    data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
    return channel if data is channel.shown else None


def leads(layers: Iterable[Any]) -> list[Any]:
    """Image layers that stand for one image each: of the channels of an image, the first that is left."""
    found: dict[int, tuple[int, Any]] = {}
    for layer in layers:
        channel = channel_of(layer)
        index = 0 if channel is None else channel.index
        known = found.get(_image(layer))
        if known is None or index < known[0]:
            found[_image(layer)] = index, layer
    return [layer for _, layer in found.values()]


def lead_of(layer: Any, layers: Sequence[Any]) -> Any:
    """The one of ``layers`` that stands for the image that a layer shows; the layer itself where none does."""
    return next((one for one in leads(layers) if _image(one) == _image(layer)), layer)


def _image(layer: Any) -> int:
    channel = channel_of(layer)
    return id(layer if channel is None else channel.pyramid[0])
