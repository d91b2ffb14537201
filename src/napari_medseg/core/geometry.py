"""Where pixels lie in space."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

Unit = Literal["mm", "um", "pixel"]


class Geometry(BaseModel):
    """Spacing, origin and direction of an image's spatial axes, in the order Z Y X (or Y X).

    Attributes
    ----------
    spacing
        Distance between neighbouring pixels along each axis, in ``unit``.
    origin
        Position of the centre of pixel 0, in ``unit``; zeros when unknown.
    direction
        Rows of a rotation matrix whose column ``i`` is the direction of axis ``i``; empty means the axes themselves.
    unit
        ``"mm"``, ``"um"`` or ``"pixel"``; ``"pixel"`` says that the physical spacing is not known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    spacing: tuple[float, ...] = Field(min_length=2, max_length=3)
    origin: tuple[float, ...] = ()
    direction: tuple[tuple[float, ...], ...] = ()
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
        return self

    @classmethod
    def unknown(cls, ndim: int) -> Geometry:
        """Geometry of an image that says nothing about its size: one pixel apart, unit ``pixel``."""
        return cls(spacing=(1.0,) * ndim)

    @property
    def ndim(self) -> int:
        return len(self.spacing)

    @property
    def known(self) -> bool:
        """Whether the spacing is physical."""
        return self.unit != "pixel"

    @property
    def pixel_size(self) -> float | None:
        """In-plane pixel size in mm (mean of the last two axes), or None when not known."""
        if not self.known:
            return None
        size = (self.spacing[-1] + self.spacing[-2]) / 2
        return size / 1000 if self.unit == "um" else size

    def affine(self) -> npt.NDArray[np.float64]:
        """Homogeneous matrix from pixel index to position, shape (ndim + 1, ndim + 1)."""
        n = self.ndim
        matrix = np.eye(n + 1)
        direction = np.array(self.direction) if self.direction else np.eye(n)
        matrix[:n, :n] = direction * np.array(self.spacing)
        if self.origin:
            matrix[:n, n] = self.origin
        return matrix
