"""Which part of a slide is segmented: outlines that were drawn on it, or an edited mask of its tissue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg import io
from napari_medseg.core import Image, InputError
from napari_medseg.io.outlines.placing import holds_outlines
from napari_medseg.io.outlines.regions import Polygon
from napari_medseg.io.outlines.registry import read_outlines


def read_inside(path: Path, image: Image) -> list[npt.NDArray[np.float64]]:
    """Polygons of a file of outlines, (N, 2) points (Y, X) in pixels of the slide; holes are left out of them.

    Raises
    ------
    InputError
        It holds none, or was drawn on an image of another size.
    """
    if not path.is_file():
        raise InputError(f"{path} is not a file.", "Give a file of outlines, such as .geojson from QuPath.")
    found = read_outlines(path)
    if found.sizes and not found.scalable and found.sizes[0] != image.shape:
        drawn, own = (f"{size[1]} x {size[0]}" for size in (found.sizes[0], image.shape))
        raise InputError(
            f"The outlines in {path.name} were drawn on an image of {drawn} pixels, the slide has {own}.",
            "Give outlines in pixels of its full resolution.",
        )
    polygons = [_joined(polygon) for region in found.regions for polygon in region.polygons]
    if not polygons:
        raise InputError(f"{path.name} holds no outlines of areas.", "Draw polygons around what shall be segmented.")
    return polygons


def read_tissue(path: Path, image: Image) -> npt.NDArray[np.bool_]:
    """A mask (Y, X) over the whole slide, coarse or fine: everything but background is tissue.

    Raises
    ------
    InputError
        It is no mask of this slide: its sides have another ratio.
    """
    if holds_outlines(path):
        raise InputError(f"{path.name} holds outlines, not a mask.", "Give it as --inside, or convert it to a mask.")
    labels = io.read_labels(path)
    mask: npt.NDArray[Any] = labels.slice(0)
    if len(labels) > 1 or abs(mask.shape[0] * image.shape[1] / image.shape[0] - mask.shape[1]) > 2:
        sizes = [f"{size[-1]} x {size[-2]}" for size in (labels.data.shape, image.shape)]
        raise InputError(
            f"The mask in {path.name} ({sizes[0]} pixels) has not the proportions of the slide ({sizes[1]}).",
            "Give a mask over the whole slide; its size may be a fraction of the slide's.",
        )
    marked = np.asarray(mask != 0)
    return marked if labels.not_computed is None else marked & (mask != labels.not_computed)


def _joined(polygon: Polygon) -> npt.NDArray[np.float64]:
    """One line around an area and its holes: to each hole and back along the same way, which encloses nothing."""
    outer, *holes = polygon
    points = [outer]
    for hole in holes:
        points += [outer[:1], hole, hole[:1]]
    return np.concatenate([*points, outer[:1]] if holes else points)
