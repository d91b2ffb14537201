"""Distance of slices, rows and columns, with their unit."""

from __future__ import annotations

from qtpy.QtCore import QSize
from qtpy.QtWidgets import QAbstractSpinBox, QComboBox, QDoubleSpinBox, QHBoxLayout, QWidget

from napari_medseg.core import Geometry
from napari_medseg.core.geometry import Unit

from .look import tighten
from .signals import Signal

_UNITS = {"mm": "mm", "um": "µm", "pixel": "pixel"}
_TIPS = ("Distance between slices (z)", "Distance between rows (y)", "Distance between columns (x)")


class SpacingForm(QWidget):
    """Three numbers (two for a single image) and a unit; everything else of the geometry is kept.

    Attributes
    ----------
    usual
        The unit of numbers that are typed where none was known.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._geometry = Geometry.unknown(3)
        self.usual: Unit = "mm"
        self.boxes = tuple(_Number(tip) for tip in _TIPS)
        self.unit = QComboBox()
        self.unit.setObjectName("unit")
        self.unit.setToolTip("Unit of the spacing; “pixel” says that it is not known")
        for unit, title in _UNITS.items():
            self.unit.addItem(title, unit)
        # napari's own style asks for more room than four of these have in a dock.
        self.setStyleSheet(
            "QDoubleSpinBox, QComboBox { min-width: 38px; } QDoubleSpinBox { padding: 4px 2px 4px 4px; }"
        )
        row = QHBoxLayout(self)
        tighten(row)
        for axis, box in zip("zyx", self.boxes, strict=True):
            box.setObjectName(f"spacing_{axis}")
            box.valueChanged.connect(self._on_number)
            row.addWidget(box, 1)
        row.addWidget(self.unit)
        self.unit.currentIndexChanged.connect(self.changed)

    def value(self) -> Geometry:
        """The geometry with the spacing and unit shown."""
        shown = [box.value() for box in self.boxes[-self._geometry.ndim :]]
        # Numbers that were only rounded for display stay what they were.
        pairs = zip(shown, self._geometry.spacing, strict=True)
        spacing = tuple(old if abs(new - old) < 10**-_Number.DECIMALS else new for new, old in pairs)
        unit = self.unit.currentData()
        return Geometry(**{**self._geometry.model_dump(), "spacing": spacing, "unit": unit})

    def set_value(self, geometry: Geometry) -> None:
        """Show a geometry; ``changed`` is not emitted."""
        self._geometry = geometry
        parts = (*self.boxes, self.unit)
        for part in parts:
            part.blockSignals(True)
        self.boxes[0].setVisible(geometry.ndim == 3)
        for box, spacing in zip(self.boxes[-geometry.ndim :], geometry.spacing, strict=True):
            box.setValue(spacing)
        self.unit.setCurrentIndex(list(_UNITS).index(geometry.unit))
        for part in parts:
            part.blockSignals(False)

    def _on_number(self, *_: object) -> None:
        # Whoever types a distance knows one; the unit is there to see and to change.
        if self.unit.currentData() == "pixel":
            self.unit.setCurrentIndex(list(_UNITS).index(self.usual))
        self.changed.emit()


class _Number(QDoubleSpinBox):
    DECIMALS = 4

    def __init__(self, tip: str) -> None:
        super().__init__()
        self.setDecimals(self.DECIMALS)
        self.setRange(10**-self.DECIMALS, 1e5)
        self.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
        self.setToolTip(tip)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Room for five digits, not for the largest number there may be."""
        return QSize(58, super().minimumSizeHint().height())

    sizeHint = minimumSizeHint  # noqa: N815

    def textFromValue(self, value: float) -> str:  # noqa: N802
        """Without trailing zeros."""
        return f"{value:.{self.DECIMALS}f}".rstrip("0").rstrip(".")
