"""LabelMe JSON: one file an image, shapes with points X, Y.

Shapes as the LabelMe program (5.x) defines them: ``labelme/shape.py``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from napari_medseg.core import InputError
from napari_medseg.io.budget import check_budget
from napari_medseg.io.outlines.drawing import Drawing, Points, ellipse, whole
from napari_medseg.io.outlines.files import Content
from napari_medseg.io.outlines.regions import Outlines, joined
from napari_medseg.io.outlines.registry import OutlineFormat
from napari_medseg.io.outlines.trace import trace_slice

_LARGEST = 2**31
_TRACED = 16
"""Bytes that outlining a pixel takes."""
_NOTHING = {"_background_", "__ignore__"}


def claims(content: Content) -> bool:
    return isinstance(content.document, dict) and isinstance(content.document.get("shapes"), list)


def read(content: Content) -> Outlines:
    """Polygons, rectangles, circles and masks; those of one label and group are one region."""
    drawing = Drawing(content.path)
    found = content.document
    groups: dict[Any, list[list[Points]]] = {}
    for index, shape in enumerate(found["shapes"]):
        label = str(shape.get("label") or "")
        polygons = list(_polygons(content.path, shape))
        if label in _NOTHING or not polygons:
            drawing.left_out[label if label in _NOTHING else str(shape.get("shape_type"))] += 1
            continue
        group = shape.get("group_id")
        groups.setdefault((label, index if group is None else f"group {group}"), []).extend(polygons)
    for (label, _), polygons in groups.items():
        drawing.add(polygons, label)
    size = found.get("imageHeight"), found.get("imageWidth")
    known = all(size)
    name = Path(str(found.get("imagePath") or "").replace("\\", "/")).name
    return drawing.finish(
        sizes=[(whole(size[0], 1, _LARGEST, "the height"), whole(size[1], 1, _LARGEST, "the width"))] if known else (),
        names=[name] if name else (),
    )


def write(path: Path, outlines: Outlines) -> None:
    """Polygons; the parts of a region share a group, and a cut leads to each hole, as LabelMe knows none."""
    names = {c.value: c.name for c in outlines.classes}
    shapes = [
        {
            "label": names[region.value],
            "points": joined(polygon)[:, ::-1].tolist(),
            "group_id": number if len(region.polygons) > 1 else None,
            "description": "",
            "shape_type": "polygon",
            "flags": {},
        }
        for number, region in enumerate(outlines.regions, start=1)
        for polygon in region.polygons
    ]
    height, width = outlines.size_of(0)
    document: dict[str, Any] = {
        "version": "5.5.0", "flags": {}, "shapes": shapes,
        "imagePath": outlines.names[0] if outlines.names else "", "imageData": None,
        "imageHeight": height, "imageWidth": width,
    }  # fmt: skip
    with path.open("w", encoding="utf-8") as file:
        json.dump(document, file, ensure_ascii=False, allow_nan=False)


def _polygons(path: Path, shape: dict[str, Any]) -> Iterator[list[Points]]:
    """Polygons of a shape, each an outer ring and holes."""
    points = shape.get("points") or []
    match shape.get("shape_type", "polygon"):
        case "polygon":
            yield [points]
        case "rectangle":
            (x0, y0), (x1, y1) = (points[0], points[2]) if len(points) == 4 else points
            yield [[[x0, y0], [x1, y0], [x1, y1], [x0, y1]]]
        case "circle":
            (x, y), (edge_x, edge_y) = points
            radius = float(np.hypot(edge_x - x, edge_y - y))
            yield [ellipse((x, y), (radius, radius))]
        case "mask":
            corner = np.floor(np.array(points, float).min(axis=0))[::-1]
            for region in trace_slice(_mask(path, shape["mask"])):
                for polygon in region.polygons:
                    yield [(ring + corner)[:, ::-1] for ring in polygon]


def _mask(path: Path, encoded: str) -> Any:
    """The PNG that a mask is kept as, 0 and 1."""
    from PIL import Image as Pillow

    try:
        with Pillow.open(BytesIO(base64.b64decode(encoded, validate=True)), formats=["PNG"]) as image:
            check_budget(path, (image.height, image.width, _TRACED), np.uint8)
            return (np.asarray(image.convert("L")) > 0).astype(np.uint8)
    except (OSError, SyntaxError, ValueError, Pillow.DecompressionBombError) as error:
        raise InputError(f"A mask in {path.name} cannot be decoded.", "Export it again.") from error


OUTLINES = OutlineFormat(
    name="labelme", title="LabelMe JSON", suffixes=(".labelme.json", ".json"), claims=claims, read=read, write=write,
    keeps=frozenset({"classes"}), default=False,
)  # fmt: skip
