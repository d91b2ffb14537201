"""Painting that an earlier program left unsaved, offered when its image is opened."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import ref

from qtpy.QtCore import QObject, QTimer

from napari_medseg.core import MedsegError, Reporter
from napari_medseg.editing.unsaved import Unsaved, find_old, find_unsaved, prune, remove_journals

from .job import Job
from .restore import put_back, recognise
from .signals import Signal

if TYPE_CHECKING:
    import napari.viewer


@dataclass(frozen=True)
class Offer:
    """Unsaved painting of an image (or of a labels layer without one) that is open."""

    unsaved: Unsaved
    opened: ref[Any]


class Offers(QObject):
    """Looks for unsaved painting of what is opened, in the background, and puts it back or gives it up.

    Attributes
    ----------
    pending
        What can be restored, newest first.
    old
        Journals of images that were not opened for weeks; nothing removes them but the user.
    problem
        Why the last restoring failed, in one sentence, or ``""``.
    """

    changed = Signal()

    def __init__(self, viewer: napari.viewer.Viewer, home: Path, keep: Callable[[Any], bool]) -> None:
        """``keep`` puts the painting of a layer on disk now, and tells whether that worked."""
        super().__init__()
        self._viewer = ref(viewer)
        self._home = home
        self._keep = keep
        self.pending: list[Offer] = []
        self.old: tuple[Path, ...] = ()
        self.problem = ""
        self._closed = False
        self._to_search: list[ref[Any]] = []
        self._job = Job(self)
        self._job.finished.connect(self._on_found)
        self._job.failed.connect(lambda _: self._search())
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._search)
        if home.is_dir():
            prune(home)
            self.old = tuple(find_old(home))

    def search_soon(self, opened: Any) -> None:
        """Look for unsaved painting of an image or labels layer when the window is idle."""
        if not self._closed and self._home.is_dir():
            self._to_search.append(ref(opened))
            self._soon.start()

    def restore(self, offer: Offer) -> Any:
        """Put painting back; the layer it is in, or None when that failed (then the offer stays)."""
        viewer, opened = self._viewer(), offer.opened()
        if viewer is None or opened is None:
            return None
        try:
            layer = put_back(viewer, opened, offer.unsaved)
        except (MedsegError, OSError, KeyError, ValueError, TypeError) as error:
            cause = str(error) if isinstance(error, MedsegError) else type(error).__name__
            self.problem = f"The painting cannot be restored: {cause}"
            self.changed.emit()
            return None
        self.problem = ""
        # The old file goes when the same painting is safe in the new journal.
        if self._keep(layer):
            offer.unsaved.remove()
        else:
            offer.unsaved.release()
        self._drop(offer)
        viewer.layers.selection.active = layer
        return layer

    def discard(self, offer: Offer) -> Callable[[], None]:
        """Do not offer it again; what this returns takes that back."""
        offer.unsaved.give_up()
        self._drop(offer)
        return partial(self._take_back, offer)

    def later(self, offer: Offer) -> None:
        """Offer it again when the image is opened the next time."""
        offer.unsaved.release()
        self._drop(offer)

    def remove_old(self) -> None:
        """Delete the journals of images that were not opened for weeks."""
        remove_journals(self.old)
        self._forget_old()

    def keep_old(self) -> None:
        """Ask about old journals again in some weeks."""
        for path in self.old:
            with suppress(OSError):
                os.utime(path)
        self._forget_old()

    def on_removed(self, layer: Any) -> None:
        """A layer was removed from the viewer: what was found for it waits for the next time."""
        for offer in [o for o in self.pending if o.opened() is layer]:
            self.later(offer)

    def close_down(self) -> None:
        """Stop looking; what is pending is offered the next time."""
        self._closed = True
        self._soon.stop()
        self._job.abandon()
        for offer in self.pending:
            offer.unsaved.release()
        self.pending.clear()

    def _search(self) -> None:
        viewer = self._viewer()
        if viewer is None or self._closed or self._job.running:
            return
        links, self._to_search = self._to_search, []
        asked = [(link, recognise(layer)) for link in links if (layer := link()) in viewer.layers]
        if asked and self._home.is_dir():
            self._job.start(partial(_find, self._home, asked), "Look for unsaved painting")

    def _on_found(self, found: Iterable[Offer]) -> None:
        viewer = self._viewer()
        for offer in found:
            if viewer is not None and offer.opened() in viewer.layers:
                self.pending.append(offer)
            else:
                offer.unsaved.release()
        self.pending.sort(key=lambda o: -o.unsaved.changed_at)
        self.changed.emit()
        self._search()

    def _drop(self, offer: Offer) -> None:
        if offer in self.pending:
            self.pending.remove(offer)
        self.changed.emit()

    def _take_back(self, offer: Offer) -> None:
        offer.unsaved.take_back()
        self.pending.insert(0, offer)
        self.changed.emit()

    def _forget_old(self) -> None:
        self.old = ()
        self.changed.emit()


def _find(home: Path, asked: Sequence[tuple[ref[Any], Callable[[], str]]], report: Reporter) -> list[Offer]:
    """The journals of opened layers; runs in a worker."""
    return [Offer(unsaved, link) for link, key in asked for unsaved in find_unsaved(home / key())]
