"""``--gate`` and ``--report`` with a model that says whether a slice holds anything; ``evaluate`` with that report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from napari_medseg.io.sidecar import read_sidecar

from .conftest import Run, Threshold, threshold_model

LOW = 2
"""The slice that the model does not believe in."""


class Doubter(Threshold):
    """Also says how far the mean of a slice is above what the low slice's is."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
        return super().forward(x), 1000 * (x.mean((1, 2, 3)) - 0.17)[:, None]


@pytest.fixture
def doubter(monkeypatch: pytest.MonkeyPatch, series: Path) -> Path:
    """The series, in which slice `LOW` shows less; and the model."""
    pixels = np.full((48, 48), 40, np.uint8)
    pixels[10:12, 10:12] = 200
    Picture.fromarray(pixels).save(series / f"{LOW}.png")
    model = replace(threshold_model(presence=0.5), network=Doubter().eval())
    monkeypatch.setattr("napari_medseg.cli.segment.load_model", lambda reference: model)
    return series


def test_denied_slices_are_empty_and_the_report_has_all_answers(run: Run, doubter: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    result = run("segment", doubter, "--model", "any", "--output", tmp_path / "masks", "--report", report)
    assert result.code == 0, result.err
    assert not np.asarray(Picture.open(tmp_path / "masks" / f"{LOW}.png")).any()
    assert "1 of 6 slices were taken as empty" in result.err
    record = json.loads(report.read_text())
    assert [*record["presence"]] == [f"{z}.png" for z in range(6)]
    assert [p < 0.5 for p in record["presence"].values()] == [z == LOW for z in range(6)]
    assert [f["code"] for f in record["findings"]].count("TAKEN_AS_EMPTY") == 1
    assert record["positive"] == [f"{z}.png" for z in range(6) if z != LOW]
    assert "5 of 6 slices hold something: 0.png to 1.png, 3.png to 5.png" in result.out


def test_no_gate_keeps_the_mask(run: Run, doubter: Path, tmp_path: Path) -> None:
    result = run("segment", doubter, "--model", "any", "--output", tmp_path / "masks", "--no-gate")
    assert np.asarray(Picture.open(tmp_path / "masks" / f"{LOW}.png")).any()
    assert "taken as empty" not in result.err


def make_truth(masks: Path, truth: Path) -> Path:
    """The masks themselves, without what lies beside them."""
    truth.mkdir()
    for z in range(6):
        Picture.open(masks / f"{z}.png").save(truth / f"{z}.png")
    return truth


def test_evaluate_takes_the_answers_kept_beside_the_masks(run: Run, doubter: Path, tmp_path: Path) -> None:
    begun = ("segment", doubter, "--model", "any", "--output", tmp_path / "masks")
    assert run(*begun, "--shard", "1/2").code == 0
    (tmp_path / "masks" / "classes.json").unlink()  # as after a kill: what was said must not be lost
    assert run(*begun, "--shard", "2/2").code == 0
    assert run("segment", doubter, "--model", "any", "--output", tmp_path / "one.tif").code == 0
    truth, figures = make_truth(tmp_path / "masks", tmp_path / "truth"), tmp_path / "figures.json"
    for masks in ("masks", "one.tif"):
        result = run("evaluate", "--prediction", tmp_path / masks, "--truth", truth, "--report", figures, "--overwrite")
        assert "AUROC of the probabilities 1.0000" in result.out, result.err
        assert json.loads(figures.read_text())["detection"]["true_negative"] == 1
    kept = read_sidecar(tmp_path / "masks")
    assert kept is not None
    assert kept.threshold == 0.5
    assert [p < 0.5 for p in kept.presence.values()] == [z == LOW for z in range(6)]


def test_evaluate_takes_the_answers_from_that_report(run: Run, doubter: Path, tmp_path: Path) -> None:
    report, figures = tmp_path / "report.json", tmp_path / "figures.json"
    run("segment", doubter, "--model", "any", "--output", tmp_path / "masks", "--report", report)
    truth = make_truth(tmp_path / "masks", tmp_path / "truth")
    both = ("evaluate", "--prediction", tmp_path / "masks", "--truth", truth)
    result = run(*both, "--segment-report", report, "--report", figures)
    assert result.code == 0, result.err
    assert "AUROC of the probabilities 1.0000" in result.out
    assert json.loads(figures.read_text())["detection"]["true_negative"] == 1
    figures.unlink()
    assert "is no report of segment" in run(*both, "--segment-report", truth / "0.png").err
    other = tmp_path / "other.json"
    other.write_text('{"presence": {}, "threshold": 0.5, "outlined": true}')
    assert "tells nothing of the prediction's slices" in run(*both, "--segment-report", other).err


class Sayer(Doubter):
    """Outlines nothing, and is a little less sure than a half of all but the low slice."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
        mask, said = super().forward(x)
        return torch.zeros_like(mask), said.clamp(-3, -0.4)


@pytest.mark.parametrize("from_report", [False, True])
def test_a_slice_classifier_names_the_slices_and_is_scored_by_its_threshold(
    run: Run, doubter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, from_report: bool
) -> None:
    truth = tmp_path / "truth"
    run("segment", doubter, "--model", "any", "--output", tmp_path / "outlined")
    make_truth(tmp_path / "outlined", truth)
    model = replace(threshold_model(presence=0.3, architecture="classifier"), network=Sayer().eval())
    monkeypatch.setattr("napari_medseg.cli.segment.load_model", lambda reference: model)
    masks, report, figures = tmp_path / "masks", tmp_path / "report.json", tmp_path / "figures.json"
    result = run("segment", doubter, "--model", "any", "--output", masks, "--report", report)
    assert "5 of 6 slices hold something: 0.png to 1.png, 3.png to 5.png" in result.out
    assert result.err.count("outlines nothing") == 1
    assert "hold something" not in result.err
    assert json.loads(report.read_text())["positive"] == [f"{z}.png" for z in range(6) if z != LOW]
    if from_report:
        (masks / "classes.json").unlink()
    more = ("--segment-report", report) if from_report else ()
    result = run("evaluate", "--prediction", masks, "--truth", truth, "--report", figures, *more)
    assert result.code == 0, result.err
    assert "found 5, missed 0, falsely found 0, rightly empty 1" in result.out
    assert "Dice" not in result.out
    assert json.loads(figures.read_text())["rows"] == []
