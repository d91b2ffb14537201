"""A field to write or choose what to start from, with why that cannot be."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from qtpy.QtWidgets import QComboBox, QHBoxLayout, QVBoxLayout, QWidget

from .look import button, note, tighten
from .signals import Signal


class LibraryBox(QComboBox):
    """Reads the library again when opened: a script may have trained a model meanwhile."""

    opened = Signal()

    def showPopup(self) -> None:  # noqa: N802
        self.opened.emit()
        super().showPopup()


class StartEntry(QWidget):
    """What to start from, and a button that takes it; what is refused stays, with the reason below.

    Parameters
    ----------
    word, tip, name
        Text, tooltip and object name of the button.
    choices
        What is offered below the field.
    take
        Called with what was written; returns why it cannot be taken, or ``""``.
    """

    def __init__(
        self, word: str, tip: str, name: str, choices: Callable[[], Iterable[str]], take: Callable[[str], str]
    ) -> None:
        super().__init__()
        self._choices, self._take = choices, take
        self.box = LibraryBox()
        self.box.setObjectName("start")
        self.box.setEditable(True)
        self.box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.box.setMinimumContentsLength(10)
        self.box.setToolTip(
            "A model of the library, or architecture:encoder; +imagenet behind it takes an encoder that knows photos, "
            "which is downloaded unless a package brings it"
        )
        self.button = button(word, tip, name)
        self.problem = note(name="problem")
        self.row = QHBoxLayout()
        self.row.setSpacing(4)
        self.row.addWidget(self.box, 1)
        self.row.addWidget(self.button)
        layout = QVBoxLayout(self)
        tighten(layout)
        layout.addLayout(self.row)
        layout.addWidget(self.problem)
        self.problem.hide()
        self.button.clicked.connect(self._on_take)
        self.box.editTextChanged.connect(lambda _: self.problem.hide())
        self.box.opened.connect(self.refresh)
        line = self.box.lineEdit()
        if line is not None:
            line.returnPressed.connect(self._on_take)
        self.refresh()

    def refresh(self) -> None:
        """Ask for the choices again; what was typed stays."""
        typed = self.box.currentText()
        self.box.blockSignals(True)
        self.box.clear()
        self.box.addItems([*self._choices()])
        self.box.setEditText(typed or self.box.itemText(0))
        self.box.blockSignals(False)

    def _on_take(self) -> None:
        start = self.box.currentText().strip()
        problem = self._take(start) if start else ""
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))


def why_no_start(start: str, models: Collection[str]) -> str:
    """Why nothing can start from what was written, or ``""``; ``models`` are the names in the library."""
    from napari_medseg.models.starts import is_start

    if is_start(start) or start in models:
        return ""
    return f"“{start}” is no model of the library; write architecture:encoder, such as unet:resnet18."


def example_networks() -> list[str]:
    """One new network of each architecture, and those whose encoders know photos without a download."""
    from napari_medseg.models.packaged import PACKAGES, find_packaged
    from napari_medseg.training.candidates import CompareOptions

    known = [f"unet:{encoder}+imagenet" for encoder in PACKAGES if find_packaged(encoder)]
    return [*map(str, CompareOptions.model_fields["starts"].examples or ()), *known]
