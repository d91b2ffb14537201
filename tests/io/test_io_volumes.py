"""NIfTI, NRRD and MetaImage: the same voxels at the same place as other programs read and write them."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import nibabel as nib
import nrrd
import numpy as np
import numpy.typing as npt
import pytest
import SimpleITK
import tifffile
from specimens import CLASSES, blocks, lps, volume

from napari_medseg.core import Geometry, InputError, Labels, OutputError
from napari_medseg.io import read, read_labels, write
from napari_medseg.io.volumes import voxels
from napari_medseg.io.volumes.unpacking import unpack

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")


def turned(*, mirrored: bool = False) -> Geometry:
    """An oblique volume; mirrored, its axes are left-handed."""
    a, b = np.radians(20), np.radians(-35)
    first = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    second = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    direction = first @ second @ np.diag([-1.0 if mirrored else 1.0, 1, 1])
    return Geometry(
        spacing=(3.0, 0.5, 0.25), origin=(-7.5, 20.25, 3.125), direction=tuple(map(tuple, direction)), unit="mm"
    )


def leaning() -> Geometry:
    """The slices of a tilted gantry: not stacked at a right angle."""
    axes = np.eye(3)
    axes[:, 0] = (np.cos(0.3), np.sin(0.3), 0)
    return Geometry(spacing=(3.0, 0.5, 0.25), origin=(1.0, 2.0, 3.0), direction=tuple(map(tuple, axes)), unit="mm")


PLACES = {
    "upright": Geometry(spacing=(3.0, 0.5, 0.25), origin=(1.0, 2.0, 3.0), unit="mm"),
    "oblique": turned(), "mirrored": turned(mirrored=True),
}  # fmt: skip


@pytest.fixture(params=SUFFIXES)
def suffix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[*PLACES])
def place(request: pytest.FixtureRequest) -> Geometry:
    return PLACES[request.param]


def write_with_itk(path: Path, data: npt.NDArray[Any], geometry: Geometry, *, packed: bool = True) -> Path:
    spacing, direction, origin = lps(geometry)
    image = SimpleITK.GetImageFromArray(data)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(origin.tolist())
    image.SetDirection(direction.ravel().tolist())
    SimpleITK.WriteImage(image, str(path), packed)
    return path


def itk_affine(path: Path) -> tuple[npt.NDArray[np.float64], npt.NDArray[Any]]:
    """Matrix from index to position in the order Z Y X, and the voxels, as SimpleITK reads them."""
    image = SimpleITK.ReadImage(str(path))
    matrix = np.eye(4)
    axes = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    matrix[:3, :3], matrix[:3, 3] = axes[::-1, ::-1], image.GetOrigin()[::-1]
    return matrix, SimpleITK.GetArrayFromImage(image)


def nifti_affine(path: Path) -> npt.NDArray[np.float64]:
    matrix = np.diag([-1.0, -1, 1, 1]) @ nib.load(path).affine
    return np.asarray(matrix[[2, 1, 0, 3]][:, [2, 1, 0, 3]])


def test_volumes_of_itk_lie_where_itk_has_them(tmp_path: Path, suffix: str, place: Geometry) -> None:
    """N3, N7: oblique and mirrored axes, voxel order as stored."""
    path = write_with_itk(tmp_path / f"x{suffix}", volume(), place)
    image = read(path)
    matrix, data = itk_affine(path)
    np.testing.assert_array_equal(image.data, data)
    np.testing.assert_allclose(image.geometry.affine(), matrix, atol=1e-6)
    assert image.axes == "ZYX"
    assert image.geometry.unit == "mm"
    assert image.findings == ()


def test_labels_lie_for_itk_where_their_image_does(tmp_path: Path, suffix: str, place: Geometry) -> None:
    """N7: what is written is read at the same place by another program."""
    path = tmp_path / f"x{suffix}"
    write(path, Labels(blocks(), CLASSES, place))
    matrix, data = itk_affine(path)
    np.testing.assert_array_equal(data, blocks())
    np.testing.assert_allclose(matrix, place.affine(), atol=2e-6)


def test_nifti_affine_is_that_of_nibabel(tmp_path: Path, place: Geometry) -> None:
    """N7: sform = qform, both within 1e-6 of what was meant."""
    path = tmp_path / "x.nii.gz"
    write(path, Labels(blocks(), CLASSES, place))
    image = nib.load(path)
    np.testing.assert_allclose(nifti_affine(path), place.affine(), atol=2e-6)
    np.testing.assert_allclose(image.get_qform(), image.get_sform(), atol=2e-6)
    assert int(image.header["qform_code"]) == int(image.header["sform_code"]) == 1
    assert image.header.get_xyzt_units()[0] == "mm"


def test_labels_keep_matrix_and_codes_of_their_nifti_source(tmp_path: Path) -> None:
    """N7: bit for bit the matrix of the source, in template space too; its texts stay behind (D17)."""
    matrix = np.diag([-1.0, -1, 1, 1]) @ PLACES["oblique"].affine()[[2, 1, 0, 3]][:, [2, 1, 0, 3]]
    source = nib.Nifti1Image(volume().transpose(), matrix)
    source.set_sform(matrix, 4)
    source.set_qform(matrix, 4)
    source.header["descrip"] = b"Jane Doe"
    nib.save(source, tmp_path / "ct.nii.gz")
    image = read(tmp_path / "ct.nii.gz")
    write(tmp_path / "mask.nii.gz", Labels(blocks(), CLASSES, image.geometry, source=image.source))
    found = nib.load(tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(found.get_sform(), nib.load(tmp_path / "ct.nii.gz").get_sform())
    assert int(found.header["sform_code"]) == int(found.header["qform_code"]) == 4
    assert b"Jane" not in gzip.decompress((tmp_path / "mask.nii.gz").read_bytes())


def test_disagreeing_forms_are_told_and_the_sform_is_taken(tmp_path: Path) -> None:
    """N1."""
    image = nib.Nifti1Image(volume().transpose(), np.diag([2.0, 2, 2, 1]))
    image.set_sform(np.diag([2.0, 2, 2, 1]), 1)
    moved = np.diag([2.0, 2, 2, 1])
    moved[0, 3] = 30
    image.set_qform(moved, 1)
    nib.save(image, tmp_path / "x.nii")
    found = read(tmp_path / "x.nii")
    assert [f.code for f in found.findings] == ["QFORM_SFORM_DISAGREE"]
    assert "30.00" in found.findings[0].message
    np.testing.assert_allclose(found.geometry.affine()[:3, 3], 0)


def test_leaning_axes_are_kept_and_told(tmp_path: Path) -> None:
    """N2, D4: a sheared sform is neither squared nor refused, and the qform, which cannot hold it, is left out."""
    write(tmp_path / "x.nii.gz", Labels(blocks(), CLASSES, leaning()))
    found = read_labels(tmp_path / "x.nii.gz")
    np.testing.assert_allclose(found.geometry.affine(), leaning().affine(), atol=1e-6)
    assert "GANTRY_TILT" in [f.code for f in found.findings]
    header = nib.load(tmp_path / "x.nii.gz").header
    assert (int(header["qform_code"]), int(header["sform_code"])) == (0, 1)


def test_a_useless_sform_gives_way_to_the_qform(tmp_path: Path) -> None:
    """N1: axes without length are told, never divided by."""
    image = nib.Nifti1Image(volume().transpose(), np.diag([2.0, 2, 2, 1]))
    image.set_qform(np.diag([2.0, 2, 2, 1]), 1)
    nib.save(image, tmp_path / "x.nii")
    raw = bytearray((tmp_path / "x.nii").read_bytes())
    raw[252:256] = b"\x01\x00\x01\x00"
    raw[280:312] = bytes(32)
    (tmp_path / "x.nii").write_bytes(raw)
    found = read(tmp_path / "x.nii")
    assert [f.code for f in found.findings] == ["BROKEN_ORIENTATION"]
    assert found.geometry.spacing == (2.0, 2.0, 2.0)


@pytest.mark.parametrize(("slope", "intercept", "values"), [(0, 5, "stored"), (np.nan, 5, "stored"), (2, -1024, "hu")])
def test_scaling_is_used_where_it_is_meant(tmp_path: Path, slope: float, intercept: float, values: str) -> None:
    """N5: slopes of 0 and NaN mean none; whole numbers stay whole."""
    stored = volume()
    nib.save(nib.Nifti1Image(stored.transpose(), np.eye(4)), tmp_path / "x.nii")
    raw = bytearray((tmp_path / "x.nii").read_bytes())
    raw[112:120] = np.array([slope, intercept], "<f4").tobytes()
    (tmp_path / "x.nii").write_bytes(raw)
    found = read(tmp_path / "x.nii").data.compute()
    np.testing.assert_array_equal(found, stored if values == "stored" else stored * 2 - 1024)
    assert found.dtype == (np.int16 if values == "stored" else np.int32)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_one_of_several_volumes_is_chosen(tmp_path: Path, suffix: str) -> None:
    """N4: four axes are several volumes; none is taken without being asked for."""
    data = np.stack([volume(), volume() + 1, volume() + 2])
    path = tmp_path / f"x{suffix}"
    if suffix == ".nii.gz":
        nib.save(nib.Nifti1Image(data.transpose(), np.diag([0.25, 0.5, 3, 1])), path)
    else:
        image = SimpleITK.GetImageFromArray(data, isVector=False)
        image.SetSpacing((0.25, 0.5, 3, 1))
        SimpleITK.WriteImage(image, str(path))
    with pytest.raises(InputError, match=r"several series: '1', '2', '3'.*--series"):
        read(path)
    found = read(path, series="2")
    np.testing.assert_array_equal(found.data, data[1])
    assert found.geometry.spacing == (3.0, 0.5, 0.25)
    with pytest.raises(InputError, match="no image '4'"):
        read(path, series="4")


def vectors(channels: int, dtype: Any = np.int16) -> npt.NDArray[Any]:
    """Several values in each voxel, (Z, Y, X, C)."""
    return np.random.default_rng(4).integers(0, 99, (3, 8, 10, channels)).astype(dtype)


def write_vectors(path: Path, data: npt.NDArray[Any], how: str) -> Path:
    """Values (Z, Y, X, C) as a file in which nothing but channels can be meant."""
    if how == "itk":
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(data, isVector=True), str(path))
    elif how == "npy":
        np.save(path, data)
    elif how == "fortran":
        np.save(path, np.asfortranarray(data))
    elif how in ("list", "vector", "RGB-color"):
        nrrd.write(str(path), data.transpose(), {"kinds": [how, "domain", "domain", "domain"]})
    else:
        turned = data.transpose(2, 1, 0, 3)
        image = nib.Nifti1Image(turned[..., np.newaxis, :] if how == "fifth" else turned, np.diag([0.25, 0.5, 3, 1]))
        if how == "intent":
            image.header.set_intent("vector")
        nib.save(image, path)
    return path


@pytest.mark.parametrize("channels", [2, 3, 16])
@pytest.mark.parametrize(
    ("suffix", "how"),
    [
        (".nii", "itk"), (".nii.gz", "itk"), (".nii.gz", "fifth"), (".nii", "intent"), (".mha", "itk"),
        (".nrrd", "itk"), (".nrrd", "vector"), (".nrrd", "list"), (".nrrd", "RGB-color"), (".npy", "npy"),
        (".npy", "fortran"),
    ],
)  # fmt: skip
def test_several_values_a_voxel_are_channels(tmp_path: Path, suffix: str, how: str, channels: int) -> None:
    """Up to 16 of them are one image, whatever the format; whole numbers with a sign are no colours."""
    data = vectors(channels)
    found = read(write_vectors(tmp_path / f"x{suffix}", data, how))
    assert (found.axes, found.channels, found.meaning) == ("ZYXC", channels, "channels")
    assert found.data.dtype == np.int16
    np.testing.assert_array_equal(found.data, data)
    np.testing.assert_array_equal(found.slice(1), data[1])


def test_more_values_than_channels_stay_series(tmp_path: Path) -> None:
    """One of 17 directions can still be looked at."""
    data = vectors(17)
    for suffix, how in ((".nii.gz", "fifth"), (".nrrd", "vector")):
        path = write_vectors(tmp_path / f"x{suffix}", data, how)
        np.testing.assert_array_equal(read(path, series="17").data, data[..., 16])
    for suffix, how in ((".mha", "itk"), (".npy", "npy")):
        with pytest.raises(InputError, match=r"17.*16 channels"):
            read(write_vectors(tmp_path / f"x{suffix}", data, how))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mha"])
def test_moments_of_vectors_are_chosen_or_taken_together(tmp_path: Path, suffix: str) -> None:
    """Volumes and values at once: 3 moments of 2 values."""
    data = np.random.default_rng(5).integers(0, 99, (3, 4, 8, 10, 2)).astype(np.float32)
    path = tmp_path / f"x{suffix}"
    if suffix.startswith(".nii"):
        nib.save(nib.Nifti1Image(data.transpose(3, 2, 1, 0, 4), np.eye(4)), path)
    else:
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(data, isVector=True), str(path))
    np.testing.assert_array_equal(read(path, series="2").data, data[1])
    np.testing.assert_array_equal(read(path, series="all").data, np.concatenate(data, axis=-1))


def write_volumes(path: Path, data: npt.NDArray[Any]) -> Path:
    """Volumes (T, Z, Y, X) in a plain file of four axes."""
    if path.name.endswith((".nii", ".nii.gz")):
        nib.save(nib.Nifti1Image(data.transpose(), np.diag([0.25, 0.5, 3, 1])), path)
    else:
        image = SimpleITK.GetImageFromArray(data, isVector=False)
        image.SetSpacing((0.25, 0.5, 3, 1))
        SimpleITK.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_all_volumes_of_a_file_are_channels_where_asked_for(tmp_path: Path, suffix: str) -> None:
    """Sequences of one brain in a file of four axes; also where the folder of the file is given."""
    data = np.stack([volume(), volume() + 1, volume() + 2, volume() + 3])
    path = write_volumes(tmp_path / f"x{suffix}", data)
    with pytest.raises(InputError, match='"all"'):
        read(path)
    for source in (path, tmp_path):
        found = read(source, series="all")
        assert (found.axes, found.meaning) == ("ZYXC", "channels")
        assert found.geometry.spacing == (3.0, 0.5, 0.25)
        np.testing.assert_array_equal(found.data, np.moveaxis(data, 0, -1))
        np.testing.assert_array_equal(read(source, series="3").data, data[2])


def test_all_of_a_file_with_one_volume_is_that(tmp_path: Path) -> None:
    """A folder may hold both kinds of files."""
    path = write_volumes(tmp_path / "x.nii.gz", volume()[np.newaxis])
    np.testing.assert_array_equal(read(path, series="all").data, volume())


def test_more_volumes_than_channels_are_refused_together(tmp_path: Path) -> None:
    """A film of 17 moments is no image of 17 channels."""
    path = write_volumes(tmp_path / "x.nii.gz", np.stack([volume()] * 17))
    with pytest.raises(InputError, match=r"x.nii.gz holds 17 series: an image has at most 16 channels"):
        read(path, series="all")


def test_packed_volumes_taken_together_are_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S8: four sequences take the memory of their file, not four times that; before a look nothing is unpacked."""
    path = write_volumes(tmp_path / "x.nii.gz", np.stack([volume()] * 4))
    unpacked = []

    def counting(stored: Any) -> Any:
        unpacked.append(stored)
        return unpack(stored)

    monkeypatch.setattr(voxels, "unpack", counting)
    found = read(path, series="all")
    assert not unpacked
    found.data.compute()
    assert len(unpacked) == 1


def test_images_of_one_file_that_differ_are_not_joined(tmp_path: Path) -> None:
    """Images of an OME-TIFF become channels where size, type and (but for rounding) place are one; the sentence says
    what differs."""
    first = np.arange(80, dtype=np.uint16).reshape(8, 10)
    cases = {
        "size": (first[:, :9], 0.5), "type": (first.astype(np.uint8), 0.5), "place": (first, 0.25),
        "": (first + 1, 0.5001),
    }  # fmt: skip
    for what, (second, size) in cases.items():
        path = tmp_path / "x.ome.tiff"
        with tifffile.TiffWriter(path, ome=True) as tiff:
            for plane, side in ((first, 0.5), (second, size)):
                about = {"axes": "YX", "PhysicalSizeX": side, "PhysicalSizeY": side}
                tiff.write(plane, metadata=about, photometric="minisblack")
        if what:
            with pytest.raises(InputError, match=f"another {what} than"):
                read(path, series="all")
        else:
            np.testing.assert_array_equal(read(path, series="all").data, np.stack([first, second], axis=-1))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mha", ".nrrd"])
@pytest.mark.parametrize("packed", [False, True])
def test_slices_cut_off_count_as_missing(tmp_path: Path, suffix: str, packed: bool) -> None:
    """N6, F1: of a truncated volume the whole slices are read and the others named, never zeros without a word."""
    data = np.random.default_rng(1).integers(-2000, 2000, (40, 32, 32)).astype(np.int16)
    path = write_with_itk(tmp_path / f"x{suffix}", data, PLACES["upright"], packed=packed)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    found = read(path)
    assert 10 < len(found) - len(found.missing) < 30
    assert found.missing == frozenset(range(min(found.missing), 40))
    whole = min(found.missing)
    np.testing.assert_array_equal(found.data[:whole], data[:whole])
    assert "UNREADABLE" in [f.code for f in found.findings]


def test_a_damaged_packed_volume_is_refused(tmp_path: Path) -> None:
    """N6: bits that changed on the way are found by the check sum."""
    path = write_with_itk(tmp_path / "x.nii.gz", blocks(), PLACES["upright"])
    raw = bytearray(path.read_bytes())
    raw[-8] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(InputError, match="check sum"):
        read_labels(path)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_files_that_claim_too_much_are_refused_before_allocating(tmp_path: Path, suffix: str) -> None:
    """F3, F4, V: sizes are compared with the bytes that are there."""
    path = write_with_itk(tmp_path / f"x{suffix}", blocks(), PLACES["upright"])
    raw = path.read_bytes()
    assert b"10 8 3" in raw
    for claim in (b"9999999 9999999 3", b"30000 30000 30000", b"10 8 99999999999"):
        path.write_bytes(raw.replace(b"10 8 3", claim))
        with pytest.raises(InputError):
            read(path)


@pytest.mark.parametrize(("suffix", "field"), [(".nhdr", "data file: "), (".mhd", "ElementDataFile = ")])
def test_voxels_beside_a_header_must_lie_in_its_folder(tmp_path: Path, suffix: str, field: str) -> None:
    """D13 for volumes: a header from others may name any file."""
    (tmp_path / "in").mkdir()
    path = write_with_itk(tmp_path / "in" / f"x{suffix}", volume(), PLACES["oblique"], packed=False)
    np.testing.assert_array_equal(read(path).data, volume())
    raw = next(p for p in path.parent.iterdir() if p != path)
    raw.rename(tmp_path / raw.name)
    for name in (f"../{raw.name}", str(tmp_path / raw.name), "missing.raw"):
        text = path.read_text()
        line = next(row for row in text.splitlines() if row.startswith(field))
        path.write_text(text.replace(line, f"{field}{name}"))
        with pytest.raises(InputError, match="folder"):
            read(path)
    with pytest.raises(OutputError, match="not written"):
        write(tmp_path / f"y{suffix}", Labels(blocks(), CLASSES, PLACES["oblique"]))


def test_big_endian_and_float_volumes_are_read(tmp_path: Path) -> None:
    """F7 for volumes, V1: byte order and NaN survive."""
    data = volume(dtype=np.float32)
    data[0, 0, 0] = np.nan
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(np.float32)
    nib.save(nib.Nifti1Image(data.transpose(), np.eye(4), header), tmp_path / "x.nii")
    found = read(tmp_path / "x.nii").data.compute()
    np.testing.assert_array_equal(found, data)
    assert found.dtype.isnative


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_colour_volumes_are_read_in_colour(tmp_path: Path, suffix: str) -> None:
    """D16 for volumes."""
    data = np.random.default_rng(2).integers(0, 255, (3, 8, 10, 3)).astype(np.uint8)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(data, isVector=True), str(tmp_path / f"x{suffix}"))
    found = read(tmp_path / f"x{suffix}")
    assert found.axes == "ZYXC"
    np.testing.assert_array_equal(found.data, data)


@pytest.mark.parametrize("value", [300, 70_000])
def test_large_label_values_survive(tmp_path: Path, suffix: str, value: int) -> None:
    """V5."""
    data = blocks().astype(np.uint32)
    data[data == 2] = value
    write(tmp_path / f"x{suffix}", Labels(data, (), PLACES["upright"]))
    np.testing.assert_array_equal(read_labels(tmp_path / f"x{suffix}").data, data)


def test_masks_of_whole_floats_are_masks_and_others_are_not(tmp_path: Path) -> None:
    """V5: nibabel's get_fdata saves 1.0 for 1."""
    nib.save(nib.Nifti1Image(blocks().astype(np.float64).transpose(), np.eye(4)), tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(read_labels(tmp_path / "a.nii.gz").data, blocks())
    nib.save(nib.Nifti1Image((blocks() - 0.5).transpose(), np.eye(4)), tmp_path / "b.nii.gz")
    with pytest.raises(InputError, match="whole numbers"):
        read_labels(tmp_path / "b.nii.gz")


def test_one_slice_in_space_stays_a_stack(tmp_path: Path, suffix: str) -> None:
    """S7: its place would be lost in a flat image."""
    write(tmp_path / f"x{suffix}", Labels(blocks(1), CLASSES, PLACES["oblique"]))
    found = read_labels(tmp_path / f"x{suffix}")
    assert found.data.shape == (1, 8, 10)
    np.testing.assert_allclose(found.geometry.affine(), PLACES["oblique"].affine(), atol=1e-6)


def test_plain_volumes_read_one_slice_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S8: what is not packed is never read as a whole."""
    data = np.random.default_rng(3).integers(0, 99, (50, 64, 64)).astype(np.int16)
    path = write_with_itk(tmp_path / "x.nrrd", data, PLACES["upright"], packed=False)
    image = read(path)
    asked = []
    original = Path.open

    def spying(self: Path, *args: Any, **more: Any) -> Any:
        file = original(self, *args, **more)
        given = file.read
        monkeypatch.setattr(file, "read", lambda n=-1: (asked.append(n), given(n))[1], raising=False)
        return file

    monkeypatch.setattr(Path, "open", spying)
    np.testing.assert_array_equal(image.slice(31), data[31])
    monkeypatch.undo()
    assert sum(asked) == 64 * 64 * 2


def test_real_vertebra_lies_where_nibabel_and_itk_have_it(real_data: Path, tmp_path: Path) -> None:
    """N7 on real data: the CT and its labels, written again, on the same voxels."""
    folder = real_data / "ct_bone_nifti"
    for path in sorted(folder.rglob("*.nii.gz")):
        found = read(path)
        np.testing.assert_allclose(found.geometry.affine(), nifti_affine(path), atol=1e-6)
        matrix, data = itk_affine(path)
        np.testing.assert_allclose(found.geometry.affine(), matrix, atol=1e-4)
        np.testing.assert_array_equal(found.data, data)
        mask = (found.data.compute() > 100).astype(np.uint8)
        write(tmp_path / path.name, Labels(mask, (), found.geometry, source=path))
        np.testing.assert_array_equal(nib.load(tmp_path / path.name).affine, nib.load(path).affine)
