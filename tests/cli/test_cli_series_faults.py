"""A folder of masks that is killed, shared, or whose image changes while it fills."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from PIL import Image as Picture

import napari_medseg.cli.series as series_run
from napari_medseg import io
from napari_medseg.cli.claims import at_work, claimed
from napari_medseg.core import Progress

from .conftest import Run, bright_square

needs_model = pytest.mark.usefixtures("model")


@needs_model
def test_a_second_run_on_the_same_masks_is_refused_with_who_holds_them(
    run: Run, series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W6: and shards of one folder run side by side."""
    out, refused, whole = tmp_path / "masks", [], series_run.segment_image
    command = ("segment", series, "--model", "any", "--output", out)

    def segment_and_meet_others(*args: object, **rest: object) -> object:
        with monkeypatch.context() as patch:
            patch.setattr(series_run, "segment_image", whole)
            for others in ((), ("--overwrite",), ("--resume",), ("--shard", "1/3"), ("--shard", "2/4")):
                refused.append(run(*command, *others))
            assert run(*command, "--shard", "2/2").code == 0
        return whole(*args, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(series_run, "segment_image", segment_and_meet_others)
    assert run(*command, "--shard", "1/2").code == 0
    for result in refused:
        assert (result.code, f"process {os.getpid()} on {socket.gethostname()} since" in result.err) == (2, True)
    assert not io.read_labels(out).missing
    assert not at_work(out, folder=True)
    assert not list(out.glob(".*"))


@needs_model
def test_a_second_run_on_the_same_file_is_refused(run: Run, series: Path, tmp_path: Path) -> None:
    """W6: the first would find its place taken after all its work."""
    out = tmp_path / "masks.tif"
    with claimed(out, range(6), folder=False):
        result = run("segment", series, "--model", "any", "--output", out, "--overwrite")
    assert (result.code, f"process {os.getpid()}" in result.err) == (2, True)
    assert run("segment", series, "--model", "any", "--output", out).code == 0
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == ["masks.tif", "masks.tif.classes.json"]


@needs_model
def test_resuming_on_a_changed_image_is_refused(run: Run, series: Path, tmp_path: Path) -> None:
    """S10: masks of two images never mix in one folder, whichever of many files changed."""
    for z in range(6, 90):
        Picture.fromarray(bright_square(z % 30)).save(series / f"{z}.png")
    command = ("segment", series, "--model", "any", "--output", tmp_path / "masks")
    assert run(*command, "--slices", "0:3").code == 0
    status = (series / "40.png").stat()
    os.utime(series / "40.png", ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))
    result = run(*command, "--resume", "--slices", "3:5")
    assert (result.code, "have changed since" in result.err) == (2, True)
    assert len(list((tmp_path / "masks").glob("*.png"))) == 3


@needs_model
@pytest.mark.parametrize("target", ["masks", "masks.tif"])
def test_a_file_that_changes_during_the_run_ends_it_and_keeps_what_was_finished(
    run: Run, series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    """S10."""
    whole = series_run.segment_image

    def meddling(*args: object, report, **rest: object) -> object:  # type: ignore[no-untyped-def]
        def change(progress: Progress) -> None:
            if progress.region == (2,):
                (series / "3.png").write_bytes((series / "0.png").read_bytes() + b"more")
            report(progress)

        return whole(*args, report=change, batch=1, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(series_run, "segment_image", meddling)
    result = run("segment", series, "--model", "any", "--output", tmp_path / target)
    assert (result.code, "3.png has changed while" in result.err) == (2, True), result.err
    assert io.read_labels(tmp_path / target).missing == {3, 4, 5}


@needs_model
def test_names_that_are_too_long_for_masks_are_refused_before_any_work(
    run: Run, series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W1: a mask is written under a longer, temporary name first."""
    monkeypatch.setattr(series_run, "segment_image", None)
    (series / "5.png").rename(series / f"{'x' * 240}5.png")
    command = ("segment", series, "--model", "any", "--output")
    for target in ("masks", f"{'m' * 245}.tif"):
        result = run(*command, tmp_path / target, "--series", "*")
        assert (result.code, "too long" in result.err) == (2, True), result.err
        assert [p.name for p in tmp_path.iterdir()] == ["slices"]
