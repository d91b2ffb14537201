"""Between the axes of volume files (i, j, k; positions x, y, z) and `Geometry` (Z, Y, X)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_medseg.core import Finding, Geometry
from napari_medseg.core.geometry import Unit

Matrix = npt.NDArray[np.float64]

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""NIfTI's X and Y grow to the right and the front (nifti1.h, "METHOD 2"), those of DICOM to the left and the back."""

_SQUARE = 1e-4
"""Cosine of two axes up to which they count as at right angles: what rounding in headers leaves."""


def geometry_of(matrix: npt.ArrayLike, unit: Unit = "mm") -> Geometry:
    """Geometry of the homogeneous matrix (4, 4) from (i, j, k) to (x, y, z) in LPS coordinates.

    Raises
    ------
    ValueError
        If an axis has no length, or one is in the plane of the others.
    """
    return Geometry.from_affine(np.asarray(matrix, float)[[2, 1, 0, 3]][:, [2, 1, 0, 3]], unit)


def matrix_of(geometry: Geometry) -> Matrix:
    """The matrix (4, 4) from (i, j, k) to LPS (x, y, z) in mm; a flat geometry lies in the plane z = 0."""
    scale = 1e-3 if geometry.unit == "um" else 1.0
    found = geometry.affine()
    matrix = np.eye(4)
    n = geometry.ndim
    matrix[4 - n - 1 :, 4 - n - 1 :] = found
    matrix[:3] *= scale
    if n == 2:
        matrix[0, 0] = 1.0
    return np.asarray(matrix[[2, 1, 0, 3]][:, [2, 1, 0, 3]])


def in_mm(geometry: Geometry) -> tuple[float, ...]:
    """Spacing in mm, or in pixels where it is not known; order Z Y X."""
    scale = 1e-3 if geometry.unit == "um" else 1.0
    return tuple(s * scale for s in geometry.spacing)


def is_square(matrix: npt.ArrayLike) -> bool:
    """Whether the axes of a matrix (4, 4) are at right angles."""
    axes = np.asarray(matrix, float)[:3, :3]
    axes = axes / np.linalg.norm(axes, axis=0)
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() < _SQUARE)


def about_axes(name: str, matrix: npt.ArrayLike) -> list[Finding]:
    """Whether axes lean, as in a series of a tilted gantry."""
    if is_square(matrix):
        return []
    axes = np.asarray(matrix, float)[:3, :3]
    axes = axes / np.linalg.norm(axes, axis=0)
    cosines = np.abs(axes.T @ axes - np.eye(3))
    lean = np.degrees(np.arcsin(min(1.0, float(cosines.max()))))
    text = f"The axes of {name} lean by {lean:.1f} degrees from right angles; slices lie at their true places."
    return [Finding("GANTRY_TILT", text, (name,))]
