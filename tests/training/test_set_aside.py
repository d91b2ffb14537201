"""What is set aside for a test: which images, that nothing else uses them, and where they are listed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from napari_medseg.core import InputError, OutputError
from napari_medseg.io.pairs.listing import read_split
from napari_medseg.training import TrainOptions, plan_run, train, work
from napari_medseg.training.material import split
from napari_medseg.training.schedule import Budget
from napari_medseg.training.set_aside import set_aside
from napari_medseg.training.split import NOTHING, WHOLLY, Past
from napari_medseg.training.step import Job
from napari_medseg.training.truth import Painted
from napari_medseg.training.watch import Watch

from .conftest import Folders, Listener, draw

SMALL: dict[str, Any] = {"model": "unet:tu-resnet10t", "device": "cpu", "batch": 2, "augmentation": "none"}

Paint = Callable[..., list[Painted]]
WriteSeries = Callable[..., Folders]


def box(*values: int) -> np.ndarray:
    mask = np.zeros((8, 8), np.uint8)
    for i, value in enumerate(values):
        mask[2 * i, :3] = value
    return mask


def apart(painted: list[Painted], images: int) -> list[Painted]:
    """The same slices as those of several volumes."""
    each = len(painted) // images
    volumes = [replace(painted[0].image) for _ in range(images)]
    return [replace(one, image=volumes[min(i // each, images - 1)], z=i % each) for i, one in enumerate(painted)]


def test_a_tenth_is_set_aside_evenly_and_always_the_same(paint_slices: Paint) -> None:
    painted = paint_slices(*[box(1)] * 32)
    usable, test, note = set_aside(painted, 0.1)
    assert [one.z for one in test] == [6, 16, 26]
    assert sorted(one.z for one in (*usable, *test)) == [*range(32)]
    assert "3 of 32 slices" in note
    assert set_aside(painted, 0.1)[1] == test
    assert set_aside(painted, 0) == (painted, [], "")


def test_a_patient_is_set_aside_as_a_whole(paint_slices: Paint) -> None:
    painted = paint_slices(*[box(1)] * 12, groups=tuple("aaabbbcccddd"))
    usable, test, _ = set_aside(painted, 0.25)
    assert len({one.group for one in test}) == 1
    assert not {one.group for one in test} & {one.group for one in usable}


def test_a_volume_is_set_aside_as_a_whole(paint_slices: Paint) -> None:
    usable, test, _ = set_aside(apart(paint_slices(*[box(1)] * 12), 4), 0.25)
    assert len({id(one.image) for one in test}) == 1
    assert not {id(one.image) for one in test} & {id(one.image) for one in usable}


def test_the_only_place_of_a_class_is_learnt_from(paint_slices: Paint) -> None:
    _, test, _ = set_aside(paint_slices(box(1), box(1), box(1, 2), box(1), box(1)), 0.5)
    assert 2 not in {one.z for one in test}


def test_what_the_start_knows_is_no_test(paint_slices: Paint) -> None:
    """Those that it does not know go on being the test."""
    painted = [*paint_slices(*[box(i % 3 + 1) for i in range(32)])]
    painted = [replace(one) for one in painted]
    for i, one in enumerate(painted):
        one.__dict__["identity"] = str(i)
    test = {one.identity for one in set_aside(painted, 0.1)[1]}
    others = frozenset(one.identity for one in painted) - test
    assert {one.identity for one in set_aside(painted, 0.1, Past(others))[1]} == test
    one = min(test)
    usable, left, note = set_aside(painted, 0.1, Past(frozenset({one})))
    assert {other.identity for other in left} == test - {one}
    assert one in {other.identity for other in usable}
    assert "knows them" in note
    with pytest.raises(InputError, match="the start model knows them"):
        set_aside(painted, 0.1, Past(frozenset(test)))


def patients(folder: Path, count: int, slices: int = 4, name: str = "pat{}") -> Path:
    """A folder of slices, each with its mask beside it, of each of several patients."""
    for k in range(count):
        own = folder / name.format(k + 1)
        own.mkdir(parents=True)
        for z in range(slices):
            image, mask = draw(100 * k + z)
            Picture.fromarray(image).save(own / f"{z}.png")
            Picture.fromarray(mask).save(own / f"{z}_mask.png")
    return folder


def share_out(folder: Path, listener: Listener, past: Past = NOTHING, **options: Any) -> tuple[list[set[str]], str]:
    """Which patients train, measure and test; and what was said."""
    chosen = TrainOptions(validation=0.2, test=0.2, **options)
    run = plan_run([(folder, folder)], SMALL["model"]).model_copy(update={"options": chosen})
    parts = split(run, past, Watch(listener, Budget(None, 1)))
    return [
        {str(one.image.source.name) for one in part if one.image.source is not None}
        for part in (parts.training, parts.held_out, parts.test)
    ], listener.said


@pytest.mark.parametrize("past", [NOTHING, Past(frozenset({"x"}), {"y": WHOLLY})], ids=["new", "of a start"])
@pytest.mark.parametrize("group", ["", "TCGA_[0-9]+"])
@pytest.mark.parametrize("count", [5, 6])
def test_no_patient_with_a_folder_of_its_own_is_in_two_parts(
    tmp_path: Path, listener: Listener, past: Past, group: str, count: int
) -> None:
    """With a start that knows others, with an expression that finds nothing, and where few are left to be held out."""
    (training, measuring, test), said = share_out(patients(tmp_path / "own", count), listener, past, group=group)
    assert (len(training), len(measuring), len(test)) == (count - 2, 1, 1)
    assert len(training | measuring | test) == count
    assert ("found in no name" in said) is bool(group)
    assert f"Set aside for the test: 4 of {4 * count} slices ({test.pop()})." in said


def test_a_patient_is_found_in_the_name_of_the_folder(tmp_path: Path, listener: Listener) -> None:
    """Where a file's name does not tell, even where there are several volumes of one patient."""
    folder = patients(tmp_path / "own", 5)
    (folder / "pat5").rename(folder / "pat1b")
    (training, measuring, test), said = share_out(folder, listener, group="pat[0-9]")
    assert sorted([*training, *measuring, *test]) == ["pat1", "pat1b", "pat2", "pat3", "pat4"], "each in one part"
    assert {"pat1", "pat1b"} in [part & {"pat1", "pat1b"} for part in (training, measuring, test)]
    assert measuring
    assert test
    assert "no name" not in said


def test_others_are_named_where_there_are_others(paint_slices: Paint) -> None:
    painted = paint_slices(*[box(1)] * 80, groups=tuple(f"p{i // 8}" for i in range(80)))
    assert "16 of 80 slices (p2, p7)." in set_aside(painted, 0.2)[2]
    assert "and others)." in set_aside(painted, 0.6)[2]
    assert "1 of 10 slices (slice 5)." in set_aside(paint_slices(*[box(1)] * 10), 0.1)[2]


def test_of_two_images_none_can_be_set_aside(paint_slices: Paint) -> None:
    with pytest.raises(InputError, match="Of 2 images"):
        set_aside(paint_slices(box(1), box(1)), 0.1)


def test_too_much_held_out_is_refused() -> None:
    with pytest.raises(ValueError, match="too little is left"):
        TrainOptions(validation=0.45, test=0.4)


def test_the_test_measures_once_at_the_end_and_is_listed(
    write_series: WriteSeries, tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch, own_library: Path
) -> None:
    jobs: list[Job] = []
    make = work.make_job

    def remember(*arguments: Any) -> Job:
        jobs.append(make(*arguments))
        return jobs[-1]

    monkeypatch.setattr(work, "make_job", remember)
    images, masks = write_series(10)
    card = train(
        [(images, masks)], name="n", max_steps=2, validation=0.1, test=0.1, panels=tmp_path / "panels",
        report=listener, **SMALL,
    )  # fmt: skip
    (folder,) = (own_library / "runs").iterdir()
    parts: dict[str, list[Path]] = {}
    for row in read_split(folder):
        parts.setdefault(row.part, []).append(row.image)
    assert {part: len(files) for part, files in parts.items()} == {"training": 8, "validation": 1, "test": 1}
    assert sorted(path for files in parts.values() for path in files) == sorted(images.iterdir())
    (job,) = jobs
    (test,) = job.test
    assert test.name == parts["test"][0].name
    used = {one.identity for one in (*job.samples.slices, *job.held_out, *job.spare)}
    assert test.identity not in used
    assert len(used) == 9
    (score,) = [one for one in card.scores if one.metric == "dice, test"]
    assert score.on == "1 slice set aside"
    assert f"Test: Dice {score.value:.3f} on 1 slice set aside." in card.description
    assert {path.relative_to(tmp_path / "panels").as_posix() for path in (tmp_path / "panels").rglob("*.png")} == {
        parts["validation"][0].name,
        f"test/{test.name}",
    }
    panel = np.asarray(Picture.open(tmp_path / "panels" / "test" / test.name))
    assert panel.shape == (64, 200, 3)
    assert (panel[:, :64] != panel[:, 68:132]).any(), "the truth is drawn"
    with pytest.raises(OutputError, match="no empty folder"):
        train([(images, masks)], max_steps=1, panels=tmp_path / "panels", **SMALL)


def test_what_is_set_aside_may_stay_unused(write_series: WriteSeries, own_library: Path, listener: Listener) -> None:
    """It neither trains nor is it measured, as for a candidate that is out before the end."""
    run = plan_run([write_series(10)], SMALL["model"]).model_copy(update={"tested": False})
    card = train(run, max_steps=1, test=0.1, device="cpu", batch=2, report=listener)
    (folder,) = (own_library / "runs").iterdir()
    assert [row.part for row in read_split(folder)].count("test") == 1
    assert not [one for one in card.scores if "test" in one.metric]
    assert "Measuring on the test" not in listener.said


def test_what_is_not_labelled_is_striped_in_the_truth(
    write_series: WriteSeries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hide(mask: np.ndarray, i: int) -> np.ndarray:
        mask[:, :32] = np.where(mask[:, :32], mask[:, :32], 255)
        return mask

    train(
        [write_series(5, hide)], max_steps=1, unlabelled=255, panels=tmp_path / "panels", name="n", **SMALL
    )  # fmt: skip
    (file,) = (tmp_path / "panels").iterdir()
    panel = np.asarray(Picture.open(file))
    assert (panel[:6, 68:74, 0] == 128).sum() == 18
    assert not (panel[:6, 136:142] == panel[:6, 68:74]).all(), "the prediction has a result everywhere"


def test_a_full_disk_leaves_the_model(
    write_series: WriteSeries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listener: Listener
) -> None:
    def fail(*arguments: object) -> int:
        raise OutputError("The disk is full.")

    monkeypatch.setattr("napari_medseg.training.drawn.write_panels", fail)
    card = train(
        [write_series(5)], max_steps=1, panels=tmp_path / "panels", name="n", report=listener, **SMALL
    )  # fmt: skip
    assert card.reference == "n@1"
    assert "The disk is full." in listener.said
