"""Masks onto the slices of their image, by where both lie in space: no pixel is moved, only put in its place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from napari_medseg.core import Finding, Geometry, Image, InputError, Labels
from napari_medseg.io.findings import counted

_OFF = 0.1
"""Part of a pixel, and of the distance of two slices, by which both may differ and still be the same."""

_SETTLED = ("IRREGULAR_SPACING", "GANTRY_TILT", "MISSING_SLICES", "PARTIAL_SERIES", "SINGLE_SLICE")
"""What was odd about the masks' slices does not matter once they lie on those of the image."""

Places = npt.NDArray[np.float64]


def lies_elsewhere(labels: Labels, image: Image) -> bool:
    """Whether masks have other slices or another extent than the image, and both tell where they lie."""
    both = labels.is_stack and image.is_stack and labels.geometry.unit == image.geometry.unit == "mm"
    return both and (tuple(labels.data.shape) != image.shape or not _same(labels.geometry, image))


def lay_onto(labels: Labels, image: Image) -> Labels:
    """Masks (Z, Y, X) of some slices or a cropped part of an image, in the image's size and geometry.

    Slices of the image that the masks do not have are empty. Masks whose voxels are stored in another order (programs
    that turn DICOM into NIfTI do so) are flipped and turned by right angles first.

    Parameters
    ----------
    labels
        With known positions in mm.
    image
        The image that they were drawn on.

    Raises
    ------
    InputError
        If pixels of both do not coincide, or masks lie outside the image.
    """
    labels = stored_like(labels, image.geometry)
    ours, theirs = labels.geometry, image.geometry
    plane = theirs.affine()[:3, 1:3]
    if np.abs(ours.affine()[:3, 1:3] - plane).max() > _OFF * min(theirs.spacing[1:]) / max(image.shape[1:]):
        raise _misfit(labels, image, "their pixels have another size or direction")
    starts = _origins(theirs, len(image))
    step = _closest(starts, plane)
    data = np.zeros(image.shape, labels.data.dtype)
    lost, taken = 0, {}
    for z in sorted(frozenset(range(len(labels))) - labels.missing):
        mask = labels.slice(z)
        index, distance, corner = _find_slice(ours.slice_origin(z), starts, plane)
        off = np.abs(corner - np.rint(corner)).max()
        fits = distance <= _OFF * step and off <= _OFF and index not in taken
        if not fits:
            if mask.any():
                raise _misfit(labels, image, f"slice {z} lies on none of the image's")
            continue
        taken[index] = z
        lost += _paste(mask, data[index], np.rint(corner).astype(int))
    findings = labels.findings
    if lost:
        text = f"{counted(lost, 'pixel')} of the masks lie outside {_called(image)} and were left out."
        findings = (*findings, Finding("OUTSIDE", text))
    findings = tuple(f for f in findings if f.code not in _SETTLED)
    missing = frozenset(range(len(image))) - taken.keys() if labels.missing else frozenset()
    presence = {index: labels.presence[z] for index, z in sorted(taken.items()) if z in labels.presence}
    return replace(
        labels, data=data, geometry=theirs, names=image.names, source=image.source, findings=findings,
        missing=missing, presence=presence,
    )  # fmt: skip


def stored_like(labels: Labels, wanted: Geometry) -> Labels:
    """The same masks (Z, Y, X) with axes in the order and direction of another geometry; no pixel moves in space."""
    matrix = labels.geometry.affine()
    turn = np.linalg.solve(wanted.affine()[:3, :3], matrix[:3, :3])
    turn /= np.linalg.norm(turn, axis=0)
    axes = [int(a) for a in np.abs(turn).argmax(axis=1)]  # which of ours runs along each of the image's
    flips = [turn[k, axis] < 0 for k, axis in enumerate(axes)]
    if labels.geometry.positions or sorted(axes) != [0, 1, 2] or (axes == [0, 1, 2] and not any(flips)):
        return labels
    if axes[0] != 0 and labels.missing:  # slices in another plane are no slices of the image
        return labels
    data = np.transpose(np.asarray(labels.data), axes)
    columns = matrix[:3, axes]
    start = matrix[:3, 3].copy()
    for k in np.flatnonzero(flips):
        start += columns[:, k] * (data.shape[k] - 1)
        columns[:, k] *= -1
    last = len(data) - 1
    missing = frozenset(last - z for z in labels.missing) if flips[0] else labels.missing
    presence = {last - z: chance for z, chance in labels.presence.items()} if flips[0] else labels.presence
    data = data[tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)]
    moved = np.vstack([np.column_stack([columns, start]), [0, 0, 0, 1]])
    return replace(
        labels, data=data, geometry=Geometry.from_affine(moved), names=(), missing=missing,
        presence=presence if axes[0] == 0 else {},
    )  # fmt: skip


def _origins(geometry: Geometry, slices: int) -> Places:
    return np.array([geometry.slice_origin(z) for z in range(slices)])


def _same(geometry: Geometry, image: Image) -> bool:
    turned = np.abs(geometry.affine()[:3, 1:3] - image.geometry.affine()[:3, 1:3]).max()
    moved = np.abs(_origins(geometry, len(image)) - _origins(image.geometry, len(image))).max()
    return bool(turned <= 1e-4 and moved <= 1e-2)


def _closest(starts: Places, plane: Places) -> float:
    """Smallest distance of neighbouring slices, or the pixel size of a single one."""
    gaps = np.abs(np.diff(starts @ _normal(plane)))
    return float(gaps[gaps > 0].min()) if (gaps > 0).any() else float(np.linalg.norm(plane, axis=0).min())


def _normal(plane: Places) -> Places:
    normal = np.cross(plane[:, 0], plane[:, 1])
    return np.asarray(normal / np.linalg.norm(normal))


def _find_slice(start: Places, starts: Places, plane: Places) -> tuple[int, float, Places]:
    """The nearest slice, its distance, and where on it (row, column) the mask's first pixel lies."""
    depth = (start - starts) @ _normal(plane)
    index = int(np.abs(depth).argmin())
    corner = np.linalg.lstsq(plane, start - starts[index])[0]
    return index, float(abs(depth[index])), corner


def _paste(mask: npt.NDArray[np.integer], target: npt.NDArray[np.integer], corner: npt.NDArray[np.int64]) -> int:
    """Put a mask where its corner lies; gives the number of its pixels that are outside."""
    low = np.maximum(corner, 0)
    high = np.minimum(corner + mask.shape, target.shape)
    if (high <= low).any():
        return int(np.count_nonzero(mask))
    part = mask[low[0] - corner[0] : high[0] - corner[0], low[1] - corner[1] : high[1] - corner[1]]
    target[low[0] : high[0], low[1] : high[1]] = part
    return int(np.count_nonzero(mask) - np.count_nonzero(part))


def _misfit(labels: Labels, image: Image, reason: str) -> InputError:
    name = labels.source.name if labels.source else "The masks"
    return InputError(f"{name} does not fit {_called(image)}: {reason}.", "Give the image that they were drawn on.")


def _called(image: Image) -> str:
    return image.source.name if image.source else "the image"
