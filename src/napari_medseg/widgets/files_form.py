"""Learn from files too, and measure on others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qtpy.QtWidgets import QVBoxLayout, QWidget

from .files_fold import FilesFold, Use
from .look import count, tighten
from .signals import Signal

_LEARN = Use(
    "Images and masks in files", "Learn from images and masks on disk, beside what is painted here", "learn from"
)
_MEASURE = Use(
    "Others that only measure",
    "Images and masks on disk that never train: they measure, in the place of slices held out by chance",
    "measure on",
    "measured_",
)


@dataclass(frozen=True)
class ChosenFiles:
    """Images and masks on disk, each None without any: those that a run learns from, and others that only measure."""

    trains: tuple[Path, Path] | None = None
    measures: tuple[Path, Path] | None = None

    @property
    def any(self) -> bool:
        return self.trains is not None or self.measures is not None


NO_FILES = ChosenFiles()


class FilesForm(QWidget):
    """A choice of images and masks to learn from, and one of others to measure on."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.trains, self.measures = FilesFold(_LEARN), FilesFold(_MEASURE)
        layout = QVBoxLayout(self)
        tighten(layout)
        for fold in (self.trains, self.measures):
            layout.addWidget(fold)
            fold.changed.connect(self.changed)

    def value(self) -> ChosenFiles:
        return ChosenFiles(self.trains.value(), self.measures.value())

    @property
    def slices(self) -> int:
        """Labelled slices to learn from."""
        return self.trains.slices

    @property
    def idle(self) -> bool:
        """Whether nothing is chosen here."""
        return self.trains.idle and self.measures.idle

    @property
    def problem(self) -> str:
        """Why what is chosen here cannot be used yet; empty when it can, or when nothing is chosen."""
        return self.trains.problem or self.measures.problem

    def describe(self, painted: int) -> str:
        """How many slices train, with those painted in the window, and how many chosen ones measure."""
        words = count(painted + self.slices, "slice")
        measured = self.measures.slices
        return f"{words} and to measure on {count(measured, 'other')}" if measured else words

    def close_down(self) -> None:
        for fold in (self.trains, self.measures):
            fold.close_down()
