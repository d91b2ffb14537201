"""SVG drawings: every closed or hollow shape marks the region inside it.

W3C Scalable Vector Graphics 1.1 (Second Edition). Shapes without filling mean their inside too, which is how outlines
are drawn; lines and text mark nothing. Classes are told by Inkscape's layers or groups, else by colours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from xml.etree.ElementTree import Element, register_namespace

import numpy as np

from napari_medseg.core import ClassInfo, Finding, InputError
from napari_medseg.io.outlines.drawing import FARTHEST, Drawing
from napari_medseg.io.outlines.files import Content, local_name, tree, write_tree
from napari_medseg.io.outlines.regions import Outlines, Polygon
from napari_medseg.io.outlines.registry import OutlineFormat
from napari_medseg.io.outlines.rings import put_together
from napari_medseg.io.outlines.svgpath import Points, rings_of_shape
from napari_medseg.io.outlines.svgstyle import (
    Matrix,
    applied,
    color_of,
    extent,
    length,
    moved,
    style_of,
    style_sheet,
    transform,
    unknown_color,
    viewport,
    whole_size,
)

_SVG = "http://www.w3.org/2000/svg"
_INKSCAPE = "http://www.inkscape.org/namespaces/inkscape"
_LINK = "{http://www.w3.org/1999/xlink}href"
_GROUPS = {"svg", "g", "a", "switch", "symbol"}
_UNSEEN = {
    "defs", "symbol", "clipPath", "mask", "marker", "pattern", "linearGradient", "radialGradient", "style", "title",
    "desc", "metadata", "script", "filter", "foreignObject", "namedview",
}  # fmt: skip
_AUTOMATIC = re.compile(r"(g|group|layer|path|svg|use|shape|svg_)?[-_ ]?\d*([-_]\d+)*", re.IGNORECASE)
_DEEPEST, _MOST = 60, 200_000
_ERROR = 0.02
"""Pixels that chords may be away from the curve that they stand for."""


@dataclass(frozen=True)
class _Shape:
    polygons: list[list[Points]]
    color: str
    label: str
    group: str


@dataclass(frozen=True)
class _Place:
    """What an element inherits."""

    matrix: Matrix
    size: tuple[float, float]
    style: dict[str, str] = field(default_factory=dict)
    label: str = ""
    group: str = ""
    depth: int = 0


@dataclass
class _Scene:
    """A drawing while it is walked through."""

    root: Element
    drawing: Drawing
    ids: dict[str, Element]
    rules: dict[str, dict[str, str]]
    whole: tuple[float, float]
    shapes: list[_Shape] = field(default_factory=list)
    pictures: list[tuple[Matrix, tuple[float, float]]] = field(default_factory=list)
    drawn: int = 0
    unknown: dict[str, None] = field(default_factory=dict)


def claims(content: Content) -> bool:
    return content.root == "svg"


def read(content: Content) -> Outlines:
    """Regions in pixels of the drawing; a single picture in it is taken for the image that they were drawn on."""
    root = tree(content.path)
    drawing = Drawing(content.path)
    matrix, inner = viewport(root, (0.0, 0.0))
    ids = {name: element for element in root.iter() if (name := element.get("id"))}
    scene = _Scene(root, drawing, ids, style_sheet(root), whole_size(root, inner))
    _walk(scene, root, _Place(matrix, inner))
    onto, size = _onto_picture(scene)
    rounded = max(1, round(size[0])), max(1, round(size[1]))
    fit = np.diag([rounded[0] / size[0], rounded[1] / size[1], 1.0]) @ onto
    for shape, label in zip(scene.shapes, _labels(scene), strict=True):
        drawing.add([[applied(fit, ring) for ring in polygon] for polygon in shape.polygons], label, shape.color)
    return drawing.finish(_declared(scene), [(rounded[1], rounded[0])], scalable=True)


def write(path: Path, outlines: Outlines) -> None:
    """A layer for every class, as Inkscape has them, and a path for every region; one unit is one pixel."""
    register_namespace("", _SVG)
    register_namespace("inkscape", _INKSCAPE)
    height, width = outlines.size_of(0)
    root = Element(f"{{{_SVG}}}svg", {"width": f"{width}", "height": f"{height}", "viewBox": f"0 0 {width} {height}"})
    for known in outlines.classes:
        layer = Element(f"{{{_SVG}}}g", {
            "id": f"class-{known.value}", f"{{{_INKSCAPE}}}groupmode": "layer", f"{{{_INKSCAPE}}}label": known.name,
            "data-class": known.name, "data-value": f"{known.value}", "fill": known.color, "fill-opacity": "0.25",
            "fill-rule": "evenodd", "stroke": known.color,
        })  # fmt: skip
        for region in (r for r in outlines.regions if r.value == known.value):
            data = " ".join(_path_data(polygon) for polygon in region.polygons)
            layer.append(Element(f"{{{_SVG}}}path", {"d": data, "vector-effect": "non-scaling-stroke"}))
        root.append(layer)
    write_tree(path, root)


def _path_data(polygon: Polygon) -> str:
    return " ".join("M" + " L".join(f"{x:.12g},{y:.12g}" for y, x in ring.tolist()) + " Z" for ring in polygon)


def _walk(scene: _Scene, element: Element, place: _Place) -> None:
    """Draw an element and what is in it."""
    scene.drawn += 1
    name = local_name(element)
    if place.depth > _DEEPEST or scene.drawn > _MOST:
        raise InputError(f"{scene.drawing.path.name} refers to itself too often.", "Export it as plain paths.")
    style = style_of(element, place.style, scene.rules)
    if style.get("display") == "none" or (style.get("visibility") in ("hidden", "collapse") and name not in _GROUPS):
        scene.drawing.left_out["hidden shape"] += 1
        return
    matrix = place.matrix @ transform(element.get("transform", ""))
    inner = replace(
        place, matrix=matrix, style=style, depth=place.depth + 1,
        label=element.get("data-class") or place.label, group=_group(element, place),
    )  # fmt: skip
    if name in _GROUPS:
        if name in ("svg", "symbol") and place.depth:
            at = moved(length(element.get("x", "0"), place.size[0]), length(element.get("y", "0"), place.size[1]))
            own, size = viewport(element, place.size)
            inner = replace(inner, matrix=matrix @ at @ own, size=size)
        for child in element:
            if isinstance(child.tag, str) and local_name(child) not in _UNSEEN:
                _walk(scene, child, inner)
    elif name == "use":
        _use(scene, element, inner)
    elif name == "image":
        sides = [length(element.get(k, "0"), place.size[i % 2]) for i, k in enumerate(("x", "y", "width", "height"))]
        if sides[2] > 0 and sides[3] > 0:
            scene.pictures.append((matrix @ moved(*sides[:2]) @ np.diag([*sides[2:], 1.0]), extent(matrix, sides[2:])))
    else:
        _draw(scene, element, inner)


def _use(scene: _Scene, element: Element, place: _Place) -> None:
    target = scene.ids.get((element.get("href") or element.get(_LINK) or "").removeprefix("#"))
    if target is None:
        scene.drawing.left_out["reference to nothing in the file"] += 1
        return
    at = moved(length(element.get("x", "0"), place.size[0]), length(element.get("y", "0"), place.size[1]))
    if local_name(target) in ("svg", "symbol"):
        sized = Element(target.tag, {**target.attrib, **{k: v for k in ("width", "height") if (v := element.get(k))}})
        sized.extend(target)
        target = sized
    _walk(scene, target, replace(place, matrix=place.matrix @ at))


def _draw(scene: _Scene, element: Element, place: _Place) -> None:
    """Add a shape; what encloses nothing is counted."""
    name = local_name(element)
    scale = float(np.abs(place.matrix[:2, :2]).max())
    diagonal = float(np.hypot(*place.size) / np.sqrt(2))
    wholes = {"x": place.size[0], "y": place.size[1], "other": diagonal}
    rings = rings_of_shape(
        name, element.attrib, lambda text, axis: length(text, wholes[axis]), _ERROR / max(scale, 1e-9)
    )
    if rings is None:
        scene.drawing.left_out[name] += 1
        return
    rings = [applied(place.matrix, ring) for ring in rings]
    if not all(np.isfinite(ring).all() for ring in rings):
        scene.drawing.left_out["damaged"] += 1
        return
    rings = [ring for ring in map(_cleaned, rings) if len(ring) > 2]
    if not rings:
        scene.drawing.left_out["thin"] += 1
        return
    hollow = place.style.get("fill") == "none"
    nonzero = place.style.get("fill-rule", "nonzero") == "nonzero" and not hollow
    stroke, fill = place.style.get("stroke", "none"), place.style.get("fill", "black")
    if name == "rect" and not color_of(stroke) and _is_ground(scene, rings[0]):
        scene.drawing.left_out["background"] += 1
        return
    color = color_of(stroke) or color_of(fill)
    asked = unknown_color(stroke) or ("" if color else unknown_color(fill))
    scene.unknown |= {asked: None} if asked else {}
    scene.shapes.append(_Shape(put_together(rings, nonzero=nonzero), color, place.label, place.group))


def _is_ground(scene: _Scene, ring: Points) -> bool:
    """Whether a rectangle covers the whole drawing."""
    return bool((ring.min(axis=0) <= 0.5).all() and (ring.max(axis=0) >= np.array(scene.whole) - 0.5).all())


def _cleaned(ring: Points) -> Points:
    return np.asarray(ring[(ring != np.roll(ring, 1, axis=0)).any(axis=1)])


def _group(element: Element, place: _Place) -> str:
    """The layer that an element lies in: Inkscape's, or the outermost group whose name a person gave."""
    if local_name(element) != "g":
        return place.group
    label = element.get(f"{{{_INKSCAPE}}}label")
    if label and element.get(f"{{{_INKSCAPE}}}groupmode") == "layer":
        return label
    name = element.get("id") or ""
    return place.group or ("" if _AUTOMATIC.fullmatch(name) else name)


def _labels(scene: _Scene) -> list[str]:
    """Class of each shape, by what tells classes in this drawing."""
    shapes, name = scene.shapes, scene.drawing.path.name
    if any(s.label for s in shapes):
        return [s.label for s in shapes]
    groups, colors = {s.group for s in shapes}, {s.color for s in shapes}
    if 1 < len(groups) < len(shapes) or (len(groups) == 1 and len(colors) < 2 and "" not in groups):
        if len(groups) > 1:
            text = f"{name} has shapes in {len(groups)} layers or groups: they are read as classes."
            scene.drawing.findings.append(Finding("CLASSES_BY_LAYER", text, (name,)))
        return [s.group for s in shapes]
    if scene.unknown:
        names = ", ".join(f"'{one[:40]}'" for one in [*scene.unknown][:5]) + (" …" if len(scene.unknown) > 5 else "")
        text = f"{name} has shapes in colours that are not known, which make no classes of their own: {names}."
        scene.drawing.findings.append(Finding("UNKNOWN_COLOR", text, (name,)))
    if len(colors) > 1:
        text = f"{name} has shapes of {len(colors)} colours: they are read as classes, named by their colour."
        scene.drawing.findings.append(Finding("CLASSES_BY_COLOR", text, (name,)))
        return [s.color for s in shapes]
    return ["" for _ in shapes]


def _declared(scene: _Scene) -> list[ClassInfo]:
    """Classes with the values that this project writes."""
    found = {}
    for element in scene.root.iter():
        label, value = element.get("data-class"), element.get("data-value", "")
        color = color_of(element.get("stroke", ""))
        if label and value.isdecimal() and 0 < int(value) < 2**32 and color and value not in found:
            found[value] = ClassInfo(value=int(value), name=" ".join(label.split()) or value, color=color)
    return list(found.values()) if len({c.name for c in found.values()}) == len(found) else []


def _onto_picture(scene: _Scene) -> tuple[Matrix, tuple[float, float]]:
    """Matrix from the drawing to its only picture, where one was drawn upon, and the size of that in pixels."""
    if len(scene.pictures) != 1:
        return np.eye(3), scene.whole
    matrix, sides = scene.pictures[0]
    if abs(np.linalg.det(matrix)) < 1e-12 or not all(0 < side < FARTHEST for side in sides):
        return np.eye(3), scene.whole
    return np.diag([*sides, 1.0]) @ np.linalg.inv(matrix), sides


OUTLINES = OutlineFormat(
    name="svg", title="SVG drawing", suffixes=(".svg",), claims=claims, read=read, write=write
)  # fmt: skip
