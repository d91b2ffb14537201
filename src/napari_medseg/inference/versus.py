"""Two models on the same slices: where they differ, and which is nearer to what is known to be true."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import Image, InputError, Labels, Progress, Reporter
from napari_medseg.core.progress import silent
from napari_medseg.evaluation.metrics import count, dice_of
from napari_medseg.evaluation.partners import laid_like, match_slices

from .options import SegmentOptions
from .segment import segment

Plane = npt.NDArray[Any]


@dataclass(frozen=True)
class Versus:
    """What two models make of a slice.

    Attributes
    ----------
    labels
        Class values of each, (Y, X).
    differing
        Pixels that are not of the same class in both.
    dice
        Of each, the mean over the classes; None where nothing is known to be true, or no class is there.
    """

    labels: tuple[Plane, Plane]
    differing: int
    dice: tuple[float | None, float | None]


@dataclass(frozen=True)
class SliceDifference:
    """How far two results of one slice differ.

    Attributes
    ----------
    differing, size
        Pixels that are not of the same class in both, of so many.
    between
        Dice of one result with the other, the mean over the classes; None where both are empty.
    """

    name: str
    differing: int
    size: int
    between: float | None


@dataclass(frozen=True)
class Differences:
    """What two models make of an image.

    Attributes
    ----------
    labels
        The results.
    slices
        Of those slices of which both have a result.
    between
        Dice of one result with the other over all these slices, by class value; classes that are in neither left out.
    dice
        Of each with what is true, as in `Versus`, over all slices of which that is known.
    """

    labels: tuple[Labels, Labels]
    slices: tuple[SliceDifference, ...]
    between: Mapping[int, float]
    dice: tuple[float | None, float | None]


def compare_on_slice(
    image: Image,
    models: tuple[str | Path, str | Path],
    z: int,
    truth: Plane | None = None,
    *,
    unlabelled: int | None = None,
    report: Reporter = silent,
) -> Versus:
    """Segment one slice with two models as `segment` does.

    Parameters
    ----------
    image
        The whole image: its values decide what the networks see.
    z
        The slice; 0 of a single image.
    truth
        Class values that are right, (Y, X).
    unlabelled
        Value in ``truth`` that does not count.
    """
    one, two = (labels.slice(z) for labels in _segment_twice(image, models, report, slices=f"{z}:{z + 1}"))
    known = truth is not None
    scores = tuple(_mean(_dice([(plane, truth)], unlabelled)) if known else None for plane in (one, two))
    return Versus((one, two), int(np.count_nonzero(one != two)), (scores[0], scores[1]))


def compare_models(
    image: Image,
    models: tuple[str | Path, str | Path],
    truth: Labels | None = None,
    *,
    options: SegmentOptions,
    report: Reporter = silent,
) -> Differences:
    """Segment an image with two models as `segment` does, and tell how the results differ.

    Parameters
    ----------
    image
        A single image or a stack.
    truth
        What is right in it, or in some of its slices.

    Raises
    ------
    InputError
        The image is a slide, or the truth does not fit it.
    """
    if image.levels:
        raise InputError("Two models cannot be compared on a slide.", "Give a part of it as an image of its own.")
    one, two = _segment_twice(image, models, report, options=options)
    names = image.slice_names
    there = [z for z in range(len(image)) if z not in one.missing | two.missing]
    pairs = [(one.slice(z), two.slice(z)) for z in there]
    slices = [
        SliceDifference(names[z], int(np.count_nonzero(a != b)), a.size, _mean(_dice([(a, b)])))
        for z, (a, b) in zip(there, pairs, strict=True)
    ]
    scores = tuple(_mean(_dice(_known(labels, truth))) if truth is not None else None for labels in (one, two))
    return Differences((one, two), tuple(slices), _dice(pairs), (scores[0], scores[1]))


def _segment_twice(
    image: Image, models: tuple[str | Path, str | Path], report: Reporter, **settings: Any
) -> tuple[Labels, Labels]:
    found = []
    for done, model in enumerate(models):
        report(Progress("Comparing", done, len(models), message=str(model)))
        found.append(segment(image, model, report=partial(_tell, report, done, len(models)), **settings))
    return found[0], found[1]


def _tell(report: Reporter, done: int, models: int, inner: Progress) -> None:
    """Reports of the run inside carry results: nobody may take them for this one's."""
    report(Progress(inner.stage, done * inner.total + inner.done, models * inner.total))


def _known(labels: Labels, truth: Labels) -> Iterator[tuple[Plane, Plane]]:
    laid = laid_like(labels, truth)
    for z, t, name in match_slices(laid, truth)[0]:
        if z in laid.missing or t in truth.missing:
            continue
        ours, right = laid.slice(z), truth.slice(t)
        if ours.shape != right.shape:
            raise InputError(f"What is right of {name} is not of the image's size.", "Give masks of the same image.")
        yield ours, right


def _dice(pairs: Iterable[tuple[Plane, Any]], unlabelled: int | None = None) -> dict[int, float]:
    """Dice of every class that is in one of the two masks of any pair, all pairs together."""
    sums: dict[int, list[int]] = {}
    for labels, truth in pairs:
        counts = truth != unlabelled if unlabelled is not None else np.ones(truth.shape, bool)
        for v in (int(v) for v in np.union1d(np.unique(truth[counts]), np.unique(labels[counts])) if v):
            found = count((labels == v) & counts, (truth == v) & counts)
            sums[v] = [a + b for a, b in zip(sums.get(v, (0, 0, 0)), found, strict=True)]
    figures: Sequence[tuple[int, float | None]] = [(v, dice_of(*sums[v])) for v in sorted(sums)]
    return {v: figure for v, figure in figures if figure is not None}


def _mean(figures: Mapping[int, float]) -> float | None:
    return float(np.mean([*figures.values()])) if figures else None
