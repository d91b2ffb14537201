"""What a model remembers: written, read again, mapped to other classes, and refused when it is damaged or hostile."""

from __future__ import annotations

import io
import json
import math
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from napari_medseg.core import ClassInfo, ModelCard, ModelError
from napari_medseg.models.library import STARTERS
from napari_medseg.models.weights import MEMORY, read_card
from napari_medseg.training import memory as memories
from napari_medseg.training.losses import IGNORE
from napari_medseg.training.memory import (
    MOST,
    NEWEST,
    Memory,
    count_memory,
    read_archive,
    read_first,
    write_known,
    write_memory,
)
from napari_medseg.training.truth import LabelledSlice

FEMUR, TIBIA, PATELLA = (ClassInfo.numbered(i, n) for i, n in enumerate(("femur", "tibia", "patella"), 1))


def card(*classes: ClassInfo, channels: int = 1, neighbours: int = 0) -> ModelCard:
    return ModelCard(name="n", classes=classes or (FEMUR, TIBIA), channels=channels, neighbours=neighbours)


def a_slice(seed: int = 0, channels: int = 1, shape: tuple[int, int] = (60, 70)) -> LabelledSlice:
    """A smooth image between 0 and 1, labelled 0, 1, 2 and not at all."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape[0], : shape[1]] / max(shape)
    waves = [np.sin(6 * rows * a + 9 * columns * b) / 2 + 0.5 for a, b in random.random((channels, 2))]
    target = np.full(shape, IGNORE, np.int16)
    target[10:50, 10:60], target[12:30, 12:30], target[35:45, 40:55] = 0, 1, 2
    return LabelledSlice(f"slice {seed}", np.stack(waves).astype(np.float16), target, identity=f"id{seed}")


def write(folder: Path, *slices: LabelledSlice, held_out: tuple[LabelledSlice, ...] = (), **kwargs: int) -> Path:
    write_memory(folder, Memory(slices, held_out), card(**kwargs))
    return folder


@pytest.mark.parametrize(("channels", "neighbours"), [(1, 0), (1, 1), (2, 0), (3, 0), (3, 2), (4, 0)], ids=str)
def test_masks_are_kept_exactly_and_pixels_nearly(tmp_path: Path, channels: int, neighbours: int) -> None:
    """Any number of channels: grey, neighbours, colours, sequences."""
    before = a_slice(channels=channels * (2 * neighbours + 1))
    folder = write(tmp_path, before, channels=channels, neighbours=neighbours)
    (after,) = read_archive(folder).recall((FEMUR, TIBIA), len(before.pixels)).training
    assert (after.target == before.target).all()
    assert after.pixels.shape == before.pixels.shape
    difference = after.pixels.astype(np.float32) - before.pixels.astype(np.float32)
    assert np.sqrt((difference**2).mean()) < 0.02
    assert (after.name, after.identity, after.remembered) == (before.name, before.identity, True)


def test_values_outside_of_0_to_1_come_back(tmp_path: Path) -> None:
    """Some models subtract a mean; some do not clip."""
    before = a_slice()
    wide = LabelledSlice("a", (before.pixels * 5 - 2).astype(np.float16), before.target)
    (after,) = read_archive(write(tmp_path, wide)).recall((FEMUR, TIBIA), 1).training
    assert np.abs(after.pixels.astype(float) - wide.pixels.astype(float)).max() < 0.3


def test_classes_are_found_by_name_wherever_they_are(tmp_path: Path) -> None:
    folder, before = write(tmp_path, a_slice()), a_slice().target
    (after,) = read_archive(folder).recall((TIBIA, FEMUR), 1).training
    assert (after.target[before == 1] == 2).all()
    assert (after.target[before == 2] == 1).all()
    assert (after.target[before == 0] == 0).all()


def test_where_a_class_is_new_background_still_tells_that_the_old_ones_are_not_there(tmp_path: Path) -> None:
    """In what measures: otherwise nothing that is found too much would be seen."""
    folder, before = write(tmp_path, a_slice(1), held_out=(a_slice(),)), a_slice().target
    (after,) = read_archive(folder).recall((FEMUR, TIBIA, PATELLA), 1).held_out
    np.testing.assert_array_equal(after.target, before)
    assert after.unpainted == (3,)
    (same,) = read_archive(folder).recall((FEMUR, TIBIA), 1).held_out
    assert same.unpainted == ()


def test_whether_a_slice_holds_a_class_that_nobody_was_asked_for_is_not_known() -> None:
    empty = LabelledSlice("a", np.zeros((1, 4, 4), np.float16), np.zeros((4, 4), np.int16))
    assert empty.holds == 0
    assert math.isnan(replace(empty, unpainted=(2,)).holds)


def test_a_class_that_is_gone_does_not_count(tmp_path: Path) -> None:
    """It was never said to be background."""
    folder, before = write(tmp_path, a_slice()), a_slice().target
    (after,) = read_archive(folder).recall((FEMUR,), 1).training
    assert (after.target[before == 2] == IGNORE).all()
    assert (after.target[before == 0] == 0).all()


def test_where_a_class_is_new_old_background_does_not_count(tmp_path: Path) -> None:
    """The patella was there then too, called background; the head must not unlearn it."""
    folder, before = write(tmp_path, a_slice()), a_slice().target
    (after,) = read_archive(folder).recall((FEMUR, TIBIA, PATELLA), 1).training
    assert (after.target[before == 0] == IGNORE).all()
    assert (after.target[before == 1] == 1).all()


@pytest.mark.parametrize("name", ["class 1", "bone"])
def test_classes_that_became_one_are_that_one_unless_its_name_says_otherwise(tmp_path: Path, name: str) -> None:
    folder, before = write(tmp_path, a_slice()), a_slice().target
    found = read_archive(folder).recall((ClassInfo.numbered(1, name),), 1).training
    if name == "bone":
        assert not found, "nobody said that a bone is what femur and tibia are"
    else:
        assert (found[0].target[before > 0] == 1).all()


def test_a_network_of_other_channels_gets_nothing(tmp_path: Path) -> None:
    assert read_archive(write(tmp_path, a_slice())).recall((FEMUR, TIBIA), 3) == Memory()


def test_what_measured_is_told_apart(tmp_path: Path) -> None:
    folder = write(tmp_path, a_slice(1), held_out=(a_slice(2),))
    memory = read_archive(folder).recall((FEMUR, TIBIA), 1)
    assert [[s.name for s in part] for part in (memory.training, memory.held_out)] == [["slice 1"], ["slice 2"]]
    past = read_archive(folder).past
    assert past.trained == {"id1"}
    assert (past.measured["id2"].on((60, 70)) == (a_slice().target != IGNORE)).all()


def test_of_a_huge_slice_the_painted_part_is_remembered(tmp_path: Path) -> None:
    target = np.full((1500, 3000), IGNORE, np.int16)
    target[1400:1450, 2500:2550] = 1
    large = LabelledSlice("a", np.zeros((1, 1500, 3000), np.float16), target, "id")
    memory = read_archive(write(tmp_path, a_slice(), held_out=(large,))).recall((FEMUR, TIBIA), 1)
    assert memory.held_out[0].target.shape == (1024, 1024)
    assert (memory.held_out[0].target == 1).sum() == 2500
    assert (read_archive(tmp_path).past.measured["id"].on((1500, 3000)) == (target == 1)).all()


def test_a_child_remembers_what_its_parent_did_byte_for_byte(tmp_path: Path) -> None:
    parent, child = tmp_path / "parent", tmp_path / "child"
    parent.mkdir()
    child.mkdir()
    write(parent, *(a_slice(i) for i in range(MOST - 10)))
    older = read_archive(parent)
    assert len(older.slices) == NEWEST
    assert write_memory(child, Memory((a_slice(99),)), card(FEMUR, TIBIA, PATELLA), older) == NEWEST + 1
    kept = read_archive(child).slices
    assert kept[1:] == older.slices
    assert [len(one.entry.classes) for one in (kept[0], kept[1])] == [3, 2], "each knows the classes of its own time"


def test_size_is_capped_and_the_oldest_give_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memories, "MOST_BYTES", 3000)
    (tmp_path / "a").mkdir()
    write(tmp_path / "a", *(a_slice(i) for i in range(8)))
    older = read_archive(tmp_path / "a")
    write_memory(tmp_path, Memory((a_slice(50), a_slice(51))), card(), older)
    names = [one.entry.name for one in read_archive(tmp_path).slices]
    assert names[:2] == ["slice 50", "slice 51"]
    assert 2 < len(names) < 10
    assert sum(i.file_size for i in zipfile.ZipFile(tmp_path / MEMORY).infolist() if "json" not in i.filename) <= 3000


def whole_slice(seed: int) -> LabelledSlice:
    one = a_slice(seed)
    return replace(one, target=np.where(one.target == IGNORE, 0, one.target))


def test_slices_that_are_not_remembered_are_still_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else what a large training learnt from would be held out, or a test, when its model is trained further."""
    monkeypatch.setattr("napari_medseg.training.memory.NEWEST", 4)
    monkeypatch.setattr("napari_medseg.training.memory.MOST", 4)
    training, held_out = tuple(a_slice(i) for i in range(20)), tuple(whole_slice(i) for i in range(20, 28))
    write_memory(tmp_path, Memory(training, held_out), card())
    archive = read_archive(tmp_path)
    assert len(archive.slices) == 4
    assert archive.past.trained == {f"id{i}" for i in range(20)}
    assert archive.past.measured.keys() == {f"id{i}" for i in range(20, 28)}
    assert archive.past.measured["id27"].on((60, 70)).all()

    child = tmp_path / "child"
    child.mkdir()
    again = archive.without({"id3", "id27"})
    write_memory(child, Memory((a_slice(3), a_slice(27), a_slice(50))), card(), again)
    past = read_archive(child).past
    assert past.trained == {*(f"id{i}" for i in (*range(20), 27, 50))}, "what teaches now is no longer unseen"
    assert past.measured.keys() == {f"id{i}" for i in range(20, 27)}


def test_slices_known_without_their_pixels_need_no_archive_of_pictures(tmp_path: Path) -> None:
    write_known(tmp_path, {"a", "b"}, {"c"})
    assert (count_memory(tmp_path), read_first(tmp_path)) == (0, None)
    archive = read_archive(tmp_path)
    assert archive.recall((FEMUR,), 1) == Memory()
    assert archive.past.trained == {"a", "b"}


def test_a_model_without_memory_remembers_nothing(tmp_path: Path) -> None:
    assert read_archive(tmp_path).recall((FEMUR,), 1) == Memory()
    assert count_memory(tmp_path) == 0
    assert write_memory(tmp_path, Memory(), card()) == 0
    assert not (tmp_path / MEMORY).exists()


def test_the_built_in_model_remembers_whole_legs() -> None:
    folder = STARTERS / "femur-ct"
    assert 32 <= count_memory(folder) <= 48
    assert (folder / MEMORY).stat().st_size <= 2e6
    memory = read_archive(folder).recall(read_card(folder).classes, 1)
    assert 8 <= len(memory.held_out) <= 12, "people it never saw measure what later training makes it forget"
    people = [{one.name.split(",")[0] for one in part} for part in (memory.training, memory.held_out)]
    assert not people[0] & people[1]
    empty = [one for one in memory.training if not one.present - {0}]
    assert 2 <= len(empty) <= 12, "slices above the hip and of the shin, without femur"


def _damage(folder: Path, change: str) -> None:
    """Write the archive of one slice again, with this change."""
    path = folder / MEMORY
    content = {i.filename: zipfile.ZipFile(path).read(i) for i in zipfile.ZipFile(path).infolist()}
    index = json.loads(content["memory.json"])
    (one,) = index["slices"]
    whole = {"truncated": path.read_bytes()[:300], "no zip": b"pickle"}
    if change in whole:
        path.write_bytes(whole[change])
        return
    described: dict[str, dict[str, object]] = {
        "huge canvas": {"whole": [10**9, 10**9], "shape": [1, 10**5, 10**5]},
        "many channels": {"shape": [10**6, 60, 70]},
        "strange key": {"run": "me"},
        "not finite": {"low": [float("inf")]},
    }
    files = {
        "missing mask": {"0/mask.png": b""},
        "bomb": {"0/picture-0.webp": bytes(2**26)},
        "other picture": {"0/picture-0.webp": _picture((9, 9), "WEBP")},
        "large mask": {"0/mask.png": _picture((6000, 6000), "PNG")},
        "unknown class": {"0/mask.png": _picture((70, 60), "PNG", 99)},
        "no picture": {"0/mask.png": b"no picture"},
    }
    one |= described.get(change, {})
    content |= files.get(change, {})
    content["memory.json"] = json.dumps(index).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            if data:
                archive.writestr(name, data)


def _picture(size: tuple[int, int], kind: str, value: int = 1) -> bytes:
    content = io.BytesIO()
    Picture.new("L", size, value).save(content, kind)
    return content.getvalue()


@pytest.mark.parametrize(
    ("change", "said"),
    [("truncated", "damaged"), ("no zip", "damaged"), ("huge canvas", "impossible sizes"),
     ("many channels", "impossible sizes"), ("strange key", "damaged"), ("not finite", "damaged"),
     ("missing mask", "damaged"), ("bomb", "too large"), ("other picture", "another size"),
     ("large mask", "another size"), ("unknown class", "without a class"), ("no picture", "damaged")],
)  # fmt: skip
def test_a_damaged_or_hostile_memory_is_refused_in_one_sentence(tmp_path: Path, change: str, said: str) -> None:
    """M8, M9: nothing is unpacked or decoded beyond what a memory may hold."""
    _damage(write(tmp_path, a_slice()), change)
    with pytest.raises(ModelError, match=said) as caught:
        read_archive(tmp_path).recall((FEMUR, TIBIA), 1)
    assert "\n" not in caught.value.message
    assert "Train on without it" in caught.value.hint
