"""What is learnt, what only measures, which classes there are, and whether they are sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from napari_medseg.core import ClassInfo, InputError, one_sentence
from napari_medseg.inference.ranges import NORMALISATIONS
from napari_medseg.training import LOSSES, Pair, TrainingRun, TrainOptions
from napari_medseg.training.classes import are_sides, check_painted, find_absent, find_classes, merge_classes
from napari_medseg.training.naming import listed, name_classes
from napari_medseg.training.pair import KnownRange
from napari_medseg.training.run import plan_run
from napari_medseg.training.split import hold_out
from napari_medseg.training.truth import Painted

Paint = Callable[..., list[Painted]]

LEFT, RIGHT = ClassInfo.numbered(1, "left femur"), ClassInfo.numbered(2, "right femur")


def mask(*values: int) -> np.ndarray:
    """16 x 16 with a small square of each value, side by side."""
    result = np.zeros((16, 16), np.uint8)
    for i, value in enumerate(values):
        result[4:8, 1 + 5 * i : 4 + 5 * i] = value
    return result


@pytest.mark.parametrize(("count", "held"), [(2, []), (3, [1]), (6, [3]), (10, [3, 7])])
def test_inner_slices_are_held_out(paint_slices: Paint, count: int, held: list[int]) -> None:
    training, measuring, note = hold_out(paint_slices(*[mask(1)] * count), 0.2)
    assert [one.z for one in measuring] == held
    assert len(training) + len(measuring) == count
    assert bool(note) == (count < 3)


def test_a_slice_alone_with_its_class_is_not_held_out(paint_slices: Paint) -> None:
    """T9."""
    painted = paint_slices(*[mask(1), mask(1), mask(1, 2), mask(1), mask(1)])
    _, measuring, _ = hold_out(painted, 0.2)
    assert [one.z for one in measuring] != [2]
    assert len(measuring) == 1


def test_groups_are_held_out_whole(paint_slices: Paint) -> None:
    painted = paint_slices(*[mask(1)] * 6, groups=("a", "a", "b", "b", "c", "c"))
    training, measuring, _ = hold_out(painted, 0.2)
    assert {one.group for one in training}.isdisjoint({one.group for one in measuring})
    assert len(measuring) == 2


def test_background_slices_do_not_measure(paint_slices: Paint) -> None:
    _, measuring, _ = hold_out(paint_slices(mask(1), mask(), mask(), mask(1), mask(1)), 0.2)
    assert [one.z for one in measuring] == [3]


def test_classes_keep_the_names_of_the_start() -> None:
    classes, index, _ = merge_classes((LEFT, RIGHT), (ClassInfo.numbered(1), ClassInfo.numbered(2)))
    assert classes == (LEFT, RIGHT)
    assert index == {0: 0, 1: 1, 2: 2}


def test_a_new_class_comes_after_the_old_ones() -> None:
    """T, the head grows: old classes keep their places and so their weights."""
    patella = ClassInfo.numbered(7, "patella")
    classes, index, notes = merge_classes((LEFT, RIGHT), (patella, LEFT))
    assert classes == (LEFT, RIGHT, patella)
    assert index[7] == 3
    assert "right femur" in " ".join(notes)


def test_classes_that_are_painted_nowhere_are_told_in_one_sentence() -> None:
    patella = ClassInfo.numbered(7, "patella")
    _, _, notes = merge_classes((LEFT, RIGHT, patella), (patella,))
    assert notes == [
        f"'{LEFT.name}' and '{RIGHT.name}' are painted in no mask; where masks are whole, their pixels count as "
        "background."
    ]


@pytest.mark.parametrize(
    ("count", "said"), [(1, "'a'"), (2, "'a' and 'b'"), (3, "'a', 'b' and 'c'"), (5, "'a', 'b', 'c' and 2 others")]
)
def test_very_many_names_are_counted(count: int, said: str) -> None:
    assert listed([*"abcde"[:count]], most=4) == said


def test_one_unnamed_value_for_a_model_of_sides_is_one_class() -> None:
    classes, _, notes = merge_classes((LEFT, RIGHT), (ClassInfo.numbered(1),))
    assert [c.name for c in classes] == ["class 1"]
    assert notes == [f"'class 1' begins as all classes of the start model together: {LEFT.name}, {RIGHT.name}."]


def test_the_only_class_is_found_under_another_value() -> None:
    lung = ClassInfo.numbered(1, "lung")
    classes, index, notes = merge_classes((lung,), (ClassInfo.numbered(255),))
    assert [(c.value, c.name) for c in classes] == [(255, "lung")]
    assert index[255] == 1
    assert notes


def test_a_class_called_background_is_background(paint_slices: Paint) -> None:
    painted = paint_slices(mask(1, 2))
    found = find_classes(painted, name_classes(["1=Background", "2=bone"]))
    classes, index, _ = merge_classes((), found)
    assert [c.name for c in classes] == ["bone"]
    assert (index[1], index[2]) == (0, 1)


@pytest.mark.parametrize(("values", "unlabelled"), [((), None), ((), 0), ((1,), 0), ((1,), 1)])
def test_masks_that_teach_nothing_are_refused(
    paint_slices: Paint, values: tuple[int, ...], unlabelled: int | None
) -> None:
    """T1."""
    painted = [replace(one, unlabelled=unlabelled) for one in paint_slices(mask(*values))]
    classes, index, _ = merge_classes((), find_classes(painted, ()))
    with pytest.raises(InputError, match="painted"):
        check_painted(painted, classes, index)


def test_sides_are_told_by_names_or_places(paint_slices: Paint) -> None:
    plain = (ClassInfo.numbered(1), ClassInfo.numbered(2))
    assert "left of" in are_sides(plain, [{1: 0.2, 2: 0.7}] * 2)
    assert not are_sides(plain, [{1: 0.2, 2: 0.7}, {1: 0.7, 2: 0.2}])
    assert "names a side" in are_sides((LEFT, RIGHT), [{1: 0.2, 2: 0.7}, {1: 0.7, 2: 0.2}])
    assert not are_sides(plain[:1], [{1: 0.6}] * 2)


def test_a_run_is_saved_and_read_again(tmp_path: Path) -> None:
    ranges = tuple(
        KnownRange(normalisation=NORMALISATIONS[name], range=found)
        for name, found in (("percentile", (0, 100)), ("median", ((0, 1.5), (3, 4))))
    )
    run = TrainingRun(
        pairs=(Pair(image=tmp_path / "a.tif", labels=tmp_path / "b.tif", slices=(1, 4), ranges=ranges),),
        start="unet:resnet18", name="x", classes=(LEFT,), options=TrainOptions(max_steps=3), folder=tmp_path / "run",
    )  # fmt: skip
    assert TrainingRun.load(run.save()) == run
    assert TrainingRun.load(tmp_path / "run") == run


def test_a_file_that_is_no_run_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"pairs": []}')
    for path, said in ((tmp_path / "run.json", "is no training run: pairs"), (tmp_path / "no.json", "cannot be read")):
        with pytest.raises(InputError, match=said) as caught:
            TrainingRun.load(path)
        assert "run.json" in caught.value.hint


def test_paths_where_nothing_is_are_refused(tmp_path: Path) -> None:
    here, nowhere = Pair(image=tmp_path, labels=tmp_path), Pair(image=tmp_path, labels=tmp_path / "nowhere")
    TrainingRun(pairs=(here,)).check_paths()
    for run in (TrainingRun(pairs=(here, nowhere)), TrainingRun(pairs=(here,), validation_pairs=(nowhere,))):
        with pytest.raises(InputError, match="nowhere does not exist"):
            run.check_paths()


@pytest.mark.parametrize("data", [[], "images", [("only images",)], ["ab"]])
def test_data_must_be_pairs(data: object) -> None:
    with pytest.raises(InputError, match=r"pairs|no training data"):
        plan_run(data)  # type: ignore[arg-type]


def test_class_names_are_read_from_text() -> None:
    assert name_classes({3: "vein"}) == name_classes(["3=vein"]) == (ClassInfo.numbered(3, "vein"),)
    assert name_classes([" 3 = portal vein "])[0].name == "portal vein"


@pytest.mark.parametrize(
    "text", ["vein", "=vein", "3=", "0=vein", "-1=vein", "²=vein", "1.5=vein", "9" * 5000 + "=vein"]
)
def test_what_names_no_class_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="does not name a class"):
        name_classes([text])


def test_a_value_has_one_name_and_a_name_one_value(paint_slices: Paint) -> None:
    with pytest.raises(InputError, match="Value 3 is named twice: 'vein' and 'artery'"):
        name_classes(["3=vein", "3=artery"])
    with pytest.raises(InputError, match="1 and 2 are both named 'bone'"):
        find_classes(paint_slices(mask(1, 2)), name_classes(["1=bone", "2=bone"]))
    assert find_classes(paint_slices(mask(1, 2)), name_classes(["1=background", "2=background"]))


def test_a_name_of_the_start_is_not_given_to_another_value() -> None:
    classes, index, _ = merge_classes((LEFT, RIGHT), (ClassInfo.numbered(1), ClassInfo.numbered(2, "left femur")))
    assert {index[1], index[2]} == {1, 2}
    assert {c.name for c in classes} >= {"left femur", "class 1"}


def test_values_that_are_in_no_mask_are_said(paint_slices: Paint) -> None:
    painted = paint_slices(mask(1), mask(2))
    assert find_absent(painted, (LEFT, RIGHT), 0) == []
    named, unlabelled = find_absent(painted, (LEFT, ClassInfo.numbered(5, "patella")), 9)
    assert "5" in named
    assert "patella" in named
    assert "unlabelled value 9 is in no mask" in unlabelled


def test_what_our_own_checks_say_is_a_plain_sentence() -> None:
    with pytest.raises(ValidationError) as caught:
        TrainOptions(group="(")
    message = one_sentence(caught.value).message
    assert message.startswith("group: '(' is no regular expression")
    assert "Value error" not in message
    assert not message.endswith("..")


def test_every_option_has_title_and_help() -> None:
    for name, field in TrainOptions.model_fields.items():
        assert field.title, name
        assert field.description, name
    assert TrainOptions().loss in LOSSES
