"""A model that outlines nothing: learnt by the same command, scored by slices, and plain about having no masks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_medseg.core import CLASSIFIER, ClassInfo, Geometry, Image, InputError, Labels, ModelError, Normalisation
from napari_medseg.evaluation import evaluate
from napari_medseg.inference import segment
from napari_medseg.inference.presence import NO_MASK
from napari_medseg.models import Model, adapt_network, build_network, load_network, save_network, start_card
from napari_medseg.models.heads import split_output
from napari_medseg.training import train

from .conftest import Folders, Listener
from .test_presence import some_empty

pytestmark = pytest.mark.long

WriteSeries = Callable[..., Folders]

START = f"{CLASSIFIER}:tu-resnet10t"
SMALL: dict[str, Any] = {"device": "cpu", "batch": 4, "max_steps": 3}


@pytest.fixture
def made() -> tuple[Any, Any]:
    card = start_card(START, name="yes-or-no", classes=[ClassInfo.numbered(1, "disc")])
    return card, build_network(card).eval()


def test_its_outputs_are_an_empty_mask_and_the_answer(made: tuple[Any, Any], tmp_path: Path) -> None:
    card, network = made
    assert card.presence == 0.5
    assert not card.outlines
    image = torch.rand(2, 1, 64, 96)
    with torch.inference_mode():
        mask, said = split_output(network(image))
        assert not mask.argmax(1).any()
        assert mask.shape == (2, 2, 64, 96)
        save_network(tmp_path / "a", card, network)
        _, again = load_network(tmp_path / "a")
        wide = adapt_network(card, network, classes=[ClassInfo.numbered(k) for k in (1, 2)], channels=1)[1]
        for other in (again, wide):
            assert torch.equal(split_output(other(image))[1], said)
    (tmp_path / "a" / "card.json").unlink()
    assert load_network(tmp_path / "a")[0].presence == 0.5


def test_the_published_classifier_is_a_resnet_with_a_head_of_three_layers(made: tuple[Any, Any]) -> None:
    head = made[1].classification_head
    assert [layer.out_features for layer in head if isinstance(layer, torch.nn.Linear)] == [256, 256, 256, 1]
    assert [layer.p for layer in head if isinstance(layer, torch.nn.Dropout)] == [0.3]
    large = build_network(start_card(f"{CLASSIFIER}:resnet50", name="large", classes=made[0].classes))
    assert sum(p.numel() for p in large.encoder.parameters()) > 23e6


def test_it_is_learnt_and_fine_tuned_by_slices(
    own_library: Path, write_series: WriteSeries, listener: Listener, tmp_path: Path
) -> None:
    data, panels = [write_series(12, some_empty)], tmp_path / "panels"
    card = train(data, model=START, name="yes-or-no", report=listener, panels=panels, **SMALL)
    assert f"Nothing is drawn into {panels}" in listener.said
    assert not panels.exists()
    assert "Held-out F1 of slices" in card.description
    assert card.scores[0].metric == "F1 of slices"
    tuned = train(data, model="yes-or-no", **SMALL)
    assert tuned.architecture == CLASSIFIER
    assert tuned.presence is not None
    with pytest.raises(ModelError, match="looks at whole slices"):
        train(data, model="quick:yes-or-no", name="q", device="cpu")


def test_without_empty_slices_there_is_nothing_to_learn(own_library: Path, write_series: WriteSeries) -> None:
    with pytest.raises(InputError, match="all labelled slices hold something"):
        train([write_series()], model=START, name="yes-or-no", **SMALL)


class Brightness(torch.nn.Module):
    """Outlines nothing; a slice holds something the more, the brighter it is."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        plane = torch.zeros_like(x[:, 0])
        return torch.stack([plane + 1, plane], 1), 20 * (x.mean((1, 2, 3)) - 0.5)[:, None]


def test_segmenting_says_that_there_are_no_masks_and_evaluation_goes_by_the_answers(made: tuple[Any, Any]) -> None:
    window = Normalisation(method="window", low=0, high=100)
    card = made[0].model_copy(update={"normalisation": window})
    pixels = np.stack([np.full((64, 64), value, np.uint8) for value in (10, 80, 30, 90)])
    labels = segment(
        Image(pixels, "ZYX", Geometry.unknown(3)), Model(card, Brightness(), Path()), device="cpu", suggest=1
    )
    assert not labels.data.any()
    (told,) = [f.message for f in labels.findings if f.code == NO_MASK]
    assert told == "The model yes-or-no@1 outlines nothing: all masks are empty."
    assert labels.positive == (1, 3)
    assert "CLASS_NOT_FOUND" not in {f.code for f in labels.findings}
    truth = np.zeros((4, 64, 64), np.uint8)
    truth[[1, 3], 3, 3] = 1
    found = evaluate(labels, Labels(truth, card.classes, Geometry.unknown(3))).detection
    assert found is not None
    assert (found.true_positive, found.true_negative, found.auroc) == (2, 2, 1.0)


def test_onnx_takes_any_number_of_slices_of_any_size(made: tuple[Any, Any], tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    import onnx
    from onnx.reference import ReferenceEvaluator

    from napari_medseg.models import export_model

    save_network(tmp_path / "a", *made)
    model = onnx.load(export_model(tmp_path / "a", tmp_path / "a.onnx", "onnx"))
    mask, said = ReferenceEvaluator(model).run(None, {"image": np.zeros((3, 1, 96, 64), np.float32)})
    assert mask.shape == (3, 2, 96, 64)
    assert said.shape == (3, 1)
