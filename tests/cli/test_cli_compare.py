"""``compare``: what it is told is what is compared, and a dry run trains nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

import napari_medseg.cli.compare as compare_command
from napari_medseg.inference.cost import Cost
from napari_medseg.models import find_model, list_models, read_card
from napari_medseg.training import TrainingRun, plan_run, rounds
from napari_medseg.training.candidates import CompareOptions
from napari_medseg.training.standings import Comparison, Row, Terms

from .conftest import Run

SIDE = 64


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Five noisy pictures of a bright square, and their masks."""
    images, masks = tmp_path / "images", tmp_path / "masks"
    images.mkdir()
    masks.mkdir()
    random = np.random.default_rng(0)
    for i, name in enumerate(("ant", "bee", "cow", "dog", "emu")):
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[16 : 40 + i, 8 + 4 * i : 40] = 1
        pixels = (60 + 120 * mask + random.normal(0, 10, mask.shape)).clip(0, 255).astype(np.uint8)
        Picture.fromarray(pixels).save(images / f"{name}.png")
        Picture.fromarray(mask).save(masks / f"{name}.png")
    return images, masks


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a comparison was called with."""
    called: dict[str, Any] = {}

    def compare(run: TrainingRun, options: CompareOptions, **given: Any) -> Comparison:
        called.update(given, run=run, options=options)
        return Comparison(rows=(Row(candidate="c", start="s", loss="l", augmentation="a", dice=(0.5,)),))

    monkeypatch.setattr(compare_command, "compare_candidates", compare)
    return called


def test_a_recipe_is_varied_as_it_is(run: Run, compared: dict[str, Any], tmp_path: Path) -> None:
    recipe = tmp_path / "r.json"
    recipe.write_text(json.dumps({"title": "t", "start": "unet:resnet18", "options": {"seed": 3, "group": "p"}}))
    assert run("compare", "--data", "a", "b", "--recipe", str(recipe)).code == 0
    options = compared["run"].options
    assert (options.seed, options.group, options.device) == (3, "p", "auto")
    assert run("compare", "--data", "a", "b", "--recipe", str(recipe), "--seed", "5", "--device", "cpu").code == 0
    options = compared["run"].options
    assert (options.seed, options.group, options.device) == (5, "p", "cpu")
    assert "none of auto, cpu" in run("compare", "--data", "a", "b", "--device", "gpu").err


def test_masks_are_understood_as_when_training(run: Run, compared: dict[str, Any]) -> None:
    line = "compare --data a b --validation-data c d --classes #00ff00=gland blue=vessel --series x --group p"
    result = run(*line.split(), "--starts", "unet:resnet18", "--learning-rates", "0.001", "1e-4", "--batches", "2")
    assert result.code == 0, result.err
    made = compared["run"]
    planned = plan_run([("a", "b")], classes=["#00ff00=gland", "blue=vessel"], validation_data=[("c", "d")])
    assert (made.classes, made.background_colors) == (planned.classes, planned.background_colors)
    assert (made.merge, made.options.group) == (False, "p")
    assert [pair.series for pair in (*made.pairs, *made.validation_pairs)] == ["x", "x"]
    assert compared["options"] == CompareOptions(
        starts=("unet:resnet18",), learning_rates=(0.001, 1e-4), batches=(2,)
    )  # fmt: skip


def test_a_recipe_says_what_is_compared_but_for_what_is_given(run: Run, compared: dict[str, Any]) -> None:
    command = ("compare", "--data", "a", "b", "--recipe", "cancer-he-sweep")
    assert run(*command, "--batches", "8", "--classes", "2=tumour").code == 0
    options, made = compared["options"], compared["run"]
    assert (options.starts, options.batches, options.max_minutes) == (("fcn8s:vgg16",), (8,), 120)
    assert len(options.learning_rates) > 1
    assert ([c.name for c in made.classes], made.merge, made.options.channels) == (["tumour"], False, "stain")


def test_a_dry_run_lists_candidates_and_pairs(run: Run, compared: dict[str, Any], folders: tuple[Path, Path]) -> None:
    (folders[1] / "emu.png").unlink()
    result = run("compare", "--data", *folders, "--classes", "1=square", "--losses", "dice", "focal", "--dry-run")
    assert result.code == 0, result.err
    assert "  unet:resnet18, focal, auto\n" in result.out
    assert "4 pairs with 4 labelled slices" in result.out
    assert "emu.png: No mask is called emu" in result.out
    assert "1 square: in 4 pairs" in result.out
    assert not compared


def test_that_it_was_stopped_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(given: TrainingRun, options: CompareOptions, **_: Any) -> Comparison:
        rows = [Row(candidate=str(one), start=one.start, loss="l", augmentation="a") for one in options.candidates]
        rows[0] = rows[0].model_copy(update={"round": 1, "dice": (0.5,)})
        return Comparison(rows=tuple(rows), stopped=True, terms=Terms(run=given, options=options))

    monkeypatch.setattr(compare_command, "compare_candidates", stopped)
    result = run("compare", "--data", "a", "b")
    assert result.code == 0
    assert "Stopped: 1 of 4 candidates was trained in round 1 of 2.\n" in result.out


@pytest.mark.parametrize("name", ["comparison.json", "comparison.csv"])
def test_an_earlier_report_is_replaced_only_when_asked(
    run: Run, compared: dict[str, Any], tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("earlier")
    result = run("compare", "--data", "a", "b", "--output", tmp_path)
    assert result.code == 2
    assert f"{name} exists already" in result.err
    assert "--overwrite" in result.err
    assert not compared
    assert run("compare", "--data", "a", "b", "--output", tmp_path, "--overwrite").code == 0
    assert compared["folder"] == tmp_path


@pytest.mark.parametrize(
    ("starts", "why"),
    [
        (("unet:no-such", "unet:resnet18"), "no-such"),
        (("unet:resnet18", "nonsense"), "nonsense"),
        (("unet:resnet18",), "only one candidate"),
        (("classifier:resnet18", "unet:resnet18"), "classifier:resnet18 only says whether a slice holds anything"),
    ],
)
def test_a_dry_run_refuses_what_cannot_be_compared(
    run: Run, folders: tuple[Path, Path], starts: tuple[str, ...], why: str
) -> None:
    result = run("compare", "--data", *folders, "--dry-run", "--starts", *starts)
    assert result.code == 2
    assert why in result.err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--batches", "0.5"), "--batches takes whole numbers, not 0.5."),
        (("--batches", "2", "2.5"), "--batches takes whole numbers, not 2.5."),
        (("--batches", "-1"), "greater than or equal to 0"),
        (("--batches", "two"), 'unable to convert "two" into int'),
        (("--seeds", "1.6"), "--seeds takes whole numbers, not 1.6."),
        (("--seed", "nan"), "--seed takes whole numbers, not nan."),
    ],
)
def test_whole_numbers_are_not_made_of_others(
    run: Run, compared: dict[str, Any], given: tuple[str, ...], said: str
) -> None:
    """Half a sample in a step would be rounded to 0, which chooses the batch itself."""
    result = run("compare", "--data", "a", "b", *given)
    assert (result.code, said in result.err) == (2, True), result.err
    assert not compared


@pytest.mark.parametrize(
    ("flag", "value"), [("--batch", "0.5"), ("--max-steps", "2.5"), ("--unlabelled", "1.5"), ("--seed", "nan")]
)
def test_nor_are_those_of_a_training(run: Run, flag: str, value: str) -> None:
    result = run("train", "--data", "a", "b", flag, value)
    assert (result.code, f"{flag} takes whole numbers, not {value}." in result.err) == (2, True), result.err


def test_a_batch_may_be_chosen_by_itself(run: Run, compared: dict[str, Any]) -> None:
    assert run("compare", "--data", "a", "b", "--batches", "0", "2.0", "--seeds", "1").code == 0
    assert (compared["options"].batches, compared["options"].seeds) == ((0, 2), 1)


@pytest.mark.usefixtures("trained_here")
def test_the_winner_of_a_small_comparison_is_kept(
    run: Run, folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With real trainings; what networks cost is measured elsewhere."""
    monkeypatch.setattr(rounds, "measure_cost", lambda *_: Cost(parameters=1, milliseconds=2.0, mebibytes=3.0))
    before = {card.name for card in list_models()}
    result = run(
        "compare", "--data", *folders, "--classes", "1=square", "--starts", "unet:tu-resnet10t", "fpn:tu-resnet10t",
        "--max-minutes", "0.001", "--seeds", "1", "--device", "cpu", "--name", "best", "--output", tmp_path / "report",
    )  # fmt: skip
    assert result.code == 0, result.err
    rows = json.loads((tmp_path / "report" / "comparison.json").read_text())["rows"]
    assert {row["start"] for row in rows} == {"unet:tu-resnet10t", "fpn:tu-resnet10t"}
    assert [row["state"] for row in rows] == ["in", "in"]
    lines = (tmp_path / "report" / "comparison.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == [row["start"] for row in rows]
    assert {card.name for card in list_models()} - before == {"best"}
    card = read_card(find_model("best"))
    assert (card.parent, [c.name for c in card.classes]) == (rows[0]["start"], ["square"])
    assert f"best@1 is {rows[0]['candidate']}." in result.out
    assert "held-out Dice" in result.out


@pytest.mark.usefixtures("trained_here")
def test_where_nothing_can_be_held_out_there_is_no_winner(run: Run, folders: tuple[Path, Path]) -> None:
    """With real trainings: no figure is made up, and no model is kept."""
    for name in ("cow", "dog", "emu"):
        (folders[1] / f"{name}.png").unlink()
    before = {card.name for card in list_models()}
    result = run(
        "compare", "--data", *folders, "--starts", "unet:tu-resnet10t", "fpn:tu-resnet10t", "--max-minutes", "0.001",
        "--seeds", "1", "--device", "cpu", "--name", "w",
    )  # fmt: skip
    assert result.code != 0
    assert "Nothing can be compared: nothing was held out. Label more slices" in result.err
    assert "Dice" not in result.out + result.err
    assert {card.name for card in list_models()} == before
