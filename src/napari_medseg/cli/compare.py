"""``napari-medseg compare``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from napari_medseg.core import InputError, Mark, marked
from napari_medseg.training import Recipe, TrainOptions
from napari_medseg.training.candidates import CompareOptions
from napari_medseg.training.comparison import compare as compare_candidates
from napari_medseg.training.comparison import settle_terms
from napari_medseg.training.standings import FILE

from .flags import with_options
from .material import Material
from .pairing import check_starts, show_pairs
from .progress import shown_progress
from .targets import check_target

NOTHING = Material()


@dataclass(frozen=True)
class Outputs:
    """What ``compare`` keeps and writes."""

    name: Annotated[str, Parameter(help="Keep the winner under this name in the library.", show_default=False)] = ""
    output: Annotated[
        Path | None,
        Parameter(help="Folder for comparison.json and .csv, written anew after every training.", show_default=False),
    ] = None
    overwrite: Annotated[
        bool, Parameter(help="Replace an earlier report in --output.", negative=(), show_default=False)
    ] = False


@with_options(TrainOptions, only=marked(TrainOptions, Mark.SHARED), keyword="shared")
@with_options(CompareOptions)
def compare(
    *,
    material: Annotated[Material, Parameter(name="*")] = NOTHING,
    outputs: Annotated[Outputs, Parameter(name="*")] = Outputs(),
    dry_run: Annotated[
        bool,
        Parameter(
            help="List the candidates, what is paired, what is not and why, and which classes the masks hold; train "
            "nothing.",
            negative=(),
            show_default=False,
        ),
    ] = False,
    options: CompareOptions,
    shared: TrainOptions,
) -> int:
    """Train several networks, losses, rates … in the same time on the same images, and say which does best.

    All begin with little time; the better half goes on with more, and the last two are trained with several seeds. The
    same images are held out for all. Ctrl-C ends it with what there is.

    **Example**

    ```
    napari-medseg compare --data images/ masks/ --starts unet:resnet18 unetplusplus:tu-regnety_004 fpn:resnet18
    napari-medseg compare --data images/ masks/ --losses dice-ce dice --max-minutes 60 --name organs --output report/
    napari-medseg compare --data images/ masks/ --starts fcn8s:vgg16 --learning-rates 0.001 0.0001 --batches 2 4
    napari-medseg compare --data images/ masks/ --recipe choosing --classes yellow=lymphocyte red=gland --dry-run
    ```
    """
    run = material.plan()
    run = run.model_copy(update={"options": run.options.model_copy(update=shared.model_dump(exclude_unset=True))})
    if material.recipe:
        given = options.model_dump(exclude_unset=True)
        options = Recipe.read(material.recipe).plan_comparison().model_copy(update=given)
    if outputs.output is not None:
        file = outputs.output / FILE
        for target in (file, file.with_suffix(".csv")):
            check_target(target, overwrite=outputs.overwrite)
    with shown_progress() as report:
        if dry_run:
            print("\n".join(["Compares:", *(f"  {candidate}" for candidate in options.candidates)]))
            settle_terms(run, options)
            check_starts(options.starts)
            return show_pairs(run, report)
        result = compare_candidates(run, options, name=outputs.name, folder=outputs.output, report=report)
    print(result)
    if result.stopped:
        print(result.stopped_at)
    if not result.rows[0].measured:
        raise InputError("Nothing could be measured, so nothing says which is best.", "Label more slices.")
    if result.winner:
        print(f"{result.winner.reference} is {result.rows[0].candidate}.")
    return 0
