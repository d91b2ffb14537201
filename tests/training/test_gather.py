"""What is read, what is left out, and that it is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from napari_medseg.core import ClassInfo, Geometry, InputError, Labels, ModelCard
from napari_medseg.io import read_labels, write
from napari_medseg.io.zarr.labels import LabelPyramid
from napari_medseg.training import Pair, TrainingRun, TrainOptions, plan_run
from napari_medseg.training.classes import find_absent, find_classes, merge_classes
from napari_medseg.training.gather import find_reading, gather
from napari_medseg.training.losses import IGNORE
from napari_medseg.training.schedule import Budget
from napari_medseg.training.truth import Painted, prepare
from napari_medseg.training.watch import Watch

from .conftest import Folders, Listener, draw

WriteSeries = Callable[..., Folders]

CARD = ModelCard(name="n", classes=(ClassInfo.numbered(1), ClassInfo.numbered(2)))


def read(folders: Folders, listener: Listener) -> list[Painted]:
    return gather([Pair(image=folders[0], labels=folders[1])], TrainOptions(), Watch(listener, Budget(None, 1)))


def rename(folders: Folders, *names: str) -> Folders:
    """Images that are no series: a set."""
    for folder in folders:
        for i, name in enumerate(names):
            (folder / f"{i}.png").rename(folder / f"{name}.png")
    return folders


def test_a_mask_without_image_is_left_out_and_said(write_series: WriteSeries, listener: Listener) -> None:
    """T3."""
    images, masks = rename(write_series(3), "ant", "bee", "cow")
    (images / "bee.png").unlink()
    assert len(read((images, masks), listener)) == 2
    assert "bee.png: No image belongs to this mask." in listener.said


def test_a_mask_without_slice_is_refused_by_name(write_series: WriteSeries, listener: Listener) -> None:
    """T3: in a series, a mask too many means that masks and slices are not each other's."""
    images, masks = write_series(3)
    (masks / "0.png").rename(masks / "zebra.png")
    with pytest.raises(InputError, match=r"zebra\.png belongs to no slice"):
        read((images, masks), listener)


@pytest.mark.parametrize("which", [0, 1], ids=["image", "mask"])
@pytest.mark.parametrize("content", [b"", b"no picture at all"])
def test_one_unreadable_file_of_many_is_left_out_and_named(
    write_series: WriteSeries, listener: Listener, which: int, content: bytes
) -> None:
    folders = rename(write_series(3), "ant", "bee", "cow")
    (folders[which] / "bee.png").write_bytes(content)
    assert [one.name for one in read(folders, listener)] == ["ant.png", "cow.png"]
    assert "bee.png" in listener.said


def test_an_unreadable_slice_of_a_series_is_left_out_and_named(write_series: WriteSeries, listener: Listener) -> None:
    folders = write_series(4)
    (folders[0] / "2.png").write_bytes(b"no picture at all")
    assert [one.z for one in read(folders, listener)] == [0, 1, 3]
    assert "2.png" in listener.said


def test_a_slice_whose_pixels_turn_out_damaged_is_left_out_and_named(
    write_series: WriteSeries, listener: Listener
) -> None:
    folders = write_series(4)
    painted = read(folders, listener)
    _spoil(folders[0] / "2.png")
    ready = prepare(painted, CARD, {0: 0, 1: 1, 2: 2}, Watch(listener, Budget(None, 1)).say)
    assert [one.name for one in ready] == ["0.png", "1.png", "3.png"]
    assert "2.png is left out" in listener.said


def _spoil(path: Path) -> None:
    """Keep header and end; change the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 200] = bytes(200)
    path.write_bytes(content)


def test_nothing_readable_is_refused_with_the_first_reason(write_series: WriteSeries, listener: Listener) -> None:
    folders = rename(write_series(2), "ant", "bee")
    for name in ("ant", "bee"):
        (folders[1] / f"{name}.png").write_bytes(b"no picture at all")
    with pytest.raises(InputError, match="ant"):
        read(folders, listener)


def test_a_mask_of_another_size_among_many_is_refused(write_series: WriteSeries, listener: Listener) -> None:
    """T10."""
    folders = write_series(3, change=lambda mask, i: np.ascontiguousarray(mask[:32]) if i == 1 else mask)
    with pytest.raises(InputError, match="bee"):
        read(rename(folders, "ant", "bee", "cow"), listener)


def test_a_damaged_mask_of_a_series_does_not_end_the_run(write_series: WriteSeries, listener: Listener) -> None:
    """F1: the slice counts as unlabelled, and that is said."""
    folders = write_series(4)
    (folders[1] / "2.png").write_bytes((folders[1] / "2.png").read_bytes()[:-20])
    assert [one.z for one in read(folders, listener)] == [0, 1, 3]
    assert "1 mask cannot be read, counted as missing: 2.png is damaged" in listener.said


def test_left_and_right_may_be_merged_into_one_class(write_series: WriteSeries, listener: Listener) -> None:
    folders = write_series(3)
    run = plan_run([folders]).model_copy(update={"merge": True})
    watch = Watch(listener, Budget(None, 1))
    painted = gather(run.pairs, TrainOptions(), watch, find_reading(run, watch))
    assert [sorted(one.shown) for one in painted] == [[0, 1]] * 3
    assert painted[0].values.sum() == (gather(run.pairs, TrainOptions(), watch)[0].values > 0).sum()


def test_merging_keeps_what_does_not_count(write_series: WriteSeries, listener: Listener) -> None:
    folders = write_series(3, change=lambda mask, i: np.where(mask == 0, 255, mask).astype(np.uint8))
    run = plan_run([folders]).model_copy(update={"merge": True})
    watch = Watch(listener, Budget(None, 1))
    painted = gather(run.pairs, TrainOptions(unlabelled=255), watch, find_reading(run, watch))
    assert sorted(painted[0].shown) == [1]
    assert set(np.unique(painted[0].values)) == {1, 255}


@pytest.mark.parametrize("classes", [["2=tumour"], ["3=tumour"], ["2=tumour", "1=background"]])
def test_what_is_merged_has_the_name_that_was_given(
    write_series: WriteSeries, listener: Listener, classes: list[str]
) -> None:
    run = plan_run([write_series(3)], classes=classes).model_copy(update={"merge": True})
    watch = Watch(listener, Budget(None, 1))
    painted = gather(run.pairs, TrainOptions(), watch, find_reading(run, watch))
    found = [c for c in find_classes(painted, run.classes) if c.name != "background"]
    assert [(c.value, c.name) for c in found] == [(run.classes[0].value, "tumour")]
    assert find_absent(painted, run.classes, None) == []
    values = "Values 1, 2 are taken as one class" if len(classes) == 1 else ""
    assert values in listener.said


def test_the_merged_class_takes_no_value_that_means_something_else(
    write_series: WriteSeries, listener: Listener
) -> None:
    """Here 1 does not count in the masks, and the merged class is called 1."""
    run = plan_run([write_series(3)], classes=["1=tumour"]).model_copy(update={"merge": True})
    watch = Watch(listener, Budget(None, 1))
    [one, *_] = gather(run.pairs, TrainOptions(unlabelled=1), watch, find_reading(run, watch))
    [apart, *_] = gather(run.pairs, TrainOptions(unlabelled=1), watch)
    assert one.shown == {0, 1}
    np.testing.assert_array_equal(one.values == 1, apart.values == 2)
    np.testing.assert_array_equal(one.values == one.unlabelled, apart.values == 1)


def test_background_strokes_stay_background_when_all_else_is_one(listener: Listener, tmp_path: Path) -> None:
    image, mask = draw(0)
    mask[:4] = 3
    Picture.fromarray(image).save(tmp_path / "a.png")
    classes = (ClassInfo.numbered(1, "background"), ClassInfo.numbered(2, "left"), ClassInfo.numbered(3, "right"))
    write(tmp_path / "a_mask.tif", Labels(mask, classes, Geometry.unknown(2)))
    run = plan_run([(tmp_path / "a.png", tmp_path / "a_mask.tif")], classes=["1=cancer"])
    run = run.model_copy(update={"merge": True})
    watch = Watch(listener, Budget(None, 1))
    painted = gather(run.pairs, TrainOptions(unlabelled=0), watch, find_reading(run, watch))
    classes, index, _ = merge_classes((), find_classes(painted, run.classes))
    assert [c.name for c in classes] == ["cancer"]
    np.testing.assert_array_equal(painted[0].indices(index) == 1, mask > 1)
    np.testing.assert_array_equal(painted[0].indices(index) == 0, mask == 1)


@pytest.mark.parametrize("suffix", [".ome.zarr", ".ome.tif"])
@pytest.mark.parametrize(("unlabelled", "merged"), [(None, False), (2, False), (None, True)])
def test_pixels_without_a_result_teach_nothing(
    tmp_path: Path, listener: Listener, suffix: str, unlabelled: int | None, merged: bool
) -> None:
    """Of a slide's result as it is, and of the class that a conversion makes of them."""
    image, mask = draw(0)
    mask[:, 40:] = 255
    Picture.fromarray(image).save(tmp_path / "a.png")
    result, masks = tmp_path / "a.ome.zarr", tmp_path / f"a_mask{suffix}"
    pyramid = LabelPyramid.create(result, mask.shape, np.uint8, Geometry.unknown(2), CARD.classes, 255)
    pyramid.put(slice(None), slice(None), mask)
    if suffix == ".ome.zarr":
        result.rename(masks)
    else:
        write(masks, read_labels(result))
    run = plan_run([(tmp_path / "a.png", masks)]).model_copy(update={"merge": merged})
    watch = Watch(listener, Budget(None, 1))
    [one] = gather(run.pairs, TrainOptions(unlabelled=unlabelled), watch, find_reading(run, watch))
    known = (mask != 255) & (mask != unlabelled)
    assert one.shown == frozenset(np.unique(mask[known] > 0 if merged else mask[known]).tolist())
    [ready] = prepare([one], CARD, {0: 0, 1: 1, 2: 2}, watch.say)
    np.testing.assert_array_equal(ready.target != IGNORE, known)


def test_colours_mean_the_same_in_what_trains_and_what_measures(write_series: WriteSeries, listener: Listener) -> None:
    """A colour that only one of them has shifts no numbers; what colours became is said."""
    colors = np.array([(0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255)], np.uint8)
    train = write_series(3, lambda mask, i: colors[mask], "a")
    measure = write_series(3, lambda mask, i: colors[np.where(mask == 1, 3, 0)], "b")
    run = plan_run([train], validation_data=[measure])
    watch = Watch(listener, Budget(None, 1))
    reading = find_reading(run, watch)
    assert "blue #0000ff is 1 'blue', green #00ff00 is 2 'green', red #ff0000 is 3 'red'" in listener.said
    assert [gather(p, TrainOptions(), watch, reading)[0].shown for p in (run.pairs, run.validation_pairs)] == [
        {0, 2, 3}, {0, 1},
    ]  # fmt: skip


def test_named_colours_are_kept_in_the_run(tmp_path: Path) -> None:
    run = plan_run([(tmp_path, tmp_path)], classes=["red=tumour", "#00ff00=stroma", "white=background"])
    assert [(c.value, c.name, c.color) for c in run.classes] == [(1, "tumour", "#ff0000"), (2, "stroma", "#00ff00")]
    assert run.background_colors == ("#ffffff",)
    assert TrainingRun.model_validate_json(run.model_dump_json()) == run


def test_patients_of_a_table_are_held_out_together(write_series: WriteSeries, listener: Listener) -> None:
    folders = write_series(3)
    table = folders[0].parent / "table.csv"
    rows = [f"{patient},images/{k}.png,masks/{k}.png" for k, patient in enumerate(("p1", "p1", "p2"))]
    table.write_text("\n".join(["patient,image,mask", *rows]))
    painted = read((table, table.parent), listener)
    assert [one.group for one in painted] == ["p1", "p1", "p2"]


def test_a_table_of_slices_gives_what_its_folders_give(tmp_path: Path, listener: Listener) -> None:
    """Values, neighbours and whole volumes, held out: the slices of a patient differ in brightness."""
    rows = ["image,mask"]
    for patient in ("ann", "bob"):
        for k in range(1, 6):
            image, mask = draw(k)
            for kind, pixels in (("images", image // 6 * (7 - k) // 2), ("masks", mask)):
                path = tmp_path / kind / patient / f"{k}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Picture.fromarray(pixels.astype(np.uint8)).save(path)
            rows.insert(1, f"images/{patient}/{k}.png,masks/{patient}/{k}.png")
    (tmp_path / "t.csv").write_text("\n".join(rows))
    by_table, by_folders = (
        sorted(read(one, listener), key=lambda one: (str(one.image.source), one.z))
        for one in ((tmp_path / "t.csv", tmp_path), (tmp_path / "images", tmp_path / "masks"))
    )
    assert len(by_table) == 10
    card = CARD.model_copy(update={"neighbours": 1})
    ready = [prepare(slices, card, {0: 0, 1: 1, 2: 2}, list[str]().append) for slices in (by_table, by_folders)]
    for ours, theirs in zip(*ready, strict=True):
        assert ours.name == theirs.name
        np.testing.assert_array_equal(ours.pixels, theirs.pixels)
        np.testing.assert_array_equal(ours.target, theirs.target)
    assert [one.z for one in by_table] == 2 * [*range(5)]
    assert len({id(one.image) for one in by_table}) == 2, "so that whole volumes can be held out"


@pytest.mark.parametrize(
    ("names", "groups", "said"),
    [
        (("p1-ant", "p1-bee", "p2-cow"), ["p1", "p1", "p2"], ""),
        (("p1-ant", "x-bee", "y-cow"), ["p1", "volume 1", "volume 2"], "is not found in 2 of 3 names, such as x-bee"),
        (("ant", "bee", "cow"), ["", "", ""], "is found in no name, such as ant.png"),
    ],
)
def test_names_without_the_group_go_by_their_volume_and_that_is_said_once(
    write_series: WriteSeries, listener: Listener, names: tuple[str, ...], groups: list[str], said: str
) -> None:
    folders = rename(write_series(3), *names)
    options, watch = TrainOptions(group="p[0-9]"), Watch(listener, Budget(None, 1))
    painted = gather([Pair(image=folders[0], labels=folders[1])], options, watch)
    assert [one.group for one in painted] == groups
    assert said in listener.said
    assert listener.said.count("p[0-9]") == bool(said)


def test_a_volume_without_the_group_is_held_out_beside_patients(write_series: WriteSeries, listener: Listener) -> None:
    """A series of other names beside files that the expression fits."""
    named, others = rename(write_series(3), "p1-ant", "p1-bee", "p2-cow"), write_series(4, name="other")
    pairs = [Pair(image=i, labels=m) for i, m in (named, others)]
    painted = gather(pairs, TrainOptions(group="p[0-9]"), Watch(listener, Budget(None, 1)))
    assert [one.group for one in painted] == ["p1", "p1", "p2", *4 * ["volume 1"]]


def test_patients_of_a_table_count_where_the_group_is_not_found(write_series: WriteSeries, listener: Listener) -> None:
    folders = write_series(3)
    table = folders[0].parent / "table.csv"
    table.write_text("\n".join(["patient,image,mask", *(f"ann,images/{k}.png,masks/{k}.png" for k in range(3))]))
    options = TrainOptions(group="TCGA")
    painted = gather([Pair(image=table, labels=table.parent)], options, Watch(listener, Budget(None, 1)))
    assert {one.group for one in painted} == {"ann"}
    assert "such as 0.png: the patients of the table are held out whole." in listener.said
    assert "without it" not in listener.said


def test_slices_without_a_patient_go_by_their_volume_beside_those_of_a_table(
    write_series: WriteSeries, listener: Listener
) -> None:
    folders, others = write_series(3), write_series(4, name="other")
    table = folders[0].parent / "table.csv"
    table.write_text("\n".join(["patient,image,mask", *(f"ann,images/{k}.png,masks/{k}.png" for k in range(3))]))
    pairs = [Pair(image=table, labels=table.parent), Pair(image=others[0], labels=others[1])]
    painted = gather(pairs, TrainOptions(group="TCGA"), Watch(listener, Budget(None, 1)))
    assert [one.group for one in painted] == [*3 * ["ann"], *4 * ["volume 2"]]
    assert "the patients of the table are held out whole, of others the volumes." in listener.said


def test_the_name_of_a_file_comes_before_that_of_its_folder(write_series: WriteSeries, listener: Listener) -> None:
    """And a folder beside which there is no other of that kind tells nothing: it may hold everybody's files."""
    named, others = rename(write_series(2, name="p7"), "p1-ant", "p2-bee"), write_series(2, name="x")
    for folders, name in ((named, "p7"), (others, "p8")):
        folders[0].rename(folders[0].with_name(name))
    pairs = [Pair(image=i.with_name(name), labels=m) for (i, m), name in ((named, "p7"), (others, "p8"))]
    options, watch = TrainOptions(group="p[0-9]"), Watch(listener, Budget(None, 1))
    assert [one.group for one in gather(pairs, options, watch)] == ["p1", "p2", "p8", "p8"]
    assert "p[0-9]" not in listener.said
    assert [one.group for one in gather(pairs[1:], options, watch)] == ["", ""]


def test_an_image_with_two_masks_is_refused(tmp_path: Path, listener: Listener) -> None:
    """What one of them calls a class, the other calls background."""
    for folder in ("images", "left", "right"):
        (tmp_path / folder).mkdir()
        for i in range(2):
            pixels = np.zeros((32, 32), np.uint8)
            pixels[:, : 9 if folder == "left" else 20] = 1
            Picture.fromarray(pixels * 255).save(tmp_path / folder / f"{i}.png")
    pairs = [Pair(image=tmp_path / "images", labels=tmp_path / side) for side in ("left", "right")]
    with pytest.raises(InputError, match=r"is given twice, with the masks .*left.* and .*right"):
        gather(pairs, TrainOptions(), Watch(listener, Budget(None, 1)))
    assert gather([pairs[0]] * 2, TrainOptions(), Watch(listener, Budget(None, 1))), "the same mask contradicts nothing"
