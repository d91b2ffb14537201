"""Quick models as files and as networks: what is kept, what is refused, and that any image goes through."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_medseg.core import ClassInfo, Image, ModelCard, ModelError
from napari_medseg.core.geometry import Geometry
from napari_medseg.inference import segment
from napari_medseg.models import (
    Model,
    adapt_network,
    add_model,
    build_network,
    export_model,
    import_model,
    is_start,
    load_model,
    remove_model,
    save_network,
    size_multiple,
)
from napari_medseg.models.quick import UNSEEN, QuickNetwork, Settings, plant


def make_quick(channels: int = 1, names: tuple[str, ...] = ("femur",), **settings: Any) -> tuple[ModelCard, Any]:
    """A Quick model with one tree: the first class lies where the image is brighter than 0.5."""
    card = ModelCard(
        name="quick", architecture="quick", encoder="catboost", channels=channels,
        network=Settings(trees=1, depth=1, **settings).model_dump(mode="json"),
        classes=tuple(ClassInfo.numbered(i, name) for i, name in enumerate(names, 1)),
    )  # fmt: skip
    network = build_network(card)
    assert isinstance(network, QuickNetwork)
    tree = {"splits": [{"float_feature_index": 0, "border": 0.5}], "leaf_values": [1.0, -1.0, -1.0, 1.0]}
    plant(network, [tree], [0.0, 0.0], [0, 1])
    return card, network.eval()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    card, network = make_quick()
    save_network(tmp_path / "quick", card, network)
    return tmp_path / "quick"


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (33, 2), (64, 64), (129, 67)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_goes_through(shape: tuple[int, int], channels: int) -> None:
    """V6, V7, V8."""
    card, network = make_quick(channels, position=True)
    images = torch.rand(2, channels, *shape)
    logits = network(images)
    assert logits.shape == (2, 2, *shape)
    assert torch.equal(logits.argmax(1), (images[:, 0] > 0.5).long())
    assert network.describe(images[0]).shape == (network.features, *shape)
    assert size_multiple(card) == 1


def test_features_are_the_same_in_the_middle_of_a_larger_image() -> None:
    """C5: what lies far away changes nothing at the fine scales."""
    _, network = make_quick(levels=2)
    image = torch.rand(1, 96, 96)
    whole, part = network.describe(image), network.describe(image[:, 16:80, 16:80])
    assert torch.allclose(whole[:, 32:64, 32:64], part[:, 16:48, 16:48], atol=1e-5)


def test_position_tells_where_a_pixel_lies() -> None:
    _, network = make_quick(position=True)
    rows, columns = network.describe(torch.zeros(1, 4, 2))[-2:]
    assert rows[:, 0].tolist() == [0.125, 0.375, 0.625, 0.875]
    assert columns[0].tolist() == [0.25, 0.75]


def test_autocast_changes_nothing() -> None:
    """C4: half-size numbers would move the borders of the trees."""
    _, network = make_quick()
    images = torch.rand(1, 1, 40, 40)
    with torch.autocast("cpu", torch.bfloat16):
        rough = network(images)
    assert torch.equal(rough, network(images))


def test_round_trip_keeps_the_trees(folder: Path) -> None:
    model = load_model(folder)
    images = torch.rand(1, 1, 20, 20)
    assert torch.equal(model.network(images), make_quick()[1](images))
    assert model.card.sha256


def test_a_quick_model_lives_in_the_library_like_others(own_library: Path, tmp_path: Path) -> None:
    card, network = make_quick()
    added = add_model(network, card)
    assert load_model("quick").card == added
    out = export_model("quick", tmp_path / "out.zip")
    again = import_model(out, "other")
    assert (again.name, again.sha256) == ("other", added.sha256)
    assert [*remove_model("quick")] == ["quick@1"]


def test_onnx_is_refused_in_one_sentence(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    with pytest.raises(ModelError, match="has no network that ONNX could hold"):
        export_model(folder, tmp_path / "out.onnx", "onnx")


def test_loading_and_segmenting_need_no_catboost(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "catboost", None)
    pixels = np.zeros((1, 20, 30), np.uint8)
    pixels[:, 5:9, 5:9] = 200
    labels = segment(Image(pixels, "ZYX", Geometry.unknown(3)), folder, device="cpu")
    assert np.array_equal(labels.slice(0), (pixels[0] > 0).astype(labels.slice(0).dtype))


def test_damaged_trees_are_refused(folder: Path) -> None:
    """M9: a question about a feature that there is not must not read beyond the end."""
    weights = folder / "model.safetensors"
    save_file({**load_file(weights), "feature": torch.tensor([[10_000]])}, weights)
    with pytest.raises(ModelError, match="hashes differ"):
        load_model(folder)
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, "sha256": ""}))
    with pytest.raises(ModelError, match="features that it does not have"):
        load_model(folder)
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ModelError, match="truncated or damaged"):
        load_model(folder)


@pytest.mark.parametrize("network", [{"levels": 99}, {"surprise": 1}, {"base": {"name": "x"}}])
def test_a_card_that_describes_no_quick_model_is_refused(folder: Path, network: dict[str, Any]) -> None:
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, "network": {**card["network"], **network}}))
    with pytest.raises(ModelError, match="describes no Quick model"):
        load_model(folder)


def test_a_quick_model_is_no_base_of_another() -> None:
    card, _ = make_quick()
    with pytest.raises(ModelError, match="names a Quick model as its network"):
        build_network(card.model_copy(update={"network": {"base": card.model_dump(mode="json")}}))


def test_other_classes_keep_what_was_learnt() -> None:
    card, network = make_quick()
    classes = (ClassInfo.numbered(1, "tibia"), ClassInfo.numbered(2, "femur"))
    new_card, adapted = adapt_network(card, network, classes=classes, channels=1)
    images = torch.rand(1, 1, 20, 20)
    old, new = network(images), adapted(images)
    assert new_card.out_channels == 3
    assert torch.equal(new[:, [0, 2]], old)
    assert bool((new[:, 1] == UNSEEN).all())
    with pytest.raises(ModelError, match="cannot get 3 channels"):
        adapt_network(card, network, classes=card.classes, channels=3)


def test_slices_stay_whole_where_the_place_counts() -> None:
    """Neither tiles nor flips: a pixel's row and column would be others."""
    card, network = make_quick(position=True)
    tree = {"splits": [{"float_feature_index": network.features - 1, "border": 0.5}],
            "leaf_values": [1.0, -1.0, -1.0, 1.0]}  # fmt: skip
    plant(network, [tree], [0.0, 0.0], [0, 1])
    image = Image(np.random.default_rng(0).integers(0, 255, (1, 160, 200), np.uint8), "ZYX", Geometry.unknown(3))
    labels = segment(image, Model(card, network, Path()), device="cpu", tile=64, tta="flips", smallest=0).slice(0)
    assert not labels[:, :100].any()
    assert labels[:, 100:].all()


def test_features_of_a_network_count_too(tiny: tuple[ModelCard, Any], tmp_path: Path) -> None:
    base_card, base = tiny
    card, network = make_quick(base=base_card)
    network.base.load_state_dict(base.state_dict())
    image = torch.rand(1, 40, 50)
    features = network.describe(image)
    assert features.shape == (network.features, 40, 50)
    own = make_quick()[1].features
    padded = torch.nn.functional.pad(image[None], (0, 14, 0, 24), mode="replicate")
    with torch.no_grad():
        wanted = base(padded)[0, :, :40, :50].log_softmax(0).clamp(min=-10)
    assert torch.allclose(features[-2:], wanted, atol=1e-5)
    assert len(features) == own + 4 + 2, "the last maps before the head and the two probabilities"
    save_network(tmp_path / "with-base", card, network)
    again: Any = load_model(tmp_path / "with-base").network
    assert torch.equal(again.describe(image), features)


@pytest.mark.parametrize(("reference", "expected"), [("quick", True), ("quick:femur-ct", True), ("quick@1", False)])
def test_what_starts_anew(reference: str, expected: bool) -> None:
    assert is_start(reference) is expected
