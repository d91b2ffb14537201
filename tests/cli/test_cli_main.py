"""The command line as a whole: exit codes, help, and flags that follow from the Options classes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic.fields import FieldInfo

import napari_medseg.cli.segment as segment_command
from napari_medseg import __version__
from napari_medseg.cli import make_app
from napari_medseg.cli.flags import help_text
from napari_medseg.core import Cancelled, ComputeError, Options
from napari_medseg.inference import SegmentOptions
from napari_medseg.training import TrainOptions
from napari_medseg.training.candidates import CompareOptions

from .conftest import Run

COMMANDS = ("segment", "train", "compare", "evaluate", "convert", "demo", "models")
MODELS = ("list", "show", "compare", "import", "export", "rename", "remove")


def fields() -> list[tuple[str, str, FieldInfo]]:
    kinds: tuple[tuple[str, type[Options]], ...] = (
        ("segment", SegmentOptions), ("train", TrainOptions), ("compare", CompareOptions),
    )  # fmt: skip
    return [(command, name, field) for command, kind in kinds for name, field in kind.model_fields.items()]


@pytest.mark.parametrize(
    ("command", "name", "field"), fields(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_option_is_a_flag_with_its_default_and_help(command: str, name: str, field: FieldInfo) -> None:
    arguments = make_app(command)[command].assemble_argument_collection()
    flag = next(a for a in arguments if f"--{name.replace('_', '-')}" in a.names)
    assert flag.field_info.default == field.default
    assert flag.parameter.help == help_text(field)
    assert field.description is not None
    assert flag.parameter.help.startswith(field.description.rstrip("."))


@pytest.mark.parametrize("command", [(), *((c,) for c in COMMANDS), *(("models", c) for c in MODELS)], ids=" ".join)
def test_help_of_every_command_has_an_example(run: Run, command: tuple[str, ...]) -> None:
    result = run(*command, "--help")
    assert result.code == 0
    assert "Example" in result.out
    assert f"napari-medseg {' '.join(command)}".strip() in result.out.split("Example")[1]


def test_help_lists_choices_and_bounds(run: Run) -> None:
    shown = " ".join(run("train", "--help").out.replace("│", " ").split())
    assert "none, light, medium, heavy" in shown
    assert "At least 0, at most 0.5" in shown


def test_help_loads_neither_torch_nor_pydantic() -> None:
    code = (
        "import sys; from napari_medseg.cli import main; main(['--help']);"
        "print(*{'torch', 'numpy', 'pydantic', 'napari'} & {*sys.modules}, file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stderr.strip() == ""


def test_help_of_segment_and_train_loads_no_torch() -> None:
    code = (
        "import sys; from napari_medseg.cli import main;"
        "main(['segment', '--help']); main(['train', '--help']); main(['models', 'list']);"
        "print('torch' in sys.modules, file=sys.stderr)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr == "False\n"


def test_version(run: Run) -> None:
    assert run("--version").out.strip() == __version__


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("sement",), 'Did you mean "segment"'),
        (("segment",), "requires an argument"),
        (("segment", "a.png", "--model", "m", "--output", "o", "--tiles", "3"), "--tiles"),
        (("segment", "a.png", "--model", "m", "-o", "o"), "There is no option -o."),
        (("segment", "nowhere.png", "--model", "m", "--output", "o"), "nowhere.png does not exist"),
        (("models", "show", "nothing"), "no model 'nothing'"),
        (("train",), "nothing to train on"),
        (("compare",), "nothing to train on"),
        (("compare", "--data", "a", "b", "--starts", "unet:resnet18"), "only one candidate"),
        (("compare", "--data", "a", "b", "--learning-rates", "0.2"), "learning_rates"),
        (("train", "--data", "a", "b", "--classes", "left"), "left"),
        (("evaluate", "--prediction", "nowhere", "--truth", "nowhere"), "nowhere does not exist"),
        (("convert", "nowhere.png", "b.tif"), "nowhere.png does not exist"),
    ],
)
def test_bad_usage_is_a_sentence_and_exit_2(
    run: Run, arguments: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.code == 2
    assert said in result.err
    assert result.err.startswith("napari-medseg: ")
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ComputeError("Out of memory.", "Use a smaller tile."), 1, "Out of memory.\nUse a smaller tile."),
        (ZeroDivisionError("division by zero"), 1, "The work failed: ZeroDivisionError: division by zero"),
        (Cancelled(), 130, "Cancelled."),
        (KeyboardInterrupt(), 130, "Cancelled."),
    ],
)
def test_each_ending_has_its_exit_code(
    run: Run, monkeypatch: pytest.MonkeyPatch, series: Path, error: BaseException, code: int, said: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(segment_command, "load_model", fail)
    result = run("segment", series, "--model", "m", "--output", series.parent / "out")
    assert (result.code, said in result.err) == (code, True)
    assert "Traceback" not in result.err


def test_a_reader_that_wants_no_more_is_no_failure_to_tell_of() -> None:
    """As in ``napari-medseg models show femur-ct | head -1``."""
    command = [sys.executable, "-u", "-m", "napari_medseg", "models", "show", "femur-ct"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""


def test_debug_shows_the_traceback() -> None:
    command = [sys.executable, "-m", "napari_medseg", "models", "show", "nothing", "--debug"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "Traceback" in result.stderr
    assert "There is no model 'nothing'" in result.stderr
