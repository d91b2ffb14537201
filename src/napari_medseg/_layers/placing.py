"""Where an image lies, as the scale and affine of its layer, and back.

napari draws slices across a slider without turning or shifting them out of their plane, and warns when asked to. So
the world of a layer is the patient's own wherever the slices lie straight across the body; of oblique, coronal,
sagittal and tilted series it is the patient's turned so that the acquired plane is the screen's, head or front up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import Geometry
from napari_medseg.core.geometry import Unit

from .about import about_layer

Matrix = npt.NDArray[np.float64]

_ROUNDING = 1e-4
"""Directions this close to an axis are taken as it: files round them, 0.05 mm at the far side of a large image."""

_GRID = 2.0**-24
"""Layers lie on multiples of this part of a unit: sums of such numbers are exact, so that the slider, whose number of
steps napari cuts off, does not lose the last slice to rounding."""

# Directions in the patient (Z Y X) of the slider, of down and of right on the screen, by the axis that slices are
# across: the patient's right is on the left of axial and coronal slices, the front on the left of sagittal ones; the
# slider runs as DICOM counts slices, along right x down (PS3.3, C.7.6.2.1.1).
_SCREENS = {
    0: ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    1: ((0, 1, 0), (-1, 0, 0), (0, 0, 1)),
    2: ((0, 0, -1), (-1, 0, 0), (0, 1, 0)),
}

# Name of the layer's unit -> unit of the geometry and factor to it.
_UNITS: dict[str, tuple[Unit, float]] = {
    "millimeter": ("mm", 1.0),
    "micrometer": ("um", 1.0),
    "micron": ("um", 1.0),
    "nanometer": ("um", 1e-3),
    "centimeter": ("mm", 10.0),
    "meter": ("mm", 1e3),
}


def lies_straight(geometry: Geometry) -> bool:
    """Whether slices lie straight across the body, so that patient coordinates can be shown as they are."""
    if geometry.ndim < 3 or not geometry.direction:
        return True
    direction = np.array(geometry.direction)
    return bool(np.abs([*direction[0, 1:], *direction[1:, 0]]).max() < _ROUNDING)


def place(geometry: Geometry, *, in_patient: bool = False) -> dict[str, Any]:
    """Keyword arguments that put a layer where its geometry says.

    Parameters
    ----------
    geometry
        Of the whole image.
    in_patient
        Place oblique slices in patient coordinates too: right in 3D and beside other layers, but napari shows each
        slice unturned, and not one of them whole where the slider crosses them.
    """
    kwargs: dict[str, Any] = {"scale": geometry.spacing, "units": (geometry.unit,) * geometry.ndim}
    if not geometry.direction and not geometry.origin:
        return kwargs
    n = geometry.ndim
    direction = np.array(geometry.direction) if geometry.direction else np.eye(n)
    affine = np.eye(n + 1)
    straight = lies_straight(geometry)
    turn = np.eye(n) if in_patient or straight else _screen(direction)
    affine[:n, :n] = turn @ direction
    if geometry.origin:
        affine[:n, n] = turn @ np.array(geometry.origin)
    if n == 3 and (straight or not in_patient):
        # What is left out of the plane is rounding, or the shift of slices from one to the next. The slider steps by
        # the scale, so slices lie that far apart, even where a tilt makes it less across them.
        affine[0, 1:3] = affine[1:3, 0] = 0
        affine[0, 0] = np.sign(affine[0, 0])
    affine[:n, :n][np.abs(affine[:n, :n]) < 1e-9] = 0
    if np.array_equal(affine, np.eye(n + 1)):
        return kwargs
    affine[:n, n] = _on_grid(affine[:n, n])
    return {**kwargs, "scale": tuple(_on_grid(np.array(geometry.spacing)).tolist()), "affine": affine}


def geometry_of(layer: Any, ndim: int) -> Geometry:
    """Geometry of a layer's pixels.

    Spacing and unit come from the layer, where the user can correct them; of our own layers the place comes from the
    file, wherever the layer was moved to. Of other layers everything comes from their transforms.
    """
    units = [_UNITS.get(str(u)) for u in layer.units]
    unit: Unit = "pixel"
    factors = np.ones(ndim)
    if all(units):
        known = [u for u in units if u]
        unit = "um" if all(name == "um" for name, _ in known) else "mm"
        factors = np.array([f * (1e-3 if name == "um" and unit == "mm" else 1) for name, f in known])
    stored = about_layer(layer).get("geometry")
    if stored and len(stored["spacing"]) == ndim:
        shown, told = np.abs(np.asarray(layer.scale, float)), np.array(stored["spacing"])
        # Only who moved the scale off what `place` made of it meant to correct it.
        spacing = np.where(np.abs(shown - told) <= _GRID, told, shown) * factors
        return Geometry(**{**stored, "spacing": tuple(spacing.tolist()), "unit": unit})
    matrix = _world(layer, ndim)
    matrix[:ndim] *= factors[:, np.newaxis]
    return Geometry.from_affine(matrix, unit)


def part_of(geometry: Geometry, start: Sequence[int], shape: Sequence[int]) -> Geometry:
    """Geometry of the part of an image that begins at pixel ``start``."""
    positions: tuple[tuple[float, ...], ...] = ()
    if geometry.positions:
        shift = geometry.affine()[:3, 1:3] @ np.array(start[1:], float)
        positions = tuple(
            tuple((np.array(p) + shift).tolist()) for p in geometry.positions[start[0] : start[0] + shape[0]]
        )
    origin = geometry.affine() @ np.array([*start, 1.0])
    first = positions[0] if positions else tuple(origin[:-1].tolist())
    keeps = any(start) or geometry.origin
    return Geometry(**{**geometry.model_dump(), "origin": first if keeps else (), "positions": positions})


def _on_grid(numbers: Matrix) -> Matrix:
    return np.asarray(np.maximum(np.rint(numbers / _GRID), np.where(numbers > 0, 1, -np.inf)) * _GRID)


def _screen(direction: Matrix) -> Matrix:
    """Rows of the rotation (it may mirror) from patient coordinates to slider, down and right of the screen.

    Parameters
    ----------
    direction
        Columns are the directions of the array's axes; rows and columns of a slice need not be at right angles.
    """
    normal = np.cross(direction[:, 1], direction[:, 2])
    normal /= np.linalg.norm(normal)
    wanted = np.array(_SCREENS[int(np.abs(normal).argmax())], float)
    ways = [
        (first * direction[:, a], second * direction[:, 3 - a])
        for a in (1, 2)
        for first in (1, -1)
        for second in (1, -1)
    ]
    down, right = max(ways, key=lambda way: way[0] @ wanted[1] + way[1] @ wanted[2])
    right = right - (right @ down) * down
    return np.array([normal * (1 if normal @ wanted[0] > 0 else -1), down, right / np.linalg.norm(right)])


def _world(layer: Any, ndim: int) -> Matrix:
    """Homogeneous matrix from a layer's pixels to napari's world, from its attributes alone."""
    own = np.eye(ndim + 1)
    own[:ndim, :ndim] = np.asarray(layer.rotate, float) @ _shear(layer.shear, ndim) @ np.diag(layer.scale)
    own[:ndim, ndim] = layer.translate
    matrix: Matrix = np.asarray(getattr(layer.affine, "affine_matrix", layer.affine), float) @ own
    return matrix


def _shear(shear: Any, ndim: int) -> Matrix:
    """napari keeps a matrix, or the numbers above its diagonal."""
    values = np.asarray(shear, float)
    if values.ndim == 2:
        return values
    matrix = np.eye(ndim)
    matrix[np.triu_indices(ndim, 1)] = values
    return matrix
