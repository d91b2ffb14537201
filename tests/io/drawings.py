"""One valid file of every format of outlines, laid out as the program it comes from does."""

from __future__ import annotations

import json
from pathlib import Path

SIZE = (40, 60)
"""(Y, X) of the image that they are drawn on."""

_LARGE = [[10, 5], [40, 5], [40, 30], [10, 30]]
_HOLE = [[20, 10], [20, 20], [30, 20], [30, 10]]
_TINY = [[1, 1], [4, 1], [4, 4]]
_SMALL = [[45, 8], [55, 8], [50, 20]]

_SVG = """<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="60" height="40"
 viewBox="0 0 60 40"><defs><path id="a" d="M45 8 l10 0 L50,20 z"/></defs>
<style>.t { stroke: #0072b2; fill: none }</style>
<g id="tumour" transform="translate(1 0) scale(1,1)"><path d="M10 5H40V30H10Z M20 10V20H30V10Z" stroke="#e69f00"
 fill="none"/><rect x="12" y="32" width="8" height="4" fill="none" stroke="rgb(230,159,0)"/></g>
<g class="t"><use xlink:href="#a"/><ellipse cx="6" cy="20" rx="3" ry="5"/><path d="M2 2 a3 2 30 1 0 4 4 q1 1 2 0 z"/>
<polygon points="45,30 55,30 55,38"/><circle cx="50" cy="25" r="2.5mm"/></g></svg>
"""

_APERIO = """<?xml version="1.0" encoding="UTF-8"?>
<Annotations MicronsPerPixel="0.252"><Annotation Id="1" Name="tumour" Type="4" LineColor="65280" Visible="1">
<Attributes><Attribute Name="Description" Id="0" Value="x"/></Attributes>
<Regions><RegionAttributeHeaders/><Region Id="1" Type="0" NegativeROA="0" InputRegionId="0"><Attributes/><Vertices>
{large}</Vertices></Region><Region Id="2" Type="0" NegativeROA="1" InputRegionId="1"><Vertices>
{hole}</Vertices></Region></Regions><Plots/></Annotation>
<Annotation Id="2" Name="vessel" LineColor="255"><Regions><Region Id="3" Type="2"><Vertices>
<Vertex X="45" Y="8" Z="0"/><Vertex X="55" Y="20" Z="0"/></Vertices></Region></Regions></Annotation></Annotations>
"""

_ASAP = """<?xml version="1.0"?>
<ASAP_Annotations><Annotations><Annotation Name="Annotation 0" Type="Polygon" PartOfGroup="Tumor" Color="#F4FA58">
<Coordinates>{large}</Coordinates></Annotation><Annotation Name="Annotation 1" Type="Spline" PartOfGroup="None"
 Color="#64FE2E"><Coordinates>{small}</Coordinates></Annotation></Annotations><AnnotationGroups><Group Name="Tumor"
 PartOfGroup="None" Color="#00ff00"><Attributes/></Group></AnnotationGroups></ASAP_Annotations>
"""


def _vertices(points: list[list[int]]) -> str:
    return "".join(f'<Vertex X="{x}.5" Y="{y}" Z="0"/>\n' for x, y in points)


def _coordinates(points: list[list[int]]) -> str:
    return "".join(f'<Coordinate Order="{n}" X="{x}" Y="{y}.25"/>\n' for n, (x, y) in enumerate(points))


def _closed(points: list[list[int]]) -> list[list[int]]:
    return [*points, points[0]]


_GEOJSON = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "id": "7ad1f1b5-8bd2-4d2f-9a4e-2b9fb6f4d9a1",
            "geometry": {"type": "Polygon", "coordinates": [_closed(_LARGE), _closed(_HOLE)]},
            "properties": {"objectType": "annotation", "classification": {"name": "Tümor", "color": [200, 0, 0]}},
        },
        {
            "type": "Feature",
            "geometry": {"type": "MultiPolygon", "coordinates": [[_closed(_SMALL)], [_closed(_TINY)]]},
            "properties": {"classification": {"name": "Stroma", "colorRGB": -6895466}, "isLocked": False},
        },
    ],
}

_LABELME = {
    "version": "5.5.0",
    "flags": {},
    "shapes": [
        {"label": "femur", "points": _LARGE, "group_id": None, "shape_type": "polygon", "flags": {}},
        {"label": "tibia", "points": [[45, 8], [55, 20]], "group_id": 1, "shape_type": "rectangle", "flags": {}},
        {"label": "tibia", "points": [[45, 30], [48, 30]], "group_id": 1, "shape_type": "circle", "flags": {}},
    ],
    "imagePath": "x.png",
    "imageData": None,
    "imageHeight": SIZE[0],
    "imageWidth": SIZE[1],
}

_COCO = {
    "images": [{"id": 1, "file_name": "x.png", "height": SIZE[0], "width": SIZE[1]}],
    "annotations": [
        {
            "id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 750, "bbox": [10, 5, 30, 25],
            "segmentation": [[v for p in _LARGE for v in p], [v for p in _SMALL for v in p]],
        },
        {
            "id": 2, "image_id": 1, "category_id": 2, "iscrowd": 1, "area": 30, "bbox": [45, 0, 1, 30],
            "segmentation": {"size": list(SIZE), "counts": [1800, 30, 570]},
        },
        {
            "id": 3, "image_id": 1, "category_id": 2, "iscrowd": 0, "area": 6, "bbox": [0, 0, 1, 6],
            "segmentation": {"size": [6, 4], "counts": "73305"},
        },
    ],
    "categories": [{"id": 1, "name": "femur"}, {"id": 2, "name": "tibia", "supercategory": "leg"}],
}  # fmt: skip

DRAWINGS = {
    "svg": ("x.svg", _SVG),
    "aperio": ("x.xml", _APERIO.format(large=_vertices(_LARGE), hole=_vertices(_HOLE))),
    "asap": ("x.xml", _ASAP.format(large=_coordinates(_LARGE), small=_coordinates(_SMALL))),
    "geojson": ("x.geojson", json.dumps(_GEOJSON)),
    "labelme": ("x.json", json.dumps(_LABELME)),
    "coco": ("x.json", json.dumps(_COCO)),
}
"""Name of a file and what is in it, by format."""


def draw(name: str, folder: Path) -> Path:
    """Write the drawing of a format."""
    file, text = DRAWINGS[name]
    (folder / file).write_text(text, encoding="utf-8")
    return folder / file
