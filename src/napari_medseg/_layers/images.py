"""Image layers and `Image`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import Image, InputError

from .about import (
    METADATA,
    LayerDataTuple,
    about_layer,
    describe,
    findings_of,
    names_of,
    source_of,
    title_of,
    windows_of,
)
from .channels import CHANNEL, Channel, channel_of
from .placing import geometry_of, place

_DYES = (("magenta", "green"), ("cyan", "magenta", "yellow", "blue", "green", "red"))
"""Colours of two channels, and of more, as napari splits them."""


def image_from_layer(layer: Any) -> Image:
    """Describe an image layer without loading or copying its pixels.

    Parameters
    ----------
    layer
        A napari image layer (or anything with its attributes). Hidden, scaled, translated and rotated layers are taken
        as they are: labels follow the pixels, not the view. A layer of one channel stands for the whole image.

    Raises
    ------
    InputError
        If the layer is neither grey nor RGB, or has no two or three spatial axes.
    """
    data, *levels = list(layer.data) if getattr(layer, "multiscale", False) else [layer.data]
    rgb, channel = bool(getattr(layer, "rgb", False)), channel_of(layer)
    if channel is not None:
        data, *levels = channel.pyramid
    many = rgb or channel is not None
    ndim = data.ndim - many
    if ndim not in (2, 3) or (not many and _has_channels_last(data.shape)):
        raise InputError(
            f"Layer '{layer.name}' of shape {tuple(data.shape)} is neither grey nor RGB.",
            "Open its file in the Open dock, which keeps channels together, or split the layer (right click on it, "
            "Split stack) and choose one of its channels.",
        )
    if ndim == 3:
        levels = []
    if rgb and data.shape[-1] == 4:
        data, *levels = (_on_white(level) for level in (data, *levels))
    info = about_layer(layer)
    names = tuple(map(str, info.get("channel_names") or ()))
    return Image(
        data=data,
        axes=("ZYXC" if many else "ZYX") if ndim == 3 else ("YXC" if many else "YX"),
        geometry=geometry_of(layer, ndim),
        names=names_of(layer, int(data.shape[0]) if ndim == 3 else 1),
        meaning=str(info.get("meaning", "RGB" if rgb else "grey")),
        source=source_of(layer),
        findings=findings_of(layer),
        missing=frozenset(info.get("missing", ())),
        windows=windows_of(layer),
        levels=tuple(levels),
        alike=int(info.get("alike", 1)),
        modality=str(info.get("modality", "")),
        channel_names=names if many and len(names) == data.shape[-1] else (),
    )


def image_layers(image: Image, *, name: str = "", in_patient: bool = False) -> list[LayerDataTuple]:
    """The layers that show an image, as napari's readers and sample data return them: one of a grey or RGB image.

    The exact geometry waits in the metadata for the moment something is written; see `place` for what is shown. An
    image with levels becomes a multiscale layer, of which napari reads what is in view. Any other image of several
    channels becomes a layer for each, and `image_from_layer` makes the whole image of any of them.

    Parameters
    ----------
    image
        What to show.
    name
        What to call it; empty for the name of its file or folder.
    in_patient
        As for `place`.
    """
    kwargs: dict[str, Any] = {
        **place(image.geometry, in_patient=in_patient),
        "name": name or title_of(image.source, "image"),
        "metadata": {METADATA: {**describe(image), "meaning": image.meaning}},
    }
    color = image.axes.endswith("C")
    if color and image.meaning != "RGB":
        return _channel_layers(image, kwargs)
    kwargs["rgb"] = color
    if image.windows and not color:
        kwargs["contrast_limits"] = (image.windows[0].low, image.windows[0].high)
    if not image.levels:
        return [(image.data, kwargs, "image")]
    if "contrast_limits" not in kwargs and not color:
        kwargs["contrast_limits"] = _range(np.asarray(image.levels[-1][:]))
    return [(list(image.pyramid), {**kwargs, "multiscale": True}, "image")]


def _channel_layers(image: Image, common: dict[str, Any]) -> list[LayerDataTuple]:
    """A layer for each channel; the first has the name of the image, for which it stands."""
    name, pyramid = common["name"], image.pyramid
    levels = [_lazy(level) for level in pyramid] if image.levels else [image.data]
    smallest = np.asarray(image.levels[-1][:]) if image.levels else None
    layers: list[LayerDataTuple] = []
    for index, look in enumerate(_looks(image)):
        shown = [level[..., index] for level in levels]
        about = {**common["metadata"], CHANNEL: Channel(index, pyramid, shown[0])}
        called = image.channel_names[index] if image.channel_names else f"channel {index + 1}"
        kwargs = {**common, **look, "metadata": about, "name": f"{name} {called}" if index else name}
        if smallest is None:
            layers.append((shown[0], {**kwargs, "rgb": False}, "image"))
        else:
            limits = _range(smallest[..., index])
            layers.append((shown, {**kwargs, "rgb": False, "multiscale": True, "contrast_limits": limits}, "image"))
    return layers


def _looks(image: Image) -> list[dict[str, Any]]:
    """How each channel is drawn: sequences of a scanner one by one, dyes of a microscope together in colours."""
    count = image.channels
    if image.geometry.unit == "mm" or count == 1:
        return [{"colormap": "gray", "visible": index == 0} for index in range(count)]
    colors = islice(cycle(_DYES[count > 2]), count)
    ways = ["translucent_no_depth", *["additive"] * (count - 1)]
    return [{"colormap": color, "blending": way} for color, way in zip(colors, ways, strict=True)]


def _has_channels_last(shape: Sequence[int]) -> bool:
    """Whether a grey layer of three axes looks like one slice with a few channels."""
    return len(shape) == 3 and 2 <= shape[-1] <= 4 and min(shape[:2]) >= 32


def _on_white(data: Any) -> Any:
    """RGBA as RGB on white paper, worked out when its pixels are asked for: a slide may be huge."""
    data = _lazy(data)
    white = 1.0 if data.dtype.kind == "f" else float(np.iinfo(data.dtype).max)
    alpha = data[..., 3:].astype(np.float32) / white
    color = data[..., :3] * alpha + white * (1 - alpha)
    return color.astype(data.dtype) if data.dtype.kind == "f" else (color + 0.5).astype(data.dtype)


def _lazy(data: Any) -> Any:
    """An array whose channels can be taken apart, or that can be reckoned with, before its pixels are read."""
    import dask.array as da

    if isinstance(data, da.Array):
        return data
    chunks = (1, *data.shape[1:]) if data.ndim == 4 else ("auto", "auto", -1)
    return da.from_array(data, chunks=chunks, name=False, asarray=False)  # type: ignore[no-untyped-call]


def _range(pixels: npt.NDArray[Any]) -> tuple[float, float]:
    """Least and greatest value of the smallest level: napari would look at the whole of another."""
    values = pixels[np.isfinite(pixels)] if pixels.dtype.kind == "f" else pixels
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    return low, high if high > low else low + 1
