"""``napari-medseg models``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_medseg import io
from napari_medseg.core import ClassInfo, Geometry, Image, Labels, ModelCard, Progress
from napari_medseg.inference import SegmentOptions, versus
from napari_medseg.models import build_network, export_model, list_models, load_model, read_card
from napari_medseg.models.library import add_model
from napari_medseg.models.weights import write_card

from .conftest import Run, bright_square


@pytest.fixture
def mine() -> list[str]:
    """Three versions of a model, each made from the one before, and another model made from the last of them."""
    network = load_model("femur-ct").network
    card = load_model("femur-ct").card.model_copy(update={"name": "mine", "parent": "femur-ct@1"})
    made: list[ModelCard] = []
    for name in ("mine", "mine", "mine", "hip"):
        before = {"parent": made[-1].reference, "parent_sha256": made[-1].sha256} if made else {}
        made.append(add_model(network, card.model_copy(update={"name": name, **before})))
    return [one.reference for one in made]


def left() -> set[str]:
    return {card.reference for card in list_models(all_versions=True) if card.name in ("mine", "hip")}


def answer(monkeypatch: pytest.MonkeyPatch, said: str) -> list[str]:
    """Sit at a terminal and answer; what was asked."""
    asked: list[str] = []
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or said)
    return asked


def test_removing_asks_and_says_what_goes(run: Run, mine: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answer(monkeypatch, "n")
    result = run("models", "remove", "mine")
    assert (result.code, left()) == (130, {*mine})
    assert "3 versions of mine (mine@1, mine@2, mine@3)" in asked[0]
    assert "Trained from it, and kept: hip@1" in result.out
    answer(monkeypatch, "y")
    assert run("models", "remove", "mine").code == 0
    assert left() == {"hip@1"}


def test_removing_one_version_leaves_the_others(run: Run, mine: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answer(monkeypatch, "yes")
    result = run("models", "remove", "mine@2")
    assert (result.code, left()) == (0, {*mine} - {"mine@2"})
    assert "1 version of mine (mine@2)" in asked[0]
    assert "kept: mine@3" in result.out


def test_without_a_terminal_removing_needs_yes(run: Run, mine: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    result = run("models", "remove", "mine")
    assert (result.code, left()) == (2, {*mine})
    assert "3 versions of mine" in result.err
    assert "--yes" in result.err
    assert run("models", "remove", "mine", "--yes").code == 0
    assert left() == {"hip@1"}


def test_help_of_remove_says_that_all_versions_go(run: Run) -> None:
    shown = " ".join(run("models", "remove", "--help").out.split())
    assert "without @VERSION, all its versions" in shown


def test_list_parts_classes_by_semicolons_and_tells_a_score(run: Run) -> None:
    line = next(line for line in run("models", "list").out.splitlines() if line.startswith("femur-ct"))
    assert "femur, image left; femur, image right" in line
    assert "0.910 on 20 unseen synthetic series" in line


def test_show_tells_the_whole_chain(run: Run, mine: list[str]) -> None:
    shown = run("models", "show", "hip").out
    assert "mine v1 → mine v2 → mine v3" in shown
    assert "1 femur, image left; 2 femur, image right" in shown


@pytest.mark.parametrize(("neighbours", "said"), [(1, "1 slice on either side"), (2, "2 slices on either side")])
def test_show_counts_the_slices_beside(run: Run, tmp_path: Path, neighbours: int, said: str) -> None:
    export_model("femur-ct", tmp_path / "model")
    write_card(tmp_path / "model", read_card(tmp_path / "model").model_copy(update={"neighbours": neighbours}))
    assert said in run("models", "show", tmp_path / "model").out


@pytest.fixture
def two_results(monkeypatch: pytest.MonkeyPatch) -> list[SegmentOptions]:
    """Version 1 finds the whole square, any other half of it in the last two slices; what they were asked."""
    asked: list[SegmentOptions] = []

    def segment(image: Image, model: str, *, options: SegmentOptions, report: Any) -> Labels:
        asked.append(options)
        report(Progress("Segmenting", 1, 1, result=np.zeros(1)))
        data = (np.asarray(image.data) > 128).astype(np.uint8)
        if not model.endswith("@1"):
            data[4:, 15:] = 0
        return Labels(data, (ClassInfo.numbered(1, "femur"),), image.geometry, image.names)

    monkeypatch.setattr(versus, "segment", segment)
    return asked


def test_compare_says_how_far_two_versions_differ(
    run: Run, mine: list[str], series: Path, two_results: list[SegmentOptions], tmp_path: Path
) -> None:
    result = run("models", "compare", "mine@1", "mine@2", series, "--tta", "flips", "--output", tmp_path / "both")
    assert result.code == 0, result.err
    assert [options.tta for options in two_results] == ["flips", "flips"]
    assert f"femur, image left: {2 * 500 / (600 + 500):.3f}" in result.out
    assert "100 pixels (0.7%) differ, on 2 of 6 slices" in result.out
    assert "4.png: 50 pixels (2.2%)" in result.out
    assert "what is right" not in result.out
    for place, slices in (("mine-v1", 100), ("mine-v2", 50)):
        assert np.count_nonzero(io.read_labels(tmp_path / "both" / place).slice(5)) == slices
    table = (tmp_path / "both" / "differences.csv").read_text().splitlines()
    assert [line.split(",")[:2] for line in table[1:]] == [[f"{z}.png", str(50 * (z > 3))] for z in range(6)]


def test_compare_scores_both_where_the_truth_is_known(
    run: Run, mine: list[str], series: Path, two_results: list[SegmentOptions], tmp_path: Path
) -> None:
    right = np.stack([bright_square(z) > 128 for z in (3, 4)]).astype(np.uint8)
    masks = tmp_path / "masks"
    io.write(masks, Labels(right, (ClassInfo.numbered(1, "femur"),), Geometry.unknown(3), ("3.png", "4.png")))
    result = run("models", "compare", "mine@1", "mine@2", series, "--truth", masks)
    assert f"1.000 of mine@1, {2 * 150 / (200 + 150):.3f} of mine@2" in result.out


def test_compare_refuses_what_cannot_be_compared(run: Run, mine: list[str], series: Path, images: Path) -> None:
    assert "are the same model" in run("models", "compare", "mine", "mine@3", series).err
    assert "different sizes" in run("models", "compare", "mine@1", "mine@2", images).err


def test_what_is_there_is_kept_and_the_hint_names_no_option_that_is_not_there(run: Run, tmp_path: Path) -> None:
    (tmp_path / "hip.zip").touch()
    result = run("models", "export", "femur-ct", tmp_path / "hip.zip")
    assert result.code == 2
    assert "remove it first" in result.err
    assert "--overwrite" not in result.err


def test_import_asks_for_one_of_several_networks(run: Run, tmp_path: Path) -> None:
    network = build_network(ModelCard(name="a", encoder="tu-resnet10t", classes=(ClassInfo.numbered(1),)))
    torch.save({"model": network.state_dict(), "model_ema": network.state_dict()}, tmp_path / "two.pt")
    asked = "models", "import", tmp_path / "two.pt", "--network", "unet:tu-resnet10t"
    assert "holds 2 networks: model, model_ema" in run(*asked).err
    assert "Imported from model_ema of two.pt" in run(*asked, "--part", "model_ema").out


def test_import_prints_what_was_guessed_and_takes_no_second_network(run: Run, tmp_path: Path) -> None:
    export_model("femur-ct", tmp_path / "smp")
    assert "guess" not in run("models", "import", tmp_path / "smp", "--name", "own").out
    refused = run("models", "import", tmp_path / "smp", "--network", "unet:resnet18")
    assert "says itself what network it has" in refused.err
    (tmp_path / "smp" / "card.json").unlink()
    assert "pixel size are guesses" in run("models", "import", tmp_path / "smp").out
