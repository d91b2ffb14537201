"""COCO JSON: images, annotations as polygons or run lengths, categories.

The format is described at cocodataset.org/#format-data, the run lengths in ``maskApi.c`` of the COCO API.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import ClassInfo, Finding, InputError
from napari_medseg.core.card import PALETTE
from napari_medseg.io.budget import check_budget
from napari_medseg.io.outlines.drawing import Drawing, Points, whole
from napari_medseg.io.outlines.files import Content
from napari_medseg.io.outlines.fill import cover
from napari_medseg.io.outlines.regions import Outlines, Region, area, bounds
from napari_medseg.io.outlines.registry import OutlineFormat
from napari_medseg.io.outlines.trace import trace_slice

_LARGEST = 2**31
_HIGHEST_VALUE = 2**32 - 1
_TRACED = 16
"""Bytes that outlining a pixel takes."""


def claims(content: Content) -> bool:
    found = content.document
    return isinstance(found, dict) and isinstance(found.get("annotations"), list) and "images" in found


def read(content: Content) -> Outlines:
    """Every image is a slice; categories keep their numbers as values where those count from 1."""
    found, drawing = content.document, Drawing(content.path)
    images = {image["id"]: (z, image) for z, image in enumerate(found["images"])}
    categories = _categories(found.get("categories") or [], drawing)
    for annotation in found["annotations"]:
        if annotation["image_id"] not in images:
            raise ValueError(f"image {annotation['image_id']} of an annotation is not among the images")
        z = images[annotation["image_id"]][0]
        number = annotation.get("category_id")
        label = categories[number].name if number in categories else f"category {number}"
        polygons = list(_polygons(content.path, annotation.get("segmentation") or []))
        if not polygons:
            drawing.left_out["box without outline"] += 1
        else:
            drawing.add(polygons, label, z=z)
    return drawing.finish(
        list(categories.values()),
        sizes=[
            (whole(i["height"], 1, _LARGEST, "the height"), whole(i["width"], 1, _LARGEST, "the width"))
            for i in found["images"]
        ],
        names=[
            Path(str(i.get("file_name") or f"{i['id']}").replace("\\", "/")).name for i in found["images"]
        ],
    )  # fmt: skip


def write(path: Path, outlines: Outlines) -> None:
    """One image a slice, one annotation a region: polygons, or run lengths where it has holes, which polygons lack."""
    names = outlines.names or tuple(f"{z:04d}.png" for z in range(len(outlines)))
    sizes = [outlines.size_of(z) for z in range(len(names))]
    document = {
        "info": {"description": "Written by napari-medseg"},
        "images": [
            {"id": z + 1, "file_name": name, "height": height, "width": width}
            for z, (name, (height, width)) in enumerate(zip(names, sizes, strict=True))
        ],
        "annotations": [
            _annotation(number, region, sizes[region.z]) for number, region in enumerate(outlines.regions, start=1)
        ],
        "categories": [
            {"id": c.value, "name": c.name, "supercategory": "", "color": c.color} for c in outlines.classes
        ],
    }
    with path.open("w", encoding="utf-8") as file:
        json.dump(document, file, ensure_ascii=False, allow_nan=False)


def decode_runs(counts: list[int] | str | bytes, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Pixels (Y, X) of run lengths, which go down the columns and begin with zeros.

    Raises
    ------
    ValueError
        If the runs do not add up to the size.
    """
    height, width = size
    runs = np.array(_unpacked(counts) if isinstance(counts, str | bytes) else counts, np.int64).reshape(-1)
    if (runs < 0).any() or (runs > height * width).any() or runs.sum() != height * width:
        raise ValueError(f"run lengths do not add up to {width} x {height} pixels")
    values = np.arange(len(runs)) % 2
    return np.repeat(values.astype(np.uint8), runs).reshape(width, height).T


def _unpacked(text: str | bytes) -> list[int]:
    """Run lengths as the COCO API packs them: 5 bits a character, later ones as differences."""
    raw = text.encode("ascii") if isinstance(text, str) else text
    runs: list[int] = []
    value = shift = 0
    for character in raw:
        bits = character - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError("packed run lengths are damaged")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs


def _categories(found: list[dict[str, Any]], drawing: Drawing) -> dict[Any, ClassInfo]:
    """Classes by the number of their category."""
    numbers = [c["id"] for c in found]
    usual = all(isinstance(n, int) and 1 <= n <= _HIGHEST_VALUE for n in numbers) and len({*numbers}) == len(numbers)
    if numbers and not usual:
        text = f"Categories of {drawing.path.name} do not count from 1: their order gives the values of the classes."
        drawing.findings.append(Finding("CATEGORY_NUMBERS", text))
    classes: dict[Any, ClassInfo] = {}
    taken: set[str] = set()
    for place, category in enumerate(found, start=1):
        value = category["id"] if usual else place
        name = " ".join(str(category.get("name") or f"class {value}").split()) or f"class {value}"
        name = name if name not in taken else f"{name} ({value})"
        taken.add(name)
        color = category.get("color")
        good = isinstance(color, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", color)
        classes[category["id"]] = ClassInfo(
            value=value, name=name, color=color if good else PALETTE[(value - 1) % len(PALETTE)]
        )
    return classes


def _polygons(path: Path, found: Any) -> Iterator[list[Points]]:
    if isinstance(found, list):
        for numbers in found:
            yield [np.array(numbers, float).reshape(-1, 2)]
        return
    height, width = (whole(n, 1, _LARGEST, "the size of a mask") for n in found["size"])
    check_budget(path, (height, width, _TRACED), np.uint8)
    try:
        values = decode_runs(found["counts"], (height, width))
    except (ValueError, OverflowError) as error:
        raise InputError(f"A mask in {path.name} is damaged ({error}).", "Export it again.") from error
    for region in trace_slice(values):
        for polygon in region.polygons:
            yield [ring[:, ::-1] for ring in polygon]


def _annotation(number: int, region: Region, size: tuple[int, int]) -> dict[str, Any]:
    top, left, bottom, right = bounds(region)
    holes = any(len(polygon) > 1 for polygon in region.polygons)
    points = [polygon[0][:, ::-1].ravel().tolist() for polygon in region.polygons]
    return {
        "id": number, "image_id": region.z + 1, "category_id": region.value, "iscrowd": 0,
        "segmentation": {"size": list(size), "counts": _runs(region, size)} if holes else points,
        "area": area(region), "bbox": [left, top, right - left, bottom - top],
    }  # fmt: skip


def _runs(region: Region, size: tuple[int, int]) -> list[int]:
    """Run lengths of what a region covers, worked out within its box."""
    height, width = size
    pixels = np.zeros((0,), np.int64)
    for polygon in region.polygons:
        for rows, columns, mask in cover(polygon, size):
            x, y = np.nonzero(mask.T)
            pixels = np.union1d(pixels, (x + columns.start) * height + y + rows.start)
    breaks = np.flatnonzero(np.diff(pixels) > 1)
    starts = pixels[np.concatenate([[0], breaks + 1])] if len(pixels) else pixels
    ends = pixels[np.concatenate([breaks, [len(pixels) - 1]])] + 1 if len(pixels) else pixels
    changes = np.concatenate([[0], np.stack([starts, ends], axis=1).ravel(), [height * width]])
    return [int(run) for run in np.diff(changes)]


OUTLINES = OutlineFormat(
    name="coco", title="COCO JSON", suffixes=(".coco.json", ".json"), claims=claims, read=read, write=write,
    stacks=True,
)  # fmt: skip
