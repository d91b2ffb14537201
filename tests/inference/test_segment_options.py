"""Settings: their bounds and how they complain."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from napari_medseg.core import InputError, one_sentence
from napari_medseg.inference import SegmentOptions, pick_slices
from napari_medseg.inference.options import parse_shard


def test_every_option_has_title_and_help() -> None:
    for name, field in SegmentOptions.model_fields.items():
        assert field.title, name
        assert field.title[0].isupper(), name
        assert field.description, name
        assert field.description.endswith("."), name


def test_defaults_survive_json() -> None:
    assert SegmentOptions.model_validate_json(SegmentOptions().model_dump_json()) == SegmentOptions()


@pytest.mark.parametrize(("given", "kept"), [("auto", "auto"), (4, 4), ("8", 8)])
def test_batch_takes_a_number_or_auto(given: object, kept: object) -> None:
    assert SegmentOptions(batch=given).batch == kept  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "setting",
    [
        {"batch": 0}, {"batch": "many"}, {"batch": True}, {"device": "cuda:x"}, {"device": "tpu"}, {"tile": 20},
        {"overlap": 0.9}, {"slices": "3"}, {"slices": "a:b"}, {"tta": "all"}, {"precision": "int8"}, {"smallest": -1},
        {"nonsense": 1},
    ],
)  # fmt: skip
def test_wrong_setting_is_one_sentence_that_names_it(setting: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as caught:
        SegmentOptions(**setting)  # type: ignore[arg-type]
    message = one_sentence(caught.value).message
    assert message.startswith(f"{next(iter(setting))}: ")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", range(10)), ("2:5", range(2, 5)), ("7:", range(7, 10)), (":3", range(3)), (":", range(10))],
)
def test_slices_are_half_open_and_count_from_zero(text: str, expected: range) -> None:
    assert pick_slices(text, 10) == expected


@pytest.mark.parametrize("text", ["5:5", "8:2", "10:", "0:11", "x"])
def test_slices_outside_of_the_image_are_refused(text: str) -> None:
    with pytest.raises(InputError):
        pick_slices(text, 10)


@pytest.mark.parametrize("text", ["2/5", "2 / 5"])
def test_a_shard_is_a_part_and_how_many_there_are(text: str) -> None:
    assert parse_shard(text) == (2, 5)


@pytest.mark.parametrize("text", ["0/4", "5/4", "2", "a/b", "-1/2", "1/2/3"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="like 2/4"):
        parse_shard(text)


def test_importing_loads_no_torch() -> None:
    code = "import sys, napari_medseg.inference; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
