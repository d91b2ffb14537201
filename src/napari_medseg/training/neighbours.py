"""How many slices on either side a new network looks at."""

from __future__ import annotations

from collections.abc import Sequence

from napari_medseg.core import Image, InputError
from napari_medseg.inference.neighbours import all_close, usual_neighbours, why_uneven
from napari_medseg.models import find_model, is_start, read_card

from .run import TrainingRun
from .truth import Painted


def choose_neighbours(run: TrainingRun, painted: Sequence[Painted]) -> int:
    """Slices on either side that a run's new network looks at.

    Where all that a model remembers is learnt anew, as many as that model looks at: they are remembered with it.
    Where a pair holds only some slices of its series, no more than suit the whole of it: their distance from each other
    is not that of the series.

    Raises
    ------
    InputError
        Some are asked for, and no image is a series, or a pair lacks them.
    """
    if run.recall:
        return read_card(find_model(run.recall)).neighbours
    images = _images(painted)
    asked, most = run.options.neighbours, _most(run)
    wanted = usual_neighbours(images) if asked == "auto" else int(asked)
    if asked == "auto":
        return min(wanted, most)
    if wanted > most:
        raise InputError(
            f"The labelled slices of this run were saved with {most} slices on either side.",
            f"Leave neighbours at auto, or choose {most} at most.",
        )
    if wanted and not any(len(image) > 1 for image in images):
        raise InputError("No image is a series, so no slice has neighbours.", "Leave neighbours at auto, or choose 0.")
    return wanted


def count_beside(images: Sequence[Image], asked: str, starts: tuple[str, str], own: int) -> tuple[int, int]:
    """Slices on either side of each labelled one that a run must keep, and `Pair.neighbours`.

    Parameters
    ----------
    images
        Whole: those cut out of them no longer tell how many suit a new network.
    asked
        `TrainOptions.neighbours`.
    starts
        What the run starts from, and the model whose memory it recalls, or an empty text.
    own
        Neighbours of the models that the run starts from.
    """
    start, recall = starts
    suiting = usual_neighbours(images) if asked == "auto" else int(asked)
    recalled = read_card(find_model(recall)).neighbours if recall else 0
    kept = max(own, recalled, suiting if is_start(start) else 0)
    return kept, min(kept, suiting)


def about_choice(run: TrainingRun, painted: Sequence[Painted], chosen: int) -> str:
    """What there is to say about the choice; empty where nobody would expect another."""
    images = _images(painted)
    if chosen:
        beside = "slice" if chosen == 1 else f"{chosen} slices"
        return f"The new network also looks at the {beside} on either side."
    if run.options.neighbours != "auto" or run.recall or not all_close(images):
        return ""
    saved_alone = "" if _most(run) else "the run was saved without the slices beside the labelled ones"
    why = _why_alone(images) or saved_alone
    return f"The new network looks at single slices only: {why}." if why else ""


def _most(run: TrainingRun) -> int:
    """Neighbours that all pairs of a run allow."""
    return min((pair.neighbours for pair in run.pairs if pair.neighbours is not None), default=4)


def _images(painted: Sequence[Painted]) -> list[Image]:
    return list({id(one.image): one.image for one in painted}.values())


def _why_alone(images: Sequence[Image]) -> str:
    return next(filter(None, map(why_uneven, images)), "")
