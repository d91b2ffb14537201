"""DICOM whole slide images: opened as slides by file and by folder, beside other DICOM images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_dicom import dicom_slice, save_dicom
from made_up_dicom_slides import write_dicom_slide
from made_up_slides import tissue_at
from pydicom import Dataset, dcmread
from pydicom.uid import JPEGLSLossless

from napari_medseg._reader import get_reader
from napari_medseg.core import Image, InputError, OutputError
from napari_medseg.io import find_series, read, read_set
from napari_medseg.io.blocks import BlockReader
from napari_medseg.io.dicom.file import read_facts
from napari_medseg.io.registry import format_for
from napari_medseg.io.writing import check_holds

TILE = (128, 160)
TISSUE = ((40, 60, 250, 380),)


@pytest.fixture
def openslide() -> Any:
    return pytest.importorskip("openslide", reason="OpenSlide is not installed")


def levels(height: int = 300, width: int = 500) -> list[np.ndarray[Any, Any]]:
    """Pixels of three levels, the last tiles of each cut off at its edges."""
    return [tissue_at(slice(0, height // n), slice(0, width // n), TISSUE, n) for n in (1, 2, 5)]


def slide(folder: Path, **about: Any) -> list[Path]:
    return write_dicom_slide(folder, levels(), tile=TILE, **about)


def ct(folder: Path, **about: Any) -> None:
    for z in range(3):
        save_dicom(folder / f"ct{z}.dcm", dicom_slice(3 * z, **about))


def codes(image: Image) -> set[str]:
    return {f.code for f in image.findings}


@pytest.mark.parametrize("code", ["none", "jpeg", "jpeg-rgb", "jpeg2000"])
def test_every_kind_of_tiles_has_its_colours_and_pixel_size(tmp_path: Path, openslide: Any, code: Any) -> None:
    files = slide(tmp_path, code=code)
    image = read(tmp_path)
    assert (image.axes, image.meaning, image.geometry.unit) == ("YXC", "RGB", "um")
    assert image.geometry.spacing == pytest.approx((0.5, 0.25))
    assert [level.shape for level in image.pyramid] == [(300, 500, 3), (150, 250, 3), (60, 100, 3)]
    assert all(isinstance(level, BlockReader) and level.block == TILE for level in image.pyramid)
    assert not codes(image)
    most, mean = (0, 0) if code == "none" else (90, 3)
    theirs = openslide.OpenSlide(files[0])
    for n, (level, true) in enumerate(zip(image.pyramid, levels(), strict=True)):
        found = np.asarray(level)
        error = np.abs(found.astype(int) - true)
        assert (error.max() <= most, error.mean() <= mean) == (True, True)
        same = theirs.read_region((0, 0), n, (found.shape[1], found.shape[0])).convert("RGB")
        np.testing.assert_array_equal(found, np.asarray(same))


@pytest.mark.parametrize("suffix", [".dcm", ".IMA", "", ".1"])
def test_any_file_of_a_slide_and_its_folder_open_all_of_it(tmp_path: Path, openslide: Any, suffix: str) -> None:
    """The label is no level; a level given by itself is no slide of its own."""
    files = slide(tmp_path / "a" / "b", suffix=suffix)
    label = files[0].with_name(f"label{suffix}")
    for source in (tmp_path / "a", files[0].parent, files, *files, label):
        image = read(source)
        assert [level.shape[:2] for level in image.pyramid] == [(300, 500), (150, 250), (60, 100)]
        np.testing.assert_array_equal(image.data[100:140, 120:170], levels()[0][100:140, 120:170])
    found = find_series(tmp_path / "a")
    assert (found.kind, found.is_stack, found.files, found.findings) == ("file", False, (files[0],), ())


def test_napari_opens_a_folder_with_a_slide_as_a_pyramid_in_micrometres(tmp_path: Path, openslide: Any) -> None:
    slide(tmp_path)
    reader = get_reader(str(tmp_path))
    assert reader is not None
    ((data, about, kind),) = reader(str(tmp_path))
    assert (kind, about["multiscale"], [level.shape[0] for level in data]) == ("image", True, [300, 150, 60])
    assert tuple(about["scale"]) == pytest.approx((0.5, 0.25))
    assert {str(u) for u in about["units"]} <= {"um", "micrometer", "µm"}


def test_tiles_that_were_not_scanned_are_white_and_damaged_ones_are_told(tmp_path: Path, openslide: Any) -> None:
    """Frames of a sparse level tell their places; what has none is glass. A cut off file lacks its last tiles."""
    (file,) = write_dicom_slide(tmp_path / "sparse", levels()[:1], tile=TILE)
    one, places = dcmread(file), [(1, 1), (1, 161), (129, 1)]
    one.DimensionOrganizationType, one.NumberOfFrames = "TILED_SPARSE", len(places)
    one.PixelData = one.PixelData[: TILE[0] * TILE[1] * 3] * len(places)
    one.PerFrameFunctionalGroupsSequence = []
    for row, column in places:
        place, frame = Dataset(), Dataset()
        place.RowPositionInTotalImagePixelMatrix, place.ColumnPositionInTotalImagePixelMatrix = row, column
        frame.PlanePositionSlideSequence = [place]
        one.PerFrameFunctionalGroupsSequence.append(frame)
    one.save_as(file)
    pixels, lost = read(file).data.read(slice(0, 300), slice(0, 500))
    assert lost == ()
    assert (pixels[130:, 170:] == 255).all()
    np.testing.assert_array_equal(pixels[128:256, :160], levels()[0][:128, :160])

    (file,) = write_dicom_slide(tmp_path / "cut", levels()[:1], tile=TILE)
    content = file.read_bytes()
    file.write_bytes(content[: -TILE[0] * TILE[1] * 3 - 200])
    pixels, lost = read(file).data.read(slice(0, 300), slice(0, 500))
    assert lost == ((slice(256, 300), slice(320, 480)), (slice(256, 300), slice(480, 500)))
    assert (pixels[256:, 320:] == 255).all()
    np.testing.assert_array_equal(pixels[:256], levels()[0][:256])


def test_without_openslide_its_extra_is_named_and_other_series_still_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openslide", None)
    files = slide(tmp_path)
    for source in (tmp_path, files[0]):
        with pytest.raises(InputError, match=r"0\.dcm needs OpenSlide.*napari-medseg\[openslide\]"):
            read(source)
    ct(tmp_path)
    image = read(tmp_path)
    assert image.data.shape == (3, 6, 5)
    (left,) = [f.message for f in image.findings if f.code == "UNREADABLE"]
    assert "0.dcm needs OpenSlide" in left


def test_a_slide_beside_another_series_is_a_choice(tmp_path: Path, openslide: Any) -> None:
    """A chosen slide is a slide; a scout view beside one is left out."""
    slide(tmp_path, number=7)
    ct(tmp_path)
    with pytest.raises(InputError, match=r"holds several series: '4' \(3\), '7' \(1\)"):
        read(tmp_path)
    assert find_series(tmp_path).groups[1].title == "biopsy · SM · slide of 500 x 300 pixels"
    assert [len(read(tmp_path, series=label).levels) for label in "47"] == [0, 2]
    assert read(tmp_path, series="4").data.shape == (3, 6, 5)
    for z in (1, 2):
        (tmp_path / f"ct{z}.dcm").unlink()
    image = read(tmp_path)
    assert (len(image.levels), codes(image)) == (2, {"OTHER_FILES"})


def test_several_slides_in_a_folder_are_a_set(tmp_path: Path, openslide: Any) -> None:
    slide(tmp_path, number=1, suffix="-a.dcm")
    write_dicom_slide(tmp_path, levels(200, 350), number=2, suffix="-b.dcm")
    assert [(image.shape, len(image.levels)) for image in read_set(tmp_path)] == [((300, 500), 2), ((200, 350), 2)]


def test_the_colours_of_a_set_of_slides_are_told_by_their_smallest_levels(
    tmp_path: Path, openslide: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To decode whole slides for a look at a folder takes minutes."""
    for number in (1, 2):
        slide(tmp_path, number=number, suffix=f"-{number}.dcm")
    monkeypatch.setattr("napari_medseg.io.openslide.check_budget", lambda *_: pytest.fail("a whole level was decoded"))
    assert find_series(tmp_path).color


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"PhotometricInterpretation": "MONOCHROME2", "SamplesPerPixel": 1}, "value 1 != 3"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LABEL", "NONE"], "TotalPixelMatrixRows": None}, "dimensions"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "OTHER", "NONE"]}, "No pyramid levels found"),
        ({"SeriesInstanceUID": None}, "SeriesInstanceUID not found"),
    ],
    ids=["grey", "labels alone", "no level", "no series"],
)
def test_a_slide_that_openslide_cannot_read_is_one_sentence(
    tmp_path: Path, openslide: Any, changes: dict[str, Any], reason: str
) -> None:
    slide(tmp_path, **changes)
    for source in (tmp_path, tmp_path / "0.dcm"):
        with pytest.raises(InputError, match=rf"0\.dcm cannot be opened by OpenSlide \(.*{reason}.*\)\.") as told:
            read(source)
        assert str(tmp_path) not in str(told.value)


def test_a_compression_that_openslide_cannot_read_is_named(tmp_path: Path, openslide: Any) -> None:
    """In the file itself, and in another one of its series."""
    files = slide(tmp_path, code="jpeg")
    one = dcmread(files[1])
    one.file_meta.TransferSyntaxUID = JPEGLSLossless
    one.save_as(files[1])
    for source in (files[1], files[0], tmp_path):
        with pytest.raises(InputError, match=r"Reading 1\.dcm: Unsupported transfer syntax JPEG-LS Lossless"):
            read(source)


def test_masks_of_a_slide_as_dicom_segmentation_are_refused_before_any_work(tmp_path: Path, openslide: Any) -> None:
    slide(tmp_path)
    with pytest.raises(OutputError, match=r"not written as DICOM segmentation\. Write an OME-Zarr or OME-TIFF"):
        check_holds(tmp_path / "x.seg.dcm", 1, read(tmp_path))


def test_of_a_slide_neither_frames_nor_pixels_are_looked_at(tmp_path: Path) -> None:
    """A level has hundreds of thousands of tiles; the series is told without them."""
    files = slide(tmp_path, code="jpeg")
    facts = read_facts(files[0])
    assert (facts.pixels, facts.broken) == ("", "")
    assert not {"SharedFunctionalGroupsSequence", "PixelData"} & {*facts.values}
    assert facts.integer("TotalPixelMatrixColumns") == 500


def test_only_whole_slide_images_are_slides(tmp_path: Path) -> None:
    files = slide(tmp_path / "slide")
    ct(tmp_path / "ct")
    assert format_for(files[0]).name == "dicom-slide"
    assert format_for(tmp_path / "ct" / "ct0.dcm").name == "dicom"
    (tmp_path / "x.dcm").write_bytes(b"no DICOM file at all")
    assert format_for(tmp_path / "x.dcm").name == "dicom"
    with pytest.raises(InputError, match=r"x\.dcm is not a DICOM image\."):
        read(tmp_path / "x.dcm")
