"""DICOM images: order and place of slices, values as the scanner means them, and what is told of what is odd."""

from __future__ import annotations

import gzip
import logging
import traceback
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from made_up_dicom import dicom_slice, save_dicom, stored_of
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
)

from napari_medseg import io
from napari_medseg.core import Image, InputError, Labels
from napari_medseg.io.dicom import elements

Make = Callable[..., Path]


@pytest.fixture
def series(tmp_path: Path) -> Make:
    """Write slices at these heights; names are in another order than heights."""

    def make(heights: Sequence[float] = (0, 3, 6, 9, 12), folder: str = "ct", **changes: Any) -> Path:
        for index, z in enumerate(heights):
            save_dicom(tmp_path / folder / f"IM{99 - index:03d}.dcm", dicom_slice(z, **changes))
        return tmp_path / folder

    return make


def codes(image: Image) -> set[str]:
    return {f.code for f in image.findings}


def heights(image: Image) -> list[float]:
    """Of each slice, from its first pixel."""
    return [(float(image.slice(z).flat[0]) + 24) / 10 for z in range(len(image))]


def refusal(call: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    with pytest.raises(InputError) as caught:
        call(*args, **kwargs)
    return str(caught.value)


def test_slices_lie_in_order_of_position_in_patient_coordinates(series: Make) -> None:
    """D5: neither names nor instance numbers decide."""
    image = io.read(series((12, 0, 9, 3, 6)))
    assert heights(image) == [0, 3, 6, 9, 12]
    assert image.axes == "ZYX"
    assert (image.meaning, image.modality) == ("HU", "CT")
    assert image.geometry.spacing == (3, 0.75, 0.5)
    assert image.geometry.origin == (0, -20, -10)
    assert image.geometry.direction == ()
    assert image.names == ("IM098.dcm", "IM096.dcm", "IM095.dcm", "IM097.dcm", "IM099.dcm")
    assert [(w.low, w.high) for w in image.windows] == [(-160, 239)]
    assert not codes(image)


def test_files_without_suffix_and_below_a_dicomdir_are_found(tmp_path: Path) -> None:
    """A disk from a hospital: no suffixes, folders in folders; D13: what a DICOMDIR names is never followed."""
    for z in range(3):
        save_dicom(tmp_path / "DICOM" / "ST0" / f"IM0000{z}", dicom_slice(3 * z))
    table = dicom_slice(SOPClassUID="1.2.840.10008.1.3.10", PixelData=None, SeriesDescription="../../etc/passwd")
    save_dicom(tmp_path / "DICOMDIR", table)
    assert heights(io.read(tmp_path)) == [0, 3, 6]
    assert heights(io.read(tmp_path / "DICOM" / "ST0")) == [0, 3, 6]
    assert "table of contents" in refusal(io.read, tmp_path / "DICOMDIR")


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    """D13: a tree of folders is searched, not what links in it point at."""
    save_dicom(tmp_path / "secret" / "IM1", dicom_slice(0))
    (tmp_path / "disk" / "sub").mkdir(parents=True)
    (tmp_path / "disk" / "sub" / "IM1").symlink_to(tmp_path / "secret" / "IM1")
    (tmp_path / "disk" / "more").symlink_to(tmp_path / "secret")
    assert "no images" in refusal(io.read, tmp_path / "disk")


def test_two_series_in_one_folder_are_chosen_by_label(series: Make) -> None:
    """S6: the folder is refused with the labels; each opens by its own."""
    folder = series()
    for z in (0, 2):
        other = dicom_slice(z, SeriesInstanceUID="1.2.3.9", SeriesNumber=9, SOPInstanceUID=f"1.2.9.{z + 1}")
        save_dicom(folder / f"B{z}.dcm", other)
    found = io.inspect(folder)
    assert [(g.label, len(g.files)) for g in found.groups] == [("4", 5), ("9", 2)]
    assert found.groups[0].title == "thigh · CT · 5 slices"
    assert "'4' (5), '9' (2)" in refusal(io.read, folder)
    assert len(io.read(folder, series="9")) == 2
    assert "no series '7'" in refusal(io.read, folder, series="7")


def test_phases_in_the_same_places_become_series(series: Make) -> None:
    """D1: split by what tells them apart; each says so."""
    folder = series((0, 3, 6))
    for z in (0, 3, 6):
        save_dicom(folder / f"late{z}.dcm", dicom_slice(z, AcquisitionNumber=2, SOPInstanceUID=f"1.2.8.{z + 1}"))
    found = io.inspect(folder)
    assert [g.label for g in found.groups] == ["4-1", "4-2"]
    image = io.read(folder, series="4-2")
    assert heights(image) == [0, 3, 6]
    assert "DUPLICATE_POSITIONS" in codes(image)


def test_the_same_instance_twice_counts_once(series: Make) -> None:
    """D1: copies of a file are no phases."""
    folder = series((0, 3, 6))
    (folder / "copy.dcm").write_bytes((folder / "IM099.dcm").read_bytes())
    assert heights(io.read(folder)) == [0, 3, 6]


def test_missing_slices_are_told_and_the_others_keep_their_place(series: Make) -> None:
    """D2: a gap is never closed."""
    image = io.read(series((0, 3, 6, 12, 15)))
    assert codes(image) == {"MISSING_SLICES"}
    assert [p[0] for p in image.geometry.positions] == [0, 3, 6, 12, 15]
    assert image.geometry.spacing[0] == 3


def test_uneven_slices_keep_their_own_positions(series: Make) -> None:
    """D3."""
    image = io.read(series((0, 3, 4.5, 9, 12)))
    assert codes(image) == {"IRREGULAR_SPACING"}
    assert [image.geometry.slice_origin(z)[0] for z in range(5)] == [0, 3, 4.5, 9, 12]


def test_a_tilted_gantry_gives_the_exact_sheared_affine(series: Make) -> None:
    """D4: the direction of the stack is that of the table, not the one at right angles to the slices."""
    cos, sin = float(np.cos(0.3)), float(np.sin(0.3))
    image = io.read(series(ImageOrientationPatient=[1, 0, 0, 0, round(cos, 9), round(-sin, 9)]))
    assert codes(image) == {"GANTRY_TILT"}
    assert "17.2°" in image.findings[0].message
    wanted = [[3, -sin * 0.75, 0, 0], [0, cos * 0.75, 0, -20], [0, 0, 0.5, -10], [0, 0, 0, 1]]
    np.testing.assert_allclose(image.geometry.affine(), wanted, atol=1e-6)
    assert not image.geometry.positions


def test_a_localiser_inside_a_series_is_left_out_and_told(series: Make) -> None:
    """D6."""
    folder = series()
    scout = dicom_slice(0, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], ImageOrientationPatient=[1, 0, 0, 0, 0, -1],
                        SOPInstanceUID="1.2.7")  # fmt: skip
    save_dicom(folder / "scout.dcm", scout)
    image = io.read(folder)
    assert len(image) == 5
    assert {"OTHER_FILES", "INCONSISTENT_ORIENTATION"} <= codes(image)
    assert io.read(folder, series="4-2").names == ("scout.dcm",) or io.read(folder, series="4-1").names == (
        "scout.dcm",
    )


def test_slices_of_another_size_are_left_out_and_told(series: Make) -> None:
    """S1, D6: the rest of the series still opens."""
    folder = series()
    odd = dicom_slice(15, SOPInstanceUID="1.2.7", **stored_of(np.zeros((4, 4), np.uint16)))
    save_dicom(folder / "odd.dcm", odd)
    image = io.read(folder)
    assert len(image) == 5
    assert "INCONSISTENT_SIZE" in codes(image)


def test_monochrome1_is_shown_right(tmp_path: Path) -> None:
    """D7: black is the highest number there; window and values are turned round together."""
    pixels = np.array([[0, 4095], [100, 1000]], np.uint16)
    xray = dicom_slice(
        Modality="DX", PhotometricInterpretation="MONOCHROME1", RescaleIntercept=None, RescaleSlope=None,
        ImagePositionPatient=None, ImageOrientationPatient=None, WindowCenter=100.5, WindowWidth=201,
        **stored_of(pixels, BitsStored=12, HighBit=11),
    )  # fmt: skip
    image = io.read(save_dicom(tmp_path / "x.dcm", xray))
    assert (image.axes, image.modality) == ("YX", "X-ray")
    assert image.slice(0).tolist() == [[4095, 0], [3995, 3095]]
    assert [(w.low, w.high) for w in image.windows] == [(3895, 4095)]
    assert "INVERTED" in codes(image)


def test_padding_of_monochrome1_is_black_too(tmp_path: Path) -> None:
    """D7, D9: around an X-ray lies white, stored as 0, or any other number; it is shown as background."""
    pixels = np.array([[0, 4095], [100, 1000]], np.uint16)
    for padding, wanted in ((0, [[0, 0], [3995, 3095]]), (4095, [[4095, 0], [3995, 3095]])):
        xray = dicom_slice(
            Modality="DX", PhotometricInterpretation="MONOCHROME1", RescaleIntercept=0, RescaleSlope=1,
            PixelPaddingValue=padding, **stored_of(pixels, BitsStored=12, HighBit=11),
        )  # fmt: skip
        image = io.read(save_dicom(tmp_path / f"{padding}.dcm", xray))
        assert image.slice(0).tolist() == wanted
        assert ("PADDING" in codes(image)) == (padding == 0)


def test_slope_and_intercept_are_those_of_each_slice(series: Make) -> None:
    """D8: a PET scales every slice by itself."""
    folder = series((0, 3))
    stored = np.full((6, 5), 100, np.uint16)
    for index, (z, slope) in enumerate(((6, 0.5), (9, 2))):
        save_dicom(
            folder / f"p{index}.dcm", dicom_slice(z, RescaleSlope=slope, RescaleIntercept=3, **stored_of(stored))
        )
    image = io.read(folder)
    assert image.data.dtype.kind == "f"
    assert [float(image.slice(z)[1, 1]) for z in range(4)] == [-1018, -1018, 53, 203]


def test_padding_far_below_air_becomes_air(tmp_path: Path) -> None:
    """D9: it would ruin contrast and normalisation; a finding says so."""
    pixels = np.array([[-2000, 0], [24, 3000]], np.int16)
    path = save_dicom(tmp_path / "x.dcm", dicom_slice(PixelPaddingValue=-2000, **stored_of(pixels)))
    image = io.read(path)
    assert image.slice(0).tolist() == [[-1024, -1024], [-1000, 1976]]
    assert "PADDING" in codes(image)


def frames(places: Sequence[tuple[float, int]], **changes: Any) -> Dataset:
    """An enhanced CT whose frames lie at these heights, in these phases; frame k holds k."""
    stored = np.concatenate([np.full((6, 5), k, np.uint16) for k in range(len(places))])
    dataset = dicom_slice(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.2.1", ImagePositionPatient=None, ImageOrientationPatient=None,
        PixelSpacing=None, RescaleIntercept=None, RescaleSlope=None, NumberOfFrames=len(places),
        PixelData=stored.tobytes(), **changes,
    )  # fmt: skip

    def item(**values: Any) -> Dataset:
        found = Dataset()
        for name, value in values.items():
            setattr(found, name, value)
        return found

    dataset.SharedFunctionalGroupsSequence = [
        item(
            PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
            PixelMeasuresSequence=[item(PixelSpacing=[0.75, 0.5], SliceThickness=3)],
            PixelValueTransformationSequence=[item(RescaleIntercept=-1024, RescaleSlope=1, RescaleType="HU")],
        )
    ]
    dataset.PerFrameFunctionalGroupsSequence = [
        item(
            PlanePositionSequence=[item(ImagePositionPatient=[-10, -20, z])],
            FrameContentSequence=[item(TemporalPositionIndex=phase)],
        )
        for z, phase in places
    ]
    return dataset


@pytest.mark.parametrize("in_folder", [False, True])
def test_frames_of_an_enhanced_file_are_slices_in_order_of_position(tmp_path: Path, in_folder: bool) -> None:
    """D10."""
    path = save_dicom(tmp_path / "in" / "x.dcm", frames([(6, 1), (0, 1), (3, 1)]))
    image = io.read(path.parent if in_folder else path)
    assert image.data.shape == (3, 6, 5)
    assert [int(image.slice(z)[0, 0]) for z in range(3)] == [1 - 1024, 2 - 1024, -1024]
    assert image.geometry.spacing == (3, 0.75, 0.5)
    assert (image.meaning, image.modality) == ("HU", "CT")


@pytest.mark.parametrize("in_folder", [False, True])
def test_phases_in_an_enhanced_file_are_chosen_by_label(tmp_path: Path, in_folder: bool) -> None:
    """D1, D10."""
    path = save_dicom(tmp_path / "in" / "x.dcm", frames([(0, 1), (0, 2), (3, 1), (3, 2)]))
    source = path.parent if in_folder else path
    labels = [g.label for g in io.inspect(source).groups]
    assert labels == (["4-1", "4-2"] if in_folder else ["phase 1", "phase 2"])
    image = io.read(source, series=labels[1])
    assert [int(image.slice(z)[0, 0]) for z in range(2)] == [1 - 1024, 3 - 1024]


CODECS = {
    "jpeg 2000": (JPEG2000Lossless, lambda p: imagecodecs.jpeg2k_encode(p, level=0, codecformat="j2k")),
    "jpeg lossless": (JPEGLosslessSV1, imagecodecs.ljpeg_encode),
    "jpeg-ls": (JPEGLSLossless, imagecodecs.jpegls_encode),
}


@pytest.mark.parametrize("kind", CODECS)
def test_compressed_slices_hold_the_same_values(tmp_path: Path, kind: str) -> None:
    """D11: no further package is needed for these."""
    syntax, encode = CODECS[kind]
    pixels = np.random.default_rng(0).integers(0, 4096, (40, 48)).astype(np.uint16)
    described = stored_of(pixels, BitsStored=16, HighBit=15)
    dataset = dicom_slice(**{**described, "PixelData": encapsulate([bytes(encode(pixels))])})
    dataset["PixelData"].is_undefined_length = True
    image = io.read(save_dicom(tmp_path / "x.dcm", dataset, syntax))
    np.testing.assert_array_equal(image.slice(0), pixels.astype(np.int32) - 1024)


@pytest.mark.parametrize("kind", [*CODECS, "jpeg"])
def test_a_compressed_frame_larger_than_its_header_says_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """D13, F3: decoders allocate what the stream claims."""
    codecs = {**CODECS, "jpeg": (JPEGBaseline8Bit, imagecodecs.jpeg8_encode)}
    syntax, encode = codecs[kind]
    dtype = np.uint8 if kind == "jpeg" else np.uint16
    stream = bytes(encode(np.zeros((64, 48), dtype)))
    described = stored_of(np.zeros((40, 48), dtype))
    dataset = dicom_slice(**{**described, "PixelData": encapsulate([stream])})
    dataset["PixelData"].is_undefined_length = True
    path = save_dicom(tmp_path / "x.dcm", dataset, syntax)
    monkeypatch.setattr("pydicom.pixels.utils.pixel_array", None)
    with pytest.raises(InputError, match=r"x\.dcm is damaged \(its compressed pixels claim 48 x 64"):
        io.read(path).slice(0)


def test_our_decoders_do_without_other_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """D11: pydicom's own choice of packages may all be missing."""
    from pydicom.pixels import get_decoder

    from napari_medseg.io.dicom.codecs import add_decoders

    add_decoders()
    for kind in ("jpeg lossless", "jpeg-ls"):
        decoder = get_decoder(CODECS[kind][0])
        monkeypatch.setattr(decoder, "_available", {"imagecodecs": decoder._available["imagecodecs"]})
        (tmp_path / kind).mkdir()
        test_compressed_slices_hold_the_same_values(tmp_path / kind, kind)


def test_a_missing_decoder_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """D11: says which package, before anything is read."""
    from pydicom.pixels import get_decoder

    from napari_medseg.io.dicom.codecs import missing_decoder

    missing_decoder.cache_clear()
    decoder = get_decoder(HTJ2KLossless)
    monkeypatch.setattr(decoder, "_available", {})
    monkeypatch.setattr(decoder, "_unavailable", {"pylibjpeg": ("pylibjpeg>=2.0", "pylibjpeg-openjpeg>=2.0")})
    dataset = dicom_slice(PixelData=encapsulate([b"\0" * 8]))
    dataset["PixelData"].is_undefined_length = True
    said = refusal(io.read, save_dicom(tmp_path / "x.dcm", dataset, HTJ2KLossless))
    missing_decoder.cache_clear()
    assert "High-Throughput" in said
    assert "pylibjpeg" in said


@pytest.mark.parametrize("kind", ["no preamble", "implicit", "deflated"])
def test_old_and_rare_encodings_are_read(tmp_path: Path, kind: str) -> None:
    """D12."""
    syntaxes = {"implicit": ImplicitVRLittleEndian, "deflated": DeflatedExplicitVRLittleEndian}
    dataset = dicom_slice(3)
    if kind == "no preamble":
        dataset.save_as(tmp_path / "x.dcm", implicit_vr=True, little_endian=True)
    else:
        save_dicom(tmp_path / "x.dcm", dataset, syntaxes[kind])
    image = io.read(tmp_path / "x.dcm")
    assert heights(image) == [3]
    assert image.geometry.origin == (3, -20, -10)


def test_a_truncated_slice_counts_as_missing(series: Make) -> None:
    """D12: its place is known; the rest of the series loads."""
    folder = series()
    path = folder / "IM098.dcm"
    path.write_bytes(path.read_bytes()[:-20])
    image = io.read(folder)
    assert image.missing == {1}
    assert "UNREADABLE" in codes(image)
    assert "IM098.dcm" in refusal(io.read, path)


def test_a_file_without_pixel_size_says_so(series: Make) -> None:
    """D14."""
    image = io.read(series(PixelSpacing=None))
    assert codes(image) == {"NO_SPACING"}
    assert image.geometry.unit == "pixel"
    assert heights(image) == [0, 3, 6, 9, 12]


def test_objects_that_are_no_images_are_left_out_and_named(series: Make) -> None:
    """D15."""
    folder = series()
    plan = dicom_slice(SOPClassUID="1.2.840.10008.5.1.4.1.1.481.3", PixelData=None, Rows=None, SOPInstanceUID="1.2.7")
    save_dicom(folder / "rt.dcm", plan)
    image = io.read(folder)
    assert len(image) == 5
    assert any("rt.dcm is no image (RT Structure Set)" in f.message for f in image.findings)
    assert "no image" in refusal(io.read, folder / "rt.dcm")


def test_colours_are_read_as_rgb(tmp_path: Path) -> None:
    """D16."""
    pixels = np.random.default_rng(0).integers(0, 255, (6, 5, 3)).astype(np.uint8)
    photo = dicom_slice(
        Modality="OT", SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0, **stored_of(pixels),
        ImagePositionPatient=None,
    )  # fmt: skip
    image = io.read(save_dicom(tmp_path / "x.dcm", photo))
    assert image.axes == "YXC"
    assert image.meaning == "RGB"
    np.testing.assert_array_equal(image.slice(0), pixels)


def test_xrays_of_several_patients_are_a_set(tmp_path: Path) -> None:
    """Each is a picture by itself, whatever its size."""
    for index in range(3):
        xray = dicom_slice(
            Modality="CR", SeriesInstanceUID=f"1.2.3.{index + 50}", SOPInstanceUID=f"1.2.5.{index + 1}",
            ImagePositionPatient=None, **stored_of(np.zeros((4 + index, 4), np.uint16)),
        )  # fmt: skip
        save_dicom(tmp_path / "in" / f"{index}.dcm", xray)
    assert io.inspect(tmp_path / "in").kind == "images"
    assert [i.shape for i in io.read_set(tmp_path / "in")] == [(4, 4), (5, 4), (6, 4)]
    assert "single images" in refusal(io.read, tmp_path / "in")


def test_nothing_that_names_the_patient_is_told(
    series: Make, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """D17: not in labels, titles, findings, errors or logs, though the description holds the name."""
    caplog.set_level(logging.DEBUG)
    folder = series((0, 3, 4.5, 9, 12), SeriesDescription="DOE thigh HOSP-4711")
    save_dicom(folder / "b.dcm", dicom_slice(1, SeriesInstanceUID="1.2.9", SeriesNumber=9, SOPInstanceUID="1.2.9.1"))
    found = io.inspect(folder)
    told = repr((found.findings, [(g.label, g.title) for g in found.groups]))
    image = io.read(folder, series="4")
    told += repr((image.findings, image.windows, image.meaning)) + caplog.text + "".join(capfd.readouterr())
    assert not any(word in told.lower() for word in ("doe", "jane", "4711"))


@pytest.mark.parametrize(
    "damage",
    [
        {"Rows": 0}, {"PixelData": b"\0\0"}, {"BitsAllocated": 12}, {"PixelData": None}, {"SamplesPerPixel": 7},
        {"Rows": 60000, "Columns": 60000}, {"NumberOfFrames": 99}, {"ImagePositionPatient": None, "Modality": "SR"},
    ],
)  # fmt: skip
def test_errors_about_damaged_values_do_not_name_the_patient(
    tmp_path: Path, damage: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """D17: nor does what caused them, which a log or ``--debug`` shows."""
    caplog.set_level(logging.DEBUG)
    path = save_dicom(tmp_path / "x.dcm", dicom_slice(0, **damage))
    content = path.read_bytes().replace(b"Doe^Jane", b"Doe^\xff\xfe\\e").replace(b"0.75\\0.5", b"Doe Jane")
    path.write_bytes(content)
    told = caplog.text
    try:
        image = io.read(path)
        image.slice(0)
        told += repr(image.findings)
    except InputError as error:
        told += "".join(traceback.format_exception(error))
    assert not any(word in told.lower() for word in ("doe^", "doe jane", "4711"))


@pytest.mark.parametrize("name", ["m.nii.gz", "m.seg.nrrd", "m.mha", "m.ome.tif", "m.ome.zarr", "m.npy", "m"])
def test_exported_masks_do_not_name_the_patient(series: Make, tmp_path: Path, name: str) -> None:
    """D17: only DICOM, which belongs to the patient's study, tells whose masks these are."""
    image = io.read(series(SeriesDescription="DOE thigh HOSP-4711"))
    masks = Labels(np.ones(image.shape, np.uint8), (), image.geometry, names=image.names, source=image.source)
    io.write(tmp_path / "out" / name, masks)
    for path in (p for p in (tmp_path / "out").rglob("*") if p.is_file()):
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert not any(word in content.lower() for word in (b"jane", b"4711", b"doe thigh")), path.name


@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
def test_stepping_over_elements_finds_what_pydicom_finds(tmp_path: Path, implicit: bool) -> None:
    """S8: sequences in sequences, of known and unknown length, private ones too, and many bytes of another maker."""
    inner, outer = Dataset(), Dataset()
    inner.Rows, inner.PatientID = 99, "inner"
    inner.is_undefined_length_sequence_item = True
    outer.ReferencedImageSequence, outer.Columns = [inner, inner], 98
    dataset = dicom_slice(3, ReferencedStudySequence=[outer, outer], SourceImageSequence=[inner])
    for name in ("ReferencedStudySequence", "SourceImageSequence"):
        dataset[name].is_undefined_length = name == "ReferencedStudySequence"
        for item in dataset[name].value:
            item.is_undefined_length_sequence_item = True
    outer["ReferencedImageSequence"].is_undefined_length = True
    dataset.private_block(0x0029, "MAKER", create=True).add_new(1, "UN", bytes(50_000))
    path = save_dicom(tmp_path / "x.dcm", dataset, ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian)
    content = path.read_bytes()
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    begin = 144 + int.from_bytes(content[140:144], "little")  # the length of the meta information
    skimmed, parsed = BytesIO(content), BytesIO(content)
    skimmed.seek(begin)
    parsed.seek(begin)
    found = elements._skim_values(skimmed, syntax)
    assert found is not None
    assert found == elements._parse_values(parsed, syntax)
    assert skimmed.tell() == parsed.tell() == content.index(dataset.PixelData)
    assert (found[0]["Rows"], found[0]["PatientID"]) == (6, "HOSP-4711")


def test_a_slice_too_large_for_memory_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """F4: by the size that its header claims."""
    path = save_dicom(tmp_path / "x.dcm", dicom_slice(Rows=65535, Columns=65535, SamplesPerPixel=3))
    assert "65535" in refusal(io.read, path)


def test_many_slices_open_without_their_pixels(series: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """S8: only headers are read; nothing is decoded until a slice is asked for."""
    from napari_medseg.io.dicom import pixels

    folder = series([3 * z for z in range(60)])
    decoded: list[Path] = []
    decode = pixels._decode
    monkeypatch.setattr(pixels, "_decode", lambda path, *rest: decoded.append(path) or decode(path, *rest))
    image = io.read(folder)
    assert (len(image), decoded) == (60, [])
    image.slice(7)
    assert len(decoded) == 1


def test_the_tilted_head_keeps_28_positions(real_data: Path) -> None:
    """D3, D4 on a real series: places as its headers tell them, values as SimpleITK reads them."""
    sitk = pytest.importorskip("SimpleITK")
    folder = real_data / "ct_dicom_tilted"
    image = io.read(folder)
    assert {"GANTRY_TILT", "IRREGULAR_SPACING"} <= codes(image)
    assert len(image.geometry.positions) == 28
    for z in (0, 14, 27):
        one = sitk.ReadImage(str(folder / image.names[z]))
        np.testing.assert_allclose(image.geometry.slice_origin(z), one.GetOrigin()[::-1], atol=1e-6)
        values = sitk.GetArrayFromImage(one)[0]
        inside = values > -1024
        np.testing.assert_array_equal(image.slice(z)[inside], values[inside])


def test_the_oblique_hips_lie_where_simpleitk_puts_them(real_data: Path) -> None:
    """Affine of an oblique coronal MR to 1e-5 mm over the whole stack, and the same values."""
    sitk = pytest.importorskip("SimpleITK")
    folder = real_data / "femur_mri" / "dicom" / "images_04"
    image = io.read(folder)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(folder / name) for name in image.names])
    other = reader.Execute()
    corner = tuple(n - 1 for n in image.shape)
    for index in ((0, 0, 0), corner):
        place = (image.geometry.affine() @ [*index, 1])[:3]
        theirs = other.TransformIndexToPhysicalPoint(tuple(int(i) for i in index[::-1]))[::-1]
        np.testing.assert_allclose(place, theirs, atol=2e-2)
    np.testing.assert_array_equal(image.slice(9), sitk.GetArrayViewFromImage(other)[9])
