"""How much of the tissue on a stained slide each class takes up."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import Image, Labels

from .colours import tell_colours
from .slides.tissue import Mask, Tissue, find_tissue

SIDE = 4096
"""Pixels along a side of the level that is counted, at least, where a result has smaller ones."""

BAND = 1024

SAMPLE = 512
"""Pixels along a side of what is looked at to tell stained tissue from other pictures, about."""


@dataclass(frozen=True)
class Shares:
    """Tissue of one image or of several, and what of it is of each class.

    Attributes
    ----------
    tissue
        Its area in mm², or in pixels where the pixel size is not known.
    areas
        Of each class within it, by name, in the same unit.
    in_mm
        Whether these are mm².
    """

    tissue: float = 0.0
    areas: dict[str, float] = field(default_factory=dict)
    in_mm: bool = True

    def __str__(self) -> str:
        """``Of the tissue: cancer 12.3 % (4.56 mm²)``."""
        told = []
        for name, area in self.areas.items():
            size = f" ({area:.3g} mm²)" if self.in_mm else ""
            told.append(f"{name} {100 * area / self.tissue:.1f} %{size}")
        return f"Of the tissue: {', '.join(told)}"

    def of(self, name: str) -> float:
        """Part of the tissue, 0 to 1."""
        return self.areas[name] / self.tissue

    @classmethod
    def summed(cls, several: Iterable[Shares]) -> Shares:
        """All together; in mm² only where all are."""
        total, areas, in_mm = 0.0, dict[str, float](), True
        for one in several:
            total, in_mm = total + one.tissue, in_mm and one.in_mm
            for name, area in one.areas.items():
                areas[name] = areas.get(name, 0.0) + area
        return cls(total, areas, in_mm)


def measure_shares(image: Image, labels: Labels, tissue: Tissue | None = None) -> tuple[Shares | None, ...]:
    """Measure every slice of an image, or the one it is.

    Tissue is what is given, or where `find_tissue` sees it, without its margin: all of a picture without glass. What
    was not computed counts neither as tissue nor as a class.

    Returns
    -------
    tuple
        One for each slice; None where it is no picture of stained tissue, has no result, or holds no tissue.
    """
    if tissue is not None:
        return (_measure(image, _level(labels, 0), labels, tissue),)
    if image.channels != 3 or np.dtype(image.data.dtype) != np.uint8:
        return (None,) * len(labels)
    return tuple(
        None if z in labels.missing else _look(_single(image, z), _level(labels, z), labels) for z in range(len(labels))
    )


def _single(image: Image, z: int) -> Image:
    """Slice ``z`` as an image of its own."""
    if not image.is_stack:
        return image
    return Image(image.slice(z), "YXC", image.geometry.flat)


def _level(labels: Labels, z: int) -> Any:
    """What is counted of slice ``z``: the smallest level that is large enough."""
    if labels.is_stack:
        return labels.slice(z)
    return next((x for x in reversed(labels.levels) if max(x.shape) >= SIDE), labels.data)


def _look(image: Image, found: Any, labels: Labels) -> Shares | None:
    return _measure(image, found, labels, find_tissue(image, margin=False)) if _is_stained(image) else None


def _measure(image: Image, found: Any, labels: Labels, tissue: Tissue) -> Shares | None:
    counts = np.zeros(max((c.value for c in labels.classes), default=0) + 1, np.int64)
    total = 0
    for top in range(0, found.shape[0], BAND):
        values = np.asarray(found[top : top + BAND])
        here = _spread(tissue.mask, found.shape, top, len(values))
        if labels.not_computed is not None:
            here &= values != labels.not_computed
        total += int(here.sum())
        counts += np.bincount(values[here], minlength=len(counts))[: len(counts)]
    if not total:
        return None
    size = image.geometry.pixel_size
    scale = math.prod(n / m for n, m in zip(image.shape[-2:], found.shape, strict=True)) * (size or 1.0) ** 2
    return Shares(total * scale, {c.name: float(counts[c.value]) * scale for c in labels.classes}, size is not None)


def _is_stained(image: Image) -> bool:
    level = image.pyramid[-1]
    step = max(1, max(level.shape[:2]) // SAMPLE)
    pixels = np.asarray(level[::step, ::step]).reshape(-1, 3)
    return tell_colours(pixels.astype(np.float32) / 255) == "stain"


def _spread(mask: Mask, shape: tuple[int, ...], top: int, count: int) -> npt.NDArray[np.bool_]:
    """Rows of a coarse mask at the size of what is counted."""
    rows = (np.arange(top, top + count) * mask.shape[0]) // shape[0]
    columns = (np.arange(shape[1]) * mask.shape[1]) // shape[1]
    return np.asarray(mask[rows][:, columns])
