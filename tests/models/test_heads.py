"""The slice head: built where the card says so, kept through everything, and in nobody's way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from napari_medseg.core import ClassInfo, ModelError
from napari_medseg.models import adapt_network, build_network, load_network, save_network, start_card
from napari_medseg.models.adapt import add_slice_head
from napari_medseg.models.build import ARCHITECTURES
from napari_medseg.models.heads import split_output
from napari_medseg.models.smp import import_smp

pytestmark = pytest.mark.long

IMAGE = torch.rand(2, 1, 64, 64)


def outputs(network: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
    with torch.inference_mode():
        return split_output(network.eval()(IMAGE))


def test_a_card_decides_whether_there_is_a_head(make_card: Any) -> None:
    mask, said = outputs(build_network(make_card()))
    assert mask.shape == (2, 2, 64, 64)
    assert said is None
    mask, said = outputs(build_network(make_card(presence=0.3)))
    assert mask.shape == (2, 2, 64, 64)
    assert said is not None
    assert said.shape == (2,)


@pytest.mark.parametrize("architecture", ["fcn8s", "fpn", "segformer"])
def test_other_architectures_have_one_too(architecture: str) -> None:
    assert architecture in ARCHITECTURES
    card = start_card(f"{architecture}:tu-resnet10t", name="a", classes=[ClassInfo.numbered(1)])
    assert outputs(build_network(card.model_copy(update={"presence": 0.5})))[1] is not None


def test_a_head_survives_being_saved_here_and_opened_elsewhere(make_card: Any, tmp_path: Path) -> None:
    network = build_network(make_card(presence=0.3))
    save_network(tmp_path / "a", make_card(presence=0.3), network)
    card, loaded = load_network(tmp_path / "a")
    assert card.presence == 0.3
    theirs = import_smp().from_pretrained(tmp_path / "a")
    for other in (loaded, theirs):
        for ours, found in zip(outputs(network), outputs(other), strict=True):
            assert ours is not None
            assert found is not None
            assert torch.equal(ours, found)


def test_a_head_that_no_card_tells_of_is_left_out(make_card: Any, tmp_path: Path) -> None:
    save_network(tmp_path / "a", make_card(presence=0.3), build_network(make_card(presence=0.3)))
    (tmp_path / "a" / "card.json").unlink()
    card, loaded = load_network(tmp_path / "a")
    assert card.presence is None
    assert outputs(loaded)[1] is None


def test_new_classes_and_channels_leave_the_head_as_it_is(make_card: Any) -> None:
    network = build_network(make_card(presence=0.3)).eval()
    card, adapted = adapt_network(
        make_card(presence=0.3), network, classes=[ClassInfo.numbered(1, "femur"), ClassInfo.numbered(2)], channels=1
    )
    assert card.presence == 0.3
    before, after = outputs(network)[1], outputs(adapted)[1]
    assert before is not None
    assert after is not None
    assert torch.equal(before, after)


def test_a_head_is_added_to_a_network_that_stays_the_same(make_card: Any) -> None:
    network = build_network(make_card()).eval()
    card, added = add_slice_head(make_card(), network)
    assert card.presence == 0.5
    mask, said = outputs(added)
    assert said is not None
    assert torch.equal(mask, outputs(network)[0])
    assert add_slice_head(card, added) == (card, added)


def test_a_quick_model_can_have_none(make_card: Any) -> None:
    with pytest.raises(ModelError, match="Start from a network"):
        add_slice_head(make_card(architecture="quick"), torch.nn.Identity())


@pytest.mark.parametrize("architecture", ["fpn", "classifier"])
def test_onnx_has_the_head_as_its_second_output(make_card: Any, tmp_path: Path, architecture: str) -> None:
    pytest.importorskip("onnxscript")
    onnx = pytest.importorskip("onnx")
    from napari_medseg.models import export_model

    card = make_card(presence=0.3, architecture=architecture, network={})
    save_network(tmp_path / "a", card, build_network(card))
    export_model(tmp_path / "a", tmp_path / "a.onnx", "onnx")
    assert [output.name for output in onnx.load(tmp_path / "a.onnx").graph.output] == ["logits", "slice_logit"]
