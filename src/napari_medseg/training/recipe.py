"""Settings that go well with a kind of task, and those of published work, by name or in a file."""

from __future__ import annotations

import difflib
import json
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from napari_medseg.core import InputError, Mark, OutputError, marked, one_sentence
from napari_medseg.io.atomic import write_text

from .candidates import AXES, VARIED, CompareOptions
from .naming import Classes
from .options import TrainOptions
from .run import Data, TrainingRun, plan_run


class Recipe(BaseModel):
    """What a training takes besides its images and masks.

    Attributes
    ----------
    title, source
        What it is for, and where its settings come from.
    start
        As of `TrainingRun`.
    classes
        Names of mask values, ``VALUE=NAME`` or ``COLOUR=NAME``; empty takes what the masks say.
    merge
        As of `TrainingRun`.
    options
        Those fields of `TrainOptions` that differ from their defaults.
    compare
        Fields of `CompareOptions`, for comparisons; a training has no use for them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    source: str = ""
    start: str
    classes: tuple[str, ...] = ()
    merge: bool = False
    options: dict[str, Any] = {}
    compare: dict[str, Any] = {}

    @classmethod
    def read(cls, name: str | Path) -> Self:
        """A recipe of the package by its name, or one in a file.

        Raises
        ------
        InputError
            There is none of that name, or the file is none.
        """
        path = Path(name)
        if path.suffix.lower() != ".json":
            shipped = files("napari_medseg") / "recipes" / f"{name}.json"
            if not shipped.is_file():
                if path.is_file():
                    raise InputError(
                        f"{path} is not called .json, as recipes are.", "Give it a name that ends in .json."
                    )
                near = difflib.get_close_matches(str(name), list_recipes(), 1, cutoff=0.4)
                hint = f"Did you mean {near[0]}? " if near else ""
                raise InputError(f"There is no recipe {name}.", f"{hint}There are {', '.join(list_recipes())}.")
            return cls.model_validate_json(shipped.read_bytes())
        try:
            recipe = cls.model_validate_json(path.read_bytes())
            TrainOptions.model_validate(recipe.options)
            CompareOptions.model_validate(recipe.compare)
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}.", "Check how the path is spelled.") from error
        except ValidationError as error:
            raise InputError(f"{path} is no recipe: {one_sentence(error).message}", _what_it_has()) from error
        return recipe

    @classmethod
    def of(cls, run: TrainingRun, title: str) -> Self:
        """What another run would take from this one."""
        ground = [f"{color}=background" for color in run.background_colors]
        named = [f"{c.color if run.background_colors else c.value}={c.name}" for c in run.classes]
        return cls(
            title=title, start=run.start, classes=(*named, *ground), merge=run.merge, options=differing(run.options)
        )

    def save(self, path: Path, *, overwrite: bool = False) -> None:
        """Write the recipe into a file, for `read`.

        Raises
        ------
        OutputError
            The file exists and may not be replaced, is not called ``.json``, or cannot be written.
        """
        if path.suffix.lower() != ".json":
            raise OutputError(f"{path.name} is no name for a recipe.", "Choose a name that ends in .json.")
        if path.exists() and not overwrite:
            raise OutputError(f"{path} exists already.", "Choose another name for the recipe.")
        write_text(path, self.model_dump_json(indent=2, exclude_defaults=True))

    def plan(
        self,
        data: Data,
        *,
        model: str = "",
        name: str = "",
        classes: Classes = (),
        validation_data: Data = (),
        merge: bool | None = None,
    ) -> TrainingRun:
        """A run by this recipe, as `plan_run` makes it; what is given stands in the place of the recipe's own.

        Classes that are given are not merged because a recipe merges those it does not know; and a recipe's names are
        of classes merged, or kept apart, as the recipe does.
        """
        merged = (self.merge and not classes) if merge is None else merge
        names = classes or (self.classes if merged == self.merge else ())
        run = plan_run(data, model or self.start, name, names, validation_data)
        return run.model_copy(update={"merge": merged, "options": TrainOptions.model_validate(self.options)})

    def plan_comparison(self, usual: CompareOptions | None = None) -> CompareOptions:
        """What a comparison by this recipe tries, which is its own way where `compare` says nothing else.

        Parameters
        ----------
        usual
            Its starts are tried too where `compare` names no candidates; time and seeds count where it says none.
        """
        usual, options = usual or CompareOptions(), TrainOptions.model_validate(self.options)
        others = () if {*self.compare} & {*AXES} else usual.starts
        own = {name: (getattr(options, axis.option),) if axis.option in VARIED else () for name, axis in AXES.items()}
        starts = tuple(dict.fromkeys((self.start, *others)))
        return CompareOptions.model_validate({**dict(usual), **own, "starts": starts, **self.compare})


def differing(options: TrainOptions) -> dict[str, Any]:
    """The options that differ from their defaults and belong into a recipe."""
    own = {*marked(TrainOptions, Mark.OWN)}
    changed: dict[str, Any] = options.model_dump(mode="json", exclude_defaults=True, exclude=own)
    return changed


def differing_ways(options: CompareOptions) -> dict[str, Any]:
    """What a recipe holds of a comparison; its starts always, for others would be its own alone."""
    changed: dict[str, Any] = options.model_dump(mode="json", exclude_defaults=True)
    return {"starts": [*options.starts], **changed}


def is_recipe(path: Path, *, beside_data: bool = False) -> bool:
    """Whether a file holds a recipe, right or wrong, and no training run.

    Parameters
    ----------
    path
        The file.
    beside_data
        Whether it is given together with what to train on: then only a recipe can be meant by anything but a run, so
        that `Recipe.read` says what is wrong with it.
    """
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return beside_data
    if not isinstance(content, dict):
        return beside_data
    own = "title" in content or bool(content and {*content} <= {*Recipe.model_fields})
    return "pairs" not in content and (beside_data or own)


def _what_it_has() -> str:
    """The keys of a recipe, and where one to look at comes from."""
    needed, others = (
        [name for name, field in Recipe.model_fields.items() if field.is_required() == required]
        for required in (True, False)
    )
    keys = f"A recipe has {' and '.join(needed)}, and may have {', '.join(others[:-1])} and {others[-1]}"
    return f"{keys}; train --save-recipe FILE.json writes one."


def list_recipes() -> tuple[str, ...]:
    """Names of the recipes that come with the package.

    Returns
    -------
    tuple of str
        As ``--recipe`` takes them, sorted.
    """
    found = (entry.name for entry in (files("napari_medseg") / "recipes").iterdir())
    return tuple(sorted(name.removesuffix(".json") for name in found if name.endswith(".json")))
