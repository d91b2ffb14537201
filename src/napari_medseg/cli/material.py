"""What ``train`` and ``compare`` learn from, and the recipe they follow."""

# Annotations are no strings here: those of a base class would be looked up where its subclass is defined.
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from cyclopts import Parameter

from napari_medseg.core import InputError
from napari_medseg.training import Recipe, TrainingRun, list_recipes, plan_run
from napari_medseg.training.run import name_merged

PairsOfPaths = tuple[tuple[Path, Path], ...]


@dataclass(frozen=True)
class Material:
    """Images, their masks, and what the masks mean."""

    otherwise: ClassVar[str] = "Give --data IMAGES MASKS."

    data: Annotated[
        PairsOfPaths,
        Parameter(
            help="IMAGES MASKS: files or folders, matched by name (also NAME_mask, mask_NAME; images NAME_0000, "
            "NAME_0001 are channels of NAME), a folder of masks for each class, or TABLE.csv FOLDER; may be repeated.",
            negative=(),
            show_default=False,
        ),
    ] = ()
    validation_data: Annotated[
        PairsOfPaths,
        Parameter(
            help="IMAGES MASKS that only measure and never train; may be repeated.", negative=(), show_default=False
        ),
    ] = ()
    recipe: Annotated[
        str,
        Parameter(
            help="Settings for a kind of task, by name or as a file: " + ", ".join(list_recipes()) + ". Flags given "
            "here replace its own.",
            show_default=False,
        ),
    ] = ""
    classes: Annotated[
        tuple[str, ...],
        Parameter(
            help="Names of mask values: VALUE=NAME, several after one another; or of the colours masks draw them in: "
            "COLOUR=NAME ('#00ff00=gland'). Named classes stay apart, whatever a recipe says; with --merge, "
            "name one.",
            negative=(),
            show_default=False,
            consume_multiple=True,
        ),
    ] = ()
    series: Annotated[
        str,
        Parameter(
            help="Which series of an IMAGES that holds several; 'all' takes those of each file as channels.",
            show_default=False,
        ),
    ] = ""
    merge: Annotated[
        bool | None,
        Parameter(
            help="Take all classes of the masks as one, or keep them apart; without it as the recipe says.",
            show_default=False,
        ),
    ] = None

    def plan(self, model: str = "", name: str = "") -> TrainingRun:
        """The run on them, by the recipe if there is one.

        Raises
        ------
        InputError
            No data are given, a recipe or class is none, or several classes that are named shall be one.
        """
        if not self.data:
            raise InputError("There is nothing to train on.", self.otherwise)
        if self.recipe:
            recipe = Recipe.read(self.recipe)
            run = recipe.plan(
                self.data,
                model=model,
                name=name,
                classes=self.classes,
                validation_data=self.validation_data,
                merge=self.merge,
            )
        else:
            start = {"model": model} if model else {}
            run = plan_run(self.data, **start, name=name, classes=self.classes, validation_data=self.validation_data)
            run = run.model_copy(update={"merge": bool(self.merge)})
        return self._of_series(name_merged(run, ()))

    def _of_series(self, run: TrainingRun) -> TrainingRun:
        """The same run on one series of each folder or file of images that holds several."""
        chosen = {
            field: tuple(pair.model_copy(update={"series": self.series}) for pair in getattr(run, field))
            for field in ("pairs", "validation_pairs")
        }
        return run.model_copy(update=chosen) if self.series else run
