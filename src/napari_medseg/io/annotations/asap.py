"""ASAP XML, as the Automated Slide Analysis Platform and the CAMELYON challenges have it."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree.ElementTree import Element

from napari_medseg.core import ClassInfo, Finding
from napari_medseg.core.card import PALETTE
from napari_medseg.io.outlines.drawing import Drawing
from napari_medseg.io.outlines.files import Content, stream, write_tree
from napari_medseg.io.outlines.regions import Outlines, joined
from napari_medseg.io.outlines.registry import OutlineFormat

_NO_GROUP = {"", "None"}


def claims(content: Content) -> bool:
    return content.root == "ASAP_Annotations"


def read(content: Content) -> Outlines:
    """Polygons, rectangles and splines; groups are the classes."""
    drawing = Drawing(content.path)
    about: dict[str, str] = {}
    corners: list[tuple[float, float, float]] = []
    splines = 0
    groups: dict[str, str] = {}
    for event, name, element in stream(content.path):
        if (event, name) == ("start", "Annotation"):
            about, corners = dict(element.attrib), []
        elif (event, name) == ("end", "Coordinate"):
            order = float(element.get("Order", len(corners)))
            corners.append((order, float(element.attrib["X"]), float(element.attrib["Y"])))
        elif (event, name) == ("end", "Annotation"):
            kind, group = about.get("Type", "Polygon"), about.get("PartOfGroup", "None")
            if kind not in ("Polygon", "Rectangle", "Spline"):
                drawing.left_out[kind] += 1
                continue
            splines += kind == "Spline"
            points = [(x, y) for _, x, y in sorted(corners, key=lambda corner: corner[0])]
            drawing.add([[points]], "" if group in _NO_GROUP else group, _color(about.get("Color", "")))
        elif (event, name) == ("start", "Group"):
            groups[element.get("Name", "")] = _color(element.get("Color", ""))
    if splines:
        text = f"{splines} splines of {content.path.name} are taken as straight lines from point to point."
        drawing.findings.append(Finding("SPLINES", text, (content.path.name,)))
    named = [(name, color) for name, color in groups.items() if name not in _NO_GROUP]
    return drawing.finish(
        [
            ClassInfo(value=value, name=" ".join(name.split()), color=color or PALETTE[(value - 1) % len(PALETTE)])
            for value, (name, color) in enumerate(named, start=1)
        ]
    )


def write(path: Path, outlines: Outlines) -> None:
    """A group for every class; a cut leads to each hole, as ASAP knows none."""
    root = Element("ASAP_Annotations")
    annotations, groups = Element("Annotations"), Element("AnnotationGroups")
    root.extend([annotations, groups])
    by_value = {c.value: c for c in outlines.classes}
    for number, region in enumerate(outlines.regions):
        known = by_value[region.value]
        for polygon in region.polygons:
            about = {"Name": f"Annotation {number}", "Type": "Polygon", "PartOfGroup": known.name, "Color": known.color}
            coordinates = Element("Coordinates")
            for order, (y, x) in enumerate(joined(polygon).tolist()):
                coordinates.append(Element("Coordinate", {"Order": f"{order}", "X": f"{x}", "Y": f"{y}"}))
            annotation = Element("Annotation", about)
            annotation.append(coordinates)
            annotations.append(annotation)
    for known in outlines.classes:
        group = Element("Group", {"Name": known.name, "PartOfGroup": "None", "Color": known.color})
        group.append(Element("Attributes"))
        groups.append(group)
    write_tree(path, root)


def _color(found: str) -> str:
    return found.lower() if re.fullmatch(r"#[0-9a-fA-F]{6}", found) else ""


OUTLINES = OutlineFormat(
    name="asap", title="ASAP XML", suffixes=(".asap.xml", ".xml"), claims=claims, read=read, write=write, default=False
)
