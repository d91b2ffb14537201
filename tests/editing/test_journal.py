"""Painting that outlives the program."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels as LabelsLayer

from napari_medseg.editing import journal as journals
from napari_medseg.editing import log
from napari_medseg.editing.corrections import Corrections, corrections_of
from napari_medseg.editing.journal import Journal, begin_save, note_saved
from napari_medseg.editing.tiles import TileName
from napari_medseg.editing.unsaved import Unsaved, find_old, find_unsaved, prune, remove_journals

SHAPE = (4, 200, 300)


class Desk:
    """A labels layer with its journal, as in one program; `die` leaves the file as a kill would."""

    def __init__(self, folder: Path, shape: tuple[int, ...] = SHAPE, data: Any = None) -> None:
        self.folder = folder
        self.viewer = ViewerModel()
        self.layer: LabelsLayer = self.viewer.add_labels(np.zeros(shape, np.uint8) if data is None else data)
        self.corrections = corrections_of(self.layer)
        self.journal = Journal(
            self.layer, self.corrections, lambda _: lambda: folder, lambda layer: {"name": layer.name}
        )

    def stroke(self, *points: tuple[float, ...], label: int = 1) -> None:
        self.layer._begin_stroke()
        for point in points:
            self.layer.paint(point, label)
        self.layer._commit_stroke()

    def files(self) -> list[Path]:
        return sorted(self.folder.glob("*.journal"))

    def die(self) -> None:
        """What the kernel does at a kill: no more writing, the lock is gone."""
        assert self.journal._log.flush()
        self.corrections.disconnect()
        self.journal._log._let_go()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal" / "image"


def left(folder: Path) -> Unsaved:
    [unsaved] = find_unsaved(folder)
    return unsaved


def reopened(unsaved: Unsaved, data: Any = None, *, whole: bool = True) -> tuple[LabelsLayer, Corrections]:
    layer = LabelsLayer(np.zeros(unsaved.shape, unsaved.about["dtype"]) if data is None else data)
    corrections = Corrections(layer)
    unsaved.put_back(corrections, whole=whole)
    return layer, corrections


def assert_same(desk: Desk, unsaved: Unsaved) -> None:
    layer, corrections = reopened(unsaved)
    for z in range(len(desk.layer.data) if desk.layer.data.ndim == 3 else 1):
        mine = desk.corrections.edited(z)
        assert (corrections.edited(z) == mine).all()
        then, now = ((a[z] if a.ndim == 3 else a) for a in (desk.layer.data, layer.data))
        assert (now[mine] == then[mine]).all()
        if z in unsaved.slices:
            assert (now == then).all()
    assert corrections.accepted == desk.corrections.accepted


def test_layer_nobody_painted_in_leaves_no_file(folder: Path) -> None:
    desk = Desk(folder)
    desk.corrections.write(1, np.ones(SHAPE[1:], np.uint8))
    desk.journal.look()
    assert desk.journal.flush()
    desk.journal.close()
    assert not folder.exists()


def test_strokes_undo_redo_and_acceptance_come_back(folder: Path) -> None:
    """G7."""
    desk = Desk(folder)
    desk.stroke((0, 5, 5), (0, 130, 140), label=3)
    desk.stroke((2, 50, 290))
    desk.stroke((2, 90, 90))
    desk.layer.undo()
    desk.corrections.accept(3)
    desk.corrections.accept(1)
    desk.corrections.accept(1, False)
    desk.die()
    unsaved = left(folder)
    assert (unsaved.slices, unsaved.accepted, unsaved.about["name"]) == ((0, 2, 3), {3}, "Labels")
    assert_same(desk, unsaved)
    assert not desk.layer.data[2, 90, 90]


def test_scripted_edits_and_fills_are_in_the_journal_as_they_are_after_them(folder: Path) -> None:
    """napari tells of these before it writes the pixels."""
    desk = Desk(folder)
    desk.layer.data_setitem((np.array([0, 1]), np.array([3, 4]), np.array([5, 6])), 7)
    desk.viewer.dims.current_step = (3, 0, 0)
    desk.layer.fill((3, 5, 5), 2)
    desk.layer.data_setitem((np.array([3, 3]), np.array([3, 4]), np.array([5, 6])), [4, 5])
    desk.die()
    assert_same(desk, left(folder))


def test_result_of_the_program_in_a_painted_or_accepted_slice_comes_back_with_it(folder: Path) -> None:
    """G6: a corrected slice is true as a whole, so it is kept as a whole."""
    desk = Desk(folder)
    for z in range(4):
        desk.corrections.write(z, np.full(SHAPE[1:], 2, np.uint8))
    desk.stroke((1, 5, 5), label=3)
    desk.corrections.accept(2)
    desk.corrections.write(1, np.full(SHAPE[1:], 4, np.uint8))
    desk.die()
    layer, corrections = reopened(left(folder))
    assert (layer.data[1] == desk.layer.data[1]).all()
    assert (layer.data[2] == 2).all()
    assert not layer.data[[0, 3]].any()
    assert corrections.edited_slices() == (1,)


def test_into_a_layer_with_newer_results_only_the_users_pixels_go(folder: Path) -> None:
    """G6."""
    desk = Desk(folder)
    desk.corrections.write(1, np.full(SHAPE[1:], 2, np.uint8))
    desk.stroke((1, 5, 5), label=3)
    desk.die()
    newer = np.full(SHAPE, 9, np.uint8)
    layer, corrections = reopened(left(folder), newer, whole=False)
    mine = desk.corrections.edited(1)
    assert (layer.data[1] == np.where(mine, 3, 9)).all()
    assert (corrections.edited(1) == mine).all()


def test_pixels_painted_before_the_restoring_stay(folder: Path) -> None:
    desk = Desk(folder)
    desk.stroke((1, 50, 50), label=3)
    desk.die()
    other = Desk(folder)
    other.stroke((1, 50, 51), label=5)
    new = other.corrections.edited(1)
    left(folder).put_back(other.corrections, whole=False)
    expected = np.where(new, 5, np.where(desk.corrections.edited(1), 3, 0))
    assert (other.layer.data[1] == expected).all()
    other.layer.undo()
    assert (other.layer.data[1] == expected).all()
    other.die()


def test_single_image_and_large_labels_come_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "WHOLE", 10)  # as if it were a slide: only tiles that were touched
    desk = Desk(folder, (300, 280), np.full((300, 280), 2, np.int32))
    desk.stroke((5, 5), (200, 270), label=70000)
    desk.corrections.accept(0)
    desk.die()
    unsaved = left(folder)
    layer, corrections = reopened(unsaved)
    mine = desk.corrections.edited()
    assert (corrections.edited() == mine).all()
    assert (layer.data[mine] == 70000).all()
    assert corrections.accepted == {0}


@pytest.mark.parametrize("seed", range(3))
def test_journal_equals_the_layer_through_any_edits_and_any_end(
    seed: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G6, G7: undo, redo, results in between, a hidden layer, a file written anew, a torn end."""
    rng = np.random.default_rng(seed)
    desk = Desk(folder, data=rng.integers(0, 3, SHAPE).astype(np.uint8))
    monkeypatch.setattr(log, "SMALLEST", 3000)
    for _ in range(60):
        z, y, x = (int(rng.integers(n)) for n in SHAPE)
        desk.viewer.dims.current_step = (z, 0, 0)
        desk.layer.brush_size = int(rng.integers(1, 20))
        desk.layer.n_edit_dimensions = int(rng.integers(2, 4))
        desk.layer.visible = bool(rng.random() < 0.8)
        action = rng.choice(["paint", "paint", "set", "fill", "undo", "redo", "write", "accept"])
        if action == "paint":
            desk.stroke((z, y, x), (z, y, x - 30), label=int(rng.integers(5)))
        elif action == "set" and desk.layer.visible:  # napari raises otherwise
            desk.layer.data_setitem((np.array([z]), np.array([y]), np.array([x])), int(rng.integers(5)))
        elif action == "fill":
            desk.layer.fill((z, y, x), int(rng.integers(5)))
        elif action == "write":
            desk.corrections.write(z, rng.integers(0, 3, SHAPE[1:]).astype(np.uint8))
        elif action == "accept":
            desk.corrections.accept(z, bool(rng.random() < 0.5))
        elif action in ("undo", "redo"):
            getattr(desk.layer, action)()
        if rng.random() < 0.3 or not desk.layer.visible:
            desk.journal.look()
    desk.journal.look()
    desk.die()
    [path] = desk.files()
    with path.open("ab") as file:
        file.write(b"\x30\x00\x00\x00half a record")
    assert_same(desk, left(folder))


def test_torn_or_damaged_tail_costs_only_itself(folder: Path) -> None:
    """W3: cut anywhere, what is whole is read."""
    desk = Desk(folder)
    sizes = []
    for y in (20, 60, 100):
        desk.stroke((0, y, 20))
        assert desk.journal.flush()
        sizes.append(desk.files()[0].stat().st_size)
    desk.die()
    [path] = desk.files()
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[sizes[1] + 40] ^= 1
    cut = [(whole[:size], size) for size in (sizes[0], sizes[1] - 1, sizes[1], sizes[2] - 5)]
    for content, size in [*cut, (bytes(damaged), sizes[1])]:
        path.write_bytes(content)
        unsaved = left(folder)
        layer, _ = reopened(unsaved)
        unsaved.release()
        whole_strokes = sum(s <= size for s in sizes)
        assert [bool(layer.data[0, y, 20]) for y in (20, 60, 100)] == [i < whole_strokes for i in range(3)]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 something else", b"napari-medseg journal 1\n"])
def test_file_that_is_no_journal_is_left_alone(content: bytes, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "a.journal").write_bytes(content)
    assert find_unsaved(folder) == []
    assert (folder / "a.journal").read_bytes() == content


def test_journal_of_a_living_program_is_not_offered(folder: Path) -> None:
    """W6: two programs on one image write files of their own."""
    one, two = Desk(folder), Desk(folder)
    one.stroke((0, 5, 5))
    two.stroke((0, 50, 50))
    assert one.journal.flush()
    assert two.journal.flush()
    assert len(one.files()) == 2
    assert find_unsaved(folder) == []
    one.die()
    unsaved = left(folder)
    assert find_unsaved(folder) == []  # nor twice
    assert_same(one, unsaved)
    unsaved.release()
    two.die()
    assert len(find_unsaved(folder)) == 2


def test_file_stays_small_through_much_painting(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "SMALLEST", 5000)
    desk = Desk(folder)
    for i in range(150):
        desk.stroke((0, i % 90 + 5, 2 * i % 270 + 5), label=i % 3)
        assert desk.journal.flush()
    [path] = desk.files()
    live = sum(map(len, desk.journal._log._parts.values()))
    assert path.stat().st_size < max(5000, 4 * live) + 2000
    desk.die()
    assert_same(desk, left(folder))


def test_saved_painting_leaves_no_file_and_the_next_stroke_starts_one_with_everything(folder: Path) -> None:
    desk = Desk(folder)
    desk.stroke((0, 5, 5))
    desk.stroke((2, 5, 5))
    assert desk.journal.flush()
    note_saved(desk.layer.data)
    assert desk.journal.unsaved() == ()
    assert not folder.exists()
    desk.stroke((1, 5, 5))
    assert desk.journal.unsaved() == (0, 1, 2)
    desk.journal.look()
    desk.die()
    assert_same(desk, left(folder))


def test_strokes_made_while_the_masks_are_written_stay_in_the_journal(folder: Path) -> None:
    desk = Desk(folder)
    desk.stroke((0, 5, 5))
    end = begin_save(desk.layer)
    desk.stroke((0, 50, 50))
    end()
    assert desk.journal.flush()
    assert len(desk.files()) == 1
    desk.die()
    assert_same(desk, left(folder))


def test_everything_undone_is_nothing_to_keep(folder: Path) -> None:
    desk = Desk(folder)
    desk.stroke((0, 5, 5))
    desk.layer.undo()
    assert desk.journal.unsaved() == ()
    desk.journal.close()
    assert not folder.exists()


def test_fill_of_a_whole_stack_is_taken_over_in_a_few_looks_the_stroke_after_it_at_once(folder: Path) -> None:
    """A look every tenth of a second has all on disk within two."""
    desk = Desk(folder, (60, 300, 300))
    desk.layer.n_edit_dimensions = 3
    desk.layer.fill((5, 5, 5), 2)
    tiles = 60 * 9
    assert len(desk.journal._dirty) == tiles - journals.AT_ONCE
    desk.layer.n_edit_dimensions = 2
    desk.stroke((59, 5, 5), label=3)
    assert TileName(59, 0, 0) not in desk.journal._dirty
    for _ in range(19):
        desk.journal.look()
    assert not desk.journal._dirty
    desk.die()
    assert_same(desk, left(folder))


def test_layer_that_is_renamed_is_known_by_its_new_name(folder: Path) -> None:
    """G1."""
    desk = Desk(folder)
    desk.stroke((0, 5, 5))
    desk.layer.name = "left femur"
    desk.journal.describe_again()
    desk.journal.look()
    desk.die()
    assert left(folder).about["name"] == "left femur"


def test_replaced_array_of_another_shape_leaves_the_old_painting_in_its_file(folder: Path) -> None:
    """G1."""
    desk = Desk(folder)
    desk.stroke((0, 5, 5))
    desk.layer.data = np.zeros((2, 8, 8), np.uint8)
    desk.stroke((1, 2, 2))
    desk.die()
    shapes = {u.shape: u.slices for u in find_unsaved(folder)}
    assert shapes == {SHAPE: (0,), (2, 8, 8): (1,)}


def test_array_replaced_by_one_of_the_same_shape_is_kept_as_it_is_now(folder: Path) -> None:
    """G1."""
    desk = Desk(folder)
    desk.stroke((0, 5, 5))
    desk.layer.data = np.full(SHAPE, 4, np.int32)
    desk.stroke((0, 50, 50), label=70000)
    desk.die()
    assert_same(desk, left(folder))


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bool], None]]:
    """Lets writing fail half-way through."""
    full = False
    fsync = os.fsync

    def failing(descriptor: int) -> None:
        if full:
            os.ftruncate(descriptor, os.fstat(descriptor).st_size - 3)
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    def switch(now: bool) -> None:
        nonlocal full
        full = now

    monkeypatch.setattr(os, "fsync", failing)
    yield switch
    full = False


def test_full_disk_is_told_and_costs_nothing_once_there_is_room(
    folder: Path, full_disk: Callable[[bool], None]
) -> None:
    """W2: painting goes on, and later everything is on disk."""
    desk = Desk(folder)
    desk.stroke((0, 5, 5))
    assert desk.journal.flush()
    full_disk(True)
    for y in (20, 40, 60):
        desk.stroke((1, y, 5))
        assert not desk.journal.flush()
    assert desk.journal.problem.startswith(f"Painting cannot be kept safe in {folder}: No space left on device.")
    full_disk(False)
    desk.journal.look()
    assert desk.journal.flush()
    assert desk.journal.problem == ""
    desk.die()
    assert_same(desk, left(folder))


def test_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """W1."""
    (tmp_path / "home").write_text("a file")
    desk = Desk(tmp_path / "home" / "image")
    desk.stroke((0, 5, 5))
    assert not desk.journal.flush()
    assert "Painting cannot be kept safe" in desk.journal.problem
    desk.journal.close()


def test_file_that_somebody_deleted_is_written_again(folder: Path) -> None:
    desk = Desk(folder)
    desk.stroke((0, 5, 5))
    assert desk.journal.flush()
    desk.files()[0].unlink()
    desk.stroke((1, 5, 5))
    desk.die()
    assert_same(desk, left(folder))


def test_given_up_painting_can_be_taken_back_and_goes_after_weeks(folder: Path) -> None:
    desk = Desk(folder)
    desk.stroke((0, 5, 5))
    desk.die()
    home = folder.parent
    unsaved = left(folder)
    unsaved.give_up()
    assert find_unsaved(folder) == []
    unsaved.take_back()
    unsaved.release()
    unsaved = left(folder)
    unsaved.give_up()
    unsaved.release()
    prune(home)
    assert unsaved.path.exists()
    os.utime(unsaved.path, (0, 0))
    prune(home)
    assert not list(home.glob("*/*"))


def test_unsaved_painting_is_never_pruned_but_told_when_it_is_old(folder: Path) -> None:
    desk = Desk(folder)
    desk.stroke((0, 5, 5))
    desk.die()
    assert find_old(folder.parent) == []
    [path] = desk.files()
    os.utime(path, (0, 0))
    prune(folder.parent)
    assert find_old(folder.parent) == [path]
    unsaved = left(folder)
    assert find_old(folder.parent) == []  # somebody is at it
    unsaved.release()
    remove_journals([path])
    assert not folder.exists()


def test_journal_ends_with_no_thread_and_no_hold_on_its_layer(folder: Path) -> None:
    """G11."""

    def use() -> list[weakref.ref[Any]]:
        layer = LabelsLayer(np.zeros((2, 16, 16), np.uint8))
        journal = Journal(layer, corrections_of(layer), lambda _: lambda: folder, lambda layer: {"name": layer.name})
        layer._begin_stroke()
        layer.paint((0, 5, 5), 1)
        layer._commit_stroke()
        journal.close()
        return [weakref.ref(layer), weakref.ref(journal)]

    gone = [link for _ in range(50) for link in use()]
    gc.collect()
    assert not any(link() for link in gone)
    assert not [t for t in threading.enumerate() if t.name == "medseg-journal"]
    assert len(list(folder.glob("*.journal"))) == 50
    assert not list(folder.glob("*.lock"))


def test_an_attempt_under_way_that_fails_is_made_again_before_anybody_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W1: the disk has room again, but the thread had begun before."""
    begun, go = threading.Event(), threading.Event()
    places = iter([OSError(28, "No space left on device"), tmp_path / "a.journal"])

    def place() -> Path:
        begun.set()
        go.wait(60)
        found = next(places)
        if isinstance(found, OSError):
            raise found
        return found

    written = log.Log(place)
    written.put({b"part": lambda: b"painted"})
    assert begun.wait(60)
    wait = written._idle.wait

    def let_go(timeout: float | None = None) -> bool:
        go.set()
        return wait(timeout)

    monkeypatch.setattr(written._idle, "wait", let_go)
    assert written.flush()
    assert (tmp_path / "a.journal").exists()
    written.close()
