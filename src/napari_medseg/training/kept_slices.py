"""The slices of an image that go into a run, and their labels, as they are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from napari_medseg.core import Geometry, Image, InputError, Labels
from napari_medseg.inference.neighbours import find_gaps, told_distance


def write_slices(path: Path, image: Image, slices: Sequence[int], labelled: Sequence[int]) -> None:
    """Write some slices of an image as a TIFF: the labelled ones, and those beside them."""
    pixels = np.stack([_read_slice(image, z, labelled) for z in slices])
    if pixels.dtype.name not in ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"):
        pixels = pixels.astype(np.uint8 if pixels.dtype.kind == "b" else np.float64)
    stack = len(slices) > 1
    rgb, many = image.meaning == "RGB", image.axes.endswith("C")
    if many and not rgb:
        pixels = np.moveaxis(pixels, -1, 1)
    about: dict[str, Any] = {"axes": "Z" * stack + "C" * (many and not rgb) + "YX" + "S" * rgb}
    if image.geometry.known:
        unit = "µm" if image.geometry.unit == "um" else "mm"
        # What is not told, or not the same for all slices, must not become what a model learns from.
        apart = stack and not image.geometry.positions and told_distance(image) is not None
        for axis, size in zip("ZYX"[-image.geometry.ndim :], image.geometry.spacing, strict=True):
            if axis != "Z" or apart:
                about |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": unit}
    photometric = "rgb" if rgb else "minisblack"
    tifffile.imwrite(path, pixels if stack else pixels[0], ome=True, metadata=about, photometric=photometric)


def spread_labels(labels: Labels, at: Sequence[int], count: int, geometry: Geometry) -> Labels:
    """Labels of the slices ``at`` among ``count`` that go into a run; the others have none.

    Parameters
    ----------
    geometry
        Of the whole image.
    """
    if len(at) == count:
        return labels
    data = np.zeros((count, *labels.data.shape[-2:]), labels.data.dtype)
    data[[*at]] = labels.data
    even = Geometry(spacing=geometry.spacing, unit=geometry.unit)
    return replace(labels, data=data, geometry=even, missing=frozenset(range(count)) - {*at})


def _read_slice(image: Image, z: int, labelled: Sequence[int]) -> npt.NDArray[Any]:
    """A slice; the labelled one that it stands beside where it cannot be read or lies beyond a wide gap."""
    nearest = min(labelled, key=lambda other: abs(other - z))
    between = range(min(z, nearest), max(z, nearest))
    if z not in image.missing and find_gaps(image).isdisjoint(between):
        try:
            return image.slice(z)
        except InputError:
            if z == nearest:
                raise
    return image.slice(nearest)
