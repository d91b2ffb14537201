"""How built-in models are made and judged: what their scripts draw, write and decide."""

from __future__ import annotations

import argparse
import importlib
import inspect
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

import napari_medseg as medseg
from napari_medseg.core import Geometry, Image, Score
from napari_medseg.core.score import SEEDS, say_scores
from napari_medseg.models import find_model
from napari_medseg.models.weights import load_network, read_card
from napari_medseg.phantoms.body import draw_ct_slices
from napari_medseg.phantoms.brain import SEED, VIEW, brain_sample
from napari_medseg.phantoms.draw import Draw
from napari_medseg.phantoms.femur import PIXELS
from napari_medseg.phantoms.histology import draw_histology
from napari_medseg.phantoms.pictures import chest_sample, tissue_sample
from napari_medseg.training.memory import read_archive
from napari_medseg.training.truth import identify

PROJECT = Path(__file__).parents[1]


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(PROJECT / "scripts"))
    return importlib.import_module("train_starter")


@pytest.fixture
def benchmark_script(monkeypatch):
    monkeypatch.syspath_prepend(str(PROJECT / "benchmarks"))
    return importlib.import_module("starters")


@pytest.fixture
def families(script):
    return importlib.import_module("families").FAMILIES


@pytest.mark.parametrize("name", ["nuclei-he", "tissue-he", "bone-ct"])
def test_cards_fit_what_is_drawn(script, families, name):
    starter = script.STARTERS[name]
    family = families[starter.family]
    assert [c.name for c in starter.card.classes] == [*family.things]
    assert starter.card.in_channels == (1 if family.grey else 3)


@pytest.mark.parametrize(
    "name", ["shapes", "bones", "bones in any contrast", "femora", "chests", "nuclei", "glands", "heads"]
)
def test_every_family_draws_whole_images_and_what_they_show(families, name):
    images, labels = families[name].generate(Draw(5), 4)
    assert labels.shape == (4, *images.shape[2:])
    assert images.shape[1] == (1 if families[name].grey else 3)
    assert torch.isfinite(images).all()
    assert 0 <= images.min() < images.max() <= 1
    assert set(labels.unique().tolist()) <= set(range(len(families[name].things) + 1))
    assert (labels > 0).any()
    again, _ = families[name].generate(Draw(5), 4)
    assert torch.equal(images, again)


def test_bones_in_any_contrast_are_brighter_or_darker_than_flesh(families):
    """In CT they are always brighter."""
    differences = []
    for seed in range(3):
        images, bones = families["bones in any contrast"].generate(Draw(seed), 6)
        differences += [
            float(image[bone > 0].mean() - image[bone == 0].mean())
            for image, bone in zip(images[:, 0], bones, strict=True) if (bone > 0).any()
        ]  # fmt: skip
    assert min(differences) < -0.05
    assert max(differences) > 0.05


def squares(draw, count):
    """From squares, what is tested takes no longer than it must; what is really drawn is looked at above."""
    labels = torch.zeros(count, 64, 64, dtype=torch.long)
    labels[:, 20:40, 20:40] = 1
    return labels[:, None] * draw.uniform(0.5, 1, count, 1, 1, 1), labels


def coloured_squares(draw, count):
    images, labels = squares(draw, count)
    return images.expand(-1, 3, -1, -1), labels


def test_supply_renews_as_many_as_its_family_says(script):
    module = importlib.import_module("families")
    drawn = []

    def counted(draw, count):
        drawn.append(count)
        return squares(draw, count)

    supply = module.Supply(module.Family(counted, ("square",), fresh=0.5), Draw(0), 4, 48, kept=8)
    assert sum(drawn) == 8
    for _ in range(12):
        images, labels = supply.batch()
        assert images.shape == (4, 1, 48, 48)
        assert ((images[:, 0] > 0.2) == (labels > 0)).all()
    assert sum(drawn) == 8 + 6


def test_made_model_opens_with_its_card(script, families, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.import_module("families"), "MEASURED", 8)
    monkeypatch.setitem(families, "bones", replace(families["bones"], generate=squares))
    monkeypatch.setitem(script.STARTERS, "bone-ct", replace(script.STARTERS["bone-ct"], side=64))
    limits = argparse.Namespace(device="cpu", seed=0, batch=2, start=None, steps=2, minutes=1)
    script.make("bone-ct", tmp_path / "model", limits)
    card, network = load_network(tmp_path / "model")
    assert card.scores[0].on == "8 unseen synthetic images"
    assert "2 steps" in card.trained_on
    assert torch.isfinite(network(torch.rand(1, 1, 64, 64))).all()


def test_all_families_share_one_encoder_and_decoder(script, families, tmp_path, monkeypatch):
    shared = importlib.import_module("shared_starter")
    for name, family in families.items():
        generate = squares if family.grey else coloured_squares
        monkeypatch.setitem(families, name, replace(family, generate=generate, fresh=1))
    monkeypatch.setattr(importlib.import_module("families"), "MEASURED", 8)
    monkeypatch.setattr(shared, "SIDE", 48)
    limits = argparse.Namespace(device="cpu", seed=0, steps=2, minutes=1, folder=tmp_path, start=None)
    assert [*shared.make(limits)] == [*families]
    made = {name: load_network(tmp_path / shared.folder_of(name)) for name in families}
    decoders = [network.decoder.state_dict() for _, network in made.values()]
    for name, (card, network) in made.items():
        assert [c.name for c in card.classes] == [*families[name].things]
        assert torch.isfinite(network(torch.rand(1, card.in_channels, 64, 64))).all()
    assert all(torch.equal(one[key], decoders[0][key]) for one in decoders for key in one)
    assert made["bones"][0].in_channels == 1
    # Grey images gave three times the same while it learnt.
    grey = torch.rand(1, 1, 64, 64)
    one, three = (made[name][1].encoder(grey.expand(-1, n, -1, -1))[-1] for name, n in (("bones", 1), ("nuclei", 3)))
    assert torch.allclose(one, three, atol=1e-3)
    further = shared.Shared(tmp_path / "shapes").encoder.state_dict()
    assert all(torch.equal(value, further[key]) for key, value in made["shapes"][1].encoder.state_dict().items())


def test_lungs_learn_from_some_x_rays_and_are_scored_on_others(script, tmp_path, own_library, monkeypatch):
    """Real files are replaced by drawn ones, of which the model keeps none."""
    lungs, sets = (importlib.import_module(name) for name in ("lungs_starter", "sets"))
    for name, most in {"LONGEST": 64, "DRAWN": 2, "HELD_OUT": 1, "ENCODER": "tu-resnet10t"}.items():
        monkeypatch.setattr(lungs, name, most)
    made = lungs.draw(tmp_path, 1)
    test = [
        sets.Case(made[1].image, None, tifffile.imread(made[1].labels), f"{hospital}_1") for hospital in lungs.HOSPITALS
    ]
    split = sets.Split(tuple((pair.image, pair.labels) for pair in made), tuple(test))
    monkeypatch.setattr(lungs, "lungs", lambda count, seed: split)
    lungs.make_lungs_xray(tmp_path / "model", 0.05, 0)
    card, _ = load_network(tmp_path / "model")
    assert card.longest == 64
    assert [score.on for score in card.scores] == [
        "1 other X-rays of Montgomery, real", "1 other X-rays of Shenzhen, real"
    ]  # fmt: skip
    archive = read_archive(tmp_path / "model")
    assert not archive.slices, "nobody's X-rays are in it"
    first, second = (identify(medseg.read(pair.image).slice(0)) for pair in made)
    assert (archive.trained, archive.measured) == ({second}, {first}), "but it knows them again"


def test_tumours_learn_from_drawn_heads_alone(script, tmp_path, own_library, monkeypatch):
    made = importlib.import_module("tumour_starter")
    for name, value in {"HEADS": 3, "EMPTY": 3, "SIZE": 64, "REMEMBERED": 5}.items():
        monkeypatch.setattr(made, name, value)
    made.make_tumour_mr(tmp_path / "model", 0.05, 0)
    card, _ = load_network(tmp_path / "model")
    assert (card.channels, card.reduction, card.normalisation.method) == (3, 2, "median")
    assert card.pixel_range == (VIEW / 64 / 2,) * 2
    assert card.presence is not None
    remembered = read_archive(tmp_path / "model").recall(card.classes, card.channels)
    assert 4 <= len(remembered.training) <= 8
    assert 1 <= len(remembered.held_out) <= 2
    assert {one.holds for one in remembered.training} == {0, 1}
    assert all(one.pixels.shape == (3, 64, 64) for one in remembered.training)


def test_cards_say_which_pixels_were_drawn(script):
    tumour = importlib.import_module("tumour_starter")
    drawn = {
        "nuclei-he": tuple(um / 1000 for um in inspect.signature(draw_histology).parameters["pixel"].default),
        "femur-ct": PIXELS,
        "tumour-mr": (VIEW / tumour.SIZE / tumour.REDUCTION,) * 2,
        "bone-ct": None,
        "lungs-xray": None,
    }
    for name, pixels in drawn.items():
        assert read_card(find_model(name)).pixel_range == (pixels and pytest.approx(pixels))
        if name in script.STARTERS:
            assert script.STARTERS[name].card.pixel_range == (pixels and pytest.approx(pixels))


def test_rate_rises_soon_and_falls_to_nothing(script):
    loop = importlib.import_module("one_cycle")
    rates = [loop.one_cycle(p) for p in (0, 0.1, 0.5, 1)]
    assert rates[0] < 0.1 * rates[1]
    assert rates[1] == loop.RATE > rates[2] > rates[3] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("zero", "starter", "random", "ships"),
    [
        (0.5, [(50, 0.91), (100, 0.93)], [(50, 0.6), (100, 0.91)], True),
        (0.92, [(50, 0.93)], [(50, 0.93)], True),
        (0.5, [(50, 0.8), (100, 0.93)], [(50, 0.6), (100, 0.91)], False),  # as slow
        (0.5, [(50, 0.91), (100, 0.90)], [(50, 0.6), (100, 0.95)], False),  # ends worse
        (0.5, [(50, 0.7), (100, 0.7)], [(50, 0.6), (100, 0.8)], False),  # never reaches the level
        (0.3, [(20, 0.75), (100, 0.8)], [(50, 0.6), (100, 0.7)], True),  # neither reaches 0.9
    ],
)
def test_rule_asks_for_half_the_steps_and_no_worse_an_end(benchmark_script, zero, starter, random, ships):
    assert benchmark_script.judge([benchmark_script.compare(zero, starter, random)]) is ships


@pytest.mark.parametrize("name", ["bone-ct", "lungs-xray", "nuclei-he", "tumour-mr"])
def test_cards_call_the_figures_as_the_benchmark_does(benchmark_script, name):
    measured = read_card(find_model(name)).scores
    for real in benchmark_script.SETS[name]:
        found = [score.metric for score in measured if score.on == f"{real}, real"]
        assert found == [*benchmark_script.METRICS.values(), SEEDS]


def test_figures_of_a_benchmark_replace_those_of_an_earlier_one(benchmark_script):
    before = [Score(metric=metric, value=0.1, on=on) for metric, on in ((SEEDS, "a"), ("dice", "b"))]
    row = {"steps": 60, **benchmark_script.compare(0.5, [(9, 0.7), (60, 0.8)], [(60, 0.6)])}
    scores = benchmark_script.merge_scores(before, {"femora": [row, {**row, "zero": 0.7, "starter steps": None}]})
    assert [score.on for score in scores] == ["b", *["femora, real"] * 8]
    assert say_scores(scores[1:]) == (
        "femora, real: Dice 0.60 as it is, 0.80 after 60 steps on painted strokes; "
        "random weights 0.60 after the same (mean of 2 seeds)",
    )  # fmt: skip
    only = benchmark_script.merge_scores([], {"femora": [{"seed": 0, "zero": 0.5}]})
    assert say_scores(only) == ("femora, real: Dice 0.50 as it is",)


def test_docs_quote_what_a_card_says_of_its_scores():
    said = (PROJECT / "docs" / "models.md").read_text(encoding="utf-8")
    assert [line for line in read_card(find_model("bone-ct")).scores_in_words if line not in said] == []


def test_built_in_lungs_are_found_in_made_up_x_rays_of_any_size():
    """Pooled Dice 0.91 on the six of the sample."""
    image, truth = chest_sample()
    found = medseg.segment(image, "lungs-xray")
    assert medseg.evaluate(found, truth, merge=True).figure("dice").pooled > 0.85
    twice = replace(image, data=np.asarray(image.data).repeat(2, axis=1).repeat(2, axis=2))
    again = np.asarray(medseg.segment(twice, "lungs-xray").data)[:, ::2, ::2]
    assert (again == np.asarray(found.data)).mean() > 0.98


def test_built_in_lungs_are_found_in_real_x_rays(real_data, benchmark_script):
    """0.96 on average over the sixty that trained nothing; of three, some room below that."""
    cases = list(benchmark_script.chests("CHNCXR"))[:3]
    found = []
    for case in cases:
        image = Image(case.image, "YX", Geometry.unknown(2))
        labels = np.asarray(medseg.segment(image, "lungs-xray").data)
        found.append(2 * (labels * case.truth).sum() / (labels.sum() + case.truth.sum()))
    assert np.mean(found) > 0.9


def test_built_in_bones_are_found_in_made_up_bodies():
    """0.92 of all pixels on unseen ones."""
    made = draw_ct_slices(Draw(900_001), 4, 256)
    hit = total = 0
    for grey, bones in zip(made.image[:, 0].numpy().astype(np.uint8), made.bones.numpy(), strict=True):
        found = np.asarray(medseg.segment(Image(grey, "YX", Geometry.unknown(2)), "bone-ct").data) > 0
        hit, total = hit + (found & bones).sum(), total + found.sum() + bones.sum()
    assert 2 * hit / total > 0.85


def test_built_in_bones_are_found_in_a_real_thigh(real_data, benchmark_script):
    """0.93 of all pixels of eight slices; bones that no mask holds do not count."""
    one = next(benchmark_script.femur())
    counted = one.truth != benchmark_script.UNLABELLED
    found = np.asarray(medseg.segment(Image(one.image, "YX", Geometry.unknown(2)), "bone-ct").data) * counted
    truth = one.truth * counted
    assert 2 * (found * truth).sum() / (found.sum() + truth.sum()) > 0.85


def test_built_in_tumours_are_found_in_made_up_heads_and_healthy_ones_are_told():
    for seed, tumour in ((SEED, True), (SEED + 1, False)):
        image, truth = brain_sample(seed, slices=8, size=256, tumour=tumour)
        found = medseg.segment(image, "tumour-mr")
        if tumour:
            assert medseg.evaluate(found, truth).figure("dice").pooled > 0.7
        assert found.presence is not None
        wrong = [z for z, chance in found.presence.items() if chance > 0.5 and not np.asarray(truth.data[z]).any()]
        assert len(wrong) <= 2


def test_built_in_nuclei_are_found_in_made_up_tissue():
    """Dice 0.73 on the sample; of a quarter, some room below that."""
    image, truth = (replace(one, data=np.asarray(one.data)[:384, :384]) for one in tissue_sample())
    found = medseg.segment(image, "nuclei-he")
    assert medseg.evaluate(found, truth).figure("dice").pooled > 0.65


def test_built_in_nuclei_are_found_in_real_tissue(real_data, benchmark_script):
    """0.69 on six quarters of images: a start to fine-tune, no more."""
    one = next(benchmark_script.monuseg())
    labels = np.asarray(medseg.segment(Image(one.image, "YXC", Geometry.unknown(2)), "nuclei-he").data)
    assert 2 * (labels * one.truth).sum() / (labels.sum() + one.truth.sum()) > 0.55
