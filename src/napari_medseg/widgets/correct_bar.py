"""Correct here, and Put back: the buttons with which a part of a slide's result is painted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from qtpy.QtWidgets import QGridLayout, QWidget

from napari_medseg._layers import classes_of
from napari_medseg.core import MedsegError

from .job import Failure, Job
from .keys import bind_free, is_typing, unbind
from .look import button, count, note, tighten, unwrap
from .new_labels import set_classes
from .result_layer import image_of
from .slide_result import find_slide_result, is_slide_result, refresh, result_path
from .work_area import (
    Lifted,
    Patch,
    add_work_area,
    choose_box,
    describe_lifted,
    find_work_area,
    is_work_area,
    lift,
    note_in_result,
    put_back,
    take_patch,
)

if TYPE_CHECKING:
    import napari.viewer

KEY = "C"
"""Of Correct here, and in a work area of Put back; napari leaves it free."""

_LAYER_EVENTS = ("inserted", "removed")


class CorrectBar(QWidget):
    """Lifts what is in view of a slide's result into a layer to paint in, and puts it back; tells what it did."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = unwrap(viewer)
        self._image: Any = None
        self._layers: tuple[Any, ...] = ()
        self._patch: Patch | None = None
        self._note = ""
        # The result is hidden while a part of it is painted: what is erased would still be seen in it.
        self._hidden: WeakKeyDictionary[Any, ref[Any]] = WeakKeyDictionary()
        self.job = Job(self)
        self.correct = button(
            "Correct here",
            f"Lift what is in view, or what a drawn rectangle encloses, into a layer that can be painted ({KEY})",
            "correct_here",
        )
        self.put_back = button(
            "Put back", f"Write the work area into the result; no later run changes it again ({KEY})", "put_back"
        )
        self.status = note(name="correct_status")
        layout = QGridLayout(self)
        tighten(layout)
        layout.addWidget(self.correct, 0, 0)
        layout.addWidget(self.put_back, 0, 1)
        layout.addWidget(self.status, 1, 0, 1, 2)
        self.correct.clicked.connect(self.lift)
        self.put_back.clicked.connect(self.put)
        self.job.finished.connect(self._on_finished)
        self.job.failed.connect(self._on_failed)
        for name in _LAYER_EVENTS:
            getattr(self._viewer.layers.events, name).connect(self.refresh)
        self._viewer.layers.events.removed.connect(self._on_removed)
        self._viewer.layers.selection.events.active.connect(self.refresh)
        self._press = _make_press(self)
        bind_free(self._viewer, KEY, self._press)
        self.refresh()

    def close_down(self) -> None:
        """Stop listening to the viewer."""
        self.job.abandon()
        unbind(self._viewer, KEY, self._press)
        for name in _LAYER_EVENTS:
            getattr(self._viewer.layers.events, name).disconnect(self.refresh)
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._viewer.layers.selection.events.active.disconnect(self.refresh)
        self._image, self._layers = None, ()

    def set_image(self, image_layer: Any) -> None:
        """The slide whose result is corrected; None for an image that is none."""
        if image_layer is not self._image:
            self._image = image_layer
            self._tell("")
        self.refresh()

    def refresh(self, event: object = None) -> None:
        """Follow the layers."""
        result = self._result()
        area = find_work_area(self._viewer) if self._image is not None else None
        self.setVisible(result is not None or area is not None)
        busy = self.job.running
        self.correct.setEnabled(result is not None and not busy)
        self.put_back.setEnabled(area is not None and not busy)

    def act(self) -> None:
        """What the key does: put the active work area back, or lift one."""
        active = self._viewer.layers.selection.active
        if active is not None and is_work_area(active):
            self.put()
        else:
            self.lift()

    def lift(self) -> None:
        """Lift what is in view, or what is drawn."""
        result = self._result()
        if result is None or self.job.running:
            return
        image = image_of(self._viewer, result) or self._image
        try:
            box, self._note = choose_box(self._viewer, image)
        except MedsegError as error:
            self._tell(str(error), bad=True)
            return
        path = result_path(result)
        assert path is not None
        self._layers = (image, result)
        self._start(partial(lift, path, box), "Lift a part of the result", "Lifting…")

    def put(self) -> None:
        """Write the work area in use into its result."""
        area = find_work_area(self._viewer)
        if area is None or self.job.running:
            return
        try:
            self._patch = take_patch(area)
        except MedsegError as error:
            self._tell(str(error), bad=True)
            return
        self._layers = (area,)
        self._start(partial(put_back, self._patch), f"Put “{area.name}” back", "Putting back…")

    def _result(self) -> Any:
        active = self._viewer.layers.selection.active
        if self._image is None:
            return None
        if active is not None and is_slide_result(active) and image_of(self._viewer, active) is self._image:
            return active
        return find_slide_result(self._viewer, self._image)

    def _start(self, work: Any, name: str, message: str) -> None:
        self._tell(message)
        self.job.start(work, name)
        self.refresh()

    def _on_finished(self, value: Any) -> None:
        layers, self._layers = self._layers, ()
        if isinstance(value, Lifted):
            self._show(value, *layers)
        else:
            self._settle(layers[0], *value)
        self.refresh()

    def _show(self, lifted: Lifted, image: Any, result: Any) -> None:
        if image not in self._viewer.layers:
            self._tell("The slide was closed meanwhile; nothing was lifted.", bad=True)
            return
        layer = add_work_area(self._viewer, image, result, lifted)
        if result.visible:
            self._hidden[layer] = ref(result)
            result.visible = False
        height, width = lifted.values.shape
        told = (f"{width:,} × {height:,} pixels lifted into “{layer.name}”: paint, then put it back.", self._note)
        self._tell(" ".join(text for text in (*told, describe_lifted(lifted)) if text))

    def _settle(self, area: Any, changed: int | None, known: bytes) -> None:
        patch, self._patch = self._patch, None
        if patch is None:
            return
        patch.saved()
        note_in_result(area, known)
        shown = [x for x in self._viewer.layers if is_slide_result(x) and result_path(x) == patch.path]
        for layer in shown:
            there = classes_of(layer)
            if added := [c for c in patch.classes if c.value not in {k.value for k in there}]:
                set_classes(layer, sorted([*there, *added], key=lambda c: c.value))
            refresh(layer)
        if changed is None:
            self._tell(f"All of “{area.name}” is in the result already.")
            return
        pixels = f"{count(changed, 'pixel')} of the result changed"
        if shown:
            self._show_result(area)
            area.visible = False
        where = "it is hidden now" if shown else f"the result, in {patch.path}, is not shown now"
        self._tell(f"Put back: {pixels}, and no run overwrites them. Fine-tune can learn from “{area.name}”; {where}.")

    def _show_result(self, area: Any) -> None:
        """Show the result again that was hidden for a work area."""
        link = self._hidden.pop(area, None)
        result = link() if link is not None else None
        if result is not None:
            result.visible = True

    def _on_removed(self, event: Any) -> None:
        self._show_result(event.value)

    def _on_failed(self, failure: Failure) -> None:
        self._layers, self._patch = (), None
        self._tell(failure.sentence, bad=True)
        self.refresh()

    def _tell(self, text: str, *, bad: bool = False) -> None:
        self.status.setProperty("bad", bad)
        if (style := self.status.style()) is not None:
            style.polish(self.status)
        self.status.setText(text)
        self.status.setVisible(bool(text))


def _make_press(bar: CorrectBar) -> Callable[[Any], None]:
    link = ref(bar)  # the viewer outlives the dock

    def press(viewer: Any) -> None:
        living = link()
        if living is not None and not is_typing():
            living.act()

    return press
