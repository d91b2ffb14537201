"""What the user changed in a labels layer, pixel by pixel, and results written around it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary, ref

import numpy as np
import numpy.typing as npt
from psygnal import Signal

from napari_medseg.core import InputError

Mask = npt.NDArray[np.bool_]
Items = Sequence[Sequence[Any]]


class Corrections:
    """Tells the user's pixels of one labels layer from the program's, exact through undo and redo.

    The program writes with `write` only; everything that reaches napari's undo history is the user's. A slice costs
    memory from its first stroke on: its pixels as the program left them are kept, and what differs is corrected.
    A layer of one slice is slice 0. The layer is held weakly. Not thread-safe: call it where the layer lives.

    Parameters
    ----------
    layer
        A napari labels layer. Strokes still in its undo history count as the user's.
    """

    changed = Signal()
    """Emitted when corrections or accepted slices may have changed."""

    def __init__(self, layer: Any) -> None:
        self._layer = ref(layer)
        self._baselines: dict[int, npt.NDArray[Any]] = {}
        self._kept: dict[int, Mask] = {}
        self._accepted: set[int] = set()
        self._waiting: dict[int, npt.NDArray[Any]] = {}
        self._shape = tuple(layer.data.shape)
        done, undone = _histories(layer)
        self._take_baselines(layer, done, undone)
        self._history = _history_length(layer)
        layer.events.paint.connect(self._on_paint)
        layer.events.set_data.connect(self._on_set_data)
        layer.events.data.connect(self._on_data)

    @property
    def accepted(self) -> frozenset[int]:
        """Slices the user declared right as they are."""
        return frozenset(self._accepted)

    @property
    def waiting(self) -> frozenset[int]:
        """Slices that `write` holds back until the open stroke ends."""
        return frozenset(self._waiting)

    def edited(self, z: int = 0) -> Mask:
        """Pixels of slice ``z`` that are the user's, shape (Y, X)."""
        layer = self._living()
        now = _slice_of(layer, z)
        edited = now != self._baselines[z] if z in self._baselines else np.zeros(now.shape, bool)
        return edited | self._kept[z] if z in self._kept else edited

    def edited_slices(self) -> tuple[int, ...]:
        """Slices with at least one pixel of the user's, ascending."""
        return tuple(z for z in sorted(self._baselines.keys() | self._kept.keys()) if self.edited(z).any())

    def accept(self, z: int = 0, accepted: bool = True) -> None:
        """Declare slice ``z`` right as it is, or take that back. Nothing is written into an accepted slice."""
        (self._accepted.add if accepted else self._accepted.discard)(z)
        self.changed.emit()

    def write(self, z: int, labels: npt.NDArray[Any]) -> bool:
        """Write a result into slice ``z``, except into pixels that are the user's.

        While a stroke is open the result waits; it is written with that stroke's end or a later `flush`. What the user
        did to this slice stays, but can no longer be undone: older undo items would bring stale pixels back.

        Parameters
        ----------
        z
            Slice.
        labels
            Class values, shape (Y, X).

        Returns
        -------
        bool
            Whether it is written; False while it waits.

        Raises
        ------
        InputError
            If the layer does not have such a slice any more, or its data type cannot hold the values.
        """
        layer = self._living()
        labels = np.asarray(labels)
        slices = layer.data.shape[0] if layer.data.ndim == 3 else 1
        if not 0 <= z < slices or labels.shape != tuple(layer.data.shape[-2:]):
            raise InputError(
                f"Layer '{layer.name}' no longer has the size of this result.", "Segment into a new layer."
            )
        if labels.size and labels.max() > np.iinfo(layer.data.dtype).max:
            raise InputError(
                f"Layer '{layer.name}' of type {layer.data.dtype} cannot hold the label {int(labels.max())}.",
                "Segment into a new layer.",
            )
        self._waiting[z] = labels
        return self.flush()

    def flush(self) -> bool:
        """Write the results that wait, unless a stroke is open; tell whether none waits any more."""
        layer = self._layer()
        if layer is None:
            self._waiting.clear()
        elif self._waiting and not _stroke_is_open(layer):
            waiting, self._waiting = self._waiting, {}
            for z, labels in waiting.items():
                if z not in self._accepted:
                    self._write(layer, z, labels)
            self._history = _history_length(layer)
            if any(_is_shown(layer, z) for z in waiting):
                layer.refresh(extent=False, thumbnail=False, highlight=False)
        return not self._waiting

    def discard_waiting(self) -> None:
        """Forget the results that wait, as when their job was cancelled or their layer removed from the viewer."""
        self._waiting.clear()

    def disconnect(self) -> None:
        """Stop listening to the layer."""
        layer = self._layer()
        if layer is not None:
            layer.events.paint.disconnect(self._on_paint)
            layer.events.set_data.disconnect(self._on_set_data)
            layer.events.data.disconnect(self._on_data)
            if _KNOWN.get(layer) is self:
                del _KNOWN[layer]

    def _living(self) -> Any:
        layer = self._layer()
        if layer is None:
            raise InputError("The labels layer does not exist any more.", "Choose another layer.")
        return layer

    def _write(self, layer: Any, z: int, labels: npt.NDArray[Any]) -> None:
        result = labels.astype(layer.data.dtype)
        mine = self.edited(z)
        if mine.any():
            self._kept[z] = mine
            self._baselines[z] = result
            result = np.where(mine, _slice_of(layer, z), result)
        else:
            self._baselines.pop(z, None)
        layer.data[z if layer.data.ndim == 3 else ...] = result
        _drop_history(layer, z)

    def _on_paint(self, event: Any) -> None:
        layer = self._living()
        self._take_baselines(layer, [event.value])
        self._history = _history_length(layer)
        self.flush()
        self.changed.emit()

    def _on_set_data(self, event: Any = None) -> None:
        # Also fires when another slice is shown; undo and redo are told from that by the history.
        layer = self._layer()
        if layer is not None and self._history != (length := _history_length(layer)):
            self._history = length
            self.changed.emit()

    def _on_data(self, event: Any = None) -> None:
        """The array was replaced: undo items would put old pixels into it; corrections stay if the shape did."""
        layer = self._living()
        if tuple(layer.data.shape) != self._shape:
            self._baselines.clear()
            self._kept.clear()
            self._accepted.clear()
            self._waiting.clear()
            self._shape = tuple(layer.data.shape)
        _drop_history(layer, None)
        self._history = _history_length(layer)
        self.changed.emit()

    def _take_baselines(self, layer: Any, done: Items, undone: Items = ()) -> None:
        """Keep the pixels of slices touched for the first time, as they were before the items that are done."""
        edits = [edit for item in done for atom in item for edit in _edits(atom, layer.data.ndim)]
        ahead = [edit for item in undone for atom in item for edit in _edits(atom, layer.data.ndim)]
        first = {z for z, *_ in edits + ahead} - self._baselines.keys()
        self._baselines.update({z: _slice_of(layer, z).copy() for z in first})
        for z, where, old in reversed(edits):
            if z in first:
                self._baselines[z][where] = old


_KNOWN: WeakKeyDictionary[Any, Corrections] = WeakKeyDictionary()


def corrections_of(layer: Any) -> Corrections:
    """The one `Corrections` of a labels layer, made on first use, gone with the layer."""
    if layer not in _KNOWN:
        _KNOWN[layer] = Corrections(layer)
    return _KNOWN[layer]


def _slice_of(layer: Any, z: int) -> npt.NDArray[Any]:
    return np.asarray(layer.data[z] if layer.data.ndim == 3 else layer.data)


def _edits(atom: Any, ndim: int) -> Iterator[tuple[int, Any, npt.NDArray[Any]]]:
    """The slices of one history atom: slice, index of the changed pixels in it, their values before.

    An atom is napari's ``(slice_key, mask or None, old_values, new_value)`` or, from ``data_setitem``,
    ``(indices, old_values, new_values)``.
    """
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
    planes = range(atom.slice_key[0].start, atom.slice_key[0].stop) if ndim == 3 else range(1)
    shape = (len(planes), rows.stop - rows.start, columns.stop - columns.start)
    mask = np.ones(shape, bool) if atom.mask is None else atom.mask.reshape(shape)
    olds = np.zeros(shape, np.asarray(atom.old_values).dtype)
    olds[mask] = np.asarray(atom.old_values).ravel()
    for plane, z in enumerate(planes):
        y, x = np.nonzero(mask[plane])
        yield z, (y + rows.start, x + columns.start), olds[plane][y, x]


# napari 0.9 has no public way to see its undo history, an open stroke or the slice a layer shows: all of that is here.


def _histories(layer: Any) -> tuple[Items, Items]:
    """Undo and redo items, oldest first; an item is the list of atoms of one stroke."""
    return list(layer._undo_history), list(layer._redo_history)


def _history_length(layer: Any) -> tuple[int, int]:
    return len(layer._undo_history), len(layer._redo_history)


def _stroke_is_open(layer: Any) -> bool:
    return bool(layer._block_history)


def _drop_history(layer: Any, z: int | None) -> None:
    """Forget the undo and redo items that touch slice ``z``, or all of them."""
    for history in (layer._undo_history, layer._redo_history):
        kept = [i for i in history if z is not None and not any(_touches(atom, z, layer.data.ndim) for atom in i)]
        history.clear()
        history.extend(kept)


def _touches(atom: Any, z: int, ndim: int) -> bool:
    if ndim == 2:
        return True
    if hasattr(atom, "slice_key"):
        return bool(atom.slice_key[0].start <= z < atom.slice_key[0].stop)
    return bool(np.any(np.asarray(atom[0][0]) == z))


def _is_shown(layer: Any, z: int) -> bool:
    if layer.data.ndim == 2 or 0 in layer._slice_input.displayed:
        return True
    return int(np.round(layer._data_slice.point[0])) == z
