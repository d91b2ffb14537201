"""Phantoms in torch: the same again for the same seed, whole values, and labels that lie where things are drawn."""

from __future__ import annotations

import pytest
import torch

from napari_medseg.phantoms.body import draw_ct_slices
from napari_medseg.phantoms.draw import Draw, Stars, stamp
from napari_medseg.phantoms.glands import draw_glands
from napari_medseg.phantoms.histology import draw_histology
from napari_medseg.phantoms.placing import place
from napari_medseg.phantoms.primitives import TYPES, draw_primitives
from napari_medseg.phantoms.xray import draw_chest_xrays

SIZE = 128

GENERATORS = {
    "histology": (draw_histology, ("nuclei", "glands", "tissue"), 3),
    "coarse histology": (lambda d, n, s: draw_histology(d, n, s, (1.5, 2.0)), ("nuclei", "glands", "tissue"), 3),
    "glands": (draw_glands, ("glands",), 3),
    "chest": (draw_chest_xrays, ("lungs",), 1),
    "ct": (draw_ct_slices, ("bones",), 1),
}


@pytest.fixture(scope="module", params=[*GENERATORS])
def drawn(request):
    generate, masks, channels = GENERATORS[request.param]
    return [generate(Draw(seed), 6, SIZE) for seed in (3, 3, 4)], masks, channels


def test_same_seed_draws_the_same_and_another_seed_does_not(drawn):
    (first, again, other), masks, _ = drawn
    for name in ("image", *masks):
        assert torch.equal(getattr(first, name), getattr(again, name))
    assert not torch.equal(first.image, other.image)


def test_samples_have_the_promised_form(drawn):
    (first, _, other), masks, channels = drawn
    for made in (first, other):
        assert made.image.shape == (6, channels, SIZE, SIZE)
        assert torch.isfinite(made.image).all()
        assert 0 <= made.image.min() <= made.image.max() <= 255
        assert torch.equal(made.image, made.image.round())
        for name in masks:
            mask = getattr(made, name)
            assert (mask.shape, mask.dtype) == ((6, SIZE, SIZE), torch.bool)
    assert all(getattr(first, name).float().mean() > 0.01 for name in masks)
    assert first.image.std((1, 2, 3)).min() > 3


@pytest.fixture(scope="module")
def patches():
    return draw_histology(Draw(11), 8, SIZE)


def test_nuclei_hold_more_haematoxylin_than_what_is_around_them(patches):
    darker = []
    for stain, nuclei in zip(patches.haematoxylin, patches.nuclei, strict=True):
        if 0.02 < nuclei.float().mean() < 0.9:
            darker.append(stain[nuclei].mean() > stain[~nuclei].mean() + 0.1)
    assert len(darker) >= 5
    assert all(darker)


def test_nuclei_are_darker_in_the_picture_too(patches):
    red = patches.image[:, 0]
    assert red[patches.nuclei].mean() < red[~patches.nuclei & patches.tissue].mean() - 10


def test_glands_lie_apart_and_are_stained_otherwise_than_what_is_between_them():
    made = draw_glands(Draw(2), 12, SIZE, (1.5, 1.5))
    shares = made.glands.float().mean((1, 2))
    assert ((shares > 0.05) & (shares < 0.9)).sum() >= 8
    different = []
    for image, glands in zip(made.image, made.glands, strict=True):
        if 0.05 < glands.float().mean() < 0.9:
            inside, between = image[:, glands].mean(1), image[:, ~glands].mean(1)
            different.append(float((inside - between).abs().max()))
    assert sorted(different)[len(different) // 2] > 10


def test_finer_pixels_make_larger_nuclei():
    fine, coarse = (draw_histology(Draw(5), 4, SIZE, (p, p)) for p in (0.25, 1.0))
    borders = []
    for made in (fine, coarse):
        change = (made.nuclei[:, 1:] != made.nuclei[:, :-1]).float().mean()
        borders.append(change / made.nuclei.float().mean())
    assert borders[1] > 1.8 * borders[0]


def test_lungs_are_darker_than_the_body_beside_them():
    made = draw_chest_xrays(Draw(2), 8, SIZE)
    pairs = zip(made.image[:, 0], made.lungs, strict=True)
    darker = [image[lungs].mean() < image[~lungs & (image > 20)].mean() for image, lungs in pairs]
    assert sum(darker) >= 6


def test_bones_are_denser_than_what_is_around_them():
    made = draw_ct_slices(Draw(2), 8, SIZE)
    flesh = ~made.bones & (made.hu > -200)
    assert made.hu[made.bones].mean() > made.hu[flesh].mean() + 100
    assert made.hu.min() >= -2000
    assert made.hu.max() <= 3071


def test_stamped_circle_has_its_radius_and_its_owner():
    one, zero = torch.ones(2), torch.zeros(2, 4)
    stars = Stars(torch.tensor([0, 1]), 20 * one, 30 * one, torch.tensor([5.3, 9.3]), torch.tensor([5.3, 9.3]),
                  0 * one, zero, zero)  # fmt: skip
    found = stamp(stars, 2, 64)
    areas = (found.depth < 0).sum((1, 2)).float()
    assert torch.allclose(areas, torch.pi * torch.tensor([28.1, 86.5]), rtol=0.06)
    assert abs(found.depth[1, 20, 30 + 7] + 2.3) < 0.1
    assert found.owner[1, 20, 30] == 1


def test_placed_points_keep_their_distance():
    def choose(rows, columns):
        return torch.full_like(rows, 0.7), torch.full_like(rows, 4.0)

    points = place(Draw(1), 2, 100.0, choose)
    where = torch.stack([points.row, points.column + 1000 * points.image], 1)
    apart = torch.cdist(where, where).fill_diagonal_(99)
    assert apart.min() >= 7.99
    # As close as random packing gets: half of the area that circles of this distance could cover.
    assert len(points) * 3.14 * 16 > 0.3 * 2 * 124**2


def test_primitives_show_every_type_in_many_contrasts():
    made = draw_primitives(Draw(1), 8, SIZE)
    again = draw_primitives(Draw(1), 8, SIZE)
    assert torch.equal(made.image, again.image)
    assert torch.equal(made.labels, again.labels)
    assert made.image.shape == (8, 3, SIZE, SIZE)
    assert made.labels.shape == (8, SIZE, SIZE)
    assert made.image.min() >= 0
    assert made.image.max() <= 1
    assert set(made.labels.unique().tolist()) == set(range(len(TYPES) + 1))
    tints = (made.image - made.image.mean(1, keepdim=True)).abs().mean((1, 2, 3))
    assert 0 < (tints < 0.06).sum() < 8


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("ellipse", (0, 0), (0.9, 0.9)),
        ("ring", (0, 0.9), (0, 0)),
        ("crescent", (-0.8, 0), (0.7, 0)),
        ("triangle", (0, 0), (-0.9, 0)),
        ("rectangle", (0.6, 0), (0.7, 0.7)),
        ("rod", (0.9, 0), (0, 0.5)),
        ("cross", (0, 0.9), (0.6, 0.6)),
        ("star", (0, 0), (1, 0)),
    ],
)
def test_each_primitive_has_the_outline_of_its_name(name, inside, outside):
    share = torch.tensor(0.5)
    depths = [float(TYPES[name](*(torch.tensor(float(x)) for x in at), share)) for at in (inside, outside)]
    assert depths[0] < 0 < depths[1]
