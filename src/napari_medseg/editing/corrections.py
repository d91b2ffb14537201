"""What the user changed in a labels layer, pixel by pixel, and results written around it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary, ref

import numpy as np
import numpy.typing as npt
from psygnal import Signal

from napari_medseg.core import InputError

from .baselines import Baselines, Mask
from .history import (
    ALL,
    Box,
    apply_alone,
    boxes_of,
    forget_all,
    forget_slice,
    history_length,
    is_shown,
    moved_items,
    read_histories,
    slice_of,
    stroke_is_open,
)


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
    """Emitted when corrections or accepted, suggested or held-out slices may have changed."""

    touched = Signal(object)
    """What to keep safe, told before ``changed``: by slice the rows and columns of an edit, or None where the program
    wrote or the user accepted; None alone when the array was replaced."""

    def __init__(self, layer: Any) -> None:
        self._layer = ref(layer)
        self._baselines = Baselines()
        self._accepted: set[int] = set()
        self._suggested: tuple[int, ...] = ()
        self._visited: set[int] = set()
        self._held_out: frozenset[int] = frozenset()
        self._waiting: dict[int, npt.NDArray[Any]] = {}
        self._shape = tuple(layer.data.shape)
        done, undone = read_histories(layer)
        self._baselines.take(layer, done, undone)
        self._history = history_length(layer)
        layer.events.paint.connect(self._on_paint)
        layer.events.set_data.connect(self._on_set_data)
        layer.events.data.connect(self._on_data)

    @property
    def accepted(self) -> frozenset[int]:
        """Slices the user declared right as they are."""
        return frozenset(self._accepted)

    @property
    def suggested(self) -> tuple[int, ...]:
        """Slices most worth a look, best first."""
        return self._suggested

    @property
    def visited(self) -> frozenset[int]:
        """Suggested slices that were gone to in this round through them."""
        return frozenset(self._visited)

    @property
    def held_out(self) -> frozenset[int]:
        """Slices that the last training only measured itself on."""
        return self._held_out

    @property
    def waiting(self) -> frozenset[int]:
        """Slices that `write` holds back until the open stroke ends."""
        return frozenset(self._waiting)

    def edited(self, z: int = 0, box: Box = ALL) -> Mask:
        """Pixels of slice ``z`` (or of some of its rows and columns) that are the user's, shape (Y, X)."""
        return self._baselines.edited(self._living(), z, box)

    def before(self, z: int = 0) -> npt.NDArray[Any]:
        """Pixels of slice ``z`` as the program left them, shape (Y, X); do not write into them."""
        left = self._baselines.before(z)
        return slice_of(self._living(), z) if left is None else left

    def edited_slices(self) -> tuple[int, ...]:
        """Slices with at least one pixel of the user's, ascending."""
        return tuple(z for z in self._baselines.touched if self.edited(z).any())

    def accept(self, z: int = 0, accepted: bool = True) -> None:
        """Declare slice ``z`` right as it is, or take that back. Nothing is written into an accepted slice."""
        (self._accepted.add if accepted else self._accepted.discard)(z)
        self.touched.emit({z: None})
        self.changed.emit()

    def set_suggested(self, slices: Iterable[int]) -> None:
        """Say which slices are most worth a look, best first."""
        self._suggested = tuple(slices)
        self._visited.clear()
        self.changed.emit()

    def visit(self, z: int) -> None:
        """Say that a suggested slice is gone to; one that was already begins another round."""
        self._visited = {z} if z in self._visited else {*self._visited, z}

    def set_held_out(self, slices: Iterable[int]) -> None:
        """Say which slices the last training only measured itself on."""
        self._held_out = frozenset(slices)
        self.changed.emit()

    def restore(self, z: int, labels: npt.NDArray[Any], mine: Mask, *, whole: bool = False) -> None:
        """Put back what the user painted in slice ``z`` in an earlier session; pixels painted since then stay.

        Parameters
        ----------
        z
            Slice; its strokes cannot be undone any more.
        labels, mine
            Class values and which of them are the user's, shape (Y, X).
        whole
            Put the program's pixels back too, not only the user's.
        """
        layer = self._living()
        self._baselines.put_back(layer, z, labels, mine, whole)
        forget_slice(layer, z)
        self._history = history_length(layer)
        if is_shown(layer, z):
            layer.refresh(extent=False, highlight=False)
        self.touched.emit({z: (slice(0, labels.shape[0]), slice(0, labels.shape[1]))})
        self.changed.emit()

    def write(self, z: int, labels: npt.NDArray[Any]) -> bool:
        """Write a result into slice ``z``, except into pixels that are the user's.

        While a stroke is open the result waits; it is written with that stroke's end or a later `flush`. What the user
        did to this slice stays, but can no longer be undone there: older undo items would bring stale pixels back.

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
        elif self._waiting and not stroke_is_open(layer):
            self.look()
            waiting, self._waiting = self._waiting, {}
            for z, labels in waiting.items():
                if z not in self._accepted:
                    self._write(layer, z, labels)
            self._history = history_length(layer)
            if any(is_shown(layer, z) for z in waiting):
                layer.refresh(extent=False, highlight=False)
        return not self._waiting

    def look(self) -> None:
        """Notice undo and redo, which a hidden layer does not tell of."""
        layer = self._layer()
        if layer is not None and self._history != (length := history_length(layer)):
            moved, self._history = moved_items(layer, self._history), length
            self.touched.emit(boxes_of(moved, layer.data.ndim))
            self.changed.emit()

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
        painted = self._baselines.write(layer, z, labels)
        forget_slice(layer, z)
        if painted:
            self.touched.emit({z: None})

    def _on_paint(self, event: Any) -> None:
        layer = self._living()
        self._baselines.take(layer, [event.value])
        apply_alone(layer, event.value)
        self._history = history_length(layer)
        self.touched.emit(boxes_of([event.value], layer.data.ndim))
        self.flush()
        self.changed.emit()

    def _on_set_data(self, event: Any = None) -> None:
        # Also fires when another slice is shown; undo and redo are told from that by the history.
        self.look()

    def _on_data(self, event: Any = None) -> None:
        """The array was replaced: undo items would put old pixels into it; corrections stay if the shape did."""
        layer = self._living()
        if tuple(layer.data.shape) != self._shape:
            self._baselines.clear()
            self._accepted.clear()
            self._waiting.clear()
            self._suggested, self._visited, self._held_out = (), set(), frozenset()
            self._shape = tuple(layer.data.shape)
        forget_all(layer)
        self._history = history_length(layer)
        self.touched.emit(None)
        self.changed.emit()


_KNOWN: WeakKeyDictionary[Any, Corrections] = WeakKeyDictionary()


def corrections_of(layer: Any) -> Corrections:
    """The one `Corrections` of a labels layer, made on first use, gone with the layer."""
    if layer not in _KNOWN:
        _KNOWN[layer] = Corrections(layer)
    return _KNOWN[layer]
