"""Packages of bioimage.io, there and back; whatever is in one from elsewhere, nothing runs and nothing is fetched."""

from __future__ import annotations

import gc
import hashlib
import json
import shutil
import warnings
import zipfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from napari_medseg.core import ClassInfo, ModelCard, ModelError, Normalisation, OutputError, Score
from napari_medseg.inference.ranges import NORMALISATIONS
from napari_medseg.models import build_network, export_model, find_model, import_model, load_model, save_network


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``tiny``, a model with everything a card may say, and ``p.zip``, its package."""
    folder = tmp_path_factory.mktemp("made")
    card = ModelCard(
        name="tiny", title="Femora: thin slices", description="Both.", licence="MIT", pixel_size=0.5, modality="CT",
        scores=(Score(metric="dice", value=0.9, on="2 slices"),), classes=(ClassInfo.numbered(1, "femur"),),
        encoder="tu-resnet10t", network={"decoder_channels": [16, 8, 8, 4, 4]},
    )  # fmt: skip
    torch.manual_seed(1)
    save_network(folder / "tiny", card, build_network(card), half=True)
    export_model(folder / "tiny", folder / "p.zip", "bioimageio", authors=("A. Name", "B. Name"))
    return folder


@pytest.fixture
def model(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "tiny", tmp_path / "tiny"))


@pytest.fixture
def package(made: Path) -> Path:
    return made / "p.zip"


def describe(package: Path) -> dict[str, Any]:
    with zipfile.ZipFile(package) as archive:
        found: dict[str, Any] = yaml.safe_load(archive.read("rdf.yaml"))
    return found


def repack(package: Path, out: Path, change: Callable[[dict[str, Any]], object], without: tuple[str, ...] = ()) -> Path:
    """The package with another description, and without some of its files."""
    with zipfile.ZipFile(package) as archive, zipfile.ZipFile(out, "w") as other:
        for name in archive.namelist():
            if name == "rdf.yaml":
                description = yaml.safe_load(archive.read(name))
                change(description)
                other.writestr(name, yaml.safe_dump(description))
            elif name not in without:
                other.writestr(name, archive.read(name))
    return out


def test_a_package_is_valid_and_its_network_gives_its_test_tensors(package: Path, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # files that it leaves to the collector
        found = import_module("bioimageio.spec").load_model_description(package)
        assert found.validation_summary.status == "valid-format"
        assert [a.name for a in found.authors] == ["A. Name", "B. Name"]
        assert str(found.license) == "MIT"
        del found
        gc.collect()
    told = describe(package)
    assert told["format_version"].startswith("0.5.")
    entry = told["weights"]["pytorch_state_dict"]
    assert entry["architecture"]["import_from"] == "segmentation_models_pytorch"
    with zipfile.ZipFile(package) as archive:
        archive.extractall(tmp_path / "there")
    smp = import_module("segmentation_models_pytorch")
    network = getattr(smp, entry["architecture"]["callable"])(**entry["architecture"]["kwargs"])
    network.load_state_dict(torch.load(tmp_path / "there" / entry["source"], weights_only=True))
    image = np.load(tmp_path / "there" / "test-input.npy")
    low, high = np.percentile(image, (0.5, 99.8))
    with torch.inference_mode():
        logits = network.eval()(torch.from_numpy(((image - low) / (high - low + 1e-6)).clip(0, 1)).float())
    assert np.allclose(logits.softmax(1), np.load(tmp_path / "there" / "test-probabilities.npy"), atol=1e-5)
    document = (tmp_path / "there" / "README.md").read_text()
    assert "2 slices: Dice 0.900" in document
    assert "images go in at 0.5 mm a pixel" in document
    assert told["inputs"][0]["description"] == "images go in at 0.5 mm a pixel"


def test_there_and_back_nothing_is_lost(package: Path, model: Path, tmp_path: Path) -> None:
    card = import_model(package)
    before = load_model(model).card
    assert card == before
    assert (find_model("tiny") / "model.safetensors").read_bytes() == (model / "model.safetensors").read_bytes()
    with zipfile.ZipFile(package) as archive:
        archive.extractall(tmp_path / "folder")
    assert import_model(tmp_path / "folder", "other").sha256 == before.sha256


def test_a_memory_goes_along_only_when_asked(model: Path, tmp_path: Path) -> None:
    (model / "memory.zip").write_bytes(b"slices")
    bare = export_model(model, tmp_path / "bare.zip", "bioimageio")
    assert "memory.zip" not in zipfile.ZipFile(bare).namelist()
    whole = export_model(model, tmp_path / "whole.zip", "bioimageio", with_memory=True)
    assert (find_model(import_model(whole).reference) / "memory.zip").read_bytes() == b"slices"


def test_licence_is_asked_for_where_the_card_has_none(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has the licence MIT, not CC0-1\.0"):
        export_model(model, tmp_path / "p.zip", "bioimageio", licence="CC0-1.0")
    with pytest.raises(OutputError, match=r"Only bioimage\.io packages name authors"):
        export_model(model, tmp_path / "p.zip", authors=["A. Name"])
    card = json.loads((model / "card.json").read_text())
    (model / "card.json").write_text(json.dumps({**card, "licence": ""}))
    out = export_model(model, tmp_path / "p.zip", "bioimageio", licence="CC0-1.0")
    assert describe(out)["license"] == "CC0-1.0"
    assert import_model(out).licence == "CC0-1.0", "the card inside says it, too"


@pytest.mark.parametrize("name", ["model", "model.zip"])
def test_every_export_of_an_own_model_takes_its_licence(model: Path, tmp_path: Path, name: str) -> None:
    card = json.loads((model / "card.json").read_text())
    with pytest.raises(ModelError, match=r"has the licence MIT, not CC0-1\.0"):
        export_model(model, tmp_path / name, licence="CC0-1.0")
    before = json.dumps({**card, "parent": "femur-ct@1", "parent_sha256": "0" * 64})
    (model / "card.json").write_text(before)
    assert import_model(export_model(model, tmp_path / name, licence="CC0-1.0")).licence == "CC0-1.0"
    assert (model / "card.json").read_text() == before
    assert import_model(export_model(model, tmp_path / f"kept-{name}"), "kept").licence == "MIT"


def test_what_was_trained_from_a_permissive_start_takes_another_licence(model: Path, tmp_path: Path) -> None:
    card = {**json.loads((model / "card.json").read_text()), "parent": "femur-ct@1", "parent_sha256": "0" * 64}
    (model / "card.json").write_text(json.dumps({**card, "licence": "CC-BY-NC-4.0"}))
    with pytest.raises(ModelError, match=r"has the licence CC-BY-NC-4\.0, not MIT"):
        export_model(model, tmp_path / "p.zip", "bioimageio", licence="MIT")
    (model / "card.json").write_text(json.dumps({**card, "licence": "BSD-3-Clause"}))
    out = export_model(model, tmp_path / "p.zip", "bioimageio", licence="MIT")
    assert describe(out)["license"] == "MIT"


def test_without_our_card_the_description_tells_what_it_can(package: Path, model: Path, tmp_path: Path) -> None:
    own = ("card.json", "config.json")
    card = import_model(repack(package, tmp_path / "theirs.zip", lambda d: d.pop("attachments"), own))
    assert card.name == "femora--thin-slices"
    assert card.licence == "MIT"
    assert card.pixel_size == 0.5
    assert [c.name for c in card.classes] == ["femur"]
    assert card.normalisation == Normalisation(method="percentile", low=0.5, high=99.8)
    image = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        assert torch.equal(load_model(card.reference).network(image), load_model(model).network(image))


@pytest.mark.parametrize(
    "normalisation",
    [
        Normalisation(method="window", low=-200, high=300, mean=(0.4,), std=(0.2,)),
        Normalisation(method="window", low=0, high=255, clip=False, mean=(0.4, 0.5, 0.6), std=(0.2, 0.2, 0.3)),
        Normalisation(method="window", low=0, high=1, clip=False),
    ],
)
def test_normalisations_are_said_in_words_of_the_format(
    normalisation: Normalisation, make_card: Callable[..., ModelCard], tmp_path: Path
) -> None:
    card = make_card(channels=3, normalisation=normalisation, names=("gland", "duct"), presence=0.5)
    save_network(tmp_path / "m", card, build_network(card).eval())
    package = export_model(tmp_path / "m", tmp_path / "p.zip", "bioimageio")
    told = describe(package)
    assert [t["id"] for t in told["outputs"]] == ["probabilities", "slice"]
    own = ("card.json", "config.json")
    found = import_model(repack(package, tmp_path / "theirs.zip", lambda d: d.pop("attachments"), own))
    assert found.normalisation.mean == normalisation.mean
    if normalisation.low == 0 and normalisation.high == 1:
        assert found.normalisation == Normalisation(), "nothing is said, and nothing is known"
    else:
        assert found.normalisation.low == pytest.approx(normalisation.low)
        assert found.normalisation.high == pytest.approx(normalisation.high)
        assert found.normalisation.clip == normalisation.clip


def test_medians_are_said_in_the_documentation(make_card: Callable[..., ModelCard], tmp_path: Path) -> None:
    """The format has no word for them."""
    median = NORMALISATIONS["median"]
    card = make_card(channels=3, normalisation=median)
    save_network(tmp_path / "m", card, build_network(card).eval())
    package = export_model(tmp_path / "m", tmp_path / "p.zip", "bioimageio")
    with zipfile.ZipFile(package) as inside:
        text = inside.read("README.md").decode()
    assert "scale each channel by itself" in text
    assert "3 times as far from that as the median" in text
    assert import_model(package).normalisation == median, "our own card inside says it"


def test_what_others_cannot_build_is_refused(make_card: Callable[..., ModelCard], tmp_path: Path) -> None:
    card = make_card(architecture="fcn8s", encoder="resnet18", network={})
    save_network(tmp_path / "m", card, build_network(card))
    with pytest.raises(ModelError, match="is an fcn8s, which segmentation_models_pytorch cannot build"):
        export_model(tmp_path / "m", tmp_path / "p.zip", "bioimageio")
    for other, said in (
        ("quick", r"is a Quick model.* folder or zip"),
        ("classifier", r"is a slice classifier.* ONNX"),
    ):
        card = card.model_copy(update={"architecture": other})
        (tmp_path / "m" / "card.json").write_text(card.model_dump_json())
        with pytest.raises(ModelError, match=said):
            export_model(tmp_path / "m", tmp_path / "p.zip", "bioimageio")
    assert not (tmp_path / "p.zip").exists()


def test_authors_belong_to_packages_only(model: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"Only bioimage\.io packages name authors"):
        export_model(model, tmp_path / "m", authors=("A. Name",))


def test_without_its_library_the_extra_is_named(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_medseg.models.export.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"bioimageio\.spec.*napari-medseg\[bioimageio\]"):
        export_model(model, tmp_path / "p.zip", "bioimageio")


def weights(description: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = description["weights"]["pytorch_state_dict"]
    return entry


def by_file(d: dict[str, Any]) -> None:
    weights(d)["architecture"] = {"source": "unet.py", "callable": "Unet", "sha256": None}


def by_old_file(d: dict[str, Any]) -> None:
    weights(d).update(architecture="unet.py:Unet", kwargs={})


def twisted(**kwargs: Any) -> Callable[[dict[str, Any]], None]:
    return lambda d: weights(d)["architecture"]["kwargs"].update(kwargs)


def bomb(d: dict[str, Any]) -> None:
    layer: Any = ["x"]
    for _ in range(12):
        layer = [layer] * 9
    weights(d)["architecture"]["kwargs"]["more"] = layer


HOSTILE: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "python file": (by_file, r"by a Python file \(unet\.py\), which is never run"),
    "python file, 0.4": (by_old_file, r"by a Python file \(unet\.py\), which is never run"),
    "other library": (lambda d: weights(d)["architecture"].update(import_from="os"), "has a network of os"),
    "other library, alike": (
        lambda d: weights(d)["architecture"].update(import_from="segmentation_models_pytorch_x"), "has a network of"),
    "other callable": (lambda d: weights(d)["architecture"].update(callable="from_pretrained"), "is no architecture"),
    "url": (lambda d: weights(d).update(source="https://example.org/w.pt"), "nothing is downloaded"),
    "climbing": (lambda d: weights(d).update(source="../w.pt"), "outside its folder"),
    "absolute": (lambda d: weights(d).update(source="/etc/passwd"), "outside its folder"),
    "drive": (lambda d: weights(d).update(source="C:\\w.pt"), "outside its folder"),
    "gone": (lambda d: weights(d).update(source="other.pt"), "does not hold the weights that it names"),
    "hash": (lambda d: weights(d).update(sha256="0" * 64), "their hashes differ"),
    "only onnx": (lambda d: d.update(weights={"onnx": {"source": "w.onnx"}}), "it has: onnx"),
    "no weights": (lambda d: d.pop("weights"), "it has: none"),
    "weights in words": (lambda d: d.update(weights="many"), "it has: none"),
    "refused argument": (twisted(checkpoint_path="/etc/passwd"), "sets 'checkpoint_path'"),
    "many classes": (twisted(classes=10**9), "too many"),
    "no number": (twisted(classes="all"), "cannot be used"),
    "channels": (twisted(in_channels=10**9), "less than or equal to 16"),
    "not a model": (lambda d: d.update(type="dataset"), "is no model but a dataset"),
    "tensors in words": (lambda d: d.update(inputs=[{"preprocessing": ["x"]}], outputs=[{}]), "cannot be used"),
    "yaml bomb": (bomb, "refers to itself too often"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_packages_are_refused_in_one_sentence(case: str, package: Path, tmp_path: Path) -> None:
    """M1, M8"""
    change, says = HOSTILE[case]
    bad = repack(package, tmp_path / "bad.zip", change, ("card.json", "config.json"))
    with pytest.raises(ModelError, match=says):
        import_model(bad)
    with zipfile.ZipFile(bad) as archive:
        archive.extractall(tmp_path / "folder")
    with pytest.raises(ModelError, match=says):
        import_model(tmp_path / "folder")


def test_descriptions_that_are_not_plain_data_are_refused(package: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for i, text in enumerate((f"!!python/object/apply:os.mkdir ['{canary}']", "{", "- a list", "[" * 100_000, "\0")):
        folder = tmp_path / f"folder-{i}"
        folder.mkdir()
        (folder / "rdf.yaml").write_text(text)
        with pytest.raises(ModelError, match="cannot be read"):
            import_model(folder)
    assert not canary.exists()


def test_a_pickle_in_a_package_never_runs(package: Path, tmp_path: Path) -> None:
    """M1"""

    class Harm:
        def __reduce__(self) -> Any:
            return Path.mkdir, (tmp_path / "canary",)

    with zipfile.ZipFile(package) as archive:
        archive.extractall(tmp_path / "folder")
    path = tmp_path / "folder" / "weights.pt"
    torch.save({"x": Harm()}, path)
    description = yaml.safe_load((tmp_path / "folder" / "rdf.yaml").read_text())
    weights(description)["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (tmp_path / "folder" / "rdf.yaml").write_text(yaml.safe_dump(description))
    with pytest.raises(ModelError, match="more than weights"):
        import_model(tmp_path / "folder")
    assert not (tmp_path / "canary").exists()


def test_weights_that_a_link_leads_out_to_are_refused(package: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(package) as archive:
        archive.extractall(tmp_path / "folder")
    path = tmp_path / "folder" / "weights.pt"
    path.rename(tmp_path / "outside.pt")
    path.symlink_to(tmp_path / "outside.pt")
    with pytest.raises(ModelError, match="does not hold the weights"):
        import_model(tmp_path / "folder")


def test_huge_members_are_no_harm_unless_they_are_needed(package: Path, tmp_path: Path) -> None:
    """M8"""
    zeros = bytes(2**22)
    fine = repack(package, tmp_path / "fine.zip", lambda d: None)
    with zipfile.ZipFile(fine, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cover.tif", zeros)
    assert import_model(fine).name == "tiny"
    bad = repack(package, tmp_path / "bad.zip", lambda d: weights(d).update(source="zeros.pt"))
    with zipfile.ZipFile(bad, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.pt", zeros)
    with pytest.raises(ModelError, match="would unpack to 4 MiB"):
        import_model(bad)


def test_older_descriptions_are_read_too(package: Path, tmp_path: Path) -> None:
    def older(d: dict[str, Any]) -> None:
        entry = weights(d)
        entry["kwargs"] = entry["architecture"]["kwargs"]
        entry["architecture"] = "segmentation_models_pytorch.Unet"
        d.update(format_version="0.4.10", attachments={"files": []})
        d["inputs"] = [{"name": "image", "axes": "bcyx", "preprocessing": [{"name": "zero_mean_unit_variance"}]}]
        d["outputs"] = [{"name": "mask", "axes": "bcyx"}]

    card = import_model(repack(package, tmp_path / "old.zip", older, ("card.json", "config.json")))
    assert card.architecture == "unet"
    assert card.normalisation == Normalisation()
    assert card.description.endswith(
        "Its preprocessing zero_mean_unit_variance is not followed: values are taken from the 0.5th to the 99.8th "
        "percentile."
    )
    assert [c.name for c in card.classes] == [ClassInfo.numbered(1).name]


@pytest.mark.parametrize(("format_", "kwargs"), [("id", {}), ("name", {}), ("", {"activation": "sigmoid"})])
def test_a_sigmoid_over_several_channels_is_refused(
    package: Path, tmp_path: Path, format_: str, kwargs: dict[str, Any]
) -> None:
    def change(d: dict[str, Any]) -> None:
        twisted(classes=3, **kwargs)(d)
        d["outputs"][0]["postprocessing"] = [{format_: "sigmoid"}] if format_ else []

    path = repack(package, tmp_path / "organs.zip", change, ("card.json", "config.json"))
    with pytest.raises(ModelError, match="has a sigmoid over 3 output channels, and networks here have one background"):
        import_model(path)


@pytest.mark.parametrize(
    ("steps", "low", "said"),
    [
        ([{"id": "scale_linear", "kwargs": {"gain": [0.1, 0.1], "offset": [0.5, 0.5]}}], -5.0, ""),
        ([{"id": "scale_linear", "kwargs": {"gain": [0.1, 0.2]}}], 0.5, "Its preprocessing scale_linear is not follow"),
        ([{"id": "ensure_dtype", "kwargs": {"dtype": "float32"}}], 0.5, "It describes no preprocessing: values are"),
    ],
)
def test_preprocessing_that_is_not_followed_is_said(
    package: Path, tmp_path: Path, steps: list[Any], low: float, said: str
) -> None:
    def change(d: dict[str, Any]) -> None:
        d["inputs"][0]["preprocessing"] = steps

    card = import_model(repack(package, tmp_path / "steps.zip", change, ("card.json", "config.json")))
    assert card.normalisation.low == low
    assert said in card.description
    assert ("percentile" in card.description) == bool(said)


def test_our_own_card_wins_but_must_fit_its_weights(package: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(package) as archive:
        archive.extractall(tmp_path / "folder")
    card = json.loads((tmp_path / "folder" / "card.json").read_text())
    (tmp_path / "folder" / "card.json").write_text(json.dumps({**card, "encoder": "resnet18"}))
    with pytest.raises(ModelError, match="do not fit unet with the encoder resnet18"):
        import_model(tmp_path / "folder")
