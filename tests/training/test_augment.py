"""Images and labels move together, and only as far as they may."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_medseg.training.augment import augment
from napari_medseg.training.channels import GREY, Channels
from napari_medseg.training.losses import IGNORE
from napari_medseg.training.presets import AUGMENTATIONS, AUTO, FEW, Augmentation, choose_preset
from napari_medseg.training.values import Chance

PLACE = ("mirror", "turn", "shear", "scale", "shift", "elastic", "any_up")
"""Options that change where a pixel is; the others change its value."""

MOVES = {
    "mirror": Augmentation(mirror=0.5),
    "turn": Augmentation(turn=25),
    "shear": Augmentation(shear=25),
    "scale": Augmentation(scale=(0.6, 1.7)),
    "shift": Augmentation(shift=0.2),
    "elastic": Augmentation(elastic=0.06),
    "any up": Augmentation(any_up=True, mirror=0.5),
}
KINDS = [GREY, Channels("photo")]

any_preset = pytest.mark.parametrize("preset", AUGMENTATIONS.values(), ids=AUGMENTATIONS)
any_move = pytest.mark.parametrize("preset", [*MOVES.values(), *AUGMENTATIONS.values()], ids=[*MOVES, *AUGMENTATIONS])
any_shape = pytest.mark.parametrize("shape", [(64, 64), (63, 47), (48, 96), (1, 33)], ids=str)
any_kind = pytest.mark.parametrize("channels", KINDS, ids=lambda c: c.kind)


def generator(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def movement(preset: Augmentation) -> Augmentation:
    """The preset without what changes values."""
    return Augmentation(**{name: getattr(preset, name) for name in PLACE})


def positions(shape: tuple[int, int], n: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    """Images whose three channels are row, column and 0, and labels that number the pixels."""
    rows, columns = torch.meshgrid(*(torch.arange(side) for side in shape), indexing="ij")
    image = torch.stack([rows, columns, 0 * rows]).float().expand(n, -1, -1, -1)
    return image, (rows * shape[1] + columns).expand(n, -1, -1)


def checkerboard(shape: tuple[int, int], square: int = 16) -> torch.Tensor:
    rows, columns = torch.meshgrid(*(torch.arange(side) // square for side in shape), indexing="ij")
    return (rows + columns) % 2


@any_kind
@any_shape
@any_move
def test_every_label_comes_from_the_pixel_nearest_to_its_images_place(
    preset: Augmentation, shape: tuple[int, int], channels: Channels
) -> None:
    """The image says where it was sampled, the label which pixel it is: never more than half a pixel apart."""
    image, labels = positions(shape)
    moved, found = augment(image, labels, movement(preset), generator(), channels=channels)
    # Across the outermost half pixel the image fades, so only what lies within the centres says its place exactly.
    weight, _ = augment(torch.ones_like(image), labels, movement(preset), generator(), channels=channels)
    inside = (found != IGNORE) & (weight[:, 0] > 1 - 1e-5)
    if min(shape) > 1:
        assert inside.float().mean() > 0.3
    for place, wanted in ((moved[:, 0], found // shape[1]), (moved[:, 1], found % shape[1])):
        away = (place - wanted)[inside].abs()
        assert away.numel() == 0 or away.max() <= 0.5 + 2e-3


@any_move
def test_a_checkerboard_stays_one(preset: Augmentation) -> None:
    for shape in ((128, 128), (127, 95), (96, 160)):
        board = checkerboard(shape).expand(4, -1, -1)
        image, labels = augment(board[:, None].float(), board, movement(preset), generator())
        # Between two squares the image has a mean; elsewhere both must say the same.
        clear = (labels != IGNORE) & ((image[:, 0] - 0.5).abs() > 0.45)
        assert clear.float().mean() > 0.3
        assert ((image[:, 0] > 0.5) == (labels == 1))[clear].float().mean() > 0.999
        known = labels != IGNORE
        assert ((image[:, 0] > 0.5) == (labels == 1))[known].float().mean() > 0.98


def test_mirroring_alone_changes_no_value() -> None:
    image = torch.rand(4, 1, 32, 32, generator=generator())
    labels = torch.randint(0, 3, (4, 32, 32), generator=generator())
    moved, moved_labels = augment(image, labels, Augmentation(mirror=1.0), generator())
    assert torch.allclose(moved, image.flip(-1), atol=1e-5)
    assert (moved_labels == labels.flip(-1)).all()


def test_quarter_turns_are_exact_and_all_of_them_happen() -> None:
    image = torch.rand(1, 3, 33, 33, generator=generator())
    labels = torch.randint(0, 3, (1, 33, 33), generator=generator())
    seen = set()
    for seed in range(40):
        moved, found = augment(image, labels, Augmentation(mirror=0.5), generator(seed), channels=Channels("photo"))
        alike = [
            (turns, mirrored)
            for turns in range(4)
            for mirrored in (False, True)
            if (found == (labels.flip(-1) if mirrored else labels).rot90(turns, (-2, -1))).all()
        ]
        assert len(alike) == 1
        turns, mirrored = alike[0]
        assert torch.allclose(moved, (image.flip(-1) if mirrored else image).rot90(turns, (-2, -1)), atol=1e-4)
        seen.add(alike[0])
    assert len(seen) == 8


@pytest.mark.parametrize("kind", ["grey", "photo", "stain", "sequences"])
@any_preset
def test_sides_stay_sides(preset: Augmentation, kind: str) -> None:
    """Neither mirrored nor turned by 90 or 180 degrees, whatever the image is."""
    image, labels = positions((64, 64), 32)
    _, found = augment(image, labels, preset, generator(), sides=True, channels=Channels(kind))
    known = found != IGNORE
    rows, columns = (found // 64).float(), (found % 64).float()
    middle = known[:, 24, 24] & known[:, 40, 24] & known[:, 24, 40]
    assert middle.float().mean() > 0.8
    assert ((rows[:, 40, 24] - rows[:, 24, 24])[middle] > 5).all()
    assert ((columns[:, 24, 40] - columns[:, 24, 24])[middle] > 5).all()


def test_scans_keep_their_up_unless_asked() -> None:
    image, labels = positions((64, 64), 32)
    for kind in ("grey", "sequences"):
        _, found = augment(image, labels, AUGMENTATIONS["medium"], generator(), channels=Channels(kind))
        rows = (found // 64).float()
        known = (found[:, 40, 32] != IGNORE) & (found[:, 24, 32] != IGNORE)
        assert (rows[:, 40, 32] - rows[:, 24, 32])[known].min() > 5


def test_what_lies_outside_of_the_image_does_not_count() -> None:
    image, labels = torch.ones(1, 3, 64, 64), torch.ones(1, 64, 64, dtype=torch.long)
    for channels in KINDS:
        moved, found = augment(image, labels, Augmentation(scale=(0.5, 0.5)), generator(), channels=channels)
        assert set(found.unique().tolist()) == {IGNORE, 1}
        assert (found == 1).sum() == 32 * 32
        assert (moved[0, 0][found[0] == 1] > 0.2).all()
    # A picture goes on beyond its edge; around a scan there is nothing.
    assert (moved == 1).all()


def test_the_air_around_a_moved_scan_is_background_but_drowns_no_strokes() -> None:
    image, far = torch.ones(1, 1, 64, 64), Augmentation(scale=(0.5, 0.5), air=0.5)
    whole = torch.ones(1, 64, 64, dtype=torch.long)
    strokes = torch.full((1, 64, 64), IGNORE)
    strokes[:, 30:34, 8:56] = 1
    for labels in (whole, strokes):
        moved, found = augment(image, labels, far, generator())
        air = (found == 0).sum()
        assert 0.35 < air / (found == 1).sum() < 0.65
        assert (moved[:, 0][found == 0] == 0).all(), "only where nothing can be seen"
    _, found = augment(image, whole, far, generator(), channels=Channels("photo"))
    assert not (found == 0).any(), "a picture goes on beyond its edge"
    _, found = augment(image, torch.full_like(whole, IGNORE), far, generator())
    assert (found == IGNORE).all()


def test_unlabelled_stays_unlabelled() -> None:
    labels = torch.full((4, 40, 40), IGNORE)
    labels[:, 10:14, 5:30] = 2
    for preset in (replace(one, air=0) for one in AUGMENTATIONS.values()):
        _, found = augment(torch.zeros(4, 1, 40, 40), labels, preset, generator())
        assert set(found.unique().tolist()) <= {IGNORE, 2}
        assert (found == 2).any()


@pytest.mark.parametrize("kind", ["grey", "photo", "stain", "sequences"])
@any_preset
def test_the_seed_decides_and_nothing_else(preset: Augmentation, kind: str) -> None:
    image = torch.rand(3, 3, 40, 32, generator=generator())
    labels = torch.randint(0, 3, (3, 40, 32), generator=generator())
    before = image.clone(), labels.clone(), torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    first = augment(image, labels, preset, generator(), channels=Channels(kind))
    second = augment(image, labels, preset, generator(), channels=Channels(kind))
    other = augment(image, labels, preset, generator(4), channels=Channels(kind))
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a, b)
    if preset != Augmentation():
        assert not torch.equal(first[0], other[0])
    assert torch.equal(image, before[0])
    assert torch.equal(labels, before[1])
    assert torch.equal(torch.get_rng_state(), before[2])
    assert np.random.get_state()[1].tolist() == before[3]
    assert random.getstate() == before[4]


@pytest.mark.parametrize("shape", [(64, 64), (48, 96), (95, 51)], ids=str)
def test_turned_images_are_not_sheared(shape: tuple[int, int]) -> None:
    """Steps along rows and columns of the sample stay at right angles and of one length in the image."""
    image, labels = positions(shape, 16)
    preset = Augmentation(turn=40, mirror=0.5, scale=(0.8, 1.3))
    moved, _ = augment(image, labels, preset, generator())
    y, x = shape[0] // 2, shape[1] // 2
    down = (moved[:, :2, y + 4, x] - moved[:, :2, y, x]) / 4
    right = (moved[:, :2, y, x + 4] - moved[:, :2, y, x]) / 4
    assert (down * right).sum(1).abs().max() < 1e-3
    assert torch.allclose(down.norm(dim=1), right.norm(dim=1), atol=1e-3)
    scales = 1 / down.norm(dim=1)
    assert scales.min() > 0.79
    assert scales.max() < 1.31
    assert scales.std() > 0.05
    angles = torch.rad2deg(torch.atan2(down[:, 1], down[:, 0]))
    assert 20 < angles.abs().max() <= 40


@pytest.mark.parametrize("shape", [(65, 65), (49, 97), (97, 49)], ids=str)
def test_a_shear_shifts_rows_along_themselves_by_its_angle(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By 20 degrees: what lies 12 rows below the middle comes from 12 tan 20 columns beside it; labels do, too."""
    monkeypatch.setattr(Chance, "around", lambda self, most, n: torch.full((n,), float(most)))
    image, labels = positions(shape, 1)
    moved, found = augment(image, labels, Augmentation(shear=20), generator())
    y, x = shape[0] // 2, shape[1] // 2
    for down in (-12, 0, 12):
        along = down * math.tan(math.radians(20))
        assert moved[0, :2, y + down, x].tolist() == pytest.approx([y + down, x + along], abs=1e-3)
        assert found[0, y + down, x] == (y + down) * shape[1] + round(x + along)


def test_a_turned_shear_is_one_all_the_same() -> None:
    """Angles between rows and columns differ from a right one by up to that, and areas stay."""
    image, labels = positions((48, 96), 64)
    moved, _ = augment(image, labels, Augmentation(turn=20, shear=15, mirror=0.5), generator())
    down = (moved[:, :2, 28, 48] - moved[:, :2, 20, 48]) / 8
    right = (moved[:, :2, 24, 52] - moved[:, :2, 24, 44]) / 8
    assert torch.allclose(right.norm(dim=1), torch.ones(64), atol=1e-3)
    area = down[:, 0] * right[:, 1] - down[:, 1] * right[:, 0]
    assert torch.allclose(area.abs(), torch.ones(64), atol=1e-3)
    slant = torch.rad2deg(torch.asin((down * right).sum(1) / down.norm(dim=1)))
    assert 10 < slant.max() <= 15.01
    assert -15.01 <= slant.min() < -10


def test_what_a_network_has_hardly_seen_is_varied_lightly() -> None:
    assert choose_preset(AUTO, 0) == choose_preset(AUTO, FEW - 1) == AUGMENTATIONS["light"]
    assert choose_preset(AUTO, FEW) == choose_preset(AUTO, float("inf")) == AUGMENTATIONS["medium"]
    assert choose_preset("heavy", 0) == AUGMENTATIONS["heavy"]
