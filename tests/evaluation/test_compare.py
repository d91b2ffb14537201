"""Matching slices and classes, and what is left out."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from napari_medseg.core import ClassInfo, Geometry, InputError, Labels
from napari_medseg.evaluation import METRICS, Report, evaluate, evaluate_set, slice_key

LEFT, RIGHT = ClassInfo.numbered(1, "left"), ClassInfo.numbered(2, "right")


def stack(*slices: np.ndarray, names: tuple[str, ...] = (), classes: tuple[ClassInfo, ...] = (LEFT, RIGHT)) -> Labels:
    data = np.stack(slices).astype(np.uint8)
    return Labels(data, classes, Geometry.unknown(3), names)


def box(value: int, left: int = 2, side: int = 4) -> np.ndarray:
    mask = np.zeros((12, 16), np.uint8)
    mask[3 : 3 + side, left : left + side] = value
    return mask


EMPTY = np.zeros((12, 16), np.uint8)


def test_both_empty_is_left_out_and_counted_not_scored_as_perfect() -> None:
    report = evaluate(stack(box(1), EMPTY, EMPTY), stack(box(1, left=4), EMPTY, EMPTY))
    dice = report.figure("dice", 1)
    assert (dice.mean, dice.scored, dice.both_empty) == (0.5, 1, 2)
    right = report.figure("dice", 2)
    assert (right.mean, right.worst, right.pooled, right.both_empty) == (None, None, None, 3)
    assert "left: in neither mask on 2 slices, left out." in report.table()


def test_summary_has_mean_median_worst_slice_and_pooled() -> None:
    prediction = stack(box(1), box(1, left=4), EMPTY, names=("a.png", "b.png", "c.png"))
    truth = stack(box(1), box(1), box(1, side=2), names=("a.png", "b.png", "c.png"))
    dice = evaluate(prediction, truth).figure("dice")
    assert (dice.mean, dice.median, dice.worst, dice.worst_slice) == (0.5, 0.5, 0.0, "c.png")
    # TP 16 + 8, FP 0 + 8, FN 0 + 8 + 4
    assert dice.pooled == 48 / (48 + 8 + 12)
    distance = evaluate(prediction, truth).figure("hd95")
    assert (distance.worst, distance.worst_slice, distance.undefined, distance.pooled) == (2, "b.png", 1, None)


def test_truth_of_some_slices_scores_those_by_name() -> None:
    names = tuple(f"{z}.png" for z in range(93))
    prediction = stack(*[box(1) if z % 6 == 0 else box(2) for z in range(93)], names=names)
    chosen = tuple(f"{z}_mask.png" for z in range(0, 93, 6))
    report = evaluate(prediction, stack(*[box(1)] * 16, names=chosen))
    assert report.figure().scored == 16
    assert report.figure().mean == 1
    assert len(report.unmatched) == 77


def test_order_of_named_slices_does_not_matter() -> None:
    prediction = stack(box(1), box(2), names=("1.png", "10.png"))
    truth = stack(box(2), box(1), names=("10.tif", "1.tif"))
    assert evaluate(prediction, truth).figure("dice", 2).mean == 1


def test_without_names_slices_match_by_position_and_need_equal_numbers() -> None:
    assert evaluate(stack(box(1), box(2)), stack(box(1), box(2), names=("a.png", "b.png"))).figure().mean == 1
    with pytest.raises(InputError, match="2 slices and the truth 1, without names"):
        evaluate(stack(box(1), box(1)), stack(box(1)))


@pytest.mark.parametrize("place", [True, False], ids=["same place", "unknown place"])
def test_volumes_stored_from_the_other_side_are_compared_where_they_lie(place: bool) -> None:
    """N3: a NIfTI of another program; where a file tells nothing true about its place, indices decide."""
    truth = replace(stack(box(1), box(2, 5)), geometry=Geometry(spacing=(3, 0.5, 0.5), origin=(9, 9, 9), unit="mm"))
    matrix = truth.geometry.affine()
    if place:
        matrix[:3, 3] += matrix[:3, 2] * (truth.data.shape[2] - 1)
    else:
        matrix[:3, 3] = 0
    matrix[:3, 2] *= -1
    data = truth.data[..., ::-1] if place else truth.data
    report = evaluate(replace(truth, data=data, geometry=Geometry.from_affine(matrix)), truth)
    assert {(r.false_positive, r.false_negative) for r in report.rows if r.values} == {(0, 0)}


def test_nothing_matched_is_refused() -> None:
    with pytest.raises(InputError, match=r"a\.png.*has a name of the truth"):
        evaluate(stack(EMPTY, EMPTY, names=("a.png", "b.png")), stack(EMPTY, EMPTY, names=("c.png", "d.png")))


def test_two_single_images_are_compared_whatever_their_names() -> None:
    one = Labels(box(1), (LEFT,), Geometry.unknown(2), ("out.png",))
    assert evaluate(one, replace(one, names=("truth.png",))).figure().mean == 1


def test_different_sizes_are_refused_with_both_sizes() -> None:
    with pytest.raises(InputError, match=r"b\.png: the prediction is 16 x 12 pixels and the truth 9 x 8"):
        evaluate(stack(EMPTY, names=("b.png",)), stack(np.zeros((8, 9)), names=("b.png",)))


def test_missing_slices_are_listed_not_scored_as_empty() -> None:
    truth = stack(box(1), box(1), names=("a.png", "b.png"))
    prediction = replace(stack(box(1), EMPTY, names=("a.png", "b.png")), missing=frozenset({1}))
    report = evaluate(prediction, truth)
    assert report.missing == ("b.png",)
    assert report.figure().mean == 1
    assert "No result on 1 slice, not scored: b.png." in report.table()
    with pytest.raises(InputError, match="No slice could be scored"):
        evaluate(replace(prediction, missing=frozenset({0, 1})), truth)


def test_merge_scores_all_classes_as_one_foreground() -> None:
    report = evaluate(stack(box(2)), stack(box(1)), merge=True)
    assert [(row.class_name, row.values["dice"]) for row in report.rows] == [("foreground", 1)]


def test_no_class_in_common_is_refused_with_the_values() -> None:
    """V5: a 0/255 mask against a 0/1 mask must not look like a bad segmentation."""
    truth = stack(box(255), classes=(ClassInfo.numbered(255),))
    with pytest.raises(InputError, match=r"values 1 and the truth 255.*--merge"):
        evaluate(stack(box(1)), truth)


def test_classes_of_equal_value_and_other_name_are_flagged() -> None:
    swapped = (ClassInfo.numbered(1, "right"), ClassInfo.numbered(2, "left"))
    report = evaluate(stack(box(1), classes=swapped), stack(box(1)))
    assert {f.code for f in report.findings} == {"CLASS_NAMES_DIFFER"}
    numbered = (ClassInfo.numbered(1), ClassInfo.numbered(2))
    assert not evaluate(stack(box(1), classes=numbered), stack(box(1))).findings
    assert evaluate(stack(box(1)), stack(box(1), classes=numbered)).figure("dice", 1).class_name == "left"


def test_value_without_a_class_is_scored_too() -> None:
    report = evaluate(stack(box(7), classes=()), stack(box(7), classes=()))
    assert report.figure("dice", 7).class_name == "class 7"


def test_distance_is_in_the_truths_unit() -> None:
    truth = replace(stack(box(1)), geometry=Geometry(spacing=(3, 0.5, 0.5), unit="mm"))
    report = evaluate(stack(box(1, left=4)), truth)
    assert (report.unit, report.figure("hd95").mean) == ("mm", 1)
    assert "HD95 (mm)" in report.table()


def test_set_of_images_of_different_sizes_makes_one_report() -> None:
    small = Labels(np.ones((4, 4), np.uint8), (LEFT,), Geometry.unknown(2), ("s.png",))
    large = Labels(np.ones((9, 9), np.uint8), (LEFT,), Geometry.unknown(2), ("l.png",))
    report = evaluate_set([(small, small), (large, large)])
    assert [row.slice for row in report.rows] == ["s.png", "l.png"]
    assert report.figure().pooled == 1


def test_pixels_without_a_result_count_on_neither_side() -> None:
    """Of one image, and of each of a set."""
    cut = box(1)
    cut[:, 4:] = 255
    whole, part = (
        Labels(mask, (LEFT,), Geometry.unknown(2), not_computed=empty) for mask, empty in ((box(1), None), (cut, 255))
    )
    several = [(whole, part), (part, whole)]
    for report in (
        evaluate(whole, part),
        evaluate(part, whole),
        evaluate_set(several),
        evaluate_set(several, merge=True),
    ):
        assert {(row.value, row.true_positive) for row in report.rows} == {(1, 8)}
        assert report.figure("dice", 1).mean == 1
        assert [f.message for f in report.findings] == [
            "75.0 % of the pixels have no result in one of the masks and are not scored."
        ]


def test_json_round_trip_and_table_name_every_metric() -> None:
    report = evaluate(stack(box(1)), stack(box(1)))
    assert Report.model_validate_json(report.to_json()) == report
    assert json.loads(report.to_json())["rows"][0]["values"]["dice"] == 1
    assert all(metric.title in report.table() for metric in METRICS.values())


@pytest.mark.parametrize("name", ["7.png", "7_mask.tif", "mask_7.png", "7-label.png", "Labels 7.png"])
def test_mask_names_belong_to_their_image(name: str) -> None:
    assert slice_key(name) == "7"
