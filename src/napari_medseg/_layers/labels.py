"""Labels layers, their classes and `Labels`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import ClassInfo, Geometry, InputError, Labels, ModelCard, Options

from .about import METADATA, LayerDataTuple, about_layer, describe, findings_of, names_of, source_of, title_of
from .images import image_from_layer
from .placing import geometry_of, place

UNNAMED_COLOR = "magenta"  # of label values that no class stands for: seen at once
_MOST_PIXELS = 2**26
"""Of a pyramid that are looked through for values without a class."""

NOT_COMPUTED = "not computed"
NOT_COMPUTED_COLOR = "#80808066"
"""Translucent, so that the image is seen, and like no class: of pixels that have no result."""


def labels_from_layer(layer: Any) -> Labels:
    """Describe a labels layer; values that no class names become numbered classes in the layer's colours.

    Raises
    ------
    InputError
        If the layer has no two or three axes, or holds negative values.
    """
    data, *levels = list(layer.data) if getattr(layer, "multiscale", False) else [layer.data]
    if data.ndim not in (2, 3):
        raise InputError(
            f"Labels layer '{layer.name}' has {data.ndim} axes.", "Choose a layer of one slice or one series."
        )
    info = about_layer(layer)
    empty = info.get("not_computed")
    return Labels(
        data=data,
        classes=_classes(layer, _looked_at([data, *levels]), empty),
        geometry=geometry_of(layer, data.ndim),
        names=names_of(layer, int(data.shape[0]) if data.ndim == 3 else 1),
        source=source_of(layer),
        findings=findings_of(layer),
        missing=frozenset(info.get("missing", ())),
        **_answers(info),
        levels=tuple(levels) if data.ndim == 2 else (),
        not_computed=None if empty is None else int(empty),
    )


def labels_layer_data(labels: Labels, *, in_patient: bool = False) -> LayerDataTuple:
    """The layer that shows labels in the colours of their classes, and grey what has no result yet.

    Labels with levels become a multiscale layer, which napari does not let anybody paint in.
    """
    empty: dict[str, Any] = {} if labels.not_computed is None else {"not_computed": labels.not_computed}
    if labels.presence:
        empty |= {"presence": dict(labels.presence), "threshold": labels.threshold, "outlined": labels.outlined}
    kwargs = {
        **place(labels.geometry, in_patient=in_patient),
        **_dressed(labels.classes, labels.not_computed),
        "name": title_of(labels.source, "labels"),
        "metadata": {METADATA: {**describe(labels), "classes": [c.model_dump() for c in labels.classes], **empty}},
    }
    if labels.levels:
        # Results are written into the arrays while they are shown: what napari keeps of them would stay stale.
        return [labels.data, *labels.levels], {**kwargs, "multiscale": True, "cache": False}, "labels"
    return labels.data, kwargs, "labels"


def labels_layer_kwargs(
    image_layer: Any, card: ModelCard, options: Options | None = None, *, not_computed: int | None = None
) -> dict[str, Any]:
    """Keyword arguments for the labels layer that a model's result goes into.

    Parameters
    ----------
    image_layer
        The segmented layer: the labels lie exactly on it, whatever its scale, rotation or affine.
    card
        The model; its classes give colours and the names shown while hovering.
    options
        The settings of the run, kept in the metadata.
    not_computed
        Value of pixels that have no result.
    """
    image = image_from_layer(image_layer)
    classes = [c.model_dump() for c in card.classes]
    empty = {} if not_computed is None else {"not_computed": not_computed}
    run = {
        "card": card.model_dump(mode="json"), "options": options.model_dump(mode="json") if options else None,
        "outlined": card.outlines,
    }  # fmt: skip
    return {
        "name": f"{image_layer.name} labels",
        "scale": np.array(image_layer.scale),
        "translate": np.array(image_layer.translate),
        "rotate": np.array(image_layer.rotate),
        "shear": np.array(image_layer.shear),
        "affine": np.array(image_layer.affine.affine_matrix),
        "units": tuple(image_layer.units),
        **_dressed(card.classes, not_computed),
        "metadata": {METADATA: {**describe(image), "classes": classes, "image": image_layer.name, **run, **empty}},
    }


def class_colormap(classes: Iterable[ClassInfo], not_computed: int | None = None) -> dict[int | None, str]:
    """Colours by label value, as ``Labels.colormap`` takes them; grey where there is no result.

    Assign it again when ``layer.events.colormap`` fires: napari's shuffle button replaces it.
    """
    colors: dict[int | None, str] = {None: UNNAMED_COLOR, 0: "transparent", **{c.value: c.color for c in classes}}
    return colors if not_computed is None else {**colors, not_computed: NOT_COMPUTED_COLOR}


def class_features(classes: Iterable[ClassInfo], not_computed: int | None = None) -> dict[str, list[Any]]:
    """Class names by label value, as ``Labels.features`` takes them; napari shows them while hovering."""
    named = [(0, "background"), *((c.value, c.name) for c in classes)]
    if not_computed is not None:
        named.append((not_computed, NOT_COMPUTED))
    return {"index": [value for value, _ in named], "class": [name for _, name in named]}


def classes_of(layer: Any) -> tuple[ClassInfo, ...]:
    """The classes a labels layer was made with, without looking at its pixels; empty when it has none."""
    return tuple(ClassInfo.model_validate(c) for c in about_layer(layer).get("classes", ()))


def positive_in(layer: Any) -> tuple[int, ...]:
    """Slices of a labels layer that hold something: `Labels.positive`, without a look at its classes."""
    info = about_layer(layer)
    missing = frozenset(info.get("missing", ()))
    return Labels(layer.data, (), Geometry.unknown(layer.ndim), missing=missing, **_answers(info)).positive


def _answers(info: Mapping[str, Any]) -> dict[str, Any]:
    """What the model that made a layer says of its slices."""
    said = {int(z): float(chance) for z, chance in info.get("presence", {}).items()}
    return {"presence": said, "threshold": threshold_of(info), "outlined": bool(info.get("outlined", True))}


def threshold_of(info: Mapping[str, Any]) -> float:
    """The probability from which on a slice is said to hold something: the model's, or that read with the masks."""
    said = (info.get("card") or {}).get("presence")
    return float(info.get("threshold", 0.5) if said is None else said)


def card_of(layer: Any) -> ModelCard | None:
    """Card of the model that made a labels layer, or None."""
    card = about_layer(layer).get("card")
    return ModelCard.model_validate(card) if card else None


def _dressed(classes: Sequence[ClassInfo], not_computed: int | None = None) -> dict[str, Any]:
    return {
        "colormap": class_colormap(classes, not_computed), "features": class_features(classes, not_computed)
    }  # fmt: skip


def _classes(layer: Any, data: Any, empty: int | None) -> tuple[ClassInfo, ...]:
    known = {c.value: c for c in classes_of(layer)}
    values = [v for v in _values(layer.name, data) if v != empty]
    # On the project's own layers all values without a class share one colour, which says nothing.
    color = {v: {} if known else {"color": _color(layer, v)} for v in values if v not in known}
    new = [ClassInfo.numbered(value).model_copy(update=update) for value, update in color.items()]
    return tuple(sorted([*known.values(), *new], key=lambda c: c.value))


def _looked_at(levels: Sequence[Any]) -> Any:
    """The largest level that can be looked at while somebody waits."""
    if len(levels) == 1:
        return levels[0]
    return next((x for x in levels if np.prod(x.shape, dtype=object) <= _MOST_PIXELS), levels[-1])


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
