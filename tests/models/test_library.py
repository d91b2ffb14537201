from __future__ import annotations

import json
import shutil
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_medseg.core import ModelCard, ModelError, OutputError
from napari_medseg.models import (
    Model,
    add_model,
    check_library,
    export_model,
    find_model,
    import_model,
    library,
    library_home,
    list_models,
    load_model,
    load_network,
    remove_model,
    save_network,
)
from napari_medseg.models.library import ancestry, lineage, versions
from napari_medseg.models.weights import read_card, write_card

Tiny = tuple[ModelCard, Any]


@pytest.fixture(autouse=True)
def shipped(tmp_path: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One shipped model, ``starter``."""
    card, network = tiny
    save_network(tmp_path / "starters" / "starter", card.model_copy(update={"name": "starter"}), network, half=True)
    monkeypatch.setattr(library, "STARTERS", tmp_path / "starters")
    return tmp_path / "starters" / "starter"


def test_home_follows_the_environment(own_library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert library_home() == own_library
    monkeypatch.delenv("NAPARI_MEDSEG_HOME")
    assert library_home().name == "napari-medseg"


def test_an_added_model_is_listed_found_and_loaded(tiny: Tiny, own_library: Path) -> None:
    card = add_model(tiny[1], tiny[0])
    assert [c.reference for c in list_models()] == ["starter@1", "tiny@1"]
    assert find_model("tiny") == find_model("tiny@1") == own_library / "models" / "tiny" / "1"
    model = load_model("tiny")
    assert model.card == card
    assert torch.equal(model.network.segmentation_head[0].weight, tiny[1].segmentation_head[0].weight)
    assert load_model(model) is model
    assert isinstance(load_model(model.folder), Model)


def test_a_fine_tune_of_a_shipped_model_is_its_version_2(tiny: Tiny, shipped: Path) -> None:
    card, network = tiny
    assert find_model("starter") == shipped
    added = add_model(network, card.model_copy(update={"name": "starter", "parent": "starter@1"}))
    assert added.version == 2
    assert find_model("starter") != shipped
    assert find_model("starter@1") == shipped
    assert [c.reference for c in list_models()] == ["starter@2"]
    assert [c.reference for c in list_models(all_versions=True)] == ["starter@1", "starter@2"]


def test_versions_count_as_numbers(tiny: Tiny) -> None:
    for _ in range(11):
        card = add_model(tiny[1], tiny[0])
    assert card.version == 11
    assert list_models()[-1].version == 11


def test_concurrent_writers_get_versions_of_their_own(tiny: Tiny, own_library: Path) -> None:
    """W6"""
    versions: list[int] = []
    start = threading.Barrier(6)

    def add() -> None:
        start.wait()
        versions.append(add_model(tiny[1], tiny[0]).version)

    threads = [threading.Thread(target=add) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(versions) == [1, 2, 3, 4, 5, 6]
    for version in versions:
        assert load_network(find_model(f"tiny@{version}"))[0].version == version
    assert len([*(own_library / "models" / "tiny").iterdir()]) == 6


def test_unknown_names_are_told_what_there_is(tiny: Tiny) -> None:
    add_model(tiny[1], tiny[0])
    with pytest.raises(ModelError, match=r"There is no model 'femur'\. Models here: starter, tiny"):
        find_model("femur")
    with pytest.raises(ModelError, match=r"no version 7 of the model tiny\. Its versions: 1"):
        find_model("tiny@7")
    with pytest.raises(ModelError, match="There is no model"):
        find_model("no/such/folder")


def test_a_library_name_wins_over_a_folder_of_that_name(
    tiny_folder: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_folder.parent)
    assert find_model("tiny") == Path("tiny")
    add_model(tiny[1], tiny[0])
    assert find_model("tiny").is_absolute()
    assert find_model(Path("tiny")) == find_model("./tiny") == Path("tiny")


@pytest.mark.parametrize("damage", ["card", "weights", "name", "version", "empty"])
def test_a_damaged_model_is_a_finding_and_the_others_stay(
    tiny: Tiny, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """M9"""
    add_model(tiny[1], tiny[0])
    add_model(tiny[1], tiny[0])
    folder = find_model("tiny@2")
    if damage == "card":
        (folder / "card.json").write_text("{")
    elif damage == "weights":
        (folder / "model.safetensors").unlink()
    elif damage == "empty":
        shutil.rmtree(folder)
        folder.mkdir()
    else:
        card = json.loads((folder / "card.json").read_text())
        (folder / "card.json").write_text(json.dumps({**card, damage: {"name": "other", "version": 9}[damage]}))
    assert [c.reference for c in list_models()] == ["starter@1", "tiny@1"]
    assert str(folder) in caplog.text
    (finding,) = check_library()
    assert finding.code == "BROKEN_MODEL"
    assert finding.files == (str(folder),)
    with pytest.raises(ModelError, match=r"no version 2 of the model tiny\. .*tiny.*Its versions: 1"):
        find_model("tiny@2")
    assert add_model(tiny[1], tiny[0]).version == 3


def test_models_are_removed_but_shipped_ones_stay(tiny: Tiny, shipped: Path) -> None:
    card, network = tiny
    for _ in range(2):
        add_model(network, card)
        add_model(network, card.model_copy(update={"name": "starter"}))
    assert [*remove_model("tiny@1")] == ["tiny@1"]
    assert [*remove_model("starter")] == ["starter@2", "starter@3"]
    assert [c.reference for c in list_models()] == ["starter@1", "tiny@2"]
    with pytest.raises(ModelError, match="came with napari-medseg and cannot be removed"):
        remove_model("starter")
    assert shipped.is_dir()
    with pytest.raises(ModelError, match="no model 'other'"):
        remove_model("other")


def test_damaged_versions_are_removed_too(tiny: Tiny, shipped: Path) -> None:
    for _ in range(3):
        add_model(tiny[1], tiny[0])
    for number in (1, 3):
        (find_model(f"tiny@{number}") / "card.json").write_text("{")
    assert "models remove tiny@1 or delete" in check_library()[0].message
    assert remove_model("tiny@1") == ("tiny@1",)
    assert remove_model("tiny") == ("tiny@2", "tiny@3")
    assert not check_library()
    add_model(tiny[1], tiny[0].model_copy(update={"name": "starter"}))
    (find_model("starter@2") / "card.json").write_text("{")
    assert remove_model("starter") == ("starter@2",), "the shipped one stays"
    for nothing in ("", "@1", "tiny@", "tiny@3"):
        with pytest.raises(ModelError, match="There is no"):
            remove_model(nothing)


def test_an_unwritable_library_is_one_sentence(tiny: Tiny, own_library: Path) -> None:
    """W1"""
    (own_library / "models").write_text("a file where the folder should be")
    with pytest.raises(OutputError, match="cannot be added"):
        add_model(tiny[1], tiny[0])


def test_export_as_folder_and_zip_comes_back(shipped: Path, tmp_path: Path) -> None:
    folder = export_model("starter", tmp_path / "out" / "folder")
    archive = export_model("starter", tmp_path / "out" / "m.zip")
    assert sorted(p.name for p in folder.iterdir()) == ["card.json", "config.json", "model.safetensors"]
    with zipfile.ZipFile(archive) as file:
        assert len(file.namelist()) == 3
    for source, name in ((folder, "from-folder"), (archive, "from-zip"), (archive, "")):
        card = import_model(source, name)
        assert card.name == (name or "starter")
        weights = find_model(card.reference) / "model.safetensors"
        assert weights.read_bytes() == (shipped / "model.safetensors").read_bytes()
        assert load_model(card.reference).card == card
    assert len([*(tmp_path / "out").iterdir()]) == 2


def test_a_memory_leaves_the_library_only_when_asked_and_comes_back(shipped: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="remembers nothing"):
        export_model("starter", tmp_path / "nothing", with_memory=True)
    (shipped / "memory.zip").write_bytes(b"slices")
    assert not (export_model("starter", tmp_path / "without") / "memory.zip").exists()
    folder = export_model("starter", tmp_path / "with", with_memory=True)
    archive = export_model("starter", tmp_path / "with.zip", with_memory=True)
    for source, name in ((folder, "from-folder"), (archive, "from-zip")):
        found = find_model(import_model(source, name).reference)
        assert (found / "memory.zip").read_bytes() == b"slices"
    with pytest.raises(OutputError, match="ONNX"):
        export_model("starter", tmp_path / "m.onnx", "onnx", with_memory=True)


def test_what_belongs_beside_a_model_is_there_with_it(tiny: Tiny) -> None:
    card = add_model(tiny[1], tiny[0], lambda folder: (folder / "memory.zip").write_bytes(b"slices"))
    assert (find_model(card.reference) / "memory.zip").read_bytes() == b"slices"


def test_a_lineage_goes_back_to_the_first_ancestor_that_is_still_there(tiny: Tiny) -> None:
    card, network = tiny
    first = add_model(network, card.model_copy(update={"parent": "unet:tu-resnet10t"}))
    line = [first]
    for _ in range(3):
        last = {"parent": line[-1].reference, "parent_sha256": line[-1].sha256}
        line.append(add_model(network, card.model_copy(update=last)))
    assert lineage(line[-1]) == tuple(line)
    assert versions("tiny") == tuple(line)
    assert versions("nobody") == ()
    remove_model("tiny@2")
    assert lineage(line[-1]) == tuple(line[2:])
    other = line[-1].model_copy(update={"parent_sha256": "0" * 64})
    assert lineage(other) == (other,), "a model of that name, but not the one it was trained from"


@pytest.mark.parametrize("parent", ["tiny@1", "tiny@2"])
def test_a_lineage_that_runs_in_a_circle_ends(parent: str, tiny: Tiny) -> None:
    for _ in range(2):
        card = add_model(tiny[1], tiny[0])
    first = find_model("tiny@1")
    write_card(first, read_card(first).model_copy(update={"parent": parent, "parent_sha256": card.sha256}))
    other = card.model_copy(update={"parent": "tiny@1", "parent_sha256": card.sha256})
    write_card(find_model("tiny@2"), other)
    assert [c.reference for c in lineage(other)] == ["tiny@1", "tiny@2"]
    assert ancestry(other) == f"{parent.replace('@', ' v')} → tiny v1"


def test_export_never_overwrites_and_knows_its_formats(tmp_path: Path) -> None:
    """W5"""
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match="exists already"):
        export_model("starter", tmp_path / "out")
    with pytest.raises(OutputError, match=r"no export format 'tflite'\. Formats: folder, zip, onnx, bioimageio"):
        export_model("starter", tmp_path / "new", "tflite")  # type: ignore[arg-type]


def test_a_name_tells_the_format_and_is_not_contradicted(tmp_path: Path) -> None:
    export_model("starter", tmp_path / "m.ZIP")
    assert zipfile.is_zipfile(tmp_path / "m.ZIP")
    for name, kind in (("n.zip", "folder"), ("n.zip", "onnx"), ("n.onnx", "zip")):
        with pytest.raises(OutputError, match=f"{name} is no name for the format {kind}"):
            export_model("starter", tmp_path / name, kind)  # type: ignore[arg-type]
    with pytest.raises(OutputError, match="An ONNX file has no room"):
        export_model("starter", tmp_path / "n.onnx", with_memory=True)


def test_onnx_without_its_package_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_medseg.models.export.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"needs the package onnx.*pip install .napari-medseg.onnx"):
        export_model("starter", tmp_path / "m.onnx", "onnx")
    assert not (tmp_path / "m.onnx").exists()


def test_onnx_takes_other_sizes_and_what_computes_something_else_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx
    from onnx.reference import ReferenceEvaluator

    from napari_medseg.models import export

    programs: list[Any] = []
    real = torch.onnx.export
    monkeypatch.setattr(torch.onnx, "export", lambda *a, **k: programs.append(real(*a, **k)) or programs[0])

    out = export_model("starter", tmp_path / "m.onnx", "onnx", licence="MIT")
    model = onnx.load(out)
    assert '"licence":"MIT"' in {p.key: p.value for p in model.metadata_props}["card"]
    assert "Images go in" in model.doc_string
    image = torch.rand(1, 1, 96, 64)
    (logits,) = ReferenceEvaluator(model).run(None, {"image": image.numpy()})
    with torch.inference_mode():
        assert torch.allclose(torch.from_numpy(logits), load_model("starter").network(image), atol=1e-3)

    monkeypatch.setattr(torch.onnx, "export", lambda *a, **k: programs[0])
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    with pytest.raises(ModelError, match=r"starter@1 cannot be exported to ONNX: there its logits differ by up to"):
        export_model("starter", tmp_path / "other.onnx", "onnx")
    assert not [*tmp_path.glob("*other.onnx*")]
