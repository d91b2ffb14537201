"""Every loss sees labelled pixels only."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from napari_medseg.training.losses import (
    HEAVIEST,
    IGNORE,
    LOSSES,
    binary_cross_entropy,
    class_weights,
    cross_entropy,
    focal,
    on_labelled,
    overlap,
    tversky,
)

any_loss = pytest.mark.parametrize("name", LOSSES)
any_count = pytest.mark.parametrize("classes", range(1, 7))


def example(classes: int = 3, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, classes, 16, 16, generator=generator)
    target = torch.randint(0, classes, (2, 16, 16), generator=generator)
    target[:, :, 10:] = IGNORE
    return logits, target


def value_and_gradient(name: str, logits: torch.Tensor, target: torch.Tensor) -> tuple[float, torch.Tensor]:
    """The loss and its gradient, (N, H, W, K)."""
    given_logits = logits.clone().requires_grad_()
    value = LOSSES[name](given_logits, target)
    value.backward()
    return value.item(), given_logits.grad.permute(0, 2, 3, 1)


@any_loss
@pytest.mark.parametrize("content", [50.0, -1e30, math.inf, -math.inf, math.nan])
def test_unlabelled_pixels_change_neither_value_nor_gradient(name: str, content: float) -> None:
    logits, target = example()
    changed = logits.clone()
    changed[:, 1:].permute(0, 2, 3, 1)[target == IGNORE] = content
    value, gradient = value_and_gradient(name, logits, target)
    other, other_gradient = value_and_gradient(name, changed, target)
    assert value == other
    assert torch.equal(gradient, other_gradient)
    assert (gradient[target == IGNORE] == 0).all()
    assert (gradient[target != IGNORE] != 0).any(-1).float().mean() > 0.9


@settings(deadline=None, max_examples=60)
@given(
    name=st.sampled_from(sorted(LOSSES)),
    classes=st.integers(1, 6),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    share=st.floats(0, 1),
    size=st.sampled_from([1e-3, 1.0, 30.0, 1e4, 1e30]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_batch_gives_a_finite_loss_of_its_labelled_pixels(
    name: str, classes: int, shape: tuple[int, int, int], share: float, size: float, seed: int
) -> None:
    """T1, T2: any number of classes, present or not, any share of labelled pixels, however extreme the logits."""
    generator = torch.Generator().manual_seed(seed)
    logits = size * torch.randn((shape[0], classes, *shape[1:]), generator=generator)
    target = torch.randint(0, classes, shape, generator=generator)
    target[torch.rand(shape, generator=generator) >= share] = IGNORE
    value, gradient = value_and_gradient(name, logits, target)
    assert math.isfinite(value)
    assert value >= -1e-5
    assert torch.isfinite(gradient).all()
    assert (gradient[target == IGNORE] == 0).all()
    # The labelled pixels by themselves, in a row, without any that is unlabelled.
    labelled = target != IGNORE
    alone = logits.permute(0, 2, 3, 1)[labelled].T[None, :, None]
    expected, _ = value_and_gradient(name, alone, target[labelled][None, None])
    assert value == pytest.approx(expected, rel=1e-4, abs=1e-5)


@any_loss
def test_more_unlabelled_pixels_do_not_change_the_value(name: str) -> None:
    logits, target = example()
    wider = functional.pad(logits, (0, 400))
    more = functional.pad(target, (0, 400), value=IGNORE)
    assert LOSSES[name](wider, more).item() == pytest.approx(LOSSES[name](logits, target).item(), abs=1e-5)


@any_loss
@any_count
def test_nothing_labelled_is_no_loss_and_no_gradient(name: str, classes: int) -> None:
    logits, target = example(classes)
    value, gradient = value_and_gradient(name, logits, torch.full_like(target, IGNORE))
    assert value == 0
    assert (gradient == 0).all()


@any_loss
@any_count
def test_one_class_alone_can_be_learnt(name: str, classes: int) -> None:
    """T1: a batch of nothing but one class gives a finite loss; a step downhill makes that class more likely."""
    for k in range(classes):
        logits, target = example(classes, seed=k)
        target[target != IGNORE] = k
        value, gradient = value_and_gradient(name, logits, target)
        assert math.isfinite(value)
        assert torch.isfinite(gradient).all()
        # Without any foreground there is no overlap to speak of.
        if classes > 1 and (k or name not in {"dice", "tversky"}):
            assert (gradient[target != IGNORE][:, k] < 0).all()


@any_loss
def test_right_is_better_than_wrong(name: str) -> None:
    _, target = example()
    truth = functional.one_hot(target.clamp(min=0), 3).permute(0, 3, 1, 2).float()
    right, wrong = LOSSES[name](20 * truth, target), LOSSES[name](-20 * truth, target)
    assert right.item() < 0.05
    assert wrong.item() > right.item() + 0.5


@any_loss
def test_one_labelled_pixel_is_enough(name: str) -> None:
    """T2."""
    logits, target = example()
    single = torch.full_like(target, IGNORE)
    single[0, 3, 3] = 1
    value, gradient = value_and_gradient(name, logits, single)
    assert math.isfinite(value)
    assert (gradient[0, 3, 3] != 0).all()


def test_weights_of_rare_classes_are_bounded() -> None:
    truth = torch.zeros(3, 1000)
    truth[0, :990] = 1
    truth[1, 990:999] = 1
    truth[2, 999:] = 1
    weights = class_weights(truth).flatten()
    assert weights[0].item() == pytest.approx(1 / math.sqrt(0.99))
    assert weights[1].item() == HEAVIEST
    assert weights[2].item() == HEAVIEST


# Oracles: the textbook formulas in plain numpy, double precision, over batches in which everything is labelled.


def softmax(logits: torch.Tensor) -> np.ndarray:
    """Probabilities, (pixels, K)."""
    values = np.exp(np.moveaxis(logits.double().numpy(), 1, -1).reshape(-1, logits.shape[1]))
    return values / values.sum(1, keepdims=True)


def rare(classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and targets in which the last class is rare."""
    logits, target = example(classes)
    target = target.clamp(min=0)
    target[target == classes - 1] = 0
    target[0, 0, :2] = classes - 1
    return logits, target


def weights_of(flat: np.ndarray, classes: int) -> np.ndarray:
    shares = np.array([(flat == k).mean() for k in range(classes)])
    return np.array([min(5, 1 / math.sqrt(share)) if share else 0 for share in shares])[flat]


def numpy_tversky(chance: np.ndarray, flat: np.ndarray, false_positive: float, false_negative: float) -> float:
    indices = []
    for k in range(1, chance.shape[1]):
        p, truth = chance[:, k], flat == k
        if truth.any():
            hit = (p * truth).sum() + 0.5
            indices.append(hit / (hit + false_positive * (p * ~truth).sum() + false_negative * ((1 - p) * truth).sum()))
    return 1 - float(np.mean(indices))


def numpy_losses(logits: torch.Tensor, target: torch.Tensor) -> dict[str, float]:
    chance, flat = softmax(logits), target.numpy().ravel()
    own = chance[np.arange(len(flat)), flat]
    weights = weights_of(flat, logits.shape[1])
    truth = np.eye(logits.shape[1])[flat]
    ce = -(weights * np.log(own)).sum() / weights.sum()
    bce = -(truth * np.log(chance) + (1 - truth) * np.log(1 - chance)).mean()
    dice = numpy_tversky(chance, flat, 0.5, 0.5)
    return {
        "dice-ce": dice + ce,
        "dice": dice,
        "bce-dice": dice + 0.8 * bce,
        "focal": -(weights * (1 - own) ** 2 * np.log(own)).sum() / weights.sum(),
        "tversky": numpy_tversky(chance, flat, 0.3, 0.7),
    }


@any_loss
@pytest.mark.parametrize("classes", range(2, 7))
def test_where_all_is_labelled_it_is_the_textbooks(name: str, classes: int) -> None:
    logits, target = rare(classes)
    assert LOSSES[name](logits, target).item() == pytest.approx(numpy_losses(logits, target)[name], rel=1e-5)


def test_cross_entropy_is_torchs() -> None:
    """Also with unlabelled pixels: ignored, and weighted by class."""
    logits, target = example(4)
    flat = target[target != IGNORE].numpy()
    shares = torch.tensor([(flat == k).mean() for k in range(4)], dtype=torch.float32)
    expected = functional.cross_entropy(logits, target, weight=shares.rsqrt(), ignore_index=IGNORE)
    assert on_labelled((1.0, cross_entropy))(logits, target).item() == pytest.approx(expected.item(), rel=1e-5)


def test_dice_is_of_the_whole_batch_and_of_classes_that_are_there() -> None:
    logits, target = example(3)
    target[0][target[0] == 2] = IGNORE
    flat = target.flatten()
    chance = torch.from_numpy(softmax(logits))
    labelled = flat != IGNORE
    expected = numpy_tversky(chance[labelled].numpy(), flat[labelled].numpy(), 0.5, 0.5)
    assert LOSSES["dice"](logits, target).item() == pytest.approx(expected, rel=1e-5)
    # Of a class that is nowhere in the batch, Dice has nothing to say.
    target[target == 2] = IGNORE
    chance, flat = softmax(logits), target.numpy().ravel()
    expected = numpy_tversky(chance[flat != IGNORE], flat[flat != IGNORE], 0.5, 0.5)
    assert LOSSES["dice"](logits, target).item() == pytest.approx(expected, rel=1e-5)


def test_tversky_minds_what_is_missed_more_than_what_is_too_much() -> None:
    target = torch.zeros(1, 16, 16, dtype=torch.long)
    target[:, 4:12, 4:12] = 1

    def said(rows: slice) -> torch.Tensor:
        found = torch.zeros(1, 16, 16)
        found[:, rows, 4:12] = 1
        return 20 * torch.stack([1 - found, found], 1)

    too_small, too_large = said(slice(4, 10)), said(slice(4, 14))
    assert LOSSES["tversky"](too_small, target) > LOSSES["tversky"](too_large, target)


@pytest.mark.parametrize("part", [cross_entropy, focal, overlap, tversky, binary_cross_entropy])
def test_gradients_are_those_of_the_value(part: object) -> None:
    """Finite differences, double precision, with unlabelled pixels and a class that is not there."""
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(1, 3, 3, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    target = torch.tensor([[[0, 1, IGNORE], [1, 0, 0], [IGNORE, 1, 0]]])
    assert torch.autograd.gradcheck(lambda x: on_labelled((1.0, part))(x, target), (logits,))
