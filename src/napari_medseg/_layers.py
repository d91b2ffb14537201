"""napari layers to `Image` and `Labels` and back, by attribute: imports no napari and keeps no layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .core import ClassInfo, Finding, Geometry, Image, InputError, Labels, ModelCard, Options
from .core.geometry import Unit

METADATA = "napari_medseg"
"""Key of ``layer.metadata`` under which the project keeps what napari has no place for; plain JSON values."""

LayerDataTuple = tuple[Any, dict[str, Any], str]

UNNAMED_COLOR = "magenta"  # of label values that no class stands for: seen at once

# Name of the layer's unit -> unit of the geometry and factor to it.
_UNITS: dict[str, tuple[Unit, float]] = {
    "millimeter": ("mm", 1.0),
    "micrometer": ("um", 1.0),
    "micron": ("um", 1.0),
    "nanometer": ("um", 1e-3),
    "centimeter": ("mm", 10.0),
    "meter": ("mm", 1e3),
}


def is_preview(layer: Any) -> bool:
    """Whether a layer only shows what a training has learnt so far: nobody's to paint in, learn from or save."""
    return bool(layer.metadata.get(METADATA, {}).get("preview"))


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
    data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
    rgb = bool(getattr(layer, "rgb", False))
    ndim = data.ndim - rgb
    if ndim not in (2, 3) or (not rgb and _has_channels_last(data.shape)):
        raise InputError(
            f"Layer '{layer.name}' of shape {tuple(data.shape)} is neither grey nor RGB.",
            "Split its channels (right click on the layer, Split stack) and choose one of them.",
        )
    if rgb and data.shape[-1] == 4:
        data = _on_white(data)
    info = _info(layer)
    return Image(
        data=data,
        axes=("ZYXC" if rgb else "ZYX") if ndim == 3 else ("YXC" if rgb else "YX"),
        geometry=_geometry(layer, ndim),
        names=_names(layer, int(data.shape[0]) if ndim == 3 else 1),
        meaning=str(info.get("meaning", "RGB" if rgb else "grey")),
        source=_source(layer),
        findings=_findings(info),
        missing=frozenset(info.get("missing", ())),
    )


def labels_from_layer(layer: Any) -> Labels:
    """Describe a labels layer; values that no class names become numbered classes in the layer's colours.

    Raises
    ------
    InputError
        If the layer has no two or three axes, or holds negative values.
    """
    data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
    if data.ndim not in (2, 3):
        raise InputError(
            f"Labels layer '{layer.name}' has {data.ndim} axes.", "Choose a layer of one slice or one series."
        )
    info = _info(layer)
    return Labels(
        data=data,
        classes=_classes(layer, data),
        geometry=_geometry(layer, data.ndim),
        names=_names(layer, int(data.shape[0]) if data.ndim == 3 else 1),
        source=_source(layer),
        findings=_findings(info),
        missing=frozenset(info.get("missing", ())),
    )


def image_layer_data(image: Image) -> LayerDataTuple:
    """The layer that shows an image, as napari's readers and sample data return it.

    The layer is placed by its spacing only: its pixels stay parallel to the screen, and origin and direction wait in
    the metadata for the moment something is written.
    """
    color = image.axes.endswith("C")
    kwargs: dict[str, Any] = {
        **_placed(image.geometry),
        "name": _title(image.source, "image"),
        "rgb": color and image.channels in (3, 4),
        "metadata": {METADATA: {**_described(image), "meaning": image.meaning}},
    }
    if color and not kwargs["rgb"]:
        kwargs["channel_axis"] = image.data.ndim - 1
        del kwargs["rgb"]
    return image.data, kwargs, "image"


def labels_layer_data(labels: Labels) -> LayerDataTuple:
    """The layer that shows labels in the colours of their classes."""
    kwargs = {
        **_placed(labels.geometry),
        **_dressed(labels.classes),
        "name": _title(labels.source, "labels"),
        "metadata": {METADATA: {**_described(labels), "classes": [c.model_dump() for c in labels.classes]}},
    }
    return labels.data, kwargs, "labels"


def labels_layer_kwargs(image_layer: Any, card: ModelCard, options: Options | None = None) -> dict[str, Any]:
    """Keyword arguments for the labels layer that a model's result goes into.

    Parameters
    ----------
    image_layer
        The segmented layer: the labels lie exactly on it, whatever its scale, rotation or affine.
    card
        The model; its classes give colours and the names shown while hovering.
    options
        The settings of the run, kept in the metadata.
    """
    image = image_from_layer(image_layer)
    classes = [c.model_dump() for c in card.classes]
    run = {"card": card.model_dump(mode="json"), "options": options.model_dump(mode="json") if options else None}
    return {
        "name": f"{image_layer.name} labels",
        "scale": np.array(image_layer.scale),
        "translate": np.array(image_layer.translate),
        "rotate": np.array(image_layer.rotate),
        "shear": np.array(image_layer.shear),
        "affine": np.array(image_layer.affine.affine_matrix),
        "units": tuple(image_layer.units),
        **_dressed(card.classes),
        "metadata": {METADATA: {**_described(image), "classes": classes, "image": image_layer.name, **run}},
    }


def class_colormap(classes: Iterable[ClassInfo]) -> dict[int | None, str]:
    """Colours by label value, as ``Labels.colormap`` takes them.

    Assign it again when ``layer.events.colormap`` fires: napari's shuffle button replaces it.
    """
    return {None: UNNAMED_COLOR, 0: "transparent", **{c.value: c.color for c in classes}}


def class_features(classes: Iterable[ClassInfo]) -> dict[str, list[Any]]:
    """Class names by label value, as ``Labels.features`` takes them; napari shows them while hovering."""
    named = [(0, "background"), *((c.value, c.name) for c in classes)]
    return {"index": [value for value, _ in named], "class": [name for _, name in named]}


def classes_of(layer: Any) -> tuple[ClassInfo, ...]:
    """The classes a labels layer was made with, without looking at its pixels; empty when it has none."""
    return tuple(ClassInfo.model_validate(c) for c in _info(layer).get("classes", ()))


def card_of(layer: Any) -> ModelCard | None:
    """Card of the model that made a labels layer, or None."""
    card = _info(layer).get("card")
    return ModelCard.model_validate(card) if card else None


def _info(layer: Any) -> Mapping[str, Any]:
    info = layer.metadata.get(METADATA, {})
    return info if isinstance(info, Mapping) else {}


def _has_channels_last(shape: Sequence[int]) -> bool:
    """Whether a grey layer of three axes looks like one slice with a few channels."""
    return len(shape) == 3 and 2 <= shape[-1] <= 4 and min(shape[:2]) >= 32


def _on_white(data: Any) -> Any:
    """RGBA as RGB on white paper, worked out when its pixels are asked for: a slide may be huge."""
    import dask.array as da

    if not isinstance(data, da.Array):
        chunks = (1, *data.shape[1:]) if data.ndim == 4 else ("auto", "auto", -1)
        data = da.from_array(data, chunks=chunks, name=False)  # type: ignore[no-untyped-call]
    white = 1.0 if data.dtype.kind == "f" else float(np.iinfo(data.dtype).max)
    alpha = data[..., 3:].astype(np.float32) / white
    color = data[..., :3] * alpha + white * (1 - alpha)
    return color.astype(data.dtype) if data.dtype.kind == "f" else (color + 0.5).astype(data.dtype)


def _geometry(layer: Any, ndim: int) -> Geometry:
    """Spacing from the layer, where the user can correct it; origin and direction from the file, else the layer."""
    scale = np.asarray(layer.scale, float)
    units = [_UNITS.get(str(u)) for u in layer.units]
    unit: Unit = "pixel"
    if all(units):
        known = [u for u in units if u]
        unit = "um" if all(name == "um" for name, _ in known) else "mm"
        scale = scale * [f * (1e-3 if name == "um" and unit == "mm" else 1) for name, f in known]
    spacing = tuple(abs(float(s)) for s in scale)
    stored = _info(layer).get("geometry")
    if stored and len(stored["spacing"]) == ndim:
        return Geometry(**{**stored, "spacing": spacing, "unit": unit})
    direction = np.asarray(layer.rotate, float) * np.sign(scale)
    turned = not np.allclose(direction, np.eye(ndim))
    return Geometry(
        spacing=spacing,
        origin=tuple(float(t) for t in layer.translate) if np.any(layer.translate) else (),
        direction=tuple(tuple(float(x) for x in row) for row in direction) if turned else (),
        unit=unit,
    )


def _placed(geometry: Geometry) -> dict[str, Any]:
    return {"scale": geometry.spacing, "units": (geometry.unit,) * geometry.ndim}


def _dressed(classes: Sequence[ClassInfo]) -> dict[str, Any]:
    return {"colormap": class_colormap(classes), "features": class_features(classes)}


def _described(item: Image | Labels) -> dict[str, Any]:
    return {
        "names": list(item.names),
        "source": str(item.source) if item.source else None,
        "missing": sorted(item.missing),
        "findings": [{"code": f.code, "message": f.message, "files": list(f.files)} for f in item.findings],
        "geometry": item.geometry.model_dump(mode="json"),
    }


def _title(source: Path | None, default: str) -> str:
    if source is None:
        return default
    return source.name if source.is_dir() else source.name.split(".")[0] or source.name


def _source(layer: Any) -> Path | None:
    path = _info(layer).get("source") or getattr(getattr(layer, "source", None), "path", None)
    return Path(path) if path else None


def _names(layer: Any, slices: int) -> tuple[str, ...]:
    names = tuple(_info(layer).get("names", ()))
    if len(names) == slices:
        return names
    source = _source(layer)
    return (source.name,) if slices == 1 and source else ()


def _findings(info: Mapping[str, Any]) -> tuple[Finding, ...]:
    return tuple(Finding(f["code"], f["message"], tuple(f["files"])) for f in info.get("findings", ()))


def _classes(layer: Any, data: Any) -> tuple[ClassInfo, ...]:
    known = {c.value: c for c in classes_of(layer)}
    # On the project's own layers all values without a class share one colour, which says nothing.
    color = {v: {} if known else {"color": _color(layer, v)} for v in _values(layer.name, data) if v not in known}
    new = [ClassInfo.numbered(value).model_copy(update=update) for value, update in color.items()]
    return tuple(sorted([*known.values(), *new], key=lambda c: c.value))


def _values(name: str, data: Any) -> list[int]:
    """Label values in use, background left out; slice by slice, so that lazy data need not fit in memory."""
    used: set[int] = set()
    for part in data if data.ndim == 3 else [data]:
        labels: npt.NDArray[Any] = np.asarray(part)
        if labels.size == 0:
            continue
        if labels.min() < 0:
            raise InputError(f"Labels layer '{name}' holds negative values.", "Labels are whole numbers from 0.")
        if labels.max() < 2**16:  # counting is much faster than sorting
            values = np.flatnonzero(np.bincount(labels.ravel().astype(np.intp, copy=False)))
        else:
            values = np.unique(labels)
        used.update(values.tolist())
    return sorted(used - {0})


def _color(layer: Any, value: int) -> str:
    color = layer.get_color(value)
    if color is None:
        return ClassInfo.numbered(value).color
    red, green, blue = (round(255 * float(part)) for part in color[:3])
    return f"#{red:02x}{green:02x}{blue:02x}"
