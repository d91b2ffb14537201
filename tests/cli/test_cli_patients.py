"""Folders of patients: segmented one by one, and scored as cases of one report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from made_up_dicom import dicom_slice, save_dicom
from PIL import Image as Picture

from napari_medseg import io
from napari_medseg.core import Cancelled, Progress
from napari_medseg.models import Model

from .conftest import Run, bright_square, contents

NAMES = ("p1.a", "p2", "p10")


@pytest.fixture
def patients(tmp_path: Path) -> Path:
    """Three patients of four slices each, with the same names; the masks lie beside them."""
    for i, name in enumerate(NAMES):
        folder = tmp_path / "patients" / name
        folder.mkdir(parents=True)
        for z in range(4):
            pixels = bright_square(z + i)
            if z == 3:
                pixels[:] = 40
            Picture.fromarray(pixels).save(folder / f"{z}.png")
            Picture.fromarray(((pixels > 128) * 255).astype(np.uint8)).save(folder / f"{z}_mask.png")
    return tmp_path / "patients"


def segment(run: Run, patients: Path, output: Path, *more: object) -> str:
    result = run("segment", patients, "--model", "m", "--output", output, *more)
    assert result.code == 0, result.err
    return result.err


def test_each_patient_is_segmented_into_a_folder_of_its_name(
    run: Run, patients: Path, model: Model, tmp_path: Path
) -> None:
    said = segment(run, patients, tmp_path / "found", "--report", tmp_path / "run.json")
    assert "segmented by itself: p1.a, p2, p10" in said
    alone = tmp_path / "alone"
    segment(run, patients / "p2", alone)
    assert contents(tmp_path / "found" / "p2") == contents(alone)
    for name in NAMES:
        assert sorted(p.name for p in (tmp_path / "found" / name).glob("*.png")) == [f"{z}.png" for z in range(4)]
        assert json.loads((tmp_path / f"run-{name}.json").read_text())["slices"] == 4
    result = run("segment", patients, "--model", "m", "--output", tmp_path / "found")
    assert (result.code, "is not empty" in result.err) == (2, True)


@pytest.mark.parametrize(("uids", "segmented"), [(("1.2.5", "1.2.6"), 2), (("1.2.5", "1.2.5"), 1)])
def test_patients_as_dicom_are_told_from_one_series_in_several_folders(
    run: Run, model: Model, tmp_path: Path, uids: tuple[str, str], segmented: int
) -> None:
    for i, uid in enumerate(uids):
        for z in range(3):
            about = {"SeriesInstanceUID": uid, "SOPInstanceUID": f"{uid}.{i}.{z}", "InstanceNumber": 1 + z + 3 * i}
            save_dicom(tmp_path / "ct" / f"d{i}" / f"{3 * i + z}.dcm", dicom_slice(3 * z + 9 * i, **about))
    segment(run, tmp_path / "ct", tmp_path / "found")
    assert len({file.parent for file in (tmp_path / "found").rglob("*.png")}) == segmented
    assert len([*(tmp_path / "found").rglob("*.png")]) == 6


def test_a_patient_that_cannot_be_segmented_is_left_out_and_told(
    run: Run, patients: Path, model: Model, tmp_path: Path
) -> None:
    for file in (patients / "p2").iterdir():
        file.write_bytes(b"no picture at all")
    said = segment(run, patients, tmp_path / "found")
    assert "p2 is left out: " in said
    assert sorted(p.name for p in (tmp_path / "found").iterdir()) == ["p1.a", "p10"]
    for file in patients.rglob("*.png"):
        file.write_bytes(b"no picture at all")
    result = run("segment", patients, "--model", "m", "--output", tmp_path / "none")
    assert result.code == 2


def test_a_patient_whose_images_are_not_for_the_model_is_left_out(
    run: Run, patients: Path, model: Model, tmp_path: Path
) -> None:
    for file in (patients / "p2").iterdir():
        Picture.fromarray(np.random.default_rng(0).integers(0, 255, (48, 48, 3), np.uint8)).save(file)
    assert "p2 is left out: The model threshold@1 needs grey" in segment(run, patients, tmp_path / "found")
    assert sorted(p.name for p in (tmp_path / "found").iterdir()) == ["p1.a", "p10"]


def test_a_model_that_is_not_there_leaves_no_patient_out(run: Run, patients: Path, tmp_path: Path) -> None:
    result = run("segment", patients, "--model", "nobody-s", "--output", tmp_path / "none")
    assert (result.code, "left out" in result.err) == (2, False)
    assert "There is no model 'nobody-s'" in result.err


def test_patients_go_on_where_they_were_stopped(
    run: Run, patients: Path, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_medseg.cli import series

    done: list[str] = []
    real = series.segment_image

    def stop_in_the_second(image, *args, report, **kwargs):  # type: ignore[no-untyped-def]
        def tell(progress: Progress) -> None:
            report(progress)
            if progress.result is not None and image.source.name == "p2" and len(done) < 6:
                done.append(image.source.name)
                if len(done) == 2:
                    raise Cancelled

        return real(image, *args, report=tell, **kwargs)

    monkeypatch.setattr(series, "segment_image", stop_in_the_second)
    found = tmp_path / "found"
    result = run("segment", patients, "--model", "m", "--output", found)
    assert result.code == 130
    assert sorted(p.name for p in found.iterdir()) == ["p1.a", "p2"]
    monkeypatch.setattr(series, "segment_image", real)
    segment(run, patients, found, "--resume")
    segment(run, patients, tmp_path / "at once")
    for name in NAMES:
        assert {k: v for k, v in contents(found / name).items() if k.endswith("png")} == {
            k: v for k, v in contents(tmp_path / "at once" / name).items() if k.endswith("png")
        }


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--output", "masks.tif"), "holds 3 folders of images, which masks.tif cannot hold"),
        (("--output", "found", "--probabilities", "p.npz"), "are for one series"),
    ],
)
def test_what_patients_cannot_have_is_refused(
    run: Run, patients: Path, model: Model, more: tuple[str, ...], said: str
) -> None:
    result = run("segment", patients, "--model", "m", *more)
    assert (result.code, said in result.err) == (2, True)


@pytest.mark.parametrize("command", ["segment", "evaluate"])
def test_folders_without_images_are_still_refused(run: Run, model: Model, tmp_path: Path, command: str) -> None:
    (tmp_path / "x" / "p1").mkdir(parents=True)
    flags = ("--model", "m", "--output", tmp_path / "o") if command == "segment" else ("--truth", tmp_path / "x")
    given = (tmp_path / "x",) if command == "segment" else ("--prediction", tmp_path / "x")
    result = run(command, *given, *flags)
    assert (result.code, "holds no images" in result.err) == (2, True)


def test_patients_are_cases_of_one_report(run: Run, patients: Path, model: Model, tmp_path: Path) -> None:
    found, report = tmp_path / "found", tmp_path / "figures.json"
    segment(run, patients, found)
    for name, z in (("p2", 3), ("p10", 0)):
        Picture.fromarray(np.eye(48, dtype=np.uint8)).save(found / name / f"{z}.png")
    result = run("evaluate", "--prediction", found, "--truth", patients, "--report", report)
    assert result.code == 0, result.err
    assert "3 volumes: mean Dice of a volume" in result.out
    figures = json.loads(report.read_text())
    cases = {case["name"]: case for case in figures["detection"]["cases"]}
    assert {name: case["false_positive_slices"] for name, case in cases.items()} == {"p1.a": 0, "p2": 1, "p10": 0}
    assert cases["p1.a"]["dice"] == 1
    assert cases["p2"]["dice"] == pytest.approx(600 / 648)
    assert cases["p10"]["dice"] < 1
    assert len({row["slice"] for row in figures["rows"]}) == 12, "slices of one name are told apart"
    assert "p2/3_mask.png" in {row["slice"] for row in figures["rows"]}


def test_volume_files_and_folders_of_equal_names_are_cases(
    run: Run, patients: Path, model: Model, tmp_path: Path
) -> None:
    """p10 has no truth."""
    segment(run, patients, tmp_path / "found")
    for name in NAMES[:2]:
        truth = io.read_labels(patients / name)
        (tmp_path / "truth").mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / "truth" / f"{name}.tif", np.asarray(truth.data), photometric="minisblack")
    command = ("evaluate", "--prediction", tmp_path / "found", "--truth", tmp_path / "truth")
    result = run(*command)
    assert result.code == 0, result.err
    assert "2 volumes: mean Dice of a volume 1.0000" in result.out
    assert "  p10: without partner" in run(*command, "--dry-run").out


def test_panels_and_parts_of_patients_keep_them_apart(run: Run, patients: Path, model: Model, tmp_path: Path) -> None:
    """All call their slices the same."""
    found = tmp_path / "found"
    segment(run, patients, found)
    rows = [f"{'test' if name == 'p2' else 'training'},{patients / name / f'{z}.png'},,{name}"
            for name in NAMES for z in range(4)]  # fmt: skip
    (tmp_path / "split.csv").write_text("\n".join(["part,image,slice,group", *rows]))
    command = ("evaluate", "--prediction", found, "--truth", patients)
    result = run(*command, "--image", patients, "--panels", tmp_path / "panels")
    assert result.code == 0, result.err
    assert sorted(p.name for p in (tmp_path / "panels").iterdir()) == sorted(NAMES)
    drawn = np.asarray(Picture.open(tmp_path / "panels" / "p10" / "0_mask.png"))[:, :48, 0]
    assert np.argmax(drawn[15] > 128) == np.argmax(bright_square(2)[15] > 128)
    report = tmp_path / "test.json"
    assert run(*command, "--split", tmp_path, "--report", report).code == 0
    assert [case["name"] for case in json.loads(report.read_text())["detection"]["cases"]] == ["p2"]


def test_what_many_masks_have_in_common_is_said_once(run: Run, tmp_path: Path) -> None:
    for side in ("found", "truth"):
        (tmp_path / side).mkdir()
        for i in range(4):
            mask = np.zeros((20 + i, 24), np.uint8)
            mask[4:16, 4:16] = 255
            mask[0, : 9 + i] = range(1, 10 + i)
            Picture.fromarray(mask).save(tmp_path / side / f"{i}.png")
    result = run("evaluate", "--prediction", tmp_path / "found", "--truth", tmp_path / "truth")
    assert result.code == 0, result.err
    assert result.err.count("values between 0 and 255") == 1
    assert "(and 3 more like it)" in result.err
