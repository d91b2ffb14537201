"""The value objects refuse what would go wrong later."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import pytest
from pydantic import ValidationError

from napari_medseg.core import (
    Choice,
    ClassInfo,
    Geometry,
    Image,
    InputError,
    Labels,
    Mark,
    MedsegError,
    ModelCard,
    Normalisation,
    Options,
    first_problem,
    marked,
    one_sentence,
    spread,
    spread_ends,
    told_apart,
)
from napari_medseg.core.score import SEEDS, TRAINING_STEPS, TRIAL


class Marked(Options):
    seed: Annotated[int, Mark.FREE] = 0
    loss: Annotated[str, Choice(("a", "b"))] = "a"
    minutes: Annotated[float, Mark.OWN, Mark.FREE] = 1


def test_marks_are_read_from_the_fields() -> None:
    assert marked(Marked, Mark.FREE) == ("seed", "minutes")
    assert marked(Marked, Mark.OWN, Mark.SLIDE) == ("minutes",)
    assert marked(Marked, Mark.SLIDE) == ()


def card(**changes: object) -> ModelCard:
    return ModelCard.model_validate({"name": "m", "classes": [ClassInfo.numbered(1)], **changes})


def test_card_comes_back_from_json() -> None:
    original = card(neighbours=1, channels=3, pixel_size=0.8, network={"decoder_channels": [8, 4]})
    assert ModelCard.model_validate_json(original.model_dump_json()) == original


def test_classes_of_like_colours_are_told_apart() -> None:
    found = told_apart([ClassInfo.numbered(value) for value in (1, 17, 127, 255)])
    assert len({one.color for one in found}) == 4
    assert found[0] == ClassInfo.numbered(1)
    assert [one.value for one in found] == [1, 17, 127, 255]
    many = told_apart([ClassInfo.numbered(value) for value in range(1, 30)])
    assert many[:16] == tuple(ClassInfo.numbered(value) for value in range(1, 17))


def test_card_counts_channels() -> None:
    assert card(neighbours=1, channels=3).in_channels == 9
    assert [card(channels=n).takes for n in (1, 3, 4)] == ["grey", "RGB", "4 channels"]
    assert card(channels=3, normalisation=Normalisation(method="median")).takes == "3 sequences"
    median = Normalisation(method="median")
    named = card(channels=2, channel_names=("T1", "FLAIR"), normalisation=median)
    assert named.takes == "2 sequences (T1, FLAIR)"
    assert card(channels=3, normalisation=median).channel_names == (), "nobody named them"
    assert card().out_channels == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "No Spaces"},
        {"classes": []},
        {"classes": [ClassInfo.numbered(1), ClassInfo.numbered(1)]},
        {"unknown": 1},
        {"pixel_size": 0},
        {"pixel_range": (0, 1)},
        {"pixel_range": (2, 1)},
        {"pixel_range": (1, float("inf"))},
    ],
)
def test_card_refuses_nonsense(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        card(**changes)


@pytest.mark.parametrize(("channels", "values"), [(1, 3), (3, 2)])
def test_card_refuses_means_that_do_not_fit_its_channels(channels: int, values: int) -> None:
    normalisation = Normalisation(mean=(0.1,) * values, std=(1.0,) * values)
    with pytest.raises(ValidationError) as caught:
        card(channels=channels, normalisation=normalisation)
    said = first_problem(caught.value)
    assert said == f"mean and std have {values} values for {channels} channel{'s' if channels > 1 else ''}"
    assert card(channels=values, normalisation=normalisation).normalisation == normalisation
    assert card(channels=channels, normalisation=Normalisation(mean=(0.1,), std=(1.0,))).channels == channels


def test_normalisation_needs_an_order() -> None:
    with pytest.raises(ValidationError, match="below"):
        Normalisation(low=5, high=5)


def test_options_refuse_unknown_names_in_one_sentence() -> None:
    class Some(Options):
        loss: Annotated[str, Choice({"dice": 1, "focal": 2})] = "dice"

    with pytest.raises(ValidationError) as caught:
        Some.model_validate({"loss": "bogus"})
    assert "loss" in str(one_sentence(caught.value))
    assert "dice, focal" in str(one_sentence(caught.value))
    with pytest.raises(ValidationError):
        Some.model_validate({"lose": "dice"})


def test_geometry_affine_combines_spacing_direction_and_origin() -> None:
    geometry = Geometry(spacing=(2, 3), origin=(10, 20), direction=((0, 1), (1, 0)), unit="mm")
    np.testing.assert_allclose(geometry.affine() @ (1, 0, 1), (10, 22, 1))
    np.testing.assert_allclose(geometry.affine() @ (0, 1, 1), (13, 20, 1))


@pytest.mark.parametrize("spacing", [(0, 1), (-1, 1), (np.nan, 1), (np.inf, 1)])
def test_geometry_refuses_impossible_spacing(spacing: tuple[float, float]) -> None:
    with pytest.raises(ValidationError):
        Geometry(spacing=spacing)


def test_pixel_size_is_in_mm_or_unknown() -> None:
    assert Geometry(spacing=(4, 0.5, 0.5), unit="mm").pixel_size == 0.5
    assert Geometry(spacing=(500, 500), unit="um").pixel_size == 0.5
    oblong = Geometry(spacing=(4, 200, 800), unit="um")
    assert oblong.pixel_sides == (0.2, 0.8)
    assert oblong.pixel_size == pytest.approx(0.4), "of a square as large"
    assert Geometry.unknown(3).pixel_size is Geometry.unknown(3).pixel_sides is None


def test_image_counts_slices_and_channels() -> None:
    stack = Image(np.zeros((3, 4, 5, 3), np.uint8), "ZYXC", Geometry.unknown(3), names=("a", "b", "c"))
    assert (len(stack), stack.channels, stack.shape) == (3, 3, (3, 4, 5))
    assert stack.slice(1).shape == (4, 5, 3)
    single = Image(np.zeros((4, 5), np.uint8), "YX", Geometry.unknown(2))
    assert (len(single), single.channels, single.shape) == (1, 1, (4, 5))


def test_slices_without_names_are_called_by_their_numbers() -> None:
    stack = Image(np.zeros((2, 4, 5)), "ZYX", Geometry.unknown(3))
    assert stack.slice_names == ("0", "1")
    assert replace(stack, names=("a", "b")).slice_names == ("a", "b")
    assert Labels(np.zeros((4, 5), np.uint8), (), Geometry.unknown(2)).slice_names == ("0",)


ALL = [*range(10)]


@pytest.mark.parametrize(
    ("most", "middle", "ends"),
    [(0, [], []), (1, [5], [0]), (2, [2, 7], [0, 9]), (4, [1, 3, 6, 8], [0, 3, 6, 9]), (10, ALL, ALL), (20, ALL, ALL)],
)
def test_a_few_of_many_are_evenly_spread(most: int, middle: list[int], ends: list[int]) -> None:
    assert spread(range(10), most) == middle
    assert spread_ends(range(10), most) == ends
    assert spread([], most) == spread_ends([], most) == []


def test_image_refuses_names_that_do_not_fit() -> None:
    with pytest.raises(InputError, match="2 names"):
        Image(np.zeros((3, 4, 5)), "ZYX", Geometry.unknown(3), names=("a", "b"))
    with pytest.raises(InputError, match="axes"):
        Image(np.zeros((3, 4, 5)), "YX", Geometry.unknown(2))


def test_labels_refuse_another_geometry() -> None:
    with pytest.raises(InputError, match="geometry"):
        Labels(np.zeros((3, 4, 5), np.uint8), (), Geometry.unknown(2))


def test_errors_travel_between_processes() -> None:
    error = pickle.loads(pickle.dumps(InputError("What.", "Do.")))
    assert (error.message, error.hint, str(error)) == ("What.", "Do.", "What. Do.")
    assert isinstance(error, MedsegError)


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({}, "as they are"),
        ({"pixel_size": 0.8}, "at 0.8 mm a pixel"),
        ({"pixel_size": 0.8, "reduction": 2}, "at 0.8 mm a pixel, then 2 times smaller"),
        ({"longest": 256}, "with a longer side of 256 pixels"),
        ({"pixel_range": (0.6, 1.6)}, "as they are; learnt from 0.6 to 1.6 mm a pixel"),
        (
            {"pixel_range": (0.0005, 0.0005), "reduction": 2},
            "as they are, then 2 times smaller; learnt from 0.5 µm a pixel",
        ),
        ({"pixel_range": (0.6, 1.6), "pixel_size": 0.8}, "at 0.8 mm a pixel"),
        ({"pixel_range": (0.6, 1.6), "longest": 256}, "with a longer side of 256 pixels"),
    ],
)
def test_a_card_says_at_which_size_images_go_in(about: dict[str, Any], words: str) -> None:
    assert ModelCard(name="a", classes=(ClassInfo.numbered(1),), **about).size_in_words == words


def test_a_card_says_what_lies_beside() -> None:
    def words(**about: Any) -> str:
        return ModelCard(name="a", classes=(ClassInfo.numbered(1),), **about).beside_in_words

    assert (words(), words(neighbours=2)) == ("", "2 slices on either side")
    assert words(neighbours=1, slice_distance=2.5) == "1 slice on either side, learnt 2.5 mm apart"


def test_scores_are_told_by_what_they_were_measured_on() -> None:
    told = [("dice", 0.5, "a"), ("dice femur", 0.125, "a"), ("dice", 0.25, "b"), ("AUROC for slices", 0.9333, "b")]
    scores = [{"metric": metric, "value": value, "on": on} for metric, value, on in told]
    assert card(scores=scores).scores_in_words == (
        "a: Dice 0.500; Dice femur 0.125", "b: Dice 0.250; AUROC for slices 0.933",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("left_out", "said"),
    [
        ((), "femur CT: Dice 0.93 as it is, 0.98 after 60 steps on painted strokes; "
             "random weights 0.58 after the same (one seed)"),
        ((SEEDS, TRAINING_STEPS), "femur CT: Dice 0.93 as it is"),
    ],
)  # fmt: skip
def test_a_trial_against_random_weights_is_told_in_one_sentence(left_out: tuple[str, ...], said: str) -> None:
    values = dict(zip(TRIAL, (0.9282, 0.9812, 0.5775, 0.5775, 0, 60, 60, 1), strict=True))
    scores = [{"metric": m, "value": v, "on": "femur CT"} for m, v in values.items() if m not in left_out]
    assert card(scores=scores).scores_in_words == (said,)


def test_a_trial_with_several_seeds_is_a_mean() -> None:
    values = dict(zip(TRIAL, (0.9, 0.95, 0.8, 0.8, 0, 60, 60, 2), strict=True))
    (line,) = card(scores=[{"metric": m, "value": v, "on": "a"} for m, v in values.items()]).scores_in_words
    assert line.endswith("(mean of 2 seeds)")
