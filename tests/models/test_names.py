"""Another name for a model: all versions go, descendants follow, and a kill loses nothing."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from napari_medseg.core import ModelCard, ModelError, OutputError
from napari_medseg.models import (
    add_model,
    check_library,
    find_model,
    library,
    list_models,
    load_model,
    remove_model,
    rename_model,
)
from napari_medseg.models import names as module
from napari_medseg.models.library import lineage, versions

Tiny = tuple[ModelCard, Any]


@pytest.fixture(autouse=True)
def family(tmp_path: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> list[ModelCard]:
    """``hip@1``, ``hip@2`` trained from it, and ``knee@1`` trained from that; no shipped models."""
    monkeypatch.setattr(library, "STARTERS", tmp_path / "starters")
    card, network = tiny
    line: list[ModelCard] = []
    for name in ("hip", "hip", "knee"):
        parent = {"parent": line[-1].reference, "parent_sha256": line[-1].sha256} if line else {}
        line.append(add_model(network, card.model_copy(update={"name": name, **parent})))
    return line


def references() -> list[str]:
    return [card.reference for card in list_models(all_versions=True)]


def test_all_versions_are_renamed_and_their_descendants_follow(own_library: Path) -> None:
    (find_model("hip@2") / "memory.zip").write_bytes(b"slices")
    weights = (find_model("hip@1") / "model.safetensors").read_bytes()
    assert [c.reference for c in rename_model("hip", "pelvis")] == ["pelvis@1", "pelvis@2"]
    assert references() == ["knee@1", "pelvis@1", "pelvis@2"]
    assert not check_library()
    assert (find_model("pelvis@2") / "memory.zip").read_bytes() == b"slices"
    assert (find_model("pelvis@1") / "model.safetensors").read_bytes() == weights
    assert [c.reference for c in lineage(load_model("knee").card)] == ["pelvis@1", "pelvis@2", "knee@1"]
    assert sorted(p.name for p in (own_library / "models").iterdir()) == ["knee", "pelvis"]


def test_a_renamed_version_keeps_its_time(own_library: Path) -> None:
    before = (find_model("hip@1") / "card.json").stat().st_mtime_ns
    rename_model("hip", "pelvis")
    assert (find_model("pelvis@1") / "card.json").stat().st_mtime_ns == before


def test_a_name_whose_model_was_removed_is_free(own_library: Path) -> None:
    remove_model("knee")
    assert not (own_library / "models" / "knee").exists()
    (own_library / "models" / "knee").mkdir()
    rename_model("hip", "knee")
    assert references() == ["knee@1", "knee@2"]


def test_no_damaged_version_stays_behind_under_the_old_name(own_library: Path) -> None:
    (find_model("hip@2") / "card.json").write_text("{")
    with pytest.raises(ModelError, match="hip@2 is damaged") as caught:
        rename_model("hip", "pelvis")
    assert caught.value.hint == "Run napari-medseg models remove hip@2 first."
    remove_model("hip@2")
    assert [c.reference for c in rename_model("hip", "pelvis")] == ["pelvis@1"]


def test_children_of_another_model_of_that_name_stay(tiny: Tiny) -> None:
    card, network = tiny
    other = {"name": "other", "parent": "hip@1", "parent_sha256": "0" * 64}
    add_model(network, card.model_copy(update=other))
    rename_model("hip", "pelvis")
    assert versions("other")[0].parent == "hip@1"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("hip", "knee", "a model knee already"),
        ("hip", "hip", "a model hip already"),
        ("hip", "A Name", "a model's name has small letters"),
        ("hip", "../out", "a model's name has small letters"),
        ("hip", "con", "'con' cannot be a folder on Windows"),
        ("hip", "lpt1.knee", "cannot be a folder on Windows"),
        ("hip", "knee.", "cannot be a folder on Windows"),
        ("hip@1", "pelvis", "cannot be renamed alone"),
        ("nobody", "pelvis", "no model 'nobody'"),
    ],
)
def test_what_cannot_be_renamed_is_one_sentence(old: str, new: str, says: str) -> None:
    with pytest.raises(ModelError, match=f"(?i){says}"):
        rename_model(old, new)
    assert references() == ["hip@1", "hip@2", "knee@1"]


def test_shipped_models_stay_and_their_own_versions_go(tmp_path: Path, tiny: Tiny) -> None:
    shutil.copytree(find_model("hip@1"), tmp_path / "starters" / "hip")
    shutil.rmtree(find_model("hip@2").with_name("1"))
    rename_model("hip", "mine")
    assert references() == ["hip@1", "knee@1", "mine@2"]
    assert [c.reference for c in lineage(load_model("knee").card)] == ["hip@1", "mine@2", "knee@1"]
    with pytest.raises(ModelError, match="came with napari-medseg and cannot be renamed"):
        rename_model("hip", "theirs")
    with pytest.raises(ModelError, match="a model hip already"):
        rename_model("mine", "hip")


@pytest.mark.parametrize("moment", range(9))
def test_a_kill_at_any_moment_loses_no_version(moment: int, monkeypatch: pytest.MonkeyPatch, own_library: Path) -> None:
    class Killed(BaseException):
        pass

    left = iter(range(moment))

    def or_die(real: Any) -> Any:
        def work(*args: Any, **kwargs: Any) -> Any:
            if next(left, None) is None:
                raise Killed
            return real(*args, **kwargs)

        return work

    with monkeypatch.context() as patch:
        steps = ((module, "_replace_card"), (module, "drop_folder"), (module.shutil, "copytree"), (Path, "rename"))
        for owner, name in steps:
            patch.setattr(owner, name, or_die(getattr(owner, name)))
        with suppress(Killed):
            rename_model("hip", "pelvis")
    assert not check_library()
    for version in (1, 2):
        there = [n for n in ("hip", "pelvis") if f"{n}@{version}" in references()]
        assert there
        load_model(f"{there[0]}@{version}")
    assert len(lineage(load_model("knee").card)) == 3


def test_an_unwritable_library_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_replace_card", full)
    with pytest.raises(OutputError, match="hip cannot be renamed: No space left on device"):
        rename_model("hip", "pelvis")
    assert references() == ["hip@1", "hip@2", "knee@1"]
