"""``napari-medseg compare``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from pydantic import ValidationError

from napari_medseg.core import one_sentence
from napari_medseg.training import Recipe, TrainingRun, TrainOptions
from napari_medseg.training.candidates import CompareOptions
from napari_medseg.training.comparison import compare as compare_candidates

from .flags import help_text, with_options
from .material import Material
from .pairing import show_pairs
from .progress import shown_progress


@dataclass(frozen=True)
class Common(Material):
    """What all candidates have in common."""

    group: Annotated[
        str,
        Parameter(help="Regular expression on file names; what it finds is held out as a whole.", show_default=False),
    ] = ""
    device: Annotated[str, Parameter(help="auto, cpu, cuda, cuda:N or mps.")] = "auto"
    seed: Annotated[int, Parameter(help="The first of the seeds.")] = 0
    log_dir: Annotated[
        Path | None, Parameter(help=help_text(TrainOptions.model_fields["log_dir"]), show_default=False)
    ] = None

    def plan_all(self) -> TrainingRun:
        """The run that candidates vary."""
        run = self.plan()
        changed: dict[str, Any] = {"device": self.device, "seed": self.seed, "log_dir": self.log_dir}
        changed |= {"group": self.group} if self.group else {}
        try:
            options = TrainOptions.model_validate({**dict(run.options), **changed})
        except ValidationError as error:
            raise one_sentence(error) from error
        return run.model_copy(update={"options": options})


@with_options(CompareOptions)
def compare(
    *,
    common: Annotated[Common, Parameter(name="*")] = Common(),
    name: Annotated[str, Parameter(help="Keep the winner under this name in the library.", show_default=False)] = "",
    output: Annotated[
        Path | None,
        Parameter(help="Folder for comparison.json and .csv, written anew after every training.", show_default=False),
    ] = None,
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
    run = common.plan_all()
    if common.recipe:
        given = options.model_dump(exclude_unset=True)
        options = Recipe.read(common.recipe).plan_comparison().model_copy(update=given)
    with shown_progress() as report:
        if dry_run:
            print("\n".join(["Compares:", *(f"  {candidate}" for candidate in options.candidates)]))
            return show_pairs(run, report)
        result = compare_candidates(run, options, name=name, folder=output, report=report)
    print(result)
    if result.winner:
        print(f"{result.winner.reference} is {result.rows[0].candidate}.")
    return 0
