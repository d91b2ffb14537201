"""Every loss sees labelled pixels only."""

from __future__ import annotations

import math

import pytest
import torch

from napari_medseg.training.losses import HEAVIEST, IGNORE, LOSSES, class_weights

any_loss = pytest.mark.parametrize("name", LOSSES)


def example() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 16, 16, generator=generator)
    target = torch.randint(0, 3, (2, 16, 16), generator=generator)
    target[:, :, 10:] = IGNORE
    return logits, target


@any_loss
def test_unlabelled_pixels_change_neither_value_nor_gradient(name: str) -> None:
    logits, target = example()
    changed = logits.clone()
    changed.permute(0, 2, 3, 1)[target == IGNORE] = 50.0
    values, gradients = [], []
    for given in (logits, changed):
        given.requires_grad_()
        value = LOSSES[name](given, target)
        value.backward()
        values.append(value.item())
        gradients.append(given.grad.permute(0, 2, 3, 1))
    assert values[0] == pytest.approx(values[1], abs=1e-6)
    for gradient in gradients:
        assert (gradient[target == IGNORE] == 0).all()
        assert (gradient[target != IGNORE] != 0).any()


@any_loss
def test_more_unlabelled_pixels_do_not_change_the_value(name: str) -> None:
    logits, target = example()
    wider = torch.nn.functional.pad(logits, (0, 40))
    more = torch.nn.functional.pad(target, (0, 40), value=IGNORE)
    assert LOSSES[name](wider, more).item() == pytest.approx(LOSSES[name](logits, target).item(), abs=1e-5)


@any_loss
def test_nothing_labelled_is_no_loss_and_no_gradient(name: str) -> None:
    logits, target = example()
    logits.requires_grad_()
    value = LOSSES[name](logits, torch.full_like(target, IGNORE))
    value.backward()
    assert value.item() == 0
    assert (logits.grad == 0).all()


@any_loss
def test_right_is_better_than_wrong(name: str) -> None:
    _, target = example()
    truth = torch.nn.functional.one_hot(target.clamp(min=0), 3).permute(0, 3, 1, 2).float()
    right, wrong = LOSSES[name](20 * truth, target), LOSSES[name](-20 * truth, target)
    assert right.item() < 0.05
    assert wrong.item() > right.item() + 0.5


@any_loss
def test_one_labelled_pixel_is_enough(name: str) -> None:
    """T2."""
    logits, target = example()
    single = torch.full_like(target, IGNORE)
    single[0, 3, 3] = 1
    assert math.isfinite(LOSSES[name](logits, single).item())


def test_weights_of_rare_classes_are_bounded() -> None:
    truth = torch.zeros(3, 1000)
    truth[0, :990] = 1
    truth[1, 990:999] = 1
    truth[2, 999:] = 1
    weights = class_weights(truth).flatten()
    assert weights[0].item() == pytest.approx(1 / math.sqrt(0.99))
    assert weights[1].item() == HEAVIEST
    assert weights[2].item() == HEAVIEST
