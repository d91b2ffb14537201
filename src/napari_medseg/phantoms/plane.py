"""One slice plane: where its pixels lie, and how solids are cut and painted on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .shapes import Amount, Points, Vector, mix

Distance = Callable[[Points], Tensor]


@dataclass(frozen=True)
class Pose:
    """A structure's own axes in the room; the image-left side is mirrored so that its first axis points outwards.

    Attributes
    ----------
    origin
        x, y, z in mm.
    matrix
        Rows are the own axes, in (mirrored) room coordinates; shape (3, 3).
    mirror
        -1 for structures on the image's left, 1 otherwise.
    """

    origin: Vector
    matrix: NDArray[np.float32]
    mirror: float = 1.0

    def local(self, points: Points) -> Points:
        """Room coordinates to own coordinates, both in mm."""
        x = (points[0] - self.origin[0]) * self.mirror
        y = points[1] - self.origin[1]
        z = points[2] - self.origin[2]
        u, v, w = (mix((x, y, z), (a, b, c)) for a, b, c in self.matrix.tolist())
        return u, v, w

    def room(self, own: NDArray[np.float64]) -> NDArray[np.float64]:
        """Own coordinates, shape (n, 3), to room coordinates."""
        turned = own @ self.matrix.astype(np.float64)
        return np.asarray(turned * (self.mirror, 1.0, 1.0) + np.asarray(self.origin))


def rotation(flexion: float, abduction: float, turn: float) -> NDArray[np.float32]:
    """Own axes of a structure flexed forwards, led outwards and turned outwards by so many degrees."""
    fx, ab, tn = np.deg2rad([flexion, abduction, turn])
    about_x = np.array([[1, 0, 0], [0, np.cos(fx), np.sin(fx)], [0, -np.sin(fx), np.cos(fx)]])
    about_y = np.array([[np.cos(ab), 0, -np.sin(ab)], [0, 1, 0], [np.sin(ab), 0, np.cos(ab)]])
    about_z = np.array([[np.cos(tn), np.sin(tn), 0], [-np.sin(tn), np.cos(tn), 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x, np.float32)


@dataclass(frozen=True)
class Section:
    """The cut of one solid: signed distance in a box of the slice, and the width (mm) of its blurred border."""

    where: tuple[slice, slice]
    depth: Tensor
    ramp: Tensor

    def share(self, inset: Amount = 0.0) -> Tensor:
        """Share (0-1) of each voxel that lies deeper than `inset` mm under the surface."""
        return (self.depth + inset).div_(self.ramp).neg_().add_(0.5).clamp_(0, 1)


@dataclass(frozen=True)
class Plane:
    """Pixel centres of one slice, on the device that it is drawn on.

    Attributes
    ----------
    x, y
        Room coordinates (mm) of columns, shape (X,), and rows, shape (Y,).
    z
        Level in mm, growing from hip to knee.
    pixel, thickness
        Pixel size and slice thickness in mm.
    """

    x: Tensor
    y: Tensor
    z: float
    pixel: float
    thickness: float

    def points(self, where: tuple[slice, slice] = (slice(None), slice(None))) -> Points:
        """Coordinates of the pixels `where`, as tensors that broadcast."""
        return self.x[None, where[1]], self.y[where[0], None], torch.full((1, 1), self.z, device=self.x.device)

    def cut(self, distance: Distance, reach: float = 4.0) -> Section | None:
        """Cut a solid, or None where the slice passes it by.

        Parameters
        ----------
        distance
            Room points to signed distance (mm).
        reach
            How far around the solid (mm) the section should go.
        """
        step = max(1, round(5 / self.pixel))
        coarse = distance(self.points((slice(None, None, step), slice(None, None, step))))
        near = coarse < reach + 1.5 * step * self.pixel
        rows, columns = (near.any(axis).nonzero()[:, 0].tolist() for axis in (1, 0))
        if not rows:
            return None
        where = (
            slice(max(rows[0] * step - step, 0), (rows[-1] + 2) * step),
            slice(max(columns[0] * step - step, 0), (columns[-1] + 2) * step),
        )
        quarter = self.thickness / 4
        x, y, _ = self.points(where)
        levels = torch.linspace(self.z - quarter, self.z + quarter, 2, device=x.device)
        above, below = distance((x, y, levels[:, None, None])).unbind()
        depth = (above + below).mul_(0.5)
        if min(depth.shape) < 2:
            return None
        upright = below.sub_(above).abs_().mul_(1 / (2 * quarter))
        gy, gx = torch.gradient(depth, spacing=self.pixel)
        slope = gx.square_().add_(gy.square_()).addcmul_(upright, upright).sqrt_().clamp_(0.5, 2)
        ramp = upright.div_(slope).clamp_(max=1).mul_(self.thickness).add_(self.pixel)
        return Section(where, depth.div_(slope), ramp)


def paint(image: Tensor, section: Section | None, value: Amount) -> None:
    """Fill a solid with one HU value (or a field of the section's shape), in place."""
    if section is not None:
        patch = image[section.where]
        patch.addcmul_(section.share(), value - patch)


def paint_bone(image: Tensor, section: Section, cortex: Amount, wall: Amount, inside: Tensor) -> None:
    """Draw a bone: `wall` mm of `cortex` HU around `inside` HU, in place."""
    patch = image[section.where]
    whole, core = section.share(), section.share(wall)
    patch.addcmul_(whole, cortex - patch).addcmul_(core, inside - cortex)
