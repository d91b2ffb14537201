"""Score a segmentation against the truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import ClassInfo, Finding, InputError, Labels
from napari_medseg.io import read_labels
from napari_medseg.io.masks.large import open_large

from .detection import Answer, answer, detect
from .metrics import METRICS, count
from .partners import Match, laid_like, match_slices, names_of
from .report import Report, Row, summarise
from .slides import about_absent, both_computed, is_slide, score_slide

Source = Labels | str | PathLike[str]


def evaluate(prediction: Source, truth: Source, *, merge: bool = False) -> Report:
    """Score a segmentation against the truth, per class and slice.

    Slices are matched by file name when both sides have names (a truth of 16 slices scores those 16 of a prediction of
    93), else by position. Slices that hold no result are listed as missing, never scored as empty. A class that is in
    neither mask of a slice is left out there and counted, not scored as perfect. Which slices hold anything at all is
    reported too (`Labels.is_positive`), with the prediction's probabilities where it has them; alone, where the model
    gives no masks.

    Parameters
    ----------
    prediction, truth
        Labels, or a file or folder that holds them.
    merge
        Score all classes together as one foreground.

    Returns
    -------
    Report
        Rows by slice and class, their summary by class, and which slices hold anything.

    Raises
    ------
    InputError
        When no slice has a partner, sizes differ or the two sides have no class in common.
    """
    ours, theirs = load(prediction), load(truth)
    if is_slide(ours) or is_slide(theirs):
        return score_slide(ours, theirs, merge=merge)
    return evaluate_set([(ours, theirs)], merge=merge)


def evaluate_set(pairs: Sequence[tuple[Labels, Labels]], *, merge: bool = False) -> Report:
    """Score several (prediction, truth) pairs, such as patients or images of different sizes, in one report.

    Pixels of which one side has no result do not count. Slices that several pairs call the same get the pair's name
    before theirs.

    Parameters
    ----------
    pairs
        Labels (Z, Y, X) or (Y, X), the truth second; slices are matched by name, else by place.
    merge
        Take all classes as one.

    Returns
    -------
    Report
        As of `evaluate`, with each pair as a case.

    Raises
    ------
    InputError
        Nothing could be scored, shapes or names do not fit, or some images have a known pixel size and others none.
    """
    rows: list[Row] = []
    answers: list[Answer] = []
    missing: list[str] = []
    unmatched: list[str] = []
    findings: list[Finding] = []
    units = set()
    lost = size = 0
    counts = Counter(name for pair in pairs for name in names_of(*pair))
    for case, (given, truth) in zip(_cases(pairs), pairs, strict=True):
        prediction = laid_like(given, truth)
        matches, alone = match_slices(prediction, truth)
        unmatched += alone
        classes = None if merge else _classes(prediction, truth, matches)
        findings += [] if merge else _differences(prediction, truth)
        spacing, unit = _plane(truth, prediction)
        units.add(unit)
        for p, t, own in matches:
            name = f"{case}/{own}" if counts[own] > 1 else own
            if p in prediction.missing or t in truth.missing:
                missing.append(name)
            else:
                ours, theirs, absent = _slices(prediction, truth, p, t)
                if prediction.outlined:
                    rows += _score_slice((ours, theirs), name, classes, spacing)
                answers.append(answer((ours, theirs), name, case, prediction, p))
                lost, size = lost + absent, size + theirs.size
    if not answers:
        raise InputError(
            "No slice could be scored.", "Check that the prediction holds results for the slices of the truth."
        )
    if len(units) > 1:
        raise InputError("Some images have a known pixel size and others none.", "Evaluate them separately.")
    if not merge:
        _check_classes(rows)
    return Report(
        rows=tuple(rows),
        summary=summarise(rows),
        unit=units.pop(),
        missing=tuple(missing),
        unmatched=tuple(unmatched),
        findings=(*dict.fromkeys(findings), *about_absent(lost, size)),
        detection=detect(answers, volumes=any(truth.is_stack for _, truth in pairs)),
    )


def _cases(pairs: Sequence[tuple[Labels, Labels]]) -> list[str]:
    """A name for each pair."""
    names = [truth.source.name if truth.source is not None else "volume" for _, truth in pairs]
    return [name if names.count(name) == 1 else f"{name} {number}" for number, name in enumerate(names, 1)]


def load(source: Source) -> Labels:
    """The labels themselves, or read from a file or folder."""
    if isinstance(source, Labels):
        return source
    return open_large(Path(source)) or read_labels(Path(source))


def _plane(truth: Labels, prediction: Labels) -> tuple[tuple[float, float], str]:
    """In-plane spacing and its unit, from whichever side knows it; pixels when neither does."""
    for geometry in (truth.geometry, prediction.geometry):
        if geometry.known:
            return (geometry.spacing[-2], geometry.spacing[-1]), geometry.unit
    return (1.0, 1.0), "px"


def _classes(prediction: Labels, truth: Labels, matches: Sequence[Match]) -> tuple[ClassInfo, ...]:
    """Classes of both sides by value, named as in the truth, and any further value that the masks hold."""
    by_value = {info.value: info for info in prediction.classes}
    # A truth that came without names takes those of the prediction.
    by_value |= {c.value: c for c in truth.classes if c.value not in by_value or c.name != f"class {c.value}"}
    held = {int(v) for p, t, _ in matches for mask in _slices(prediction, truth, p, t)[:2] for v in np.unique(mask)}
    by_value |= {value: ClassInfo.numbered(value) for value in held - {0, *by_value}}
    return tuple(by_value[value] for value in sorted(by_value))


def _slices(prediction: Labels, truth: Labels, p: int, t: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any], int]:
    return both_computed((prediction.slice(p), truth.slice(t)), prediction, truth)


def _differences(prediction: Labels, truth: Labels) -> Iterator[Finding]:
    names = {info.value: info.name for info in truth.classes}
    for info in prediction.classes:
        name = names.get(info.value, info.name)
        # A numbered name only says that the file came without names.
        numbered = ClassInfo.numbered(info.value).name
        if name != info.name and numbered not in (name, info.name):
            message = (
                f"Value {info.value} is {info.name} in the prediction and {name} in the truth: scored as one class."
            )
            yield Finding("CLASS_NAMES_DIFFER", message)


def _score_slice(
    masks: tuple[npt.NDArray[Any], npt.NDArray[Any]],
    name: str,
    classes: tuple[ClassInfo, ...] | None,
    spacing: tuple[float, float],
) -> Iterator[Row]:
    """Rows of one slice; None as classes means all foreground together."""
    prediction, truth = masks
    if prediction.shape != truth.shape:
        sizes = [f"{mask.shape[1]} x {mask.shape[0]}" for mask in masks]
        raise InputError(
            f"{name}: the prediction is {sizes[0]} pixels and the truth {sizes[1]}.",
            "Compare masks of the same image at the same size.",
        )
    if classes is None:
        parts = [(1, "foreground", prediction != 0, truth != 0)]
    else:
        parts = [(info.value, info.name, prediction == info.value, truth == info.value) for info in classes]
    for value, class_name, ours, theirs in parts:
        counts = count(ours, theirs)
        values = {key: metric.measure(ours, theirs, spacing) for key, metric in METRICS.items()} if any(counts) else {}
        yield Row(
            slice=name,
            value=value,
            class_name=class_name,
            true_positive=counts[0],
            false_positive=counts[1],
            false_negative=counts[2],
            values=values,
        )


def _check_classes(rows: list[Row]) -> None:
    predicted = {row.value for row in rows if row.true_positive or row.false_positive}
    true = {row.value for row in rows if row.true_positive or row.false_negative}
    if predicted and true and not predicted & true:
        raise InputError(
            f"The prediction has the values {_listed(predicted)} and the truth {_listed(true)}: no class in common.",
            "Merge all classes (--merge) to compare the foreground only.",
        )


def _listed(values: set[int]) -> str:
    return ", ".join(str(value) for value in sorted(values))
