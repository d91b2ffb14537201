"""What the viewer's keys do: accept the shown slice, go to the next suggested or painted one."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ref

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QAbstractSpinBox, QApplication, QComboBox, QLineEdit, QPlainTextEdit, QTextEdit

from napari_medseg.editing.corrections import corrections_of

from .look import count, unwrap
from .slice_states import read_states
from .slices import find_axis, go_to_slice, labels_in_question, name_slice, seen_slice

if TYPE_CHECKING:
    import napari.viewer

Action = Callable[["napari.viewer.Viewer"], str]

_A_MOMENT = 150
_TYPING = (QLineEdit, QTextEdit, QPlainTextEdit, QAbstractSpinBox, QComboBox)


def toggle_accepted(viewer: napari.viewer.Viewer) -> str:
    """Accept the shown slice of the labels layer in question, or take that back; what was done, in one sentence.

    The slice stays in view: its tick is seen, and the same key or click takes it back.
    """
    layer = labels_in_question(viewer)
    if layer is None:
        return "There is no labels layer to accept a slice of: segment first"
    z = seen_slice(viewer, layer)
    if z is None:
        return f"No single slice of “{layer.name}” is shown, so none was accepted"
    corrections, name = corrections_of(layer), _capital(name_slice(viewer, layer, z))
    if z in corrections.accepted:
        corrections.accept(z, False)
        return f"{name} is no longer accepted"
    states = read_states(layer)
    corrections.accept(z)
    left = len(set(states.suggested) - {z})
    empty = ", without a result: all of it counts as background" if z in states.missing else ""
    return f"{name} is accepted{empty}" + (f"; {count(left, 'suggestion')} left" if left else "")


def go_to_suggested(viewer: napari.viewer.Viewer) -> str:
    """Go to the best suggested slice that is not done, then to the next best; what was done, in one sentence."""
    layer = labels_in_question(viewer)
    if layer is None or not corrections_of(layer).suggested:
        return "No suggestions yet: segment first"
    states = read_states(layer)
    seen = seen_slice(viewer, layer)
    z = states.next_suggested(seen)
    if z is None:
        return "All suggested slices are done. Fine-tune, then segment again for new ones"
    if not go_to_slice(viewer, layer, z):
        return _not_through(layer)
    corrections_of(layer).visit(z)
    name = _capital(name_slice(viewer, layer, z))
    if z == seen:
        return f"{name} is the last suggestion left: correct it, or accept it"
    return f"{name}: suggestion {states.suggested.index(z) + 1} of {len(states.suggested)}, most doubtful first"


def go_to_done(viewer: napari.viewer.Viewer, direction: int) -> str:
    """Go to the next (1) or previous (-1) slice that is corrected or accepted; what was done, in one sentence."""
    layer = labels_in_question(viewer)
    states = read_states(layer) if layer is not None else None
    if states is None or not states.done:
        return "No slice is corrected or accepted yet"
    slices, found = sorted(states.done), find_axis(viewer, layer)
    if found is None:
        return _not_through(layer)
    # Where the slider stands, also when that is beyond this layer's slices.
    here = found.slope * viewer.dims.current_step[found.axis] + found.offset
    forward = direction * found.slope > 0
    at = bisect_right(slices, here + 0.5) if forward else bisect_left(slices, here - 0.5) - 1
    z = slices[at % len(slices)]
    go_to_slice(viewer, layer, z)
    return f"{_capital(name_slice(viewer, layer, z))}: {states.describe(z)}"


KEYS: dict[str, tuple[Action, str]] = {
    "A": (toggle_accepted, "accept"),
    "N": (go_to_suggested, "next suggested"),
    ",": (partial(go_to_done, direction=-1), "previous corrected"),
    ".": (partial(go_to_done, direction=1), "next corrected"),
}
"""What each key does and in two words; napari leaves these keys free where a labels or an image layer is active."""


class Keys:
    """Binds the keys in one viewer, as far as the user has not bound them to something else."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self._link = ref(unwrap(viewer))
        self._bind()
        _shortcut_changed().connect(self._bind)

    def close_down(self) -> None:
        """Take the keys back."""
        _shortcut_changed().disconnect(self._bind)
        self._unbind()

    def _bind(self, event: object = None) -> None:
        self._unbind()
        viewer = self._link()
        for key, press in _PRESS.items():
            if viewer is not None and not any(_binding(key) in keymap for keymap in _keymaps(viewer)):
                viewer.bind_key(key, press)

    def _unbind(self) -> None:
        viewer = self._link()
        if viewer is not None:
            for key in bound_keys(viewer):
                viewer.bind_key(key, None)


def bound_keys(viewer: napari.viewer.Viewer) -> dict[str, str]:
    """The keys that are ours in a viewer, with what each does in two words."""
    keymap = viewer.keymap
    return {key: words for key, (_, words) in KEYS.items() if keymap.get(_binding(key)) is _PRESS[key]}


def bind_free(viewer: napari.viewer.Viewer, key: str, press: Callable[[Any], None]) -> bool:
    """Let a key call a function; False, and nothing, where it has a meaning already."""
    if any(_binding(key) in keymap for keymap in _keymaps(viewer)):
        return False
    viewer.bind_key(key, press)
    return True


def unbind(viewer: napari.viewer.Viewer, key: str, press: Callable[[Any], None]) -> None:
    """Take a key back that `bind_free` bound to this function."""
    if viewer.keymap.get(_binding(key)) is press:
        viewer.bind_key(key, None)


def is_typing() -> bool:
    """Whether a key that arrives now was meant for a field: those pass on what they have no use for."""
    return isinstance(QApplication.focusWidget(), _TYPING)


def _make_press(action: Action) -> Callable[[Any], None]:
    def press(viewer: napari.viewer.Viewer) -> None:
        if not is_typing():
            tell(viewer, action(viewer))

    return press


def tell(viewer: napari.viewer.Viewer, text: str) -> None:
    """Say something in the viewer's status line."""
    viewer.status = text
    # napari writes the coordinates there when a slice was gone to, from a thread, a moment later.
    QTimer.singleShot(_A_MOMENT, partial(_tell_again, ref(viewer), text))


def _tell_again(link: ref[napari.viewer.Viewer], text: str) -> None:
    viewer = link()
    if viewer is not None:
        viewer.status = text


_PRESS = {key: _make_press(action) for key, (action, _) in KEYS.items()}


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _not_through(layer: Any) -> str:
    return f"The slider does not go through the slices of “{layer.name}”: turn the view back to them"


# How napari keeps its keys.


def _binding(key: str) -> Any:
    from napari.utils.key_bindings import coerce_keybinding

    return coerce_keybinding(key)


def _keymaps(viewer: napari.viewer.Viewer) -> Iterator[Any]:
    """All the places where a key may have a meaning already: the user's, the viewer's, labels layers'."""
    from napari.layers import Labels
    from napari.utils.key_bindings import USER_KEYMAP

    yield USER_KEYMAP
    yield viewer.keymap
    for kind in (*type(viewer).__mro__, *Labels.__mro__):
        yield getattr(kind, "class_keymap", {})


def _shortcut_changed() -> Any:
    """Emitted when the user gives a key another meaning in the preferences."""
    from napari.utils.action_manager import action_manager

    return action_manager.events.shortcut_changed
