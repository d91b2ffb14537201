"""GeoJSON as QuPath writes it: RFC 7946 with pixels for coordinates and classes in the properties.

QuPath's properties are documented in its "Exporting annotations"; ``plane`` tells the slice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_medseg.io.outlines.drawing import Drawing, hex_color, rgb_of, whole
from napari_medseg.io.outlines.files import Content
from napari_medseg.io.outlines.regions import Outlines, Region
from napari_medseg.io.outlines.registry import OutlineFormat

_TYPES = {"FeatureCollection", "Feature", "GeometryCollection", "Polygon", "MultiPolygon"}
_OTHERS = {"Point", "MultiPoint", "LineString", "MultiLineString"}
_MOST_SLICES = 2**20
_CSS_COLOR = re.compile(r"rgba?\(\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)")


def claims(content: Content) -> bool:
    found = content.document
    if isinstance(found, list):
        return not found or any(isinstance(item, dict) and item.get("type") in _TYPES | _OTHERS for item in found)
    return isinstance(found, dict) and found.get("type") in _TYPES | _OTHERS


def read(content: Content) -> Outlines:
    """Polygons and multipolygons with the names and colours of their classes."""
    drawing = Drawing(content.path)
    for feature in _features(content.document):
        properties = feature.get("properties") or {}
        label, color = _class(properties)
        for geometry in _geometries(feature.get("geometry")):
            kind = geometry.get("type")
            if kind not in ("Polygon", "MultiPolygon"):
                drawing.left_out[str(kind)] += 1
                continue
            coordinates = geometry.get("coordinates") or []
            plane = geometry.get("plane") or {}
            z = whole(plane.get("z", 0), -1, _MOST_SLICES, "the slice of a plane")
            drawing.add([coordinates] if kind == "Polygon" else coordinates, label, color, max(z, 0))
    return drawing.finish()


def write(path: Path, outlines: Outlines) -> None:
    """One feature a region, in pixels of the full resolution, as QuPath imports them."""
    by_value = {c.value: c for c in outlines.classes}
    features = []
    for region in outlines.regions:
        known = by_value[region.value]
        features.append(
            {
                "type": "Feature",
                "geometry": _geometry(region, stack=len(outlines) > 1),
                "properties": {
                    "objectType": "annotation",
                    "classification": {"name": known.name, "color": list(rgb_of(known.color))},
                },
            }
        )
    with path.open("w", encoding="utf-8") as file:
        json.dump({"type": "FeatureCollection", "features": features}, file, ensure_ascii=False, allow_nan=False)


def _geometry(region: Region, *, stack: bool) -> dict[str, Any]:
    polygons = [[[*_points(ring), _points(ring)[0]] for ring in polygon] for polygon in region.polygons]
    one = len(polygons) == 1
    plane = {"plane": {"c": -1, "z": region.z, "t": 0}} if stack else {}
    return {
        "type": "Polygon" if one else "MultiPolygon",
        "coordinates": polygons[0] if one else polygons,
        **plane,
    }


def _points(ring: Any) -> list[list[float]]:
    """X, Y; whole numbers without a point, as they make most of a traced file."""
    return [[int(v) if v.is_integer() else v for v in (x, y)] for y, x in ring.tolist()]


def _features(found: Any) -> Iterator[dict[str, Any]]:
    """Features in order; bare geometries as features without properties."""
    waiting = [found]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting.extend(reversed(item))
        elif item.get("type") == "FeatureCollection":
            waiting.extend(reversed(item.get("features") or []))
        elif item.get("type") == "Feature":
            yield item
        elif item.get("type") in _TYPES | _OTHERS:
            yield {"geometry": item}


def _geometries(found: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    waiting = [found] if found else []
    while waiting:
        item = waiting.pop()
        if item.get("type") == "GeometryCollection":
            waiting.extend(reversed(item.get("geometries") or []))
        else:
            yield item


def _class(properties: dict[str, Any]) -> tuple[str, str]:
    """Name and colour of a feature's class, empty where it has none."""
    found = properties.get("classification") or properties.get("class") or properties.get("label") or ""
    color = properties.get("color") or properties.get("lineColor") or ""
    if isinstance(found, dict):
        color = found.get("color") or found.get("colorRGB") or color
        found = found.get("name") or ": ".join(map(str, found.get("names") or ()))
    return str(found), _color(color)


def _color(found: Any) -> str:
    """``#rrggbb`` of a list, of Java's number with alpha in its highest byte, or of a CSS colour."""
    if isinstance(found, list) and len(found) >= 3:
        return hex_color(*found[:3])
    if isinstance(found, int) and not isinstance(found, bool):
        return f"#{found & 0xFFFFFF:06x}"
    if isinstance(found, str):
        if re.fullmatch(r"#[0-9a-fA-F]{6}", found):
            return found.lower()
        if match := _CSS_COLOR.match(found):
            return hex_color(*map(int, match.groups()))
    return ""


OUTLINES = OutlineFormat(
    name="geojson", title="GeoJSON (QuPath)", suffixes=(".geojson", ".json"), claims=claims, read=read, write=write,
    stacks=True, default=False,
)  # fmt: skip
