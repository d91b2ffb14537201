"""A run that is interrupted goes on where it was, and ends with the weights it would have had anyway."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from napari_medseg.cli import main
from napari_medseg.core import Cancelled, ClassInfo, InputError, Progress
from napari_medseg.models import library as shelf
from napari_medseg.models import list_models, load_model
from napari_medseg.training import Pair, TrainingRun, TrainOptions, checkpoint, train
from napari_medseg.training.checkpoint import CHECKPOINT, Checkpoints, find_checkpoint, pack, unpack
from napari_medseg.training.engine import Engine
from napari_medseg.training.loop import Best, fit
from napari_medseg.training.optimisers import OPTIMISERS
from napari_medseg.training.samples import Samples
from napari_medseg.training.schedule import Budget
from napari_medseg.training.step import Job
from napari_medseg.training.truth import LabelledSlice
from napari_medseg.training.watch import Watch

from .conftest import Folders, Listener

STEPS = 30
"""Every third is validated."""


class PowerCut(BaseException):
    """Nothing catches this, as nothing catches a power cut."""


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock on which a minute passes between two looks: each step is followed by a checkpoint."""
    looks = iter(range(0, 10**9, 60))
    monkeypatch.setattr(checkpoint, "SHARE", 0)
    monkeypatch.setattr(Checkpoints.__init__, "__defaults__", (looks.__next__,))


def make_job(options: TrainOptions) -> Job:
    torch.manual_seed(1)
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(0.2), nn.Conv2d(4, 3, 1))
    slices = []
    for seed in range(3):
        target = np.zeros((32, 32), np.int16)
        target[4 + seed : 14, 4:14], target[18:26, 18:28] = 1, 2
        pixels = target[None] / 2 + np.random.default_rng(seed).normal(0, 0.2, (1, 32, 32))
        slices.append(LabelledSlice(f"{seed}", pixels.astype(np.float16), target))
    classes = [ClassInfo.numbered(1), ClassInfo.numbered(2)]
    engine = Engine(torch.device("cpu"), "fp32", 3, 32)
    return Job(network, False, Samples(slices[:2], (32, 32), 0), slices[2:], classes, engine, options, 2, False)


@pytest.fixture
def go(tmp_path: Path) -> Callable[..., tuple[Best, Job]]:
    """Train for some steps in this test's run folder; ``cut`` is the step at which the power fails."""

    def run(cut: int = 0, report: Callable[[Progress], None] = lambda p: None, **settings: Any) -> tuple[Best, Job]:
        def failing(progress: Progress) -> None:
            report(progress)
            if cut and progress.metrics.get("step", 0) >= cut:
                raise PowerCut

        options = TrainOptions(**{"max_steps": STEPS, "augmentation": "heavy", **settings})
        training = TrainingRun(pairs=(Pair(image=tmp_path, labels=tmp_path),), options=options, folder=tmp_path)
        job, budget = make_job(options), Budget(None, options.max_steps)
        watch = Watch(failing, budget, clock=iter(range(10**6)).__next__)
        return fit(job, budget, watch, checkpoints=Checkpoints(training, {"data": "these"})), job

    return run


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.usefixtures("one_thread", "every_step")
@pytest.mark.parametrize("optimizer", OPTIMISERS)
def test_an_interrupted_run_ends_with_the_weights_of_one_that_was_not(
    go: Callable[..., Any], tmp_path: Path, optimizer: str, listener: Listener
) -> None:
    whole, job = go(optimizer=optimizer, checkpoint_minutes=0)
    assert not (tmp_path / CHECKPOINT).exists()
    for cut in (8, 15):
        with pytest.raises(PowerCut):
            go(cut, optimizer=optimizer)
    resumed, again = go(report=listener, optimizer=optimizer)
    assert "Goes on after step 14" in listener.said, "the step at which the power failed had not been kept"
    assert same(job.network.state_dict(), again.network.state_dict())
    assert (resumed.step, resumed.record, resumed.scores) == (whole.step, whole.record, whole.scores)


@pytest.mark.usefixtures("every_step")
def test_a_checkpoint_is_whole_or_the_one_before(
    go: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listener: Listener
) -> None:
    """T8: the power fails while a checkpoint is written."""
    save, calls = checkpoint.save_file, iter(range(100))

    def half(tensors: dict[str, Tensor], path: Path, header: dict[str, str]) -> None:
        save(tensors, path, header)
        if next(calls) == 3:
            path.write_bytes(path.read_bytes()[:1000])
            raise PowerCut

    monkeypatch.setattr(checkpoint, "save_file", half)
    with pytest.raises(PowerCut):
        go()
    go(report=listener)
    assert "Goes on after step 3" in listener.said


@pytest.mark.usefixtures("every_step")
def test_a_full_disk_is_said_once_and_ends_nothing(
    go: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, listener: Listener
) -> None:
    """W2."""
    calls = []

    def full(*_: Any) -> None:
        calls.append(1)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    best, _ = go(report=listener)
    assert (len(calls), listener.said.count("goes on without")) == (1, 1)
    assert best.step > 0


@pytest.mark.usefixtures("every_step")
def test_a_checkpoint_of_other_options_or_data_is_refused(go: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(PowerCut):
        go(5)
    with pytest.raises(InputError, match="another option loss") as error:
        go(loss="dice")
    assert "--no-resume" in error.value.hint
    options = TrainOptions(max_steps=STEPS, augmentation="heavy")
    run = TrainingRun(pairs=(Pair(image=tmp_path, labels=tmp_path),), options=options, folder=tmp_path)
    with pytest.raises(InputError, match="another data"):
        Checkpoints(run, {"data": "others"}).load()
    assert Checkpoints(run, {"data": "these"}).load() is not None
    (tmp_path / CHECKPOINT).write_bytes((tmp_path / CHECKPOINT).read_bytes()[:-100])
    with pytest.raises(InputError, match="damaged"):
        Checkpoints(run, {"data": "these"}).load()


@pytest.mark.usefixtures("every_step")
def test_more_steps_may_be_given_to_an_interrupted_run(go: Callable[..., Any]) -> None:
    with pytest.raises(PowerCut):
        go(5)
    listener = Listener()
    go(max_steps=2 * STEPS, report=listener)
    assert listener.heard[-1].metrics["step"] == 2 * STEPS


@pytest.mark.usefixtures("every_step")
def test_corrected_held_out_masks_are_measured_anew(go: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the best weights so far would keep the score of masks that are no more."""
    with pytest.raises(PowerCut):
        go(9)
    make, scores = make_job, []

    def corrected(options: TrainOptions) -> Job:
        job = make(options)
        job.held_out[0].target[:] = 1
        return job

    monkeypatch.setitem(globals(), "make_job", corrected)
    best, _ = go(max_steps=9)
    scores.append(best.scores)
    assert len(scores[0].dice) == 3
    assert np.isnan(scores[0].dice[2])


def test_only_what_is_left_of_the_time_is_given_again() -> None:
    now = [0.0]
    budget = Budget(100, None, clock=lambda: now[0])
    now[0] = 10
    budget.begin()
    now[0] = 40
    elapsed, progress = budget.elapsed, budget.progress(7)
    now[0] = 1000
    again = Budget(100, None, clock=lambda: now[0])
    now[0] = 1005
    again.begin()
    again.resume(elapsed, progress)
    assert again.progress(7) == pytest.approx(progress) == pytest.approx(1 / 3)
    now[0] = 1000 + 59.9
    assert again.progress(7) < 1
    now[0] = 1000 + 60.1
    assert again.progress(7) == 1


def test_anything_a_state_is_made_of_comes_back() -> None:
    tensors: dict[str, Tensor] = {}
    state = {1: (2, [3.5, None]), "a": {"b": torch.arange(3), "c": {4, 5}}, "big": 2**127, "nan": float("inf")}
    packed = json.loads(json.dumps(pack(state, tensors)))
    back = unpack(packed, tensors)
    assert torch.equal(back["a"].pop("b"), state["a"].pop("b"))
    assert back == state


SMALL: dict[str, Any] = {"model": "unet:tu-resnet10t", "device": "cpu", "batch": 2, "precision": "fp32", "seed": 3}


@pytest.mark.usefixtures("one_thread", "every_step")
def test_the_command_line_goes_on_with_an_interrupted_run(
    own_library: Path, write_series: Callable[..., Folders], capsys: pytest.CaptureFixture[str]
) -> None:
    """T8: the power fails in the third step; the same command line as for any saved run finishes it."""
    data = write_series(3)
    whole = train([data], name="whole", max_steps=4, **SMALL)

    def cut(progress: Progress) -> None:
        if progress.metrics.get("step", 0) >= 3:
            raise PowerCut

    with pytest.raises(PowerCut):
        train([data], name="n", max_steps=4, report=cut, **SMALL)
    (folder,) = own_library.glob("runs/n-*")
    copy = shutil.copytree(folder, own_library / "copy")
    assert [c.name for c in list_models() if c.name == "n"] == []
    assert main(["train", str(folder), "--loss", "focal"]) == 2
    assert "--no-resume" in capsys.readouterr().err
    assert main(["train", str(folder)]) == 0
    assert "Goes on after step 2" in capsys.readouterr().err
    assert load_model("n@1").card.sha256 == whole.sha256
    assert sorted(p.name for p in folder.iterdir()) == ["result.json", "run.json", "split.csv"]
    # What was kept does not count any more once the run is done, nor where it is not wanted.
    shutil.copy2(copy / CHECKPOINT, folder / CHECKPOINT)
    assert find_checkpoint(TrainingRun.load(folder)) is None
    (folder / "result.json").unlink()
    assert find_checkpoint(TrainingRun.load(folder))
    assert main(["train", str(folder), "--no-resume"]) == 0
    assert "Goes on" not in capsys.readouterr().err
    assert load_model("n").card.sha256 == whole.sha256


@pytest.mark.usefixtures("every_step")
def test_a_power_cut_between_weights_and_card_leaves_no_half_model(
    own_library: Path, write_series: Callable[..., Folders], monkeypatch: pytest.MonkeyPatch
) -> None:
    """T8."""
    data = write_series(3)
    with monkeypatch.context() as patch:
        patch.setattr(shelf, "write_card", lambda *_: (_ for _ in ()).throw(PowerCut()))
        patch.setattr(shelf.shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(PowerCut):
            train([data], name="n", max_steps=2, **SMALL)
    assert list(own_library.glob("models/n/.*.part/model.safetensors")), "the weights were written"
    assert "n" not in {c.name for c in list_models()}
    (folder,) = own_library.glob("runs/*")
    card = train(TrainingRun.load(folder))
    assert (card.reference, load_model("n").card.sha256) == ("n@1", card.sha256)


def test_stopping_leaves_no_checkpoint(own_library: Path, write_series: Callable[..., Folders]) -> None:
    """T4: a run that was stopped is done."""

    def stop(progress: Progress) -> None:
        if progress.metrics.get("step", 0) >= 2:
            raise Cancelled

    train([write_series(3)], name="n", max_steps=9, checkpoint_minutes=1e-9, report=stop, **SMALL)
    assert not list(own_library.glob("runs/*/checkpoint*"))
