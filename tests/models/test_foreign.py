from __future__ import annotations

import io
import json
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from napari_medseg.core import ClassInfo, ModelCard, ModelError
from napari_medseg.models import (
    add_model,
    build_network,
    export_model,
    import_model,
    list_models,
    load_model,
    start_card,
    start_network,
    unpack,
)
from napari_medseg.models.smp import import_smp
from napari_medseg.models.weights import save_network

Tiny = tuple[ModelCard, Any]
NETWORK = "unet:tu-resnet10t"


class Canary:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("legacy", [False, True, None])
@pytest.mark.parametrize("suffix", ["pt", "pth", "ckpt", "bin"])
def test_a_pickle_that_would_run_code_never_runs(tmp_path: Path, suffix: str, legacy: bool | None) -> None:
    """M1"""
    path, canary = tmp_path / f"evil.{suffix}", tmp_path / "canary"
    content = {"state_dict": {"segmentation_head.0.weight": torch.zeros(1)}, "extra": Canary(canary)}
    if legacy is None:
        path.write_bytes(pickle.dumps(Canary(canary)))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ModelError, match=r"is refused|is truncated or damaged"):
        import_model(path, network=NETWORK)
    assert not canary.exists()
    pickle.loads(pickle.dumps(Canary(canary)))
    assert canary.exists(), "the canary itself works"


@pytest.mark.parametrize("version", ["2.9.1+cpu", "1.13.0", "2.6.0"])
def test_an_old_torch_reads_no_pickle(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    """M2"""
    torch.save(tiny[1].state_dict(), tmp_path / "m.pt")
    monkeypatch.setattr(torch, "__version__", version)
    monkeypatch.setattr(torch, "load", None)
    with pytest.raises(ModelError, match=r"torch .* cannot read safely\. Install torch 2\.10"):
        import_model(tmp_path / "m.pt", network=NETWORK)


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "model.", "net.", "model._orig_mod.", "module.net."])
def test_prefixes_of_wrappers_come_off(tiny: Tiny, tmp_path: Path, prefix: str) -> None:
    """M5"""
    state = {prefix + k: v for k, v in tiny[1].state_dict().items()}
    torch.save({"epoch": 3, "state_dict": {**state, "loss.weight": torch.ones(2)}}, tmp_path / "My Model.ckpt")
    card = import_model(tmp_path / "My Model.ckpt", network=NETWORK)
    assert card.name == "my-model"
    loaded = load_model("my-model").network
    for key, value in tiny[1].state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value)


@pytest.mark.parametrize(
    ("nested", "parts"),
    [
        (lambda a, b: {"generator": a, "ema": b, "optimizer": {"state": {0: {"step": 3}}}}, ("generator", "ema")),
        (lambda a, b: {"model": a, "model_ema": b, "epoch": 3}, ("model", "model_ema")),
        (lambda a, b: {"state_dict": prefixed("student.", a) | prefixed("teacher.net.", b)},
         ("state_dict.student", "state_dict.teacher.net")),
        (lambda a, b: a | {"ema": prefixed("module.", b)}, ("top", "ema.module")),
    ],
)  # fmt: skip
def test_of_several_networks_in_a_file_one_must_be_named(
    tiny: Tiny, tmp_path: Path, nested: Callable[[Any, Any], Any], parts: tuple[str, str]
) -> None:
    """M5"""
    state = tiny[1].state_dict()
    torch.save(nested({k: v * 0 for k, v in state.items()}, state), tmp_path / "m.pt")
    said = rf"m\.pt holds 2 networks: {parts[0]}, {parts[1]}\. Name the part to import, such as {parts[1]}"
    with pytest.raises(ModelError, match=said):
        import_model(tmp_path / "m.pt", network=NETWORK)
    with pytest.raises(ModelError, match=f"holds no network called mean. It holds {parts[0]}, {parts[1]}"):
        import_model(tmp_path / "m.pt", network=NETWORK, part="mean")
    assert "m" not in {card.name for card in list_models()}, "nothing is guessed"
    card = import_model(tmp_path / "m.pt", network=NETWORK, part=parts[1])
    assert card.description.startswith(f"Imported from {parts[1]} of m.pt:")
    loaded = load_model("m").network.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state.items())


def prefixed(prefix: str, state: dict[str, Any]) -> dict[str, Any]:
    return {prefix + key: value for key, value in state.items()}


def test_weights_that_are_no_network_are_no_part(tiny: Tiny, tmp_path: Path) -> None:
    """Heads without an encoder, and dictionaries that run in a circle."""
    around: dict[str, Any] = {"head": {"segmentation_head.0.weight": torch.ones(1)}, "net": tiny[1].state_dict()}
    around["again"] = around
    torch.save(around, tmp_path / "m.pt")
    assert import_model(tmp_path / "m.pt", network=NETWORK).name == "m"


def test_a_folder_has_no_parts(tiny_folder: Path) -> None:
    with pytest.raises(ModelError, match="holds one network alone"):
        import_model(tiny_folder, part="ema")


def test_bare_safetensors_are_imported(make_card: Any, tmp_path: Path) -> None:
    network = build_network(make_card(architecture="fpn", network={}, channels=3, names=("a", "b")))
    safetensors.torch.save_file(network.state_dict(), tmp_path / "w.safetensors")
    card = import_model(tmp_path / "w.safetensors", "theirs", network="fpn:tu-resnet10t")
    assert (card.name, card.channels, card.out_channels) == ("theirs", 3, 3)
    assert "guesses" in card.description


@pytest.mark.parametrize(
    ("architecture", "widths"), [("unet", [16, 8, 8, 4, 4]), ("unetplusplus", [32, 16, 8, 4, 4]), ("fcn8s", [24, 8])]
)
def test_widths_of_the_decoder_are_read_from_bare_weights(
    make_card: Any, tmp_path: Path, architecture: str, widths: list[int]
) -> None:
    network = build_network(make_card(architecture=architecture, network={"decoder_channels": widths}))
    torch.save(network.state_dict(), tmp_path / "w.pt")
    card = import_model(tmp_path / "w.pt", network=f"{architecture}:tu-resnet10t")
    assert card.network["decoder_channels"] == widths
    assert load_model("w").network.state_dict().keys() == network.state_dict().keys()


@pytest.mark.parametrize("start", ["unetplusplus:tu-resnet10t", "dpt:tu-vit_tiny_patch16_224", "manet:tu-resnet10t"])
def test_weights_of_our_own_new_networks_come_back(tmp_path: Path, start: str) -> None:
    card = start_card(start, name="mine", classes=(ClassInfo.numbered(1),))
    torch.save(start_network(start, card).state_dict(), tmp_path / "w.pt")
    assert import_model(tmp_path / "w.pt", network=start).network == card.network


def test_a_slice_classifier_is_imported_from_bare_weights(make_card: Any, tmp_path: Path) -> None:
    network = build_network(make_card(architecture="classifier", network={}, presence=0.3, channels=3))
    torch.save({"state_dict": network.state_dict()}, tmp_path / "w.pt")
    card = import_model(tmp_path / "w.pt", network="classifier:tu-resnet10t")
    assert (card.architecture, card.channels, card.presence) == ("classifier", 3, 0.5)
    assert "below a probability of 0.5" in card.description
    for key, value in network.state_dict().items():
        assert torch.equal(load_model("w").network.state_dict()[key], value)
    with pytest.raises(ModelError, match=r"no weights of unet:tu-resnet10t\. Name classifier:ENCODER"):
        import_model(tmp_path / "w.pt", network=NETWORK)


def test_outlining_weights_are_no_slice_classifier(tiny: Tiny, tmp_path: Path) -> None:
    torch.save(tiny[1].state_dict(), tmp_path / "w.pt")
    with pytest.raises(ModelError, match="no weights of classifier:tu-resnet10t"):
        import_model(tmp_path / "w.pt", network="classifier:tu-resnet10t")


def test_a_slice_head_is_kept_and_its_threshold_said(make_card: Any, tmp_path: Path) -> None:
    network = build_network(make_card(presence=0.3))
    torch.save(network.state_dict(), tmp_path / "w.pt")
    card = import_model(tmp_path / "w.pt", network=NETWORK)
    assert card.presence == 0.5
    assert "below a probability of 0.5 are empty is a guess" in card.description
    head = "classification_head.3.weight"
    assert torch.equal(load_model("w").network.state_dict()[head], network.state_dict()[head])


def test_a_head_that_says_something_else_is_left_out_and_that_is_said(make_card: Any, tmp_path: Path) -> None:
    state = build_network(make_card(presence=0.3)).state_dict()
    state |= {
        f"classification_head.3.{part}": torch.zeros(4, *more) for part, more in (("weight", [512]), ("bias", []))
    }
    torch.save(state, tmp_path / "w.pt")
    card = import_model(tmp_path / "w.pt", network=NETWORK)
    assert card.presence is None
    assert "classification head of 4 classes was left out" in card.description


def test_bare_weights_need_their_network_named(tiny: Tiny, tmp_path: Path) -> None:
    torch.save(tiny[1].state_dict(), tmp_path / "m.pt")
    with pytest.raises(ModelError, match="Name it as architecture:encoder"):
        import_model(tmp_path / "m.pt")
    with pytest.raises(ModelError, match=r"holds no weights of unet:resnet18\. Name the network that they were"):
        import_model(tmp_path / "m.pt", network="unet:resnet18")
    assert "m" not in [c.name for c in list_models()]


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    torch.save({"fc.weight": torch.zeros(3)}, tmp_path / "m.pt")
    with pytest.raises(ModelError, match="it has no segmentation_head"):
        import_model(tmp_path / "m.pt", network=NETWORK)
    torch.save([1, 2], tmp_path / "m.pt")
    with pytest.raises(ModelError, match="holds no weights"):
        import_model(tmp_path / "m.pt", network=NETWORK)


def test_nan_weights_are_not_imported(tiny: Tiny, tmp_path: Path) -> None:
    """M6"""
    state = tiny[1].state_dict()
    state["segmentation_head.0.bias"][0] = float("nan")
    torch.save(state, tmp_path / "m.pt")
    with pytest.raises(ModelError, match=r"segmentation_head\.0\.bias holds values that are not finite"):
        import_model(tmp_path / "m.pt", network=NETWORK)


def test_whole_modules_are_refused_with_how_to_convert(tiny: Tiny, tmp_path: Path) -> None:
    """M7"""
    torch.save(tiny[1], tmp_path / "m.pt")
    with pytest.raises(ModelError, match=r"more than weights .* is refused\. .*save_file\(model\.state_dict"):
        import_model(tmp_path / "m.pt", network=NETWORK)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_and_onnx_are_refused_with_how_to_convert(tmp_path: Path) -> None:
    """M7"""
    torch.jit.save(torch.jit.trace(torch.nn.Conv2d(1, 1, 1), torch.zeros(1, 1, 4, 4)), str(tmp_path / "m.pt"))
    with pytest.raises(ModelError, match=r"TorchScript program.*save_file"):
        import_model(tmp_path / "m.pt", network=NETWORK)
    (tmp_path / "m.onnx").write_bytes(b"\x08\x07")
    with pytest.raises(ModelError, match=r"ONNX file.*save_file"):
        import_model(tmp_path / "m.onnx", network=NETWORK)


@pytest.mark.parametrize("name", ["m.pt", "m.safetensors", "m.zip", "m.tar.gz"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not really", b"\x80\x02}q\x00", b"x" * 5000])
def test_damaged_files_are_one_sentence(tmp_path: Path, name: str, content: bytes) -> None:
    """M9"""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError):
        import_model(tmp_path / name, network=NETWORK)


def test_a_truncated_checkpoint_is_told(tiny: Tiny, tmp_path: Path) -> None:
    """M9"""
    torch.save(tiny[1].state_dict(), tmp_path / "m.pt")
    (tmp_path / "m.pt").write_bytes((tmp_path / "m.pt").read_bytes()[:20_000])
    with pytest.raises(ModelError, match="truncated or damaged"):
        import_model(tmp_path / "m.pt", network=NETWORK)


def test_other_files_and_missing_ones_are_told(tmp_path: Path) -> None:
    (tmp_path / "m.h5").touch()
    with pytest.raises(ModelError, match=r"not a model.*\.safetensors"):
        import_model(tmp_path / "m.h5")
    with pytest.raises(ModelError, match="There is no file or folder"):
        import_model(tmp_path / "none.zip")


EVIL = ["../card.json", "/tmp/card.json", "a/../../card.json", "..\\card.json", "C:\\card.json", "C:card.json"]


@pytest.mark.parametrize("name", EVIL)
def test_archives_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    """M8"""
    (tmp_path / "in").mkdir()
    with zipfile.ZipFile(tmp_path / "in" / "m.zip", "w") as archive:
        archive.writestr(name, "{}")
    with tarfile.open(tmp_path / "in" / "m.tar.gz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo(name))
    for path in ("m.zip", "m.tar.gz"):
        with pytest.raises(ModelError, match="wants to write outside its folder"):
            import_model(tmp_path / "in" / path)
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_archives_are_refused(tmp_path: Path, kind: bytes) -> None:
    """M8"""
    info = tarfile.TarInfo("card.json")
    info.type, info.linkname = kind, "/etc/passwd"
    with tarfile.open(tmp_path / "m.tar", "w") as tar:
        tar.addfile(info)
    with pytest.raises(ModelError, match="holds a link or a device"):
        import_model(tmp_path / "m.tar")
    link = zipfile.ZipInfo("card.json")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(ModelError, match="holds a link or a device"):
        import_model(tmp_path / "m.zip")


def test_bombs_are_refused_before_they_unpack(tmp_path: Path) -> None:
    """M8"""
    zeros = bytes(30 * 2**20)
    with zipfile.ZipFile(tmp_path / "m.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.safetensors", zeros)
    info = tarfile.TarInfo("model.safetensors")
    info.size = len(zeros)
    with tarfile.open(tmp_path / "m.tgz", "w:gz") as tar:
        tar.addfile(info, io.BytesIO(zeros))
    for name in ("m.zip", "m.tgz"):
        assert (tmp_path / name).stat().st_size < 2**16
        with pytest.raises(ModelError, match="would unpack to 30 MiB"):
            import_model(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "key", "tensor", "said"),
    [
        ("w.safetensors", "segmentation_head.0.weight", torch.zeros(10**9, 0, 3, 3), "holds too few values"),
        ("w.pt", "segmentation_head.0.weight", torch.zeros(1).expand(10**9, 4, 3, 3), "holds too few values"),
        ("w.pt", "decoder.blocks.0.conv1.0.weight", torch.zeros(10**9, 0, 3, 3), "holds too few values"),
        ("w.pt", "segmentation_head.0.weight", torch.zeros(2000, 4, 3, 3), "has 2000 outputs"),
        ("w.pt", "decoder.blocks.0.conv1.0.weight", torch.zeros(60000, 1, 1, 1), "do not fit unet"),
    ],
)
def test_small_weights_that_claim_a_huge_network_are_refused(
    tiny: Tiny, tmp_path: Path, name: str, key: str, tensor: torch.Tensor, said: str
) -> None:
    state = {**tiny[1].state_dict(), key: tensor}
    if name.endswith(".pt"):
        torch.save(state, tmp_path / name)
    else:
        safetensors.torch.save_file(state, tmp_path / name)
    with pytest.raises(ModelError, match=said):
        import_model(tmp_path / name, network=NETWORK)


@pytest.mark.parametrize("kind", [torch.complex64, torch.int8])
def test_weights_that_are_no_floating_point_numbers_are_refused(tiny: Tiny, tmp_path: Path, kind: torch.dtype) -> None:
    """Torch would drop imaginary parts, and take quantised weights without their scale."""
    torch.save({key: value.to(kind) for key, value in tiny[1].state_dict().items()}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=f"holds {str(kind).removeprefix('torch.')} numbers"):
        import_model(tmp_path / "w.pt", network=NETWORK)


def test_a_compressed_checkpoint_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    torch.save(tiny[1].state_dict(), tmp_path / "m.pt")
    with (
        zipfile.ZipFile(tmp_path / "m.pt") as archive,
        zipfile.ZipFile(tmp_path / "packed.pt", "w", zipfile.ZIP_DEFLATED) as other,
    ):
        for member in archive.namelist():
            other.writestr(member, archive.read(member))
    with pytest.raises(ModelError, match=r"packed\.pt is compressed, which torch never does"):
        import_model(tmp_path / "packed.pt", network=NETWORK)


def test_errors_name_the_archive(tiny_folder: Path, tmp_path: Path) -> None:
    (tiny_folder / "model.safetensors").write_bytes(b"short")
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        for path in tiny_folder.iterdir():
            archive.write(path, path.name)
    with pytest.raises(ModelError, match=r"^m\.zip/model\.safetensors is truncated or damaged"):
        import_model(tmp_path / "m.zip")
    whole = (tmp_path / "m.zip").read_bytes()
    (tmp_path / "m.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=r"^m\.zip cannot be unpacked: it is truncated or damaged\. Copy") as error:
        import_model(tmp_path / "m.zip")
    assert "\n" not in str(error.value)


def test_an_archive_with_a_folder_inside_is_imported(tiny_folder: Path, tmp_path: Path) -> None:
    export_model(tiny_folder, tmp_path / "out")
    with tarfile.open(tmp_path / "m.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "out", "some/where")
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a/card.json", "{}")
        archive.writestr("b/card.json", "{}")
    assert import_model(tmp_path / "m.tar.gz").name == "tiny"
    with pytest.raises(ModelError, match=r"more than one card\.json"):
        import_model(tmp_path / "two.zip")


def test_a_member_larger_than_its_claim_is_refused(tmp_path: Path) -> None:
    """M8"""
    member = unpack._Member("card.json", 10, 10, True, False, lambda: io.BytesIO(b"x" * 11))
    with pytest.raises(ModelError, match="larger than it claims"):
        unpack._unpack("m.zip", [member], tmp_path)


def test_a_bad_name_is_one_sentence(tiny_folder: Path) -> None:
    with pytest.raises(ModelError, match="model's name has small letters"):
        import_model(tiny_folder, "Not A Name")


@pytest.mark.parametrize("encoder", ["tu-efficientnet_lite0", "mit_b0", "tu-resnet10t"])
def test_bare_weights_are_read_in_whatever_order_they_lie(tmp_path: Path, encoder: str) -> None:
    """Files may be sorted by name: then a layer in the middle comes first."""
    network = import_smp().create_model("unet", encoder, encoder_weights=None, in_channels=3, classes=2)
    state = {key: value.contiguous() for key, value in sorted(network.state_dict().items())}
    safetensors.torch.save_file(state, tmp_path / "m.safetensors")
    card = import_model(tmp_path / "m.safetensors", network=f"unet:{encoder}")
    assert (card.channels, card.out_channels) == (3, 2)


def test_a_model_takes_no_other_models_place(tiny: Tiny, tmp_path: Path) -> None:
    """Used by its name, it would be the newest version."""
    first = add_model(tiny[1], tiny[0].model_copy(update={"name": "hip"}))
    other = build_network(tiny[0])
    for name, parent in (("hip", ""), ("femur-ct", ""), ("hip", "hip@1")):
        folder = tmp_path / f"{name}{parent}"
        save_network(folder, tiny[0].model_copy(update={"name": name, "parent": parent}), other)
    for name in ("hip", "femur-ct"):
        with pytest.raises(ModelError, match=f"There is another model {name}, in whose place") as raised:
            import_model(tmp_path / name)
        assert raised.value.hint == "Give it a name of its own (--name)."
    with pytest.raises(ModelError, match="another model femur-ct"):
        import_model(tmp_path / "hip", "femur-ct")
    assert import_model(tmp_path / "hip", "hip").reference == "hip@2", "the name was chosen"
    assert import_model(tmp_path / "hiphip@1").reference == "hip@3", "made from a version of it"
    export_model(first.reference, tmp_path / "same")
    assert import_model(tmp_path / "same").reference == "hip@4", "the same weights"


def test_the_configuration_that_goes_along_is_that_of_the_card(tiny_folder: Path, tmp_path: Path) -> None:
    (tiny_folder / "config.json").write_text("garbage")
    card = import_model(tiny_folder)
    export_model(card.reference, tmp_path / "out")
    opened = import_smp().from_pretrained(tmp_path / "out")
    assert opened.config["encoder_name"] == "tu-resnet10t"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"normalisation": {"method": "window", "low": 0, "high": 1e400}}, "finite number"),
        ({"normalisation": {"method": "percentile", "low": -50, "high": 900}}, "percentiles are 0 to 100"),
        ({"classes": [{"value": 2**70, "name": "a", "color": "#ffffff"}]}, "less than 4294967296"),
        ({"classes": [{"value": 1, "name": " ", "color": "#ffffff"}]}, "pattern"),
        ({"classes": [{"value": v, "name": "a", "color": "#ffffff"} for v in (1, 2)]}, "two classes share a name"),
    ],
)
def test_cards_that_could_not_be_used_are_refused_at_once(tiny_folder: Path, change: dict[str, Any], said: str) -> None:
    card = json.loads((tiny_folder / "card.json").read_text())
    (tiny_folder / "card.json").write_text(json.dumps({**card, **change}))
    with pytest.raises(ModelError, match=said):
        import_model(tiny_folder)


def test_cards_steer_no_terminal(tiny_folder: Path) -> None:
    card = json.loads((tiny_folder / "card.json").read_text())
    classes = [{"value": 1, "name": "a\x1b[2Jb", "color": "#ffffff"}]
    said = {"title": "x\x1b]0;pwn\x07", "description": "one\ntwo", "licence": "MIT\r", "classes": classes}
    (tiny_folder / "card.json").write_text(json.dumps({**card, **said}))
    found = import_model(tiny_folder)
    assert (found.title, found.description, found.licence) == ("x ]0;pwn", "one two", "MIT")
    assert found.classes[0].name == "a [2Jb"


def test_a_network_of_many_layers_is_not_built(tiny_folder: Path) -> None:
    """M8"""
    card = json.loads((tiny_folder / "card.json").read_text())
    for key, value in (("layers", [2000] * 4), ("depths", [900] * 4)):
        (tiny_folder / "card.json").write_text(json.dumps({**card, "network": {key: value}}))
        with pytest.raises(ModelError, match=f"sets '{key}' for its network, which a card may not"):
            import_model(tiny_folder)


def test_a_foreign_network_says_what_does_not_fit(tmp_path: Path) -> None:
    smp = import_smp()
    for name, more in (("wide", {"in_channels": 20}), ("many", {"classes": 3, "activation": "sigmoid"})):
        smp.create_model("unet", "tu-resnet10t", encoder_weights=None, **more).save_pretrained(tmp_path / name)
    with pytest.raises(ModelError, match=r"describes a model that cannot be used: channels: .* 16"):
        import_model(tmp_path / "wide")
    with pytest.raises(ModelError, match="has a sigmoid over 3 output channels"):
        import_model(tmp_path / "many")
