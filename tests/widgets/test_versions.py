"""Going back to earlier versions of a model."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtWidgets import QPushButton

from napari_medseg.core import ClassInfo, ModelCard, Score
from napari_medseg.models import add_model, build_network, find_model, list_models
from napari_medseg.widgets.versions import VersionsMenu, describe_version, find_start, last_versions

CARD = ModelCard(
    name="tiny",
    encoder="tu-mobilenetv3_small_050",
    network={"decoder_channels": [16, 16, 16, 16, 16]},
    classes=(ClassInfo.numbered(1, "bone"),),
)


@pytest.fixture(scope="module")
def network() -> Any:
    return build_network(CARD)


@pytest.fixture
def family(network: Any, own_library: Path) -> Callable[..., list[ModelCard]]:
    """A model and descendants by name, each from the one before, a second apart."""

    def make(*names: str, start: str = "") -> list[ModelCard]:
        cards = [add_model(network, CARD.model_copy(update={"parent": start}))]
        for name in names:
            update = {"name": name, "parent": cards[-1].reference, "parent_sha256": cards[-1].sha256}
            cards.append(add_model(network, CARD.model_copy(update=update)))
        for i, card in enumerate(cards):
            os.utime(find_model(card.reference) / "card.json", (1e9 + i, 1e9 + i))
        return cards

    return make


def test_last_five_versions_and_the_first_ancestor_are_offered(family: Callable[..., list[ModelCard]]) -> None:
    cards = family("mine", "mine", "mine-rejected", "mine", "mine", "mine")
    found = last_versions(cards[-1], list_models(all_versions=True))
    assert [c.reference for c in found] == [
        "mine@5", "mine@4", "mine@3", "mine-rejected@1", "mine@2", "tiny@1"
    ]  # fmt: skip
    assert [c.reference for c in last_versions(cards[0], list_models(all_versions=True))] == ["tiny@1"]


@pytest.mark.parametrize(("start", "found"), [("", "tiny@1"), ("unet:resnet18", "unet:resnet18")])
def test_start_of_a_lineage_is_a_ready_model_or_random_weights(
    family: Callable[..., list[ModelCard]], start: str, found: str
) -> None:
    assert find_start(family("mine", "mine", start=start)[-1]) == found


def test_version_is_described_with_its_score_and_fate() -> None:
    scores = (Score(metric="dice", value=0.934, on="2 held-out slices"),)
    assert describe_version(CARD.model_copy(update={"scores": scores})) == "tiny v1 · Dice 0.93"
    assert describe_version(CARD.model_copy(update={"name": "mine-rejected"})) == "mine v1 · kept aside"


def test_menu_chooses_and_deletes_nothing(qtbot: Any, family: Callable[..., list[ModelCard]]) -> None:
    cards = family("mine", "mine-rejected")
    button = QPushButton()
    qtbot.addWidget(button)
    chosen: list[ModelCard] = []
    menu = VersionsMenu(button, lambda: cards[1], chosen.append)
    before = list_models(all_versions=True)
    menu.fill()
    assert [a.text() for a in menu.actions()] == ["mine v1 · kept aside", "mine v1", "tiny v1"]
    assert [a.isChecked() for a in menu.actions()] == [False, True, False]
    menu.actions()[0].trigger()
    assert chosen == [cards[2]]
    assert list_models(all_versions=True) == before
