"""Painting on disk within moments: a journal for each labels layer, and what a program that died left behind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4
from weakref import WeakSet, ref

from .corrections import Corrections
from .history import Box, slice_of
from .log import Encode, Log
from .tiles import TileName, encode_tile, tiles_in

JOURNAL = ".journal"

ABOUT, ACCEPTED = b"about", b"accepted"
"""Names of the parts of a log that are no tiles."""

AT_ONCE = 64
"""Tiles of one edit that are copied while the stroke ends; `Journal.look` takes the others, a few at a time."""

WHOLE = 2**24
"""Of a slice of at most so many pixels that the user painted in, the program's pixels are kept too."""

_live: WeakSet[Journal] = WeakSet()


class Journal:
    """Keeps what the user does to one labels layer on disk, from the first edit to the moment it is saved.

    A record is a tile (128 x 128 pixels) as it is after the edit, with which of its pixels are the user's, so undo,
    redo and erasing are edits as any other and the last record of a tile counts. Compression and writing happen in a
    thread of the journal's own; an edit costs the caller a copy of the tiles it touched.

    Parameters
    ----------
    layer
        A napari labels layer; held weakly.
    corrections
        Its record of what the user changed.
    place
        Called where the layer lives, at the first edit; gives a function that the journal's thread calls for the
        folder of its image's journals, see `fingerprint`.
    describe
        What is needed to make the layer anew, as plain JSON values; called where the layer lives.
    """

    def __init__(
        self,
        layer: Any,
        corrections: Corrections,
        place: Callable[[Any], Callable[[], Path]],
        describe: Callable[[Any], Mapping[str, Any]],
    ) -> None:
        self._layer = ref(layer)
        self._corrections = corrections
        self._describe = describe
        self._place = place
        self._log = Log(Path)  # never written to: an edit begins one that is
        self._shape = tuple(layer.data.shape)
        self._accepted: frozenset[int] | None = None  # as in the log
        self._dirty: dict[TileName, None] = {}
        self._told = False  # whether the description is up to date
        self._whole: set[int] = set()  # slices that are in the log in full
        self._edits = 0
        self._begun = False
        corrections.touched.connect(self._on_touched)
        _live.add(self)
        if corrections.edited_slices() or corrections.accepted:
            self._begin()

    @property
    def problem(self) -> str:
        """Why the painting is not on disk, or ``""``."""
        return self._log.problem

    @property
    def path(self) -> Path | None:
        """The file, or None while there is nothing to keep."""
        return self._log.path

    @property
    def begun(self) -> bool:
        """Whether anything was done since the layer was opened or saved."""
        return self._begun

    def unsaved(self) -> tuple[int, ...]:
        """Slices painted in or accepted that were not saved since."""
        if not self._begun or self._layer() is None:
            return ()
        return tuple(sorted({*self._corrections.edited_slices(), *self._corrections.accepted}))

    def describe_again(self, event: object = None) -> None:
        """The layer's name, place, classes or colours changed."""
        self._told = False

    def look(self) -> None:
        """Take over some of what waits, all within two seconds; to be called every tenth of a second."""
        self._corrections.look()
        layer = self._layer()
        if layer is not None and self._begun:
            self._take(layer, list(islice(self._dirty, max(2 * AT_ONCE, len(self._dirty) // 5))))
            self._log.wake()

    def flush(self, timeout: float = 10.0) -> bool:
        """Put all that the user did on disk now; False when that did not work."""
        if (layer := self._layer()) is not None and self._begun:
            self._corrections.look()
            self._take(layer, list(self._dirty))
        return self._log.flush(timeout)

    def mark(self) -> int:
        """The moment, for `saved`."""
        return self._edits

    def keeps(self, layer: Any, data: Any = None) -> bool:
        """Whether this is the journal of a layer, or of the layer that holds an array."""
        mine = self._layer()
        return mine is not None and (mine is layer or mine.data is data)

    def saved(self, mark: int) -> None:
        """The labels were saved as they were at ``mark``: if nothing was done since, there is nothing to keep."""
        if mark == self._edits:
            self._forget()
            self._log.delete()

    def close(self) -> None:
        """End the journal; its file stays if there is something in it that was not saved."""
        self._corrections.touched.disconnect(self._on_touched)
        _live.discard(self)
        if self._layer() is not None and not self.unsaved():
            self._log.delete()
        else:
            self.flush()
        self._log.close()

    def _on_touched(self, boxes: Mapping[int, Box | None] | None) -> None:
        layer = self._layer()
        if layer is None:
            return
        self._edits += 1
        if tuple(layer.data.shape) != self._shape:
            self._start_afresh(layer)
            return
        if not self._begun:
            self._begin()
        if boxes is None:
            self._told = False  # the data type may be another
            boxes = dict.fromkeys(self._corrections.edited_slices())
        edit: dict[TileName, None] = {}
        for z, box in boxes.items():
            if layer.data.shape[-2] * layer.data.shape[-1] <= WHOLE and (box is None or z not in self._whole):
                self._whole.add(z)
                self._dirty.update(dict.fromkeys(tiles_in(z, self._slice(layer))))
            if box is not None:
                edit.update(dict.fromkeys(tiles_in(z, box)))
        self._dirty = edit | self._dirty  # the edit itself goes first
        self._take(layer, list(islice(self._dirty, AT_ONCE)))

    def _start_afresh(self, layer: Any) -> None:
        """The array was replaced by one of another shape: what was painted before stays in its file."""
        self._log.close()
        self._shape = tuple(layer.data.shape)
        self._forget()

    def _forget(self) -> None:
        self._begun = self._told = False
        self._accepted = None
        self._dirty.clear()
        self._whole.clear()

    def _begin(self) -> None:
        """Start a file: with all that the user did in this layer so far, so that it can stand alone."""
        if (layer := self._layer()) is not None:
            self._begun = True
            self._log = Log(partial(_name_file, self._place(layer)))
            slices = {*self._corrections.edited_slices(), *self._corrections.accepted}
            self._whole.update(slices)
            self._dirty.update(dict.fromkeys(t for z in slices for t in tiles_in(z, self._slice(layer))))

    def _take(self, layer: Any, tiles: Iterable[TileName]) -> None:
        """Copy tiles as they are now and hand them to the thread."""
        parts: dict[bytes, Encode] = {}
        for tile in tiles:
            self._dirty.pop(tile, None)
            box = tile.box(self._shape)
            parts[tile.pack()] = encode_tile(slice_of(layer, tile.z, box).copy(), self._corrections.edited(tile.z, box))
        if self._accepted != self._corrections.accepted:
            self._accepted = self._corrections.accepted
            parts[ACCEPTED] = partial(_encode, sorted(self._accepted))
        if not self._told:
            self._told = True
            about = {**self._describe(layer), "shape": list(self._shape), "dtype": layer.data.dtype.name}
            parts[ABOUT] = partial(_encode, about)
        if parts:
            self._log.put(parts)

    def _slice(self, layer: Any) -> Box:
        rows, columns = layer.data.shape[-2:]
        return slice(0, int(rows)), slice(0, int(columns))


def _name_file(folder: Callable[[], Path]) -> Path:
    return folder() / f"{uuid4().hex}{JOURNAL}"


def _encode(value: Any) -> bytes:
    return json.dumps(value, default=str).encode()


def begin_save(layer: Any) -> Callable[[], None]:
    """Note that a labels layer is being saved as it is now; call what this returns when it is."""
    marks = [(journal, journal.mark()) for journal in _live if journal.keeps(layer)]

    def end() -> None:
        for journal, mark in marks:
            journal.saved(mark)

    return end


def note_saved(data: Any) -> None:
    """The labels layer that holds the array ``data`` was saved."""
    for journal in [j for j in _live if j.keeps(None, data)]:
        journal.saved(journal.mark())
