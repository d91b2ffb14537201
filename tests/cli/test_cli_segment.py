"""``napari-medseg segment`` end to end with a model that is one threshold."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image as Picture

import napari_medseg.cli.segment as command
import napari_medseg.cli.series as series_run
from napari_medseg import io
from napari_medseg.cli.masks import MaskFolder
from napari_medseg.cli.series import runs
from napari_medseg.core import ClassInfo, ComputeError, Geometry, Image, Labels, Normalisation, Progress
from napari_medseg.inference import choice, runner
from napari_medseg.inference.device import Precision
from napari_medseg.inference.passes import Passes
from napari_medseg.models import Model

from .conftest import SIZE, Run, bright_square, threshold_model

pytestmark = pytest.mark.usefixtures("model")


def mask(path: Path) -> np.ndarray:
    return np.asarray(Picture.open(path))


def segment_until(stop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Press Ctrl-C while slice ``stop`` is on its way."""
    whole = series_run.segment_image

    def interrupted(image: Image, model: Model, options: object, *, report, **rest) -> Labels:  # type: ignore[no-untyped-def]
        def press(progress: Progress) -> None:
            if progress.result is not None and progress.region == (stop,):
                signal.raise_signal(signal.SIGINT)
            report(progress)

        return whole(image, model, options, report=press, batch=1, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(series_run, "segment_image", interrupted)


def test_folder_gets_masks_named_as_the_slices(run: Run, series: Path, tmp_path: Path) -> None:
    result = run("segment", series, "--model", "any", "--output", tmp_path / "masks")
    assert result.code == 0, result.err
    assert "Segmented 6 slices" in result.out
    for z in range(6):
        np.testing.assert_array_equal(mask(tmp_path / "masks" / f"{z}.png"), bright_square(z) > 128)
    labels = io.read_labels(tmp_path / "masks")
    assert [c.name for c in labels.classes] == ["bright"]
    assert not labels.missing


def test_what_should_be_known_of_a_series_is_told_once(run: Run, series: Path, tmp_path: Path) -> None:
    result = run("segment", series, "--model", "any", "--output", tmp_path / "masks")
    assert (result.code, result.err.count("do not tell their pixel size")) == (0, 1), result.err


def test_file_suffix_names_the_format(run: Run, series: Path, tmp_path: Path) -> None:
    assert run("segment", series, "--model", "any", "--output", tmp_path / "masks.tif").code == 0
    assert io.read_labels(tmp_path / "masks.tif").data.shape == (6, 48, 48)


def test_report_says_what_was_done(run: Run, series: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    out = tmp_path / "masks"
    result = run(
        "segment", series, "--model", "any", "--output", out, "--report", report, "--slices", "1:3", "--device", "cpu"
    )
    assert result.code == 0, result.err
    record = json.loads(report.read_text())
    assert (record["model"], record["sha256"]) == ("threshold@1", "0" * 64)
    assert (record["slices"], record["missing"]) == (2, ["0.png", "3.png", "4.png", "5.png"])
    assert record["options"]["slices"] == "1:3"
    assert "CPU" in record["device"].upper()
    assert record["seconds"] > 0
    assert not record["cancelled"]


def test_existing_output_is_refused_before_any_work(
    run: Run, series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W5: the output exists."""
    monkeypatch.setattr(command, "load_model", None)
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "0.png").write_bytes(b"mine")
    result = run("segment", series, "--model", "any", "--output", tmp_path / "masks")
    assert result.code == 2
    assert "is not empty" in result.err
    assert "--overwrite" in result.err
    assert (tmp_path / "masks" / "0.png").read_bytes() == b"mine"
    (tmp_path / "masks.tif").write_bytes(b"mine")
    assert run("segment", series, "--model", "any", "--output", tmp_path / "masks.tif").code == 2


def test_overwrite_replaces_masks_but_never_the_input_or_other_images(run: Run, series: Path, tmp_path: Path) -> None:
    out = tmp_path / "masks"
    assert run("segment", series, "--model", "any", "--output", out).code == 0
    assert run("segment", series, "--model", "any", "--output", out, "--overwrite", "--slices", "0:2").code == 0
    assert io.read_labels(out).missing == {2, 3, 4, 5}
    before = (series / "0.png").read_bytes()
    result = run("segment", series, "--model", "any", "--output", series, "--overwrite")
    assert (result.code, (series / "0.png").read_bytes()) == (2, before)
    Picture.fromarray(bright_square(0)).save(out / "portrait.png")
    result = run("segment", series, "--model", "any", "--output", out, "--overwrite")
    assert result.code == 2
    assert "portrait.png" in result.err


def test_cancel_keeps_finished_slices_and_resume_does_the_rest(
    run: Run, series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G2, W3: Ctrl-C in the middle."""
    out, report = tmp_path / "masks", tmp_path / "report.json"
    with monkeypatch.context() as patch:
        segment_until(2, patch)
        result = run("segment", series, "--model", "any", "--output", out, "--report", report)
    assert result.code == 130
    assert "Cancelled" in result.err
    assert sorted(p.name for p in out.glob("*.png")) == ["0.png", "1.png", "2.png"]
    assert io.read_labels(out).missing == {3, 4, 5}
    assert json.loads(report.read_text())["missing"] == ["3.png", "4.png", "5.png"]
    kept = (out / "1.png").stat().st_mtime_ns
    assert run("segment", series, "--model", "any", "--output", out, "--resume").code == 0
    assert (out / "1.png").stat().st_mtime_ns == kept
    whole = tmp_path / "whole"
    assert run("segment", series, "--model", "any", "--output", whole).code == 0
    for z in range(6):
        assert (out / f"{z}.png").read_bytes() == (whole / f"{z}.png").read_bytes()
    assert not io.read_labels(out).missing


def test_cancel_writes_finished_slices_to_a_file_too(
    run: Run, series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment_until(1, monkeypatch)
    assert run("segment", series, "--model", "any", "--output", tmp_path / "m.tif").code == 130
    assert io.read_labels(tmp_path / "m.tif").missing == {2, 3, 4, 5}


def test_resume_with_another_model_or_other_options_is_refused(
    run: Run, series: Path, tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """M11: the model changes between start and resume."""
    out = tmp_path / "masks"
    assert run("segment", series, "--model", "any", "--output", out, "--slices", "0:2").code == 0
    result = run("segment", series, "--model", "any", "--output", out, "--resume", "--fill-holes")
    assert (result.code, "fill_holes" in result.err) == (2, True)
    renamed = {"classes": (ClassInfo.numbered(1, "other"),)}  # the same weights, but what they mean is not the same
    for change in ({"sha256": "1" * 64}, renamed, {"normalisation": Normalisation(low=20)}):
        other = replace(model, card=model.card.model_copy(update=change))
        monkeypatch.setattr(command, "load_model", lambda reference, other=other: other)
        result = run("segment", series, "--model", "any", "--output", out, "--resume")
        assert (result.code, "another model" in result.err) == (2, True)
    assert not (out / "2.png").exists()


@dataclass
class Probe:
    """Stands for what is measured before a run: number format and batch. Notes what went through the network."""

    precision: str = "bf16"
    batch: int = 2
    used: set[tuple[str, int]] = field(default_factory=set)

    def take(self) -> set[tuple[str, int]]:
        """Number formats and batches since the last time."""
        used, self.used = self.used, set()
        return used


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> Probe:
    made, whole = Probe(), Passes.both

    def spy(self: Passes, patches: Any, device: Any, precision: str) -> Any:
        made.used.add((precision, len(patches)))
        return whole(self, patches, device, precision)

    monkeypatch.setattr(Passes, "both", spy)
    monkeypatch.setattr(choice, "pick_precision", lambda *_: Precision(made.precision))
    monkeypatch.setattr(runner, "choose_batch", lambda *_: made.batch)
    return made


def test_what_a_run_has_settled_on_holds_when_it_is_resumed_and_for_its_other_parts(
    run: Run, series: Path, tmp_path: Path, probe: Probe
) -> None:
    """The last pixel may hang on number format and batch, which are measured, so each time perhaps others."""
    out, noted = tmp_path / "masks", tmp_path / "masks" / "segment.json"
    command = ("segment", series, "--model", "any", "--device", "cpu", "--output", out)
    assert run(*command, "--slices", "0:2").code == 0
    assert probe.take() == {("bf16", 2)}
    settled = json.loads(noted.read_text())["settled"]
    assert settled == {"device": "cpu", "precision": "bf16", "batch": 2, "tile": 64}
    probe.precision, probe.batch = "fp32", 1
    assert run(*command, "--resume", "--slices", "0:4").code == 0
    assert run(*command, "--shard", "6/6").code == 0
    assert probe.take() == {("bf16", 2), ("bf16", 1)}, "and one alone"
    assert json.loads(noted.read_text())["settled"] == settled
    noted.write_text(json.dumps({**json.loads(noted.read_text()), "settled": {**settled, "device": "cuda"}}))
    assert run(*command, "--resume").code == 0
    assert probe.take() == {("fp32", 1)}, "on another kind of device nothing is the same anyway"


def test_parts_that_begin_at_once_settle_on_one_way(
    run: Run, series: Path, tmp_path: Path, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "masks"
    command = ("segment", series, "--model", "any", "--device", "cpu", "--output", out, "--shard")
    assert run(*command, "1/2").code == 0
    settled, settle, looks, tried = MaskFolder.settled, MaskFolder._settle, [{}], []
    # As if it had looked before the other one had settled.
    monkeypatch.setattr(MaskFolder, "settled", lambda self: looks.pop() if looks else settled(self))

    def note(self: MaskFolder, chosen: Any) -> None:
        assert not (out / "3.png").exists()
        tried.append(probe.take())
        settle(self, chosen)

    monkeypatch.setattr(MaskFolder, "_settle", note)
    probe.take()
    probe.precision = "fp32"
    assert run(*command, "2/2").code == 0
    assert [{name for name, _ in used} for used in (*tried, probe.take())] == [{"fp32"}, {"bf16"}]
    assert not io.read_labels(out).missing
    assert sorted(p.name for p in out.iterdir() if p.name.startswith(".")) == []


def test_shards_fill_one_folder(run: Run, series: Path, tmp_path: Path) -> None:
    out = tmp_path / "masks"
    for part, count in (("2/4", 1), ("1/4", 2), ("4/4", 5), ("3/4", 6)):
        assert run("segment", series, "--model", "any", "--output", out, "--shard", part).code == 0
        assert len(list(out.glob("*.png"))) >= count
    assert not io.read_labels(out).missing
    assert run("segment", series, "--model", "any", "--output", out, "--shard", "5/4").code == 2


def test_images_of_different_sizes_get_one_mask_each(run: Run, images: Path, tmp_path: Path) -> None:
    """S1: a folder of images of different sizes is a set of single images."""
    out = tmp_path / "masks"
    assert run("segment", images, "--model", "any", "--output", out).code == 0
    assert mask(out / "hip.png").shape == (48, 48)
    np.testing.assert_array_equal(mask(out / "knee.png"), bright_square(3, size=70) > 128)
    result = run("segment", images, "--model", "any", "--output", tmp_path / "masks.tif")
    assert (result.code, "different sizes" in result.err) == (2, True)


def test_unreadable_image_of_a_set_is_told_and_the_others_are_done(run: Run, images: Path, tmp_path: Path) -> None:
    """F1: a truncated file."""
    (images / "broken.png").write_bytes((images / "hip.png").read_bytes()[:60])
    result = run("segment", images, "--model", "any", "--output", tmp_path / "masks")
    assert result.code == 0
    assert "broken.png" in result.err
    assert sorted(p.name for p in (tmp_path / "masks").glob("*.png")) == ["hip.png", "knee.png"]


def test_images_that_a_folder_holds_beside_numbered_ones_are_told(run: Run, tmp_path: Path) -> None:
    """Of different sizes, so that they are a set and no series."""
    (tmp_path / "images").mkdir()
    for name, size in (("g0", 40), ("g1", 41), ("legend", 30)):
        Picture.fromarray(bright_square(0, size=size)).save(tmp_path / "images" / f"{name}.png")
    result = run("segment", tmp_path / "images", "--model", "any", "--output", tmp_path / "masks")
    assert "1 image not of the series, such as legend.png, left out." in result.err
    assert sorted(p.name for p in (tmp_path / "masks").glob("*.png")) == ["g0.png", "g1.png"]
    [told] = [f for image in io.read_set(tmp_path / "images") for f in image.findings if f.code == "OTHER_FILES"]
    assert told.files == ("legend.png",)


def test_a_series_that_is_not_for_the_model_leaves_nothing_behind(run: Run, tmp_path: Path) -> None:
    (tmp_path / "series").mkdir()
    for z in range(2):
        colours = np.random.default_rng(z).integers(0, 255, (40, 40, 3), np.uint8)
        Picture.fromarray(colours).save(tmp_path / "series" / f"{z}.png")
    result = run("segment", tmp_path / "series", "--model", "any", "--output", tmp_path / "masks")
    assert (result.code, "needs grey, this is RGB" in result.err) == (2, True)
    assert not (tmp_path / "masks").exists()


def test_image_of_a_set_that_is_not_for_the_model_is_told_and_the_others_are_done(
    run: Run, images: Path, tmp_path: Path
) -> None:
    colours = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    Picture.fromarray(colours).save(images / "ankle.png")
    result = run("segment", images, "--model", "any", "--output", tmp_path / "masks", "--report", tmp_path / "r.json")
    assert result.code == 0, result.err
    assert "No result for 1 slice: ankle.png" in result.err
    told = {one["code"]: one["files"] for one in json.loads((tmp_path / "r.json").read_text())["findings"]}
    assert told["NOT_FOR_MODEL"] == ["ankle.png"]
    assert sorted(p.name for p in (tmp_path / "masks").glob("*.png")) == ["hip.png", "knee.png"]
    for name in ("hip", "knee"):
        (images / f"{name}.png").unlink()
    Picture.fromarray(colours[:30]).save(images / "elbow.png")
    result = run("segment", images, "--model", "any", "--output", tmp_path / "none")
    assert (result.code, "None of the 2 images in" in result.err) == (2, True)
    assert "needs grey, this is RGB" in result.err


def test_probabilities_are_written(run: Run, series: Path, tmp_path: Path) -> None:
    chances = tmp_path / "chances.npz"
    assert run("segment", series, "--model", "any", "--output", tmp_path / "m", "--probabilities", chances).code == 0
    with np.load(chances) as stored:
        assert stored["probabilities"].shape == (1, 6, 48, 48)
        assert stored["classes"].tolist() == ["bright"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--output", "m.xyz"), "suffix"),
        (("--output", "m.tif", "--resume"), "--resume"),
        (("--output", "m", "--overwrite", "--resume"), "--overwrite"),
        (("--output", "m", "--probabilities", "p.tif"), ".npz"),
        (("--output", "m", "--slices", "4:99"), "4:99"),
        (("--output", "m", "--overlap", "0.9"), "overlap"),
        (("--output", "m", "--tta", "mirrors"), "tta"),
    ],
)
def test_bad_settings_are_one_sentence_and_exit_2(
    run: Run, series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("segment", series, "--model", "any", *arguments)
    assert result.code == 2
    assert said in result.err
    assert "Traceback" not in result.err
    assert len(result.err.strip().splitlines()) <= 2
    assert not (tmp_path / "m").exists() or not list((tmp_path / "m").glob("*.png"))


def test_runs_are_ranges_without_gaps() -> None:
    assert list(runs([0, 1, 2, 5, 6, 9])) == [range(0, 3), range(5, 7), range(9, 10)]
    assert list(runs([0, 1, 5], frozenset({5}))) == [range(0, 2)]
    assert list(runs([])) == []


def test_unreadable_slice_is_missing_and_told(run: Run, series: Path, tmp_path: Path) -> None:
    """F1: a truncated file counts as missing; nothing is written for it."""
    (series / "3.png").write_bytes((series / "3.png").read_bytes()[:70])
    out = tmp_path / "masks"
    result = run("segment", series, "--model", "any", "--output", out)
    assert result.code == 0
    assert "3.png" in result.err
    assert not (out / "3.png").exists()
    assert io.read_labels(out).missing == {3}


def test_single_image_into_folder_and_file(run: Run, images: Path, tmp_path: Path) -> None:
    for target in (tmp_path / "masks", tmp_path / "hip.png"):
        assert run("segment", images / "hip.png", "--model", "any", "--output", target).code == 0
    assert (tmp_path / "hip.png").read_bytes() == (tmp_path / "masks" / "hip.png").read_bytes()


def test_failure_midway_keeps_finished_slices(
    run: Run, series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C1: the work fails after some slices; --resume does the others."""
    whole = series_run.segment_image

    def failing(*args: object, report, **rest: object) -> Labels:  # type: ignore[no-untyped-def]
        def fail(progress: Progress) -> None:
            report(progress)
            if progress.region == (1,):
                raise ComputeError("Out of memory.", "Use a smaller tile.")

        return whole(*args, report=fail, batch=1, **rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(series_run, "segment_image", failing)
        result = run("segment", series, "--model", "any", "--output", tmp_path / "masks")
    assert (result.code, "Out of memory" in result.err) == (1, True)
    assert io.read_labels(tmp_path / "masks").missing == {2, 3, 4, 5}
    assert run("segment", series, "--model", "any", "--output", tmp_path / "masks", "--resume").code == 0
    assert not io.read_labels(tmp_path / "masks").missing


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (("--output", "m.png"), "can hold one slice, there are 6"),
        (("--output", "slices/m.tif"), "among the images of the input"),
        (("--output", "file/m"), "Not a directory"),
        (("--output", "file/m.tif"), "Not a directory"),
        (("--output", "m", "--report", "file/r.json"), "Not a directory"),
        (("--output", "m", "--probabilities", "file/p.npz"), "Not a directory"),
        (("--output", "m.jpg"), "are not written"),
        (("--output", "m.seg.dcm"), "needs the DICOM series it belongs to, and 0.png is no DICOM file"),
        (("--output", "n.tif"), "n.tif.classes.json exists already"),
        (("--output", "m", "--batch", "0"), "batch: must be auto or 1 to"),
    ],
)
def test_what_cannot_be_written_is_refused_before_any_work(
    run: Run, series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: tuple[str, ...], said: str
) -> None:
    """W1, W5: minutes of work are never done for a place that turns out wrong."""
    monkeypatch.setattr(series_run, "segment_image", None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "n.tif.classes.json").touch()
    before = sorted(tmp_path.rglob("*"))
    result = run("segment", series, "--model", "any", *target)
    assert (result.code, said in result.err) == (2, True), result.err
    assert len(result.err.strip().splitlines()) == 2
    assert sorted(tmp_path.rglob("*")) == before


def test_a_file_that_cannot_hold_uneven_slices_says_so(run: Run, tmp_path: Path) -> None:
    """D7: an even grid is what other programs would take the slices to lie on."""
    pixels = np.stack([bright_square(z) for z in range(3)])
    places = tuple((z, 0.0, 0.0) for z in (0.0, 3.0, 10.0))
    geometry = Geometry(spacing=(3.0, 1.0, 1.0), origin=places[0], positions=places, unit="mm")
    io.write(tmp_path / "ct.ome.zarr", Labels(pixels, (), geometry))
    for name, told in (("a.nii.gz", True), ("b.ome.zarr", False), ("masks", False)):
        result = run("segment", tmp_path / "ct.ome.zarr", "--model", "any", "--output", tmp_path / name)
        assert (result.code, f"unevenly, which {name} cannot say" in result.err) == (0, told), result.err
    result = run("convert", tmp_path / "b.ome.zarr", tmp_path / "c.nrrd")
    assert (result.code, "DICOM SEG" in result.out) == (0, True), result.err


def test_one_of_several_series_is_chosen_and_its_spacing_given(run: Run, series: Path, tmp_path: Path) -> None:
    """S6: what the error advises can be done on the command line."""
    for z in range(6):
        Picture.fromarray(bright_square(z)).save(series / f"b-{z}.png")
        (series / f"{z}.png").rename(series / f"a-{z}.png")
    command = ("segment", series, "--model", "any", "--output", tmp_path / "masks")
    result = run(*command)
    assert (result.code, "--series" in result.err) == (2, True)
    result = run(*command, "--series", "b-", "--spacing", "3", "0.5", "0.5")
    assert (result.code, "pixel size" in result.err) == (0, False), result.err
    assert sorted(p.name for p in (tmp_path / "masks").glob("*.png")) == [f"b-{z}.png" for z in range(6)]
    assert io.read_labels(tmp_path / "masks").geometry.spacing == (3, 0.5, 0.5)
    bad = run(*command[:-1], tmp_path / "other", "--series", "b-", "--spacing", "3", "-1", "0.5")
    assert (bad.code, "Spacing" in bad.err) == (2, True)
    assert run(*command[:-1], tmp_path / "other", "--series", "c-").code == 2


@pytest.fixture
def two_sequences(tmp_path: Path) -> Path:
    """A folder of two patients, each a file of four axes: the bright squares, and another sequence."""
    folder = tmp_path / "patients"
    folder.mkdir()
    first = np.stack([bright_square(z) for z in range(3)])
    for name, size in (("anna", SIZE), ("carl", SIZE - 2)):
        data = np.stack([first, 255 - first])[..., :size]
        nib.save(nib.Nifti1Image(data.transpose(), np.diag([1.0, 1, 3, 1])), folder / f"{name}.nii.gz")
    return folder


def test_sequences_in_one_file_are_segmented_together(
    run: Run, two_sequences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Channels by the file's own word, by --series all of one file, and of each file of a folder."""
    both = threshold_model(channels=2)
    monkeypatch.setattr("napari_medseg.cli.segment.load_model", lambda reference: both)
    wanted = np.stack([bright_square(z) for z in range(3)]) > 100
    np.save(tmp_path / "own.npy", np.stack([wanted * 200, 255 - wanted * 200], axis=-1).astype(np.uint8))
    anna = two_sequences / "anna.nii.gz"
    for source, more in ((tmp_path / "own.npy", ()), (anna, ("--series", "all"))):
        target = tmp_path / f"{source.stem}.nii.gz"
        result = run("segment", source, "--model", "any", "--output", target, *more)
        assert result.code == 0, result.err
        np.testing.assert_array_equal(io.read_labels(target).data, wanted)
    command = ("segment", two_sequences, "--model", "any", "--output", tmp_path / "masks")
    result = run(*command, "--series", "all")
    assert result.code == 0, result.err
    np.testing.assert_array_equal(io.read_labels(tmp_path / "masks" / "carl.tif").data, wanted[..., : SIZE - 2])
    result = run("segment", anna, "--model", "any", "--output", tmp_path / "other")
    assert (result.code, '"all"' in result.err) == (2, True)


@pytest.fixture
def sequence_files(tmp_path: Path) -> Path:
    """Two cases, each sequence in a file of its own: the bright squares, and what is dark where they are bright."""
    folder = tmp_path / "imagesTs"
    folder.mkdir()
    first = np.stack([bright_square(z) for z in range(3)])
    for name, size in (("anna", SIZE), ("carl", SIZE - 2)):
        for channel, data in enumerate((255 - first, first)):
            image = nib.Nifti1Image(data[..., :size].transpose(), np.diag([1.0, 1, 3, 1]))
            nib.save(image, folder / f"{name}_000{channel}.nii.gz")
    return folder


@pytest.fixture
def of_two(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of two channels; it looks at the first."""
    both = threshold_model(channels=2)
    monkeypatch.setattr("napari_medseg.cli.segment.load_model", lambda reference: both)


@pytest.mark.usefixtures("of_two")
def test_sequences_in_files_of_their_own_are_segmented_together(run: Run, sequence_files: Path, tmp_path: Path) -> None:
    wanted = np.stack([bright_square(z) for z in range(3)]) > 128
    dark, bright = (sequence_files / f"anna_000{channel}.nii.gz" for channel in (0, 1))
    for files, mask in (((bright, dark), wanted), ((dark, bright), ~wanted)):
        target = tmp_path / f"{files[0].name}.nii.gz"
        report = tmp_path / f"{files[0].name}.json"
        result = run(
            "segment", files[0], "--channel", files[1], "--model", "any", "--output", target, "--report", report
        )
        assert result.code == 0, result.err
        labels = io.read_labels(target)
        np.testing.assert_array_equal(labels.data, mask)
        assert labels.geometry.spacing == (3, 1, 1)
        assert json.loads(report.read_text())["input"] == f"{files[0]} + {files[1]}"


@pytest.mark.usefixtures("of_two")
def test_files_of_a_case_are_segmented_as_its_channels(run: Run, sequence_files: Path, tmp_path: Path) -> None:
    result = run("segment", sequence_files, "--model", "any", "--output", tmp_path / "masks")
    assert result.code == 0, result.err
    assert "2 images, each of 2 files as its channels: anna_0000.nii.gz + anna_0001.nii.gz …" in result.err
    assert sorted(p.name for p in (tmp_path / "masks").glob("*.tif")) == ["anna.tif", "carl.tif"]
    dark = np.stack([bright_square(z) for z in range(3)]) < 128
    np.testing.assert_array_equal(io.read_labels(tmp_path / "masks" / "carl.tif").data, dark[..., : SIZE - 2])
    (sequence_files / "carl_0001.nii.gz").unlink()
    result = run("segment", sequence_files, "--model", "any", "--output", tmp_path / "other")
    assert (result.code, "carl_0001.nii.gz is missing in" in result.err) == (2, True)


@pytest.mark.usefixtures("of_two")
def test_pictures_of_one_size_are_the_channels_of_cases_too(run: Run, tmp_path: Path) -> None:
    """As in training; else they would be the slices of a series."""
    (tmp_path / "images").mkdir()
    for case, z in ((case, z) for case in "ab" for z in (0, 1)):
        Picture.fromarray(bright_square(z)).save(tmp_path / "images" / f"{case}_000{z}.png")
    result = run("segment", tmp_path / "images", "--model", "any", "--output", tmp_path / "masks")
    assert result.code == 0, result.err
    np.testing.assert_array_equal(io.read_labels(tmp_path / "masks" / "b.png").data, bright_square(0) > 128)


def test_numbered_grey_pictures_saved_as_colours_stay_images(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has all the channels that the model takes."""
    monkeypatch.setattr("napari_medseg.cli.segment.load_model", lambda reference: threshold_model(channels=3))
    (tmp_path / "images").mkdir()
    for z in range(3):
        grey = np.stack([bright_square(z)[z:]] * 3, axis=-1)
        Picture.fromarray(grey).save(tmp_path / "images" / f"scan_000{z}.png")
    result = run("segment", tmp_path / "images", "--model", "any", "--output", tmp_path / "masks")
    assert result.code == 0, result.err
    assert sorted(p.name for p in (tmp_path / "masks").glob("*.png")) == [f"scan_000{z}.png" for z in range(3)]


def test_models_of_one_channel_take_files_of_cases_one_by_one(run: Run, sequence_files: Path, tmp_path: Path) -> None:
    result = run("segment", sequence_files, "--model", "any", "--output", tmp_path / "masks")
    assert result.code == 0, result.err
    assert len([*(tmp_path / "masks").glob("*_000?.tif")]) == 4


@pytest.mark.usefixtures("of_two")
def test_two_series_of_one_input_are_channels(run: Run, two_sequences: Path, tmp_path: Path) -> None:
    command = ("segment", two_sequences / "anna.nii.gz", "--model", "any", "--output", tmp_path / "mask.nii.gz")
    result = run(*command, "--series", "2", "--channel", "1")
    assert result.code == 0, result.err
    dark = np.stack([bright_square(z) for z in range(3)]) < 128
    np.testing.assert_array_equal(io.read_labels(tmp_path / "mask.nii.gz").data, dark)
    result = run(*command, "--overwrite", "--series", "2", "--channel", "3")
    assert (result.code, "no image '3'" in result.err) == (2, True)
    result = run("segment", tmp_path / "mask.nii.gz", *command[2:-1], tmp_path / "m.nii.gz", "--channel", "flair.nii")
    assert (result.code, "flair.nii does not exist" in result.err) == (2, True)


@pytest.mark.usefixtures("of_two")
def test_channels_that_do_not_fit_are_refused(run: Run, sequence_files: Path, tmp_path: Path) -> None:
    anna, carl = (sequence_files / f"{name}_0000.nii.gz" for name in ("anna", "carl"))
    command = ("--model", "any", "--output", tmp_path / "mask.nii.gz")
    result = run("segment", anna, "--channel", carl, *command)
    assert (result.code, "another size than anna_0000.nii.gz" in result.err) == (2, True)
    result = run("segment", sequence_files, "--channel", carl, *command)
    assert (result.code, "to which --channel adds nothing" in result.err) == (2, True)
    result = run("segment", anna, "--channel", carl, "--model", "any", "--output", carl, "--overwrite")
    assert (result.code, "the input itself" in result.err) == (2, True)


@pytest.mark.usefixtures("of_two")
def test_a_channel_that_changed_is_not_mixed_with_what_was_done(run: Run, sequence_files: Path, tmp_path: Path) -> None:
    anna, other = (sequence_files / f"anna_000{channel}.nii.gz" for channel in (0, 1))
    command = ("segment", anna, "--channel", other, "--model", "any", "--output", tmp_path / "masks", "--resume")
    assert run(*command, "--slices", "0:1").code == 0
    assert run(*command, "--slices", "1:2").code == 0
    data = np.zeros((SIZE, SIZE, 3), np.uint8)
    nib.save(nib.Nifti1Image(data, np.diag([1.0, 1, 3, 1])), other)
    result = run(*command, "--slices", "2:3")
    assert (result.code, "another image" in result.err or "changed" in result.err) == (2, True), result.err


@pytest.mark.parametrize("stacked", [False, True])
def test_one_corrupt_tile_costs_its_slice_and_is_told(run: Run, tmp_path: Path, stacked: bool) -> None:
    """F2: the run goes on; nothing is written for the slice whose tile cannot be decoded."""
    pages = [np.random.default_rng(z).integers(0, 255, (48, 48)).astype(np.uint8) for z in range(4)]
    folder = tmp_path / "tiled"
    folder.mkdir()
    paths = [folder / "x.tif"] if stacked else [folder / f"{z}.tif" for z in range(4)]
    for path, data in zip(paths, [np.stack(pages)] if stacked else pages, strict=True):
        tifffile.imwrite(path, data, tile=(16, 16), compression="zlib", photometric="minisblack")
    damaged = paths[0 if stacked else 2]
    with tifffile.TiffFile(damaged) as tiff:
        page = tiff.pages[2 if stacked else 0]
        start = page.dataoffsets[4] + 30
    content = bytearray(damaged.read_bytes())
    content[start : start + 40] = bytes(40)
    damaged.write_bytes(content)
    report = tmp_path / "report.json"
    result = run("segment", folder, "--model", "any", "--output", tmp_path / "masks", "--report", report)
    assert result.code == 0, result.err
    assert f"{damaged.name} is damaged" in result.err
    assert len(list((tmp_path / "masks").glob("*.png"))) == 3
    assert io.read_labels(tmp_path / "masks").missing == {2}
    assert len(json.loads(report.read_text())["missing"]) == 1


def test_images_whose_masks_would_have_one_name_are_refused(run: Run, images: Path, tmp_path: Path) -> None:
    """W9: also where only the case differs."""
    Picture.fromarray(bright_square(0)).save(images / "HIP.bmp")
    result = run("segment", images, "--model", "any", "--output", tmp_path / "masks")
    assert (result.code, "Several images" in result.err) == (2, True)
    assert not (tmp_path / "masks").exists()


@pytest.mark.parametrize("overwrite", [True, False])
def test_image_is_never_replaced_by_its_own_mask(run: Run, series: Path, tmp_path: Path, overwrite: bool) -> None:
    """W5: a mask is named as its image, so its folder is no place for it."""
    before = {p.name: p.read_bytes() for p in series.iterdir()}
    for path in series.iterdir():
        if path.name != "0.png":
            path.unlink()
    extra = ("--overwrite",) if overwrite else ()
    image = series / "0.png"
    commands = (
        ("segment", image, "--model", "any", "--output", series),
        ("convert", image, series),
        ("evaluate", "--prediction", image, "--truth", image, "--panels", series, "--image", image),
    )
    for arguments in commands:
        result = run(*arguments, *extra)
        assert (result.code, "folder of the input" in result.err) == (2, True), result.err
    assert {p.name: p.read_bytes() for p in series.iterdir()} == {"0.png": before["0.png"]}


def test_suggestions_are_told_by_name_and_reported(run: Run, series: Path, tmp_path: Path) -> None:
    faint = bright_square(3)
    faint[faint > 128] = 130
    Picture.fromarray(faint).save(series / "3.png")
    out, report = tmp_path / "masks", tmp_path / "report.json"
    result = run("segment", series, "--model", "any", "--output", out, "--suggest", 2, "--report", report)
    assert result.code == 0, result.err
    record = json.loads(report.read_text())
    assert record["look_at"][0] == "3.png"
    assert f"Look next at {'; '.join(record['look_at'])}, most doubtful first" in result.out
    resumed = run("segment", series, "--model", "any", "--output", out, "--resume", "--suggest", 1)
    assert resumed.code == 0, "suggestions do not change the masks"


def test_slices_that_have_a_mask_already_are_not_suggested(run: Run, series: Path, tmp_path: Path) -> None:
    painted, report = tmp_path / "painted", tmp_path / "report.json"
    painted.mkdir()
    for name in ("0_mask.png", "3_mask.png"):
        Picture.fromarray(bright_square(0)).save(painted / name)
    flags = ["--suggest", 9, "--labelled", painted, "--report", report]
    assert run("segment", series, "--model", "any", "--output", tmp_path / "masks", *flags).code == 0
    assert sorted(json.loads(report.read_text())["look_at"]) == ["1.png", "2.png", "4.png", "5.png"]
    (painted / "0_mask.png").rename(painted / "9.png")
    (painted / "3_mask.png").unlink()
    result = run("segment", series, "--model", "any", "--output", tmp_path / "more", *flags, "--overwrite")
    assert result.code == 2
    assert "has the name of a slice" in result.err


def test_cancelled_run_suggests_of_what_is_finished(
    run: Run, series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G2."""
    segment_until(2, monkeypatch)
    report = tmp_path / "report.json"
    flags = ["--suggest", 9, "--report", report]
    assert run("segment", series, "--model", "any", "--output", tmp_path / "masks", *flags).code == 130
    assert sorted(json.loads(report.read_text())["look_at"]) == ["0.png", "1.png", "2.png"]


def test_images_of_a_set_are_suggested_by_name(run: Run, images: Path, tmp_path: Path) -> None:
    pixels = np.asarray(Picture.open(images / "knee.png")).copy()
    pixels[pixels > 128] = 129
    Picture.fromarray(pixels).save(images / "knee.png")
    result = run("segment", images, "--model", "any", "--output", tmp_path / "masks", "--suggest", 1)
    assert "Look next at knee.png, most doubtful first" in result.out


def test_large_single_image_tells_where_to_look(run: Run, tmp_path: Path) -> None:
    pixels = np.full((400, 500), 40, np.uint8)
    pixels[192:256, 320:384] = 128
    Picture.fromarray(pixels).save(tmp_path / "slide.png")
    flags = ["--model", "any", "--output", tmp_path / "masks", "--suggest", 2]
    assert "Look next at rows 192-255, columns 320-383; rows " in run("segment", tmp_path / "slide.png", *flags).out
