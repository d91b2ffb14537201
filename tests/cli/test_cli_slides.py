"""``napari-medseg segment`` on slides: results that fill on disk."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

import napari_medseg.cli.slides as slide_run
from napari_medseg import io
from napari_medseg.cli import targets
from napari_medseg.core import Normalisation, Progress
from napari_medseg.inference.slides.ledger import Ledger
from napari_medseg.io.zarr.labels import LabelPyramid
from napari_medseg.models import Model

from .conftest import SLIDE_SHAPE, Run, contents, slide_pixels

FLAGS = ("--model", "any", "--tile", 256)

needs_model = pytest.mark.usefixtures("model")


def values(result: Path) -> np.ndarray:
    return np.asarray(LabelPyramid.open(result).levels[0])


@needs_model
def test_a_slide_fills_an_ome_zarr_and_the_report_says_how(run: Run, slide: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "out.ome.zarr", tmp_path / "report.json"
    result = run("segment", slide, *FLAGS, "--output", out, "--report", report)
    assert result.code == 0, result.err
    np.testing.assert_array_equal(values(out), slide_pixels() > 128)
    about = json.loads(report.read_text())
    assert f"Segmented {about['slide']['windows']} of {about['slide']['windows']} windows of slide.tif" in result.out
    assert about["slide"]["windows_done"] == about["slide"]["windows"] > 20
    assert (about["slide"]["tissue_share"], about["slide"]["unreadable"]) == (1, [])
    assert about["slide"]["windows_per_second"] > 0
    assert about["slide"]["settings"]["tile"]
    assert "CPU" in about["device"]
    again = run("segment", slide, *FLAGS, "--output", out)
    assert (again.code, "--resume" in again.err) == (2, True)
    assert run("segment", slide, *FLAGS, "--output", out, "--resume").code == 0
    assert run("segment", slide, *FLAGS, "--output", out, "--overwrite").code == 0


@needs_model
def test_a_folder_with_a_dicom_slide_is_segmented_as_a_slide(run: Run, tmp_path: Path) -> None:
    from made_up_dicom_slides import write_dicom_slide

    pytest.importorskip("openslide", reason="OpenSlide is not installed")
    color, out = np.repeat(slide_pixels()[..., None], 3, axis=2), tmp_path / "out.ome.zarr"
    write_dicom_slide(tmp_path / "slide", [color, color[::2, ::2]], tile=(256, 256))
    result = run("segment", tmp_path / "slide", *FLAGS, "--output", out)
    assert result.code == 0, result.err
    np.testing.assert_array_equal(values(out), slide_pixels() > 128)


@needs_model
def test_ctrl_c_keeps_what_is_done_and_resume_ends_in_the_same_file(
    run: Run, slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G2, W3: an OME-TIFF is made of a hidden OME-Zarr at the end."""
    out, report, watching = tmp_path / "out.ome.tif", tmp_path / "report.json", slide_run.Count.watching

    def pressing(count: slide_run.Count, reporter: Any) -> Any:
        def press(progress: Progress) -> None:
            if progress.total and progress.done > progress.total // 2:
                signal.raise_signal(signal.SIGINT)
            reporter(progress)

        return watching(count, press)

    with monkeypatch.context() as patch:
        patch.setattr(slide_run.Count, "watching", pressing)
        result = run("segment", slide, *FLAGS, "--output", out, "--report", report)
    assert (result.code, "--resume" in result.err, out.exists()) == (130, True, False), result.err
    record = json.loads(report.read_text())
    assert record["cancelled"]
    assert 0 < record["slide"]["windows_done"] < record["slide"]["windows"]
    refused = run("segment", slide, *FLAGS, "--output", out)
    assert (refused.code, "was begun before" in refused.err) == (2, True)
    assert run("segment", slide, *FLAGS, "--output", out, "--resume").code == 0
    np.testing.assert_array_equal(io.read_labels(out).data, slide_pixels() > 128)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    assert "all of it was done" in run("segment", slide, *FLAGS, "--output", out, "--resume").out


@needs_model
def test_shards_of_a_slide_fill_one_result(run: Run, slide: Path, tmp_path: Path) -> None:
    whole, shared = tmp_path / "whole.ome.zarr", tmp_path / "shared.ome.zarr"
    assert run("segment", slide, *FLAGS, "--output", whole).code == 0
    for part in ("2/2", "1/2"):
        assert run("segment", slide, *FLAGS, "--output", shared, "--shard", part).code == 0
    assert contents(shared) == contents(whole)
    refused = run("segment", slide, *FLAGS, "--output", tmp_path / "out.tif", "--shard", "1/2")
    assert (refused.code, "only OME-Zarr is written in parts" in refused.err) == (2, True)


@needs_model
def test_a_second_run_on_a_slide_is_refused_with_who_holds_it(run: Run, slide: Path, tmp_path: Path) -> None:
    """W6."""
    out = tmp_path / "out.ome.zarr"
    with Ledger(out).held():
        result = run("segment", slide, *FLAGS, "--output", out)
    assert (result.code, f"process {os.getpid()} on" in result.err) == (2, True), result.err


@needs_model
def test_only_what_outlines_enclose_and_a_mask_marks_is_computed(run: Run, slide: Path, tmp_path: Path) -> None:
    out, outlines, mask = tmp_path / "out.ome.zarr", tmp_path / "inside.geojson", tmp_path / "tissue.png"
    square = [[0, 0], [1100, 0], [1100, 700], [0, 700], [0, 0]]
    hole = [[100, 100], [300, 100], [300, 300], [100, 300], [100, 100]]
    shape = {"type": "Polygon", "coordinates": [square, hole]}
    feature = {"type": "Feature", "geometry": shape, "properties": {"classification": {"name": "tumour"}}}
    outlines.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    marked = np.zeros((130, 150), np.uint8)
    marked[:20] = 255
    Picture.fromarray(marked).save(mask)
    report = tmp_path / "report.json"
    chosen = ("--inside", outlines, "--tissue-mask", mask)
    result = run("segment", slide, *FLAGS, "--output", out, *chosen, "--report", report)
    assert result.code == 0, result.err
    found, expected = values(out), slide_pixels() > 128
    inside = np.zeros(SLIDE_SHAPE, bool)
    inside[:700, :1100] = True
    inside[100:300, 100:300] = False
    assert (found[~inside] == 255).all(), "not computed, which is not background"
    np.testing.assert_array_equal(found[:200][inside[:200]], expected[:200][inside[:200]])
    assert not found[500:][inside[500:]].any(), "background by the mask"
    about = json.loads(report.read_text())
    assert about["slide"]["tissue_share"] == pytest.approx(20 / 130)
    [(name, shares)] = about["tissue"].items()
    there = inside[:200].sum()
    assert name == slide.name
    [(kind, area)] = shares["areas"].items()
    assert area / shares["tissue"] == pytest.approx(expected[:200][inside[:200]].sum() / there)
    assert f"Of the tissue: {kind} " in result.out
    Picture.fromarray(marked[:, :90]).save(mask)
    result = run("segment", slide, *FLAGS, "--output", tmp_path / "other.ome.zarr", *chosen)
    assert (result.code, "proportions" in result.err) == (2, True)


@needs_model
@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--output", "m.png"), ".ome.zarr or .ome.tif"),
        (("--output", "m"), ".ome.zarr or .ome.tif"),
        (("--output", "m.nii.gz"), ".ome.zarr or .ome.tif"),
        (("--output", "m.ome.zarr", "--probabilities", "p.npz"), "--probabilities"),
        (("--output", "m.ome.zarr", "--suggest", "3"), "--suggest"),
        (("--output", "m.ome.zarr", "--cluster", "tcp://nowhere:1", "--shard", "1/2"), "--shard"),
        (("--output", "m.ome.zarr", "--no-tissue", "--tissue-mask", "slide.tif"), "--no-tissue"),
        (("--output", "m.ome.zarr", "--overwrite", "--resume"), "--overwrite"),
        (("--output", "m.ome.zarr", "--fill-holes"), "holes"),
    ],
)
def test_what_a_slide_cannot_have_is_refused_before_any_work(
    run: Run, slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], said: str
) -> None:
    """W1, W5."""
    monkeypatch.setattr(targets, "WHOLE", 1000)
    monkeypatch.chdir(tmp_path)
    result = run("segment", slide, "--model", "any", *flags)
    assert (result.code, said in result.err, "Traceback" in result.err) == (2, True, False), result.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["slide.tif"]


@needs_model
def test_large_images_become_png_too_and_series_have_no_slide_flags(
    run: Run, slide: Path, series: Path, tmp_path: Path
) -> None:
    assert run("segment", slide, *FLAGS, "--output", tmp_path / "m.png").code == 0
    np.testing.assert_array_equal(io.read_labels(tmp_path / "m.png").data, slide_pixels() > 128)
    folder = tmp_path / "images"
    folder.mkdir()
    Picture.fromarray(np.tile(slide_pixels()[:50], 3)).save(folder / "large.png")
    Picture.fromarray(slide_pixels()[:50]).save(folder / "small.png")
    assert run("segment", folder, *FLAGS, "--output", tmp_path / "set").code == 0
    assert io.read_labels(tmp_path / "set" / "large.png").data.shape == (50, 4500)
    assert sorted(p.name for p in (tmp_path / "set").iterdir() if p.suffix != ".json") == ["large.png", "small.png"]
    result = run("segment", series, "--model", "any", "--output", tmp_path / "masks", "--inside", slide)
    assert (result.code, "--inside is for slides" in result.err) == (2, True)


def test_a_resumed_slide_takes_no_other_model(
    run: Run, slide: Path, tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """M11."""
    out = tmp_path / "out.ome.zarr"
    assert run("segment", slide, *FLAGS, "--output", out, "--shard", "1/2").code == 0
    card = model.card
    for change in ({"sha256": "1" * 64}, {"normalisation": Normalisation(low=20)}):
        object.__setattr__(model, "card", card.model_copy(update=change))
        result = run("segment", slide, *FLAGS, "--output", out, "--shard", "2/2")
        assert (result.code, "begun with" in result.err) == (2, True)
