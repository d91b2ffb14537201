"""Which slices hold anything: figures that can be counted by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_medseg.core import ClassInfo, Geometry, Labels
from napari_medseg.evaluation import evaluate, evaluate_set
from napari_medseg.evaluation.detection import measure_auroc


def stack(*filled: int, source: str = "") -> Labels:
    """Slices of which each shows a bar of so many pixels."""
    data = np.zeros((len(filled), 4, 10), np.uint8)
    for z, pixels in enumerate(filled):
        data[z, 1, :pixels] = 1
    return Labels(data, (ClassInfo.numbered(1),), Geometry.unknown(3), source=Path(source) if source else None)


def test_slices_are_counted_and_dice_is_of_those_that_hold_something() -> None:
    report = evaluate(stack(4, 2, 0, 3, 0, 0), stack(4, 4, 5, 0, 0, 0))
    found = report.detection
    assert found is not None
    assert (found.true_positive, found.false_positive, found.false_negative, found.true_negative) == (2, 1, 1, 2)
    assert (found.support, found.precision, found.recall) == (3, 2 / 3, 2 / 3)
    assert (found.specificity, found.f1) == (2 / 3, 4 / 6)
    assert found.auroc is None
    assert found.dice == pytest.approx((1 + 2 / 3 + 0) / 3)
    (case,) = found.cases
    assert (case.slices, case.support, case.false_positive_slices) == (6, 3, 1)
    assert case.dice == pytest.approx(12 / 22)
    assert "found 2, missed 1, falsely found 1, rightly empty 2" in report.table()
    assert json.loads(report.to_json())["detection"]["answers"][3]["predicted"] is True


def test_probabilities_give_the_auroc() -> None:
    prediction = replace(stack(4, 2, 0, 3), presence={0: 0.9, 1: 0.4, 2: 0.6, 3: 0.6})
    found = evaluate(prediction, stack(4, 4, 0, 0)).detection
    assert found is not None
    assert found.auroc == 0.5
    assert [one.probability for one in found.answers] == [0.9, 0.4, 0.6, 0.6]


def test_auroc_counts_ties_half_and_needs_both_kinds() -> None:
    assert measure_auroc([0.1, 0.9, 0.5, 0.5], [False, True, True, False]) == 0.875
    assert measure_auroc([0.1, 0.9], [True, True]) is None


def test_volumes_are_told_apart_even_where_they_have_one_name() -> None:
    pairs = [(stack(4, 1, 0), stack(4, 0, 0, source="masks")), (stack(0, 2, 2), stack(4, 4, 0, source="masks"))]
    report = evaluate_set(pairs)
    assert report.detection is not None
    assert [(case.name, case.false_positive_slices) for case in report.detection.cases] == [
        ("masks 1", 1), ("masks 2", 1)
    ]  # fmt: skip
    assert "falsely found slices in each 1.00" in report.table()


def test_nothing_is_told_where_every_slice_holds_something() -> None:
    report = evaluate(stack(4, 4), stack(4, 4))
    assert "Slices that hold something" not in report.table()


def said(*chances: float, outlined: bool, filled: tuple[int, ...] = ()) -> Labels:
    """Slices of a model with a threshold of 0.3."""
    empty = stack(*(filled or (0,) * len(chances)))
    return replace(empty, presence=dict(enumerate(chances)), threshold=0.3, outlined=outlined)


@pytest.mark.parametrize("company", [False, True])
def test_the_mask_of_a_model_that_outlines_decides_whatever_else_is_in_the_set(company: bool) -> None:
    pairs = [(said(0.9, 0.9, 0.1, outlined=True), stack(4, 4, 0))]
    pairs += [(said(0.9, 0.9, outlined=True, filled=(4, 0)), stack(4, 0))] if company else []
    found = evaluate_set(pairs).detection
    assert found is not None
    assert [one.predicted for one in found.answers] == [False] * 3 + [True, False] * company
    assert (found.false_negative, found.auroc) == ((2, 0.75) if company else (2, 1.0))


def test_the_threshold_decides_of_a_slice_classifier_and_there_are_no_figures_of_masks() -> None:
    report = evaluate(said(0.35, 0.3, 0.29, 0.31, outlined=False), stack(4, 4, 4, 0))
    found = report.detection
    assert found is not None
    assert [one.predicted for one in found.answers] == [True, True, False, True]
    assert (report.rows, report.summary, found.dice, found.cases[0].dice) == ((), (), None, None)
    text = report.table()
    assert "Dice" not in text
    assert text.startswith("Slices that hold something: 3, empty: 1")
    assert "AUROC of the probabilities 0.3333" in text
    full = evaluate(said(0.9, 0.9, outlined=False), stack(4, 4))
    assert "found 2, missed 0" in full.table(), "there is nothing else to tell"


def test_each_case_of_a_set_goes_by_its_own_kind_of_model() -> None:
    strict = replace(said(0.9, 0.5, outlined=False), threshold=0.7)
    pairs = [(said(0.35, 0.1, outlined=False), stack(4, 0)), (strict, stack(4, 0)), (stack(4, 2), stack(2, 0))]
    report = evaluate_set(pairs)
    assert report.detection is not None
    assert [one.predicted for one in report.detection.answers] == [True, False, True, False, True, True]
    assert report.detection.dice == pytest.approx(2 / 3), "of the one case with masks"
    assert {row.slice for row in report.rows} == {"volume 3/0", "volume 3/1"}
