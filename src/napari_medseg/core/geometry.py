"""Where pixels lie in space."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

Unit = Literal["mm", "um", "pixel"]

SMALL = 0.02
"""mm; shorter lengths are told in µm."""


def lengths_in_words(*lengths: float, between: str = "×") -> str:
    """Lengths in mm as people say them, equal ones once: ``0.8×0.9 mm``, ``0.45 µm``."""
    small = max(lengths) < SMALL
    numbers = dict.fromkeys(f"{1000 * length if small else length:.3g}" for length in lengths)
    return f"{between.join(numbers)} {'µm' if small else 'mm'}"


class Geometry(BaseModel):
    """Spacing, origin and direction of an image's spatial axes, in the order Z Y X (or Y X).

    Positions are patient coordinates as DICOM has them, in the order Z Y X: Z grows towards the head, Y towards the
    back, X towards the patient's left (NIfTI's X and Y are the negative of these).

    Attributes
    ----------
    spacing
        Distance between neighbouring pixels along each axis, in ``unit``; of an irregular series the median for Z.
    origin
        Position of the centre of pixel 0, in ``unit``; zeros when unknown.
    direction
        Rows of a matrix whose column ``i`` is the direction of axis ``i``, of length 1; empty means the axes
        themselves. Mirrored axes have a negative determinant; those of a tilted gantry are not at right angles.
    positions
        Position of the centre of the first pixel of every slice, where slices do not lie evenly; else empty.
    unit
        ``"mm"``, ``"um"`` or ``"pixel"``; ``"pixel"`` says that the physical spacing is not known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    spacing: tuple[float, ...] = Field(min_length=2, max_length=3)
    origin: tuple[float, ...] = ()
    direction: tuple[tuple[float, ...], ...] = ()
    positions: tuple[tuple[float, ...], ...] = ()
    unit: Unit = "pixel"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        n = len(self.spacing)
        if any(not np.isfinite(s) or s <= 0 for s in self.spacing):
            raise ValueError(f"spacing must be positive, not {self.spacing}")
        if self.origin and len(self.origin) != n:
            raise ValueError(f"origin needs {n} numbers, not {len(self.origin)}")
        if self.direction and (len(self.direction) != n or any(len(row) != n for row in self.direction)):
            raise ValueError(f"direction needs {n} rows of {n} numbers")
        if self.direction:
            matrix = np.array(self.direction)
            if not np.allclose(np.linalg.norm(matrix, axis=0), 1, atol=1e-3) or abs(np.linalg.det(matrix)) < 1e-3:
                raise ValueError("direction needs independent columns of length 1")
        numbers = [*self.origin, *(x for place in self.positions for x in place)]
        if any(len(place) != n for place in self.positions) or not np.isfinite(numbers).all():
            raise ValueError(f"positions and origin need {n} finite numbers each")
        return self

    @classmethod
    def unknown(cls, ndim: int) -> Geometry:
        """Geometry of an image that says nothing about its size: one pixel apart, unit ``pixel``."""
        return cls(spacing=(1.0,) * ndim)

    @classmethod
    def from_affine(cls, matrix: npt.ArrayLike, unit: Unit = "mm") -> Geometry:
        """Geometry of the homogeneous matrix from pixel index to position, shape (n + 1, n + 1), both in order Z Y X.

        Raises
        ------
        ValueError
            If an axis has no length, or one is in the plane of the others.
        """
        matrix = np.asarray(matrix, float)
        n = matrix.shape[0] - 1
        spacing = np.linalg.norm(matrix[:n, :n], axis=0)
        if not np.isfinite(matrix).all() or (spacing <= 0).any():
            raise ValueError("every axis of the affine needs a length")
        direction = matrix[:n, :n] / spacing
        turned = not np.array_equal(direction, np.eye(n))
        return cls(
            spacing=tuple(spacing.tolist()), unit=unit,
            origin=tuple(matrix[:n, n].tolist()) if np.any(matrix[:n, n]) else (),
            direction=tuple(map(tuple, direction.tolist())) if turned else (),
        )  # fmt: skip

    @property
    def ndim(self) -> int:
        return len(self.spacing)

    @property
    def known(self) -> bool:
        """Whether the spacing is physical."""
        return self.unit != "pixel"

    @property
    def pixel_sides(self) -> tuple[float, float] | None:
        """Height and width of a pixel in mm, or None when not known."""
        if not self.known:
            return None
        height, width = (size / (1000 if self.unit == "um" else 1) for size in self.spacing[-2:])
        return height, width

    @property
    def pixel_size(self) -> float | None:
        """Side in mm of a square as large as a pixel, or None when not known."""
        return None if self.pixel_sides is None else float(np.sqrt(np.prod(self.pixel_sides)))

    @property
    def flat(self) -> Geometry:
        """Of one slice by itself: the last two spacings."""
        return Geometry(spacing=self.spacing[-2:], unit=self.unit)

    def affine(self) -> npt.NDArray[np.float64]:
        """Homogeneous matrix from pixel index to position, shape (ndim + 1, ndim + 1).

        Of an irregular series only the in-plane part holds for every slice; ``slice_origin`` has their positions.
        """
        n = self.ndim
        matrix = np.eye(n + 1)
        direction = np.array(self.direction) if self.direction else np.eye(n)
        matrix[:n, :n] = direction * np.array(self.spacing)
        if self.origin:
            matrix[:n, n] = self.origin
        return matrix

    def slice_origin(self, z: int) -> npt.NDArray[np.float64]:
        """Position of the centre of the first pixel of slice ``z``, shape (3,)."""
        if self.positions:
            return np.array(self.positions[z])
        matrix = self.affine()
        return np.asarray(matrix[:3, 3] + matrix[:3, 0] * z)
