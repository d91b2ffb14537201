"""Channels that lie in files of their own: the sequences of an MR, and nnU-Net's CASE_0000, CASE_0001."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask.array as da
import nibabel as nib
import numpy as np
import pytest
import tifffile
from made_up import plane, save_png
from made_up_dicom import dicom_slice, save_dicom

from napari_medseg.core import Finding, Geometry, Image, InputError
from napari_medseg.io import join_channels, match_pairs, read, read_labels, read_pair
from napari_medseg.io.cases import find_cases
from napari_medseg.io.channels import name_channels
from napari_medseg.io.dataset import DataSet, dataset_of
from napari_medseg.io.pairs.preview import preview_pairs

SHAPE = (3, 12, 10)


def save(path: Path, value: float = 0, dtype: Any = np.int16, *, shift: float = 0, shape: Any = SHAPE) -> Path:
    """A volume of pixels of 2 x 1 x 1 mm, whose values begin at ``value``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = (np.arange(np.prod(shape)).reshape(shape) + value).astype(dtype)
    affine = np.diag([1.0, 1, 2, 1])
    affine[0, 3] = shift
    nib.save(nib.Nifti1Image(data.transpose(), affine), path)
    return path


@pytest.fixture
def sequences(tmp_path: Path) -> list[Path]:
    return [save(tmp_path / "t1.nii.gz"), save(tmp_path / "flair.nii", 0.5, np.float32, shift=1e-3)]


def test_files_of_one_place_are_channels_in_their_order(sequences: list[Path]) -> None:
    """In a type that holds the values of both; their places differ by what programs round off."""
    first, second = map(read, sequences)
    joined = join_channels([first, second])
    assert (joined.axes, joined.channels, joined.meaning, joined.shape) == ("ZYXC", 2, "channels", SHAPE)
    assert joined.data.dtype == np.float32
    for index, one in enumerate((first, second)):
        np.testing.assert_array_equal(joined.slice(1)[..., index], one.slice(1))
    assert (joined.geometry, joined.source, joined.others) == (first.geometry, sequences[0], (sequences[1],))
    three = join_channels([joined, second])
    assert (three.channels, three.others) == (3, (sequences[1], sequences[1]))
    assert join_channels([first]) is first


def test_nothing_is_read_before_it_is_asked_for() -> None:
    """Nor is another channel than that which is asked for."""
    asked: list[tuple[str, int]] = []

    class Slices:
        shape, dtype, ndim = (4, 6, 5), np.dtype(np.uint8), 3

        def __init__(self, name: str) -> None:
            self.name = name

        def __getitem__(self, index: Any) -> Any:
            asked.append((self.name, index[0].start))
            return np.ones((4, 6, 5), np.uint8)[index]

    joined = join_channels([Image(Slices(name), "ZYX", Geometry.unknown(3)) for name in ("t1", "flair")])
    assert (isinstance(joined.data, da.Array), asked) == (True, [])
    assert joined.slice(2).shape == (6, 5, 2)
    assert {*asked} == {("t1", 2), ("flair", 2)}
    asked.clear()
    assert joined.data[1, ..., 1].compute().all()
    assert asked == [("flair", 1)]


def test_what_one_channel_lacks_all_of_them_lack() -> None:
    image = Image(np.zeros((4, 6, 5), np.uint8), "ZYX", Geometry.unknown(3), missing=frozenset({1}))
    note = Finding("UNREADABLE", "Slice 2 is damaged.")
    other = replace(image, missing=frozenset({2}), findings=(note,), alike=3)
    joined = join_channels([image, other, other])
    assert (joined.missing, joined.findings, joined.alike) == ({1, 2}, (note,), 1)


def test_a_place_is_taken_from_whichever_channel_tells_it(tmp_path: Path) -> None:
    told = read(save(tmp_path / "t1.nii"))
    np.save(tmp_path / "map.npy", np.zeros(SHAPE, np.uint8))
    untold = read(tmp_path / "map.npy")
    assert not untold.geometry.known
    for images in ([told, untold], [untold, told]):
        assert (join_channels(images).geometry, join_channels(images).findings) == (told.geometry, told.findings)


def test_a_file_in_colour_is_three_channels(tmp_path: Path) -> None:
    colour = read(save_png(tmp_path / "photo.png", np.random.default_rng(0).integers(0, 255, (12, 17, 3), np.uint8)))
    joined = join_channels([colour, read(save_png(tmp_path / "infrared.png", plane(1)))])
    assert (joined.axes, joined.channels, joined.meaning) == ("YXC", 4, "channels")


def test_two_dicom_series_of_one_place_are_channels(tmp_path: Path) -> None:
    for number, name in enumerate(("t1", "flair")):
        for z in (10.0, 4.0, 7.0):
            save_dicom(tmp_path / name / f"{name}{z}.dcm", dicom_slice(z, SeriesInstanceUID=f"1.2.3.4.{number}"))
    first, second = (read(tmp_path / name) for name in ("t1", "flair"))
    joined = join_channels([first, second])
    assert (joined.channels, joined.names, joined.geometry) == (2, first.names, first.geometry)
    for z in range(3):
        np.testing.assert_array_equal(joined.slice(z)[..., 1], second.slice(z))


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"shape": (3, 12, 9)}, "a/x.nii has another size than t1.nii"),
        ({"shape": (2, 12, 10)}, "another size"),
        ({"shift": 0.3}, "another place"),
    ],
)
def test_images_of_other_size_or_place_are_no_channels(tmp_path: Path, other: dict[str, Any], reason: str) -> None:
    first = read(save(tmp_path / "t1.nii"))
    images = [first, read(save(tmp_path / "a" / "x.nii", **other)), read(save(tmp_path / "b" / "x.nii"))]
    with pytest.raises(InputError, match=reason) as raised:
        join_channels(images)
    assert "resample" in raised.value.hint


def test_too_many_channels_and_slides_are_refused() -> None:
    image = Image(np.zeros((6, 5), np.uint8), "YX", Geometry.unknown(2))
    with pytest.raises(InputError, match="17 images have 17 channels together: an image has at most 16"):
        join_channels([image] * 17)
    with pytest.raises(InputError, match="Image 2 is a slide"):
        join_channels([image, replace(image, levels=(np.zeros((3, 3), np.uint8),))])
    with pytest.raises(InputError, match="no images"):
        join_channels([])


# --- folders as nnU-Net has them


@pytest.fixture
def data_set(tmp_path: Path) -> tuple[Path, Path]:
    """Two cases of two channels, with their labels."""
    for case in ("brain_7", "brain_12"):
        for channel in (0, 1):
            save(tmp_path / "imagesTr" / f"{case}_000{channel}.nii.gz", 100 * channel)
        mask = nib.Nifti1Image(np.eye(10, 12, dtype=np.uint8)[..., None].repeat(3, 2), np.diag([1.0, 1, 2, 1]))
        (tmp_path / "labelsTr").mkdir(exist_ok=True)
        nib.save(mask, tmp_path / "labelsTr" / f"{case}.nii.gz")
    return tmp_path / "imagesTr", tmp_path / "labelsTr"


def test_files_of_a_case_are_its_channels(data_set: tuple[Path, Path]) -> None:
    pairs = match_pairs(*data_set)
    assert [(p.image.name, [c.name for c in p.channels], p.mask.name) for p in pairs] == [
        (f"{case}_0000.nii.gz", [f"{case}_0001.nii.gz"], f"{case}.nii.gz") for case in ("brain_7", "brain_12")
    ]
    assert pairs.unmatched == {}
    image, labels, slices = read_pair(pairs[0])
    assert (image.channels, image.shape, labels.data.shape, slices) == (2, SHAPE, SHAPE, (0, 1, 2))
    np.testing.assert_array_equal(image.slice(0)[..., 1], image.slice(0)[..., 0] + 100)
    shown = [row.line for row in preview_pairs(*data_set).rows]
    assert "brain_7_0000.nii.gz + brain_7_0001.nii.gz — brain_7.nii.gz (2 channels of that name)" in shown[0]


@pytest.mark.parametrize("lost", ["brain_7_0001", "brain_12_0000"])
def test_a_missing_channel_is_named(data_set: tuple[Path, Path], lost: str) -> None:
    (data_set[0] / f"{lost}.nii.gz").unlink()
    with pytest.raises(InputError, match=rf"{lost}\.nii\.gz is missing in .*imagesTr") as raised:
        match_pairs(*data_set)
    assert lost[:-5] in raised.value.hint


def test_cases_without_masks_and_masks_without_cases_are_told(data_set: tuple[Path, Path]) -> None:
    (data_set[1] / "brain_7.nii.gz").rename(data_set[1] / "liver.nii.gz")
    pairs = match_pairs(*data_set)
    assert [p.mask.name for p in pairs] == ["brain_12.nii.gz"]
    assert sorted(p.name for p in pairs.unmatched) == ["brain_7_0000.nii.gz", "brain_7_0001.nii.gz", "liver.nii.gz"]


def test_one_channel_a_case_stays_as_it_is(data_set: tuple[Path, Path]) -> None:
    for path in data_set[0].glob("*_0001.nii.gz"):
        path.unlink()
    pairs = match_pairs(*data_set)
    assert [(p.image.name, p.channels) for p in pairs] == [("brain_7_0000.nii.gz", ()), ("brain_12_0000.nii.gz", ())]


def test_images_that_are_only_counted_are_no_channels(tmp_path: Path) -> None:
    """Their masks say so: each has its own."""
    for number in (1, 2, 3):
        save(tmp_path / "i" / f"scan_000{number}.nii.gz")
        save(tmp_path / "m" / f"scan_000{number}.nii.gz")
    assert [p.channels for p in match_pairs(tmp_path / "i", tmp_path / "m")] == [(), (), ()]


def test_pictures_of_a_case_are_its_channels_too(tmp_path: Path) -> None:
    """Without their masks they would be the slices of a series."""
    for case, channel in ((c, n) for c in "ab" for n in (0, 1, 2)):
        save_png(tmp_path / "i" / f"{case}_000{channel}.png", plane(channel))
        save_png(tmp_path / "m" / f"{case}.png", np.eye(12, 17, dtype=np.uint8))
    first, second = match_pairs(tmp_path / "i", tmp_path / "m")
    assert (len(first.channels), second.image.name) == (2, "b_0000.png")
    assert read_pair(first)[0].channels == 3


def test_numbers_beyond_the_channels_that_are_wanted_count_images() -> None:
    names = [Path(f"scan_{number:04}.nii.gz") for number in range(4)]
    assert find_cases(names, count=3) == {}
    assert find_cases(names, count=4) == {"scan": tuple(names)}
    assert find_cases([Path(f"scan_{number:04}.png") for number in range(17)]) == {}, "no image has so many"
    assert find_cases([Path("scan_0001.png"), Path("scan_0002.png")]) == {}, "the first channel is 0"


def test_numbered_slices_beside_a_mask_of_their_name_are_not_said_to_lack_a_channel(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        save(tmp_path / "i" / f"scan_000{number}.nii.gz")
    save(tmp_path / "m" / "scan.nii.gz")
    with pytest.raises(InputError, match="No mask in"):
        match_pairs(tmp_path / "i", tmp_path / "m")


# --- what channels are called


@pytest.mark.parametrize(
    ("called", "names"),
    [
        (["t1", "flair"], ("t1", "flair")),
        (["sub-01_T1w", "sub-01_T2w"], ("T1w", "T2w")),
        (["BraTS_001_t1", "BraTS_001_t1ce", "BraTS_001_flair"], ("t1", "t1ce", "flair")),
        (["t1 path", "flair path"], ("t1", "flair")),
        (["A/T1 post contrast", "A/T1 pre contrast"], ("post", "pre")),
        (["case_0000", "case_0001"], ()),
        (["image 1", "image 2"], ()),
        (["t1", "T1"], ()),
        (["case", "case_flair"], ("case", "case flair")),
        (["t1"], ()),
        (["p0_20200100_t1", "p0_20200101_flair"], ("t1", "flair")),
        (["3_T1_ax", "4_FLAIR_ax"], ("T1", "FLAIR")),
        (["b 0", "b 1000"], ()),
    ],
)
def test_channels_are_called_as_their_names_differ(called: list[str], names: tuple[str, ...]) -> None:
    assert name_channels(called) == names


def test_channels_are_called_as_their_files(sequences: list[Path]) -> None:
    first, second = map(read, sequences)
    joined = join_channels([first, second])
    assert joined.channel_names == ("t1", "flair")
    assert join_channels([first, second], names=("a", "b")).channel_names == ("a", "b")
    assert join_channels([replace(first, source=None), second]).channel_names == ()
    assert join_channels([joined, replace(joined, channel_names=("t2", "adc"))]).channel_names == (
        "t1", "flair", "t2", "adc",
    )  # fmt: skip
    assert join_channels([joined, joined]).channel_names == (), "two of each"
    with pytest.raises(InputError, match="3 names do not fit 2 channels"):
        replace(joined, channel_names=("a", "b", "c"))


def test_files_of_one_name_are_called_as_their_folders(tmp_path: Path) -> None:
    files = [save(tmp_path / kind / "scan.nii.gz") for kind in ("t1", "flair")]
    assert join_channels([read(path) for path in files]).channel_names == ("t1", "flair")


def test_series_of_one_folder_name_the_channels(tmp_path: Path) -> None:
    for name in ("t1", "flair"):
        for z in range(3):
            save_png(tmp_path / f"{name}-{z}.png", plane(z))
    images = [read(tmp_path, series=name) for name in ("t1-", "flair-")]
    assert join_channels(images).channel_names == ("t1", "flair")


def test_dicom_series_name_the_channels(tmp_path: Path) -> None:
    """As the scanner called them, wherever they lie; what holds the patient's name is not taken."""
    for number, name in enumerate(("T1 ax", "FLAIR ax", "Testperson")):
        told = {"SeriesInstanceUID": f"1.2.3.4.{number}", "SeriesNumber": number, "PatientName": "Testperson^A"}
        for z in (10.0, 4.0, 7.0):
            save_dicom(tmp_path / f"{number}-{z}.dcm", dicom_slice(z, SeriesDescription=name, **told))
    images = [read(tmp_path, series=str(number)) for number in range(3)]
    assert [image.series for image in images] == ["T1 ax", "FLAIR ax", ""]
    assert join_channels(images[:2]).channel_names == ("T1", "FLAIR")
    assert join_channels(images[1:]).channel_names == ()


def test_slices_with_other_orders_of_channels_are_no_stack(tmp_path: Path) -> None:
    for z, names in enumerate((["DAPI", "FITC"], ["DAPI", "FITC"], ["FITC", "DAPI"])):
        tifffile.imwrite(
            tmp_path / f"z{z}.ome.tif",
            np.full((2, 8, 9), z, np.uint8),
            metadata={"axes": "CYX", "Channel": {"Name": names}},
        )
    with pytest.raises(InputError, match=r"z2\.ome\.tif has the channels FITC, DAPI, z0\.ome\.tif has DAPI, FITC"):
        read(tmp_path)
    (tmp_path / "z2.ome.tif").unlink()
    assert read(tmp_path).channel_names == ("DAPI", "FITC")


V1 = {"modality": {"0": "T1", "1": "FLAIR"}, "labels": {"0": "background", "1": "oedema", "3": "core"}}
V2 = {"channel_names": {"0": "T1", "1": "FLAIR"}, "labels": {"background": 0, "oedema": 1, "core": 3, "ignore": 4}}


@pytest.mark.parametrize(("about", "ignored"), [(V1, None), (V2, 4)])
def test_a_data_set_names_channels_and_classes(
    data_set: tuple[Path, Path], about: dict[str, Any], ignored: int | None
) -> None:
    """Those of nnU-Net, and what it is to ignore counts as unlabelled."""
    (data_set[0].parent / "dataset.json").write_text(json.dumps(about))
    labels = np.zeros((10, 12, 3), np.uint8)
    labels[0, 0], labels[1, 1], labels[2, 2] = 1, 3, 4
    nib.save(nib.Nifti1Image(labels, np.diag([1.0, 1, 2, 1])), data_set[1] / "brain_7.nii.gz")
    image, found, _ = read_pair(match_pairs(*data_set)[0])
    assert image.channel_names == ("T1", "FLAIR")
    files = [data_set[0] / f"brain_7_000{channel}.nii.gz" for channel in (1, 0)]
    assert join_channels([read(path) for path in files]).channel_names == ("FLAIR", "T1"), "in whichever order"
    named = {c.value: c.name for c in found.classes if c.value in (1, 3)}
    assert (named, found.not_computed) == ({1: "oedema", 3: "core"}, ignored)
    assert ignored is None or 4 not in {c.value for c in found.classes}
    other = read_pair(match_pairs(*data_set)[1])[1]
    assert other.not_computed is None, "there is nothing to ignore in it"


def test_a_data_set_of_pictures_has_its_classes_too(tmp_path: Path) -> None:
    """Masks that belong to slices by their names are read as any other."""
    for z in range(2):
        save_png(tmp_path / "imagesTr" / f"case_{z}.png", plane(z))
        mask = np.zeros(plane(z).shape, np.uint8)
        mask[0, :3] = (1, 2, 2)
        save_png(tmp_path / "labelsTr" / f"case_{z}.png", mask)
    about = {"labels": {"background": 0, "liver": 1, "ignore": 2}}
    (tmp_path / "dataset.json").write_text(json.dumps(about))
    labels = read_pair(tmp_path / "imagesTr", tmp_path / "labelsTr")[1]
    assert ([c.name for c in labels.classes], labels.not_computed) == (["liver"], 2)
    alone = read_labels(tmp_path / "labelsTr")
    assert (alone.classes, alone.not_computed) == (labels.classes, 2)


def test_names_of_a_data_set_can_be_shown(data_set: tuple[Path, Path]) -> None:
    about = {
        "labels": {"a\n\x1b[31m": 1, "\ud800": 2, "part": [3], "A [31m": 4},
        "channel_names": {"0": "T1\u202e", "1": "b"},
    }
    (data_set[0].parent / "dataset.json").write_text(json.dumps(about))
    found = dataset_of(data_set[0] / "brain_7_0000.nii.gz")
    assert [(c.value, c.name) for c in found.classes] == [(1, "a [31m"), (3, "part")], "no name twice"
    assert found.channel_names == ("T1", "b")


def test_a_nearer_file_that_says_nothing_hides_none(data_set: tuple[Path, Path]) -> None:
    (data_set[0].parent / "dataset.json").write_text(json.dumps(V1))
    (data_set[0] / "dataset.json").write_text("{}")
    assert dataset_of(data_set[0] / "brain_7_0000.nii.gz").channel_names == ("T1", "FLAIR")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "dataset.json")
    assert dataset_of(tmp_path / "x.png") == DataSet()


def test_a_data_set_names_the_channels_of_one_file(tmp_path: Path) -> None:
    data = np.zeros((10, 12, 3, 2), np.int16)
    (tmp_path / "imagesTr").mkdir()
    nib.save(nib.Nifti1Image(data, np.diag([1.0, 1, 2, 1])), tmp_path / "imagesTr" / "a.nii.gz")
    (tmp_path / "dataset.json").write_text(json.dumps(V1))
    assert read(tmp_path / "imagesTr" / "a.nii.gz", series="all").channel_names == ("T1", "FLAIR")
    assert read(tmp_path / "imagesTr" / "a.nii.gz", series="1").channel_names == ()


@pytest.mark.parametrize(
    "text",
    [
        "", "[", "[1]", '"a"', "{}", '{"labels": [], "modality": 3}',
        '{"labels": {"a": "b", "1": 2.5, "whole": [1, 2]}}',
        '{"channel_names": {"0": "T1", "2": "FLAIR"}}', '{"channel_names": {"0": "T1"}}', "[" * 100_000,
        '{"channel_names": {"0": "T1", "1": "t1"}}', '{"labels": {"9999999999": "x", "-1": "y"}}',
    ],
)  # fmt: skip
def test_a_data_set_that_says_something_else_says_nothing(data_set: tuple[Path, Path], text: str) -> None:
    (data_set[0].parent / "dataset.json").write_text(text)
    image, labels, _ = read_pair(match_pairs(*data_set)[0])
    assert image.channel_names == ()
    assert [c.name for c in labels.classes] == ["class 1"]


def test_what_a_data_set_says_is_read_again_when_it_changes(data_set: tuple[Path, Path]) -> None:
    about = data_set[0].parent / "dataset.json"
    for name in ("T2", "contrast"):
        about.write_text(json.dumps({"channel_names": {"0": "T1", "1": name}}))
        assert read_pair(match_pairs(*data_set)[0])[0].channel_names == ("T1", name)


# --- tables


def write_table(folder: Path, head: str, *rows: str) -> Path:
    (folder / "cases.csv").write_text("\n".join((head, *rows)))
    return folder / "cases.csv"


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """A folder for each of two cases, with two sequences and a segmentation."""
    for case in "ab":
        for number, kind in enumerate(("t1", "flair", "seg")):
            save(tmp_path / case / f"{case}_{kind}.nii.gz", number, np.uint8, shape=(2, 6, 5))
    return tmp_path


@pytest.mark.parametrize("head", ["image 1,image 2,mask", "t1,flair,seg", "image_t1,image_flair,label"])
def test_columns_of_images_are_channels_in_their_order(cases: Path, head: str) -> None:
    rows = [f"{c}/{c}_t1.nii.gz,{c}/{c}_flair.nii.gz,{c}/{c}_seg.nii.gz" for c in "ab"]
    pairs = match_pairs(write_table(cases, head, *rows), cases)
    assert [(p.image.name, p.channels[0].name, p.mask.name) for p in pairs] == [
        (f"{c}_t1.nii.gz", f"{c}_flair.nii.gz", f"{c}_seg.nii.gz") for c in "ab"
    ]
    assert read_pair(pairs[1])[0].channel_names == ("t1", "flair")


def test_columns_say_what_channels_are_called(cases: Path) -> None:
    rows = [f"{c}/{c}_t1.nii.gz,{c}/{c}_flair.nii.gz,{c}/{c}_seg.nii.gz" for c in "ab"]
    pairs = match_pairs(write_table(cases, "before_path,after_path,mask_path", *rows), cases)
    assert [read_pair(pair)[0].channel_names for pair in pairs] == [("before", "after")] * 2


def test_rows_that_lack_a_channel_are_told(cases: Path) -> None:
    mask = ",b/b_seg.nii.gz"
    rows = ("a/a_t1.nii.gz,a/a_flair.nii.gz,a/a_seg.nii.gz", f"b/b_t1.nii.gz,{mask}", f"b/b_t1.nii.gz,b/x.nii.gz{mask}")
    pairs = match_pairs(write_table(cases, "image t1,image flair,mask", *rows), cases)
    assert [p.image.name for p in pairs] == ["a_t1.nii.gz"]
    told = " ".join(pairs.unmatched.values())
    assert "Row 3 of cases.csv names no image flair." in told
    assert "Row 4 of cases.csv names 'b/x.nii.gz', which is not in" in told
