"""A section that is folded away until asked for."""

from __future__ import annotations

from qtpy.QtWidgets import QPushButton, QSizePolicy, QVBoxLayout, QWidget

from .look import tighten
from .signals import Signal


class Fold(QWidget):
    """A heading with a triangle; a click shows or hides the part below."""

    toggled = Signal(bool)

    def __init__(self, title: str, content: QWidget, tip: str = "") -> None:
        super().__init__()
        self._title = title
        self.content = content
        self._heading = QPushButton()
        self._heading.setObjectName("fold")
        self._heading.setFlat(True)
        self._heading.setToolTip(tip)
        self._heading.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._heading.clicked.connect(self._flip)
        layout = QVBoxLayout(self)
        tighten(layout)
        layout.addWidget(self._heading)
        layout.addWidget(content)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.set_open(False)

    @property
    def is_open(self) -> bool:
        return not self.content.isHidden()

    def set_title(self, title: str, tip: str = "") -> None:
        """Change the heading and, where one is given, its tip."""
        self._title = title
        self._heading.setToolTip(tip or self._heading.toolTip())
        self.set_open(self.is_open)

    def set_open(self, opened: bool) -> None:
        self.content.setVisible(opened)
        self._heading.setText(f"{'▾' if opened else '▸'} {self._title}")
        self.toggled.emit(opened)

    def _flip(self) -> None:
        self.set_open(not self.is_open)
