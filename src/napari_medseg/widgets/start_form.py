"""What to start from, what to call the new model, how long to train, and what mask values mean."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtWidgets import QComboBox, QLineEdit, QVBoxLayout, QWidget

from napari_medseg.core import ClassInfo, MedsegError, ModelCard
from napari_medseg.models.start_cards import is_fresh, start_of
from napari_medseg.training.options import TrainOptions
from napari_medseg.training.recipe import Recipe, differing

from .look import Rows, tighten, words_for_seconds
from .mask_classes import MaskClasses
from .model_picker import ModelPicker
from .options_form import OptionsForm
from .recipe_row import RecipeRow, options_by
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
    """Recipe, start model with its earlier versions, name of the new model, time, classes of the masks.

    Parameters
    ----------
    go_back
        Called with the earlier version that was chosen.
    options
        The form of everything else, which a recipe sets too.
    """

    changed = Signal()
    told = Signal(str, bool)
    """What came of a recipe, and whether that is bad."""

    def __init__(self, go_back: Callable[[ModelCard], None], options: OptionsForm[TrainOptions]) -> None:
        super().__init__()
        self._options = options
        self._suggested = ""
        self.recipe = RecipeRow()
        self.masks = MaskClasses()
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
        self._rows = Rows({
            "Recipe": self.recipe, "Start": self.model, "Name": self.name, "Time": self.time, "Classes": self.masks
        })  # fmt: skip
        layout.addWidget(self._rows)
        self._rows.show_row(self.masks, False)
        self.masks.changed.connect(self._tell)
        self.recipe.chosen.connect(self._follow)
        self.recipe.saving.connect(self._save)
        self.recipe.failed.connect(lambda text: self.told.emit(text, True))
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
            return self.model.advice
        try:
            ModelCard(name=self.name.text().strip(), classes=(ClassInfo.numbered(1),))
        except ValueError:
            return "Give the new model a name of small letters, digits, “.”, “_” and “-”."
        return self.masks.problem

    def show_classes(self, wanted: bool) -> None:
        """Ask what mask values mean, or do not where nothing is said of them already."""
        self._rows.show_row(self.masks, wanted or self.masks.value() != ((), False))

    def _follow(self, recipe: Recipe) -> None:
        """Set everything as a recipe has it; what belongs to this computer stays."""
        try:
            self.model.offer(recipe.start)
            options = options_by(recipe, self._options)
        except MedsegError as error:
            self.told.emit(str(error), True)
            return
        self.masks.set_value(recipe.classes, recipe.merge)
        self.show_classes(False)
        minutes = options.max_minutes
        if minutes is not None and self.time.findData(minutes) < 0:
            self.time.addItem(words_for_seconds(60 * minutes), minutes)
        self.time.setCurrentIndex(max(0, self.time.findData(minutes)))
        self._options.set_value(options)
        self._tell()

    def _save(self, path: Path) -> None:
        card = self.model.value()
        if card is None:
            self.told.emit("Choose a start first.", True)
            return
        classes, merge = self.masks.value()
        try:
            options = differing(self._options.value(max_minutes=self.minutes))
            recipe = Recipe(title=path.stem, start=start_of(card), classes=classes, merge=merge, options=options)
            recipe.save(path, overwrite=True)
        except MedsegError as error:
            self.told.emit(str(error), True)
        else:
            self.told.emit(f"The recipe is saved in {path}.", False)

    def _on_model(self, *_: object) -> None:
        """Suggest a name, as long as the user has not typed another."""
        card = self.model.value()
        # A new network has no versions, and its name takes the room.
        self.model.more.setVisible(card is None or not is_fresh(card))
        if card is not None and self.name.text() == self._suggested:
            name = card.name.removesuffix(ASIDE)
            self._suggested = name if name.startswith("my-") else f"my-{name}"
            self.name.setText(self._suggested)
        self._tell()

    def _tell(self, *_: object) -> None:
        self.changed.emit()
