"""Spacing in TIFF tags: ImageJ's description, OME-XML, resolution; and back."""

from __future__ import annotations

import math
from typing import Any
from xml.etree.ElementTree import ParseError, fromstring

import numpy as np
import tifffile

from napari_medseg.core import Finding, Geometry
from napari_medseg.core.geometry import Unit

from .tiffpages import Layout

_UNITS: dict[str, tuple[Unit, float]] = {
    "mm": ("mm", 1.0), "millimeter": ("mm", 1.0), "millimetre": ("mm", 1.0),
    "cm": ("mm", 10.0), "centimeter": ("mm", 10.0), "inch": ("mm", 25.4), "m": ("mm", 1e3),
    "um": ("um", 1.0), "µm": ("um", 1.0), "μm": ("um", 1.0), "\\u00b5m": ("um", 1.0),
    "micron": ("um", 1.0), "microns": ("um", 1.0), "micrometer": ("um", 1.0), "micrometre": ("um", 1.0),
    "nm": ("um", 1e-3), "nanometer": ("um", 1e-3),
}  # fmt: skip

_PRINT = (72, 75, 90, 96, 100, 120, 150, 180, 200, 240, 300, 350, 360, 400, 600, 720, 1200, 2400)
"""Dots per inch that programs write for paper whatever the image shows; taken for unknown."""


def read_geometry(tiff: tifffile.TiffFile, layout: Layout) -> tuple[Geometry, tuple[Finding, ...]]:
    """Spacing of a file as far as its tags tell it: of (Z, Y, X), or of (Y, X) when nothing says how far slices lie."""
    if tiff.is_ome and (found := _from_ome(tiff)):
        return found, ()
    x, y = (_per_pixel(layout.page, name) for name in ("XResolution", "YResolution"))
    about: dict[str, Any] = tiff.imagej_metadata or {}
    unit = _UNITS.get(str(about.get("unit", "")).strip().lower())
    if unit and x and y:
        name, factor = unit
        z = about.get("spacing")
        spacing: tuple[float, ...] = (y * factor, x * factor)
        if isinstance(z, int | float) and math.isfinite(z) and z != 0:
            spacing = (abs(float(z)) * factor, *spacing)
        return Geometry(spacing=spacing, unit=name), ()
    kind = layout.page.tags.get("ResolutionUnit")
    inches = {2: 25.4, 3: 10.0}.get(int(kind.value) if kind else 2)
    if tiff.is_imagej or not (x and y and inches):
        return Geometry.unknown(2), ()
    dots = 25.4 / (x * inches)
    if any(math.isclose(dots, known, rel_tol=2e-3) for known in _PRINT) or dots < 2:
        text = (
            f"The file says {dots:.0f} dots per inch, as programs write for paper; its pixel size is taken as unknown."
        )
        return Geometry.unknown(2), (Finding("PRINT_RESOLUTION", text),)
    return Geometry(spacing=(y * inches, x * inches), unit="mm"), ()


def written_tags(geometry: Geometry, ndim: int, dtype: np.dtype[Any]) -> dict[str, Any]:
    """Arguments of ``tifffile.imwrite`` that keep the spacing and that napari and Fiji read."""
    axes = "ZYX"[-ndim:]
    *depth, y, x = geometry.spacing
    if dtype.itemsize > 2:
        names = dict(zip("ZYX"[-ndim:], geometry.spacing, strict=True))
        sizes: dict[str, Any] = {f"PhysicalSize{a}": s for a, s in names.items()}
        unit = {"mm": "mm", "um": "µm", "pixel": "pixel"}[geometry.unit]
        sizes.update({f"PhysicalSize{a}Unit": unit for a in names})
        return {"ome": True, "metadata": {"axes": axes, **(sizes if geometry.known else {})}}
    metadata: dict[str, Any] = {"axes": axes, "unit": {"mm": "mm", "um": "micron", "pixel": "pixel"}[geometry.unit]}
    if depth:
        metadata["spacing"] = depth[0]
    return {"imagej": True, "metadata": metadata, "resolution": (1 / x, 1 / y)}


def _per_pixel(page: Any, name: str) -> float:
    """Length of a pixel from a resolution tag in its unit; 0 when not told."""
    tag = page.tags.get(name)
    try:
        top, bottom = tag.value
        return float(bottom / top)
    except (AttributeError, TypeError, ValueError, ZeroDivisionError):
        return 0.0


def _from_ome(tiff: tifffile.TiffFile) -> Geometry | None:
    text = tiff.ome_metadata or ""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        return None
    try:
        pixels = next((e for e in fromstring(text).iter() if e.tag.endswith("}Pixels") or e.tag == "Pixels"), None)
    except ParseError:
        return None
    if pixels is None:
        return None
    sizes: list[float] = []
    units: list[tuple[Unit, float]] = []
    for axis in "ZYX":
        try:
            size = float(pixels.get(f"PhysicalSize{axis}", "nan"))
        except ValueError:
            size = math.nan
        unit = _UNITS.get(pixels.get(f"PhysicalSize{axis}Unit", "µm").lower())
        if math.isfinite(size) and size > 0 and unit:
            sizes.append(size)
            units.append(unit)
        elif axis != "Z":
            return None
    name: Unit = "um" if all(u == "um" for u, _ in units) else "mm"
    spacing = tuple(
        s * factor * (1e-3 if u == "um" and name == "mm" else 1) for s, (u, factor) in zip(sizes, units, strict=True)
    )
    return Geometry(spacing=spacing, unit=name)
