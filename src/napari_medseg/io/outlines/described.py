"""Outlines with what their file does not say: from the sidecar beside it, or from the image that they lie on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from napari_medseg.core import Image
from napari_medseg.io.sidecar import read_sidecar

from .gathering import with_classes
from .regions import Outlines
from .registry import read_outlines


def read_described(path: Path) -> Outlines:
    """Read the outlines of a file; its sidecar gives classes their values and colours, and tells size and place.

    Raises
    ------
    InputError
        If either cannot be read.
    """
    found, sidecar = read_outlines(path), read_sidecar(path)
    if sidecar is None:
        return found
    found = with_classes(found, sidecar.classes)
    if sidecar.slices != len(found) and found.sizes:
        return found
    sizes = found.sizes or ((sidecar.size,) * sidecar.slices if sidecar.size else ())
    return replace(found, sizes=sizes, names=found.names or sidecar.names, geometry=found.geometry or sidecar.geometry)


def described_by(outlines: Outlines, image: Image) -> Outlines:
    """Outlines with the size, names and place of the image that they were drawn on, where they lack them.

    Those that were drawn on images of another size, or on one of several slices, stay as they are.
    """
    size = image.shape[-2:]
    same = all(own == size for own in outlines.sizes) and len(outlines) <= len(image)
    if not same or (image.is_stack and len(outlines) < 2 and not outlines.geometry):
        return outlines
    return replace(
        outlines, sizes=outlines.sizes or ((size[0], size[1]),) * len(image), names=outlines.names or image.names,
        geometry=outlines.geometry or image.geometry,
    )  # fmt: skip
