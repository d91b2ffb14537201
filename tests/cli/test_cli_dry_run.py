"""``--dry-run`` lists what would be paired, what not, and why; nothing is trained or scored."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image as Picture

import napari_medseg.cli.train as train_command

from .conftest import Run


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Three images, two masks of them and one of none."""
    for folder, names in (("i", ("anna", "bob", "carl")), ("m", ("anna_mask", "bob_mask", "zoe_mask"))):
        (tmp_path / folder).mkdir()
        for name in names:
            Picture.fromarray(np.eye(16, dtype=np.uint8)).save(tmp_path / folder / f"{name}.png")
    return tmp_path / "i", tmp_path / "m"


@pytest.fixture(autouse=True)
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a dry run trains nothing")

    monkeypatch.setattr(train_command, "train_model", refuse)


def test_train_lists_pairs_and_what_is_left_out(run: Run, folders: tuple[Path, Path]) -> None:
    """T3."""
    result = run("train", "--data", *folders, "--dry-run")
    assert result.code == 0, result.err
    assert "2 pairs with 2 labelled slices, 2 files without partner" in result.out
    assert "anna.png — anna_mask.png" in result.out
    assert "carl.png: No mask is called carl" in result.out
    assert "zoe_mask.png: No image belongs to this mask." in result.out
    assert "Nothing was trained" in result.out


def test_names_are_shown_as_they_will_be_learnt(run: Run, folders: tuple[Path, Path]) -> None:
    for path in folders[1].iterdir():
        Picture.fromarray(np.eye(16, dtype=np.uint8) * 2).save(path)
    assert "2 cyst: in 2 pairs" in run("train", "--data", *folders, "--dry-run", "--classes", "2=cyst").out
    merged = run("train", "--data", *folders, "--dry-run", "--classes", "1=lesion", "--merge").out
    assert "1 lesion: in 2 pairs" in merged


def test_a_named_class_that_no_mask_shows_is_told(run: Run, folders: tuple[Path, Path]) -> None:
    said = "Value 3, named 'cyst', is in no mask.\n"
    command = ("train", "--data", *folders, "--dry-run", "--classes", "1=lesion")
    assert said in run(*command, "3=cyst").out
    assert "is in no mask" not in run(*command).out


def test_folders_of_masks_in_one_are_taken_together(run: Run, tmp_path: Path) -> None:
    """As docs/lungs-xray.md has it."""
    for folder in ("images", "masks/left", "masks/right"):
        (tmp_path / folder).mkdir(parents=True)
        for name in ("a_one", "b_two"):
            pixels = np.eye(16, dtype=np.uint8)[:, :: -1 if folder.endswith("right") else 1]
            Picture.fromarray(255 * pixels).save(tmp_path / folder / f"{name}.png")
    command = ("train", "--data", tmp_path / "images", tmp_path / "masks", "--recipe", "lungs-xray", "--dry-run")
    one = run(*command)
    assert (one.code, "1 lung: in 2 pairs" in one.out) == (0, True), one.out + one.err
    two = run(*command, "--no-merge")
    assert ("1 left: in 2 pairs" in two.out, "2 right: in 2 pairs" in two.out) == (True, True), two.out + two.err


@pytest.mark.parametrize(
    ("given", "classes", "said"),
    [
        (("--recipe", "cancer-he"), "1 cancer", "Values 1, 2 are taken as one class, 'cancer'."),
        (("--recipe", "cancer-he", "--classes", "1=tumour", "2=stroma"), "1 tumour, 2 stroma", ""),
        (("--recipe", "cancer-he", "--classes", "2=stroma"), "1, 2 stroma", ""),
        (("--recipe", "cancer-he", "--no-merge"), "1, 2", ""),
        (
            ("--recipe", "cancer-he", "--classes", "2=tumour", "--merge"), "2 tumour",
            "Values 1, 2 are taken as one class, 'tumour'.",
        ),
        (("--merge", "--model", "nuclei-he"), "1 nucleus", "Values 1, 2 are taken as one class, 'nucleus'."),
    ],
)  # fmt: skip
def test_what_is_named_is_merged_only_when_the_person_says_so(
    run: Run, folders: tuple[Path, Path], given: tuple[str, ...], classes: str, said: str
) -> None:
    for path in folders[1].iterdir():
        Picture.fromarray((np.eye(16) + 2 * np.eye(16, k=4)).astype(np.uint8)).save(path)
    result = run("train", "--data", *folders, "--dry-run", *given)
    assert result.code == 0, result.err
    assert f"16 x 16, classes {classes}\n" in result.out
    assert said in result.out
    assert ("taken as" in result.out) == bool(said)


def test_several_names_for_one_class_are_refused(run: Run, folders: tuple[Path, Path]) -> None:
    result = run("train", "--data", *folders, "--dry-run", "--merge", "--classes", "1=tumour", "2=stroma")
    assert result.code == 2
    assert "Several classes are named, such as 'tumour' and 'stroma'" in result.err


def test_train_without_a_pair_is_bad_input(run: Run, folders: tuple[Path, Path]) -> None:
    for path in folders[1].iterdir():
        Picture.fromarray(np.eye(9, dtype=np.uint8)).save(path)
    result = run("train", "--data", *folders, "--dry-run")
    assert result.code == 2
    assert "has 9 x 9 pixels" in result.out
    assert "None of these pairs can be used" in result.err


def test_named_colours_are_used(run: Run, folders: tuple[Path, Path]) -> None:
    for path in folders[1].iterdir():
        pixels = np.zeros((16, 16, 3), np.uint8)
        pixels[4:10, 4:10] = (0, 255, 0)
        Picture.fromarray(pixels).save(path)
    result = run("train", "--data", *folders, "--dry-run", "--classes", "#00ff00=gland")
    assert result.code == 0, result.err
    assert "1 gland: in 2 pairs" in result.out
    wrong = run("train", "--data", *folders, "--dry-run", "--classes", "#00ff00=gland", "2=x")
    assert (wrong.code, "COLOUR=NAME for all" in wrong.err) == (2, True)


def test_a_start_that_is_none_is_refused(run: Run, folders: tuple[Path, Path]) -> None:
    for start in ("unet:no-such", "nonsense"):
        result = run("train", "--data", *folders, "--dry-run", "--model", start)
        assert result.code == 2
        assert start.rpartition(":")[2] in result.err


def test_evaluate_lists_what_is_compared(run: Run, folders: tuple[Path, Path]) -> None:
    result = run("evaluate", "--prediction", folders[0], "--truth", folders[1], "--dry-run")
    assert result.code == 0, result.err
    assert "anna.png — anna_mask.png" in result.out
    assert "carl.png: without partner" in result.out
    assert "zoe_mask.png: without partner" in result.out
    assert "Nothing was scored" in result.out


@pytest.fixture
def two_series(tmp_path: Path) -> tuple[Path, Path]:
    """Images and masks of two series in one folder each."""
    for folder in ("i", "m"):
        (tmp_path / folder).mkdir()
        for name in ("a-0", "a-1", "a-2", "b-0", "b-1"):
            Picture.fromarray(np.eye(16, dtype=np.uint8)).save(tmp_path / folder / f"{name}.png")
    return tmp_path / "i", tmp_path / "m"


@pytest.mark.parametrize("nested", [False, True])
def test_all_sequences_of_each_file_are_taken(run: Run, tmp_path: Path, nested: bool) -> None:
    """A folder of files of four axes, as data sets of brains have them, or a folder for each patient."""
    data = np.random.default_rng(0).integers(0, 99, (16, 16, 3, 4)).astype(np.int16)
    for side, pixels in (("i", data), ("m", (data[..., 0] > 50).astype(np.uint8))):
        for name in ("anna", "carl"):
            folder = tmp_path / side / name if nested else tmp_path / side
            folder.mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(pixels, np.eye(4)), folder / f"{name}.nii.gz")
    command = ("train", "--data", tmp_path / "i", tmp_path / "m", "--dry-run")
    result = run(*command, "--series", "all")
    assert result.code == 0, result.err
    assert "2 pairs with 6 labelled slices" in result.out
    assert "several series" in run(*command).out


def test_one_series_of_several_is_chosen(run: Run, two_series: tuple[Path, Path]) -> None:
    """S6: the same flag for images and masks."""
    images, masks = two_series
    result = run("train", "--data", images, masks, "--series", "b-", "--dry-run")
    assert result.code == 0, result.err
    assert "1 pair with 2 labelled slices" in result.out
    sides = ("--prediction", images, "--truth", masks)
    assert "--series" in run("evaluate", *sides, "--dry-run").err
    result = run("evaluate", *sides, "--series", "a-", "--dry-run")
    assert result.code == 0, result.err
    assert "a-2.png — a-2.png" in result.out
    assert "b-" not in result.out
