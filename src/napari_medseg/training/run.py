"""A training run: what it needs to be repeated exactly, and doing it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_medseg import __version__
from napari_medseg.core import (
    ClassInfo,
    InputError,
    ModelCard,
    OutputError,
    Reporter,
    one_sentence,
    silent,
)
from napari_medseg.io.atomic import write_text

from .naming import Classes, merged_class, name_colors
from .options import TrainOptions
from .pair import Pair

RUN_FILE, RESULT_FILE = "run.json", "result.json"

_REPEAT = "Give the run.json that an earlier training wrote, or its folder."


class TrainingRun(BaseModel):
    """Everything a training run depends on.

    Attributes
    ----------
    pairs, validation_pairs
        What trains, and what only measures; without the latter, a share of the former is held out.
    start
        A library model (best with its version), ``architecture:encoder``, ``quick`` or ``quick:MODEL``.
    name
        Of the new model; empty keeps the start's.
    classes
        Names of mask values, over those the masks bring along.
    background_colors
        Where masks draw the classes in their colours: the colours ``#rrggbb`` that are none. Empty where masks hold
        numbers, or their colours are to be found.
    merge
        Whether all classes of the masks are taken as one.
    recall
        A model all of whose remembered slices train, beside the pairs; empty for none. With the first of its ancestors
        as ``start``, a model is trained anew on everything that was ever painted.
    tested
        Whether the slices set aside for the test are measured at the end, or stay unused.
    compared
        Whether it is refused where nothing can be held out: what is not measured cannot be compared.
    folder
        Where ``run.json`` and ``result.json`` are written; None takes a new folder in the library's home.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pairs: tuple[Pair, ...] = Field(min_length=1)
    validation_pairs: tuple[Pair, ...] = ()
    start: str = "femur-ct"
    name: str = ""
    classes: tuple[ClassInfo, ...] = ()
    background_colors: tuple[str, ...] = ()
    merge: bool = False
    recall: str = ""
    tested: bool = True
    compared: bool = False
    options: TrainOptions = TrainOptions()
    folder: Path | None = None
    version: str = Field(default=__version__, description="Of the program that made it")

    def save(self) -> Path:
        """Write ``run.json`` into the run's folder and return its path.

        Raises
        ------
        OutputError
            The run has no folder, or it cannot be written to.
        """
        if self.folder is None:
            raise OutputError("The training run has no folder to be saved in.")
        path = self.folder / RUN_FILE
        write_text(path, self.model_dump_json(indent=2))
        return path

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a run from ``run.json`` or its folder.

        Raises
        ------
        InputError
            The file cannot be read, or is no training run.
        """
        path = Path(path)
        path = path / RUN_FILE if path.is_dir() else path
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}.", _REPEAT) from error
        except ValidationError as error:
            raise InputError(f"{path} is no training run: {one_sentence(error).message}", _REPEAT) from error

    def check_paths(self) -> None:
        """Refuse paths where nothing is, before slow work begins.

        Raises
        ------
        InputError
            An image or mask, file or folder, does not exist.
        """
        for pair in (*self.pairs, *self.validation_pairs):
            for path in (pair.image, pair.labels):
                if not path.exists():
                    raise InputError(f"{path} does not exist.", "Check how the path is spelled.")


Data = Sequence[tuple[str | Path, str | Path]]


def train(
    data: TrainingRun | Data,
    *,
    model: str | Path = "femur-ct",
    name: str = "",
    report: Reporter = silent,
    classes: Classes = (),
    validation_data: Data = (),
    **settings: Any,
) -> ModelCard:
    """Train a model and add it to the library.

    Parameters
    ----------
    data
        Pairs of images and masks, files or folders, or a run that was prepared or saved. A saved run that was
        interrupted goes on from its last checkpoint; remove that with `training.checkpoint.discard` to start anew.
    model
        What to start from: a library model, a folder, ``architecture:encoder`` for random weights, or ``quick`` (with
        a model's features ``quick:MODEL``) for filters and decision trees, fitted in seconds.
    name
        Of the new model; empty keeps the start's name and makes a new version.
    report
        Told about every step; raising `Cancelled` stops, keeps the best so far and returns it.
    classes
        Names of mask values: ``{1: "femur"}``, ``["1=femur"]`` or classes; or of the colours that masks draw them in:
        ``["#00ff00=gland", "blue=vessel"]``. One named ``background`` is background.
    validation_data
        Pairs that only measure; without them a share of ``data`` is held out.
    **settings
        Fields of `TrainOptions`. With a run as ``data`` they replace its own.

    Returns
    -------
    ModelCard
        The new model's. If it scored worse than its start on the held-out labels it is kept aside under the name
        with ``-rejected``, and its description says so.

    Raises
    ------
    InputError
        Images and masks are not there, do not fit, or nothing can be learnt from them.
    ModelError
        The start model cannot be used.
    Cancelled
        Stopped before the first step was done.
    """
    started = time.monotonic()
    run = data if isinstance(data, TrainingRun) else plan_run(data, model, name, classes, validation_data)
    try:
        options = TrainOptions.model_validate({**dict(run.options), **settings})
    except ValidationError as error:
        raise one_sentence(error) from error
    run = run.model_copy(update={"options": options})
    run.check_paths()
    # Here and not above: reading and planning a run needs no torch.
    from .work import carry_out

    return carry_out(run, report, started).card


def plan_run(
    data: Data,
    model: str | Path = "femur-ct",
    name: str = "",
    classes: Classes = (),
    validation_data: Data = (),
) -> TrainingRun:
    """A run over pairs of paths, with the default options.

    Parameters
    ----------
    data
        Images and their masks, each a file or a folder.
    model
        What to start from: a library model, a folder, or ``architecture:encoder`` for random weights.
    name
        Of the new model; empty makes a new version of the start.
    classes
        What mask values (or colours) are called; empty takes what the masks say.
    validation_data
        Pairs that only measure, as ``data``.

    Returns
    -------
    TrainingRun
        Nothing is read yet; options are set with ``model_copy`` and trained with `train_model`.

    Raises
    ------
    InputError
        There are no pairs, or the classes cannot be understood.
    """
    if isinstance(data, str | Path) or any(isinstance(one, str | Path) or len(one) != 2 for one in data):
        raise InputError("Training data are pairs of images and masks.", "For example [('images/', 'masks/')].")
    if not data:
        raise InputError("There are no training data.", "Give at least one pair of images and masks.")
    pairs, validation = (
        tuple(Pair(image=Path(i).expanduser().absolute(), labels=Path(m).expanduser().absolute()) for i, m in part)
        for part in (data, validation_data)
    )
    named, ground = name_colors(classes)
    return TrainingRun(
        pairs=pairs, validation_pairs=validation, start=str(model), name=name, classes=named, background_colors=ground
    )


def name_merged(run: TrainingRun, start: Sequence[ClassInfo]) -> TrainingRun:
    """The run, with a name for the class as which all are taken: where nobody gave one, that of the start's only class.

    Raises
    ------
    InputError
        All are to be taken as one, and several are named.
    """
    if not run.merge or (one := merged_class(run.classes, start)) in run.classes:
        return run
    # A class without a name of its own may still get one from the masks.
    return run.model_copy(update={"classes": (*run.classes, one)}) if len(start) == 1 else run


def recalling(run: TrainingRun, model: str, start: str = "") -> TrainingRun:
    """The run made one that trains on everything ``model`` remembers too, from its first ancestor or ``start``."""
    from napari_medseg.models import find_model, read_card
    from napari_medseg.models.library import lineage

    card = read_card(find_model(model))
    root = start or lineage(card)[0].reference
    return run.model_copy(update={"recall": model, "start": root, "name": run.name or card.name})
