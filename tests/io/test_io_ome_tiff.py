"""TIFF of many kinds: pyramids, several images, OME-XML; and masks that other programs open with their classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from made_up import plane

from napari_medseg.core import ClassInfo, Geometry, InputError, Labels
from napari_medseg.io import inspect, read, read_labels, write
from napari_medseg.io.formats import tiff as tiff_format
from napari_medseg.io.pyramid import LARGE, count_levels, halve
from napari_medseg.io.tiff.ome import UNITS

MakeLabels = Callable[..., Labels]
SLIDE = plane(1, (513, 700))
CLASSES = (
    ClassInfo(value=1, name='gland "a" <&>', color="#e69f00"),
    ClassInfo(value=2, name="Stroma, übrig\n", color="#0072b2"),
)
TILES = {"tile": (128, 128)}


def slide_labels() -> Labels:
    """Just large enough for a pyramid, of no even size."""
    data = np.zeros((LARGE + 5, 67), np.uint8)
    data[100:300, 10:40], data[2000:, 50:] = 1, 2
    return Labels(data=data, classes=CLASSES, geometry=Geometry(spacing=(0.5, 0.25), unit="um"))


def write_pyramid(path: Path, steps: tuple[int, ...], *, ome: bool) -> Path:
    """A slide with levels in SubIFDs, and the pictures a scanner adds."""
    about: dict[str, Any] = {} if ome else {"metadata": None}
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(SLIDE, subifds=len(steps), **TILES, **about)
        for step in steps:
            tiff.write(SLIDE[::step, ::step], subfiletype=1, metadata=None, **TILES)
        for name in ("label image", "macro image"):
            aside = {"metadata": {"axes": "YX", "Name": name}} if ome else {"subfiletype": 1, "metadata": None}
            tiff.write(plane(2, (40, 60)), **aside)
    return path


@pytest.mark.parametrize("steps", [(2, 4), (2, 5), (3,)], ids=["halves", "uneven", "thirds"])
@pytest.mark.parametrize("name", ["x.ome.tif", "x.tif"])
def test_the_first_level_of_a_pyramid_is_the_image(tmp_path: Path, name: str, steps: tuple[int, ...]) -> None:
    """F7: levels in SubIFDs that are not exact halves; label and macro pages are ignored."""
    image = read(write_pyramid(tmp_path / name, steps, ome=".ome" in name))
    assert (image.axes, image.shape) == ("YX", SLIDE.shape)
    np.testing.assert_array_equal(image.slice(0), SLIDE)
    assert "OTHER_IMAGES" not in {f.code for f in image.findings}


def test_levels_and_pictures_among_the_pages_are_ignored(tmp_path: Path) -> None:
    """F7: a thumbnail before the slide, levels that nothing marks as such, and a slide's label."""
    with tifffile.TiffWriter(tmp_path / "x.tif") as tiff:
        tiff.write(SLIDE[::9, ::9], subfiletype=1, metadata=None)
        tiff.write(SLIDE, metadata=None, **TILES)
        tiff.write(SLIDE[:510:3, :699:3], metadata=None, **TILES)
        tiff.write(plane(3, (44, 30)), metadata=None, description="Aperio Image Library\nlabel 30x44")
    image = read(tmp_path / "x.tif")
    np.testing.assert_array_equal(image.slice(0), SLIDE)
    assert "OTHER_IMAGES" not in {f.code for f in image.findings}


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("dtype", ["int8", "int32", "float64"])
def test_signed_and_floating_values_stay_as_they_are(tmp_path: Path, byteorder: Any, dtype: str) -> None:
    """F7, V5: nothing is scaled or clipped, of either byte order, in BigTIFF."""
    pixels = (plane(0).astype(np.float64) - 100).astype(dtype)
    tifffile.imwrite(tmp_path / "x.tif", pixels, byteorder=byteorder, bigtiff=True)
    shown = read(tmp_path / "x.tif").slice(0)
    assert shown.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(shown, pixels)


def several_images(path: Path) -> Path:
    times = np.arange(2)[:, None, None, None] * 10 + np.arange(3)[None, :, None, None] + np.zeros((8, 9))
    with tifffile.TiffWriter(path) as tiff:
        sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 500, "PhysicalSizeYUnit": "nm", "PhysicalSizeZ": 0.002}
        sizes |= {"PhysicalSizeZUnit": "mm", "Name": "leg", "axes": "ZYX"}
        tiff.write(np.stack([plane(z) for z in range(5)]), metadata=sizes)
        tiff.write(times.astype(np.uint8), metadata={"axes": "TZYX", "Name": "arm"})
        tiff.write(plane(0, (4, 4)), metadata={"axes": "YX", "Name": "label image"})
    return path


def test_images_and_time_points_of_an_ome_tiff_are_chosen_by_name(tmp_path: Path) -> None:
    path = several_images(tmp_path / "x.ome.tif")
    with pytest.raises(InputError, match=r"x\.ome\.tif holds several series: 'leg', 'arm time 1', 'arm time 2'"):
        read(path)
    leg = read(path, series="leg")
    np.testing.assert_array_equal(leg.slice(3), plane(3))
    assert (leg.geometry.spacing, leg.geometry.unit) == (pytest.approx((0.002, 0.0005, 0.0005)), "mm")
    arm = read(path, series="arm time 2")
    assert [int(arm.slice(z)[0, 0]) for z in range(len(arm))] == [10, 11, 12]
    assert not arm.geometry.known, "each image has its own pixel size"
    with pytest.raises(InputError, match="no image 'foot'"):
        read(path, series="foot")


def test_a_folder_of_files_of_several_images_says_that_the_first_are_taken(tmp_path: Path) -> None:
    """F7: nothing is left out silently."""
    for z in range(3):
        with tifffile.TiffWriter(tmp_path / f"{z}.ome.tif") as tiff:
            for name in ("arm", "leg"):
                tiff.write(plane(z), metadata={"axes": "YX", "Name": name})
    image = read(tmp_path)
    assert len(image) == 3
    (told,) = [f for f in image.findings if f.code == "SEVERAL_IMAGES"]
    assert "0.ome.tif holds 2 images" in told.message
    assert told.files == tuple(f"{z}.ome.tif" for z in range(3))
    chosen = read(tmp_path / "0.ome.tif", series="leg")
    assert "SEVERAL_IMAGES" not in {f.code for f in chosen.findings}


def test_time_points_of_single_slices_are_slices_without_a_distance(tmp_path: Path) -> None:
    sizes = {"axes": "TYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 7}
    tifffile.imwrite(tmp_path / "x.ome.tif", np.stack([plane(z) for z in range(4)]), metadata=sizes)
    image = read(tmp_path / "x.ome.tif")
    assert len(image) == 4
    assert image.geometry.spacing[0] != 7
    assert "NO_SPACING" in {f.code for f in image.findings}


def test_many_channels_of_an_ome_tiff_are_channels(tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 99, (6, 12, 17)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "x.ome.tif", data, metadata={"axes": "CYX"}, photometric="minisblack")
    image = read(tmp_path / "x.ome.tif")
    assert (image.axes, image.meaning, image.channel_names) == ("YXC", "channels", ())
    np.testing.assert_array_equal(image.slice(0), np.moveaxis(data, 0, -1))


def test_channels_are_called_as_ome_xml_says(tmp_path: Path) -> None:
    data = np.zeros((2, 12, 17), np.uint8)
    about = {"axes": "CYX", "Channel": {"Name": ["DAPI", "x" * 200]}}
    tifffile.imwrite(tmp_path / "x.ome.tif", data, metadata=about, photometric="minisblack")
    assert read(tmp_path / "x.ome.tif").channel_names == ("DAPI", "x" * 100)


@pytest.mark.parametrize("unit", ["mm", "µm", "nm", "cm", "m", "Å", "in"])
def test_units_of_ome_xml_are_understood(tmp_path: Path, unit: str) -> None:
    sizes = {f"PhysicalSize{a}": 2.0 for a in "YX"} | {f"PhysicalSize{a}Unit": unit for a in "YX"}
    tifffile.imwrite(tmp_path / "x.ome.tif", plane(0), metadata={"axes": "YX", **sizes})
    geometry = read(tmp_path / "x.ome.tif").geometry
    name, factor = UNITS[unit.lower()]
    assert (geometry.unit, geometry.spacing) == (name, pytest.approx((2 * factor, 2 * factor)))


@pytest.mark.parametrize("unit", ["pixel", "reference frame", "s"])
def test_sizes_that_are_no_lengths_are_unknown(tmp_path: Path, unit: str) -> None:
    sizes = {f"PhysicalSize{a}": 2.0 for a in "YX"} | {f"PhysicalSize{a}Unit": unit for a in "YX"}
    tifffile.imwrite(tmp_path / "x.ome.tif", plane(0), metadata={"axes": "YX", **sizes})
    assert not read(tmp_path / "x.ome.tif").geometry.known


def test_one_file_of_several_is_read_for_what_it_holds(tmp_path: Path) -> None:
    """An OME-TIFF never makes us open other files; their folder is a series."""
    for z in range(3):
        planes = "".join(
            f'<TiffData FirstZ="{n}" IFD="0" PlaneCount="1"><UUID FileName="s{n}.ome.tif">urn:{n}</UUID></TiffData>'
            for n in range(3)
        )
        text = (
            '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels ID="Pixels:0"'
            ' DimensionOrder="XYZCT" Type="uint8" SizeX="17" SizeY="12" SizeZ="3" SizeC="1" SizeT="1"'
            f' PhysicalSizeX="0.5" PhysicalSizeY="0.5" PhysicalSizeZ="3">{planes}</Pixels></Image></OME>'
        )
        tifffile.imwrite(tmp_path / f"s{z}.ome.tif", plane(z), description=text, metadata=None)
    one = read(tmp_path / "s1.ome.tif")
    np.testing.assert_array_equal(one.slice(0), plane(1))
    assert "one of 3 files" in next(f.message for f in one.findings if f.code == "OTHER_FILES")
    whole = read(tmp_path)
    assert "OTHER_FILES" not in {f.code for f in whole.findings}
    np.testing.assert_array_equal(np.asarray(whole.data), np.stack([plane(z) for z in range(3)]))
    assert (whole.geometry.spacing, whole.geometry.unit) == ((3, 0.5, 0.5), "um")


@pytest.mark.parametrize("name", ["x.tif", "x.ome.tif"])
def test_masks_hold_their_classes_themselves(tmp_path: Path, make_labels: MakeLabels, name: str) -> None:
    write(tmp_path / name, make_labels(4, classes=CLASSES))
    (tmp_path / f"{name}.classes.json").unlink(missing_ok=True)
    again = read_labels(tmp_path / name)
    assert again.classes == CLASSES
    assert (again.geometry.spacing, again.geometry.unit) == (pytest.approx((3, 0.5, 0.25)), "mm")


def test_imagej_and_bioformats_find_what_they_look_for(tmp_path: Path, make_labels: MakeLabels) -> None:
    labels = make_labels(4, classes=CLASSES)
    write(tmp_path / "x.tif", labels)
    with tifffile.TiffFile(tmp_path / "x.tif") as tiff:
        about = tiff.imagej_metadata
        assert (about["slices"], about["spacing"], about["unit"]) == (4, 3.0, "mm")
        assert (about["min"], about["max"]) == (0, 2), "masks of 1 and 2 are seen in Fiji"
        np.testing.assert_array_equal(tiff.asarray(), labels.data)
    write(tmp_path / "y.ome.tif", labels)
    with tifffile.TiffFile(tmp_path / "y.ome.tif") as tiff:
        assert tiff.is_ome
        np.testing.assert_array_equal(tiff.asarray(), labels.data)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_bioio_opens_written_masks(tmp_path: Path, make_labels: MakeLabels) -> None:
    """Another reader of OME-TIFF agrees on values and pixel sizes."""
    reader = pytest.importorskip("bioio_ome_tiff", reason="bioio is not installed: pip install bioio-ome-tiff").Reader
    labels = make_labels(4, classes=CLASSES, geometry=Geometry(spacing=(3.0, 0.5, 0.25), unit="um"))
    write(tmp_path / "x.ome.tif", labels)
    opened = reader(tmp_path / "x.ome.tif")
    np.testing.assert_array_equal(np.squeeze(opened.data), labels.data)
    sizes = opened.physical_pixel_sizes
    np.testing.assert_allclose((sizes.Z, sizes.Y, sizes.X), (3.0, 0.5, 0.25))


@pytest.mark.parametrize("name", ["x.tif", "x.ome.tif"])
def test_masks_of_a_slide_are_a_pyramid(tmp_path: Path, name: str) -> None:
    labels = slide_labels()
    write(tmp_path / name, labels)
    (tmp_path / f"{name}.classes.json").unlink(missing_ok=True)
    with tifffile.TiffFile(tmp_path / name) as tiff:
        levels = tiff.series[0].levels
        assert len(tiff.series) == 1
        assert [level.shape for level in levels] == [(4101, 67), (2051, 34), (1026, 17), (513, 9)]
        np.testing.assert_array_equal(levels[1].asarray(), halve(labels.data))
        assert tiff.pages.first.is_tiled
    again = read_labels(tmp_path / name)
    np.testing.assert_array_equal(again.data, labels.data)
    assert (again.classes, again.geometry) == (CLASSES, labels.geometry)


def test_what_imagej_cannot_hold_becomes_bigtiff(
    tmp_path: Path, make_labels: MakeLabels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F7: more than 4 GB; here the limit is moved."""
    monkeypatch.setattr(tiff_format, "_IMAGEJ_LIMIT", 100)
    write(tmp_path / "x.tif", make_labels(4, classes=CLASSES))
    with tifffile.TiffFile(tmp_path / "x.tif") as tiff:
        assert (tiff.is_bigtiff, tiff.is_ome, tiff.is_imagej) == (True, True, False)
    assert read_labels(tmp_path / "x.tif").classes == CLASSES


@pytest.mark.parametrize("text", ["classes: [", "classes: {}", 'classes: [{"value": 1}]', "classes: 7", ""])
def test_notes_changed_by_others_do_not_stop_reading(tmp_path: Path, text: str) -> None:
    tifffile.imwrite(tmp_path / "x.tif", np.eye(9, dtype=np.uint8), imagej=True, metadata={"Info": text, "axes": "YX"})
    assert read_labels(tmp_path / "x.tif").classes == (ClassInfo.numbered(1),)


def test_xml_with_entities_is_not_believed(tmp_path: Path) -> None:
    """X1."""
    pixels = '<Image><Pixels PhysicalSizeX="1" PhysicalSizeY="1"/></Image>'
    text = f'<!DOCTYPE OME [<!ENTITY a "b">]><OME xmlns="x">{pixels}</OME>'
    tifffile.imwrite(tmp_path / "x.ome.tif", plane(0), description=text, metadata=None)
    image = read(tmp_path / "x.ome.tif")
    assert not image.geometry.known


def test_halving_keeps_to_the_values_that_are_there() -> None:
    block = np.array([[1, 1, 5, 0, 3], [2, 1, 0, 5, 3], [7, 8, 9, 9, 4]], np.uint8)
    np.testing.assert_array_equal(halve(block), [[1, 5, 3], [7, 9, 4]])
    assert halve(np.zeros((1, 1), np.uint16)).shape == (1, 1)
    assert count_levels((LARGE, LARGE)) == 0
    assert count_levels((3 * LARGE, 10)) == 4


def test_looking_at_a_folder_asks_no_file_for_its_levels(tmp_path: Path) -> None:
    """Slices in a folder are a series, whatever else each file holds."""
    for z in range(3):
        write_pyramid(tmp_path / f"{z}.ome.tif", (2,), ome=True)
    assert inspect(tmp_path).kind == "series"


@pytest.mark.parametrize("big", [False, True])
def test_pages_that_run_in_a_circle_are_refused_at_once(tmp_path: Path, big: bool) -> None:
    """Counted one after the other they would be millions."""
    path = tmp_path / "circle.tif"
    tifffile.imwrite(path, np.zeros((3, 8, 8), np.uint8), bigtiff=big, photometric="minisblack", metadata=None)
    assert len(read(path)) == 3
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        first, last = tiff.pages[0].offset, tiff.pages[2].offset
        tags = len(tiff.pages[2].tags)
    at, size = (last + 8 + 20 * tags, 8) if big else (last + 2 + 12 * tags, 4)
    content[at : at + size] = first.to_bytes(size, "little")
    path.write_bytes(content)
    with pytest.raises(InputError, match="run in a circle"):
        read(path)
