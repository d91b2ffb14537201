"""Images and the masks that belong to them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from made_up import plane, save_png

from napari_medseg.core import InputError
from napari_medseg.io import match_pairs, read_pair
from napari_medseg.io.pairs.matching import match_folder


def mask(value: int = 1, shape: tuple[int, int] = (12, 17)) -> np.ndarray:
    pixels = np.zeros(shape, np.uint8)
    pixels[2:5, 3:9] = value
    return pixels


@pytest.fixture
def series(tmp_path: Path) -> tuple[Path, Path]:
    """Slices 1-439, 1-441, ..., with a mask for every second one."""
    for k in range(6):
        save_png(tmp_path / "images" / f"1-{439 + 2 * k}.png", plane(k))
    for k in (0, 2, 4):
        save_png(tmp_path / "masks" / f"1-{439 + 2 * k}.png", mask(1 + k // 2))
    return tmp_path / "images", tmp_path / "masks"


def test_masks_of_some_slices_are_aligned_by_name(series: tuple[Path, Path]) -> None:
    pairs = match_pairs(*series)
    assert [(p.image, p.mask) for p in pairs] == [series]
    assert sorted(p.name for p in pairs.unmatched) == ["1-441.png", "1-445.png", "1-449.png"]
    image, labels, slices = read_pair(*series)
    assert slices == (0, 2, 4)
    assert labels.data.shape == image.shape
    assert labels.names == image.names
    assert labels.missing == {1, 3, 5}
    assert [labels.slice(z).max() for z in range(6)] == [1, 0, 2, 0, 3, 0]


@pytest.mark.parametrize("name", ["{}.png", "{}_mask.png", "mask_{}.png"])
def test_single_images_pair_by_name(tmp_path: Path, name: str) -> None:
    for k, stem in enumerate(("anna", "bob", "carl")):
        save_png(tmp_path / "i" / f"{stem}.png", plane(k, (12, 17 + k)))
        if stem != "bob":
            save_png(tmp_path / "m" / name.format(stem), mask(shape=(12, 17 + k)))
    save_png(tmp_path / "m" / name.format("dora"), mask())
    pairs = match_pairs(tmp_path / "i", tmp_path / "m")
    assert [(p.image.stem, p.mask.name) for p in pairs] == [(s, name.format(s)) for s in ("anna", "carl")]
    reasons = {p.name: reason for p, reason in pairs.unmatched.items()}
    assert "No mask is called bob" in reasons["bob.png"]
    assert "No image" in reasons[name.format("dora")]


@pytest.mark.parametrize("name", ["{}.nii.gz", "{}_mask.nii.gz", "{}.seg.nrrd", "{}.png"])
def test_volumes_pair_by_name_whatever_their_suffix(tmp_path: Path, name: str) -> None:
    """``ct.nii.gz`` and its mask differ in more than one suffix."""
    for stem in ("anna", "bob"):
        for path in (tmp_path / "i" / f"{stem}.nii.gz", tmp_path / "m" / name.format(stem)):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"none of it is read")
    matched = match_folder(tmp_path / "i", tmp_path / "m", ["anna.nii.gz", "bob.nii.gz"])
    assert matched.masks == {f"{s}.nii.gz": tmp_path / "m" / name.format(s) for s in ("anna", "bob")}


def test_masks_beside_their_slices(tmp_path: Path) -> None:
    """S9."""
    for k in range(1, 12):
        save_png(tmp_path / f"p_{k}.png", plane(k))
        save_png(tmp_path / f"p_{k}_mask.png", mask(255))
    (pair,) = match_pairs(tmp_path, tmp_path)
    image, labels, slices = read_pair(pair.image, pair.mask)
    assert (len(image), slices) == (11, tuple(range(11)))
    assert labels.data.max() == 1


def test_stack_file_beside_stack_file(tmp_path: Path) -> None:
    stack = np.stack([plane(z) for z in range(4)])
    for folder, data in (("i", stack), ("m", np.stack([mask(z + 1) for z in range(4)]))):
        (tmp_path / folder).mkdir()
        for name in ("a.tif", "b.tif"):
            tifffile.imwrite(tmp_path / folder / name, data, photometric="minisblack")
    pairs = match_pairs(tmp_path / "i", tmp_path / "m")
    assert [p.image.name for p in pairs] == [p.mask.name for p in pairs] == ["a.tif", "b.tif"]
    image, labels, slices = read_pair(pairs[0].image, pairs[0].mask)
    assert (image.shape, labels.data.shape, slices) == ((4, 12, 17), (4, 12, 17), (0, 1, 2, 3))


def test_two_files_are_a_pair_whatever_their_names(tmp_path: Path) -> None:
    first, second = save_png(tmp_path / "a.png", plane(0)), save_png(tmp_path / "truth.png", mask())
    assert match_pairs(first, second)[0].mask == second
    assert read_pair(first, second)[2] == (0,)


def test_folders_of_folders_pair_by_name(tmp_path: Path) -> None:
    for patient in ("p1", "p2", "p3"):
        for k in range(3):
            save_png(tmp_path / "i" / patient / f"{k}.png", plane(k))
            if patient != "p3":
                save_png(tmp_path / "m" / patient / f"{k}.png", mask())
    pairs = match_pairs(tmp_path / "i", tmp_path / "m")
    assert [p.image.name for p in pairs] == ["p1", "p2"]
    assert [p.name for p in pairs.unmatched] == ["p3"]


def test_label_without_image_is_refused(series: tuple[Path, Path]) -> None:
    """T3."""
    save_png(series[1] / "1-999.png", mask())
    assert "No slice belongs" in match_pairs(*series).unmatched[series[1] / "1-999.png"]
    with pytest.raises(InputError, match=r"1-999\.png belongs to no slice of images"):
        read_pair(*series)


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_sizes_that_differ_are_refused(series: tuple[Path, Path], kind: str) -> None:
    """T10."""
    odd = save_png(series[1] / "1-439.png", mask(shape=(9, 9)))
    pair = series if kind == "folder" else (series[0] / "1-439.png", odd)
    with pytest.raises(InputError, match=r"1-439\.png.* 9 x 9 pixels.* 17 x 12 pixels"):
        read_pair(*pair)


def test_stacks_of_different_length_are_refused(tmp_path: Path) -> None:
    """T10."""
    tifffile.imwrite(tmp_path / "i.tif", np.stack([plane(z) for z in range(4)]), photometric="minisblack")
    tifffile.imwrite(tmp_path / "m.tif", np.stack([mask() for _ in range(5)]), photometric="minisblack")
    with pytest.raises(InputError, match=r"5 slices .* 4 slices"):
        read_pair(tmp_path / "i.tif", tmp_path / "m.tif")


def test_as_many_masks_of_other_names_match_by_order_and_say_so(tmp_path: Path) -> None:
    for k in range(11):
        save_png(tmp_path / "i" / f"ct{k}.png", plane(k))
        save_png(tmp_path / "m" / f"seg{k}.png", mask(k + 1))
    (pair,) = match_pairs(tmp_path / "i", tmp_path / "m")
    _, labels, slices = read_pair(pair.image, pair.mask)
    assert slices == tuple(range(11))
    assert [labels.slice(z).max() for z in range(11)] == list(range(1, 12))
    assert "MATCHED_BY_ORDER" in {f.code for f in labels.findings}


def test_a_mask_is_never_its_own_image(tmp_path: Path) -> None:
    """S9: masks beside images that are called quite differently, or without any."""
    for name in ("sub_seg-a_label_msk.png", "sub_seg-b_label_msk.png", "sub_ct.png"):
        save_png(tmp_path / "one" / name, mask())
    for name in ("1_mask.png", "2_mask.png", "3_mask.png"):
        save_png(tmp_path / "all" / name, mask())
    for folder in ("one", "all"):
        with pytest.raises(InputError, match="No mask in"):
            match_pairs(tmp_path / folder, tmp_path / folder)


def test_nothing_matches(tmp_path: Path) -> None:
    """T3."""
    for k in range(3):
        save_png(tmp_path / "i" / f"a{k}.png", plane(k))
    save_png(tmp_path / "m" / "z.png", mask())
    with pytest.raises(InputError, match=r"No mask in .* belongs to an image"):
        match_pairs(tmp_path / "i", tmp_path / "m")
    with pytest.raises(InputError, match="does not exist"):
        match_pairs(tmp_path / "i", tmp_path / "absent")


def outline_file(path: Path, name: str, left: int) -> None:
    """Outlines as QuPath writes them: one square of 4 x 4 pixels of a class."""
    path.parent.mkdir(exist_ok=True)
    ring = [[left, 2], [left + 4, 2], [left + 4, 6], [left, 6], [left, 2]]
    feature = {
        "type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"objectType": "annotation", "classification": {"name": name, "color": [200, 0, 0]}},
    }  # fmt: skip
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))


def test_outlines_of_some_slices_are_their_masks(tmp_path: Path) -> None:
    """X4, S5: a class has the same value on every slice, and slices without a file are missing."""
    for k in range(5):
        save_png(tmp_path / "i" / f"{k}.png", plane(k))
    outline_file(tmp_path / "m" / "1.geojson", "gland", 3)
    outline_file(tmp_path / "m" / "mask_3.geojson", "stroma", 5)
    (tmp_path / "m" / "4.geojson").write_text("{")
    (pair,) = match_pairs(tmp_path / "i", tmp_path / "m")
    image, labels, slices = read_pair(pair)
    assert slices == (1, 3)
    assert labels.missing == {0, 2, 4}
    assert labels.data.shape == image.shape
    values = {c.name: c.value for c in labels.classes}
    assert values.keys() == {"gland", "stroma"}
    for z, name, left in ((1, "gland", 3), (3, "stroma", 5)):
        expected = np.zeros((12, 17), int)
        expected[2:6, left : left + 4] = values[name]
        np.testing.assert_array_equal(labels.slice(z), expected)
    assert [f.files for f in labels.findings if f.code == "UNREADABLE"] == [("4.geojson",)]


def test_outlines_of_single_images_agree_in_their_classes(tmp_path: Path) -> None:
    """Each file numbers its own classes from 1."""
    for k, name in enumerate(("gland", "stroma", "gland")):
        save_png(tmp_path / "i" / f"{'abc'[k]}.png", plane(k, (12, 17 + k)))
        outline_file(tmp_path / "m" / f"{'abc'[k]}.geojson", name, 3)
    found = [read_pair(pair)[1] for pair in match_pairs(tmp_path / "i", tmp_path / "m")]
    assert [int(labels.data.max()) for labels in found] == [1, 2, 1]
    assert [{c.value: c.name for c in labels.classes}[int(labels.data.max())] for labels in found] == [
        "gland", "stroma", "gland",
    ]  # fmt: skip


def test_one_series_of_several_is_paired_with_its_masks(tmp_path: Path) -> None:
    """S6, D10: masks of another series are no strays."""
    for series, first in (("a", 1), ("b", 40)):
        for z in range(3):
            save_png(tmp_path / "i" / f"{series}-{z}.png", plane(first + z))
            save_png(tmp_path / "m" / f"{series}-{z}.png", mask(z + 1))
    (pair,) = match_pairs(tmp_path / "i", tmp_path / "m", series="b-")
    image, labels, slices = read_pair(pair)
    assert image.names == ("b-0.png", "b-1.png", "b-2.png")
    assert slices == (0, 1, 2)
    assert [int(labels.slice(z).max()) for z in range(3)] == [1, 2, 3]
    assert len(match_pairs(tmp_path / "i", tmp_path / "m")) == 6, "without it they are single images"
