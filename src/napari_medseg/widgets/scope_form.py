"""Which slices: all, the one shown, or a range."""

from __future__ import annotations

from qtpy.QtWidgets import QButtonGroup, QHBoxLayout, QLabel, QRadioButton, QSpinBox, QVBoxLayout, QWidget

from .look import count, tighten
from .signals import Signal


class ScopeForm(QWidget):
    """Slices counted as napari's slider counts them; both ends of a range belong to it.

    The slider may run against the order of the file, and from before the stack where other layers begin earlier.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.all = QRadioButton("All")
        self.this = QRadioButton("This slice")
        self.range = QRadioButton("Slices")
        self.first, self.last = QSpinBox(), QSpinBox()
        self.all.setToolTip("Every slice of the series")
        self.this.setToolTip("Only the slice shown now")
        self.range.setToolTip("From the first to the last number, both included; numbers as in the slider")
        self.group = QButtonGroup(self)
        layout = QVBoxLayout(self)
        tighten(layout)
        layout.setSpacing(3)
        top, bottom = QHBoxLayout(), QHBoxLayout()
        for choice in (self.all, self.this, self.range):
            self.group.addButton(choice)
        for row in (top, bottom):
            row.setSpacing(10)
            layout.addLayout(row)
        top.addWidget(self.all)
        top.addWidget(self.this)
        top.addStretch()
        bottom.addWidget(self.range)
        bottom.addWidget(self.first)
        bottom.addWidget(QLabel("–"))
        bottom.addWidget(self.last)
        bottom.addStretch()
        self.all.setChecked(True)
        self._count, self._start, self._step = 1, 0, 1
        self.set_count(1)
        self.group.buttonClicked.connect(self._on_changed)
        for box in (self.first, self.last):
            box.setObjectName("slice")
            box.setKeyboardTracking(False)
            box.valueChanged.connect(self._on_range)

    def set_count(self, slices: int, start: int = 0, step: int = 1) -> None:
        """Fit the ranges to an image of this many slices.

        Parameters
        ----------
        slices
            How many there are; when it stays the same, so do the slices that are chosen.
        start, step
            The slider shows ``start + step * z`` for slice ``z``; ``step`` is 1 or -1.
        """
        if (slices, start, step) == (self._count, self._start, self._step):
            return
        chosen = self._chosen() if slices == self._count else (0, slices - 1)
        self._count, self._start, self._step = slices, start, step
        low, high = sorted((start, start + step * (slices - 1)))
        for box, value in zip((self.first, self.last), sorted(map(self._number_of, chosen)), strict=True):
            box.blockSignals(True)
            box.setRange(low, high)
            box.setValue(value)
            box.blockSignals(False)
        if slices == 1:
            self.all.setChecked(True)

    def value(self, shown: int) -> str:
        """``A:B`` as the options take it, as the file counts and without B; empty for all. ``shown`` is seen now."""
        if self.this.isChecked():
            return f"{shown}:{shown + 1}"
        if self.range.isChecked():
            first, last = self._chosen()
            return f"{first}:{last + 1}"
        return ""

    def describe(self, shown: int) -> str:
        """What the choice means, in words."""
        if self.this.isChecked():
            return f"slice {self._number_of(shown)}"
        if self.range.isChecked():
            first, last = sorted((self.first.value(), self.last.value()))
            return f"slices {first} to {last}" if first < last else f"slice {first}"
        return count(self._count, "slice") if self._count > 1 else "the image"

    def _number_of(self, z: int) -> int:
        return self._start + self._step * z

    def _chosen(self) -> tuple[int, int]:
        """First and last slice of the range, as the file counts."""
        first, last = sorted((box.value() - self._start) * self._step for box in (self.first, self.last))
        return first, last

    def _on_range(self, *_: object) -> None:
        self.range.setChecked(True)
        self._on_changed()

    def _on_changed(self, *_: object) -> None:
        self.changed.emit()
