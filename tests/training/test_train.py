"""A whole run on tiny images: what is added to the library, what is said, and what happens when things go wrong."""

from __future__ import annotations

import itertools
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image as Picture

from napari_medseg.core import Cancelled, ComputeError, InputError, MedsegError, ModelCard, Normalisation
from napari_medseg.models import list_models, load_model
from napari_medseg.training import LOSSES, Pair, TrainingRun, TrainOptions, loop, train, work
from napari_medseg.training import step as steps
from napari_medseg.training.guard import HeldOut
from napari_medseg.training.pair import KnownRange
from napari_medseg.training.schedule import Budget

from .conftest import Folders, Listener, draw

SMALL: dict[str, Any] = {"model": "unet:tu-resnet10t", "device": "cpu", "batch": 2}

WriteSeries = Callable[..., Folders]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library with a model ``shapes`` that has learnt the disc and the square."""
    home, data = tmp_path_factory.mktemp("trained"), tmp_path_factory.mktemp("series")
    (data / "images").mkdir()
    (data / "masks").mkdir()
    for i in range(6):
        image, mask = draw(i)
        Picture.fromarray(image).save(data / "images" / f"{i}.png")
        Picture.fromarray(mask).save(data / "masks" / f"{i}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_MEDSEG_HOME", str(home))
        train(
            [(data / "images", data / "masks")],
            name="shapes",
            max_steps=60,
            augmentation="light",
            **{**SMALL, "batch": 4},
        )
    return home


@pytest.fixture
def library(trained: Path, own_library: Path) -> Path:
    """This test's own library, with ``shapes`` in it."""
    shutil.copytree(trained / "models", own_library / "models")
    return own_library


def result_of(library: Path) -> dict[str, Any]:
    (path,) = library.glob("runs/*/result.json")
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def test_a_model_is_learnt_from_random_weights(library: Path) -> None:
    (card,) = [c for c in list_models() if c.name == "shapes"]
    assert card.scores[0].metric == "dice"
    assert card.scores[0].value > 0.8
    assert card.parent == "unet:tu-resnet10t"
    assert [c.value for c in card.classes] == [1, 2]


def test_fine_tuning_makes_a_new_version_with_a_parent(
    library: Path, write_series: WriteSeries, listener: Listener
) -> None:
    parent = load_model("shapes").card
    card = train([write_series()], model="shapes", max_steps=4, device="cpu", batch=2, report=listener)
    assert (card.name, card.version) == ("shapes", 2)
    assert (card.parent, card.parent_sha256) == ("shapes@1", parent.sha256)
    assert "images" in card.trained_on
    assert {s.metric for s in card.scores} >= {"dice", "dice of its start"}
    assert load_model("shapes@1").card == parent
    last = listener.heard[-1]
    assert {"loss", "dice", "old_dice", "step", "learning_rate"} <= set(last.metrics)
    known = [p.metrics.get("old_dice") for p in listener.heard if "loss" in p.metrics or "old_dice" in p.metrics]
    assert len({*known}) == 1, "the start's Dice is told with every step"
    assert "Held-out Dice" in card.description
    assert card.description not in listener.said, "the outcome is shown once, by who asked for it"
    assert result_of(library)["message"] == f"{card.reference}: {card.description}"
    assert result_of(library)["promoted"] is True


@pytest.mark.parametrize(("channels", "words"), [(3, "RGB"), (4, "4 channels")])
def test_a_grey_model_learns_images_of_more_channels(
    library: Path, tmp_path: Path, listener: Listener, channels: int, words: str
) -> None:
    pairs = []
    for i in range(3):
        values, mask = draw(i)
        colours = np.stack([values, 255 - values, values // 2, values][:channels])
        pairs.append((tmp_path / f"{i}.tif", tmp_path / f"{i}_mask.png"))
        if channels == 3:
            tifffile.imwrite(pairs[-1][0], np.moveaxis(colours, 0, -1), photometric="rgb")
        else:
            tifffile.imwrite(pairs[-1][0], colours, ome=True, metadata={"axes": "CYX"}, photometric="minisblack")
        Picture.fromarray(mask).save(pairs[-1][1])
    card = train(pairs, model="shapes", max_steps=2, device="cpu", batch=2, report=listener)
    assert (card.channels, card.parent) == (channels, "shapes@1")
    assert f"shapes@1 takes grey: its first layer is fitted to {words}." in listener.said


@pytest.mark.parametrize("model", ["shapes", "unet:tu-resnet10t"])
def test_more_channels_than_a_model_has_are_refused_before_the_masks_are_read(
    library: Path, tmp_path: Path, listener: Listener, model: str
) -> None:
    """One sentence with the file and both numbers."""
    pixels = np.random.default_rng(0).integers(0, 255, (17, 64, 64)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "x.tif", pixels, ome=True, metadata={"axes": "CYX"}, photometric="minisblack")
    (tmp_path / "mask.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"^x\.tif has 17 channels: a model takes at most 16\."):
        train([(tmp_path / "x.tif", tmp_path / "mask.png")], model=model, max_steps=1, report=listener)


def test_same_seed_same_weights(library: Path, write_series: WriteSeries) -> None:
    data = [write_series()]
    first, again, other = (
        train(data, name=f"n{i}", max_steps=3, seed=seed, **SMALL) for i, seed in enumerate((1, 1, 2))
    )
    assert first.sha256 == again.sha256 != other.sha256


def test_a_saved_run_repeats_the_training(library: Path, write_series: WriteSeries) -> None:
    card = train([write_series()], model="shapes", name="first", max_steps=2, device="cpu", batch=2)
    (path,) = library.glob("runs/*/run.json")
    run = TrainingRun.load(path)
    assert run.start == "shapes@1"
    assert train(run, report=lambda p: None).sha256 == card.sha256


def test_stopping_keeps_the_best_so_far(library: Path, write_series: WriteSeries) -> None:
    """T4."""
    listener = Listener(stop=lambda p: p.metrics.get("step", 0) >= 2)
    card = train(
        [write_series()], model="shapes", name="stopped", max_steps=1000, device="cpu", batch=2, report=listener
    )
    assert "Stopped early" in card.description
    assert load_model("stopped").card.sha256 == card.sha256
    assert listener.heard[-1].metrics["step"] < 100, "nothing is reported after the stop"


def test_stopping_before_the_first_step_adds_nothing(library: Path, write_series: WriteSeries) -> None:
    """T4."""
    with pytest.raises(Cancelled):
        train([write_series()], name="none", max_steps=5, report=Listener(stop=lambda p: True), **SMALL)
    assert "none" not in {c.name for c in list_models()}


def test_a_loss_that_is_no_number_ends_the_run_with_the_best(
    library: Path, write_series: WriteSeries, monkeypatch: pytest.MonkeyPatch, listener: Listener
) -> None:
    """T5."""
    calls = iter(range(100))
    right = LOSSES["dice-ce"]
    broken = lambda logits, target: right(logits, target) * (math.nan if next(calls) >= 3 else 1)  # noqa: E731
    monkeypatch.setitem(LOSSES, "dice-ce", broken)
    card = train([write_series()], model="shapes", name="kept", max_steps=50, device="cpu", batch=2, report=listener)
    assert "no number at step 4" in listener.said
    state = load_model(card.reference).network.state_dict()
    assert all(torch.isfinite(v).all() for v in state.values() if v.is_floating_point())


def test_a_worse_model_is_kept_aside(library: Path, write_series: WriteSeries, monkeypatch: pytest.MonkeyPatch) -> None:
    """T6: every state of the training scores worse than its start, which is measured truly."""
    monkeypatch.setattr(loop, "score", lambda *_, **__: HeldOut((math.nan,) * 3, (1.0, 0.3, 0.5)))
    card = train([write_series(3)], model="shapes", max_steps=2, device="cpu", batch=2, blend=1)
    assert card.name == "shapes-rejected"
    assert "kept aside" in card.description
    assert load_model("shapes").card.version == 1
    result = result_of(library)
    assert (result["promoted"], result["new_remembered"]) == (False, 0.4)
    assert result["old_remembered"] > 0.8, "the slices of the first training, some of which only measured"


def test_a_class_only_in_the_held_out_part_is_said(
    library: Path, write_series: WriteSeries, listener: Listener
) -> None:
    """T9."""
    other = write_series(2, change=lambda mask, i: np.where(mask == 2, 9, mask), name="b")
    train([write_series(2)], name="n", validation_data=[other], max_steps=1, report=listener, **SMALL)
    assert "value 9 is only in held-out slices" in listener.said


def test_images_that_train_and_measure_are_told(library: Path, write_series: WriteSeries, listener: Listener) -> None:
    data = write_series(3)
    train([data], name="n", validation_data=[data], max_steps=1, report=listener, **SMALL)
    assert "3 of 3 images that only measure train, too" in listener.said


@pytest.mark.parametrize("given", [0, 9], ids=["empty", "strange"])
def test_held_out_masks_without_a_class_are_said_in_one_sentence(
    library: Path, write_series: WriteSeries, listener: Listener, given: int
) -> None:
    """T9."""
    empty = write_series(1, change=lambda mask, i: np.where(mask, given, 0).astype(np.uint8), name="b")
    card = train(
        [write_series(2)], model="shapes", name="n", validation_data=[empty], max_steps=1, device="cpu", batch=2,
        report=listener,
    )  # fmt: skip
    assert card.description == "The new model was not measured: no class is painted in the held-out slices."
    assert card.scores == ()
    assert "nan" not in listener.said


def test_what_cannot_start_is_refused_before_anything_is_read_or_written(
    library: Path, write_series: WriteSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, masks = write_series(1)
    monkeypatch.setattr(work, "split", lambda *_: pytest.fail("slices were read"))
    for model, said in (
        ("nowhere", "no model 'nowhere'"), ("unet:resnet1", "no encoder 'resnet1'"),
        ("unett:resnet18", "no architecture"), ("unet:resnet18+coco", "not of the form"),
    ):  # fmt: skip
        with pytest.raises(MedsegError, match=said):
            train([(images, masks)], model=model, name="n", device="cpu")
    with pytest.raises(InputError, match="nowhere does not exist"):
        train([(images, masks), (images, masks / "nowhere")], name="n", **SMALL)
    assert not (library / "runs").exists()


def test_values_that_were_spoken_of_and_are_nowhere_are_said(
    library: Path, write_series: WriteSeries, listener: Listener
) -> None:
    train(
        [write_series(2)],
        name="n",
        classes={1: "disc", 5: "patella"},
        unlabelled=9,
        max_steps=1,
        report=listener,
        **SMALL,
    )
    assert "Value 5, named 'patella', is in no mask." in listener.said
    assert "The unlabelled value 9 is in no mask" in listener.said


def test_strokes_only_are_enough(library: Path, write_series: WriteSeries) -> None:
    """T1, T2: 0 is unlabelled, background is painted, one class is a single pixel."""

    def stroke(mask: np.ndarray, i: int) -> np.ndarray:
        strokes = np.zeros_like(mask)
        strokes[2, 5:50] = 7
        strokes[tuple(np.argwhere(mask == 1)[20])] = 1
        return strokes

    data = [write_series(2, change=stroke)]
    card = train(data, name="n", classes=["7=background", "1=disc"], unlabelled=0, max_steps=2, **SMALL)
    assert [(c.value, c.name) for c in card.classes] == [(1, "disc")]
    only = write_series(2, change=lambda mask, i: (mask == 1).astype(np.uint8), name="b")
    with pytest.raises(InputError, match="Only 'class 1' is painted"):
        train([only], name="n", unlabelled=0, max_steps=2, **SMALL)


def test_mask_of_another_size_is_refused(library: Path, write_series: WriteSeries) -> None:
    """T10."""
    data = write_series(2, change=lambda mask, i: mask[:32])
    with pytest.raises(InputError, match="32"):
        train([data], name="n", max_steps=1, **SMALL)


@pytest.mark.parametrize(
    ("settings", "text"),
    [({"max_steps": 0}, "max_steps"), ({"loss": "none"}, "none of dice-ce"), ({"epochs": 3}, "epochs"),
     ({"name": "Big Name"}, "Big Name"), ({"group": "("}, "group")],
)  # fmt: skip
def test_wrong_settings_are_told_in_one_sentence(
    library: Path, write_series: WriteSeries, settings: dict[str, Any], text: str
) -> None:
    with pytest.raises(InputError, match=text):
        train([write_series(1)], **{**SMALL, **settings})


def test_little_memory_means_smaller_batches_said_once(
    library: Path, write_series: WriteSeries, monkeypatch: pytest.MonkeyPatch, listener: Listener
) -> None:
    """C1."""
    whole = steps.augment

    def hungry(image: torch.Tensor, *rest: Any, **more: Any) -> Any:
        if len(image) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(image, *rest, **more)

    monkeypatch.setattr(steps, "augment", hungry)
    train([write_series(3)], name="n", max_steps=3, report=listener, **{**SMALL, "batch": 4})
    assert listener.said.count("Memory is not enough") == 1
    monkeypatch.setattr(steps, "augment", lambda *a, **k: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(ComputeError, match="single sample"):
        train([write_series(3, name="b")], name="n", max_steps=3, **SMALL)


def test_time_is_kept(
    library: Path, write_series: WriteSeries, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock on which a quarter of a second passes between two looks at it."""
    looks = itertools.count()
    monkeypatch.setattr(work, "Budget", lambda *limits, started: Budget(*limits, clock=lambda: next(looks) / 4))
    train([write_series(8)], model="shapes", name="n", max_minutes=0.5, device="cpu", batch=2, report=listener)
    assert next(looks) / 4 < 45, "30 s and what follows the last step"
    assert listener.heard[-1].metrics["step"] > 1


def test_a_new_class_is_learnt_beside_the_old_ones(library: Path, write_series: WriteSeries) -> None:
    data = write_series(4, change=lambda mask, i: np.where(np.arange(64)[:, None] < 4, 5, mask))
    card: ModelCard = train([data], model="shapes", name="more", classes={5: "top"}, max_steps=2, device="cpu", batch=2)
    assert [c.name for c in card.classes] == ["class 1", "class 2", "top"]
    assert "more" in {c.name for c in list_models()}


def test_chosen_slices_and_groups_are_respected(library: Path, write_series: WriteSeries, listener: Listener) -> None:
    images, masks = write_series(5)
    known = KnownRange(normalisation=Normalisation(), range=(50, 200))
    run = TrainingRun(
        pairs=(Pair(image=images, labels=masks, slices=(0, 1, 2, 4), ranges=(known,)),),
        start=SMALL["model"], name="n", options=TrainOptions(max_steps=1, device="cpu", group=r"(\d)\.png"),
    )  # fmt: skip
    train(run, report=listener)
    assert "Trains on 3 slices; 1 only measure" in listener.said
