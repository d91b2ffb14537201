"""Masks as large as slides: converted and compared in parts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_medseg import io
from napari_medseg.cli import targets
from napari_medseg.core import ClassInfo, Geometry
from napari_medseg.io.masks import large
from napari_medseg.io.outlines import trace_large
from napari_medseg.io.outlines.trace import trace_slice
from napari_medseg.io.zarr.labels import LabelPyramid

from .conftest import Run

SHAPE = (700, 4300)
CLASSES = (ClassInfo.numbered(1, "gland"), ClassInfo.numbered(2, "tumour"))


def drawn() -> np.ndarray:
    """Two groups of regions, one across the borders of chunks, and a part that was not computed."""
    values = np.zeros(SHAPE, np.uint8)
    values[480:560, 480:1100] = 1
    values[500:540, 700:800] = 2
    values[10:30, 4000:4100] = 2
    values[5:8, 5:8] = 1
    values[600:, 2000:2100] = 255
    return values


def write_labels(path: Path, values: np.ndarray) -> Path:
    geometry = Geometry(spacing=(0.0005, 0.0005), unit="mm")
    LabelPyramid.create(path, SHAPE, np.uint8, geometry, CLASSES, 255).put(slice(None), slice(None), values)
    return path


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    return write_labels(tmp_path / "labels.ome.zarr", drawn())


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Masks of this size are too large to be worked on as a whole, and reading all at once fails."""
    monkeypatch.setattr(large, "WHOLE", 1000)
    monkeypatch.setattr(large, "BAND", 256)

    def refuse(*args: Any, **rest: Any) -> Any:
        raise AssertionError("the whole mask was read")

    monkeypatch.setattr(io.masks.reading, "load_values", refuse)


@pytest.mark.usefixtures("in_parts")
def test_large_masks_are_converted_in_parts_and_keep_what_was_not_computed(
    run: Run, labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tif, again = tmp_path / "labels.ome.tif", tmp_path / "again.ome.zarr"
    assert run("convert", labels, tif).code == 0
    levels = LabelPyramid.open(labels).levels
    with tifffile.TiffFile(tif) as file:
        for ours, theirs in zip(file.series[0].levels, levels, strict=True):
            np.testing.assert_array_equal(ours.asarray(), theirs[:])
    assert run("convert", tif, again).code == 0
    found = large.open_large(again)
    assert found is not None
    np.testing.assert_array_equal(found.data[:, :], drawn())
    assert [(c.value, c.name) for c in found.classes] == [(1, "gland"), (2, "tumour")]
    assert found.not_computed == 255
    assert found.geometry.spacing == pytest.approx((0.0005, 0.0005))
    complete = write_labels(tmp_path / "complete.ome.zarr", np.where(drawn() == 255, 0, drawn()))
    assert run("convert", complete, tmp_path / "complete.ome.tif").code == 0
    converted = large.open_large(tmp_path / "complete.ome.tif")
    assert converted is not None
    assert converted.not_computed is None
    monkeypatch.setattr(targets, "WHOLE", 1000)
    refused = run("convert", labels, tmp_path / "labels.png")
    assert (refused.code, ".ome.zarr or .ome.tif" in refused.err) == (2, True)
    monkeypatch.setattr(targets, "WHOLE", 16_384)
    assert run("convert", labels, tmp_path / "labels.png").code == 0


def test_large_masks_are_outlined_group_by_group(
    run: Run, labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same outlines as of the whole."""
    assert run("convert", labels, tmp_path / "labels.geojson").code == 0
    features = json.loads((tmp_path / "labels.geojson").read_text())["features"]
    assert sorted(f["properties"]["classification"]["name"] for f in features) == [
        "gland", "gland", "not computed", "tumour", "tumour",
    ]  # fmt: skip

    def corners(regions: list[Any]) -> list[Any]:
        return sorted((r.value, [[ring.tolist() for ring in p] for p in r.polygons]) for r in regions)

    assert corners(trace_large.trace_large(drawn())) == corners(trace_slice(drawn()))
    monkeypatch.setattr(trace_large, "MOST_PIXELS", 1000**2)
    result = run("convert", labels, tmp_path / "other.geojson")
    assert (result.code, "too much to be outlined" in result.err) == (2, True)


def test_pixels_without_a_result_are_not_scored(
    run: Run, labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = np.where(drawn() == 255, 1, drawn())
    truth[490:500, 480:1100] = 0
    true = write_labels(tmp_path / "truth.ome.zarr", truth)
    command = ("evaluate", "--prediction", labels, "--truth", true, "--report", tmp_path / "report.json")
    figures = []
    for _ in range(2):
        result = run(*command, "--overwrite")
        assert result.code == 0, result.err
        assert "0.3 % of the pixels have no result" in result.out
        report = json.loads((tmp_path / "report.json").read_text())
        figures.append({(e["class_name"], e["metric"]): e["mean"] for e in report["summary"]})
        monkeypatch.setattr(large, "WHOLE", 1000)  # the second time in parts
    overlap = [key for key in figures[0] if key[1] in ("dice", "iou", "precision", "recall")]
    assert [figures[0][key] for key in overlap] == pytest.approx([figures[1][key] for key in overlap])
    assert figures[1]["tumour", "dice"] == 1
    assert figures[1]["gland", "hd95"] is None
    assert "Distances are not measured" in result.out
