"""What one DICOM slice tells of its place: the distance of its pixels, its directions, its position.

Source: DICOM PS3.3, C.7.6.2 "Image Plane", 10.7.1.3 "Pixel Spacing", C.8.5.5 "US Region Calibration".
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from .file import Facts

Vectors = npt.NDArray[np.float64]


def in_plane(facts: Facts) -> tuple[float, float] | None:
    """Distance of pixels along (Y, X) in mm; None when it is not told."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        told = facts.numbers(keyword, 2)
        if told and min(told) > 0:
            return told[0], told[1]
    regions = facts.values.get("SequenceOfUltrasoundRegions") or ()
    sizes = {
        (r.get("PhysicalDeltaY"), r.get("PhysicalDeltaX"))
        for r in regions
        if r.get("PhysicalUnitsXDirection") == 3 == r.get("PhysicalUnitsYDirection")
    }
    size = sizes.pop() if len(sizes) == 1 else ()
    if size and all(isinstance(d, float) and d > 0 for d in size):
        return 10 * float(size[0]), 10 * float(size[1])  # told in cm
    return None


def turn_of(facts: Facts) -> Vectors | None:
    """Directions of the rows' and the columns' indices, (2, 3) in the order X Y Z; None when not told rightly."""
    return _unit_turn(facts.numbers("ImageOrientationPatient", 6))


@lru_cache(maxsize=1024)  # the slices of a series tell the same
def _unit_turn(numbers: tuple[float, ...]) -> Vectors | None:
    told = np.array(numbers).reshape(-1, 3)
    if len(told) != 2 or not np.allclose(told @ told.T, np.eye(2), atol=1e-2):
        return None
    unit: Vectors = told / np.linalg.norm(told, axis=1, keepdims=True)
    return unit


def place_of(facts: Facts) -> Vectors | None:
    """Position of the first pixel in the order X Y Z, where the slice has a direction too."""
    told = facts.numbers("ImagePositionPatient", 3)
    return np.array(told) if told and turn_of(facts) is not None else None
