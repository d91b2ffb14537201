"""Two models on one slice: where they differ, and which is nearer to what is known to be true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import Image, Progress, Reporter
from napari_medseg.core.progress import silent
from napari_medseg.evaluation.metrics import count, dice_of

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
    found = []
    for done, model in enumerate(models):
        report(Progress("Comparing", done, len(models), message=str(model)))
        # Reports of the run inside carry results: nobody may take them for this one's.
        labels = segment(image, model, slices=f"{z}:{z + 1}", report=lambda p: report(Progress(p.stage)))
        found.append(np.asarray(labels.data[z] if image.is_stack else labels.data))
    one, two = found
    scores = tuple(None if truth is None else _score(plane, truth, unlabelled) for plane in (one, two))
    return Versus((one, two), int(np.count_nonzero(one != two)), (scores[0], scores[1]))


def _score(labels: Plane, truth: Plane, unlabelled: int | None) -> float | None:
    counts = truth != unlabelled if unlabelled is not None else np.ones(truth.shape, bool)
    values: Sequence[int] = [int(v) for v in np.union1d(np.unique(truth[counts]), np.unique(labels[counts])) if v]
    figures = [dice_of(*count((labels == v) & counts, (truth == v) & counts)) for v in values]
    there = [figure for figure in figures if figure is not None]
    return float(np.mean(there)) if there else None
