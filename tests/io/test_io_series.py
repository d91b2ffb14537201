"""Order, completeness and consistency of a series of files."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import plane, save_png

from napari_medseg.core import InputError
from napari_medseg.io import inspect, read, read_set
from napari_medseg.io.findings import counted, some_of
from napari_medseg.io.formats import png
from napari_medseg.io.names import group_files, in_order, masked_stem, missing_numbers, stem_of

Make = Callable[..., Path]


def codes(found: object) -> set[str]:
    return {f.code for f in found.findings}  # type: ignore[attr-defined]


def test_slices_are_ordered_as_people_count(make_series: Make) -> None:
    """S5."""
    image = read(make_series([f"{n}.png" for n in (10, 2, 0, 1, 11)]))
    assert image.names == ("0.png", "1.png", "2.png", "10.png", "11.png")
    assert [image.slice(z).flat[0] for z in range(5)] == [2, 3, 1, 0, 4]


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=30, unique=True))
def test_any_numbers_are_ordered_by_value(numbers: list[int]) -> None:
    """S5."""
    names = [p.name for p in in_order([Path(f"CT 1-{n}.png") for n in numbers])]
    assert names == [f"CT 1-{n}.png" for n in sorted(numbers)]


def test_mixed_sizes_are_refused_with_the_odd_file(make_series: Make) -> None:
    """S1."""
    folder = make_series(["1.png", "2.png", "3.png"])
    save_png(folder / "4.png", plane(4, (9, 9)))
    found = inspect(folder)
    assert found.kind == "images"
    assert "INCONSISTENT_SIZE" in codes(found)
    with pytest.raises(InputError, match=r"4\.png"):
        read(folder)
    assert [image.shape for image in read_set(folder)] == [(12, 17)] * 3 + [(9, 9)]


def test_mixed_types_are_refused_with_the_odd_file(make_series: Make) -> None:
    """S2."""
    folder = make_series(["1.png", "2.png", "3.png"])
    save_png(folder / "4.png", plane(4, dtype=np.uint16))
    assert "INCONSISTENT_TYPE" in codes(inspect(folder))
    with pytest.raises(InputError, match=r"4\.png"):
        read(folder)


def test_colour_among_grey_slices_is_refused(make_series: Make) -> None:
    """S2."""
    folder = make_series(["1.png", "2.png"])
    save_png(folder / "3.png", plane(4, (12, 17, 3)))
    with pytest.raises(InputError, match=r"3\.png"):
        read(folder)


def test_grey_saved_as_rgb_among_grey_slices_is_grey(make_series: Make) -> None:
    folder = make_series(["1.png", "2.png"])
    save_png(folder / "3.png", np.stack([plane(7)] * 3, axis=-1))
    image = read(folder)
    assert image.axes == "ZYX"
    np.testing.assert_array_equal(image.slice(2), plane(7))


def test_missing_number_is_opened_and_flagged(make_series: Make) -> None:
    """S3."""
    image = read(make_series(["s_1.png", "s_2.png", "s_4.png", "s_5.png"]))
    assert len(image) == 4
    finding = next(f for f in image.findings if f.code == "MISSING_SLICES")
    assert finding.files == ("3",)


@pytest.mark.parametrize(
    ("numbers", "gaps"),
    [([1, 2, 4], [3]), ([439, 441, 445, 447], [443]), ([1, 13, 25], []), ([5], []), ([1, 9], []), ([3, 3, 4], [])],
)
def test_gaps_follow_the_usual_step(numbers: list[int], gaps: list[int]) -> None:
    """S3."""
    assert missing_numbers(numbers) == gaps


def test_duplicate_numbers_are_flagged(make_series: Make) -> None:
    """S4."""
    image = read(make_series(["1.png", "2.png", "02.png", "3.png"]))
    assert next(f for f in image.findings if f.code == "DUPLICATE_NUMBERS").files == ("02.png", "2.png")


def test_several_series_are_named_and_one_can_be_chosen(make_series: Make) -> None:
    """S6."""
    folder = make_series(["a-1.png", "a-2.png", "b-1.png", "b-2.png", "b-3.png"])
    found = inspect(folder)
    assert [(g.label, len(g.files)) for g in found.groups] == [("a-", 2), ("b-", 3)]
    assert "SEVERAL_SERIES" in codes(found)
    with pytest.raises(InputError, match=r"'a-' \(2\), 'b-' \(3\).*series=\"a-\""):
        read(folder)
    assert read(folder, series="b-").names == ("b-1.png", "b-2.png", "b-3.png")
    assert read(folder, series="*-2.png").names == ("a-2.png", "b-2.png")
    assert read(sorted(folder.iterdir())).names[0] == "a-1.png", "files named one by one are one stack"
    with pytest.raises(InputError, match="'c-'"):
        read(folder, series="c-")


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["1-01.png", "1-02.png", "2-01.png", "2-02.png"], ["1-", "2-"]),
        (["1a.png", "2a.png", "1b.png", "2b.png"], ["#a.png", "#b.png"]),
        (["p7 t1 z1.png", "p7 t1 z2.png", "p9 t1 z1.png", "p9 t1 z2.png"], ["p7 t1 z", "p9 t1 z"]),
        (["1-439.png", "1-441.png", "1-443.png"], ["1-"]),
        (["1.png", "2.png", "1.tif", "2.tif"], ["#.png", "#.tif"]),
        (["X_0012_0.png", "X_0013_1.png", "X_0027_0.png"], ["X_"]),
    ],
)
def test_names_tell_series_apart(names: list[str], labels: list[str]) -> None:
    """S6."""
    assert sorted(g.label for g in group_files([Path(n) for n in names])) == labels


def test_numbers_that_name_patients_do_not_make_a_stack(make_series: Make) -> None:
    found = inspect(make_series(["CXR_0012_0.png", "CXR_0013_1.png", "CXR_0100_0.png"]))
    assert (found.kind, found.groups) == ("images", ())


def test_a_stray_image_beside_a_series_is_left_out_and_told(make_series: Make) -> None:
    """S6."""
    image = read(make_series(["1.png", "2.png", "3.png", "overview.png"]))
    assert image.names == ("1.png", "2.png", "3.png")
    assert next(f for f in image.findings if f.code == "OTHER_FILES").files == ("overview.png",)


def test_one_slice_is_a_series_of_one(make_series: Make) -> None:
    """S7."""
    image = read(make_series(["7.png"]))
    assert (len(image), image.axes, image.names) == (1, "ZYX", ("7.png",))
    assert "SINGLE_SLICE" in codes(image)


def test_five_thousand_slices_stay_lazy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S8."""
    content = save_png(tmp_path / "0.png", plane(0)).read_bytes()
    for n in range(1, 5000):
        (tmp_path / f"{n}.png").write_bytes(content)
    decoded: list[Path] = []
    decode = png._decode
    monkeypatch.setattr(png, "_decode", lambda path: decoded.append(path) or decode(path))
    image = read(tmp_path)
    assert image.shape == (5000, 12, 17)
    assert image.data.chunksize == (1, 12, 17)
    assert not decoded, "grey files need no look at their pixels"
    image.slice(4321)
    assert [p.name for p in decoded] == ["4321.png"], "exactly the slice that is shown is read"


@pytest.mark.parametrize("name", ["{}_mask.png", "mask_{}.png", "{}-seg.png", "{}_labels.png"])
def test_masks_beside_images_are_left_out(make_series: Make, name: str) -> None:
    """S9."""
    found = inspect(make_series([f"s_{n}.png" for n in (1, 2, 3)] + [name.format(f"s_{n}") for n in (1, 2, 3)]))
    assert found.names == ("s_1.png", "s_2.png", "s_3.png")
    assert len(found.masks) == 3
    assert "MASKS_BESIDE" in codes(found)


def test_a_folder_of_masks_alone_is_a_series(make_series: Make) -> None:
    """S9."""
    assert len(read(make_series(["1_mask.png", "2_mask.png"]))) == 2


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("7_mask.tif", "7"),
        ("mask_7.png", "7"),
        ("damask_7.png", None),
        ("mask.png", None),
        ("7_mask.nii.gz", "7"),
        ("7.seg.nrrd", "7"),
        ("7.seg.dcm", "7"),
        ("7.ome.tif", None),
    ],
)
def test_mask_names(name: str, stem: str | None) -> None:
    """S9."""
    assert masked_stem(name) == stem


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("ct.nii.gz", "ct"), ("CT.NII.GZ", "CT"), ("a.seg.nrrd", "a"), ("a.ome.tif", "a"), ("a.seg.dcm", "a"),
        ("a.ome.zarr", "a"), ("a.1.png", "a.1"), ("1.2.840.7", "1.2.840"), (".nii.gz", ".nii"),
    ],
)  # fmt: skip
def test_stems_lose_the_whole_suffix(name: str, stem: str) -> None:
    """So ``ct.nii.gz`` and ``ct.png`` belong together."""
    assert stem_of(name) == stem


def test_file_that_changes_after_opening_is_loud(make_series: Make) -> None:
    """S10."""
    folder = make_series(["1.png", "2.png", "3.png"])
    image = read(folder)
    save_png(folder / "2.png", plane(1, (5, 5)))
    with pytest.raises(InputError, match=r"2\.png .*changed"):
        image.slice(1)


def test_names_with_spaces_brackets_and_other_letters(make_series: Make) -> None:
    """S11."""
    names = ["Düse [左] (1).png", "Düse [左] (2).png", "Düse [左] (10).png"]
    image = read(make_series(names, folder="Ordner [1] мозг"))
    assert image.names == tuple(names)
    assert image.slice(2).flat[0] == 2


def test_hidden_files_thumbnails_and_sidecars_are_ignored(make_series: Make) -> None:
    folder = make_series(["1.png", "2.png", "3.png"])
    for name in (".2.abcd.part.png", "._1.png", "Thumbs.db", "classes.json", "notes.txt"):
        (folder / name).write_bytes(b"x")
    (folder / "4.png").mkdir()
    assert len(read(folder)) == 3


def test_nothing_to_read_says_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "1.xyz").touch()
    with pytest.raises(InputError, match=r"no images, only \.xyz files"):
        read(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        read(tmp_path / "absent")
    with pytest.raises(InputError, match="No files"):
        read([])


def test_coloured_slice_that_the_sample_missed_is_loud(tmp_path: Path) -> None:
    grey = np.stack([plane(0)] * 3, axis=-1)
    for n in range(50):
        save_png(tmp_path / f"{n}.png", grey if n != 7 else plane(1, (12, 17, 3)))
    image = read(tmp_path)
    assert image.axes == "ZYX"
    with pytest.raises(InputError, match=r"7\.png .*coloured.*color=True"):
        image.slice(7)
    colored = read(tmp_path, color=True)
    assert (colored.axes, colored.meaning) == ("ZYXC", "RGB")
    np.testing.assert_array_equal(colored.slice(7), plane(1, (12, 17, 3)))


def test_spacing_can_be_given(make_series: Make) -> None:
    folder = make_series(["1.png", "2.png", "3.png"])
    unknown = read(folder)
    assert (unknown.geometry.unit, unknown.geometry.spacing) == ("pixel", (1, 1, 1))
    assert "NO_SPACING" in codes(unknown)
    image = read(folder, spacing=(5, 0.5, 0.4), unit="um")
    assert (image.geometry.unit, image.geometry.spacing) == ("um", (5, 0.5, 0.4))
    assert "NO_SPACING" not in codes(image)
    for wrong in ((1, 2), (1, 2, 0), (1, 2, float("nan"))):
        with pytest.raises(InputError, match="Z, Y, X"):
            read(folder, spacing=wrong)


def test_set_with_an_unreadable_image_loads_the_others(tmp_path: Path) -> None:
    """F1."""
    save_png(tmp_path / "hip.png", plane(0, (20, 20)))
    save_png(tmp_path / "knee.png", plane(1, (30, 20)))
    (tmp_path / "ankle.png").write_bytes(b"")
    images = read_set(tmp_path)
    assert [image.names for image in images] == [("hip.png",), ("knee.png",)]
    finding = next(f for f in images[0].findings if f.code == "UNREADABLE")
    assert finding.files == ("ankle.png",)
    assert "ankle.png is empty" in finding.message
    for name in ("hip.png", "knee.png"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match="empty"):
        read_set(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_no_text_are_refused_before_any_work(tmp_path: Path) -> None:
    """S11."""
    content = save_png(tmp_path / "1.png", plane(0)).read_bytes()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/2\xff.png")).write_bytes(content)
    with pytest.raises(InputError, match=r"not valid text.*Rename"):
        read(tmp_path)


def test_things_are_counted_and_named_in_words() -> None:
    assert [counted(1, "slice"), counted(0, "slice"), counted(2, "class")] == ["1 slice", "0 slices", "2 classes"]
    assert some_of(["a", "b"], 2) == "a, b"
    assert some_of(["a", "b", "c"], 2) == "a, b and others"
