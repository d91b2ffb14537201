"""One annotation session for each viewer: keeps what is painted safe, offers what was left, asks before closing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, finalize, ref

from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QApplication

from napari_medseg.editing.corrections import corrections_of
from napari_medseg.editing.journal import Journal
from napari_medseg.models import library_home

from .close_guard import CloseGuard
from .keys import Keys
from .laying import lay_on_image
from .look import unwrap
from .offers import Offers
from .restore import describe_layer, recognise
from .result_layer import image_of
from .signals import Signal
from .slices import is_editable
from .strip import Strip

if TYPE_CHECKING:
    import napari.viewer

LOOK_EVERY = 100
"""Milliseconds between two looks at what the journals have not taken over yet, while there is painting."""

_DESCRIBED = ("name", "metadata", "scale", "translate", "rotate", "shear", "affine", "colormap")


class Session(QObject):
    """What all docks of one viewer share; made by the first of them, see `session_of`, gone with the viewer.

    Attributes
    ----------
    offers
        Unsaved painting of images that are open.
    keys, strip
        The viewer's keys, and the strip below its slice slider; None without a window.
    problem
        Why painting is not safe on disk, in one sentence, or ``""``.
    """

    changed = Signal()
    """The problem changed."""

    over = Signal()
    """The viewer is gone, as the garbage collector found in whatever thread it ran."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = ref(viewer)
        self._home = library_home() / "journal"
        self._journals: WeakKeyDictionary[Any, Journal] = WeakKeyDictionary()
        self.problem = ""
        self._closed = False
        self.offers = Offers(viewer, self._home, self._keep)
        self.guard = CloseGuard(viewer, self.unsaved, self.close)
        self.keys = Keys(viewer)
        self.strip = Strip(viewer) if getattr(viewer, "window", None) is not None else None
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_EVERY)
        self._timer.timeout.connect(self._look)
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)
        self.over.connect(self.close)
        for layer in viewer.layers:
            self._follow(layer)
        if (app := QApplication.instance()) is not None:
            app.aboutToQuit.connect(self.close)

    def serves(self, viewer: napari.viewer.Viewer) -> bool:
        """Whether this is the session of a viewer."""
        return self._viewer() is viewer

    def unsaved(self) -> dict[Any, tuple[int, ...]]:
        """Labels layers with painting that was not saved, and the slices it is in."""
        found = ((layer, journal.unsaved()) for layer, journal in list(self._journals.items()))
        return {layer: slices for layer, slices in found if slices}

    def close(self) -> None:
        """Put everything on disk, and let go of the viewer."""
        if self._closed:
            return
        self._closed = True
        self._timer.stop()
        self.offers.close_down()
        self.guard.close_down()
        self.keys.close_down()
        if self.strip is not None:
            self.strip.close_down()
        viewer = self._viewer()
        if viewer is not None:
            viewer.layers.events.inserted.disconnect(self._on_inserted)
            viewer.layers.events.removed.disconnect(self._on_removed)
        for number in [n for n, session in _sessions.items() if session is self]:
            del _sessions[number]
        for layer in list(self._journals):
            self._leave(layer)
        if (app := QApplication.instance()) is not None:
            app.aboutToQuit.disconnect(self.close)

    def _on_inserted(self, event: Any) -> None:
        viewer = self._viewer()
        if viewer is not None:
            lay_on_image(viewer, event.value)
        self._follow(event.value)

    def _follow(self, layer: Any) -> None:
        if is_editable(layer) and layer not in self._journals:
            corrections = corrections_of(layer)
            journal = Journal(layer, corrections, self._place, describe_layer)
            self._journals[layer] = journal
            corrections.changed.connect(self._wake)
            for name in _DESCRIBED:
                getattr(layer.events, name).connect(journal.describe_again)
            self._wake()
        if layer._type_string in ("image", "labels"):
            self.offers.search_soon(layer)

    def _place(self, layer: Any) -> Callable[[], Path]:
        viewer = self._viewer()
        image = image_of(viewer, layer) if viewer is not None else None
        key, home = recognise(layer if image is None else image), self._home
        return lambda: home / key()

    def _on_removed(self, event: Any) -> None:
        layer, viewer = event.value, self._viewer()
        self.offers.on_removed(layer)
        if layer in self._journals and viewer is not None:
            image = image_of(viewer, layer)
            if self._leave(layer) and image is not None:
                self.offers.search_soon(image)  # it can be had back

    def _leave(self, layer: Any) -> bool:
        """End the journal of a layer; whether there is unsaved painting in it."""
        journal = self._journals.pop(layer)
        corrections_of(layer).changed.disconnect(self._wake)
        for name in _DESCRIBED:
            getattr(layer.events, name).disconnect(journal.describe_again)
        unsaved = bool(journal.unsaved())
        journal.close()
        return unsaved

    def _keep(self, layer: Any) -> bool:
        return layer in self._journals and self._journals[layer].flush()

    def _wake(self) -> None:
        if not self._timer.isActive() and any(j.begun for j in list(self._journals.values())):
            self._timer.start()

    def _look(self) -> None:
        journals = list(self._journals.values())
        for journal in journals:
            journal.look()
        if not any(j.begun for j in journals):
            self._timer.stop()
        problem = next((j.problem for j in journals if j.problem), "")
        if problem != self.problem:
            self.problem = problem
            self.changed.emit()


_sessions: dict[int, Session] = {}


def session_of(viewer: napari.viewer.Viewer) -> Session:
    """The one session of a viewer, made on first use."""
    viewer = unwrap(viewer)
    found = _sessions.get(id(viewer))
    if found is None or not found.serves(viewer):  # numbers of objects that are gone are given again
        _sessions[id(viewer)] = Session(viewer)
        finalize(viewer, _end, id(viewer)).atexit = False
    return _sessions[id(viewer)]


def _end(number: int) -> None:
    """The viewer is gone."""
    if number in _sessions:
        _sessions[number].over.emit()
