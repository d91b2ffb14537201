"""Words for slices."""

from __future__ import annotations

from napari_medseg.core import Finding
from napari_medseg.io.findings import alike, find_runs, name_runs


def test_runs_are_neighbours() -> None:
    assert find_runs((1, 2, 3, 7, 9, 10)) == [range(1, 4), range(7, 8), range(9, 11)]
    assert find_runs(()) == []


def test_runs_are_named_by_their_ends() -> None:
    assert name_runs([str(z) for z in range(12)], (3, 4, 5, 10)) == ["3-5", "10"]
    assert name_runs(["a1.png", "a2.png", "b.png", "c.png"], (0, 1, 3)) == ["a1.png to a2.png", "c.png"]


def test_findings_of_one_kind_are_one_line() -> None:
    told = [Finding("A", f"{k} values.") for k in range(3)] + [Finding("B", "Other.")]
    assert alike(told) == ["0 values. (and 2 more like it)", "Other."]
