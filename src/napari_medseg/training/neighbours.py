"""How many slices on either side a new network looks at."""

from __future__ import annotations

from collections.abc import Sequence

from napari_medseg.core import Image, InputError
from napari_medseg.inference.neighbours import CLOSE, slice_distance, why_uneven
from napari_medseg.models import find_model, read_card

from .run import TrainingRun
from .truth import Painted


def choose_neighbours(run: TrainingRun, painted: Sequence[Painted]) -> int:
    """Slices on either side that a run's new network looks at.

    Where all that a model remembers is learnt anew, as many as that model looks at: they are remembered with it.

    Raises
    ------
    InputError
        Some are asked for, and no image is a series.
    """
    if run.recall:
        return read_card(find_model(run.recall)).neighbours
    images = _images(painted)
    asked = run.options.neighbours
    if asked == "auto":
        return int(_all_close(images) and not _why_alone(images))
    if asked != "0" and not any(image.is_stack for image in images):
        raise InputError("No image is a series, so no slice has neighbours.", "Leave neighbours at auto, or choose 0.")
    return int(asked)


def about_choice(run: TrainingRun, painted: Sequence[Painted], chosen: int) -> str:
    """What there is to say about the choice; empty where nobody would expect another."""
    images = _images(painted)
    if chosen:
        beside = "slice" if chosen == 1 else f"{chosen} slices"
        return f"The new network also looks at the {beside} on either side."
    if run.options.neighbours == "auto" and not run.recall and _all_close(images) and (why := _why_alone(images)):
        return f"The new network looks at single slices only: {why}."
    return ""


def _images(painted: Sequence[Painted]) -> list[Image]:
    return list({id(one.image): one.image for one in painted}.values())


def _all_close(images: Sequence[Image]) -> bool:
    distances = [slice_distance(image) for image in images]
    return all(distance is not None and distance <= CLOSE for distance in distances)


def _why_alone(images: Sequence[Image]) -> str:
    return next(filter(None, map(why_uneven, images)), "")
