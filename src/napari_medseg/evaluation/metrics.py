"""Agreement of two masks of one class, in overlap and in distance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Mask = npt.NDArray[np.bool_]
Spacing = tuple[float, ...]
Measure = Callable[[Mask, Mask, Spacing], float | None]
Pool = Callable[[int, int, int], float | None]


@dataclass(frozen=True)
class Metric:
    """One entry of `METRICS`.

    Attributes
    ----------
    title
        Its name for people.
    measure
        ``(prediction, truth, spacing) -> float`` for two masks of equal shape that are not both empty; None where the
        figure does not exist (a distance to an empty mask).
    pool
        ``(true positives, false positives, false negatives) -> float`` over all slices together; None where a metric
        has no such form.
    higher_is_better
        Which end is the worst slice.
    physical
        Whether the figure is a length, in the unit of ``spacing``.
    """

    title: str
    measure: Measure
    pool: Pool | None = None
    higher_is_better: bool = True
    physical: bool = False


def count(prediction: Mask, truth: Mask) -> tuple[int, int, int]:
    """True positive, false positive and false negative pixels."""
    both = int(np.count_nonzero(prediction & truth))
    return both, int(np.count_nonzero(prediction)) - both, int(np.count_nonzero(truth)) - both


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def dice_of(tp: int, fp: int, fn: int) -> float | None:
    """Dice coefficient, 2 TP / (2 TP + FP + FN): Dice, Ecology 26 (1945)."""
    return _ratio(2 * tp, 2 * tp + fp + fn)


def iou_of(tp: int, fp: int, fn: int) -> float | None:
    """Intersection over union (Jaccard index), TP / (TP + FP + FN)."""
    return _ratio(tp, tp + fp + fn)


def precision_of(tp: int, fp: int, fn: int) -> float | None:
    """Share of the predicted pixels that are right; None when nothing was predicted."""
    return _ratio(tp, tp + fp)


def recall_of(tp: int, fp: int, fn: int) -> float | None:
    """Share of the true pixels that were found; None when there are none."""
    return _ratio(tp, tp + fn)


def _overlap(pool: Pool) -> Measure:
    return lambda prediction, truth, spacing: pool(*count(prediction, truth))


def surface(mask: Mask) -> Mask:
    """Pixels of the mask with a background pixel (or the image's edge) among their direct neighbours."""
    inside: Mask = ndimage.binary_erosion(mask)
    return mask & ~inside


def surface_distances(a: Mask, b: Mask, spacing: Spacing) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Distance of each surface pixel of ``a`` from the surface of ``b``, and the other way round.

    Parameters
    ----------
    a, b
        Masks of equal shape, neither empty.
    spacing
        Pixel size along each axis; the distances are in its unit.
    """
    box = ndimage.find_objects((a | b).astype(np.uint8))[0]
    a, b = surface(np.pad(a[box], 1)), surface(np.pad(b[box], 1))
    to_b = ndimage.distance_transform_edt(~b, sampling=spacing)[a]
    to_a = ndimage.distance_transform_edt(~a, sampling=spacing)[b]
    return to_b, to_a


def hd95(prediction: Mask, truth: Mask, spacing: Spacing) -> float | None:
    """95 % Hausdorff distance between the outlines: the larger of the two directed 95th percentiles.

    None when one of the masks is empty: there is no distance then. Source: Huttenlocher et al., IEEE TPAMI 15 (1993).
    """
    if not (prediction.any() and truth.any()):
        return None
    return float(max(np.percentile(d, 95) for d in surface_distances(prediction, truth, spacing)))


def surface_dice(prediction: Mask, truth: Mask, spacing: Spacing, tolerance: float = 1.0) -> float | None:
    """Share of both outlines that lies within ``tolerance`` pixels of the other; 0 when one mask is empty.

    Source: Nikolov et al., "Clinically applicable segmentation of head and neck anatomy", JMIR 23 (2021).
    """
    if not (prediction.any() and truth.any()):
        return 0.0
    distances = np.concatenate(surface_distances(prediction, truth, (1.0,) * truth.ndim))
    return float(np.mean(distances <= tolerance))


METRICS: dict[str, Metric] = {
    "dice": Metric("Dice (pixel F1)", _overlap(dice_of), dice_of),
    "iou": Metric("IoU", _overlap(iou_of), iou_of),
    "precision": Metric("Precision", _overlap(precision_of), precision_of),
    "recall": Metric("Recall", _overlap(recall_of), recall_of),
    "hd95": Metric("HD95", hd95, higher_is_better=False, physical=True),
    "surface_dice": Metric("Surface Dice (1 px)", surface_dice),
}
