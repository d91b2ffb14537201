"""Aperio ImageScope XML: annotation layers of regions with vertices."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from napari_medseg.core import ClassInfo
from napari_medseg.core.card import PALETTE
from napari_medseg.io.outlines.drawing import Drawing, Points, ellipse, hex_color, rgb_of
from napari_medseg.io.outlines.files import Content, stream, write_tree
from napari_medseg.io.outlines.regions import Outlines, Region, Ring, area
from napari_medseg.io.outlines.registry import OutlineFormat

_FREEHAND, _RECTANGLE, _ELLIPSE = "0", "1", "2"
_KINDS = {"3": "arrow", "4": "ruler", "5": "counter"}


@dataclass
class _Layer:
    """One annotation layer while it is read."""

    about: dict[str, str]
    attributes: list[tuple[str, str]] = field(default_factory=list)
    regions: dict[str, list[list[Points]]] = field(default_factory=dict)
    cuts: list[tuple[str, Points]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Of the layer, else of its description, else of its first attribute (as MoNuSAC has it)."""
        described = next((value for name, value in self.attributes if name == "Description"), "")
        others = (name for name, _ in self.attributes if name != "Description")
        return self.about.get("Name") or described or next(others, "")


def claims(content: Content) -> bool:
    return content.root == "Annotations"


def read(content: Content) -> Outlines:
    """Freehand regions, rectangles and ellipses; layers are the classes, their numbers the values."""
    drawing = Drawing(content.path)
    classes: dict[str, ClassInfo] = {}
    layer = _Layer({})
    about: dict[str, str] = {}
    points: list[tuple[float, float]] = []
    for event, name, element in stream(content.path):
        match event, name:
            case "start", "Annotation":
                layer = _Layer(dict(element.attrib))
            case "start", "Attribute":
                layer.attributes.append((element.get("Name", ""), element.get("Value", "")))
            case "start", "Region":
                about, points = dict(element.attrib), []
            case "start", ("Vertex" | "V"):
                points.append((float(element.attrib["X"]), float(element.attrib["Y"])))
            case "end", "Region":
                _take(layer, about, points, drawing)
            case "end", "Annotation":
                label = _declare(layer, classes)
                _cut(layer, drawing)
                for polygons in layer.regions.values():
                    drawing.add(polygons, label)
    used = list(classes.values())
    return drawing.finish(used)


def write(path: Path, outlines: Outlines) -> None:
    """A layer for every class; holes are negative regions that name the region they are cut out of."""
    root = Element("Annotations")
    for known in outlines.classes:
        red, green, blue = rgb_of(known.color)
        layer = Element("Annotation", {
            "Id": f"{known.value}", "Name": known.name, "ReadOnly": "0", "NameReadOnly": "0", "LineColorReadOnly": "0",
            "Incremental": "0", "Type": "4", "LineColor": f"{red + 256 * green + 65536 * blue}", "Visible": "1",
            "Selected": "0", "MarkupImagePath": "", "MacroName": "",
        })  # fmt: skip
        layer.append(Element("Attributes"))
        regions = Element("Regions")
        layer.append(regions)
        number = 0
        for region in (r for r in outlines.regions if r.value == known.value):
            for outer, *holes in region.polygons:
                number += 1
                parent = number
                regions.append(_region(parent, outer))
                for hole in holes:
                    number += 1
                    regions.append(_region(number, hole, parent))
        root.append(layer)
    write_tree(path, root)


def _take(layer: _Layer, about: dict[str, str], corners: list[tuple[float, float]], drawing: Drawing) -> None:
    """Put one region into its layer."""
    points = np.array(corners, np.float64).reshape(-1, 2)
    kind = about.get("Type", _FREEHAND)
    if kind not in (_FREEHAND, _RECTANGLE, _ELLIPSE):
        drawing.left_out[_KINDS.get(kind, f"type {kind}")] += 1
        return
    if len(points) and (kind == _ELLIPSE or (kind == _RECTANGLE and len(points) == 2)):
        low, high = np.min(points, axis=0), np.max(points, axis=0)
        middle, half = (low + high) / 2, (high - low) / 2
        box = [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])]
        round_ = kind == _ELLIPSE and np.isfinite(half).all()
        points = ellipse((middle[0], middle[1]), (half[0], half[1])) if round_ else np.array(box)
    if about.get("NegativeROA", "0") == "1":
        layer.cuts.append((about.get("InputRegionId", ""), points))
    else:
        number = about.get("Id", "")
        layer.regions[number if number not in layer.regions else f"{number} again {len(layer.regions)}"] = [[points]]


def _declare(layer: _Layer, classes: dict[str, ClassInfo]) -> str:
    """The class of a layer; layers of one name are one class."""
    taken = {c.value for c in classes.values()}
    number = layer.about.get("Id", "")
    value = int(number) if number.isdecimal() and len(number) < 6 and int(number) > 0 else 0
    value = value if value and value not in taken else max(taken, default=0) + 1
    label = " ".join(layer.name.split()) or f"class {value}"
    if label not in classes and (layer.regions or layer.name):
        color = layer.about.get("LineColor", "")
        known = color.isdecimal() and len(color) < 10
        bits = int(color) if known else 0
        # Windows' COLORREF: red in the lowest byte.
        shown = hex_color(bits & 255, bits >> 8 & 255, bits >> 16 & 255)
        classes[label] = ClassInfo(
            value=value, name=label, color=shown if known else PALETTE[(value - 1) % len(PALETTE)]
        )
    return label


def _cut(layer: _Layer, drawing: Drawing) -> None:
    """Take negative regions out of the region that they name, or of all of their layer."""
    for number, points in layer.cuts:
        if number in layer.regions and number != "0":
            layer.regions[number][0].append(points)
            continue
        hits = [key for key, polygons in layer.regions.items() if _touch(polygons, points)]
        for key in hits:
            layer.regions[key] = subtract(layer.regions[key], points)
        if not hits:
            drawing.left_out["negative region outside of all others"] += 1


def _touch(polygons: list[list[Points]], points: Points) -> bool:
    first, second = np.array(polygons[0][0], float), np.array(points, float)
    if not len(first) or not len(second):
        return False
    return bool((first.min(axis=0) <= second.max(axis=0)).all() and (second.min(axis=0) <= first.max(axis=0)).all())


def subtract(polygons: list[list[Points]], points: Points) -> list[list[Points]]:
    """Polygons without what lies within another ring."""
    import shapely

    def whole(rings: list[Points]) -> shapely.Geometry:
        return shapely.make_valid(shapely.Polygon(np.array(rings[0]), [np.array(r) for r in rings[1:]]))

    if len(points) < 3 or any(len(ring) < 3 for rings in polygons for ring in rings):
        return polygons
    left = shapely.difference(shapely.union_all([whole(rings) for rings in polygons]), whole([points]))
    parts = [g for g in shapely.get_parts(shapely.make_valid(left)) if g.geom_type == "Polygon"]
    return [[shapely.get_coordinates(r) for r in (p.exterior, *p.interiors)] for p in parts]


def _region(number: int, ring: Ring, parent: int = 0) -> Element:
    alone = Region(((ring,),), 1)
    length = float(np.hypot(*(np.roll(ring, -1, axis=0) - ring).T).sum())
    region = Element("Region", {
        "Id": f"{number}", "Type": _FREEHAND, "Zoom": "1", "Selected": "0", "ImageLocation": "", "ImageFocus": "0",
        "Length": f"{length:.1f}", "Area": f"{area(alone):.1f}", "Text": "", "NegativeROA": "1" if parent else "0",
        "InputRegionId": f"{parent}", "Analyze": "0" if parent else "1", "DisplayId": f"{number}",
    })  # fmt: skip
    region.append(Element("Attributes"))
    vertices = Element("Vertices")
    vertices.extend(Element("Vertex", {"X": f"{x}", "Y": f"{y}", "Z": "0"}) for y, x in ring.tolist())
    region.append(vertices)
    return region


OUTLINES = OutlineFormat(
    name="aperio", title="Aperio ImageScope XML", suffixes=(".aperio.xml", ".xml"), claims=claims, read=read,
    write=write,
)  # fmt: skip
