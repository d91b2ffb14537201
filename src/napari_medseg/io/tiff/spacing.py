"""Spacing and classes in TIFF tags: ImageJ's description, OME-XML, resolution; and back."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import tifffile

from napari_medseg.core import ClassInfo, Finding, Geometry
from napari_medseg.io.units import UNITS, common_unit

from .ome import list_classes, parse_classes, read_classes, read_images
from .pages import Layout

_CLASSES = "classes: "
"""What the line of ImageJ's info starts with that holds the classes."""

_PRINT = (72, 75, 90, 96, 100, 120, 150, 180, 200, 240, 300, 350, 360, 400, 600, 720, 1200, 2400)
"""Dots per inch that programs write for paper whatever the image shows; taken for unknown."""

_FINEST, _COARSEST = 0.02, 10.0
"""Micrometres that a pixel of a microscope's picture can be wide; 10 are 2540 dots per inch."""

_PHILIPS_SIZE = re.compile(
    r'"PixelDataRepresentation".*?Name="DICOM_PIXEL_SPACING"[^>]*>\s*(?:&quot;|")([^&"<]+)\S+\s+(?:&quot;|")([^&"<]+)',
    re.DOTALL,
)
"""Millimetres along Y and X; the first is that of the image."""

_APERIO_SIZE = re.compile(r"\|\s*MPP\s*=\s*([0-9.eE+-]+)")


def read_geometry(
    tiff: tifffile.TiffFile, layout: Layout, *, slide: bool = False
) -> tuple[Geometry, tuple[Finding, ...]]:
    """Spacing of a file as far as its tags tell it: of (Z, Y, X), or of (Y, X) when nothing says how far slices lie.

    Parameters
    ----------
    slide
        Whether it is a slide: a plausible resolution is in micrometres then.
    """
    if told := _from_ome(tiff, layout) or _from_aperio(layout.page) or _from_philips(tiff):
        return told, ()
    x, y = (_per_pixel(layout.page, name) for name in ("XResolution", "YResolution"))
    if x and y and (found := _from_imagej(tiff, layout, y, x)):
        return found, ()
    kind = layout.page.tags.get("ResolutionUnit")
    inches = {2: 25.4, 3: 10.0}.get(int(kind.value) if kind else 2)
    if tiff.is_imagej or not (x and y and inches):
        return Geometry.unknown(2), ()
    if slide and all(_FINEST <= size * inches * 1000 <= _COARSEST for size in (x, y)):
        return Geometry(spacing=(y * inches * 1000, x * inches * 1000), unit="um"), ()
    dots = 25.4 / (x * inches)
    if any(math.isclose(dots, known, rel_tol=2e-3) for known in _PRINT) or dots < 2:
        text = (
            f"The file says {dots:.0f} dots per inch, as programs write for paper; its pixel size is taken as unknown."
        )
        return Geometry.unknown(2), (Finding("PRINT_RESOLUTION", text),)
    return Geometry(spacing=(y * inches, x * inches), unit="mm"), ()


def imagej_tags(geometry: Geometry, classes: Sequence[ClassInfo], ndim: int) -> dict[str, Any]:
    """Arguments of ``tifffile.imwrite`` that keep spacing and classes where ImageJ, Fiji and napari find them.

    Classes are a line of the text that ImageJ shows as "Show Info"; the range to be shown makes them visible there.
    """
    *depth, y, x = geometry.spacing
    top = max((c.value for c in classes), default=1)
    metadata: dict[str, Any] = {
        "axes": "ZYX"[-ndim:], "unit": {"mm": "mm", "um": "micron", "pixel": "pixel"}[geometry.unit],
        "min": 0.0, "max": float(top),
    }  # fmt: skip
    if depth:
        metadata["spacing"] = depth[0]
    if classes:
        metadata["Info"] = f"{_CLASSES}{list_classes(classes)}\n"
    return {"imagej": True, "metadata": metadata, "resolution": (1 / x, 1 / y)}


def read_tagged_classes(tiff: tifffile.TiffFile) -> tuple[ClassInfo, ...]:
    """Classes that masks were written with, by `imagej_tags` or in OME-XML; empty where there are none."""
    if tiff.is_ome:
        return read_classes(tiff.ome_metadata or "")
    info = (tiff.imagej_metadata or {}).get("Info", "") if tiff.is_imagej else ""
    lines = (line for line in str(info).splitlines() if line.startswith(_CLASSES))
    return parse_classes(next(lines, "").removeprefix(_CLASSES))


def _per_pixel(page: Any, name: str) -> float:
    """Length of a pixel from a resolution tag in its unit; 0 when not told."""
    tag = page.tags.get(name)
    try:
        top, bottom = tag.value
        return float(bottom / top)
    except (AttributeError, TypeError, ValueError, ZeroDivisionError):
        return 0.0


def _from_imagej(tiff: tifffile.TiffFile, layout: Layout, y: float, x: float) -> Geometry | None:
    about: dict[str, Any] = tiff.imagej_metadata or {}
    unit = UNITS.get(str(about.get("unit", "")).strip().lower())
    if not unit:
        return None
    z: Any = about.get("spacing")
    deep = UNITS.get(str(about.get("zunit", "")).strip().lower(), unit)
    known = isinstance(z, int | float) and math.isfinite(z) and z != 0 and layout.axis != "T"
    sizes = ([abs(float(z))], [deep]) if known else ([], [])
    spacing, name = common_unit([*sizes[0], y, x], [*sizes[1], unit, unit])
    return Geometry(spacing=spacing, unit=name)


def _from_aperio(page: Any) -> Geometry | None:
    """Micrometres per pixel as Aperio's scanners and others write them into the description."""
    found = _APERIO_SIZE.search(str(page.description or ""))
    try:
        size = float(found[1]) if found else 0.0
    except ValueError:
        return None
    return Geometry(spacing=(size, size), unit="um") if _FINEST <= size <= 10 * _COARSEST else None


def _from_philips(tiff: tifffile.TiffFile) -> Geometry | None:
    """Pixel size as Philips' scanners write it into the XML of the first page."""
    found = _PHILIPS_SIZE.search(tiff.philips_metadata or "") if tiff.is_philips else None
    try:
        y, x = (1000 * float(size) for size in found.groups()) if found else (0.0, 0.0)
    except ValueError:
        return None
    return Geometry(spacing=(y, x), unit="um") if all(_FINEST <= size <= _COARSEST for size in (y, x)) else None


def _from_ome(tiff: tifffile.TiffFile, layout: Layout) -> Geometry | None:
    images = read_images(tiff.ome_metadata or "") if tiff.is_ome else []
    if not images:
        return None
    found = images[layout.index if layout.index < len(images) else 0].geometry
    return found.flat if found and layout.axis == "T" else found  # the distance of time points is no length
