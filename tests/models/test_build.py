from __future__ import annotations

import importlib
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_medseg.core import ClassInfo, ModelCard, ModelError, Normalisation
from napari_medseg.models import (
    architectures,
    build_network,
    encoders,
    is_start,
    load_network,
    save_network,
    size_multiple,
    start_card,
    start_network,
)
from napari_medseg.models.build import ARCHITECTURES, check_names
from napari_medseg.models.smp import import_smp

FEMUR = (ClassInfo.numbered(1, "femur"),)
VIT = "tu-vit_tiny_patch16_224"


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def start(architecture: str, encoder: str = "tu-resnet10t", **more: Any) -> ModelCard:
    return start_card(f"{architecture}:{encoder}", name="new", classes=FEMUR, **more)


def test_importing_models_loads_no_torch() -> None:
    code = "import sys, napari_medseg.models, napari_medseg.models.library as m; m.list_models(); print(*sys.modules)"
    assert "torch" not in run(code).split()


def test_smp_imports_beside_a_torchvision_for_another_torch() -> None:
    code = """
import sys, torch
class Broken:  # what a torchvision for another torch does on its first import
    tries = 0
    def find_spec(self, name, path=None, target=None):
        if name == "torchvision" and not Broken.tries:
            Broken.tries += 1
            raise RuntimeError("operator torchvision::nms does not exist")
sys.meta_path.insert(0, Broken())
from napari_medseg.models.smp import import_smp
assert import_smp() is import_smp() and Broken.tries == 1
from napari_medseg.models.smp import _declare_operators
_declare_operators()  # as if someone else had declared them before
import_smp.cache_clear()
print(import_smp().create_model("unet", "resnet18", encoder_weights=None).name)
"""
    assert run(code) == "u-resnet18"


def test_triton_is_not_loaded_where_no_graphics_card_needs_it(tmp_path: Path) -> None:
    """Its LLVM ends a process that draws with Mesa's, as napari's window does."""
    (tmp_path / "triton").mkdir()
    (tmp_path / "triton" / "__init__.py").write_text("print('loaded')")
    code = f"""
import sys, torch
sys.path.insert(0, {str(tmp_path)!r})
torch.cuda.is_available = lambda: False
from napari_medseg.models.smp import import_smp
import_smp()
import torch._dynamo
print('done')
"""
    assert run(code) == "done"


def test_threads_get_the_same_smp() -> None:
    found: list[Any] = []
    import_smp.cache_clear()
    threads = [threading.Thread(target=lambda: found.append(import_smp())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(m) for m in found}) == 1
    assert len(found) == 4


def test_another_failure_of_the_import_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    smp = importlib.import_module("napari_medseg.models.smp")

    def fail() -> None:
        raise ImportError("no timm here")

    monkeypatch.setattr(smp, "_import", fail)
    import_smp.cache_clear()
    with pytest.raises(ModelError, match=r"cannot be imported: no timm here\. .*pip install"):
        import_smp()
    import_smp.cache_clear()


def test_every_architecture_is_accepted_and_every_encoder_known() -> None:
    assert architectures() == ARCHITECTURES
    for architecture in architectures():
        check_names(architecture, "resnet18")
        assert is_start(f"{architecture}:resnet18")
    assert len(encoders()) > 500
    known = {*encoders(), "timm-regnety_004", "timm-mobilenetv3_small_minimal_100", VIT + ".augreg_in21k_ft_in1k"}
    for encoder in known:
        check_names("unet", encoder)


@pytest.mark.parametrize("architecture", ["unet", "fpn", "deeplabv3plus", "dpt", "fcn8s"])
def test_networks_give_logits_at_the_size_they_ask_for(architecture: str) -> None:
    card = start(architecture, VIT if architecture == "dpt" else "tu-resnet10t", neighbours=1)
    network = build_network(card).eval()
    size = size_multiple(card)
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 3 * size, 5 * size)).shape == (1, 2, 3 * size, 5 * size)


def test_fcn8s_adds_three_levels_and_survives_being_saved(tmp_path: Path) -> None:
    card = start("fcn8s", "vgg16").model_copy(update={"network": {"decoder_channels": [16, 8]}})
    network: Any = build_network(card).eval()
    image = torch.rand(1, 1, 64, 96)
    with torch.inference_mode():
        before = network(image)
        levels = network.encoder(image)
        for level in (-3, -2, -1):
            without = [x if n != len(levels) + level else torch.zeros_like(x) for n, x in enumerate(levels)]
            assert not torch.equal(network.segmentation_head(network.decoder(without)), before), level
    saved = save_network(tmp_path / "model", card, network)
    _, again = load_network(tmp_path / "model")
    assert saved.architecture == "fcn8s"
    with torch.inference_mode():
        assert torch.equal(again(image), before)


def test_the_size_is_known_for_encoders_that_compute_while_they_are_built() -> None:
    assert size_multiple(start("segformer", "mit_b0")) == 32


def test_a_pan_takes_its_smallest_size() -> None:
    card = start("pan")
    with torch.inference_mode():
        assert build_network(card).eval()(torch.zeros(1, 1, 128, 128)).shape == (1, 2, 128, 128)
    assert size_multiple(card) == 128


def test_deprecated_encoder_names_stay_valid() -> None:
    check_names("unet", "timm-regnety_004")
    assert build_network(start("unet", "timm-mobilenetv3_small_minimal_100"))


@pytest.mark.parametrize(
    ("architecture", "encoder", "near"),
    [("unnet", "resnet18", "unet"), ("unet", "resnet19", "resnet18"), ("unet", "tu-hf-hub:someone/model", "")],
)
def test_unknown_names_get_near_matches(architecture: str, encoder: str, near: str) -> None:
    with pytest.raises(ModelError, match=f"There is no .*{near}"):
        check_names(architecture, encoder)


def test_what_cannot_be_built_is_one_sentence() -> None:
    with pytest.raises(ModelError, match=r"dpt with the encoder resnet18 and 1 input channels cannot be built: Only"):
        build_network(start("dpt", "resnet18"))
    with pytest.raises(ModelError, match=r"cannot be built: .*nonsense"):
        build_network(start("unet").model_copy(update={"network": {"nonsense": 1}}))


@pytest.mark.parametrize("key", ["checkpoint_path", "pretrained_cfg", "encoder_weights", "cache_dir", "classes"])
def test_a_card_cannot_make_the_network_read_files(key: str) -> None:
    """M1"""
    card = start("unet").model_copy(update={"network": {key: "/etc/passwd"}})
    with pytest.raises(ModelError, match=f"sets '{key}'"):
        build_network(card)


def test_a_start_has_light_decoder_and_its_classes() -> None:
    card = start("UNet", normalisation=Normalisation(method="window", low=-200, high=1500))
    assert card.architecture == "unet"
    assert card.network["decoder_channels"] == [128, 64, 32, 16, 16]
    assert card.normalisation.low == -200
    assert start_network("unet:tu-resnet10t", card).segmentation_head[0].out_channels == 2


def test_a_start_with_a_transformer_takes_any_size() -> None:
    assert start("dpt", VIT).network == {"dynamic_img_size": True}
    assert start("fpn", "tu-swin_tiny_patch4_window7_224").network == {"strict_img_size": False}


@pytest.mark.parametrize("spec", ["unet", "unet:", "hf:me/model", "unet:resnet18+other", "C:/models"])
def test_a_start_of_another_form_is_refused(spec: str) -> None:
    with pytest.raises(ModelError, match="not of the form architecture:encoder"):
        start_card(spec, name="new", classes=FEMUR)


def test_a_bad_name_is_refused() -> None:
    with pytest.raises(ModelError, match="small letters"):
        start_card("unet:resnet18", name="My Model", classes=FEMUR)
