"""Images and labels move together."""

from __future__ import annotations

import pytest
import torch

from napari_medseg.training.augment import augment
from napari_medseg.training.losses import IGNORE
from napari_medseg.training.presets import AUGMENTATIONS, Augmentation

any_preset = pytest.mark.parametrize("preset", AUGMENTATIONS.values(), ids=AUGMENTATIONS)


def checkerboard(side: int = 128, square: int = 16) -> torch.Tensor:
    index = torch.arange(side) // square
    return (index[:, None] + index[None]) % 2


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


@any_preset
def test_labels_move_exactly_with_the_image(preset: Augmentation) -> None:
    board = checkerboard().expand(8, -1, -1)
    still = Augmentation(
        mirror=preset.mirror, turn=preset.turn, scale=preset.scale, shift=preset.shift, elastic=preset.elastic
    )
    image, labels = augment(board[:, None].float(), board, still, generator())
    # Between two squares the image has a mean; elsewhere both must say the same.
    clear = (labels != IGNORE) & ((image[:, 0] - 0.5).abs() > 0.45)
    assert clear.float().mean() > 0.4
    assert ((image[:, 0] > 0.5) == (labels == 1))[clear].float().mean() > 0.999
    known = labels != IGNORE
    assert ((image[:, 0] > 0.5) == (labels == 1))[known].float().mean() > 0.985


def test_mirroring_alone_changes_no_value() -> None:
    image = torch.rand(4, 1, 32, 32, generator=generator())
    labels = torch.randint(0, 3, (4, 32, 32), generator=generator())
    moved, moved_labels = augment(image, labels, Augmentation(mirror=1.0), generator())
    assert torch.allclose(moved, image.flip(-1), atol=1e-5)
    assert (moved_labels == labels.flip(-1)).all()


def test_sides_stay_sides() -> None:
    left = torch.zeros(16, 64, 64, dtype=torch.long)
    left[:, 16:48, 8:24] = 1
    for preset in AUGMENTATIONS.values():
        _, labels = augment(left[:, None].float(), left, preset, generator(), sides=True)
        columns = [(one == 1).nonzero()[:, 1].float().mean().item() for one in labels]
        assert max(columns) < 32


def test_what_lies_outside_of_the_image_does_not_count() -> None:
    image, labels = torch.ones(1, 1, 64, 64), torch.ones(1, 64, 64, dtype=torch.long)
    moved, moved_labels = augment(image, labels, Augmentation(scale=(0.5, 0.5)), generator())
    assert set(moved_labels.unique().tolist()) == {IGNORE, 1}
    assert (moved[0, 0][moved_labels[0] == 1] > 0.4).all()


@any_preset
@pytest.mark.parametrize("channels", [1, 3])
def test_values_stay_finite_even_of_constant_images(preset: Augmentation, channels: int) -> None:
    """V2."""
    labels = torch.zeros(2, 48, 32, dtype=torch.long)
    for image in (torch.zeros(2, channels, 48, 32), torch.rand(2, channels, 48, 32)):
        moved, _ = augment(image, labels, preset, generator())
        assert moved.shape == image.shape
        assert torch.isfinite(moved).all()
