"""What an OME-TIFF tells in its XML: images, their pixel sizes, the files they lie in, and classes of masks.

Source: Open Microscopy Environment, "OME Data Model", schema 2016-06: Pixels, UnitsLength, TiffData,
CommentAnnotation.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element, ParseError, fromstring

from pydantic import TypeAdapter, ValidationError

from napari_medseg.core import ClassInfo, Geometry
from napari_medseg.core.geometry import Unit
from napari_medseg.io.units import UNITS, common_unit

CLASSES = "napari-medseg/classes"
"""Namespace of the annotation that holds the classes of a mask."""

_CLASS_LIST = TypeAdapter(tuple[ClassInfo, ...])


@dataclass(frozen=True)
class OmeImage:
    """One image of an OME-TIFF: its geometry, (Z, Y, X), (Y, X) or None; the names of the files it lies in, and of its
    channels, empty where one has none."""

    geometry: Geometry | None
    files: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()


def read_images(text: str) -> list[OmeImage]:
    """Images that OME-XML describes, in its order; none where it is damaged."""
    return [_read_image(image) for image in _named(_parse(text), "Image")]


def read_classes(text: str) -> tuple[ClassInfo, ...]:
    """Classes that masks were written with into OME-XML; empty where there are none."""
    for note in _named(_parse(text), "CommentAnnotation"):
        if note.get("Namespace") == CLASSES:
            return parse_classes(next((v.text or "" for v in _named(note, "Value")), ""))
    return ()


def ome_metadata(geometry: Geometry, axes: str, classes: Sequence[ClassInfo]) -> dict[str, Any]:
    """The ``metadata`` of ``tifffile.imwrite`` for masks in an OME-TIFF."""
    about: dict[str, Any] = {"axes": axes}
    if geometry.known:
        about |= {f"PhysicalSize{a}": s for a, s in zip(axes, geometry.spacing, strict=True)}
        about |= {f"PhysicalSize{a}Unit": {"mm": "mm", "um": "µm"}[geometry.unit] for a in axes}
    if classes:
        about["CommentAnnotation"] = {"Namespace": CLASSES, "Value": list_classes(classes)}
    return about


def list_classes(classes: Sequence[ClassInfo]) -> str:
    """Classes as one line of JSON in ASCII, which any text field holds."""
    return json.dumps([c.model_dump() for c in classes])


def parse_classes(text: str) -> tuple[ClassInfo, ...]:
    """Classes from `list_classes`; empty where the text is none or was changed beyond sense."""
    try:
        found = _CLASS_LIST.validate_json(text)
    except ValidationError:
        return ()
    return found if len({c.value for c in found}) == len(found) else ()


def _parse(text: str) -> Element:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        return Element("OME")
    try:
        return fromstring(text)
    except (ParseError, ValueError):
        return Element("OME")


def _named(parent: Element, name: str) -> Iterator[Element]:
    return (e for e in parent.iter() if e.tag.rpartition("}")[2] == name)


def _read_image(image: Element) -> OmeImage:
    pixels = next(_named(image, "Pixels"), None)
    if pixels is None:
        return OmeImage(None)
    files = tuple(dict.fromkeys(e.get("FileName", "") for e in _named(pixels, "UUID")))
    names = tuple(e.get("Name", "").strip() for e in _named(pixels, "Channel"))
    channels = names if all(names) else ()
    sizes: list[float] = []
    units: list[tuple[Unit, float]] = []
    for axis in "ZYX":
        try:
            size = float(pixels.get(f"PhysicalSize{axis}", "nan"))
        except ValueError:
            size = math.nan
        unit = UNITS.get(pixels.get(f"PhysicalSize{axis}Unit", "µm").lower())
        if math.isfinite(size) and size > 0 and unit:
            sizes.append(size)
            units.append(unit)
        elif axis != "Z":
            return OmeImage(None, files, channels)
    spacing, name = common_unit(sizes, units)
    return OmeImage(Geometry(spacing=spacing, unit=name), files, channels)
