"""Values vary where they stand, as the kind of image allows."""

from __future__ import annotations

import pytest
import torch
from skimage.color import combine_stains, hed_from_rgb, rgb_from_hed, separate_stains

from napari_medseg.training.augment import augment
from napari_medseg.training.channels import Channels
from napari_medseg.training.presets import AUGMENTATIONS, Augmentation
from napari_medseg.training.values import Chance, change_colours

ALONE = {
    "brightness": Augmentation(brightness=0.5),
    "contrast": Augmentation(contrast=0.5),
    "gamma": Augmentation(gamma=0.5),
    "colour": Augmentation(colour=0.5),
    "uneven": Augmentation(uneven=0.5),
    "stain": Augmentation(stain=0.3),
    "hue": Augmentation(hue=20),
    "channel drop": Augmentation(channel_drop=1),
    "channel copy": Augmentation(channel_copy=1),
    "channels same": Augmentation(channel_same=1),
    "noise": Augmentation(noise=0.2),
    "blur": Augmentation(blur=1),
    "coarse": Augmentation(coarse=1),
    "cutout": Augmentation(cutout=3),
}
USED_BY = {
    "colour": {"sequences", "photo"},
    "uneven": {"sequences"},
    "stain": {"stain"},
    "hue": {"stain", "photo"},
    "channel drop": {"sequences"},
    "channel copy": {"sequences"},
    "channels same": {"sequences"},
}
any_kind = pytest.mark.parametrize("kind", ["grey", "sequences", "photo", "stain"])
any_preset = pytest.mark.parametrize("preset", AUGMENTATIONS.values(), ids=AUGMENTATIONS)


def generator(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int = 6, channels: int = 3, shape: tuple[int, int] = (40, 31)) -> tuple[torch.Tensor, torch.Tensor]:
    image = torch.rand(n, channels, *shape, generator=generator()) * 0.8 + 0.1
    return image, torch.randint(0, 3, (n, *shape), generator=generator())


@any_kind
@pytest.mark.parametrize("name", ALONE)
def test_one_option_alone_changes_values_of_its_kinds_and_no_label(name: str, kind: str) -> None:
    image, labels = pictures()
    changed, found = augment(image, labels, ALONE[name], generator(), channels=Channels(kind))
    assert torch.equal(found, labels)
    assert changed.shape == image.shape
    assert torch.isfinite(changed).all()
    by_sample = (changed - image).abs().amax((1, 2, 3))
    if kind in USED_BY.get(name, {kind}):
        assert (by_sample > 1e-3).all()
    else:
        assert by_sample.max() < 1e-5


@any_kind
@any_preset
@pytest.mark.parametrize("channels", [1, 3])
def test_values_stay_finite_even_of_constant_images(preset: Augmentation, kind: str, channels: int) -> None:
    """V2."""
    if channels == 1 and kind in {"photo", "stain"}:
        return
    labels = torch.zeros(2, 48, 32, dtype=torch.long)
    for image in (torch.zeros(2, channels, 48, 32), torch.ones(2, channels, 48, 32), torch.rand(2, channels, 48, 32)):
        for seed in range(3):
            moved, _ = augment(image, labels, preset, generator(seed), channels=Channels(kind))
            assert moved.shape == image.shape
            assert torch.isfinite(moved).all()


def test_samples_of_one_batch_vary_differently() -> None:
    image = torch.rand(1, 1, 32, 32, generator=generator()).expand(4, -1, -1, -1)
    labels = torch.zeros(4, 32, 32, dtype=torch.long)
    for name in ("brightness", "contrast", "gamma", "noise", "blur", "coarse", "cutout"):
        changed, _ = augment(image, labels, ALONE[name], generator())
        for i in range(3):
            assert not torch.allclose(changed[i], changed[i + 1], atol=1e-4), name


def test_blur_and_low_resolution_soften_and_keep_the_mean() -> None:
    image, labels = pictures(shape=(64, 64))
    for name in ("blur", "coarse"):
        changed, _ = augment(image, labels, ALONE[name], generator())
        assert (changed.std((2, 3)) < 0.9 * image.std((2, 3))).all()
        assert torch.allclose(changed.mean((2, 3)), image.mean((2, 3)), atol=0.02)


def test_stains_vary_as_scikit_image_separates_them() -> None:
    """The same factors and additions on the dyes that scikit-image finds give the same picture."""
    dyes = torch.rand(3, 20 * 10, 3, generator=generator(), dtype=torch.float64) * 0.08
    rgb = torch.from_numpy(combine_stains(dyes.numpy(), rgb_from_hed))
    image = rgb.float().mT.reshape(3, 3, 20, 10)
    changed = change_colours(image, Augmentation(stain=0.2), Chance(generator(7)), Channels("stain"))
    same = Chance(generator(7))
    gain, more = same.factor(0.2, 9).view(3, 1, 3).double(), same.around(0.05, 9).view(3, 1, 3).double()
    # scikit-image counts dyes in units of the logarithm of a million.
    unit = 6 * torch.log(torch.tensor(10.0, dtype=torch.float64))
    found = torch.from_numpy(separate_stains(rgb.numpy(), hed_from_rgb))
    expected = torch.from_numpy(combine_stains((found * gain + more / unit).numpy(), rgb_from_hed))
    assert torch.allclose(changed.reshape(3, 3, -1).mT.double(), expected.clamp(0, 1), atol=2e-4)
    assert (changed - image).abs().max() > 0.02


def test_hue_turns_colours_and_leaves_greys() -> None:
    preset, photo = Augmentation(hue=30), Channels("photo")
    grey = torch.rand(4, 1, 16, 16, generator=generator()).expand(-1, 3, -1, -1)
    assert torch.allclose(change_colours(grey, preset, Chance(generator()), photo), grey, atol=1e-5)
    image = torch.tensor([0.6, 0.4, 0.4]).view(1, 3, 1, 1).expand(8, -1, 4, 4)
    changed = change_colours(image, preset, Chance(generator()), photo)
    assert torch.allclose(changed.mean(1), image.mean(1), atol=1e-5)
    assert ((changed - image).abs().amax((1, 2, 3)) > 1e-3).all()
    assert (changed[:, 0] > 0.5).all()


@pytest.mark.parametrize("kind", ["photo", "stain"])
def test_colours_are_those_before_normalisation(kind: str) -> None:
    image, _ = pictures()
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
    mean_, std_ = (torch.tensor(values).view(1, 3, 1, 1) for values in (mean, std))
    preset = AUGMENTATIONS["medium"]
    plain = change_colours(image, preset, Chance(generator()), Channels(kind))
    normalised = change_colours((image - mean_) / std_, preset, Chance(generator()), Channels(kind, 1, mean, std))
    assert torch.allclose(normalised * std_ + mean_, plain, atol=1e-4)
    assert plain.min() >= 0
    assert plain.max() <= 1


@pytest.mark.parametrize("kind", ["photo", "stain", "sequences"])
def test_neighbouring_slices_change_their_colours_alike(kind: str) -> None:
    image, labels = pictures(8)
    preset = Augmentation(stain=0.3, hue=20, channel_drop=0.5, channel_copy=0.3, channel_same=0.3)
    changed, _ = augment(image.repeat(1, 3, 1, 1), labels, preset, generator(), channels=Channels(kind, 3))
    assert torch.allclose(changed[:, :3], changed[:, 3:6], atol=1e-6)
    assert torch.allclose(changed[:, :3], changed[:, 6:], atol=1e-6)


def test_uneven_light_is_smooth_alike_in_all_sequences_and_leaves_black() -> None:
    image = torch.full((8, 3, 64, 48), 0.5)
    image[:, :, :8] = 0
    labels = torch.zeros(8, 64, 48, dtype=torch.long)
    changed, _ = augment(image, labels, Augmentation(uneven=0.5), generator(), channels=Channels("sequences"))
    assert (changed[:, :, :8] == 0).all()
    gain = changed[:, :, 8:] / 0.5
    assert torch.equal(gain[:, 0], gain[:, 2])
    # Cubic interpolation goes a little beyond its nodes.
    assert gain.max() < 1.5 * 1.1
    assert gain.min() > 1 / (1.5 * 1.1)
    assert ((gain.amax((1, 2, 3)) / gain.amin((1, 2, 3))) > 1.02).all()
    assert (gain[:, :, :, 1:] - gain[:, :, :, :-1]).abs().max() < 0.08, "no edges"


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_a_dropped_sequence_is_dark_and_the_others_stay(channels: int) -> None:
    image, labels = pictures(12, channels)
    changed, _ = augment(image, labels, Augmentation(channel_drop=1), generator(), channels=Channels("sequences"))
    same = torch.isclose(changed, image, atol=1e-5).all(-1).all(-1)
    assert (same.sum(1) == channels - 1).all()
    lost = changed[~same]
    assert (lost == lost.amin((1, 2), keepdim=True)).all()
    assert len(set((~same).nonzero()[:, 1].tolist())) == channels


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_a_copied_sequence_replaces_one_other(channels: int) -> None:
    image, labels = pictures(32, channels)
    changed, _ = augment(image, labels, Augmentation(channel_copy=1), generator(), channels=Channels("sequences"))
    assert {*distinct(changed)} == {channels - 1}
    same = torch.isclose(changed, image, atol=1e-5).all(-1).all(-1)
    assert set(same.sum(1).tolist()) == {channels - 1}


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_all_sequences_become_copies_of_any_one(channels: int) -> None:
    image, labels = pictures(32, channels)
    changed, _ = augment(image, labels, Augmentation(channel_same=1), generator(), channels=Channels("sequences"))
    assert {*distinct(changed)} == {1}
    same = torch.isclose(changed, image, atol=1e-5).all(-1).all(-1)
    assert (same.sum(1) == 1).all()
    assert same.any(0).all()


def distinct(image: torch.Tensor) -> list[int]:
    """How many different channels each image has."""
    return [len(torch.unique((one * 1e4).round().flatten(1), dim=0)) for one in image]


@pytest.mark.parametrize("kind", ["grey", "photo", "stain"])
def test_no_colour_of_a_picture_is_ever_missing(kind: str) -> None:
    image, labels = pictures(8)
    for channels in (Channels(kind), Channels(kind, 3)):
        given = image.repeat(1, channels.planes, 1, 1)
        preset = Augmentation(channel_drop=1, channel_copy=1, channel_same=1)
        changed, _ = augment(given, labels, preset, generator(), channels=channels)
        assert torch.allclose(changed, given, atol=1e-6)


def test_a_single_sequence_is_never_dropped() -> None:
    image, labels = pictures(4, 1)
    changed, _ = augment(image, labels, Augmentation(channel_drop=1), generator(), channels=Channels("sequences"))
    assert torch.allclose(changed, image, atol=1e-6)
