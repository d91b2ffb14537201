"""Units of length as files call them."""

from __future__ import annotations

from collections.abc import Sequence

from napari_medseg.core.geometry import Unit

UNITS: dict[str, tuple[Unit, float]] = {
    "mm": ("mm", 1.0), "millimeter": ("mm", 1.0), "millimetre": ("mm", 1.0),
    "cm": ("mm", 10.0), "centimeter": ("mm", 10.0), "centimetre": ("mm", 10.0), "dm": ("mm", 100.0),
    "m": ("mm", 1e3), "meter": ("mm", 1e3), "metre": ("mm", 1e3),
    "inch": ("mm", 25.4), "in": ("mm", 25.4), "ft": ("mm", 304.8), "thou": ("mm", 0.0254), "pt": ("mm", 25.4 / 72),
    "um": ("um", 1.0), "µm": ("um", 1.0), "μm": ("um", 1.0), "\\u00b5m": ("um", 1.0),
    "micron": ("um", 1.0), "microns": ("um", 1.0), "micrometer": ("um", 1.0), "micrometre": ("um", 1.0),
    "nm": ("um", 1e-3), "nanometer": ("um", 1e-3), "nanometre": ("um", 1e-3),
    "å": ("um", 1e-4), "angstrom": ("um", 1e-4), "pm": ("um", 1e-6), "picometer": ("um", 1e-6),
}  # fmt: skip
"""Units of length in files, in small letters: the project's unit, and how many of it they are."""


def common_unit(sizes: Sequence[float], units: Sequence[tuple[Unit, float]]) -> tuple[tuple[float, ...], Unit]:
    """Lengths with a unit each, in one unit: micrometres where all are small, else millimetres."""
    name: Unit = "um" if all(unit == "um" for unit, _ in units) else "mm"
    factors = (factor * (1e-3 if unit != name else 1) for unit, factor in units)
    return tuple(size * factor for size, factor in zip(sizes, factors, strict=True)), name
