"""Score masks as large as slides, in parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import ClassInfo, Finding, InputError, Labels
from napari_medseg.io.masks.large import WHOLE, bands, is_whole

from .metrics import METRICS
from .report import Report, Row, summarise

Array = npt.NDArray[Any]

_COLUMNS = 4096
_FEW = 16
"""Classes up to this many are counted one by one, which is faster than sorting."""


def is_slide(labels: Labels) -> bool:
    """Whether labels are scored in parts, or lack results in places."""
    return not labels.is_stack and (bool(labels.levels) or labels.not_computed is not None)


def both_computed(masks: tuple[Array, Array], prediction: Labels, truth: Labels) -> tuple[Array, Array, int]:
    """Masks (Y, X) of both sides as background where one of them has no result, and how many pixels these are."""
    if masks[0].shape != masks[1].shape or (prediction.not_computed is None and truth.not_computed is None):
        return *masks, 0
    absent = find_absent(masks[0], prediction) | find_absent(masks[1], truth)
    ours, theirs = (np.where(absent, 0, one) for one in masks)
    return ours, theirs, int(np.count_nonzero(absent))


def about_absent(lost: int, size: int) -> tuple[Finding, ...]:
    """What to say when so many pixels of so many have no result."""
    if not lost:
        return ()
    text = f"{lost / size:.1%} of the pixels have no result in one of the masks and are not scored."
    return (Finding("NOT_COMPUTED", text.replace("%", " %")),)


def score_in_parts(prediction: Labels, truth: Labels, *, merge: bool = False) -> Report:
    """Overlap of two masks of any size, without distances.

    Parameters
    ----------
    prediction, truth
        Masks (Y, X) of equal size, read a band at a time. Pixels of which one side has no result do not count.
    merge
        Score all classes together as one foreground.

    Raises
    ------
    InputError
        Their sizes differ.
    """
    _check_sizes(prediction, truth)
    both: Counter[int] = Counter()
    ours: Counter[int] = Counter()
    theirs: Counter[int] = Counter()
    lost = 0
    for p, t in _blocks(prediction, truth):
        shown, true, absent = both_computed((p, t), prediction, truth)
        lost += absent
        pair = [(one > 0).astype(np.uint8) if merge else one for one in (shown, true)]
        for found, values in ((ours, pair[0]), (theirs, pair[1]), (both, np.where(pair[0] == pair[1], pair[0], 0))):
            found.update(_counted(values))
    classes = {1: ClassInfo.numbered(1, "foreground")} if merge else _classes(prediction, truth)
    rows = tuple(_rows(classes, (both, ours, theirs), prediction))
    size = prediction.data.shape[0] * prediction.data.shape[1]
    text = f"Distances are not measured on masks larger than {WHOLE} x {WHOLE} pixels."
    findings = (*about_absent(lost, size), Finding("NO_DISTANCES", text))
    return Report(rows=rows, summary=summarise(rows), findings=findings)


def score_slide(prediction: Labels, truth: Labels, *, merge: bool = False) -> Report:
    """Score two masks of a slide: those of up to 16384 x 16384 pixels with distances, larger ones without.

    Raises
    ------
    InputError
        Their sizes differ, or they have no class in common.
    """
    if not is_whole(prediction):
        return score_in_parts(prediction, truth, merge=merge)
    from .compare import evaluate_set

    _check_sizes(prediction, truth)
    ours, theirs = (replace(one, data=np.asarray(one.data), levels=()) for one in (prediction, truth))
    return evaluate_set([(ours, theirs)], merge=merge)


def _rows(
    classes: Mapping[int, ClassInfo], counts: tuple[Counter[int], Counter[int], Counter[int]], labels: Labels
) -> Iterator[Row]:
    both, ours, theirs = counts
    name = labels.names[0] if labels.names else labels.source.name if labels.source else "0"
    known = dict(classes) | {v: ClassInfo.numbered(v) for v in {*ours, *theirs} - {0, *classes}}
    for value in sorted(known):
        tp, fp, fn = both[value], ours[value] - both[value], theirs[value] - both[value]
        figures = {key: metric.pool(tp, fp, fn) if metric.pool else None for key, metric in METRICS.items()}
        yield Row(
            slice=name, value=value, class_name=known[value].name, true_positive=tp, false_positive=fp,
            false_negative=fn, values=figures if tp or fp or fn else {},
        )  # fmt: skip


def _classes(prediction: Labels, truth: Labels) -> dict[int, ClassInfo]:
    """By value, named as in the truth, where that has names."""
    known = {c.value: c for c in prediction.classes}
    return known | {c.value: c for c in truth.classes if c.value not in known or c.name != f"class {c.value}"}


def _blocks(prediction: Labels, truth: Labels) -> Iterator[tuple[Array, Array]]:
    """Both masks in parts; those that are background in both are left out."""
    for p, t in zip(bands(prediction.data), bands(truth.data), strict=True):
        for left in range(0, p.shape[1], _COLUMNS):
            ours, theirs = (band[:, left : left + _COLUMNS] for band in (p, t))
            if ours.any() or theirs.any():
                yield ours, theirs


def _counted(values: Array) -> dict[int, int]:
    """How often each class occurs."""
    top = int(values.max(initial=0))
    if top <= _FEW:
        return {value: int(np.count_nonzero(values == value)) for value in range(1, top + 1)}
    found, counts = np.unique(values, return_counts=True)
    return {int(v): int(n) for v, n in zip(found, counts, strict=True) if v}


def find_absent(values: Array, labels: Labels) -> npt.NDArray[np.bool_]:
    if labels.not_computed is None:
        return np.zeros(values.shape, bool)
    return np.asarray(values == labels.not_computed)


def _check_sizes(prediction: Labels, truth: Labels) -> None:
    sizes = [" x ".join(str(n) for n in reversed(one.data.shape)) for one in (prediction, truth)]
    if sizes[0] != sizes[1]:
        raise InputError(
            f"The prediction is {sizes[0]} pixels and the truth {sizes[1]}.",
            "Compare masks of the same image at the same size.",
        )
