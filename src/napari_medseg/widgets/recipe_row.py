"""Start from a recipe, or make one of what is set."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QWidget

from napari_medseg.core import Mark, MedsegError, marked
from napari_medseg.training.options import TrainOptions
from napari_medseg.training.recipe import Recipe, list_recipes

from .look import button, tighten
from .options_form import OptionsForm
from .signals import Signal

_FILE = "From a file…"
_KIND = "Recipes (*.json)"


@cache
def _shipped() -> tuple[Recipe, ...]:
    return tuple(Recipe.read(name) for name in list_recipes())


def options_by(recipe: Recipe, form: OptionsForm[TrainOptions]) -> TrainOptions:
    """What a recipe asks for; what belongs to this computer stays as the form has it.

    Raises
    ------
    InputError
        The form has a value that is not allowed.
    """
    own = form.value().model_dump(include={*marked(TrainOptions, Mark.OWN)})
    return TrainOptions(**{**recipe.options, **own})


class RecipeRow(QWidget):
    """A list of the package's recipes, with those of files that were opened, and a button that saves one.

    ``chosen`` comes with the recipe, ``saving`` with the file that one shall be written to, ``failed`` with a sentence.
    """

    chosen = Signal(object)
    saving = Signal(object)
    failed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.box = QComboBox()
        self.box.setObjectName("recipe")
        self.box.setToolTip("Sets start, time, classes and options for a kind of task; all can be changed afterwards")
        self.box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.box.setMinimumContentsLength(7)
        self.box.addItem("none", None)
        for recipe in _shipped():
            self._add(recipe, recipe.source)
        self.box.addItem(_FILE, _FILE)
        self.save = button("Save…", "Save start, time, classes and options as a recipe", "save_recipe")
        row = QHBoxLayout(self)
        tighten(row)
        row.setSpacing(4)
        row.addWidget(self.box, 1)
        row.addWidget(self.save)
        self.box.activated.connect(self._on_chosen)
        self.save.clicked.connect(self._on_save)
        self._last = 0

    def read(self, path: Path) -> None:
        """Add the recipe of a file to the list and choose it."""
        try:
            recipe = Recipe.read(path if path.suffix else path.with_suffix(".json"))
        except MedsegError as error:
            self.box.setCurrentIndex(self._last)
            self.failed.emit(str(error))
            return
        index = self.box.count() - 1
        self._add(recipe, str(path), index)
        self.box.setCurrentIndex(index)
        self._on_chosen(index)

    def _add(self, recipe: Recipe, tip: str, index: int = -1) -> None:
        index = self.box.count() if index < 0 else index
        self.box.insertItem(index, recipe.title, recipe)
        self.box.setItemData(index, f"{recipe.title}\n{tip}", Qt.ItemDataRole.ToolTipRole)

    def _on_chosen(self, index: int) -> None:
        found: Any = self.box.itemData(index)
        if found == _FILE:
            self.box.setCurrentIndex(self._last)
            path, _ = QFileDialog.getOpenFileName(self, "Recipe", "", _KIND)
            if path:
                self.read(Path(path))
            return
        self._last = index
        if found is not None:
            self.chosen.emit(found)

    def _on_save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save as recipe", "recipe.json", _KIND)
        if path:
            self.saving.emit(Path(path) if Path(path).suffix else Path(path + ".json"))
