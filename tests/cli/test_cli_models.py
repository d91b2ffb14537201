"""``napari-medseg models``."""

from __future__ import annotations

import sys

import pytest

from napari_medseg.core import ModelCard
from napari_medseg.models import list_models, load_model
from napari_medseg.models.library import add_model

from .conftest import Run


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
