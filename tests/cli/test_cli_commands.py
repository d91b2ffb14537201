"""``evaluate``, ``convert``, ``models``, ``train`` and the headless part of ``demo``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image as Picture

import napari_medseg.cli.train as train_command
from napari_medseg import io
from napari_medseg.cli.screen import has_display, open_screen
from napari_medseg.core import (
    Cancelled,
    ClassInfo,
    Geometry,
    InputError,
    Labels,
    ModelCard,
    ModelError,
    OutputError,
    Progress,
)
from napari_medseg.models import export_model, find_model, remove_model
from napari_medseg.training import TrainingRun, TrainOptions, plan_run

from .conftest import Run, bright_square

CARD = ModelCard(name="new", classes=(ClassInfo.numbered(1),), description="Dice 0.9.")


@pytest.fixture
def truth(series: Path, tmp_path: Path) -> Path:
    """Masks of three of the slices, with other values and names."""
    folder = tmp_path / "truth"
    folder.mkdir()
    for z in (1, 3, 5):
        Picture.fromarray(((bright_square(z) > 128) * 255).astype(np.uint8)).save(folder / f"{z}_mask.png")
    return folder


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """Masks of all six slices; that of slice 5 is empty."""
    data = np.stack([bright_square(z) > 128 for z in range(6)]).astype(np.uint8)
    data[5] = 0
    names = tuple(f"{z}.png" for z in range(6))
    io.write(tmp_path / "masks", Labels(data, (ClassInfo.numbered(1, "bright"),), Geometry.unknown(3), names))
    return tmp_path / "masks"


def test_evaluate_scores_the_slices_that_have_a_truth(run: Run, masks: Path, truth: Path, tmp_path: Path) -> None:
    report = tmp_path / "figures.json"
    result = run("evaluate", "--prediction", masks, "--truth", truth, "--report", report)
    assert result.code == 0, result.err
    assert "Dice" in result.out
    figures = json.loads(report.read_text())
    dice = next(entry for entry in figures["summary"] if entry["metric"] == "dice")
    assert (dice["scored"], dice["worst_slice"], dice["mean"]) == (3, "5_mask.png", 2 / 3)
    again = run("evaluate", "--prediction", masks, "--truth", truth, "--report", report)
    assert (again.code, "exists already" in again.err) == (2, True)


def test_evaluate_draws_panels(run: Run, masks: Path, truth: Path, series: Path, tmp_path: Path) -> None:
    panels = tmp_path / "panels"
    command = ("evaluate", "--prediction", masks, "--truth", truth, "--panels", panels)
    assert run(*command).code == 2
    result = run(*command, "--image", series)
    assert result.code == 0, result.err
    drawn = np.asarray(Picture.open(panels / "3_mask.png"))
    assert drawn.shape == (48, 3 * 48 + 8, 3)
    assert (drawn[10, 52 + 7] == (0xE6, 0x9F, 0x00)).all()
    assert (drawn[10, 7] == drawn[10, 7][0]).all()


def test_evaluate_scores_the_part_that_a_training_listed(run: Run, masks: Path, truth: Path, tmp_path: Path) -> None:
    names = sorted(path.name for path in truth.iterdir())
    rows = [f"{'test' if name == names[0] else 'training'},images/{name},,p" for name in names]
    (tmp_path / "split.csv").write_text("\n".join(["part,image,slice,group", *rows]))
    command = ("evaluate", "--prediction", masks, "--truth", truth, "--split", tmp_path, "--report")
    assert run(*command, tmp_path / "test.json").code == 0
    assert run(*command, tmp_path / "training.json", "--part", "training").code == 0
    scored = [
        {row["slice"] for row in json.loads((tmp_path / f"{part}.json").read_text())["rows"]}
        for part in ("test", "training")
    ]
    assert scored == [{names[0]}, {*names[1:]}]
    assert run(*command, tmp_path / "none.json", "--part", "validation").code == 2


def test_what_is_given_can_be_saved_as_a_recipe(run: Run, series: Path, truth: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    command = ("train", "--data", series, truth, "--dry-run", "--recipe")
    result = run(*command, "lungs-xray", "--loss", "focal", "--save-recipe", path)
    assert result.code == 0, result.err
    assert json.loads(path.read_text()) == {
        "title": "mine", "start": "lungs-xray", "classes": ["1=lung"], "merge": True,
        "options": {"max_minutes": 10.0, "longest": 256, "validation": 0.1, "loss": "focal"},
    }  # fmt: skip
    assert run(*command, path).code == 0
    assert run(*command, "lungs-xray", "--save-recipe", path).code == 2


def test_evaluate_takes_sets_of_different_sizes(run: Run, images: Path, tmp_path: Path) -> None:
    for side in ("prediction", "truth"):
        (tmp_path / side).mkdir()
        for file in images.iterdir():
            Picture.fromarray((np.asarray(Picture.open(file)) > 128).astype(np.uint8)).save(tmp_path / side / file.name)
    result = run("evaluate", "--prediction", tmp_path / "prediction", "--truth", tmp_path / "truth", "--merge")
    assert result.code == 0, result.err
    assert "foreground  Dice (pixel F1)      1.0000" in result.out


def test_evaluate_of_a_set_tells_what_it_could_not_read(run: Run, images: Path, tmp_path: Path) -> None:
    """F1: the other masks are scored; how 255 is understood is told."""
    truth = tmp_path / "truth"
    truth.mkdir()
    for name in ("hip", "knee"):
        pixels = np.asarray(Picture.open(images / f"{name}.png"))
        Picture.fromarray(((pixels > 128) * 255).astype(np.uint8)).save(truth / f"{name}.png")
    (images / "ankle.png").write_bytes((images / "hip.png").read_bytes()[:50])
    Picture.fromarray(np.ones((48, 48), np.uint8)).save(truth / "ankle.png")
    result = run("evaluate", "--prediction", images, "--truth", truth, "--merge")
    assert result.code == 0, result.err
    assert "Not scored: ankle.png is damaged" in result.err
    assert "255 is read as class 1" in result.err


@pytest.mark.parametrize("panels", ["file", "file/panels"])
def test_panels_that_cannot_be_drawn_are_refused_first(
    run: Run, masks: Path, truth: Path, series: Path, tmp_path: Path, panels: str
) -> None:
    """W1, F8."""
    (tmp_path / "file").write_bytes(b"mine")
    command = ("evaluate", "--prediction", masks, "--truth", truth, "--image", series, "--overwrite")
    result = run(*command, "--panels", tmp_path / panels)
    assert (result.code, result.out) == (2, "")
    assert "folder" in result.err
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_convert_counts_the_masks_it_wrote(run: Run, masks: Path, tmp_path: Path) -> None:
    """F1."""
    (masks / "2.png").write_bytes(b"")
    result = run("convert", masks, tmp_path / "again")
    assert result.code == 0, result.err
    assert "Wrote 5 slices" in result.out
    assert len(list((tmp_path / "again").glob("*.png"))) == 5


def test_model_into_an_impossible_place_is_one_sentence(run: Run, tmp_path: Path) -> None:
    """W1."""
    (tmp_path / "file").touch()
    result = run("models", "export", "femur-ct", tmp_path / "file" / "x")
    assert (result.code, "Not a directory" in result.err) == (2, True)
    with pytest.raises(OutputError):
        export_model("femur-ct", tmp_path / "file" / "x")


@pytest.mark.parametrize("name", ["", " "])
def test_no_name_is_not_every_model(name: str) -> None:
    for use in (find_model, remove_model):
        with pytest.raises(ModelError, match="There is no model"):
            use(name)


@pytest.mark.parametrize(
    "command",
    [
        ("segment", "", "--model", "femur-ct", "--output", "out"),
        ("segment", ".", "--model", "femur-ct", "--output", ""),
        ("models", "remove", ""),
    ],
)
def test_empty_argument_is_not_the_current_folder(
    run: Run, series: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    """F8."""
    monkeypatch.chdir(series)
    result = run(*command)
    assert (result.code, "One of the arguments is empty" in result.err) == (2, True)
    assert len(list(series.iterdir())) == 6


def test_damaged_model_is_told_once(run: Run, own_library: Path, caplog: pytest.LogCaptureFixture) -> None:
    """M9."""
    folder = own_library / "models" / "rotten" / "1"
    folder.mkdir(parents=True)
    (folder / "card.json").write_text("{")
    result = run("models", "show", "rotten")
    assert (result.code, result.err.count("is not a model's card")) == (2, 1)
    assert not caplog.records


def test_convert_between_folder_and_file_keeps_masks_and_classes(run: Run, masks: Path, tmp_path: Path) -> None:
    assert run("convert", masks, tmp_path / "all.tif").code == 0
    assert run("convert", tmp_path / "all.tif", tmp_path / "back").code == 0
    before, after = io.read_labels(masks), io.read_labels(tmp_path / "back")
    np.testing.assert_array_equal(before.data, after.data)
    assert after.classes == before.classes
    assert run("convert", masks, tmp_path / "all.tif").code == 2
    assert run("convert", masks, tmp_path / "all.tif", "--overwrite").code == 0


def test_convert_takes_names_from_the_image_and_refuses_another_size(
    run: Run, masks: Path, series: Path, images: Path, tmp_path: Path
) -> None:
    assert run("convert", masks, tmp_path / "all.tif").code == 0
    assert run("convert", tmp_path / "all.tif", tmp_path / "named", "--image", series).code == 0
    assert (tmp_path / "named" / "3.png").exists()
    result = run("convert", masks, tmp_path / "other", "--image", images / "knee.png")
    assert (result.code, "6 x 48 x 48" in result.err) == (2, True)


def test_models_are_listed_shown_and_not_removed_when_shipped(run: Run) -> None:
    assert "model" in run("models", "list").out
    for line in run("models", "list").out.splitlines()[1:]:
        name = line.split()[0]
        assert name in run("models", "show", name).out
        assert json.loads(run("models", "show", name, "--json").out)["name"] == name.partition("@")[0]
        assert run("models", "remove", name).code == 2
    assert "48 labelled slices it learnt from" in run("models", "show", "femur-ct").out


def test_models_are_imported_and_renamed(run: Run, tmp_path: Path) -> None:
    """From a folder and a zip; what they were trained from follows the new name."""
    assert run("models", "export", "femur-ct", tmp_path / "model").code == 0
    assert run("models", "export", "femur-ct", tmp_path / "model.zip").code == 0
    assert run("models", "import", tmp_path / "model", "--name", "hip").out == "Imported hip@1\n"
    assert run("models", "import", tmp_path / "model.zip", "--name", "hip").out == "Imported hip@2\n"
    assert run("models", "rename", "hip", "pelvis").out == "Renamed hip to pelvis@1, pelvis@2\n"
    listed = run("models", "list", "--all").out
    assert "pelvis@2" in listed
    assert "hip@" not in listed
    assert find_model("pelvis@1").is_dir()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("rename", "femur-ct", "mine"), "cannot be renamed"),
        (("rename", "nothing", "mine"), "no model 'nothing'"),
        (("rename", "hip", "Not A Name!"), "A model's name has small letters"),
        (("import", "nowhere"), "nowhere"),
        (("import", "notes.txt"), "notes.txt"),
    ],
)
def test_models_that_cannot_be_imported_or_renamed_are_told(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("no model")
    export_model("femur-ct", tmp_path / "model")
    assert run("models", "import", "model", "--name", "hip").code == 0
    result = run("models", *command)
    assert (result.code, said in result.err) == (2, True), result.err
    assert "hip@1" in run("models", "list").out


def test_a_memory_is_exported_only_when_asked(run: Run, tmp_path: Path) -> None:
    for name, extra in (("without", ()), ("with", ("--with-memory",))):
        assert run("models", "export", "femur-ct", tmp_path / name, *extra).code == 0
        assert (tmp_path / name / "memory.zip").exists() == bool(extra)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `train` was called with."""
    called: dict[str, Any] = {}

    def train(data: Any, **given: Any) -> ModelCard:
        called.update(given, data=data)
        given["report"](Progress("Training", 1, 2, message="On the CPU."))
        return CARD

    monkeypatch.setattr(train_command, "train_model", train)
    return called


def test_train_passes_pairs_classes_and_only_given_settings(run: Run, trained: dict[str, Any]) -> None:
    line = "train --data a b --data c d --model unet:resnet18 --name new --classes 1=left 2=right --max-steps 5"
    result = run(*line.split(), "--validation-data", "e", "f", "--group", "p[0-9]+", "--unlabelled", "0")
    assert (result.code, result.out) == (0, "new@1: Dice 0.9.\n")
    assert "On the CPU." in result.err
    trained.pop("report")
    planned = plan_run(
        [("a", "b"), ("c", "d")], "unet:resnet18", "new", ["1=left", "2=right"], validation_data=[("e", "f")]
    )
    assert trained == {"data": planned, "max_steps": 5, "group": "p[0-9]+", "unlabelled": 0}


def test_train_follows_a_recipe_but_for_what_is_given(run: Run, trained: dict[str, Any]) -> None:
    assert run("train", "--data", "a", "b", "--recipe", "lungs-xray", "--name", "mine", "--max-minutes", "2").code == 0
    made = trained["data"]
    assert (made.start, made.name, made.merge, made.classes[0].name) == ("lungs-xray", "mine", True, "lung")
    assert (made.options.max_minutes, trained["max_minutes"]) == (10, 2)
    result = run("train", "--data", "a", "b", "--recipe", "lung-xray")
    assert result.code == 2
    assert "Did you mean lungs-xray?" in result.err


def test_train_takes_the_file_of_a_recipe(run: Run, trained: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"title": "Mine", "start": "fpn:resnet18", "options": {"loss": "focal"}}')
    assert run("train", path, "--data", "a", "b", "--name", "new").code == 0
    made = trained["data"]
    assert (made.start, made.name, made.options.loss) == ("fpn:resnet18", "new", "focal")
    for arguments, said in (
        ((path,), f"{path} is a recipe, which does not say what to train on.\nGive --data IMAGES MASKS"),
        ((path, "--data", "a", "b", "--recipe", "femur-ct"), "two recipes"),
    ):
        result = run("train", *arguments)
        assert (result.code, said in result.err) == (2, True), result.err
    path.write_text('{"title": "Mine", "start": "fpn:resnet18", "options": {"los": 1}}')
    assert "mine.json is no recipe: " in run("train", path, "--data", "a", "b").err
    path.write_text("{")
    assert "is no training run" in run("train", path).err


@pytest.mark.parametrize(
    ("text", "alone", "beside_data"),
    [
        ('{"start": "unet:resnet18"}', "is no recipe: title: Field required.", "is no recipe: title: Field required."),
        ('{"title": "t"}', "is no recipe: start: Field required.", "is no recipe: start: Field required."),
        ("{", "is no training run: Invalid JSON", "is no recipe: Invalid JSON"),
        ("[1]", "is no training run: ", "is no recipe: "),
        ('{"rows": []}', "is no training run: pairs: Field required.", "is no recipe: title: Field required."),
        ('{"pairs": []}', "is no training run: pairs: ", "says already what to train on"),
        (None, "cannot be read: No such file", "cannot be read: No such file"),
    ],
)
def test_what_is_wrong_with_a_recipe_is_told(
    run: Run, trained: dict[str, Any], tmp_path: Path, text: str | None, alone: str, beside_data: str
) -> None:
    """Not that --data is missing where it is given, and the other way round."""
    path = tmp_path / "r.json"
    if text is not None:
        path.write_text(text)
    for data, said in (((), alone), (("--data", "a", "b"), beside_data)):
        result = run("train", path, *data)
        assert (result.code, f"{path} {said}" in result.err) == (2, True), result.err
    assert not trained


def test_a_third_path_is_no_run(run: Run, trained: dict[str, Any], tmp_path: Path) -> None:
    """Most often it is a second folder of masks."""
    right = tmp_path / "right"
    right.mkdir()
    for third in (right, tmp_path / "right.png", tmp_path / "nowhere"):
        result = run("train", "--data", "img", "left", third, "--recipe", "lungs-xray")
        assert result.code == 2
        assert f"--data takes two paths, images and masks, and {third} is a third.\n" in result.err
        assert "masks/left and masks/right" in result.err
    assert "Give --recipe lungs-xray." in run("train", "lungs-xray", "--data", "a", "b").err
    plan_run([("a", "b")]).model_copy(update={"folder": right}).save()
    assert "says already what to train on" in run("train", right, "--data", "a", "b").err
    assert not trained


def test_train_recalls_what_a_model_remembers_from_its_first_ancestor(run: Run, trained: dict[str, Any]) -> None:
    assert run("train", "--data", "a", "b", "--recall", "femur-ct", "--max-steps", "5").code == 0
    made = trained["data"]
    assert (made.recall, made.start, made.name) == ("femur-ct", "femur-ct@1", "femur-ct")
    assert run("train", "--data", "a", "b", "--recall", "femur-ct", "--model", "unet:resnet18").code == 0
    assert trained["data"].start == "unet:resnet18"


@pytest.mark.parametrize("masks", ["empty", "nowhere", "taller", "strangers"])
def test_train_without_fitting_masks_is_one_sentence(run: Run, series: Path, tmp_path: Path, masks: str) -> None:
    """T3, T10."""
    for name, file, side in (("empty", "", 0), ("taller", "1.png", 49), ("strangers", "hip.png", 48)):
        (tmp_path / name).mkdir()
        if file:
            Picture.fromarray(np.ones((side, 48), np.uint8)).save(tmp_path / name / file)
    result = run("train", "--data", series, tmp_path / masks, "--model", "unet:tu-resnet10t", "--max-steps", "1")
    assert result.code == 2
    assert "Traceback" not in result.err
    assert {"taller": "48 x 49 pixels", "nowhere": "does not exist"}.get(masks, "belongs to an image") in result.err


def test_train_repeats_a_run_file(run: Run, trained: dict[str, Any], tmp_path: Path) -> None:
    plan = plan_run([("a", "b")]).model_copy(update={"folder": tmp_path, "options": TrainOptions(max_steps=7)})
    file = plan.save()
    assert run("train", file, "--seed", "3").code == 0
    assert isinstance(trained["data"], TrainingRun)
    assert (trained["data"].options.max_steps, trained["seed"], "max_steps" in trained) == (7, 3, False)
    assert run("train", file, "--name", "other").code == 2
    assert run("train", tmp_path / "nowhere.json").code == 2


def test_train_cancelled_before_a_result_is_exit_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def train(*_: Any, **__: Any) -> ModelCard:
        raise Cancelled

    monkeypatch.setattr(train_command, "train_model", train)
    assert run("train", "--data", "a", "b").code == 130


def test_virtual_screen_is_started_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("napari_medseg.cli.screen.sys.platform", "linux")
    with open_screen() as screen:
        assert screen in ("virtual", "none")
        assert has_display() == (screen == "virtual")
    assert not has_display()
    monkeypatch.setenv("PATH", "")
    with open_screen() as screen:
        assert screen == "none"


def test_demo_refuses_an_existing_folder(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    result = run("demo", "--output", tmp_path, "--no-window")
    assert (result.code, "is not empty" in result.err) == (2, True)


def test_demo_corrects_the_worst_slices() -> None:
    from napari_medseg.demo import worst_slices
    from napari_medseg.evaluation import evaluate

    data = np.zeros((9, 8, 8), np.uint8)
    data[:, :4] = 1
    names = tuple(f"{z}.png" for z in range(9))
    truth = Labels(data, (ClassInfo.numbered(1),), Geometry.unknown(3), names)
    poor = data.copy()
    for z in (0, 2, 4, 6, 8):
        poor[z, :2] = 0
    poor[3, :1] = 0  # less bad, and beside worse ones
    report = evaluate(Labels(poor, truth.classes, truth.geometry, names), truth)
    assert worst_slices(report, names) == (0, 2, 4, 6, 8)


def test_demo_needs_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_medseg import demo

    monkeypatch.setattr("napari_medseg.models.list_models", lambda: ())
    with pytest.raises(InputError.__base__, match="no model to run the demo"):
        demo.pick_model()


def test_files_of_cases_are_trained_on_segmented_and_scored_as_images(
    run: Run, own_library: Path, tmp_path: Path
) -> None:
    """nnU-Net's folders: imagesTr/CASE_0000, CASE_0001 and labelsTr/CASE; what was listed for them is scored."""
    images, labels = tmp_path / "imagesTr", tmp_path / "labelsTr"
    place = np.diag([1.0, 1, 3, 1])
    for folder in (images, labels):
        folder.mkdir()
    for number, case in enumerate(("one", "two")):
        truth = np.zeros((40, 36, 4), np.uint8)
        truth[10 + number : 20, 8:18] = 1
        nib.save(nib.Nifti1Image(truth, place), labels / f"{case}.nii.gz")
        for channel, pixels in enumerate((np.indices(truth.shape).sum(0), 100 * truth)):
            nib.save(nib.Nifti1Image(pixels.astype(np.int16), place), images / f"{case}_000{channel}.nii.gz")
    data = ("--data", images, labels, "--model", "unet:tu-resnet10t")
    shown = run("train", *data, "--dry-run")
    assert "one_0000.nii.gz + one_0001.nii.gz — one.nii.gz (2 channels of that name): 4 of 4 slices" in shown.out
    trained = run("train", *data, "--name", "cases", "--max-steps", "2")
    assert trained.code == 0, trained.err
    result = run("segment", images, "--model", "cases", "--output", tmp_path / "found")
    assert result.code == 0, result.err
    assert sorted(p.name for p in (tmp_path / "found").glob("*.tif")) == ["one.tif", "two.tif"]
    (listed,) = own_library.rglob("split.csv")
    sides = ("evaluate", "--prediction", tmp_path / "found", "--truth", labels)
    scored = run(*sides, "--split", listed, "--part", "validation", "--report", tmp_path / "scores.json")
    assert scored.code == 0, scored.err
    measured = [row for row in listed.read_text().splitlines() if row.startswith("validation")]
    rows = json.loads((tmp_path / "scores.json").read_text())["rows"]
    assert len({row["slice"] for row in rows}) == len(measured)
    drawn = run(*sides, "--panels", tmp_path / "panels", "--image", images)
    assert (drawn.code, "Drew 8 panels" in drawn.out) == (0, True), drawn.err
