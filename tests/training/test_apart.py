"""A training in a process of its own: the same as here, stopped and broken in every way."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_medseg.core import Cancelled, ComputeError, Image, InputError, Progress
from napari_medseg.core.geometry import Geometry
from napari_medseg.models import find_model, list_models
from napari_medseg.training import Pair, TrainingRun, TrainOptions, apart
from napari_medseg.training.apart import Conversation, train_apart
from napari_medseg.training.child import train_here
from napari_medseg.training.messages import describe, revive
from napari_medseg.training.preview import Asked

from .conftest import Folders, Listener

pytestmark = pytest.mark.long

SMALL: dict[str, Any] = {"device": "cpu", "batch": 1, "precision": "fp32", "crop": 64}


def make_run(folders: Folders, **options: Any) -> TrainingRun:
    pair = Pair(image=folders[0], labels=folders[1])
    return TrainingRun(pairs=(pair,), start="unet:tu-resnet10t", name="n", options=TrainOptions(**{**SMALL, **options}))


@pytest.fixture(autouse=True)
def processes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Those that are started; none is left, nor what it was told."""
    places = tmp_path / "temporary"
    places.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(places))
    started: list[subprocess.Popen[bytes]] = []

    class Remembered(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **more: Any) -> None:
            super().__init__(*arguments, **more)
            started.append(self)

    monkeypatch.setattr(apart.subprocess, "Popen", Remembered)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield started
    assert all(process.returncode is not None for process in started)
    assert "training process" not in {thread.name for thread in threading.enumerate()}
    assert not [*places.glob("napari-medseg-*")]


@pytest.mark.parametrize("started", [math.inf, 0.0])
def test_time_may_begin_when_the_process_is_ready(started: float, tmp_path: Path) -> None:
    """What it takes to load the libraries says nothing about a network."""

    class Ready:
        folder, heard, sent = tmp_path, iter([{}, {"ready": True}, {"cancelled": True}]), dict[str, Any]()

        def hear(self) -> dict[str, Any]:
            return next(self.heard)

        def send(self, **message: Any) -> None:
            self.sent.update(message)

    child = Ready()
    talk = Conversation(child, lambda _: None, None)  # type: ignore[arg-type]
    with pytest.raises(Cancelled):
        talk.hold(make_run((tmp_path, tmp_path)), started)
    assert (child.sent["elapsed"] == 0) == (started == math.inf)


def test_it_is_the_same_training_whatever_is_printed_there(
    write_series: Callable[..., Folders],
    listener: Listener,
    own_library: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """G13: the same weights and outcome as in this process; what libraries print is not taken for an answer."""
    from napari_medseg.training.work import carry_out

    run = make_run(write_series(5), max_steps=3)
    noise = tmp_path / "noise"
    noise.mkdir()
    # Printed before anything else runs, and with every import, also those of the training.
    hook = "lambda event, _: event == 'import' and os.write(1, b'{')"
    (noise / "sitecustomize.py").write_text(f"import os, sys\nprint('{{', end='')\nsys.addaudithook({hook})\n")
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", str(noise))
        far = train_apart(run, listener)
    weights = (find_model(far.card.reference) / "model.safetensors").read_bytes()
    monkeypatch.setenv("NAPARI_MEDSEG_HOME", str(own_library / "other"))
    near_listener = Listener()
    near = carry_out(run, near_listener)
    assert far.card == near.card
    assert str(far.verdict) == str(near.verdict)
    assert (far.message, far.held_out) == (near.message, near.held_out)
    assert far.held_out
    assert weights == (find_model(near.card.reference) / "model.safetensors").read_bytes()
    assert far.notes == near.notes
    assert {*near.notes} <= {p.message for p in listener.heard}
    last, expected = listener.heard[-1], near_listener.heard[-1]
    assert (last.stage, last.done, last.total) == (expected.stage, expected.done, expected.total)
    assert dict(last.metrics) == dict(expected.metrics)


def test_stop_keeps_the_best_after_the_slice_in_view_was_shown(
    write_series: Callable[..., Folders], processes: list[subprocess.Popen[bytes]]
) -> None:
    """T4: and the pixels that are asked for come from here; nothing is reported after the stop."""
    pixels = np.random.default_rng(0).integers(0, 255, (3, 40, 50), dtype=np.uint8)
    image = Image(pixels, "ZYX", Geometry(spacing=(3, 0.8, 0.8), unit="mm"), missing=frozenset({0}))
    asked: list[str] = []

    def preview() -> Asked:
        asked.append(threading.current_thread().name)
        return Asked((2, 7, 9), image, 2)

    listener = Listener(stop=lambda p: p.region is not None)
    result = train_apart(make_run(write_series(4), max_minutes=100.0), listener, preview)
    assert "Stopped early" in result.card.description
    assert [c.reference for c in list_models() if c.name == "n"] == ["n@1"]
    shown = listener.heard[-1]
    assert shown.region == (2, 7, 9)
    assert shown.result is not None
    assert shown.result.shape == (40, 50)
    assert {*np.unique(shown.result).tolist()} <= {0, 1, 2}
    assert asked == [threading.current_thread().name]
    assert [process.returncode for process in processes] == [0]


def test_stop_while_the_process_starts_ends_it_at_once(
    write_series: Callable[..., Folders], own_library: Path, processes: list[subprocess.Popen[bytes]]
) -> None:
    """T4: it need not even have loaded its libraries."""
    listener = Listener(stop=lambda p: not p.message)
    with pytest.raises(Cancelled):
        train_apart(make_run(write_series(2), max_steps=2), listener)
    assert len(listener.heard) == 2
    assert processes[0].returncode != 0
    assert not [*own_library.iterdir()]


def test_stop_before_the_first_step_makes_no_model(write_series: Callable[..., Folders]) -> None:
    """T4: what the process tells then, heard without one."""
    told: list[dict[str, Any]] = []

    class Near:
        report, ask = Listener(stop=lambda p: "labelled slices" in p.message), None

        def send(self, **message: Any) -> None:
            told.append(message)

        def wait(self) -> dict[str, Any]:
            run = make_run(write_series(2), max_steps=2)
            return {"run": run.model_dump_json(), "elapsed": 0.0, "watched": False}

    train_here(Near())  # type: ignore[arg-type]
    assert told == [{"ready": True}, {"cancelled": True}]
    assert not [card for card in list_models() if card.name == "n"]


def test_what_the_user_can_put_right_comes_through(write_series: Callable[..., Folders], listener: Listener) -> None:
    """G8: the same class, sentence and hint, and the traceback for a report."""
    run = make_run(write_series(2), max_steps=2).model_copy(update={"name": "No Name!"})
    with pytest.raises(InputError) as caught:
        train_apart(run, listener)
    assert caught.value.message == "'No Name!' cannot be a model's name."
    assert caught.value.hint.startswith("Use small letters")
    assert "in settle" in caught.value.__notes__[0]


def test_errors_pass_as_what_they_are() -> None:
    """G8: a narrower class becomes the known one above it; what nobody foresaw is one sentence with a traceback."""

    class DamagedError(InputError):
        pass

    narrow = revive(describe(DamagedError("a.png is damaged.", "Copy it again.")))
    assert (type(narrow), str(narrow)) == (InputError, "a.png is damaged. Copy it again.")
    try:
        {}["nothing"]
    except KeyError as error:
        told = revive(describe(error))
    assert type(told) is ComputeError
    assert told.message == "The training stopped at an unexpected error (KeyError: 'nothing')."
    assert "Traceback" in told.__notes__[0]


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_process_that_is_killed_is_one_sentence(
    write_series: Callable[..., Folders], processes: list[subprocess.Popen[bytes]]
) -> None:
    """T2, G8: as when the system runs out of memory; whoever asked for the training lives on."""

    def kill(progress: Progress) -> None:
        if "loss" in progress.metrics:
            processes[0].send_signal(signal.SIGKILL)

    with pytest.raises(ComputeError) as caught:
        train_apart(make_run(write_series(2), max_minutes=100.0), kill)
    assert caught.value.message == ("The training process ended unexpectedly (signal 9, perhaps out of memory).")
    assert "batch" in caught.value.hint


def test_a_process_that_fails_at_once_is_one_sentence_with_its_last_words(
    write_series: Callable[..., Folders], listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G8."""
    run = make_run(write_series(2))
    monkeypatch.setenv("PYTHONHOME", "/nowhere")  # so Python itself cannot start
    with pytest.raises(ComputeError, match=r"ended unexpectedly \(exit code 1\)") as caught:
        train_apart(run, listener)
    assert "encodings" in caught.value.__notes__[0]
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(ComputeError, match="cannot be started"):
        train_apart(run, listener)


def test_without_anybody_at_the_other_end_it_keeps_the_best_and_ends(
    write_series: Callable[..., Folders], processes: list[subprocess.Popen[bytes]]
) -> None:
    """G3: napari was killed; here an error of the reporter closes the pipe."""

    def fail(progress: Progress) -> None:
        if "loss" in progress.metrics:
            raise KeyError("the window is gone")

    with pytest.raises(KeyError):
        train_apart(make_run(write_series(2), max_minutes=100.0), fail)
    assert [process.returncode for process in processes] == [0]
    (card,) = (card for card in list_models() if card.name == "n")
    assert "Stopped early" in card.description


def test_an_image_that_cannot_be_shown_is_handed_over_as_its_error(listener: Listener) -> None:
    """The preview never ends a training: what fails here is told there."""

    def preview() -> Asked:
        raise RuntimeError("the layer is gone")

    told = apart._answer(apart.Conversation(None, listener, preview)._ask)  # type: ignore[arg-type]
    assert "the layer is gone" in revive(told["failed"]).message
