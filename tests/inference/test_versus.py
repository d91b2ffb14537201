"""Two models on one slice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from napari_medseg.core import Geometry, Image, InputError, Labels, Progress
from napari_medseg.inference import SegmentOptions, versus
from napari_medseg.inference.versus import compare_models, compare_on_slice


@pytest.fixture
def thresholds(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Models that are thresholds; keeps what was asked of them."""
    asked: list[tuple[str, str]] = []

    def segment(image: Image, model: str, *, report: Any, slices: str = "", options: Any = None) -> Labels:
        asked.append((model, slices))
        report(Progress("Segmenting", 1, 1, result=np.zeros(1)))
        return Labels((np.asarray(image.data) > int(model)).astype(np.uint8), (), image.geometry)

    monkeypatch.setattr(versus, "segment", segment)
    return asked


def ramp() -> np.ndarray[Any, Any]:
    data = np.zeros((3, 4, 10), np.uint8)
    data[1] = np.arange(10)
    return data


def make(data: np.ndarray[Any, Any]) -> Image:
    axes = "ZYX" if data.ndim == 3 else "YX"
    return Image(data, axes, Geometry(spacing=(1.0,) * data.ndim))


def test_pixels_that_differ_are_counted_and_each_is_scored(thresholds: list[tuple[str, str]]) -> None:
    truth = (ramp()[1] > 4).astype(np.uint8)
    seen: list[Progress] = []
    found = compare_on_slice(make(ramp()), ("4", "6"), 1, truth, report=seen.append)
    assert thresholds == [("4", "1:2"), ("6", "1:2")]
    assert found.differing == 2 * 4
    assert found.dice == (1.0, pytest.approx(2 * 3 / (3 + 5)))
    assert all(p.result is None for p in seen), "no report is taken for a result of the window's"


def test_nothing_is_scored_where_nothing_is_known(thresholds: list[tuple[str, str]]) -> None:
    assert compare_on_slice(make(ramp()), ("4", "6"), 1).dice == (None, None)
    empty = np.zeros((4, 10), np.uint8)
    assert compare_on_slice(make(ramp()), ("20", "6"), 0, empty).dice == (None, None)


def test_unlabelled_pixels_do_not_count(thresholds: list[tuple[str, str]]) -> None:
    truth = (ramp()[1] > 4).astype(np.uint8)
    truth[:, :7] = 255
    found = compare_on_slice(make(ramp()), ("4", "6"), 1, truth, unlabelled=255)
    assert found.dice == (1.0, 1.0)


def test_single_images_have_one_slice(thresholds: list[tuple[str, str]]) -> None:
    assert compare_on_slice(make(ramp()[1]), ("4", "6"), 0).differing == 8


def test_whole_stacks_are_compared_slice_by_slice(thresholds: list[tuple[str, str]]) -> None:
    data = np.stack([np.zeros((4, 10)), ramp()[1], ramp()[1]]).astype(np.uint8)
    seen: list[Progress] = []
    found = compare_models(make(data), ("4", "6"), options=SegmentOptions(), report=seen.append)
    assert [(s.name, s.differing, s.size) for s in found.slices] == [("0", 0, 40), ("1", 8, 40), ("2", 8, 40)]
    assert [s.between for s in found.slices] == [None, pytest.approx(0.75), pytest.approx(0.75)]
    assert found.between == {1: pytest.approx(0.75)}
    assert found.dice == (None, None)
    assert [(p.done, p.total) for p in seen] == [(0, 2), (1, 2), (1, 2), (2, 2)]
    assert all(p.result is None for p in seen)


def test_slices_without_a_result_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    def segment(image: Image, model: str, **_: Any) -> Labels:
        return Labels(np.zeros((3, 4, 10), np.uint8), (), image.geometry, missing=frozenset({int(model)}))

    monkeypatch.setattr(versus, "segment", segment)
    found = compare_models(make(ramp()), ("0", "2"), options=SegmentOptions())
    assert [s.name for s in found.slices] == ["1"]


def test_slides_and_truth_of_another_size_are_refused(thresholds: list[tuple[str, str]]) -> None:
    slide = replace(make(ramp()[1]), levels=(ramp()[1][::2, ::2],))
    with pytest.raises(InputError, match="on a slide"):
        compare_models(slide, ("4", "6"), options=SegmentOptions())
    other = Labels(np.zeros((4, 9), np.uint8), (), make(ramp()[1]).geometry)
    with pytest.raises(InputError, match="image's size"):
        compare_models(make(ramp()[1]), ("4", "6"), other, options=SegmentOptions())
