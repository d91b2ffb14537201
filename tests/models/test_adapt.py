from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from napari_medseg.core import ClassInfo, ModelError, Normalisation, Score
from napari_medseg.models import adapt_network, build_network
from napari_medseg.models.adapt import level_merged

HEAD, FIRST = "segmentation_head.0", "encoder.model.conv1.0.weight"


def classes(*names: str) -> tuple[ClassInfo, ...]:
    return tuple(ClassInfo.numbered(i, name) for i, name in enumerate(names, start=1))


def trained(card: Any) -> Any:
    """A network whose weights all differ from those a fresh one starts with."""
    network = build_network(card)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for value in network.state_dict().values():
            if value.is_floating_point():
                value.copy_(torch.rand(value.shape, generator=generator) * 0.1 + 0.1)
    return network.eval()


def head(network: Any) -> tuple[torch.Tensor, torch.Tensor]:
    state = network.state_dict()
    return state[f"{HEAD}.weight"], state[f"{HEAD}.bias"]


def test_rows_of_equal_names_are_kept_wherever_they_go(make_card: Any) -> None:
    """M4"""
    card = make_card(names=("femur", "tibia"), scores=(Score(metric="dice", value=0.9, on="x"),), sha256="a" * 64)
    old = trained(card)
    new_card, new = adapt_network(card, old, classes=classes("Tibia", "patella", "femur"), channels=1)
    for before, after in zip(head(old), head(new), strict=True):
        assert torch.equal(after[0], before[0])
        assert torch.equal(after[1], before[2])
        assert torch.equal(after[3], before[1])
    before, after = head(old)[0], head(new)[0]
    assert torch.allclose(after[2], before[1:].mean(0), atol=0.01)
    assert not torch.equal(after[2], before[1:].mean(0))
    assert new_card.out_channels == 4
    assert not new_card.scores
    assert not new_card.sha256


def test_all_other_weights_are_the_same_bits(make_card: Any) -> None:
    """M4"""
    card = make_card()
    old = trained(card)
    untouched = {k: v.clone() for k, v in old.state_dict().items()}
    new = adapt_network(card, old.train(), classes=classes("a", "b", "c"), channels=1)[1]
    assert new.training
    for key, value in new.state_dict().items():
        assert key.startswith(HEAD) or torch.equal(value, untouched[key]), key
    assert all(torch.equal(v, untouched[k]) for k, v in old.state_dict().items()), "the old network is not touched"
    with torch.no_grad():
        new.get_parameter(FIRST).zero_()
    assert bool(old.get_parameter(FIRST).any()), "no weight is shared"


def test_without_equal_names_values_decide(make_card: Any) -> None:
    """M4"""
    card = make_card(names=("class 1", "class 2"))
    old = trained(card)
    new = adapt_network(card, old, classes=classes("femur", "tibia", "patella"), channels=1)[1]
    assert torch.equal(head(new)[0][:3], head(old)[0])


def test_classes_that_become_one_are_averaged(make_card: Any) -> None:
    """M4"""
    card = make_card(names=("left", "right"))
    old = trained(card)
    new = adapt_network(card, old, classes=classes("bone"), channels=1)[1]
    for before, after in zip(head(old), head(new), strict=True):
        assert torch.equal(after[0], before[0])
        assert torch.allclose(after[1], before[1:].mean(0))


def test_new_classes_start_the_same_each_time_and_differ(make_card: Any) -> None:
    """M4"""
    card = make_card()
    old = trained(card)
    one, two = (head(adapt_network(card, old, classes=classes("femur", "a", "b"), channels=1)[1])[0] for _ in range(2))
    assert torch.equal(one, two)
    assert not torch.equal(one[2], one[3])


def test_the_same_classes_keep_the_scores(make_card: Any) -> None:
    card = make_card(scores=(Score(metric="dice", value=0.9, on="x"),))
    new_card, new = adapt_network(card, trained(card), classes=card.classes, channels=1)
    assert new_card == card
    assert new is not None


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1), (2, 4)])
@pytest.mark.parametrize("neighbours", [0, 1])
def test_a_grey_image_gives_the_same_result_in_other_channels(
    make_card: Any, before: int, after: int, neighbours: int
) -> None:
    """M3"""
    card = make_card(channels=before, neighbours=neighbours)
    old = trained(card)
    new_card, new = adapt_network(card, old, classes=card.classes, channels=after)
    assert new_card.channels == after
    slices = torch.rand(1, 2 * neighbours + 1, 1, 64, 64)
    with torch.inference_mode():
        one = old(slices.expand(-1, -1, before, -1, -1).flatten(1, 2))
        two = new(slices.expand(-1, -1, after, -1, -1).flatten(1, 2))
    assert torch.allclose(one, two, rtol=1e-3)


def test_names_of_channels_stay_with_their_number(make_card: Any) -> None:
    card = make_card(channels=2, channel_names=("t1", "flair"))
    network = build_network(card)
    for channels, names in ((2, ("t1", "flair")), (3, ())):
        assert adapt_network(card, network, classes=card.classes, channels=channels)[0].channel_names == names


def test_a_colour_normalisation_follows_the_channels(make_card: Any) -> None:
    """M3"""
    card = make_card(channels=3, normalisation=Normalisation(mean=(0.4, 0.5, 0.6), std=(0.1, 0.2, 0.3)))
    new_card, _ = adapt_network(card, build_network(card), classes=card.classes, channels=1)
    assert new_card.normalisation.mean == pytest.approx((0.5,))
    assert new_card.normalisation.std == pytest.approx((0.2,))


@pytest.mark.parametrize(
    ("architecture", "encoder", "network"),
    [
        ("fpn", "mobileone_s0", {}),
        ("deeplabv3plus", "timm-mobilenetv3_small_minimal_100", {}),
        ("dpt", "tu-vit_tiny_patch16_224", {"dynamic_img_size": True}),
    ],
)
def test_other_architectures_adapt(make_card: Any, architecture: str, encoder: str, network: dict[str, Any]) -> None:
    """M3, M4"""
    card = make_card(architecture=architecture, encoder=encoder, network=network)
    old = build_network(card).eval()
    _, new = adapt_network(card, old, classes=classes("a", "b", "c"), channels=3)
    with torch.inference_mode():
        image = torch.rand(1, 1, 64, 64)
        before, after = old(image), new(image.expand(-1, 3, -1, -1))
    assert after.shape == (1, 4, 64, 64)
    assert torch.allclose(before, after[:, :2], atol=1e-3)


def test_classes_that_share_a_value_are_refused(make_card: Any) -> None:
    card = make_card()
    with pytest.raises(ModelError, match=r"tiny cannot be adapted: .*share a value"):
        adapt_network(card, build_network(card), classes=(*card.classes, *card.classes), channels=1)


def test_classes_made_one_are_found_where_each_was() -> None:
    """Where one is, the other surely is not: the mean of both lies below the background."""

    def network(*rows: tuple[float, float, float]) -> nn.Module:
        head = nn.Conv2d(2, len(rows), 1)
        with torch.no_grad():
            head.weight.copy_(torch.tensor([row[:2] for row in rows])[..., None, None])
            head.bias.copy_(torch.tensor([row[2] for row in rows]))
        whole = nn.Sequential()
        whole.add_module("segmentation_head", nn.Sequential(head))
        return whole

    old = network((0, 0, 0), (20, -10, -10), (-10, 20, -10))
    new = network((0, 0, 0), (5, 5, -10))
    pixels = np.zeros((2, 8, 8), np.float32)
    pixels[0, :4], pixels[1, 6:] = 1, 1
    with torch.no_grad():
        assert not new(torch.from_numpy(pixels)[None]).argmax(1).any()
        level_merged(old, new, [pixels])
        found = new(torch.from_numpy(pixels)[None]).argmax(1)[0].numpy()
    np.testing.assert_array_equal(found > 0, pixels.any(0))
