"""Training after training: what a model remembers teaches and measures its children."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from napari_medseg.core import ClassInfo, InputError, Progress
from napari_medseg.models import find_model, load_model, read_card
from napari_medseg.models.library import lineage
from napari_medseg.models.weights import MEMORY, write_card
from napari_medseg.training import Pair, TrainingRun, TrainOptions, train, work
from napari_medseg.training.memory import count_memory, read_archive
from napari_medseg.training.run import recalling
from napari_medseg.training.verdict import TrainingResult, Verdict
from napari_medseg.training.work import carry_out

from .conftest import Folders, Listener

WriteSeries = Callable[..., Folders]

QUICK: dict[str, Any] = {"device": "cpu", "batch": 2, "max_steps": 1, "augmentation": "none"}


def go(*pairs: Pair, listener: Listener | None = None, start: str = "first", **kwargs: Any) -> TrainingResult:
    options = TrainOptions(**{**QUICK, **kwargs.pop("options", {})})
    run = TrainingRun(pairs=pairs, start=start, name="n", options=options, classes=kwargs.pop("classes", ()), **kwargs)
    return carry_out(run, listener or Listener())


def pair(folders: Folders, **kwargs: Any) -> Pair:
    return Pair(image=folders[0], labels=folders[1], **kwargs)


NAMES = (ClassInfo.numbered(1, "disc"), ClassInfo.numbered(2, "square"))


def test_a_model_remembers_its_slices_and_its_parents(
    library: Path, write_series: WriteSeries, listener: Listener
) -> None:
    assert count_memory(find_model("first")) == 6
    result = go(pair(write_series(5)), listener=listener, classes=NAMES)
    entries = [one.entry for one in read_archive(find_model(result.card.reference)).slices]
    assert (len(entries), sum(e.held_out for e in entries)) == (11, 2)
    assert "30% of the samples come from 5 slices the start model remembers." in listener.said
    assert "What the start model remembers measures too: 1 slice." in listener.said
    assert result.card.scores[0].on == "1 held-out slice"
    assert result.held_out == ((0, 2),)


def test_nothing_is_kept_with_a_model_unless_allowed(library: Path, write_series: WriteSeries) -> None:
    card = go(pair(write_series(3)), options={"remember": False}).card
    assert not (find_model(card.reference) / MEMORY).exists()


def test_what_measured_once_never_trains_even_painted_anew(
    library: Path, write_series: WriteSeries, listener: Listener
) -> None:
    """The parent's held-out slice comes again with another mask: it goes on measuring, with today's labels."""
    images, masks = library / "data" / "images", library / "data" / "masks"
    (before,) = read_archive(find_model("first")).past.measured
    mask = np.asarray(Picture.open(masks / "3.png")).copy()
    mask[:4] = 1
    Picture.fromarray(mask).save(masks / "3.png")
    card = go(pair((images, masks)), listener=listener, classes=NAMES).card
    assert "1 only measures: 3.png." in listener.said
    slices = read_archive(find_model(card.reference)).slices
    assert len(slices) == 6, "each slice is remembered once"
    (again,) = [one for one in slices if one.entry.held_out]
    assert again.entry.identity == before
    assert (again.codes()[:4] == 2).all()


def test_of_one_new_slice_it_is_said_why_it_is_not_measured(library: Path, write_series: WriteSeries) -> None:
    result = go(pair(write_series(1)), classes=NAMES)
    assert "The new model was not measured on new slices: nothing was held out. On slices" in result.card.description


def test_a_damaged_memory_is_said_and_training_goes_on(
    library: Path, write_series: WriteSeries, listener: Listener
) -> None:
    """M8."""
    (find_model("first") / MEMORY).write_bytes(b"PK no archive")
    card = go(pair(write_series(3)), listener=listener).card
    assert "memory.zip is damaged" in listener.said
    assert "Trains on without it." in listener.said
    assert count_memory(find_model(card.reference)) == 3


def test_recall_trains_anew_on_everything_and_is_compared_with_the_latest(
    library: Path, write_series: WriteSeries, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Verdict, "reason", "")  # what so few steps teach is not the question here
    second = go(pair(write_series(5)), classes=NAMES).card
    run = TrainingRun(
        pairs=(pair(write_series(3, name="b", change=lambda mask, i: np.roll(mask, 9, 0))),), name="third",
        classes=NAMES, options=TrainOptions(**QUICK),
    )  # fmt: skip
    run = recalling(run, second.reference)
    assert run.start == "first@1"
    card = train(run, report=listener)
    assert (card.parent, [c.reference for c in lineage(card)]) == ("first@1", ["first@1", "third@1"])
    assert "What n@1 remembers trains too" in listener.said
    assert any("old_dice" in p.metrics for p in listener.heard)
    assert count_memory(find_model("third")) == 11, "three of them with the new masks"


def test_a_class_painted_for_the_first_time_leaves_the_old_ones_alone(
    library: Path, write_series: WriteSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head grows; a step too small to matter shows that all else is the parent's."""
    monkeypatch.setattr(work, "STRANGE", 0.0)  # the small parent hardly knows its own images
    data = write_series(4, change=lambda mask, i: np.where(np.arange(64)[:, None] < 4, 5, mask))
    names = (*NAMES, ClassInfo.numbered(5, "top"))
    card = go(pair(data), classes=names, options={"learning_rate": 1e-12}).card
    assert [c.name for c in card.classes] == ["disc", "square", "top"]
    old, new = (load_model(r).network.state_dict() for r in ("first", card.reference))
    for key, value in old.items():
        same = new[key][:3] if key.startswith("segmentation_head") else new[key]
        if value.is_floating_point():
            torch.testing.assert_close(same, value, atol=1e-6, rtol=1e-4)


def test_sides_of_the_start_stay_sides_whatever_is_painted(
    library: Path, write_series: WriteSeries, listener: Listener
) -> None:
    """Today's slice shows each class once here and once there; mirrored, it would undo what the parent knows."""
    folder = find_model("first")
    write_card(folder, read_card(folder).model_copy(update={"sides": True}))
    result = go(pair(write_series(2, change=lambda m, i: m[:, ::-1] if i else m)), classes=NAMES, listener=listener)
    assert "Images are not mirrored: the classes of first@1 are sides." in listener.said
    assert result.card.sides


def test_sides_are_seen_in_what_is_remembered(library: Path, write_series: WriteSeries, listener: Listener) -> None:
    """Today only one of them is painted; the remembered slices show both, always the disc on the left."""
    folder = find_model("first")
    write_card(folder, read_card(folder).model_copy(update={"sides": False}))
    only = write_series(2, change=lambda mask, i: np.where(mask == 1, 1, 0).astype(np.uint8))
    go(pair(only), classes=NAMES, listener=listener)
    assert "'disc' lies left of 'square' in all" in listener.said


def test_whole_masks_and_strokes_train_together(library: Path, write_series: WriteSeries, listener: Listener) -> None:
    """T1 is judged over both: the strokes show one class only, the whole masks what is not that class."""

    def stroke(mask: np.ndarray, i: int) -> np.ndarray:
        return np.where(mask == 1, 1, 0).astype(np.uint8)

    strokes, dense = write_series(2, change=stroke, name="s"), write_series(2, name="d")
    with pytest.raises(InputError, match="Only 'disc' is painted"):
        go(pair(strokes, unlabelled=0), classes=NAMES)
    card = go(pair(strokes, unlabelled=0), pair(dense), classes=NAMES).card
    kept = {one.entry.name: one for one in read_archive(find_model(card.reference)).slices[:4]}
    whole = [bool((one.codes() > 0).all()) for one in kept.values()]
    assert sorted(whole) == [False, False, True, True] or len(kept) < 4
    assert any(whole)
    assert not all(whole)


def test_a_pairs_own_unlabelled_value_stands_above_the_runs(
    library: Path, write_series: WriteSeries, listener: Listener
) -> None:
    folders = write_series(2, change=lambda mask, i: np.where(mask == 2, 9, mask))
    card = go(pair(folders, unlabelled=9), options={"unlabelled": 1}, classes=NAMES[:1], start="unet:tu-resnet10t").card
    assert [c.name for c in card.classes] == ["disc"]


def test_slices_without_any_class_train_too(library: Path, write_series: WriteSeries) -> None:
    """Dense: someone said that there is nothing."""
    data = write_series(4, change=lambda mask, i: mask * (i in (1, 2)))
    card = go(pair(data), classes=NAMES, options={"validation": 0}).card
    slices = read_archive(find_model(card.reference)).slices[:4]
    assert sorted(int(one.codes().max()) for one in slices) == [1, 1, 3, 3]


def test_labels_changed_during_the_training_do_not_matter(library: Path, write_series: WriteSeries) -> None:
    """T7."""
    images, masks = write_series(3)

    def vandal(progress: Progress) -> None:
        if "step" in progress.metrics:
            Picture.fromarray(np.full((64, 64), 2, np.uint8)).save(masks / "0.png")

    settings = {**QUICK, "max_steps": 3, "model": "first", "classes": NAMES}
    calm = train([(images, masks)], name="calm", **settings)
    disturbed = train([(images, masks)], name="disturbed", report=vandal, **settings)
    assert calm.sha256 == disturbed.sha256


def test_some_strokes_measure_and_the_slices_are_told(
    library: Path, write_series: WriteSeries, listener: Listener
) -> None:
    def dabs(mask: np.ndarray, i: int) -> np.ndarray:
        result = np.zeros_like(mask)
        for k in (1, 2):
            rows, columns = np.nonzero(mask == k)
            result[rows.min() : rows.min() + 4, columns.min() + 2 : columns.max() - 2] = k
            result[rows.max() - 3 : rows.max(), columns.min() + 2 : columns.max() - 2] = k
        result[2:5, 5:50] = result[58:61, 5:50] = 7
        return result

    names = (*NAMES, ClassInfo.numbered(7, "background"))
    result = go(pair(write_series(3, change=dabs), unlabelled=0), classes=names, listener=listener)
    assert "some strokes only measure, in" in listener.said
    assert result.held_out
    assert all(index == 0 for index, _ in result.held_out)
