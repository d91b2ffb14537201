from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from napari_medseg.core import ModelCard, ModelError, OutputError
from napari_medseg.models import (
    add_model,
    check_library,
    find_model,
    list_models,
    load_network,
    read_card,
    save_network,
    weights,
)
from napari_medseg.models.smp import import_smp

Tiny = tuple[ModelCard, Any]


def same(a: Any, b: Any) -> bool:
    one, two = a.state_dict(), b.state_dict()
    return one.keys() == two.keys() and all(torch.equal(v, two[k]) for k, v in one.items())


def test_a_saved_network_comes_back(tiny: Tiny, tmp_path: Path) -> None:
    card = save_network(tmp_path / "m", *tiny)
    loaded, network = load_network(tmp_path / "m")
    assert loaded == card
    assert len(card.sha256) == 64
    assert same(network, tiny[1])
    assert not network.training
    assert [p.name for p in tmp_path.iterdir()] == ["m"], "nothing temporary stays"
    assert len({p.stat().st_mode for p in (tmp_path / "m").iterdir()}) == 1, "whoever may read one may read all"


@pytest.mark.parametrize("half", [False, True])
def test_smp_opens_the_folder(tiny: Tiny, tmp_path: Path, half: bool) -> None:
    save_network(tmp_path / "m", *tiny, half=half)
    network = import_smp().from_pretrained(str(tmp_path / "m")).eval()
    image = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(network(image), tiny[1](image), atol=2e-2 if half else 0)


def test_files_are_those_of_save_pretrained(tiny: Tiny, tmp_path: Path) -> None:
    save_network(tmp_path / "ours", *tiny)
    tiny[1].save_pretrained(tmp_path / "theirs")
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "ours" / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes()


def test_half_needs_half_the_space(tiny: Tiny, tmp_path: Path) -> None:
    save_network(tmp_path / "half", *tiny, half=True)
    save_network(tmp_path / "full", *tiny)
    sizes = [(tmp_path / n / "model.safetensors").stat().st_size for n in ("half", "full")]
    assert sizes[0] < 0.52 * sizes[1]
    _, network = load_network(tmp_path / "half")
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert {p.dtype for p in tiny[1].parameters()} == {torch.float32}, "the network itself is not touched"


def test_wrapped_and_channels_last_networks_are_saved_bare(tiny: Tiny, tmp_path: Path) -> None:
    card, network = tiny
    wrapped = torch.nn.DataParallel(network.to(memory_format=torch.channels_last))
    save_network(tmp_path / "m", card, wrapped)
    assert same(load_network(tmp_path / "m")[1], network)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tiny: Tiny, tmp_path: Path, value: float) -> None:
    """M6"""
    card, network = tiny
    save_network(tmp_path / "m", card, network)
    with torch.no_grad():
        network.segmentation_head[0].weight[0, 0, 0, 0] = value
    with pytest.raises(ModelError, match=r"segmentation_head\.0\.weight holds values that are not finite"):
        save_network(tmp_path / "m", card, network)
    safetensors.torch.save_file(network.state_dict(), tmp_path / "m" / "model.safetensors")
    text = read_card(tmp_path / "m").model_copy(update={"sha256": ""}).model_dump_json()
    (tmp_path / "m" / "card.json").write_text(text)
    with pytest.raises(ModelError, match="not finite"):
        load_network(tmp_path / "m")


@pytest.mark.parametrize("keep", [0, 5, 1000, 100_000])
def test_truncated_weights_are_refused(tiny_folder: Path, keep: int) -> None:
    """M9"""
    path = tiny_folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ModelError, match=r"model\.safetensors is truncated or damaged"):
        load_network(tiny_folder)


def test_weights_with_another_hash_are_refused(tiny_folder: Path) -> None:
    """M9"""
    path = tiny_folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="hashes differ"):
        load_network(tiny_folder)


def test_missing_weights_and_missing_models_are_told(tiny_folder: Path, tmp_path: Path) -> None:
    (tiny_folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"model\.safetensors cannot be read"):
        load_network(tiny_folder)
    with pytest.raises(ModelError, match="There is no model in"):
        load_network(tmp_path)


@pytest.mark.parametrize("text", ["", "{", '{"name": "tiny"}', "[]", '{"name": "A B", "classes": []}', "\udcff"])
def test_a_damaged_card_is_one_sentence(tiny_folder: Path, text: str) -> None:
    (tiny_folder / "card.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ModelError, match=r"card\.json (is not a model's card|cannot be read)"):
        load_network(tiny_folder)


def test_weights_of_another_network_are_refused(tiny_folder: Path, make_card: Any) -> None:
    other = make_card(names=("a", "b"))
    (tiny_folder / "card.json").write_text(other.model_dump_json())
    with pytest.raises(ModelError, match=r"do not fit unet .* has the shape \(2, .* instead of \(3, "):
        load_network(tiny_folder)


def test_a_folder_of_smp_gets_a_card(tmp_path: Path) -> None:
    network = import_smp().create_model("fpn", "tu-resnet10t", encoder_weights=None, in_channels=3, classes=4)
    network.save_pretrained(tmp_path / "Their Model")
    card, loaded = load_network(tmp_path / "Their Model")
    assert card.name == "their-model"
    assert [c.name for c in card.classes] == ["class 1", "class 2", "class 3"]
    assert "guesses" in card.description
    assert same(loaded, network)


def test_one_output_becomes_background_and_class(tmp_path: Path) -> None:
    """M4"""
    network = import_smp().create_model(
        "unet", "tu-resnet10t", encoder_weights=None, in_channels=1, classes=1, activation="sigmoid",
        aux_params={"classes": 3},
    ).eval()  # fmt: skip
    network.save_pretrained(tmp_path / "binary")
    card, loaded = load_network(tmp_path / "binary")
    image = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        theirs, ours = network(image)[0], loaded(image).softmax(1)
    assert torch.allclose(theirs[:, 0], ours[:, 1], atol=1e-6)
    assert "0.5" in card.description
    assert "classification head" in card.description


@pytest.mark.parametrize("change", [{"_model_class": "Yolo"}, {"classes": "many"}, {"encoder_name": None}])
def test_a_strange_configuration_is_one_sentence(tiny_folder: Path, change: dict[str, Any]) -> None:
    (tiny_folder / "card.json").unlink()
    config = json.loads((tiny_folder / "config.json").read_text())
    (tiny_folder / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(ModelError, match=r"config\.json (is not a configuration|describes a model that cannot)"):
        load_network(tiny_folder)


@pytest.mark.parametrize("said", ["[" * 100_000, '{"_model_class": "Unet", "classes": Infinity}', "{"])
def test_a_configuration_that_no_program_writes_is_one_sentence_and_a_finding(tiny: Tiny, said: str) -> None:
    add_model(tiny[1], tiny[0])
    folder = find_model("tiny")
    (folder / "card.json").unlink()
    (folder / "config.json").write_text(said.replace("}", ', "encoder_name": "resnet18", "in_channels": 1}'))
    with pytest.raises(ModelError, match=r"config\.json is not a configuration"):
        load_network(folder)
    assert "tiny@1" not in [c.reference for c in list_models()]
    assert [finding.code for finding in check_library()] == ["BROKEN_MODEL"]


def test_a_card_that_asks_for_more_than_its_weights_takes_no_memory(tiny_folder: Path) -> None:
    card = json.loads((tiny_folder / "card.json").read_text())
    card["network"]["decoder_channels"] = [60000, 60000, 8, 4, 4]
    (tiny_folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match=r"do not fit unet .* has the shape"):
        load_network(tiny_folder)


class PowerCut(BaseException):
    pass


def test_a_power_cut_between_weights_and_card_leaves_no_half_model(
    tiny: Tiny, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T8"""
    written = []

    def cut(part: Path, card: ModelCard) -> ModelCard:
        written.append(part / "model.safetensors")
        raise PowerCut

    monkeypatch.setattr(weights, "write_card", cut)
    monkeypatch.setattr(weights.shutil, "rmtree", lambda *_, **__: None)  # nobody tidies up after a power cut
    for act in (lambda: save_network(tiny_folder, *tiny), lambda: add_model(tiny[1], tiny[0])):
        with pytest.raises(PowerCut):
            act()
    assert [path.exists() for path in written] == [True, True]
    assert load_network(tiny_folder)[0].name == "tiny"
    assert "tiny" not in [c.name for c in list_models()]
    assert not check_library()


def test_a_cut_between_the_renames_brings_the_old_model_back(tiny_folder: Path) -> None:
    """T8"""
    tiny_folder.rename(tiny_folder.with_name(".tiny.previous"))
    assert load_network(tiny_folder)[0].name == "tiny"


def test_a_failed_write_keeps_the_old_model(tiny: Tiny, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """T8, W2"""

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(weights, "write_card", full)
    with pytest.raises(OutputError, match="No space left"):
        save_network(tiny_folder, *tiny)
    assert load_network(tiny_folder)[0].name == "tiny"
    assert [p.name for p in tiny_folder.parent.iterdir()] == ["tiny"]


def test_a_folder_with_other_things_is_never_replaced(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").touch()
    with pytest.raises(OutputError, match="not a model's folder"):
        save_network(tmp_path / "photos", *tiny)
    assert (tmp_path / "photos" / "a.png").exists()
