from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tifffile

from napari_medseg.core import InputError, OutputError
from napari_medseg.models import find_model, is_start, list_models, read_card
from napari_medseg.phantoms.brain import brain_sample
from napari_medseg.training import Recipe, TrainOptions, list_recipes, plan_run
from napari_medseg.training.candidates import CompareOptions
from napari_medseg.training.material import split
from napari_medseg.training.presets import AUGMENTATIONS
from napari_medseg.training.schedule import Budget
from napari_medseg.training.split import NOTHING
from napari_medseg.training.watch import Watch

from .conftest import Listener


def test_the_sample_trains_by_the_recipe_for_its_kind(tmp_path: Path) -> None:
    """No name of the sample tells a patient as the recipe expects it."""
    image, labels = brain_sample(1)
    tifffile.imwrite(tmp_path / "brain mr.tif", image.data, photometric="rgb")
    tifffile.imwrite(tmp_path / "truth.tif", labels.data)
    run = Recipe.read("brain-tumour").plan([(tmp_path / "brain mr.tif", tmp_path / "truth.tif")])
    listener = Listener()
    parts = split(run, NOTHING, Watch(listener, Budget(None, 1)), empty=True)
    assert len(parts.training) > len(parts.held_out) > 0
    assert "is found in no name, such as brain mr.tif, slice 0" in listener.said


@pytest.mark.parametrize("name", list_recipes())
def test_recipes_of_the_package_can_be_followed(name: str) -> None:
    recipe = Recipe.read(name)
    run = recipe.plan([("images", "masks")], name="new")
    assert is_start(run.start) or run.start in {card.name for card in list_models()}
    assert run.options == TrainOptions(**recipe.options)
    for field, value in recipe.options.items():
        assert value != TrainOptions.model_fields[field].default, f"{field} says nothing"
    assert len(recipe.plan_comparison().candidates) > 1
    assert recipe.plan_comparison().starts[0] == recipe.start, "what is trained is the first that is compared"
    assert recipe.title
    assert recipe.source


PUBLISHED: dict[str, tuple[str, dict[str, Any]]] = {
    "lungs-xray-published": (
        "unet:",
        {
            "longest": 512, "loss": "dice", "optimizer": "adam", "learning_rate": 1e-5, "scheduler": "plateau",
            "validation": 0.1, "test": 0.1,
        },
    ),
    "cancer-he-published": ("fcn8s:vgg16", {"scheduler": "exponential"}),
    "femur-ct-published": ("unet:", {"longest": 256, "loss": "dice", "neighbours": "0"}),
    "choosing-published": (
        "unet:tu-regnety_004", {"optimizer": "radam-lookahead", "encoder_rate": 0.1, "loss": "bce-dice"},
    ),
}  # fmt: skip
"""How the start of each begins, and what its publication says of the training."""

any_published = pytest.mark.parametrize("name", [name for name in list_recipes() if name.endswith("-published")])


@any_published
def test_what_was_published_is_what_a_recipe_says(name: str) -> None:
    start, settings = PUBLISHED[name]
    run = Recipe.read(name).plan([("images", "masks")])
    assert run.start.startswith(start)
    assert {field: getattr(run.options, field) for field in settings} == settings


def test_the_published_femur_is_varied_in_every_way_that_was_published() -> None:
    options = Recipe.read("femur-ct-published").plan([("images", "masks")]).options
    preset = AUGMENTATIONS[options.augmentation]
    assert options.dropout > 0
    assert all((preset.turn, preset.shift, preset.shear, preset.mirror, preset.scale != (1, 1)))


@pytest.mark.parametrize("name", ["lungs-xray", "cancer-he"])
def test_the_published_way_can_be_compared_with_ours_on_the_same_masks(name: str) -> None:
    ours, theirs = Recipe.read(name), Recipe.read(f"{name}-published")
    assert (ours.classes, ours.merge) == (theirs.classes, theirs.merge)


@any_published
def test_published_settings_hold_from_the_first_step(name: str) -> None:
    """What was published knew no start at half resolution, nor a built-in model."""
    recipe = Recipe.read(name)
    assert not recipe.plan([("images", "masks")]).options.coarse_start
    assert is_start(recipe.start)


def test_what_is_given_stands_in_the_place_of_the_recipes_own() -> None:
    recipe = Recipe(title="t", start="unet:resnet18", classes=("1=lungs",), options={"max_minutes": 3})
    run = recipe.plan([("images", "masks")], model="femur-ct", classes=["2=heart"])
    assert run.start == "femur-ct"
    assert [c.name for c in run.classes] == ["heart"]
    assert run.options.max_minutes == 3
    assert [c.name for c in recipe.plan([("images", "masks")]).classes] == ["lungs"]


def test_classes_that_are_named_are_not_merged_by_a_recipe() -> None:
    recipe, data = Recipe(title="t", start="unet:resnet18", classes=("1=cancer",), merge=True), [("images", "masks")]

    def planned(**given: Any) -> tuple[list[str], bool]:
        run = recipe.plan(data, **given)
        return [c.name for c in run.classes], run.merge

    assert planned() == (["cancer"], True)
    assert planned(classes=["1=tumour", "2=stroma"]) == (["tumour", "stroma"], False)
    assert planned(classes=["1=tumour"], merge=True) == (["tumour"], True)
    assert planned(merge=False) == ([], False), "cancer is what all classes are called together"


@pytest.mark.parametrize("name", [name for name in list_recipes() if not is_start(Recipe.read(name).start)])
def test_a_recipe_calls_classes_as_its_start_does(name: str) -> None:
    recipe = Recipe.read(name)
    named = {c.name for c in recipe.plan([("images", "masks")]).classes}
    assert named <= {c.name for c in read_card(find_model(recipe.start)).classes}


def test_a_recipe_says_what_is_compared_and_what_it_leaves_out_is_its_own() -> None:
    options = {"loss": "dice", "learning_rate": 0.01}
    recipe = Recipe(title="t", start="fpn:resnet18", options=options, compare={"batches": [2, 4], "max_minutes": 60})
    expected = CompareOptions(
        starts=("fpn:resnet18",), losses=("dice",), batches=(2, 4), max_minutes=60, seeds=3
    )  # fmt: skip
    assert recipe.plan_comparison(CompareOptions(learning_rates=(0.1,), seeds=3)) == expected
    assert recipe.plan([("images", "masks")]).options == TrainOptions(**options), "a training has no use for it"


@pytest.mark.parametrize("compare", [{}, {"max_minutes": 60}])
def test_a_recipe_that_names_no_candidates_is_tried_among_the_usual_ones(compare: dict[str, float]) -> None:
    recipe = Recipe(title="t", start="fpn:resnet18", options={"loss": "dice"}, compare=compare)
    planned = recipe.plan_comparison()
    usual = CompareOptions().starts
    assert planned.starts == ("fpn:resnet18", *(start for start in usual if start != "fpn:resnet18"))
    assert planned.losses == ("dice",)
    assert planned.max_minutes == compare.get("max_minutes", CompareOptions().max_minutes)


def test_the_four_networks_to_choose_from_are_the_usual_ones() -> None:
    assert Recipe.read("choosing").plan_comparison() == CompareOptions()
    sweep = Recipe.read("cancer-he-sweep").plan_comparison()
    assert {one.start for one in sweep.candidates} == {"fcn8s:vgg16"}
    assert all(len(axis) > 1 for axis in (sweep.learning_rates, sweep.weight_decays, sweep.batches))


def test_recipes_are_read_from_files(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"title": "Mine", "start": "unet:resnet18", "options": {"loss": "focal"}}')
    assert Recipe.read(path).plan([("images", "masks")]).options.loss == "focal"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", r"mine\.json is no recipe"),
        ('{"title": "Mine", "start": "unet:resnet18", "options": {"los": "focal"}}', r"mine\.json is no recipe: .*los"),
        ('{"title": "Mine", "start": "unet:resnet18", "options": {"loss": "nonsense"}}', r"mine\.json is no recipe"),
        ('{"title": "M", "start": "quick", "compare": {"starts": []}}', r"mine\.json is no recipe: .*starts"),
        (None, r"mine\.json cannot be read"),
    ],
)
def test_a_file_that_is_no_recipe_is_one_sentence(tmp_path: Path, content: str | None, says: str) -> None:
    path = tmp_path / "mine.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=says):
        Recipe.read(path)


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(InputError, match=r"There is no recipe lung-xray\. Did you mean lungs-xray\? There are .*femur"):
        Recipe.read("lung-xray")


def test_what_a_run_takes_besides_its_images_is_a_recipe(tmp_path: Path) -> None:
    """Neither where it lies nor which computer it runs on goes along."""
    run = plan_run([("images", "masks")], "unet:resnet18", "mine", ["1=liver", "2=kidney"])
    options = TrainOptions(loss="focal", test=0.1, device="cpu", log_dir=Path("logs"), panels=Path("p"))
    run = run.model_copy(update={"options": options, "merge": True})
    path = tmp_path / "organs.json"
    Recipe.of(run, "Organs").save(path)
    assert "device" not in path.read_text()
    again = Recipe.read(path).plan([("others", "masks")])
    assert (again.start, again.classes, again.merge) == (run.start, run.classes, True)
    assert again.options == TrainOptions(loss="focal", test=0.1)
    with pytest.raises(OutputError, match="exists already"):
        Recipe.of(run, "Organs").save(path)
    with pytest.raises(OutputError, match=r"ends in \.json"):
        Recipe.of(run, "Organs").save(tmp_path / "organs")


def test_classes_by_colour_stay_so_in_a_recipe(tmp_path: Path) -> None:
    run = plan_run([("images", "masks")], classes=["#00ff00=gland", "#0000ff=vessel", "#ffffff=background"])
    again = Recipe.of(run, "t").plan([("images", "masks")])
    assert (again.classes, again.background_colors) == (run.classes, run.background_colors)


@pytest.mark.parametrize("text", ["{", '{"start": "unet:resnet18"}', '{"title": "t", "start": "s", "other": 1}'])
def test_what_a_recipe_has_is_told_where_one_is_wrong(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(InputError, match="is no recipe: ") as caught:
        Recipe.read(path)
    assert all(key in caught.value.hint for key in Recipe.model_fields)
    assert "--save-recipe" in caught.value.hint


def test_a_recipe_of_another_suffix_is_told_apart_from_a_name(tmp_path: Path) -> None:
    path = tmp_path / "r.txt"
    path.write_text('{"title": "t", "start": "unet:resnet18"}')
    with pytest.raises(InputError, match=r"is not called \.json"):
        Recipe.read(path)
