"""The classes of the labels layer in use: choose one to paint with, name it, colour it, add another."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QGridLayout, QLineEdit, QMenu, QRadioButton, QToolButton, QVBoxLayout, QWidget

from napari_medseg._layers import classes_of, is_preview
from napari_medseg.core import PALETTE, ClassInfo

from .look import button, note, tighten, unwrap
from .new_labels import GREY, classes_to_paint, next_class, set_classes
from .signals import Signal

if TYPE_CHECKING:
    import napari.viewer

_COLORS = (
    "orange", "sky blue", "green", "yellow", "blue", "vermilion", "pink", "indigo", "wine", "light pink", "rose",
    "purple", "red", "dark green", "light blue", "mauve", "grey",
)  # fmt: skip


class ClassTable(QWidget):
    """One row for each class of the active labels layer: paint with it, its name, its colour.

    ``changed`` is emitted with the layer when another is shown or its classes change.
    """

    changed = Signal(object)

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer = unwrap(viewer)
        self.layer: Any = None
        self._shown: tuple[ClassInfo, ...] | None = None
        self.hint = note()
        self.add = button("Add class", "A further class to paint, with the next value and colour", "add_class")
        self._grid_host = QWidget()
        self.rows: dict[int, tuple[QRadioButton, QLineEdit, QToolButton]] = {}
        layout = QVBoxLayout(self)
        tighten(layout)
        layout.setContentsMargins(12, 0, 0, 0)
        for part in (self.hint, self._grid_host, self.add):
            layout.addWidget(part)
        self._grid = QGridLayout(self._grid_host)
        tighten(self._grid)
        self._grid.setColumnStretch(1, 1)
        self.add.clicked.connect(self._on_add)
        viewer.layers.selection.events.active.connect(self.refresh)
        viewer.layers.events.removed.connect(self.refresh)
        self.refresh()

    def value(self) -> tuple[ClassInfo, ...]:
        """The classes shown."""
        return self._shown or ()

    def close_down(self) -> None:
        """Stop listening to the viewer and the layer."""
        self._viewer.layers.selection.events.active.disconnect(self.refresh)
        self._viewer.layers.events.removed.disconnect(self.refresh)
        self._follow(None)

    def refresh(self, event: object = None) -> None:
        """Show the classes of the active labels layer; where another kind is active, those of the last one."""
        active = self._viewer.layers.selection.active
        if active is not None and active._type_string == "labels" and not is_preview(active):
            self._follow(active)
        elif self.layer not in self._viewer.layers:
            self._follow(None)
        self._show()

    def _follow(self, layer: Any) -> None:
        if layer is self.layer:
            return
        for old, act in ((self.layer, "disconnect"), (layer, "connect")):
            if old is not None:
                getattr(old.events.selected_label, act)(self._on_selected)
                getattr(old.events.metadata, act)(self._on_metadata)
        self.layer, self._shown = layer, None

    def _on_metadata(self, event: object = None) -> None:
        self._show()

    def _show(self) -> None:
        classes = classes_to_paint(self.layer) if self.layer is not None else ()
        named = self.layer is not None and bool(classes_of(self.layer))
        self.add.setEnabled(self.layer is not None)
        if self.layer is None:
            self.hint.setText("Choose a labels layer to see its classes.")
        elif not named:
            self.hint.setText(f"The classes of “{self.layer.name}” have no names yet.")
        self.hint.setVisible(not named)
        if classes != self._shown:
            same = self._shown is not None and [c.value for c in classes] == [*self.rows]
            self._shown = classes
            if not same:
                self._rebuild()
            for c in classes:
                radio, name, color = self.rows[c.value]
                if name.text() != c.name:
                    name.setText(c.name)
                color.setIcon(_swatch(c.color))
                radio.setToolTip(f"Paint with {c.name}")
            self.changed.emit(self.layer)
        self._on_selected()

    def _rebuild(self) -> None:
        for old in [part for parts in self.rows.values() for part in parts]:
            self._grid.removeWidget(old)
            old.hide()
            old.deleteLater()
        self.rows = {}
        for i, c in enumerate(self.value()):
            radio, name, color = QRadioButton(str(c.value)), QLineEdit(c.name), QToolButton()
            name.setObjectName("class_name")
            name.setToolTip("Name of the class, shown while hovering and kept with saved masks")
            color.setToolTip("Colour of the class")
            color.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
            color.setAutoRaise(True)
            menu = QMenu(color)
            for title, value in zip(_COLORS, (*PALETTE, GREY), strict=True):
                action = menu.addAction(_swatch(value), title)
                assert action is not None
                action.triggered.connect(partial(self._change, c.value, "color", value))
            color.setMenu(menu)
            radio.clicked.connect(partial(self._choose, c.value))
            name.editingFinished.connect(partial(self._rename, c.value, name))
            self.rows[c.value] = (radio, name, color)
            for column, part in enumerate(self.rows[c.value]):
                self._grid.addWidget(part, i, column)

    def _choose(self, value: int, *_: object) -> None:
        if self.layer is not None:
            self.layer.selected_label = value
            self._viewer.layers.selection.active = self.layer

    def _rename(self, value: int, edit: QLineEdit) -> None:
        text = edit.text().strip()
        if text and any(c.value == value and c.name != text for c in self.value()):
            self._change(value, "name", text)
        elif not text:
            edit.setText(next(c.name for c in self.value() if c.value == value))

    def _change(self, value: int, field: str, new: str, *_: object) -> None:
        if self.layer is not None:
            changed = [c.model_copy(update={field: new}) if c.value == value else c for c in self.value()]
            set_classes(self.layer, changed)

    def _on_add(self) -> None:
        if self.layer is not None:
            made = next_class(self.value())
            set_classes(self.layer, (*self.value(), made))
            self._choose(made.value)
            self.rows[made.value][1].selectAll()
            self.rows[made.value][1].setFocus()

    def _on_selected(self, event: object = None) -> None:
        selected = int(self.layer.selected_label) if self.layer is not None else 0
        for value, (radio, *_) in self.rows.items():
            # One of them is checked, or none: the label in use may have no name.
            radio.setAutoExclusive(False)
            radio.setChecked(value == selected)
            radio.setAutoExclusive(True)


def _swatch(color: str) -> QIcon:
    pixmap = QPixmap(14, 14)
    pixmap.fill(QColor(color))
    return QIcon(pixmap)
