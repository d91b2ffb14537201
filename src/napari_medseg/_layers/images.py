"""Image layers and `Image`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

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
from .placing import geometry_of, place


def image_from_layer(layer: Any) -> Image:
    """Describe an image layer without loading or copying its pixels.

    Parameters
    ----------
    layer
        A napari image layer (or anything with its attributes). Hidden, scaled, translated and rotated layers are taken
        as they are: labels follow the pixels, not the view.

    Raises
    ------
    InputError
        If the layer is neither grey nor RGB, or has no two or three spatial axes.
    """
    data, *levels = list(layer.data) if getattr(layer, "multiscale", False) else [layer.data]
    rgb = bool(getattr(layer, "rgb", False))
    ndim = data.ndim - rgb
    if ndim not in (2, 3) or (not rgb and _has_channels_last(data.shape)):
        raise InputError(
            f"Layer '{layer.name}' of shape {tuple(data.shape)} is neither grey nor RGB.",
            "Split its channels (right click on the layer, Split stack) and choose one of them.",
        )
    if ndim == 3:
        levels = []
    if rgb and data.shape[-1] == 4:
        data, *levels = (_on_white(level) for level in (data, *levels))
    info = about_layer(layer)
    return Image(
        data=data,
        axes=("ZYXC" if rgb else "ZYX") if ndim == 3 else ("YXC" if rgb else "YX"),
        geometry=geometry_of(layer, ndim),
        names=names_of(layer, int(data.shape[0]) if ndim == 3 else 1),
        meaning=str(info.get("meaning", "RGB" if rgb else "grey")),
        source=source_of(layer),
        findings=findings_of(layer),
        missing=frozenset(info.get("missing", ())),
        windows=windows_of(layer),
        levels=tuple(levels),
        alike=int(info.get("alike", 1)),
    )


def image_layer_data(image: Image, *, in_patient: bool = False) -> LayerDataTuple:
    """The layer that shows an image, as napari's readers and sample data return it.

    The exact geometry waits in the metadata for the moment something is written; see `place` for what is shown. An
    image with levels becomes a multiscale layer, of which napari reads what is in view.
    """
    color = image.axes.endswith("C")
    kwargs: dict[str, Any] = {
        **place(image.geometry, in_patient=in_patient),
        "name": title_of(image.source, "image"),
        "rgb": color and image.channels in (3, 4),
        "metadata": {METADATA: {**describe(image), "meaning": image.meaning}},
    }
    if image.windows and not color:
        kwargs["contrast_limits"] = (image.windows[0].low, image.windows[0].high)
    split = color and not kwargs["rgb"]
    if split:
        kwargs["channel_axis"] = image.data.ndim - 1
        del kwargs["rgb"]
    if not image.levels:
        return image.data, kwargs, "image"
    if "contrast_limits" not in kwargs and not kwargs.get("rgb"):
        kwargs["contrast_limits"] = _range(image, split=split)
    levels = [_lazy(level) for level in image.pyramid] if split else list(image.pyramid)
    return levels, {**kwargs, "multiscale": True}, "image"


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


def _range(image: Image, *, split: bool) -> Any:
    """Least and greatest value of the smallest level, of each channel where they are layers of their own.

    napari would look at the whole of another level.
    """
    pixels = np.asarray(image.levels[-1][:])
    ranges = []
    for plane in np.moveaxis(pixels, -1, 0) if split else [pixels]:
        values = plane[np.isfinite(plane)] if plane.dtype.kind == "f" else plane
        low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
        ranges.append((low, high if high > low else low + 1))
    return ranges if split else ranges[0]
