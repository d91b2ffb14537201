"""Several ways to train on the same images under one budget of time; loads no torch."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from napari_medseg.core import CLASSIFIER, Cancelled, InputError, MedsegError, ModelCard, Reporter, check_name, silent
from napari_medseg.io.atomic import check_writable
from napari_medseg.models import find_model, is_start, read_card
from napari_medseg.models.library import adopt_model

from .candidates import CompareOptions, describe_little, lay_out
from .naming import figure_name
from .rounds import Contest
from .run import TrainingRun
from .standings import FILE, Comparison, Row, Terms


def compare(
    run: TrainingRun,
    options: CompareOptions | None = None,
    *,
    name: str = "",
    folder: Path | None = None,
    shelf: Path | None = None,
    report: Reporter = silent,
) -> Comparison:
    """Train several candidates on the same split, drop the worse half again and again, and keep the winner.

    They are ranked by the Dice of their last round, in which all had the same time. The model that stays of each is the
    best of all its trainings: the same slices are held out for them, and more time does not always help.

    Parameters
    ----------
    run
        The images and masks, and whatever the candidates do not differ in.
    options
        The candidates and their time.
    name
        Of the winner in the library; empty adds no model, and where nothing could be measured there is no winner.
    folder
        Where the report is written (`Comparison.save`), anew after every training, over an older one.
    shelf
        Where the models of the candidates stay, for `adopt_candidate`; without it they are gone at the end.
    report
        Told of every training, with the standings as ``so_far`` whenever they change; raising `Cancelled` ends the
        comparison with what there is.

    Raises
    ------
    InputError
        There is nothing to choose between or to measure with, or the name cannot be one.
    OutputError
        The report or logs cannot be written, as far as that shows at the start.
    MedsegError
        Every candidate failed: why the last of them did.
    Cancelled
        Stopped before any training was done.
    """
    options = options or CompareOptions()
    if name:
        check_name(name)
    if folder is not None:
        check_writable(folder / FILE)
    terms = settle_terms(run, options)
    with tempfile.TemporaryDirectory(prefix="napari-medseg-", ignore_cleanup_errors=True) as temporary:
        contest = Contest(terms, run, shelf or Path(temporary), report)
        stopped = False
        try:
            rungs = lay_out(len(options.candidates), options)
            contest.tell(describe_little(rungs))
            for rung in rungs:
                for candidate in contest.enter(rung):
                    contest.train(candidate, rung)
                    contest.write(contest.result(), folder)
        except Cancelled:
            stopped = True
        else:
            with suppress(Cancelled):  # what they cost changes no ranks
                contest.measure()
        result = contest.result().ended.model_copy(update={"stopped": stopped})
        if not result.rows[0].model:
            raise (contest.failure if not stopped else None) or Cancelled("stopped before anything was learnt")
        if name and result.rows[0].measured:
            result = result.model_copy(update={"winner": adopt_candidate(result.rows[0], name)})
        contest.write(result, folder)
    return result


def settle_terms(run: TrainingRun, options: CompareOptions) -> Terms:
    """Settle what the figures of a comparison are; what no candidate could be compared by is refused before any trains.

    Raises
    ------
    InputError
        There is nothing to choose between or to measure with, the starts are measured in different ways, or logging
        needs what is not installed.
    OutputError
        The folder for logs cannot be written to.
    """
    if len(options.candidates) < 2:
        raise InputError("There is only one candidate.", "Give several starts, losses, rates or others.")
    outlines = _outlines_all(dict.fromkeys(candidate.start for candidate in options.candidates))
    if not (run.options.validation or run.validation_pairs):
        raise InputError(
            "Nothing is held out, so nothing can be compared.", "Hold out a share, or give images that only measure."
        )
    if run.options.log_dir is not None:
        from .log import check_log  # which loads torch

        check_log(run.options)
        check_writable(run.options.log_dir / "log")
    return Terms(run=run.model_copy(update={"start": ""}), options=options, figure=figure_name(outlines))


def _outlines_all(starts: Iterable[str]) -> bool:
    """Whether what is trained from these starts gives masks.

    Slice classifiers are refused beside networks that outline: an F1 of slices would be ranked among Dice of pixels.

    Raises
    ------
    InputError
        There are both.
    """
    kinds: dict[bool, str] = {}
    for start in starts:
        with suppress(MedsegError):  # what does not exist is told when its turn comes, and the others go on
            kinds.setdefault(_outlines(start), start)
    if len(kinds) > 1:
        raise InputError(
            f"{kinds[False]} only says whether a slice holds anything, {kinds[True]} outlines it: their scores cannot "
            "be compared.",
            "Compare classifiers with classifiers, and networks that outline with each other.",
        )
    return all(kinds)


def _outlines(start: str) -> bool:
    """Whether what is trained from this start gives masks."""
    if is_start(start):
        return start.partition(":")[0].lower() != CLASSIFIER
    return read_card(find_model(start)).outlines


def adopt_candidate(row: Row, name: str) -> ModelCard:
    """Take the best model of a candidate into the library.

    Raises
    ------
    InputError
        The name cannot be one, or the candidate has no model.
    """
    check_name(name)
    if row.model is None:
        raise InputError(f"{row.candidate} was not trained.", "Choose another candidate.")
    card = read_card(row.model)
    parent = row.start if is_start(row.start) else read_card(find_model(row.start)).reference
    return adopt_model(row.model, card.model_copy(update={"name": name, "parent": parent}))
