"""What to start from, what to call the new model, and how long to train."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtWidgets import QComboBox, QLineEdit, QVBoxLayout, QWidget

from napari_medseg.core import ClassInfo, ModelCard

from .look import Rows, tighten
from .model_picker import ModelPicker
from .signals import Signal
from .versions import ASIDE, VersionsMenu

_TIMES: tuple[tuple[str, float | None], ...] = (
    ("60 s (20 s with a GPU)", None),
    ("20 s", 1 / 3),
    ("3 min", 3.0),
    ("10 min", 10.0),
    ("30 min", 30.0),
)


class StartForm(QWidget):
    """Start model with its earlier versions, name of the new model, time.

    Parameters
    ----------
    go_back
        Called with the earlier version that was chosen.
    """

    changed = Signal()

    def __init__(self, go_back: Callable[[ModelCard], None]) -> None:
        super().__init__()
        self._suggested = ""
        self.model = ModelPicker(more=lambda: None, starts=True)
        self.name = QLineEdit()
        self.time = QComboBox()
        self.name.setObjectName("name")
        self.name.setToolTip("Name of the new model; a name that exists gets a new version, nothing is overwritten")
        self.time.setObjectName("time")
        self.time.setToolTip("How long to train; Stop ends earlier and keeps the best so far")
        for text, minutes in _TIMES:
            self.time.addItem(text, minutes)
        self.time.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.model.box.setMinimumContentsLength(7)
        self.model.box.setToolTip("The model to start from")
        self.model.more.setText("Go back")
        self.model.more.setObjectName("versions")
        self.model.more.setToolTip("Choose one of the last five versions; nothing is deleted")
        VersionsMenu(self.model.more, self.model.value, go_back)
        layout = QVBoxLayout(self)
        tighten(layout)
        layout.addWidget(Rows({"Start": self.model, "Name": self.name, "Time": self.time}))
        self.model.changed.connect(self._on_model)
        self.name.textChanged.connect(self._tell)
        self.time.currentIndexChanged.connect(self._tell)
        self._on_model()

    @property
    def minutes(self) -> float | None:
        """Time to train; None leaves it to the device."""
        minutes: float | None = self.time.currentData()
        return minutes

    @property
    def problem(self) -> str:
        """Why nothing can start like this, or ``""``."""
        if self.model.value() is None:
            return "No model fits this image. Add one in the Models dock."
        try:
            ModelCard(name=self.name.text().strip(), classes=(ClassInfo.numbered(1),))
        except ValueError:
            return "Give the new model a name of small letters, digits, “.”, “_” and “-”."
        return ""

    def _on_model(self, *_: object) -> None:
        """Suggest a name, as long as the user has not typed another."""
        card = self.model.value()
        if card is not None and self.name.text() == self._suggested:
            name = card.name.removesuffix(ASIDE)
            self._suggested = name if name.startswith("my-") else f"my-{name}"
            self.name.setText(self._suggested)
        self._tell()

    def _tell(self, *_: object) -> None:
        self.changed.emit()
