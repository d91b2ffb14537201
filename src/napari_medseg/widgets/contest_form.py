"""What a comparison is of: images and masks, a recipe, and the ways to train that are tried."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_medseg.core import InputError, Mark, MedsegError, marked
from napari_medseg.training.candidates import VARIED, CompareOptions
from napari_medseg.training.options import TrainOptions
from napari_medseg.training.recipe import Recipe
from napari_medseg.training.standings import Row

from .contest import Common, make_recipe
from .files_form import FilesForm
from .fold import Fold
from .learn_from import LearnFrom, why_nothing
from .look import Rows, tighten
from .mask_classes import MaskClasses
from .options_form import OptionsForm
from .recipe_row import RecipeRow, options_by
from .signals import Signal
from .snapshot import Snapshot
from .starts_list import StartsList

if TYPE_CHECKING:
    import napari.viewer


class ContestForm(QWidget):
    """Images and masks, recipe, starts, time, further ways, and what all trainings have in common."""

    changed = Signal()
    told = Signal(str, bool)
    """What came of a recipe, and whether that is bad."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.recipe = RecipeRow()
        self.starts = StartsList()
        self.learn = LearnFrom(viewer, self.starts.find_card)
        self.pairs, self.files, self.masks = self.learn.pairs, FilesForm(), MaskClasses()
        self.time = OptionsForm(CompareOptions, exclude={*CompareOptions.model_fields} - {"max_minutes"}, indent=0)
        self.options = OptionsForm(CompareOptions, exclude=marked(CompareOptions, Mark.ELSEWHERE))
        self.common = OptionsForm(TrainOptions, exclude=(*VARIED, *marked(TrainOptions, Mark.ELSEWHERE)))
        ways = Fold("Options: losses, rates, batches, seeds", self.options, "Further ways to train that are compared")
        common = Fold("For all trainings", self.common, "Settings that all candidates have in common")
        layout = QVBoxLayout(self)
        tighten(layout)
        recipe = Rows({"Recipe": self.recipe})
        for row in (self.learn, self.files, self.masks, recipe, self.starts, self.time, ways, common):
            layout.addWidget(row)
        for part in (self.learn, self.files, self.masks, self.starts, self.time, self.options, self.common):
            part.changed.connect(self._tell)
        self.recipe.chosen.connect(self._follow)
        self.recipe.failed.connect(lambda text: self.told.emit(text, True))

    @property
    def problem(self) -> str:
        """Why nothing can be learnt like this, or ``""``."""
        return why_nothing(self.pairs, self.files) or self.masks.problem

    def value(self) -> CompareOptions:
        """The candidates and their time.

        Raises
        ------
        InputError
            There is only one candidate, or a value is not allowed.
        """
        starts = self.starts.value()
        options = self.options.value(starts=starts, max_minutes=self.time.value().max_minutes) if starts else None
        if options is None or len(options.candidates) < 2:
            raise InputError("Add another start, loss, augmentation, rate or batch: one alone cannot be compared.")
        return options

    def order(self, snapshots: tuple[Snapshot, ...]) -> Common:
        """What all candidates have in common.

        Raises
        ------
        InputError
            A value is not allowed.
        """
        return Common(snapshots, self.common.value(), self.files.value(), *self.masks.value())

    def save_recipe(self, path: Path, row: Row | None) -> None:
        """Save the way of one candidate; without any, all that will be tried."""
        try:
            recipe = make_recipe(path.stem, row or self.value(), self.common, *self.masks.value())
            recipe.save(path, overwrite=True)
        except MedsegError as error:
            self.told.emit(str(error), True)
        else:
            self.told.emit(f"The recipe of {recipe.start} is saved in {path}.", False)

    def close_down(self) -> None:
        """Let go of the viewer."""
        self.learn.close_down()
        self.files.close_down()

    def _follow(self, recipe: Recipe) -> None:
        """Compare what the recipe says, or its own way among others."""
        try:
            common = options_by(recipe, self.common)
            usual = self.options.value(max_minutes=self.time.value().max_minutes)
            ways = recipe.plan_comparison(usual.model_copy(update={"starts": self.starts.value()}))
        except MedsegError as error:
            self.told.emit(str(error), True)
            return
        self.common.set_value(common)
        self.masks.set_value(recipe.classes, recipe.merge)
        for form in (self.time, self.options):
            form.set_value(ways)
        self.starts.set_value(ways.starts)

    def _tell(self, *_: object) -> None:
        self.changed.emit()
