"""Quick models fitted on what is painted: as a start, as a rival, again, and when things go wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from napari_medseg.core import Cancelled, ClassInfo, Image, InputError, ModelCard, ModelError
from napari_medseg.core.geometry import Geometry
from napari_medseg.inference import segment
from napari_medseg.models import load_model
from napari_medseg.training import Pair, TrainingRun, quick, start, train
from napari_medseg.training.losses import IGNORE

from .conftest import Folders, Listener, draw

pytest.importorskip("catboost")

WriteSeries = Callable[..., Folders]
FEW: dict[str, Any] = {"model": "quick", "device": "cpu", "max_steps": 30}
NETWORK: dict[str, Any] = {"model": "unet:tu-resnet10t", "device": "cpu", "batch": 2, "max_steps": 2}


def score_of(card: ModelCard, seed: int) -> float:
    """Dice of the worse class on an image that was not trained on."""
    pixels, truth = draw(seed)
    found = segment(Image(pixels, "YX", Geometry.unknown(2)), card.reference, device="cpu").data
    hits = [float(((found == k) & (truth == k)).sum()) for k in (1, 2)]
    return min(2 * hit / float((found == k).sum() + (truth == k).sum()) for k, hit in enumerate(hits, 1))


def test_quick_learns_two_shapes(own_library: Path, write_series: WriteSeries, listener: Listener) -> None:
    card = train([write_series(6)], report=listener, name="shapes", **{**FEW, "max_steps": 60})
    assert (card.architecture, card.encoder, card.parent) == ("quick", "catboost", "quick")
    assert card.network["position"]
    assert score_of(card, 50) > 0.9
    assert card.scores[0].metric == "dice"
    assert card.scores[0].value > 0.9
    assert "Held-out Dice" in card.description
    steps = [p.metrics["step"] for p in listener.heard if "step" in p.metrics]
    assert steps == sorted(steps)
    assert {"loss", "dice"} <= set(listener.heard[-1].metrics)


def test_same_seed_same_trees(own_library: Path, write_series: WriteSeries) -> None:
    data = [write_series(3)]
    first, again, other = (
        train(data, name=f"n{seed}", seed=seed, **{**FEW, "max_steps": 5}) for seed in (1, 1, 2)
    )  # fmt: skip
    assert first.sha256 == again.sha256 != other.sha256


def test_a_busy_computer_gives_the_same_trees(own_library: Path, write_series: WriteSeries) -> None:
    """However little time there is, all trees are grown."""
    data = [write_series(3)]
    card = train(data, model="quick", device="cpu", max_minutes=1e-6)
    network: Any = load_model(card.reference).network
    assert bool((network.leaf.abs().sum((1, 2)) > 0).all())


def test_unlabelled_pixels_never_count(own_library: Path, write_series: WriteSeries) -> None:
    """Strokes: 0 is unknown, background a class to paint; only painted pixels are drawn."""

    def strokes(mask: np.ndarray, i: int) -> np.ndarray:
        painted = np.zeros_like(mask)
        painted[::4] = np.where(mask[::4] > 0, mask[::4], 3)
        return painted

    data = [write_series(4, strokes)]
    card = train(data, name="strokes", unlabelled=0, classes={3: "background"}, **{**FEW, "max_steps": 60})
    assert [c.value for c in card.classes] == [1, 2]
    assert score_of(card, 50) > 0.85


def test_only_labelled_pixels_are_drawn_and_of_each_class_as_many() -> None:
    target = np.full((60, 60), IGNORE, np.int16)
    target[10:50, 10:50] = 0
    target[20:30, 20:30] = 2
    places = quick._choose(target, 400, np.random.default_rng(0))
    chosen = target.ravel()[places]
    assert len({*places.tolist()}) == len(places)
    assert {*chosen.tolist()} == {0, 2}
    assert (chosen == 2).sum() == 100, "all there are"
    assert (chosen == 0).sum() == 200


def test_network_gives_what_catboost_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trees are copied exactly: same logits as CatBoost's own."""
    import catboost

    fitted: list[Any] = []
    fit = catboost.CatBoostClassifier.fit
    monkeypatch.setattr(catboost.CatBoostClassifier, "fit", lambda self, *a, **k: fitted.append(fit(self, *a, **k)))
    card = ModelCard(name="q", classes=tuple(ClassInfo.numbered(i) for i in (1, 2, 3)))
    _, network = quick.start_quick(card, placed=True)
    random = np.random.default_rng(0)
    features = random.normal(size=(500, network.features)).astype(np.float32)
    classes = np.where(features[:, 0] > 0.5, 3, (features[:, 3] > 0.7).astype(np.int64))  # 2 is never seen
    assert quick.grow(network, (features, classes), 0, lambda trees, loss: trees < 20) == 20
    ours = network._answer(torch.from_numpy(features.T.copy()))
    theirs = fitted[0].predict(features, prediction_type="RawFormulaVal")
    assert np.allclose(ours[[0, 1, 3]].T.numpy(), theirs, atol=1e-4)
    assert set(ours.argmax(0).tolist()) <= {0, 1, 3}


def test_stopping_keeps_the_trees_so_far(own_library: Path, write_series: WriteSeries) -> None:
    """T4."""
    listener = Listener(stop=lambda p: p.metrics.get("step", 0) >= 1)
    card = train([write_series()], report=listener, model="quick", name="stopped", device="cpu")
    assert "Stopped early" in card.description
    assert load_model("stopped").card == card
    with pytest.raises(Cancelled):
        train([write_series(name="b")], report=Listener(stop=lambda p: True), **FEW)


def test_again_is_fitted_on_todays_slices_and_those_it_remembers(
    own_library: Path, write_series: WriteSeries, listener: Listener, tmp_path: Path
) -> None:
    """T9: a class that is not painted today is not forgotten; the old model is measured on today's labels."""
    first = train([write_series(6)], name="shapes", **FEW)
    images, masks = tmp_path / "discs", tmp_path / "discs_masks"
    for folder in (images, masks):
        folder.mkdir()
    for i in range(20, 25):
        pixels, mask = draw(i)
        Picture.fromarray(np.where(mask == 2, 60, pixels).astype(np.uint8)).save(images / f"{i}.png")
        Picture.fromarray(np.where(mask == 1, 1, 0).astype(np.uint8)).save(masks / f"{i}.png")
    second = train([(images, masks)], report=listener, **{**FEW, "model": "shapes"})
    assert (second.name, second.version, second.parent) == ("shapes", 2, first.reference)
    assert [c.value for c in second.classes] == [1, 2]
    assert "dice of its start" in {s.metric for s in second.scores}
    assert second.sha256 != first.sha256
    assert score_of(second, 50) > 0.5


def test_a_new_class_is_fitted_beside_the_old(own_library: Path, write_series: WriteSeries) -> None:
    train([write_series(3, lambda mask, i: np.where(mask == 1, 1, 0).astype(np.uint8))], name="shapes", **FEW)
    card = train([write_series(6, name="b")], **{**FEW, "model": "shapes", "replay": 0.0})
    assert [c.value for c in card.classes] == [1, 2]
    assert score_of(card, 50) > 0.85


def test_network_features_help_and_need_no_library_afterwards(own_library: Path, write_series: WriteSeries) -> None:
    data = [write_series(6)]
    train(data, name="net", **NETWORK, longest=48)
    card = train(data, name="both", **{**FEW, "model": "quick:net"})
    assert card.network["base"]["name"] == "net"
    assert (card.reduction, card.longest) == (1, 48), "its features mean something at the size it learnt them only"
    network: Any = load_model(card.reference).network
    own = load_model("net").network.state_dict()
    assert all(torch.equal(value, own[name]) for name, value in network.base.state_dict().items())
    assert score_of(card, 50) > 0.7
    with pytest.raises(ModelError, match="is a Quick model and has no network"):
        start.find_start("quick:both")


@pytest.mark.parametrize("rival", [True, False])
def test_a_network_that_loses_against_quick_says_so(
    own_library: Path, write_series: WriteSeries, listener: Listener, rival: bool
) -> None:
    card = train([write_series()], report=listener, name="loser", max_minutes=1000, rival=rival, **NETWORK)
    measured = {s.metric: s.value for s in card.scores}
    assert ("dice of Quick" in measured) is rival
    assert ("rival_dice" in listener.heard[-1].metrics) is rival
    if rival:
        assert measured["dice of Quick"] > measured["dice"] + 0.02
        assert "Quick reaches 0." in card.description
        assert "start from Quick here" in card.description


def test_short_runs_have_no_rival(own_library: Path, write_series: WriteSeries) -> None:
    card = train([write_series()], name="short", max_minutes=0.4, **NETWORK)
    assert "dice of Quick" not in {s.metric for s in card.scores}


def test_missing_catboost_is_one_sentence(
    own_library: Path, write_series: WriteSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quick, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "catboost", None)
    with pytest.raises(ModelError, match="needs CatBoost") as error:
        train([write_series()], **FEW)
    assert 'pip install "napari-medseg[quick]"' in str(error.value)
    assert not [*own_library.glob("runs/*")], "refused before anything is written"
    train([write_series(name="b")], name="net", max_minutes=1000, **NETWORK)  # a network goes without its rival


def test_one_class_teaches_nothing(own_library: Path, write_series: WriteSeries) -> None:
    """T1."""
    with pytest.raises(InputError, match="Only 'class 1' is painted"):
        train([write_series(3, lambda mask, i: np.ones_like(mask))], **FEW)


def test_position_does_not_count_in_parts_of_images(own_library: Path, write_series: WriteSeries) -> None:
    images, masks = write_series(3)
    run = TrainingRun(pairs=(Pair(image=images, labels=masks, part=True),), start="quick", name="part")
    assert not train(run, device="cpu", max_steps=2).network["position"]
