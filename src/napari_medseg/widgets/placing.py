"""Where layers lie on each other: labels on an image, a part of an image, what of it is in view."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import napari.viewer

Start = tuple[int, ...]
Shape = tuple[int, ...]
Box = tuple[slice, slice]
"""Rows and columns of an image, in pixels of full resolution."""

_OFF = 0.25
"""Pixels by which labels may lie beside the image's own pixels: what a file's rounding of spacings adds up to."""


def image_shape(layer: Any) -> Shape:
    """Spatial shape of an image layer at full resolution, (Z, Y, X) or (Y, X)."""
    data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
    return tuple(int(n) for n in (data.shape[:-1] if getattr(layer, "rgb", False) else data.shape))


def find_start(image_layer: Any, labels_layer: Any) -> Start | None:
    """Index of the image's pixel that a labels layer's first pixel lies on; None when the labels are not this image's.

    Labels of the image's shape are the image's, wherever they lie: other programs place layers by their pixels only.
    Smaller ones are a work area: they must lie inside, pixel on pixel.
    """
    shape, part = image_shape(image_layer), tuple(labels_layer.data.shape)
    if shape == part:
        return (0,) * len(shape)
    if len(shape) != len(part) or any(p > s for p, s in zip(part, shape, strict=True)):
        return None
    first, last = (
        np.asarray(image_layer.world_to_data(labels_layer.data_to_world(corner)))
        for corner in (np.zeros(len(part)), np.array(part) - 1)
    )
    start = np.round(first).astype(int)
    if np.abs(first - start).max() > _OFF or np.abs(last - start - np.array(part) + 1).max() > _OFF:
        return None
    if (start < 0).any() or (start + part > shape).any():
        return None
    return tuple(int(s) for s in start)


def place_part(image_layer: Any, start: Start) -> dict[str, Any]:
    """Keyword arguments that put a labels layer on the pixels of an image from ``start`` on."""
    world = image_layer.data_to_world(start)
    return {
        "scale": np.array(image_layer.scale),
        "translate": np.array(image_layer.affine.inverse(world)),
        "rotate": np.array(image_layer.rotate),
        "shear": np.array(image_layer.shear),
        "affine": np.array(image_layer.affine.affine_matrix),
        "units": tuple(image_layer.units),
    }


def find_view(viewer: napari.viewer.Viewer, image_layer: Any) -> Box | None:
    """Rows and columns of full resolution that are in view; None where none are, in 3D and without a window."""
    size = _canvas_size(viewer)
    if size is None or viewer.dims.ndisplay != 2:
        return None
    shape = np.array(image_shape(image_layer)[-2:])
    point = np.array(viewer.dims.point, float)
    half = np.array(size) / (2 * viewer.scene.camera.zoom)
    corners = []
    for signs in product((-1, 1), repeat=2):
        world = point.copy()
        world[list(viewer.dims.displayed)] = np.array(viewer.scene.camera.center[-2:]) + signs * half
        corners.append(np.asarray(image_layer.world_to_data(world))[-2:])
    # A pixel's middle has whole coordinates, its edges lie half a pixel beside.
    low = np.clip(np.floor(np.min(corners, 0) + 0.5), 0, shape).astype(int)
    high = np.clip(np.ceil(np.max(corners, 0) + 0.5), 0, shape).astype(int)
    if (high - low < 1).any():
        return None
    return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))


def overlap(one: Box, other: Box) -> bool:
    """Whether two boxes have a pixel in common."""
    return all(bool(a.start < b.stop and b.start < a.stop) for a, b in zip(one, other, strict=True))


def cut_to(box: Box, most: int) -> Box:
    """The middle of a box, at most so many pixels wide and high."""
    rows, columns = (_middle(side, most) for side in box)
    return rows, columns


def find_seen(viewer: napari.viewer.Viewer, image_layer: Any, most: int) -> tuple[Start, Shape]:
    """The part of the shown slice that is in view, as start and shape (Y, X) in pixels of full resolution.

    At most ``most`` pixels wide and high, round the middle of the view; the whole slice in a viewer without a window
    and in 3D.
    """
    height, width = image_shape(image_layer)[-2:]
    seen = find_view(viewer, image_layer) or (slice(0, height), slice(0, width))
    rows, columns = cut_to(seen, most)
    return (rows.start, columns.start), (rows.stop - rows.start, columns.stop - columns.start)


def _middle(side: slice, most: int) -> slice:
    length = min(int(side.stop - side.start), most)
    start = round((side.start + side.stop) / 2 - length / 2)
    return slice(start, start + length)


def _canvas_size(viewer: Any) -> tuple[int, int] | None:
    """Height and width of the canvas in screen pixels; napari has no public name for it."""
    view = getattr(getattr(viewer, "window", None), "_qt_viewer", None)
    return tuple(view.canvas.size) if view is not None else None
