"""The upper part of the Fine-tune dock: what to learn from, and new layers to paint in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_medseg._layers import lead_of
from napari_medseg.core import ClassInfo, ModelCard

from .accept import AcceptButton
from .class_table import ClassTable
from .files_form import FilesForm
from .fold import Fold
from .learnt import Effort
from .look import button, note, tighten, unwrap
from .new_labels import add_strokes, add_work_area, is_large
from .pairs_list import PairsList
from .result_layer import images_in
from .signals import Signal

if TYPE_CHECKING:
    import napari.viewer


LONGEST = 26
"""Letters of the class names in the heading of the folded class table."""

_CLASSES = "Names and colours of the labels, and further ones"


class LearnFrom(QWidget):
    """The labels layers and what of each is true, how much correcting the last ones needed, and where to paint.

    Parameters
    ----------
    viewer
        Whose layers.
    find_model
        The model to start from: new layers get its classes.
    """

    changed = Signal()

    def __init__(self, viewer: napari.viewer.Viewer, find_model: Callable[[], ModelCard | None]) -> None:
        super().__init__()
        self._viewer = unwrap(viewer)
        self._find_model = find_model
        self._effort = Effort()
        self.pairs = PairsList(viewer)
        self.accept = AcceptButton(viewer)
        self.effort = note(name="effort")
        self.classes = ClassTable(viewer)
        self.fold = Fold("Classes", self.classes, _CLASSES)
        self.strokes = button(
            "New strokes layer",
            "An empty layer in which only what you paint counts, with a class for the background",
            "new_strokes",
        )
        self.area = button(
            "Work area here", "An empty layer over what is in view; once painted, all of it counts", "work_area"
        )
        self._heading = QLabel("Learn from")
        self._heading.setProperty("heading", True)
        row = QWidget()
        buttons = QHBoxLayout(row)
        tighten(buttons)
        buttons.addWidget(self.strokes, 1)
        buttons.addWidget(self.area, 1)
        layout = QVBoxLayout(self)
        tighten(layout)
        for part in (self._heading, self.pairs, self.effort, row, self.accept, self.fold):
            layout.addWidget(part)
        self.pairs.changed.connect(self.refresh)
        self.strokes.clicked.connect(self._on_strokes)
        self.area.clicked.connect(self._on_area)
        self.classes.changed.connect(self._show_classes)
        self._viewer.layers.selection.events.active.connect(self._show_buttons)
        self.refresh()
        self._show_classes()

    def close_down(self) -> None:
        """Stop listening to the viewer and its layers."""
        self._viewer.layers.selection.events.active.disconnect(self._show_buttons)
        for part in (self.pairs, self.accept, self.classes):
            part.close_down()

    def refresh(self) -> None:
        """Show what there is now."""
        rows = self.pairs.rows
        for part in (self.pairs, self.accept, self.fold):
            part.setVisible(bool(rows))
        told = [
            text
            for row in rows
            if row.check.isChecked() and (text := self._effort.describe(row.layer, row.truth))
        ]  # fmt: skip
        self.effort.setText(told[0] if len(told) == 1 else "")
        self.effort.setVisible(len(told) == 1)
        self._show_buttons()
        self.changed.emit()

    def find_image(self) -> Any:
        """The image to paint on: the active one, that of a ticked row, or the newest; None without any."""
        images = images_in(self._viewer)
        active = self._viewer.layers.selection.active
        active = None if active is None else lead_of(active, self._viewer.layers)
        if active in images:
            return active
        for row in self.pairs.rows:
            if (row.layer is active or row.check.isChecked()) and row.image.currentData() in images:
                return row.image.currentData()
        return images[-1] if images else None

    def _show_buttons(self, event: object = None) -> None:
        image = self.find_image()
        self.setVisible(image is not None or bool(self.pairs.rows))
        self.strokes.setEnabled(image is not None)
        self.area.setVisible(image is not None and is_large(image))

    def _show_classes(self, *_: object) -> None:
        names = ", ".join(c.name for c in self.classes.value())
        self.fold.set_title(
            f"Classes: {names if len(names) <= LONGEST else names[: LONGEST - 1] + '…'}" if names else "Classes",
            f"{_CLASSES}: {names}" if names else _CLASSES,
        )

    def _on_strokes(self) -> None:
        self._add(add_strokes)
        # The names say what is background; a strokes layer without it teaches nothing.
        self.fold.set_open(True)

    def _on_area(self) -> None:
        self._add(add_work_area)

    def _add(self, make: Callable[..., Any]) -> None:
        image = self.find_image()
        card = self._find_model()
        classes = card.classes if card is not None else (ClassInfo.numbered(1),)
        if image is not None:
            make(self._viewer, image, classes)
            self.pairs.refresh()


def why_nothing(pairs: PairsList, files: FilesForm) -> str:
    """Why nothing can be learnt from what is painted and chosen yet; empty when it can."""
    if files.problem or files.value().trains is not None:
        return files.problem
    if not pairs.rows:
        return "Segment an image first, or add a strokes layer and paint."
    if any(row.value() is not None for row in pairs.rows):
        return ""
    if any(row.check.isEnabled() for row in pairs.rows):
        return "Tick the labels to learn from, or paint over a mistake."
    return "Paint over a mistake in a labels layer, or accept a slice that is right."
