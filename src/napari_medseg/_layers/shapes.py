"""Outlines as napari's Shapes layers and back."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import ClassInfo, Finding, Geometry
from napari_medseg.io.findings import counted
from napari_medseg.io.outlines.drawing import ellipse, hex_color
from napari_medseg.io.outlines.regions import Outlines, Polygon, Region, joined
from napari_medseg.io.outlines.rings import uncrossed

from .about import METADATA, LayerDataTuple, about_layer, names_of, source_of, title_of
from .placing import place

# napari puts the centre of a pixel at its whole number, outlines put its corner there.
_HALF = 0.5
_REGIONS = {"polygon", "rectangle", "ellipse"}


def outlines_layer_data(outlines: Outlines, *, in_patient: bool = False) -> LayerDataTuple:
    """The layer that shows outlines in the colours of their classes, on the image that they were drawn on.

    Parts of one region have the same number in the feature ``region``; a cut leads to each hole, and rings that cross
    themselves become several shapes: napari can draw no others. ``in_patient`` places oblique slices in patient
    coordinates.
    """
    geometry = outlines.geometry
    ndim = geometry.ndim if geometry else 3 if len(outlines) > 1 else 2
    by_value = {c.value: c for c in outlines.classes}
    data, values, numbers = [], [], []
    for number, region in enumerate(outlines.regions):
        for polygon in (part for whole in region.polygons for part in uncrossed(whole)):
            points = joined(polygon) - _HALF
            data.append(points if ndim == 2 else np.insert(points, 0, region.z, axis=1))
            values.append(region.value)
            numbers.append(number)
    colors = [by_value[v].color for v in values]
    info = {
        "classes": [c.model_dump() for c in outlines.classes],
        "names": list(outlines.names),
        "source": str(outlines.source) if outlines.source else None,
        "sizes": [list(size) for size in outlines.sizes],
        "geometry": geometry.model_dump(mode="json") if geometry else None,
        "findings": [{"code": f.code, "message": f.message, "files": list(f.files)} for f in outlines.findings],
    }
    kwargs: dict[str, Any] = {
        **(place(geometry, in_patient=in_patient) if geometry else {}),
        "ndim": ndim,
        "name": title_of(outlines.source, "outlines"),
        "features": {"class": [by_value[v].name for v in values], "value": values, "region": numbers},
        "metadata": {METADATA: info},
    }
    if data:
        kwargs |= {"shape_type": "polygon", "edge_color": colors, "face_color": [f"{c}40" for c in colors]}
    return data, kwargs, "shapes"


def outlines_from_layer(layer: Any) -> Outlines:
    """Outlines of a Shapes layer: polygons, rectangles and ellipses; lines and paths enclose nothing.

    A class is what the feature ``class`` names, of the value that the layer's own classes or the feature ``value`` give
    it; shapes without a name are one class by the colour of their edge.
    """
    info = about_layer(layer)
    classes = {c["value"]: ClassInfo.model_validate(c) for c in info.get("classes", ())}
    by_name = {c.name: c.value for c in classes.values()}
    names, numbers, values = (_feature(layer, name) for name in ("class", "region", "value"))
    left_out: Counter[str] = Counter()
    parts: dict[Any, tuple[int, int, list[Polygon]]] = {}
    for index, (points, kind) in enumerate(zip(layer.data, layer.shape_type, strict=True)):
        if kind not in _REGIONS:
            left_out[kind] += 1
            continue
        name = str(names[index]) if names is not None and str(names[index]) not in ("", "nan", "None") else ""
        color = _color(layer.edge_color[index])
        if (name or color) not in by_name:
            value = _number(values, index)
            if value is None or value < 1 or value in classes:
                value = max(classes, default=0) + 1
            by_name[name or color] = value
            classes[value] = ClassInfo(value=value, name=name or f"class {value}", color=color)
        value = by_name[name or color]
        z = round(float(points[0][0])) if points.shape[1] == 3 else 0
        number = _number(numbers, index)
        # A shape drawn anew has no number, and a copied or recoloured one has that of another class.
        key = (number, value, z) if number is not None else index
        parts.setdefault(key, (value, z, []))[2].append((_ring(np.asarray(points, float)[:, -2:], kind),))
    findings: tuple[Finding, ...] = ()
    if left_out:
        text = ", ".join(counted(count, kind) for kind, count in left_out.items())
        findings = (Finding("NO_REGIONS", f"{text} of layer '{layer.name}' enclose nothing and are left out."),)
    geometry = info.get("geometry")
    sizes = tuple((int(h), int(w)) for h, w in info.get("sizes", ()))
    return Outlines(
        tuple(Region(tuple(polygons), value, z) for value, z, polygons in parts.values()),
        tuple(classes[v] for v in sorted(classes)), sizes=sizes, names=names_of(layer, max(1, len(sizes))),
        geometry=Geometry.model_validate(geometry) if geometry else None, source=source_of(layer), findings=findings,
    )  # fmt: skip


def _ring(corners: npt.NDArray[np.float64], kind: str) -> npt.NDArray[np.float64]:
    """Points (Y, X) in pixels whose corners are whole numbers."""
    if kind != "ellipse":
        return corners + _HALF
    # An ellipse is kept as the corners of the box around it, which may be turned.
    middle = corners.mean(axis=0)
    first, second = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    reach = max(float(np.hypot(*first)), float(np.hypot(*second)))
    circle = ellipse((0.0, 0.0), (1.0, 1.0), 0.02 / max(reach, 1.0))
    return np.asarray(middle + circle[:, :1] * first + circle[:, 1:] * second + _HALF)


def _feature(layer: Any, name: str) -> Any:
    features = getattr(layer, "features", None)
    return list(features[name]) if features is not None and name in features else None


def _number(column: Any, index: int) -> int | None:
    """A whole number of a feature; None where it says none."""
    try:
        number = float(column[index]) if column is not None else float("nan")
    except (TypeError, ValueError):
        return None
    return int(number) if np.isfinite(number) else None


def _color(color: Any) -> str:
    return hex_color(*(255 * float(part) for part in color[:3]))
