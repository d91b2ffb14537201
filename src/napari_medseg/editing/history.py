"""napari's undo history of a labels layer, which has no public way in: all of the private names are here.

An item is the list of atoms of one stroke, oldest first. An atom is napari's
``(slice_key, mask or None, old_values, new_value)`` or, from ``data_setitem``, ``(indices, old_values, new_values)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

Items = Sequence[Sequence[Any]]
Box = tuple[slice, slice]
"""Rows and columns of a slice."""

ALL: Box = (slice(None), slice(None))


def slice_of(layer: Any, z: int, box: Box = ALL) -> npt.NDArray[Any]:
    """The pixels of slice ``z``, or of a box of it; a layer of one slice is slice 0."""
    return np.asarray(layer.data[z, *box] if layer.data.ndim == 3 else layer.data[box])


def read_histories(layer: Any) -> tuple[Items, Items]:
    """Undo and redo items, oldest first."""
    return list(layer._undo_history), list(layer._redo_history)


def history_length(layer: Any) -> tuple[int, int]:
    """Number of undo and of redo items."""
    return len(layer._undo_history), len(layer._redo_history)


def moved_items(layer: Any, before: tuple[int, int]) -> Items:
    """Items undone or redone since the history had the length ``before``."""
    undo, redo = history_length(layer)
    grown, count = (
        (layer._redo_history, redo - before[1]) if redo > before[1] else (layer._undo_history, undo - before[0])
    )
    return list(islice(reversed(grown), max(0, count)))


def stroke_is_open(layer: Any) -> bool:
    """Whether the user is in the middle of a stroke."""
    return bool(layer._block_history)


def is_shown(layer: Any, z: int) -> bool:
    """Whether slice ``z`` is on the screen."""
    if layer.data.ndim == 2 or 0 in layer._slice_input.displayed:
        return True
    return int(np.round(layer._data_slice.point[0])) == z


def read_edits(atom: Any, ndim: int) -> Iterator[tuple[int, Any, npt.NDArray[Any]]]:
    """The slices of one atom: slice, index of the changed pixels in it, their values before."""
    if not hasattr(atom, "slice_key"):
        indices = [np.asarray(i).ravel() for i in atom[0]]
        old = np.broadcast_to(np.asarray(atom[1]).ravel(), indices[0].shape)
        if ndim == 2:
            yield 0, tuple(indices), old
            return
        for z in np.unique(indices[0]):
            chosen = indices[0] == z
            yield int(z), tuple(i[chosen] for i in indices[1:]), old[chosen]
        return
    rows, columns = atom.slice_key[-2:]
    mask, olds = _unpacked(atom)
    for plane, z in enumerate(_planes(atom, ndim)):
        y, x = np.nonzero(mask[plane])
        yield z, (y + rows.start, x + columns.start), olds[plane][y, x]


def boxes_of(items: Items, ndim: int) -> dict[int, Box]:
    """For each slice that items touch, the rows and columns that hold all of its changed pixels."""
    boxes: dict[int, Box] = {}
    for z, box in (box for item in items for atom in item for box in _boxes(atom, ndim)):
        boxes[z] = _around(boxes[z], box) if z in boxes else box
    return boxes


def apply_alone(layer: Any, item: Sequence[Any]) -> None:
    """Put the pixels of an item of one atom into the layer: napari tells of fills and scripted edits before it does.

    napari then writes the same values once more. Items of several atoms are strokes, which are there already.
    """
    if len(item) != 1:
        return
    [atom] = item
    if not hasattr(atom, "slice_key"):
        layer.data[atom[0]] = atom[2]
    elif atom.mask is None:
        layer.data[atom.slice_key] = atom.new_value
    else:
        region = np.asarray(layer.data[atom.slice_key])
        region[atom.mask] = atom.new_value
        layer.data[atom.slice_key] = region


def forget_slice(layer: Any, z: int) -> None:
    """Take slice ``z`` out of the undo and redo items; what a stroke did to other slices can still be undone."""
    ndim = layer.data.ndim
    for history in (layer._undo_history, layer._redo_history):
        kept = [
            [a for atom in item for a in _without(atom, z, ndim)] if _touches(item, z, ndim) else item
            for item in history
        ]
        history.clear()
        history.extend(item for item in kept if item)


def forget_all(layer: Any) -> None:
    """Empty the undo and redo history."""
    layer._undo_history.clear()
    layer._redo_history.clear()


def _planes(atom: Any, ndim: int) -> range:
    return range(atom.slice_key[0].start, atom.slice_key[0].stop) if ndim == 3 else range(1)


def _unpacked(atom: Any) -> tuple[npt.NDArray[np.bool_], npt.NDArray[Any]]:
    """Mask and old values of a masked atom over its whole box, shape (planes, rows, columns)."""
    key = atom.slice_key
    shape = tuple(part.stop - part.start for part in key)
    mask = np.ones(shape, bool) if atom.mask is None else atom.mask.reshape(shape)
    olds = np.zeros(shape, np.asarray(atom.old_values).dtype)
    olds[mask] = np.asarray(atom.old_values).ravel()
    return (mask, olds) if len(shape) == 3 else (mask[None], olds[None])


def _boxes(atom: Any, ndim: int) -> Iterable[tuple[int, Box]]:
    if hasattr(atom, "slice_key"):
        rows, columns = atom.slice_key[-2:]
        return [(z, (rows, columns)) for z in _planes(atom, ndim)]
    return [
        (z, (slice(int(y.min()), int(y.max()) + 1), slice(int(x.min()), int(x.max()) + 1)))
        for z, (y, x), _ in read_edits(atom, ndim)
        if len(y)
    ]


def _around(one: Box, other: Box) -> Box:
    rows, columns = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True))
    return rows, columns


def _touches(item: Sequence[Any], z: int, ndim: int) -> bool:
    if ndim == 2:
        return True
    return any(
        atom.slice_key[0].start <= z < atom.slice_key[0].stop
        if hasattr(atom, "slice_key")
        else bool(np.any(np.asarray(atom[0][0]) == z))
        for atom in item
    )


def _without(atom: Any, z: int, ndim: int) -> list[Any]:
    """The atom without its pixels in slice ``z``; nothing when no others are left."""
    if not _touches([atom], z, ndim):
        return [atom]
    if ndim == 2:
        return []
    if not hasattr(atom, "slice_key"):
        indices = tuple(np.asarray(i).ravel() for i in atom[0])
        rest = indices[0] != z
        values = (np.broadcast_to(np.asarray(v).ravel(), rest.shape)[rest] if np.ndim(v) else v for v in atom[1:])
        return [(tuple(i[rest] for i in indices), *values)] if rest.any() else []
    mask, olds = _unpacked(atom)
    mask = mask.copy()
    mask[z - atom.slice_key[0].start] = False
    return [atom._replace(mask=mask, old_values=olds[mask])] if mask.any() else []
