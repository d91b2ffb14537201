"""What the values of masks mean: names for them, or all classes as one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from qtpy.QtWidgets import QCheckBox, QLineEdit, QVBoxLayout, QWidget

from napari_medseg.core import MedsegError

from .look import tighten
from .signals import Signal


class MaskClasses(QWidget):
    """Names of mask values, and whether all are one class; both are asked for only where they matter."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.names = QLineEdit()
        self.names.setObjectName("class_names")
        self.names.setPlaceholderText("as the masks say, or 1=liver, 2=kidney")
        self.names.setToolTip("Names of mask values (1=liver, 2=kidney), or of their colours (red=liver)")
        self.merge = QCheckBox("All classes as one")
        self.merge.setObjectName("merge")
        self.merge.setToolTip("Left and right lung become lung, in files and in the ticked layers")
        layout = QVBoxLayout(self)
        tighten(layout)
        layout.addWidget(self.names)
        layout.addWidget(self.merge)
        self.names.textChanged.connect(lambda _: self.changed.emit())
        self.merge.toggled.connect(lambda _: self.changed.emit())

    def value(self) -> tuple[tuple[str, ...], bool]:
        """``VALUE=NAME`` of each class, and whether all are one."""
        names = tuple(part.strip() for part in re.split("[,;]", self.names.text()) if part.strip())
        return names, self.merge.isChecked()

    def set_value(self, names: Sequence[str], merge: bool) -> None:
        self.names.setText(", ".join(names))
        self.merge.setChecked(merge)

    @property
    def problem(self) -> str:
        """Why these names cannot be used, or ``""``."""
        from napari_medseg.training.naming import merged_class, name_colors

        try:
            names, merge = self.value()
            classes, _ = name_colors(names)
            if merge:
                merged_class(classes)
        except MedsegError as error:
            return str(error)
        return ""
