"""Thighs and heads on the device asked for: the same picture on each, which is the picture this seed always had."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_medseg.phantoms import femur_ct, femur_sample, femur_slices
from napari_medseg.phantoms.brain import draw_head
from napari_medseg.phantoms.femur import draw_thighs, series_cuts, single_cuts

CUTS = single_cuts(5, [0.03, 0.5, 0.97])

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no graphics card here")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=needs_cuda)])
def device(request):
    return torch.device(request.param)


def test_a_seed_is_the_same_person_in_thighs_on_any_device(device):
    made = draw_thighs(5, CUTS, size=64, window=False, device=device)
    assert made.image.device.type == made.labels.device.type == device.type
    assert (made.image.dtype, made.labels.dtype) == (torch.int16, torch.uint8)
    assert made.spacing == pytest.approx((2.300092, 9.669392, 9.669392))
    np.testing.assert_allclose(made.image.float().mean((1, 2)).cpu(), [-955.62, -1096.81, -1154.0], atol=0.1)
    areas = [[int((labels == value).sum()) for value in (1, 2)] for labels in made.labels]
    np.testing.assert_allclose(areas, [[35, 33], [9, 11], [37, 40]], atol=1)


@pytest.mark.parametrize(
    ("seed", "varied", "means", "areas"),
    [
        (3, False, [45.18, 32.73, 51.45], [0, 0, 0, 52, 48, 0]),
        (9, True, [31.13, 24.48, 45.64], [0, 56, 133, 68, 0, 0]),
    ],
)
def test_a_seed_is_the_same_head_on_any_device(device, seed, varied, means, areas):
    head = draw_head(seed, slices=6, size=48, varied=varied, device=device)
    assert head.values.device.type == head.tumour.device.type == device.type
    assert (head.values.shape, head.values.dtype) == ((6, 3, 48, 48), torch.uint8)
    assert (head.tumour.shape, head.tumour.dtype) == ((6, 48, 48), torch.bool)
    np.testing.assert_allclose(head.values.float().mean((0, 2, 3)).cpu(), means, atol=0.02)
    np.testing.assert_allclose(head.tumour.sum((1, 2)).cpu(), areas, atol=1)


@pytest.mark.parametrize("seed", range(8))
def test_nothing_is_made_on_the_default_device(seed):
    """What does not say where it lies would lie there, and meta tensors do not mix with others."""
    cuts = series_cuts(seed, 5)
    wanted = draw_thighs(seed, cuts, size=48), draw_head(seed, slices=4, size=32, varied=seed % 2 > 0)
    with torch.device("meta"):
        made = draw_thighs(seed, cuts, size=48, device="cpu")
        head = draw_head(seed, slices=4, size=32, varied=seed % 2 > 0, device="cpu")
    assert torch.equal(made.image, wanted[0].image)
    assert torch.equal(made.labels, wanted[0].labels)
    assert torch.equal(head.values, wanted[1].values)
    assert torch.equal(head.tumour, wanted[1].tumour)


def test_arrays_hold_what_the_tensors_hold(device):
    image, labels, spacing = femur_slices(5, CUTS.levels, size=64, device=device)
    made = draw_thighs(5, CUTS, size=64, device=device)
    np.testing.assert_array_equal(image, made.image.cpu())
    np.testing.assert_array_equal(labels, made.labels.cpu())
    assert spacing == made.spacing
    head = draw_head(3, slices=6, size=48, device=device)
    values, mask, _ = head.arrays()
    assert (values.dtype, mask.dtype) == (np.uint8, np.uint8)
    np.testing.assert_array_equal(np.moveaxis(values, -1, 1), head.values.cpu())
    np.testing.assert_array_equal(mask, head.tumour.cpu())


def test_series_take_a_device(device):
    image, labels, spacing = femur_ct(2, slices=2, size=48, device=device)
    assert image.shape == labels.shape == (2, 48, 48)
    assert len(spacing) == 3


def test_drawing_tells_of_every_slice():
    told = []
    femur_sample(2, slices=3, size=48, report=lambda progress: told.append((progress.done, progress.total)))
    assert told == [(1, 3), (2, 3), (3, 3)]
