"""What TensorBoard is given, read with its own reader."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture
from torch import nn

from napari_medseg.core import InputError, Progress
from napari_medseg.training import TrainingRun, log, plan_run, train

from .conftest import Folders, Listener

SMALL: dict[str, Any] = {"model": "unet:tu-resnet10t", "device": "cpu", "batch": 2, "augmentation": "none"}

WriteSeries = Callable[..., Folders]


def read(folder: Path) -> Any:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0})
    events.Reload()
    return events


def steps(events: Any, tag: str) -> list[int]:
    return [one.step for one in events.Scalars(tag)]


def test_figures_samples_and_kernels_are_logged(write_series: WriteSeries, tmp_path: Path) -> None:
    train([write_series(6)], name="n", max_steps=4, log_dir=tmp_path / "logs", **SMALL)
    (folder,) = (tmp_path / "logs").iterdir()
    events = read(folder)
    assert folder.name.startswith("n-"), "the run's own name"
    assert steps(events, "loss") == steps(events, "learning_rate") == [1, 2, 3, 4]
    assert events.Scalars("held-out Dice")
    assert {"held-out Dice of classes/class 1", "steps per second"} <= {*events.Tags()["scalars"]}
    assert events.Images("kernels of the first layer")[0].step == 0
    (name,) = [tag for tag in events.Tags()["images"] if tag.startswith("image, truth, prediction/")]
    panel = np.asarray(Picture.open(io.BytesIO(events.Images(name)[-1].encoded_image_string)))
    assert panel.shape == (64, 3 * 64 + 8, 3)
    assert not np.array_equal(panel[:, :64], panel[:, 68:132]), "the truth is drawn"


def test_a_run_that_goes_on_writes_into_the_same_log(
    write_series: WriteSeries, tmp_path: Path, own_library: Path
) -> None:
    """What the interrupted run did after its checkpoint is not shown twice."""
    images, masks = write_series(6)
    run = plan_run([(images, masks)], SMALL["model"], "n").model_copy(update={"folder": tmp_path / "run"})
    settings = {**{k: v for k, v in SMALL.items() if k != "model"}, "log_dir": tmp_path / "logs", "seed": 1}

    def kill(progress: Progress) -> None:
        if progress.metrics.get("step", 0) >= 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(run, report=kill, max_steps=8, checkpoint_minutes=1e-6, **settings)
    train(TrainingRun.load(tmp_path / "run"), max_steps=8)
    assert [folder.name for folder in (tmp_path / "logs").iterdir()] == ["run"]
    assert len([*(tmp_path / "logs" / "run").iterdir()]) == 2
    assert steps(read(tmp_path / "logs" / "run"), "loss") == [*range(1, 9)]


def test_without_tensorboard_one_sentence_says_what_to_install(
    write_series: WriteSeries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_library: Path
) -> None:
    monkeypatch.setattr(log, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'pip install "napari-medseg\[tensorboard\]"'):
        train([write_series(3)], max_steps=1, log_dir=tmp_path / "logs", **SMALL)
    assert not (own_library / "runs").exists(), "refused before anything is written"


def test_a_disk_that_fails_ends_the_log_and_not_the_training(
    write_series: WriteSeries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listener: Listener
) -> None:
    module = pytest.importorskip("torch.utils.tensorboard")

    def fail(*arguments: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.SummaryWriter, "add_scalar", fail)
    train([write_series(3)], max_steps=2, log_dir=tmp_path / "logs", report=listener, **SMALL)
    assert "Nothing more is logged" in listener.said


@pytest.mark.parametrize(
    ("layer", "tiles"), [(nn.Conv2d(1, 5, 3), 5), (nn.Conv2d(3, 6, 3), 6), (nn.Conv2d(2, 4, 3), 8)]
)
def test_each_kernel_is_a_tile_and_those_over_colours_are_coloured(layer: nn.Conv2d, tiles: int) -> None:
    grid = log.draw_kernels(nn.Sequential(nn.Identity(), layer))
    assert grid is not None
    side = 3 * log.ENLARGED + 2
    drawn = [grid[y : y + side, x : x + side].any() for y in range(0, len(grid), side)
             for x in range(0, grid.shape[1], side)]  # fmt: skip
    assert sum(drawn) == tiles
    assert bool((grid[..., 0] != grid[..., 1]).any()) == (layer.in_channels == 3)


def test_a_network_without_convolutions_has_no_kernels() -> None:
    assert log.draw_kernels(nn.Linear(2, 2)) is None
